"""Bad inputs against a whole service: as addresses, as uploads and as data URIs."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio

from filmgate.core.generation import MediaKind
from tests.corpus import Bad, corpus, film, picture
from tests.e2e.service import Service
from tests.hostile import Hostile, hostile, page

ENDED: Final = {"completed", "failed"}
PATIENCE_S: Final = 30
FETCH_S: Final = 2
MOST_GROWTH_BYTES: Final = 20 * 2**20

# How the OpenAI dialect is told an input of this kind by its address, and by its bytes.
BY_ADDRESS: Final = {MediaKind.IMAGE: "image_url", MediaKind.VIDEO: "video_url", MediaKind.AUDIO: "audio_url"}

TRAPS: Final = {
    "/never-ending": "larger than 31457280 bytes",
    "/ten-gigabytes": "larger than 31457280 bytes",
    "/slow": "did not arrive within 2 seconds",
    "/silent": "did not arrive within 2 seconds",
    "/big-headers": "broke off",
    "/many-headers": "broke off",
    "/gzip": "compressed",
    "/loop": "redirects more than 3 times",
    "/metadata": "address not allowed",
    "/localhost": "address not allowed",
    "/file": "only http and https",
    "/cut": "broke off",
    "/garbage": "broke off",
    "/missing": "answered 404",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """A service that may fetch from `web`, and ada, who is its client."""

    service: Service
    web: Hostile
    ada: httpx2.AsyncClient
    outcomes: list[str] = field(default_factory=list)

    async def submit(self, reference: object) -> httpx2.Response:
        return await self.ada.post(
            "/v1/videos", json={"model": "sandbox", "prompt": "a fox", "input_references": [reference]}
        )

    async def ended(self, task_id: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                video: dict[str, Any] = (await self.ada.get(f"/v1/videos/{task_id}")).json()
                if video["status"] in ENDED:
                    return video
                await asyncio.sleep(0.02)  # as a client that polls

    def files(self) -> set[str]:
        """Return what lies about: blobs, and what was never looked into."""
        folders = (self.service.data / "blobs", self.service.data / "spool")
        return {path.name for folder in folders for path in folder.rglob("*") if path.is_file()}

    def memory(self) -> int:
        """Return the bytes that the server itself holds, its children apart."""
        status = Path(f"/proc/{self.service.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(name="stand", scope="module", loop_scope="module")
async def _stand(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    async with hostile() as web:
        service = Service(
            tmp_path_factory.mktemp("media-in") / "data",
            fetch_allow=web.place,
            fetch_timeout_s=FETCH_S,
            account_concurrency=100,
        )
        async with _served(service), _client(service) as ada:
            yield Stand(service=service, web=web, ada=ada)


@asynccontextmanager
async def _served(service: Service) -> AsyncIterator[None]:
    await asyncio.to_thread(service.start)
    try:
        yield
    finally:
        assert await asyncio.to_thread(service.stop) == 0


@asynccontextmanager
async def _client(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    key = await asyncio.to_thread(service.new_key, credits_=10_000)
    async with httpx2.AsyncClient(base_url=service.url, headers={"x-api-key": key}, timeout=60) as client:
        yield client


def reference(kind: MediaKind, address: str) -> dict[str, str]:
    return {"type": BY_ADDRESS[kind], "url": address}


def data_uri(content: bytes, mime: str = "image/png") -> str:
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


async def refused_as_address(stand: Stand, path: str, kind: MediaKind) -> str:
    """Return why the task of this input failed."""
    reply = await stand.submit(reference(kind, stand.web.url + path))
    assert reply.status_code == 200, reply.text
    video = await stand.ended(reply.json()["id"])
    assert video["status"] == "failed"
    assert video["error"]["code"] in {"input_invalid", "input_unavailable"}
    message: str = video["error"]["message"]
    return message


async def refused_as_data_uri(stand: Stand, bad: Bad) -> str:
    reply = await stand.submit(reference(bad.kind, data_uri(bad.content)))
    assert reply.status_code == 400, reply.text
    message: str = reply.json()["error"]["message"]
    return message


async def refused_as_upload(stand: Stand, bad: Bad) -> str:
    name = "input_references[]" if bad.kind is MediaKind.IMAGE else "source_video"
    if bad.kind is MediaKind.AUDIO:
        return await refused_as_data_uri(stand, bad)  # no field of a form takes sound
    reply = await stand.ada.post(
        "/v1/videos",
        data={"model": "sandbox", "prompt": "a fox"},
        files={name: ("innocent.png", bad.content, "image/png")},
    )
    assert reply.status_code == 400, reply.text
    message: str = reply.json()["error"]["message"]
    return message


async def test_good_inputs_are_taken_in_every_way(stand: Stand) -> None:
    stand.web.pages |= {"/a.png": page(picture()), "/a.mp4": page(film())}

    by_address = await stand.submit(reference(MediaKind.VIDEO, f"{stand.web.url}/a.mp4"))
    by_data = await stand.submit(reference(MediaKind.IMAGE, data_uri(picture(), "text/plain")))
    by_upload = await stand.ada.post(
        "/v1/videos",
        data={"model": "sandbox", "prompt": "a fox"},
        files={"input_reference": ("a.png", picture(), "image/png")},
    )

    for reply in (by_address, by_data, by_upload):
        assert reply.status_code == 200, reply.text
        assert (await stand.ended(reply.json()["id"]))["status"] == "completed"


async def test_our_own_link_is_known_and_never_dialled(stand: Stand) -> None:
    first = await stand.ada.post("/v1/videos", json={"model": "sandbox", "prompt": "a fox"})
    film_ = await stand.ended(first.json()["id"])

    again = await stand.submit(reference(MediaKind.VIDEO, film_["url"]))
    forged = await stand.submit(reference(MediaKind.VIDEO, film_["url"][:-1] + "?"))
    mistaken = await stand.submit(reference(MediaKind.IMAGE, film_["url"]))

    assert (await stand.ended(again.json()["id"]))["status"] == "completed"
    assert forged.status_code == mistaken.status_code == 400
    assert "this link to a file is not valid" in forged.json()["error"]["message"]
    assert "this is a video" in mistaken.json()["error"]["message"]


async def test_no_bad_input_gets_in_and_memory_stays_flat(
    stand: Stand, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, table = stand.files(), list[tuple[str, str, str]]()
    await asyncio.gather(*(refused_as_upload(stand, bad) for bad in corpus()[:4]))  # warm
    before = stand.memory()
    peak = before

    for bad in corpus():
        stand.web.pages["/bad"] = page(bad.content)
        for way, said in (
            ("address", await refused_as_address(stand, "/bad", bad.kind)),
            ("data URI", await refused_as_data_uri(stand, bad)),
            ("upload", await refused_as_upload(stand, bad)),
        ):
            table.append((bad.name, way, said))
        peak = max(peak, stand.memory())
    asked = TRAPS.items()
    for path, said in zip(
        TRAPS,
        await asyncio.gather(*(refused_as_address(stand, path, MediaKind.IMAGE) for path, _ in asked)),
        strict=True,
    ):
        table.append((path, "address", said))
        peak = max(peak, stand.memory())

    with capsys.disabled():
        print(
            f"\n{len(table)} bad inputs; "
            f"the server's {before / 2**20:.0f} MiB grew by {(peak - before) / 2**20:.1f}"
        )
        print("\n".join(f"  {name:45} {way:9} {said[:110]}" for name, way, said in table))
    assert stand.files() == kept, "nothing of them is stored, nothing lies about"
    assert peak - before < MOST_GROWTH_BYTES


# --- bodies -------------------------------------------------------------------------------------

MIB: Final = 2**20
FORM: Final = (
    b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nsandbox\r\n'
    b'--x\r\ncontent-disposition: form-data; name="prompt"\r\n\r\na fox\r\n'
    b'--x\r\ncontent-disposition: form-data; name="source_video"; filename="a.mp4"\r\n\r\n'
)


async def post_raw(stand: Stand, size: str, body: Iterable[bytes]) -> bytes:
    """Send a form whose header says `size`, for as long as the service takes it, and return the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.service.port)
    key = stand.ada.headers["x-api-key"]
    head = f"POST /v1/videos HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\n{size}\r\n"
    writer.write(f"{head}content-type: multipart/form-data; boundary=x\r\n\r\n".encode())
    answer = asyncio.ensure_future(reader.read(10_000))
    with suppress(ConnectionError):
        for piece in body:
            if answer.done():
                break
            writer.write(piece)
            await writer.drain()
    try:
        return await answer
    except ConnectionError:
        return b""
    finally:
        writer.close()


