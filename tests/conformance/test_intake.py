"""What every intake promises, the one in memory too."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from filmgate.core.errors import InputInvalid, InputUnavailable
from filmgate.core.generation import MediaKind
from filmgate.media.intake import SafeIntake
from filmgate.net.addresses import Fence
from filmgate.net.client import SafeClient
from filmgate.ports.media import Intake
from tests.corpus import film, picture
from tests.fakes import MemoryIntake
from tests.hostile import hostile, page

PICTURE = picture(size=(64, 48))
FILM = film()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """An intake, a place that has `/picture` and `/film`, and where its scratch lies if it has one."""

    intake: Intake
    url: str
    spool: Path | None = field(default=None)


@pytest.fixture(name="stand", params=["memory", "safe"])
async def _stand(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stand]:
    if request.param == "memory":
        intake = MemoryIntake()
        intake.web = {"https://a.example/picture": PICTURE, "https://a.example/film": FILM}
        yield Stand(intake=intake, url="https://a.example")
        return
    spool = tmp_path / "spool"
    spool.mkdir()
    async with hostile() as web:
        web.pages |= {"/picture": page(PICTURE), "/film": page(FILM)}
        safe = SafeIntake(SafeClient(Fence([web.place])), spool)
        try:
            yield Stand(intake=safe, url=web.url, spool=spool)
        finally:
            await safe.close()


async def test_what_is_fetched_is_known_by_its_content(stand: Stand) -> None:
    async with stand.intake.scratch() as scratch:
        await stand.intake.fetch(f"{stand.url}/picture", scratch / "a", kind=MediaKind.IMAGE)
        await stand.intake.fetch(f"{stand.url}/film", scratch / "b", kind=MediaKind.VIDEO)
        picture_, film_ = [await stand.intake.probe(scratch / name) for name in ("a", "b")]

        assert (scratch / "a").read_bytes() == PICTURE
    assert (picture_.kind, picture_.mime, picture_.size_bytes) == ("image", "image/png", len(PICTURE))
    assert (picture_.width, picture_.height, picture_.duration_s) == (64, 48, None)
    assert (film_.kind, film_.mime) == ("video", "video/mp4")
    assert (film_.width, film_.height, film_.duration_s) == (320, 180, 1.0)


async def test_what_is_not_there_is_unavailable_and_leaves_no_file(stand: Stand) -> None:
    async with stand.intake.scratch() as scratch:
        with pytest.raises(InputUnavailable):
            await stand.intake.fetch(f"{stand.url}/missing", scratch / "a", kind=MediaKind.IMAGE)

        assert not list(scratch.iterdir())


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/a", "http://169.254.169.254/", "http://localhost/", "http://10.0.0.1/"]
)
async def test_an_address_out_of_bounds_is_known_unasked(stand: Stand, url: str) -> None:
    with pytest.raises(InputUnavailable, match="address not allowed"):
        stand.intake.check_url(url)

    stand.intake.check_url(f"{stand.url}/whatever")


@pytest.mark.parametrize("content", [b"", b"#EXTM3U\n", b"<svg/>"])
async def test_what_is_of_no_use_is_invalid(stand: Stand, content: bytes) -> None:
    async with stand.intake.scratch() as scratch:
        (scratch / "a").write_bytes(content)

        with pytest.raises(InputInvalid):
            await stand.intake.probe(scratch / "a")


async def test_scratch_is_gone_afterwards_whatever_happened(stand: Stand) -> None:
    seen: list[Path] = []

    async def break_off() -> None:
        async with stand.intake.scratch() as scratch:
            seen.append(scratch)
            (scratch / "a").write_bytes(b"half a file")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await break_off()

    assert not seen[0].exists()
    assert stand.spool is None or not list(stand.spool.iterdir())
