"""Links to files that work without a key until they expire: signed, never guessed."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_EXPIRES: Final = re.compile(r"[0-9]{1,11}")
KEY_ID: Final = "1"  # names the signing key within the link, so that keys can be changed


def sign(path: str, *, expires: int, filename: str, key: bytes) -> str:
    """Return the signature of a link to `path`, good until the Unix second `expires`."""
    text = f"v1\nGET\n{path}\n{expires}\n{filename}"
    return hmac.digest(key, text.encode(), hashlib.sha256).hex()[:43]


def query(path: str, *, expires: int, filename: str, key: bytes) -> str:
    """Return the query string that makes `path` a signed link."""
    name = f"&name={filename}" if filename else ""
    return f"exp={expires}&kid={KEY_ID}{name}&sig={sign(path, expires=expires, filename=filename, key=key)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link as it was presented: nothing about it is known to be true yet."""

    path: str
    expires: str
    kid: str
    signature: str
    filename: str = ""


def is_good(link: Link, *, key: bytes, now: datetime) -> bool:
    """Say whether a link is one of ours, unchanged and not past its time."""
    if link.kid != KEY_ID or not _EXPIRES.fullmatch(link.expires):
        return False
    right = sign(link.path, expires=int(link.expires), filename=link.filename, key=key)
    return (
        hmac.compare_digest(right.encode(), link.signature.encode()) and int(link.expires) > now.timestamp()
    )
