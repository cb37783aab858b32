"""Links to files that work without a key until they expire: signed, never guessed."""

import hashlib
import hmac
from datetime import datetime
from typing import Final

KEY_ID: Final = "1"  # names the signing key within the link, so that keys can be changed


def sign(path: str, *, expires: int, filename: str, key: bytes) -> str:
    """Return the signature of a link to `path`, good until the Unix second `expires`."""
    text = f"v1\nGET\n{path}\n{expires}\n{filename}"
    return hmac.digest(key, text.encode(), hashlib.sha256).hex()[:43]


def query(path: str, *, expires: int, filename: str, key: bytes) -> str:
    """Return the query string that makes `path` a signed link."""
    name = f"&name={filename}" if filename else ""
    return f"exp={expires}&kid={KEY_ID}{name}&sig={sign(path, expires=expires, filename=filename, key=key)}"


def is_good(path: str, *, expires: str, filename: str, kid: str, signature: str, key: bytes, now: datetime) -> bool:
    """Say whether a link is one of ours, unchanged and not past its time."""
    if kid != KEY_ID or not (expires.isascii() and expires.isdigit() and len(expires) <= 11):
        return False
    right = sign(path, expires=int(expires), filename=filename, key=key)
    return hmac.compare_digest(right.encode(), signature.encode()) and int(expires) > now.timestamp()
