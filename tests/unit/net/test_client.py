"""The safe client against a resolver that lies and a server that means harm."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import pytest

from filmgate.net.addresses import Fence
from filmgate.net.client import AddrInfo, Answered, Limits, SafeClient, Unanswered
from filmgate.net.target import Address, NotAllowed, Unreachable
from tests.hostile import hostile, page, redirect
from tests.unit.net.addresses import BAD, GOOD

SMALL = Limits(size_bytes=1_000_000, total_s=5, patience_s=0.2)
NOT_ALLOWED = "address not allowed"


@dataclass(slots=True)
class Wire:
    """Names as `names` has them, and a note of every address that was dialled."""

    names: dict[str, Sequence[str]] = field(default_factory=dict)
    dialled: list[tuple[str, int]] = field(default_factory=list)
    real: int = 0  # a port of this machine that may be reached

    def look_up(self, host: str, port: int) -> Sequence[str]:
        return self.names[host]

    def open_socket(self, info: AddrInfo) -> socket.socket:
        address, port, *_ = info[4]
        if (address, port) == ("127.0.0.1", self.real):
            return socket.socket(*info[:3])
        self.dialled.append((address, port))
        raise OSError("dialled, in a test")


def a_client(wire: Wire, *allow: str) -> SafeClient:
    return SafeClient(
        Fence(allow, is_ours=lambda _: False), look_up=wire.look_up, open_socket=wire.open_socket
    )


async def reason_of(client: SafeClient, use: str, url: str, into: Path) -> str:
    """Use the client one way or the other, and return why nothing came of it."""
    if use == "post":
        answer = await client.post(url, headers={}, body=b"{}")
        assert isinstance(answer, Unanswered)
        return answer.reason
    with pytest.raises(Unreachable) as refused:
        await client.download(url, into, SMALL)
    assert not into.exists()  # noqa: ASYNC240  (nothing else waits here)
    return str(refused.value)


def in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


# --- where it goes ------------------------------------------------------------------------------


@pytest.mark.parametrize("use", ["post", "download"])
async def test_no_bad_address_is_dialled_however_it_is_said(use: str, tmp_path: Path) -> None:
    wire = Wire()
    client = a_client(wire)
    tried = 0

    for address, scheme in product(BAD, ("http", "https")):
        wire.names = {"bad.example": [address], "mixed.example": [*GOOD[:2], address]}
        for host in (in_url(address), *wire.names):
            reason = await reason_of(client, use, f"{scheme}://{host}/", tmp_path / "file")
            assert reason == NOT_ALLOWED
            tried += 1

    assert not wire.dialled
    assert tried > 200


async def test_no_redirect_leads_to_a_bad_address(tmp_path: Path) -> None:
    async with hostile() as traps:
        wire = Wire(real=traps.port)
        client = a_client(wire, traps.place)
        for n, address in enumerate(BAD):
            wire.names = {"bad.example": [address], "mixed.example": [GOOD[0], address]}
            for host in (in_url(address), *wire.names):
                traps.pages[f"/{n}"] = redirect(f"http://{host}/")
                reason = await reason_of(client, "download", f"{traps.url}/{n}", tmp_path / "file")
                assert reason == NOT_ALLOWED

    assert not wire.dialled
    assert len(traps.asked) == 3 * len(BAD)


@pytest.mark.parametrize("address", GOOD)
async def test_a_good_address_is_dialled_as_it_was_looked_up(address: str, tmp_path: Path) -> None:
    wire = Wire(names={"good.example": [address]})
    client = a_client(wire)

    for use, host in product(("post", "download"), ("good.example", in_url(address))):
        reason = await reason_of(client, use, f"https://{host}/", tmp_path / "file")
        assert reason == "no connection could be made"

    assert wire.dialled == [(address, 443)] * 4


async def test_a_name_that_changes_its_mind_wins_nothing(tmp_path: Path) -> None:
    """Each request looks up once, checks that answer, and dials nothing else."""
    answers = [["8.8.8.8"], ["127.0.0.1"]]
    looked_up = 0

    def flip(host: str, port: int) -> Sequence[str]:
        nonlocal looked_up
        looked_up += 1
        return answers[looked_up % 2]

    wire = Wire()
    client = SafeClient(Fence(), look_up=flip, open_socket=wire.open_socket)
    reasons = [
        await reason_of(client, "post", "https://rebind.example/", tmp_path / "f") for _ in range(1_000)
    ]

    assert looked_up == 1_000
    assert wire.dialled == [("8.8.8.8", 443)] * 500
    assert reasons.count(NOT_ALLOWED) == 500


async def test_what_is_dialled_is_judged_once_more() -> None:
    """An address that was good when it was looked up may be another thing when it is dialled."""
    judged: list[str] = []

    def becomes_ours(address: Address) -> bool:
        judged.append(str(address))
        return len(judged) > 1

    wire = Wire(names={"good.example": ["8.8.8.8"]})
    client = SafeClient(Fence(is_ours=becomes_ours), look_up=wire.look_up, open_socket=wire.open_socket)

    answer = await client.post("https://good.example/", headers={}, body=b"")

    assert answer == Unanswered(reason=NOT_ALLOWED)
    assert judged == ["8.8.8.8", "8.8.8.8"]
    assert not wire.dialled


async def test_an_unknown_name_is_no_bug(tmp_path: Path) -> None:
    def fail(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "not known")

    client = SafeClient(Fence(), look_up=fail)

    for use in ("post", "download"):
        assert await reason_of(client, use, "https://a.example/", tmp_path / "f") == (
            "its host name cannot be found"
        )


async def test_proxies_and_credentials_of_the_environment_are_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    (tmp_path / "netrc").write_text("default login ada password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    async with hostile() as traps:
        traps.pages["/a"] = page(b"film", headers="set-cookie: a=b\r\n")
        client = SafeClient(Fence([traps.place]))
        for n in range(2):
            await client.download(f"{traps.url}/a", tmp_path / str(n), SMALL)

    said = "".join(traps.asked).lower()
    assert "authorization" not in said
    assert "cookie" not in said
    assert "accept-encoding: identity" in said


# --- how much and how long ----------------------------------------------------------------------


async def test_a_file_is_written_as_it_is(tmp_path: Path) -> None:
    content = bytes(range(256)) * 2_000
    async with hostile() as traps:
        traps.pages |= {"/film?sig=%2B%2f": page(content), "/a": redirect("/b"), "/b": redirect("/c")}
        traps.pages["/c"] = redirect(f"{traps.url}/film?sig=%2B%2f")
        client = SafeClient(Fence([traps.place]))

        await client.download(f"{traps.url}/a", tmp_path / "film", SMALL)

    assert (tmp_path / "film").read_bytes() == content
    assert traps.lines()[-1] == "GET /film?sig=%2B%2f HTTP/1.1", "every escape as it was written"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/never-ending", "it is larger than 1000000 bytes"),
        ("/ten-gigabytes", "it is larger than 1000000 bytes"),
        ("/slow", "it comes too slowly"),
        ("/silent", "it did not arrive within 0.5 seconds"),
        ("/big-headers", "the server's answer broke off or cannot be read"),
        ("/many-headers", "the server's answer broke off or cannot be read"),
        ("/gzip", "the server sent it compressed, though asked not to"),
        ("/loop", "it redirects more than 3 times"),
        ("/metadata", NOT_ALLOWED),
        ("/localhost", NOT_ALLOWED),
        ("/file", "only http and https URLs are fetched"),
        ("/nowhere", "it redirects more than 3 times"),
        ("/cut", "the server's answer broke off or cannot be read"),
        ("/garbage", "the server's answer broke off or cannot be read"),
        ("/teapot", "the server answered 418"),
        ("/missing", "the server answered 404"),
    ],
)
async def test_a_trap_ends_in_one_clear_sentence(path: str, reason: str, tmp_path: Path) -> None:
    limits = Limits(size_bytes=1_000_000, total_s=0.5, patience_s=0.2)
    async with hostile() as traps:
        client = SafeClient(Fence([traps.place]))

        with pytest.raises(Unreachable) as refused:
            await client.download(traps.url + path, tmp_path / "file", limits)

    assert str(refused.value) == reason
    assert not any(tmp_path.iterdir()), "no half of a file is left"  # noqa: ASYNC240


async def test_a_full_disk_is_our_trouble_and_not_the_servers(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"")
    async with hostile() as traps:
        traps.pages["/a"] = page(b"film")
        client = SafeClient(Fence([traps.place]))

        with pytest.raises(FileExistsError):
            await client.download(f"{traps.url}/a", tmp_path / "there", SMALL)


# --- posts --------------------------------------------------------------------------------------


async def test_a_post_is_answered_with_status_headers_and_the_beginning_of_the_body() -> None:
    async with hostile() as traps:
        traps.pages["/hook"] = page(b"x" * 100_000, status=503, headers="Retry-After: 7\r\n")
        client = SafeClient(Fence([traps.place]))

        answer = await client.post(f"{traps.url}/hook", headers={"webhook-id": "evt_1"}, body=b'{"a":1}')

    assert isinstance(answer, Answered)
    assert (answer.status, answer.headers["retry-after"]) == (503, "7")
    assert answer.body == b"x" * 16_384
    assert "webhook-id: evt_1" in traps.asked[0]


@pytest.mark.parametrize("path", ["/never-ending", "/ten-gigabytes", "/slow", "/gzip", "/cut"])
async def test_whatever_follows_a_status_the_status_counts(path: str) -> None:
    async with hostile() as traps:
        answer = await SafeClient(Fence([traps.place])).post(traps.url + path, headers={}, body=b"{}")

    assert isinstance(answer, Answered)
    assert answer.status == 200
    assert len(answer.body) <= 16_384


async def test_a_post_follows_no_redirect() -> None:
    async with hostile() as traps:
        traps.pages["/hook"] = redirect("/other")
        answer = await SafeClient(Fence([traps.place])).post(f"{traps.url}/hook", headers={}, body=b"{}")

    assert isinstance(answer, Answered)
    assert answer.status == 302
    assert traps.lines() == ["POST /hook HTTP/1.1"]


@pytest.mark.parametrize("path", ["/silent", "/garbage", "/big-headers"])
async def test_no_answer_is_a_value(path: str) -> None:
    async with hostile() as traps:
        client = SafeClient(Fence([traps.place]))

        answer = await client.post(traps.url + path, headers={}, body=b"{}", total_s=0.3)

    assert isinstance(answer, Unanswered)


async def test_what_is_wrong_with_an_address_can_be_known_before_anybody_is_asked() -> None:
    wire = Wire()
    client = a_client(wire)

    client.check("https://example.com/a")
    for address in BAD:
        with pytest.raises(NotAllowed):
            client.check(f"https://{in_url(address)}/")

    assert not wire.dialled
