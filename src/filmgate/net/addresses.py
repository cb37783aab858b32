"""Which addresses may be dialled: our own table, for Python's flags let a third of the bad ones through."""

import socket
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from filmgate.net.target import PORTS, Address, NotAllowed, Target, Unreachable, read_address, read_url

_DENIED_V4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers' NAT, and a cloud's metadata at 100.100.100.200
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's host
            "169.254.0.0/16",  # link-local, and most clouds' metadata
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
_GLOBAL_V6: Final = IPv6Network("2000::/3")  # all that is routed; NAT64, ULA and the rest lie outside
_DENIED_V6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Teredo and other protocols' own
            "2001:db8::/32",
            "2002::/16",  # 6to4: any IPv4 address in disguise
            "3fff::/20",
        ),
    )
)


def is_public(address: Address) -> bool:
    """Say whether an address is one of the open internet's."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        return address in _GLOBAL_V6 and not any(address in network for network in _DENIED_V6)
    return not any(address in network for network in _DENIED_V4)


def is_ours(address: Address) -> bool:
    """Say whether an address is this machine's own: then, and only then, can a socket be bound to it."""
    return _binds(str(address)) and not _binds_anything()


@lru_cache(maxsize=1)
def _binds_anything() -> bool:
    return _binds("192.0.2.1")  # nobody's: the system lets one bind to what is not there


def _binds(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


class Fence:
    """What may be asked: the open internet at ports 80 and 443, and what the operator names.

    `allow` has `host:port`, where the host may be a name, and addresses or networks such as
    `10.1.0.0/16`, at any port. With `https_only`, only what is named there may be asked without TLS.
    """

    def __init__(
        self,
        allow: Iterable[str] = (),
        *,
        https_only: bool = False,
        is_ours: Callable[[Address], bool] = is_ours,
    ) -> None:
        """Read the exceptions; ValueError names one that makes no sense."""
        self._places: set[tuple[str, int]] = set()
        self._networks: list[IPv4Network | IPv6Network] = []
        self._https_only = https_only
        self._is_ours = is_ours
        for entry in allow:
            self._add(entry)

    def check(self, url: str) -> Target:
        """Return where `url` leads, or raise what can be seen to be wrong with it. Nobody is asked."""
        target = read_url(url)
        if target.address is not None:
            if not self.permits(target, target.address):
                raise NotAllowed
        elif self._is_named(target):
            pass
        elif self._is_too_open(target) and not self._networks:
            raise Unreachable("the URL must be https")
        elif _is_local_name(target.host) or (target.port not in PORTS.values() and not self._networks):
            raise NotAllowed
        return target

    def permits(self, target: Target, address: Address) -> bool:
        """Say whether `target` may be asked at `address`."""
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if self._is_named(target) or any(address in network for network in self._networks):
            return True
        if self._is_too_open(target):
            return False
        return target.port in PORTS.values() and is_public(address) and not self._is_ours(address)

    def _is_too_open(self, target: Target) -> bool:
        return self._https_only and target.scheme != "https"

    def _is_named(self, target: Target) -> bool:
        return (target.host.removesuffix("."), target.port) in self._places

    def _add(self, entry: str) -> None:
        try:
            self._networks.append(ip_network(entry))
        except ValueError:
            try:
                place = read_url(f"https://{entry}")
            except Unreachable:
                place = None
            if place is None or place.path != "/" or not entry.endswith(f":{place.port}"):
                raise ValueError(
                    f"{entry!r} is neither host:port nor a network such as 10.1.0.0/16"
                ) from None
            self._places.add((place.host.removesuffix("."), place.port))


def _is_local_name(host: str) -> bool:
    name = host.removesuffix(".")
    return name == "localhost" or name.endswith(".localhost")


def allowed_addresses(fence: Fence, target: Target, found: Iterable[str]) -> list[str]:
    """Return a resolver's answers if all of them may be dialled, or raise NotAllowed: one is enough."""
    answers = list(dict.fromkeys(found))
    for answer in answers:
        address = read_address(answer)
        if address is None or not fence.permits(target, address):
            raise NotAllowed
    return answers
