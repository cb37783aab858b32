"""API keys: what one looks like, and how it is known again without being kept."""

import hashlib
import hmac
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX: Final = "fg_live_"
_ID: Final = 10
_SECRET: Final = 32
_CHECK: Final = 6
ENTROPY_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A stored API key. `id` is public and part of the key; `hash` is an HMAC of the whole key.

    `identity` is what tasks belong to: it outlives a rotation, so that none is hidden by one.
    """

    id: str
    identity: str
    account_id: str
    name: str
    hash: bytes
    created_at: datetime
    revoked_at: datetime | None = None


def new_key(entropy: bytes) -> tuple[str, str]:
    """Return a new key's public id and the whole key, from 32 bytes of `entropy`."""
    number = int.from_bytes(entropy, "big")
    digits = _base62(number, _ID + _SECRET)
    key_id, secret = digits[:_ID], digits[_ID:]
    body = f"{PREFIX}{key_id}_{secret}"
    return key_id, body + _checksum(body)


def public_id(key: str) -> str | None:
    """Return the public id within `key`, or None if it is misspelt; asks no store."""
    body, check = key[:-_CHECK], key[-_CHECK:]
    right_length = len(key) == len(PREFIX) + _ID + 1 + _SECRET + _CHECK
    if not (right_length and key.isascii() and body.startswith(PREFIX) and body[len(PREFIX) + _ID] == "_"):
        return None
    if not hmac.compare_digest(check, _checksum(body)):
        return None
    return body[len(PREFIX) : len(PREFIX) + _ID]


def hash_key(key: str, pepper: bytes) -> bytes:
    """Return what is stored of a key. A fast hash is right: the secret has 190 bits."""
    return hmac.digest(pepper, key.encode(), hashlib.sha256)


def _checksum(body: str) -> str:
    # As GitHub's tokens do: scanners can drop false hits without asking anyone.
    return _base62(zlib.crc32(body.encode()), _CHECK)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))
