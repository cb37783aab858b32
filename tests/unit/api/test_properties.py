"""What holds for any request: one meaning in every dialect, and no input that is our fault."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filmgate.api.dialect import View
from filmgate.api.dialects import bytespike, loova
from filmgate.api.dialects.openai import reading, writing
from filmgate.api.links import Links
from filmgate.api.submission import Order
from filmgate.core.fingerprint import fingerprint
from filmgate.core.generation import Generation
from tests.calls import WEB, clients
from tests.fakes import a_task, a_world

WORLD = a_world()
CATALOGUE = WORLD.ports.catalogue
STUDIO = CATALOGUE.find("studio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What can be said in every dialect."""

    prompt: str
    seconds: int
    ratio: str
    resolution: str
    seed: int
    first_frame: str | None

    def in_loova(self) -> dict[str, Any]:
        frames = {"function_mode": "first_last_frames", "image_urls": [self.first_frame]}
        return {
            "model": "studio",
            "prompt": self.prompt,
            "duration": str(self.seconds),
            "ratio": self.ratio,
            "resolution": self.resolution,
            "seed": self.seed,
            **(frames if self.first_frame else {}),
        }

    def in_bytespike(self) -> dict[str, Any]:
        params = {
            "prompt": self.prompt,
            "duration_seconds": self.seconds,
            "aspect_ratio": self.ratio,
            "resolution": self.resolution,
            "seed": self.seed,
            "image_init": self.first_frame,
        }
        return {"model": "filmgate-studio", "params": params}

    def in_openai(self) -> dict[str, Any]:
        frame = {"type": "image_url", "frame_type": "first_frame", "image_url": {"url": self.first_frame}}
        return {
            "model": "Studio",
            "prompt": self.prompt,
            "duration": self.seconds,
            "aspect_ratio": self.ratio,
            "resolution": self.resolution,
            "seed": self.seed,
            "frame_images": [frame] if self.first_frame else [],
        }


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=50)
SAID = st.builds(
    Said,
    prompt=TEXT.filter(str.strip),
    seconds=st.integers(1, 20),
    ratio=st.sampled_from([ratio for ratio in STUDIO.ratios if ratio != "adaptive"]),
    resolution=st.sampled_from(STUDIO.resolutions),
    seed=st.integers(0, 2**32 - 1),
    first_frame=st.none() | st.just("https://pictures.example/a.png"),
)


def meant(order: Order) -> tuple[str, Generation]:
    return order.model.id, order.generation


@settings(max_examples=1_000)
@given(SAID)
def test_what_every_dialect_can_say_means_one_thing(said: Said) -> None:
    in_loova = meant(loova.DIALECT.read_order(said.in_loova(), CATALOGUE))
    in_bytespike = meant(bytespike.DIALECT.read_order(said.in_bytespike(), CATALOGUE))
    in_openai = meant(reading.read_order(said.in_openai(), CATALOGUE))

    assert in_loova == in_bytespike == in_openai
    assert len({fingerprint(*one) for one in (in_loova, in_bytespike, in_openai)}) == 1


GENERATIONS = st.builds(
    Generation,
    prompt=TEXT.filter(str.strip),
    duration_s=st.integers(1, 20),
    width=st.integers(32, 960).map(lambda half: 2 * half),
    height=st.integers(32, 540).map(lambda half: 2 * half),
    seed=st.integers(0, 2**32 - 1),
    audio=st.booleans(),
    watermark=st.booleans(),
)


@settings(max_examples=1_000)
@given(GENERATIONS)
def test_a_video_object_can_be_ordered_again(generation: Generation) -> None:
    view = View(links=Links(WEB, WORLD.ports.clock), catalogue=CATALOGUE)

    shown = json.loads(json.dumps(writing.write_task(a_task(generation=generation), view)))
    again = {name: shown[name] for name in ("model", "prompt", "seconds", "size")}
    chosen = shown["parameters"]
    again |= {"seed": chosen["seed"], "generate_audio": chosen["audio"], "watermark": chosen["watermark"]}

    assert meant(reading.read_order(again, CATALOGUE)) == ("studio", generation)


