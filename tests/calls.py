"""HTTP without a network: one request straight into the application."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Final
from urllib.parse import unquote

from filmgate.api.app import App, create_app
from filmgate.api.web import Web
from tests.fakes import World

WEB: Final = Web(public_url="https://films.example", signing_key=b"signing-key" * 3, spool=Path(gettempdir()))
BOUNDARY: Final = "a-boundary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer. `pieces` is its body as it was sent."""

    status: int
    headers: dict[str, str]
    pieces: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def json(self) -> Any:  # noqa: ANN401  (whatever was said)
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Client:
    """Asks `app` as the owner of `key`."""

    app: App
    key: str | None = None

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> Reply:
        return await self.ask("GET", path, headers=headers)

    async def post(self, path: str, content: object, headers: Mapping[str, str] | None = None) -> Reply:
        """Send JSON."""
        body = json.dumps(content).encode()
        return await self.ask("POST", path, [body], {"content-type": "application/json", **(headers or {})})

    async def post_form(self, path: str, parts: Iterable[tuple[str, str]]) -> Reply:
        """Send a multipart form; `name@` is a picture's file, `name@video/mp4` one of that type."""
        headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        return await self.ask("POST", path, [multipart(parts)], headers)

    async def ask(
        self,
        method: str,
        path: str,
        pieces: Iterable[bytes] = (b"",),
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request whose body comes in `pieces`, and return the whole answer."""
        raw_path, _, query = path.partition("?")
        sent = {"authorization": f"Bearer {self.key}"} if self.key else {}
        sent |= headers or {}
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(raw_path),
            "raw_path": raw_path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
        }
        body = list(pieces)
        messages: list[Any] = []
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if not body:
                await gone.wait()
                return {"type": "http.disconnect"}
            piece = body.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(body)}

        async def send(message: Any) -> None:  # noqa: ANN401
            messages.append(message)

        await self.app(scope, receive, send)
        start, *rest = messages
        return Reply(
            status=start["status"],
            headers={name.decode(): value.decode("latin-1") for name, value in start["headers"]},
            pieces=tuple(message["body"] for message in rest),
        )


def clients(world: World, *names: str, web: Web = WEB) -> tuple[Client, ...]:
    """Return a client for each of these people, all of one service."""
    app = create_app(world.ports, web)
    return tuple(Client(app, world.keys[name]) for name in names)


def multipart(parts: Iterable[tuple[str, str]]) -> bytes:
    """Return a multipart body."""
    text = ""
    for name, value in parts:
        name, at, mime = name.partition("@")  # noqa: PLW2901
        file = f'; filename="a.bin"\r\ncontent-type: {mime or "image/png"}' if at else ""
        head = f'content-disposition: form-data; name="{name}"{file}'
        text += f"--{BOUNDARY}\r\n{head}\r\n\r\n{value}\r\n"
    return (text + f"--{BOUNDARY}--\r\n").encode()
