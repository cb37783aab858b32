"""A URL as the place it leads to: read strictly, so that nobody further on reads it another way."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address

URL_CHARACTERS: Final = 8_192
PORTS: Final = {"http": 80, "https": 443}

_NAME: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
# What getaddrinfo takes for a number: 2130706433, 0x7f000001, 127.1, 0177.0.0.1.
_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")


class Unreachable(Exception):
    """Nothing came of a request; the text says why and is safe to show to whoever gave the address."""


class NotAllowed(Unreachable):
    """The address is one that must not be asked. Which of its addresses, and why, nobody is told."""

    def __init__(self) -> None:
        """There is one text for all."""
        super().__init__("address not allowed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a URL leads. `address` is its host, if that is one; `path` has the query string too."""

    scheme: str
    host: str
    port: int
    path: str
    address: Address | None = None


def read_url(url: str) -> Target:
    """Return where an absolute http(s) URL leads, or raise Unreachable. Nobody is asked."""
    if len(url) > URL_CHARACTERS or not url.isascii() or any(c <= " " or c in "\\\x7f" for c in url):
        raise Unreachable("the URL must be percent-encoded ASCII")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
    except ValueError as error:
        raise Unreachable("the URL cannot be read") from error
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise Unreachable("only http and https URLs are fetched")
    if "@" in parts.netloc:
        raise Unreachable("a URL with a user name or password is not fetched")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    port = PORTS[scheme] if port is None else port
    return Target(scheme=scheme, host=host, port=port, path=path, address=_address(host, parts.netloc))


def _address(host: str, netloc: str) -> Address | None:
    """Return the address that `host` is, None if it is a name, or raise NotAllowed if it is neither."""
    if netloc.startswith("["):
        if "%" in host:  # a zone: only ever of this machine's own networks
            raise NotAllowed
        try:
            return IPv6Address(host)
        except ValueError as error:
            raise NotAllowed from error
    if _NUMBER.fullmatch(host):
        try:
            return IPv4Address(host)
        except ValueError as error:
            raise NotAllowed from error
    if not _NAME.fullmatch(host):
        raise NotAllowed
    return None


def read_address(text: str) -> Address | None:
    """Return the address in a resolver's answer; None if it is none, or belongs to a zone."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return None if isinstance(address, IPv6Address) and address.scope_id else address
