"""The fence: the bad addresses, their innocent neighbours, and what an operator lets through."""

from ipaddress import ip_address, ip_network

import pytest

from filmgate.net.addresses import Fence, is_ours, is_public
from filmgate.net.target import NotAllowed
from tests.unit.net.addresses import BAD, GOOD, RANGES


@pytest.mark.parametrize("address", BAD)
def test_no_address_of_a_private_or_odd_network_is_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", GOOD)
def test_the_open_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("network", RANGES)
def test_the_neighbours_of_a_denied_range_are_public(network: str) -> None:
    denied = ip_network(network)
    first, last = int(denied[0]), int(denied[-1])

    assert not is_public(denied[0])
    assert not is_public(denied[-1])
    for neighbour in {first - 1, last + 1} - {-1, 2**denied.max_prefixlen}:
        address = type(denied[0])(neighbour)
        if not any(address in ip_network(other) for other in RANGES):
            assert is_public(address)


def test_the_machines_own_addresses_are_known() -> None:
    assert is_ours(ip_address("127.0.0.1"))
    assert not is_ours(ip_address("8.8.8.8"))
    assert not is_ours(ip_address("2606:4700::1111"))


def test_a_public_address_that_is_this_machines_own_is_not_asked() -> None:
    fence = Fence(is_ours=lambda address: str(address) == "8.8.8.8")

    with pytest.raises(NotAllowed):
        fence.check("https://8.8.8.8/")
    fence.check("https://8.8.4.4/")


@pytest.mark.parametrize(
    ("allow", "url", "allowed"),
    [
        ((), "https://example.com/", True),
        ((), "http://example.com:80/", True),
        ((), "https://example.com:8443/", False),
        ((), "http://localhost/", False),
        ((), "http://localhost./", False),
        ((), "http://app.localhost/", False),
        (("localhost:9000",), "http://localhost:9000/", True),
        (("localhost:9000",), "http://localhost.:9000/", True),
        (("localhost:9000",), "http://localhost:9001/", False),
        (("127.0.0.1:9000",), "http://127.0.0.1:9000/", True),
        (("127.0.0.1:9000",), "http://127.0.0.1:80/", False),
        (("127.0.0.1:9000",), "http://127.0.0.2:9000/", False),
        (("[::1]:9000",), "http://[::1]:9000/", True),
        (("10.1.0.0/16",), "http://10.1.2.3:8080/", True),
        (("10.1.0.0/16",), "http://10.2.2.3/", False),
        (("10.1.0.0/16",), "http://[::ffff:10.1.2.3]/", True),
        (("fd00::/8",), "http://[fd00::1]:8080/", True),
        (("media.example:8443",), "https://media.example:8443/", True),
        (("media.example:8443",), "https://other.example:8443/", False),
    ],
)
def test_the_operator_lets_through_places_and_networks(
    allow: tuple[str, ...], url: str, *, allowed: bool
) -> None:
    fence = Fence(allow)

    if allowed:
        fence.check(url)
    else:
        with pytest.raises(NotAllowed):
            fence.check(url)


@pytest.mark.parametrize(
    "entry", ["", "example.com", "10.0.0.0/33", "http://a:80", "a:b", "a:80/x", "u@a:80", "a:99999"]
)
def test_an_entry_that_makes_no_sense_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="neither host:port nor a network"):
        Fence([entry])
