"""A web server that means harm: it answers whatever it was told, byte for byte."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]

PIECE: Final = bytes(64 * 1024)
GZIP_HEADER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


class Hostile:
    """`pages` says what each path answers; `asked` notes each request's line and headers."""

    def __init__(self) -> None:
        """Begin with nothing but the traps that need no file."""
        self.port = 0
        self.asked: list[str] = []
        self.pages: dict[str, Answer] = {
            "/never-ending": endless,
            "/ten-gigabytes": promised(10_000_000_000),
            "/slow": drip,
            "/silent": silence,
            "/big-headers": big_headers,
            "/many-headers": many_headers,
            "/gzip": gzip_bomb,
            "/loop": redirect("/loop"),
            "/metadata": redirect("http://169.254.169.254/latest/meta-data/"),
            "/file": redirect("file:///etc/passwd"),
            "/localhost": redirect("http://localhost/"),
            "/nowhere": redirect(None),
            "/cut": cut,
            "/garbage": garbage,
            "/teapot": page(b"", status=418),
        }

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def place(self) -> str:
        """Where it is, as an operator lets it through."""
        return f"127.0.0.1:{self.port}"

    def lines(self) -> list[str]:
        """Return the first line of every request."""
        return [text.partition("\r\n")[0] for text in self.asked]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request, then close."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            text = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(text)
            path = text.split(" ")[1]
            await self.pages.get(path, page(b"", status=404))(writer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def hostile() -> AsyncIterator[Hostile]:
    """Serve until the end."""
    traps = Hostile()
    busy: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        busy.add(task)
        try:
            await traps.answer(reader, writer)
        except asyncio.CancelledError:
            writer.close()
        finally:
            busy.discard(task)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    traps.port = server.sockets[0].getsockname()[1]
    try:
        yield traps
    finally:
        server.close()
        for task in tuple(busy):
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)


def page(body: bytes, *, status: int = 200, headers: str = "") -> Answer:
    """Answer properly."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} X\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    return answer


def redirect(to: str | None) -> Answer:
    """Send the client elsewhere."""
    return page(b"", status=302, headers="" if to is None else f"location: {to}\r\n")


def promised(size: int) -> Answer:
    """Say that so many bytes will follow, and send what fits."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {size}\r\n\r\n".encode())
        await _without_end(writer)

    return answer


async def endless(writer: asyncio.StreamWriter) -> None:
    """Send a body of unknown length for as long as anybody reads."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    await _without_end(writer)


async def drip(writer: asyncio.StreamWriter) -> None:
    """Send a byte now and then."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def silence(writer: asyncio.StreamWriter) -> None:
    """Say nothing at all."""
    await asyncio.sleep(3_600)


async def big_headers(writer: asyncio.StreamWriter) -> None:
    """Send one header of ten megabytes."""
    writer.write(b"HTTP/1.1 200 OK\r\nx: ")
    for _ in range(160):
        writer.write(b"x" * 65_536)
        await writer.drain()
    writer.write(b"\r\ncontent-length: 0\r\n\r\n")


async def many_headers(writer: asyncio.StreamWriter) -> None:
    """Send ten megabytes of small headers."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for _ in range(160):
        writer.write(b"x: 123\r\n" * 8_192)
        await writer.drain()
    writer.write(b"content-length: 0\r\n\r\n")


async def gzip_bomb(writer: asyncio.StreamWriter) -> None:
    """Send a compressed body."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n" + GZIP_HEADER)
    await _without_end(writer)


async def cut(writer: asyncio.StreamWriter) -> None:
    """Break off in the middle of what was promised."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf")
    await writer.drain()


async def garbage(writer: asyncio.StreamWriter) -> None:
    """Answer with something that is not HTTP."""
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    await writer.drain()


async def _without_end(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(PIECE)
        await writer.drain()
