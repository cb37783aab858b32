"""Requests to addresses that strangers gave us: where they may go, how long and how much."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from filmgate import __version__
from filmgate.net.addresses import Fence, allowed_addresses
from filmgate.net.target import PORTS, NotAllowed, Target, Unreachable, read_address

USER_AGENT: Final = f"filmgate/{__version__}"
LOOKUPS: Final = 16  # at a time
LOOKUP_S: Final = 5.0
CONNECT_S: Final = 5.0
MOST_REDIRECTS: Final = 3
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
HEADER_LINE_BYTES: Final = 8_190
HEADERS: Final = 100
ANSWER_BYTES: Final = 16 * 1024
ANSWER_S: Final = 2.0  # for the body of an answer, which nobody needs
CHUNK_BYTES: Final = 64 * 1024

AddrInfo = tuple[Any, ...]  # as getaddrinfo returns it
LookUp = Callable[[str, int], Sequence[str]]
OpenSocket = Callable[[AddrInfo], socket.socket]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a file is taken, and how slowly it may come."""

    size_bytes: int
    total_s: float = 60.0
    patience_s: float = 10.0  # of silence; and for that long speed does not matter
    least_bytes_per_s: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer to a post: names of `headers` in any case, and the beginning of its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """No answer to a post; `reason` is safe to show to whoever gave the address."""

    reason: str


def look_up(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name, as this machine knows them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(sockaddr[0]) for *_, sockaddr in found]


def open_socket(info: AddrInfo) -> socket.socket:
    """Return a socket to dial with."""
    family, kind, protocol, _, _ = info
    return socket.socket(family, kind, protocol)


