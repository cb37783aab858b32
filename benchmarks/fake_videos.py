"""An upstream that speaks OpenAI's videos and does nothing: what the peers pass requests on to."""

import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec
import uvicorn

PIECE: Final = 1 << 20

Message = MutableMapping[str, Any]


class FakeVideos:
    """Every video is done as soon as it is asked about, and is always the same film."""

    def __init__(self, film: Path) -> None:
        """Hand out `film`."""
        self._film = film
        self._numbers = count(1)

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        while (await receive()).get("more_body"):
            pass
        path: str = scope["path"]
        if path.endswith("/content"):
            await self._send_film(send)
        elif scope["method"] == "POST":
            await _answer(send, _video(f"video_{next(self._numbers)}", "queued", 0))
        else:
            await _answer(send, _video(path.rpartition("/")[2], "completed", 100))

    async def _send_film(self, send: Callable[[Message], Awaitable[None]]) -> None:
        size = self._film.stat().st_size
        headers = [(b"content-type", b"video/mp4"), (b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        with self._film.open("rb") as file:
            while piece := file.read(PIECE):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _video(video_id: str, status: str, progress: int) -> dict[str, object]:
    return {
        "id": video_id,
        "object": "video",
        "model": "sora-2",
        "status": status,
        "progress": progress,
        "created_at": 1_760_000_000,
        "seconds": "4",
        "size": "720x1280",
    }


async def _answer(send: Callable[[Message], Awaitable[None]], document: object) -> None:
    body = msgspec.json.encode(document)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve at the port that the command line names, with the film that it names."""
    film, port = sys.argv[1:]
    uvicorn.run(
        FakeVideos(Path(film)),
        port=int(port),
        http="httptools",
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
