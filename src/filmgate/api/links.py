"""Signed links to finished files: good without a key until they expire."""

import re
from datetime import datetime
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl

from filmgate.api.web import Web
from filmgate.core import presign
from filmgate.core.errors import InputUnavailable
from filmgate.core.task import Output
from filmgate.ports.clock import Clock

# Links made within this time are equal, so that a client which polls sees one address, not many.
STEADY_S: Final = 300
FILE: Final = re.compile(r"/files/([0-9a-f]{64})\.[a-z0-9]{1,5}")

EXTENSIONS: Final = {
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/quicktime": "mov",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/wav": "wav",
}


class Links:
    """Makes links. Cheap: at most one HMAC, and no question to anyone."""

    def __init__(self, web: Web, clock: Clock) -> None:
        """Take the base address, the key and the usual lifetime."""
        self._base = web.public_url.rstrip("/")
        self._key = web.signing_key
        self._lifetime_s = web.link_lifetime_s
        self._clock = clock
        # Pollers ask for the same few links again and again.
        self._known = lru_cache(maxsize=4_096)(self._link)

    def era(self) -> int:
        """Return the Unix second until which links that are made now stay as they are."""
        now = int(self._clock.now().timestamp())
        return now - now % -STEADY_S

    def to(self, *outputs: Output, until: datetime | None = None) -> list[str]:
        """Return a link to each, that works for at least the usual lifetime, but not past `until`."""
        expires = self.era() + self._lifetime_s
        if until is not None:
            expires = min(expires, int(until.timestamp()))
        return [self._known(output.blob, output.mime, expires, "") for output in outputs]

    def for_seconds(self, output: Output, lifetime_s: int, *, filename: str = "") -> str:
        """Return a link that works for exactly `lifetime_s`; `filename` is what a browser saves it as."""
        now = int(self._clock.now().timestamp())
        return self._link(output.blob, output.mime, now + lifetime_s, filename)

    def blob_of(self, url: str) -> str | None:
        """Return the blob that a link of ours leads to, or None for an address that is none of ours.

        Raise InputUnavailable for one that was changed, or whose time is over.
        """
        if not url.startswith(f"{self._base}/files/"):
            return None
        path, _, query = url.removeprefix(self._base).partition("?")
        said = parse_qsl(query, keep_blank_values=True, max_num_fields=10)
        values = dict(said)
        link = presign.Link(
            path=path,
            expires=values.get("exp", ""),
            kid=values.get("kid", ""),
            signature=values.get("sig", ""),
            filename=values.get("name", ""),
        )
        file = FILE.fullmatch(path)
        if file is None or not presign.is_good(link, key=self._key, now=self._clock.now()):
            raise InputUnavailable("this link to a file is not valid, or its time is over")
        return file[1]

    def _link(self, blob: str, mime: str, expires: int, filename: str) -> str:
        path = f"/files/{blob}.{extension_of(mime)}"
        return f"{self._base}{path}?" + presign.query(path, expires=expires, filename=filename, key=self._key)


def extension_of(mime: str) -> str:
    """Return the usual ending of a file of this type."""
    return EXTENSIONS.get(mime, "bin")
