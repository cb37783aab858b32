"""Who asks: the key in a request's headers."""

import time
from collections.abc import Callable, Iterable

from filmgate.core.errors import Unauthenticated
from filmgate.core.keys import Key
from filmgate.ports import Ports
from filmgate.service.manage_keys import check_key


class Keys:
    """Checks keys, and remembers good ones for `keep_s`: a poll then neither hashes nor reads.

    Only good answers are kept, and at most `most` of them, so strangers cannot fill it.
    """

    def __init__(
        self,
        ports: Ports,
        *,
        keep_s: float,
        most: int = 10_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start with nothing remembered."""
        self._ports = ports
        self._keep_s = keep_s
        self._most = most
        self._monotonic = monotonic
        self._known: dict[bytes, tuple[Key, float]] = {}
        self.era = 0  # grows whenever some key was changed

    async def of(self, headers: Iterable[tuple[bytes, bytes]]) -> Key:
        """Return whose key is in `x-api-key`, or else in `Authorization`, or raise Unauthenticated."""
        presented = bearer = b""
        for name, value in headers:
            if name == b"x-api-key":
                presented = presented or value
            elif name == b"authorization":
                bearer = bearer or value
        presented = presented or _token(bearer)
        if not presented:
            raise Unauthenticated("an API key is needed: Authorization: Bearer <key>, or x-api-key: <key>")
        known = self._known.get(presented)
        if known is not None and known[1] > self._monotonic():
            return known[0]
        return await self._check(presented)

    def forget(self) -> None:
        """Drop everything: some key was changed."""
        self._known.clear()
        self.era += 1

    async def _check(self, presented: bytes) -> Key:
        era = self.era
        until = self._monotonic() + self._keep_s
        key = await check_key(self._ports, presented.decode("latin-1"))
        # A check that a change overtook may have read what is no longer true.
        if era == self.era:
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[presented] = (key, until)
        return key


def _token(authorization: bytes) -> bytes:
    scheme, _, token = authorization.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""