class SafeClient:
    """Asks only where `fence` permits it, and trusts no answer's word for its size.

    Each request has a connection of its own, to an address that was looked up for it and is checked
    again as it is dialled. No cookies, no proxies of the environment, nothing decompressed. How many
    requests run at a time, in all or to one host, is the caller's business.
    """

    def __init__(
        self, fence: Fence, *, look_up: LookUp = look_up, open_socket: OpenSocket = open_socket
    ) -> None:
        """Take the fence, and for tests another way to look up and to dial."""
        self._fence = fence
        self._look_up = look_up
        self._open_socket = open_socket
        self._lookups = asyncio.Semaphore(LOOKUPS)

    def check(self, url: str) -> None:
        """Raise Unreachable for what can be seen to be out of bounds. Nobody is asked."""
        self._fence.check(url)

    async def download(self, url: str, into: Path, limits: Limits) -> None:
        """Write what is at `url` to the new file `into`, or raise Unreachable and leave no file.

        Up to three redirects are followed, each judged as if it had been given at first.
        """
        try:
            async with asyncio.timeout(limits.total_s):
                await self._follow(url, into, limits)
        except TimeoutError:
            raise Unreachable(f"it did not arrive within {limits.total_s:g} seconds") from None

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, total_s: float = 15.0
    ) -> Answered | Unanswered:
        """Send `body` once, and return what came back; whatever the other side does, it is no exception.

        `total_s` is for all of it. No redirect is followed: its status is the answer. Of the answer's
        body at most 16 KiB are read.
        """
        try:
            async with asyncio.timeout(total_s):
                async with self._exchange("POST", self._fence.check(url), headers, body) as response:
                    return Answered(
                        status=response.status, headers=response.headers, body=await _beginning(response)
                    )
        except Unreachable as error:
            return Unanswered(reason=str(error))
        except TimeoutError:
            return Unanswered(reason=f"no answer within {total_s:g} seconds")

    async def _follow(self, url: str, into: Path, limits: Limits) -> None:
        for _ in range(MOST_REDIRECTS + 1):
            target = self._fence.check(url)
            async with self._exchange("GET", target, {}, None) as response:
                if response.status not in REDIRECTS:
                    await _save(response, into, limits)
                    return
                url = urljoin(url, response.headers.get("location", ""))
        raise Unreachable(f"it redirects more than {MOST_REDIRECTS} times")

    @asynccontextmanager
    async def _exchange(
        self, method: str, target: Target, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request, and drop the connection in the end; what goes wrong is Unreachable."""
        resolver = _Resolved(await self._addresses(target))

        def dial(info: AddrInfo) -> socket.socket:
            address = read_address(info[4][0])
            if address is None or info[4][1] != target.port or not self._fence.permits(target, address):
                raise PermissionError("address not allowed")
            return self._open_socket(info)

        connector = aiohttp.TCPConnector(
            resolver=resolver, socket_factory=dial, use_dns_cache=False, force_close=True
        )
        try:
            async with (
                aiohttp.ClientSession(
                    connector=connector,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    auto_decompress=False,
                    trust_env=False,
                    read_bufsize=CHUNK_BYTES,
                    max_line_size=HEADER_LINE_BYTES,
                    max_field_size=HEADER_LINE_BYTES,
                    max_headers=HEADERS,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
                ) as session,
                session.request(
                    method,
                    _url(target),
                    headers={"Accept-Encoding": "identity", "User-Agent": USER_AGENT, **headers},
                    data=body,
                    allow_redirects=False,
                ) as response,
            ):
                yield response
        except aiohttp.ClientError as error:
            raise Unreachable(_reason(error)) from error

    async def _addresses(self, target: Target) -> list[str]:
        if target.address is not None:
            return [str(target.address)]
        try:
            async with asyncio.timeout(LOOKUP_S):
                found = await self._found(target)
        except (TimeoutError, OSError, UnicodeError) as error:
            raise Unreachable("its host name cannot be found") from error
        if not found:
            raise Unreachable("its host name cannot be found")
        return allowed_addresses(self._fence, target, found)

    async def _found(self, target: Target) -> Sequence[str]:
        """Look the name up in a thread of its own: it may hang, and then must hold up nobody's exit."""
        await self._lookups.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()

        def tell(found: Sequence[str], error: Exception | None) -> None:
            self._lookups.release()
            if answer.done():  # nobody waits any more
                return
            if error is None:
                answer.set_result(found)
            else:
                answer.set_exception(error)

        def ask() -> None:
            found: Sequence[str] = ()
            failed: Exception | None = None
            try:
                found = self._look_up(target.host, target.port)
            except Exception as error:  # noqa: BLE001  (it belongs to whoever waits)
                failed = error
            with suppress(RuntimeError):  # the loop is closed: the service has gone
                loop.call_soon_threadsafe(tell, found, failed)

        threading.Thread(target=ask, name="look-up", daemon=True).start()
        return await answer


class _Resolved(AbstractResolver):
    """Tells aiohttp what was looked up and checked already."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self._addresses
        ]

    async def close(self) -> None:
        """Nothing was opened."""


def _url(target: Target) -> URL:
    """Return the URL as it was read, with every escape as the caller wrote it."""
    path, _, query = target.path.partition("?")
    return URL.build(
        scheme=target.scheme,
        host=f"[{target.host}]" if ":" in target.host else target.host,
        port=None if target.port == PORTS[target.scheme] else target.port,
        path=path,
        query_string=query,
        encoded=True,
    )


async def _save(response: aiohttp.ClientResponse, into: Path, limits: Limits) -> None:
    if response.status != 200:  # noqa: PLR2004  (nothing else is the whole file)
        raise Unreachable(f"the server answered {response.status}")
    if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise Unreachable("the server sent it compressed, though asked not to")
    if (response.content_length or 0) > limits.size_bytes:
        raise _too_large(limits)
    with _new_file(into) as file:
        async for chunk in _chunks(response, limits):
            await asyncio.to_thread(file.write, chunk)


async def _chunks(response: aiohttp.ClientResponse, limits: Limits) -> AsyncIterator[bytes]:
    """Yield the body as it comes, or raise Unreachable where it is too much or too slow."""
    began, read = time.monotonic(), 0
    while True:
        try:
            async with asyncio.timeout(limits.patience_s):
                chunk = await response.content.readany()
        except TimeoutError:
            raise _too_slow() from None
        if not chunk:
            return
        read += len(chunk)
        if read > limits.size_bytes:
            raise _too_large(limits)
        waited = time.monotonic() - began
        if waited > limits.patience_s and read < waited * limits.least_bytes_per_s:
            raise _too_slow()
        yield chunk


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file, and remove it again if it does not get whole."""
    with path.open("xb") as file:
        try:
            yield file
        except BaseException:
            path.unlink()
            raise


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Return the first bytes of an answer whose status says all that matters."""
    body = bytearray()
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(ANSWER_S):
            while len(body) < ANSWER_BYTES and (chunk := await response.content.readany()):
                body += chunk
    return bytes(body[:ANSWER_BYTES])


def _too_slow() -> Unreachable:
    return Unreachable("it comes too slowly")


def _too_large(limits: Limits) -> Unreachable:
    return Unreachable(f"it is larger than {limits.size_bytes} bytes")


def _reason(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError():
            return "its TLS certificate is not valid"
        case aiohttp.ClientConnectorError(os_error=PermissionError()):
            return str(NotAllowed())
        case aiohttp.ClientConnectorError() | aiohttp.ConnectionTimeoutError():
            return "no connection could be made"
        case _:
            return "the server's answer broke off or cannot be read"