# --- whatever comes -----------------------------------------------------------------------------

NAMES = st.sampled_from(
    "model prompt params duration duration_seconds seconds size ratio aspect_ratio resolution seed n fps "
    "image_urls video_urls audio_urls function_mode functionMode out_task_id task_id callback_url metadata "
    "frame_images input_references input_reference reference_images source_video image_init watermark "
    "generate_audio return_last_frame request_id safety_identifier file_paths url type frame_type image_url "
    "mode stream negative_prompt".split()
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["studio", "sora-2", "https://x.example/a.png", "1280x720", "5", "16:9", "http://[", "//"]
    )
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=20,
)
SENSIBLE = st.fixed_dictionaries(
    {}, optional={"model": st.just("studio"), "prompt": st.just("a"), "params": st.just({"prompt": "a"})}
)
BODIES = st.tuples(SENSIBLE, st.dictionaries(NAMES, JSON, max_size=6)).map(lambda both: both[1] | both[0])

PATHS = [
    "/v1/videos",
    "/v1/tasks/submit",
    "/v1/tasks/query",
    "/v1/tasks/cancel",
    "/v1/videos/generations",
    "/api/v1/video/seedance-2",
    "/v1/img2vid",
]


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=150)
@given(body=BODIES)
async def test_no_json_is_our_fault(path: str, body: Mapping[str, Any]) -> None:
    (ada,) = clients(a_world(), "ada")

    reply = await ada.post(path, body)

    assert reply.status < 500, reply.body
    assert reply.json


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=100)
@given(body=st.binary(max_size=200), kind=st.sampled_from(["json", "x-www-form-urlencoded"]))
async def test_no_bytes_are_our_fault(path: str, body: bytes, kind: str) -> None:
    (ada,) = clients(WORLD, "ada")

    reply = await ada.ask("POST", path, [body], {"content-type": f"application/{kind}"})

    assert reply.status < 500, reply.body


PARTS = st.lists(
    st.tuples(
        st.builds("{}{}".format, NAMES, st.sampled_from(["", "[]", "[0]", "[url]", "[][a]"])),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
        | st.sampled_from(["studio", "5", "true"]),
    ),
    max_size=8,
)


@pytest.mark.parametrize("path", ["/v1/videos", "/api/v1/video/seedance-2", "/v1/img2vid"])
@settings(max_examples=200)
@given(parts=PARTS)
async def test_no_form_is_our_fault(path: str, parts: list[tuple[str, str]]) -> None:
    (ada,) = clients(a_world(), "ada")

    reply = await ada.post_form(path, [("model", "studio"), ("prompt", "a"), *parts])

    assert reply.status < 500, reply.body


@settings(max_examples=300)
@given(
    path=st.sampled_from(
        ["/v1/videos", "/v1/videos/", "/v1/tasks/query", "/v1/tasks", "/v1/models", "/files/"]
    ),
    rest=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=30),
    method=st.sampled_from(["GET", "HEAD", "DELETE", "OPTIONS"]),
)
async def test_no_address_is_our_fault(path: str, rest: str, method: str) -> None:
    (ada,) = clients(WORLD, "ada")

    for address in (path + rest, f"{path}?{rest}", f"{path}?task_id={rest}&limit={rest}"):
        reply = await ada.ask(method, address)
        assert reply.status < 500, reply.body


HEADERS = (
    "idempotency-key traceparent content-type content-encoding range accept content-length x-api-key".split()
)


@settings(max_examples=300)
@example(name="content-length", value="²")
@example(name="content-length", value="9" * 5_000)
@given(
    name=st.sampled_from(HEADERS),
    value=st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=60),
)
async def test_no_header_is_our_fault(name: str, value: str) -> None:
    (ada,) = clients(a_world(), "ada")

    reply = await ada.post("/v1/videos", {"model": "studio", "prompt": "a"}, {name: value})

    assert reply.status < 500, reply.body
