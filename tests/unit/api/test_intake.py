"""Inputs that come with a submission: files, data URIs, links of ours, and addresses to be fetched later."""

import base64
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from filmgate.api.links import Links
from filmgate.core.generation import Media, OutputKind
from filmgate.core.task import Output, Status
from tests.calls import BOUNDARY, WEB, Client, Reply, clients, multipart
from tests.fakes import World, a_task, a_world

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(8) + (300).to_bytes(4, "big") + (400).to_bytes(4, "big")
FILM = b"\0\0\0\x10ftypisom"
TEXT = [("model", "sandbox"), ("prompt", "a fox")]


@pytest.fixture(name="world")
def _world() -> World:
    return a_world(ada=100)


@pytest.fixture(name="ada")
def _ada(world: World, tmp_path: Path) -> Client:
    (ada,) = clients(world, "ada", web=replace(WEB, spool=tmp_path))
    return ada


def form(files: Iterable[tuple[str, bytes]]) -> list[bytes]:
    """Return a multipart body of the usual texts and these files."""
    body = multipart(TEXT).removesuffix(f"--{BOUNDARY}--\r\n".encode())
    for name, content in files:
        head = f'content-disposition: form-data; name="{name}"; filename="a.png"\r\ncontent-type: image/png'
        body += f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"
    return [body, f"--{BOUNDARY}--\r\n".encode()]


async def upload(ada: Client, *files: tuple[str, bytes]) -> Reply:
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    return await ada.ask("POST", "/v1/videos", form(files), headers)


async def send(ada: Client, url: str, kind: str = "image_url") -> Reply:
    reference = {"type": kind, "url": url}
    return await ada.post(
        "/v1/videos", {"model": "sandbox", "prompt": "a fox", "input_references": [reference]}
    )


def data_uri(content: bytes, mime: str = "image/png") -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def left_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def stored(world: World) -> tuple[Media, ...]:
    """Return the inputs of the one task there is."""
    (task,) = (row.task for row in world.store.rows.values() if not row.task.ended)
    return task.generation.media


# --- files --------------------------------------------------------------------------------------


async def test_a_file_of_a_form_is_stored_and_known(world: World, ada: Client, tmp_path: Path) -> None:
    reply = await upload(ada, ("input_reference", PICTURE))

    assert reply.status == 200, reply.json
    (media,) = stored(world)
    assert world.blobs.contents == {media.blob: PICTURE}
    assert (media.url, media.mime, media.width, media.height) == (None, "image/png", 300, 400)
    assert not left_in(tmp_path), "nothing of the upload is left"


async def test_the_same_file_again_is_the_same_submission(world: World, ada: Client) -> None:
    headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", "idempotency-key": "k"}
    first = await ada.ask("POST", "/v1/videos", form([("input_reference", PICTURE)]), headers)
    again = await ada.ask("POST", "/v1/videos", form([("input_reference", PICTURE)]), headers)
    other = await ada.ask("POST", "/v1/videos", form([("input_reference", PICTURE + b"x")]), headers)

    assert first.json["id"] == again.json["id"]
    assert again.headers["idempotent-replayed"] == "true"
    assert other.status == 422


async def test_one_bad_file_is_named_and_nothing_is_stored(world: World, ada: Client, tmp_path: Path) -> None:
    reply = await upload(ada, ("input_reference", PICTURE), ("source_video", b"bad"))

    assert reply.status == 400
    assert reply.json["error"]["message"] == "source_video: the file is damaged"
    assert reply.json["error"]["param"] == "source_video"
    assert not world.store.rows
    assert not world.blobs.contents
    assert not left_in(tmp_path)


async def test_a_file_is_what_it_is_and_not_what_it_is_called(world: World, ada: Client) -> None:
    reply = await upload(ada, ("input_reference", FILM))

    assert reply.status == 400
    assert "input_reference: this is a video (video/mp4), not an image" in reply.json["error"]["message"]


async def test_a_client_that_goes_away_leaves_nothing(ada: Client, tmp_path: Path) -> None:
    body, _ = form([("input_reference", PICTURE * 100)])
    pieces = [body[:200], body[200:]]
    seen: list[int] = []
    gone = False

    async def receive() -> dict[str, object]:
        nonlocal gone
        seen.append(len(left_in(tmp_path)))
        if pieces:
            return {"type": "http.request", "body": pieces.pop(0), "more_body": True}
        gone = True
        return {"type": "http.disconnect"}

    async def send_(message: object) -> None:
        raise AssertionError("there is nobody to answer")

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/videos",
        "raw_path": b"/v1/videos",
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"authorization", f"Bearer {ada.key}".encode()),
            (b"content-type", f"multipart/form-data; boundary={BOUNDARY}".encode()),
        ],
    }
    await ada.app(scope, receive, send_)

    assert gone
    assert max(seen) == 1, "it was on the disk meanwhile"
    assert not left_in(tmp_path)


async def test_a_body_past_the_limit_is_refused_as_it_comes_and_leaves_nothing(
    world: World, tmp_path: Path
) -> None:
    (ada,) = clients(world, "ada", web=replace(WEB, spool=tmp_path, upload_bytes=10_000))

    reply = await ada.ask(
        "POST",
        "/v1/videos",
        [*form([("input_reference", PICTURE)])[:1], *[bytes(5_000)] * 1_000],
        {"content-type": f"multipart/form-data; boundary={BOUNDARY}"},
    )

    assert reply.status == 413
    assert not left_in(tmp_path)