def endless() -> Iterator[bytes]:
    yield b"%x\r\n%b\r\n" % (len(FORM), FORM)
    while True:
        yield b"10000\r\n" + bytes(2**16) + b"\r\n"


async def test_a_body_of_ten_gigabytes_is_refused_by_its_header(stand: Stand) -> None:
    answer = await post_raw(stand, "content-length: 10000000000", [FORM])

    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_body_without_end_ends_at_the_limit_and_leaves_nothing(stand: Stand) -> None:
    kept, before = stand.files(), stand.memory()

    answer = await post_raw(stand, "transfer-encoding: chunked", endless())

    assert answer[:13] in {b"HTTP/1.1 413 ", b""}, "it may be lost in the flood"
    assert stand.files() == kept, "what was spooled is removed before the answer"
    assert stand.memory() - before < MOST_GROWTH_BYTES


async def test_large_uploads_go_to_the_disk_and_not_to_the_memory(stand: Stand) -> None:
    content = film()
    padding = [struct.pack(">I", 100 * MIB + 8) + b"free", *[bytes(MIB)] * 100]
    end = b"\r\n--x--\r\n"
    size = len(FORM) + len(content) + 8 + 100 * MIB + len(end)
    before = stand.memory()

    answers = await asyncio.gather(
        *(post_raw(stand, f"content-length: {size}", [FORM, content, *padding, end]) for _ in range(3))
    )

    assert [answer[:13] for answer in answers] == [b"HTTP/1.1 200 "] * 3
    assert stand.memory() - before < MOST_GROWTH_BYTES
