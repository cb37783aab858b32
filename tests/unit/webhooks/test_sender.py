"""The sender: which addresses it takes, and what it reads of an answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.utils import format_datetime

import pytest

from filmgate.core.errors import InvalidRequest
from filmgate.net.addresses import Fence
from filmgate.net.client import SafeClient
from filmgate.ports.sender import Answered
from filmgate.webhooks.sender import SafeSender
from tests.fakes import ManualClock


def a_sender(*allow: str) -> SafeSender:
    return SafeSender(SafeClient(Fence(allow, https_only=True)), ManualClock())


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/",  # without TLS
        "http://93.184.216.34/",
        "https://127.0.0.1/",
        "https://10.0.0.8/",
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "https://2130706433/",
        "https://localhost/",
        "https://hooks.example:25/",
        "https://user:pass@hooks.example/",
        "ftp://hooks.example/",
        "nonsense",
    ],
)
def test_what_can_be_seen_to_be_out_of_bounds_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        a_sender().check_url(url)


@pytest.mark.parametrize(
    ("url", "allow"),
    [
        ("https://hooks.example/a?b=c", ()),
        ("https://hooks.example:443/", ()),
        ("http://hooks.internal:9000/", ("hooks.internal:9000",)),
        ("http://10.1.2.3:9000/", ("10.1.0.0/16",)),
        ("http://hooks.internal:9000/", ("10.1.0.0/16",)),  # its address is judged when it is dialled
    ],
)
def test_https_is_taken_and_what_the_operator_names(url: str, allow: tuple[str, ...]) -> None:
    a_sender(*allow).check_url(url)


async def test_a_name_that_the_operator_did_not_mean_is_not_dialled_without_tls() -> None:
    fence = Fence(["10.1.0.0/16"], https_only=True)
    client = SafeClient(fence, look_up=lambda _host, _port: ["93.184.216.34"])

    answer = await SafeSender(client, ManualClock()).post("http://hooks.example/", headers={}, body=b"{}")

    assert not isinstance(answer, Answered)
    assert answer.reason == "address not allowed"


@asynccontextmanager
async def answering(head: str) -> AsyncIterator[str]:
    """Listen, and answer every request with `head`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {head}\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()


@pytest.mark.parametrize(
    ("advice", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("9" * 500, 999_999_999),
        (format_datetime(ManualClock().now() + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(ManualClock().now() - timedelta(seconds=90), usegmt=True), 0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("NaN", None),
    ],
)
async def test_advice_is_read_where_it_makes_sense(advice: str, seconds: float | None) -> None:
    async with answering(f"503 Busy\r\nretry-after: {advice}") as url:
        answer = await a_sender("127.0.0.0/8").post(url, headers={}, body=b"{}")

    assert answer == Answered(status=503, retry_after_s=seconds)