async def test_a_file_that_only_json_speaks_of_is_not_there(world: World, ada: Client) -> None:
    for n in ("0", "x", "", "²", "9" * 5_000):
        reply = await send(ada, f"upload:{n}/image/png")

        assert reply.status == 400
        assert reply.json["error"]["message"] == "input_references: names a file that the form does not have"
    assert not world.store.rows


# --- data URIs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mime", ["image/png", "IMAGE/PNG;charset=x", "", "text/html", "video/mp4"])
async def test_a_data_uri_is_stored_whatever_it_says_it_is(world: World, ada: Client, mime: str) -> None:
    reply = await send(ada, data_uri(PICTURE, mime))

    assert reply.status == 200, reply.json
    (media,) = stored(world)
    assert world.blobs.contents == {media.blob: PICTURE}
    assert (media.url, media.mime) == (None, "image/png")


async def test_a_long_data_uri_is_decoded_whole(world: World, ada: Client) -> None:
    content = bytes(range(256)) * 13_000 + b"."

    reply = await send(ada, data_uri(content))

    assert reply.status == 200, reply.json
    assert list(world.blobs.contents.values()) == [content]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("data:image/png,%89PNG", "a data URI must be base64"),
        ("data:image/png;base64", "must be base64"),
        ("data:,", "a data URI must be base64"),
        ("data:image/png;base64,", "the file is damaged"),
        ("data:image/png;base64,!!!!", "base64 is broken"),
        ("data:image/png;base64,iVBORw0KGgo", "base64 is broken"),
        ("data:image/png;base64,iVBO Rw0K", "base64 is broken"),
        ("data:image/png;base64,iVBORw==iVBO", "base64 is broken"),
        ("data:image/png;base64,iVBORw0%3D", "base64 is broken"),
        ("data:image/png;base64," + "A" * 2**20 + "AA==AAAA", "base64 is broken"),
        ("data:image/png;base64," + "AAA=" + "A" * 2**21, "base64 is broken"),
        ("data:image/svg+xml;base64,PHN2Zy8+", "the file is damaged"),
    ],
)
async def test_a_data_uri_that_is_none_is_refused(world: World, ada: Client, url: str, problem: str) -> None:
    reply = await send(ada, url)

    assert reply.status == 400
    assert problem in reply.json["error"]["message"]
    assert reply.json["error"]["message"].startswith("input_references")
    assert not world.store.rows
    assert not world.blobs.contents


# --- links and addresses ------------------------------------------------------------------------


def a_link(world: World, *, mime: str = "image/png") -> tuple[str, Output]:
    """Return a link to a file of ours, and what is known of it."""
    blob = world.blobs.put(PICTURE)
    output = Output(
        kind=OutputKind.IMAGE, blob=blob.id, mime=mime, size_bytes=blob.size_bytes, width=30, height=40
    )
    world.put(a_task(Status.SUCCEEDED, outputs=(output,)))
    return Links(WEB, world.clock).to(output)[0], output


async def test_a_link_of_ours_becomes_its_file(world: World, ada: Client) -> None:
    link, output = a_link(world)

    reply = await send(ada, link)

    assert reply.status == 200, reply.json
    (media,) = stored(world)
    assert (media.url, media.blob, media.width, media.height) == (None, output.blob, 30, 40)


async def test_a_link_of_ours_that_is_not_good_any_more_is_refused(world: World, ada: Client) -> None:
    link, _ = a_link(world)
    path, _, query = link.partition("?")

    replies = [
        await send(ada, changed)
        for changed in (
            link[:-1],
            path,
            f"{path}?{query}".replace("exp=", "exp=9"),
            link.replace(".png", ".mp4"),
        )
    ]
    world.blobs.contents.clear()
    replies.append(await send(ada, link))
    world.clock.advance(10 * 86_400)
    replies.append(await send(ada, link))

    assert {reply.status for reply in replies} == {400}
    assert len(world.store.rows) == 1, "the one that made the file"


async def test_a_link_of_ours_is_of_the_kind_that_it_is(world: World, ada: Client) -> None:
    link, _ = a_link(world, mime="video/mp4")

    reply = await send(ada, link)

    assert reply.status == 400
    assert "this is a video" in reply.json["error"]["message"]


async def test_another_address_is_kept_for_later_and_nobody_is_asked(world: World, ada: Client) -> None:
    reply = await send(ada, "https://pictures.example/a.png?sig=%2F")

    assert reply.status == 200, reply.json
    (media,) = stored(world)
    assert (media.url, media.blob) == ("https://pictures.example/a.png?sig=%2F", None)
    assert not world.intake.fetched


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/a.png", "http://169.254.169.254/", "http://localhost:8080/"]
)
async def test_an_address_out_of_bounds_is_refused_at_once(world: World, ada: Client, url: str) -> None:
    media = await send(ada, url)
    callback = await ada.post("/v1/videos", {"model": "sandbox", "prompt": "a fox", "callback_url": url})

    assert media.status == callback.status == 400
    assert media.json["error"]["message"] == "input_references: address not allowed"
    assert callback.json["error"]["message"] == "callback_url: address not allowed"
    assert not world.store.rows


async def test_a_callback_is_an_address_and_nothing_else(world: World, ada: Client) -> None:
    for url in (data_uri(PICTURE), "upload:0/image/png", "ftp://a.example/"):
        reply = await ada.post("/v1/videos", {"model": "sandbox", "prompt": "a fox", "callback_url": url})

        assert reply.status == 400
        assert reply.json["error"]["message"].startswith("callback_url: must be an http(s) URL")
