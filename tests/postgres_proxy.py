"""A way to PostgreSQL that can be cut in the middle of a statement, at any byte of it or of its answer."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

PIECE: Final = 65_536  # bytes read at a time


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a way is cut: after so many bytes to the server, or after so many of its answer."""

    asked: int | None = None
    answered: int | None = None


class Proxy:
    """Passes bytes on between clients and a server, and counts them; it lives in the loop that made it."""

    def __init__(self, url: str) -> None:
        """Stand before the database at `url`; nothing listens yet."""
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        self._host = query.get("host", [parts.hostname or "127.0.0.1"])[0]
        self._port = int(query.get("port", [str(parts.port or 5432)])[0])
        self._login = parts.netloc.rpartition("@")[0]
        self._path = parts.path
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._cut: Cut | None = None
        self.asked = 0
        self.answered = 0
        self.cuts = 0
        self.open = asyncio.Event()  # while it is not set, connections are taken, and nothing is passed on
        self.open.set()

    @property
    def url(self) -> str:
        """Where the database is found by this way."""
        assert self._server is not None, "it listens"
        port = self._server.sockets[0].getsockname()[1]
        return f"postgresql://{self._login}@127.0.0.1:{port}{self._path}?sslmode=disable"

    async def listen(self) -> None:
        """Take connections, on a free port."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)

    async def close(self) -> None:
        """Break every connection, and take none any more."""
        assert self._server is not None, "it listens"
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)
        await self._server.wait_closed()

    def arm(self, cut: Cut | None) -> None:
        """Count from here, and break the connection that comes to the cut: this once."""
        self.asked = self.answered = 0
        self._cut = cut

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.create_task(self._link(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            await self.open.wait()
            its_reader, its_writer = await self._connect()
            writers.append(its_writer)
            pumps = [
                asyncio.create_task(self._pump(reader, its_writer, ours=True)),
                asyncio.create_task(self._pump(its_reader, writer, ours=False)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            pass  # there is no server: the client is told by the end of its connection
        finally:
            for one in writers:
                one.close()  # once what was passed on has gone out

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._host.startswith("/"):
            return await asyncio.open_unix_connection(f"{self._host}/.s.PGSQL.{self._port}")
        return await asyncio.open_connection(self._host, self._port)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, ours: bool) -> None:
        """Pass on what comes, until it ends or the way is cut."""
        with suppress(OSError):
            while piece := await reader.read(PIECE):
                await self.open.wait()
                left = self._left(ours=ours)
                passed = piece if left is None else piece[:left]
                writer.write(passed)
                await writer.drain()
                if ours:
                    self.asked += len(passed)
                else:
                    self.answered += len(passed)
                if left is not None and len(piece) >= left:
                    self._cut = None
                    self.cuts += 1
                    return

    def _left(self, *, ours: bool) -> int | None:
        """Return how many bytes it is to the cut, in this direction; None if there is none."""
        if self._cut is None:
            return None
        at, so_far = (self._cut.asked, self.asked) if ours else (self._cut.answered, self.answered)
        return None if at is None else max(at - so_far, 0)
