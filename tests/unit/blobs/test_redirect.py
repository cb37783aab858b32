"""A signed link of ours leads to the object store, where that is set."""

from dataclasses import replace

import pytest

from filmgate.api.links import Links
from filmgate.core.generation import OutputKind
from filmgate.core.task import Output, Status
from tests.calls import WEB, Client, clients
from tests.fakes import MemoryBlobs, World, a_task, a_world, an_output

FILM = b"a film"


class Elsewhere(MemoryBlobs):
    """Blobs that can be fetched elsewhere."""

    def __init__(self, world: World) -> None:
        super().__init__(now=world.clock.now)
        self.asked: list[tuple[int, str, str]] = []

    async def link(self, blob: str, *, lifetime_s: int, disposition: str, mime: str) -> str | None:
        self.asked.append((lifetime_s, disposition, mime))
        return f"https://store.example/{blob}?signed" if blob in self.contents else None


def a_stored_film(*, mime: str = "video/mp4") -> tuple[World, Elsewhere, Client, Output]:
    world = a_world()
    blobs = Elsewhere(world)
    blobs.put(FILM)
    world = replace(world, ports=replace(world.ports, blobs=blobs))
    output = replace(an_output(OutputKind.VIDEO, content=FILM), mime=mime)
    world.put(a_task(Status.SUCCEEDED, outputs=(output,)))
    (client,) = clients(world, "ada")
    return world, blobs, replace(client, key=None), output


def link_to(world: World, output: Output, *, lifetime_s: int = 86_400, filename: str = "") -> str:
    url = Links(WEB, world.ports.clock).for_seconds(output, lifetime_s, filename=filename)
    return url.removeprefix(WEB.public_url)


@pytest.mark.parametrize(
    ("mime", "filename", "disposition"),
    [
        ("video/mp4", "", "inline"),
        ("image/png", "a.png", 'inline; filename="a.png"'),
        ("image/svg+xml", "a.svg", 'attachment; filename="a.svg"'),
    ],
)
async def test_a_good_link_leads_elsewhere(mime: str, filename: str, disposition: str) -> None:
    world, blobs, stranger, output = a_stored_film(mime=mime)

    reply = await stranger.get(link_to(world, output, filename=filename), {"range": "bytes=0-1"})

    assert (reply.status, reply.body) == (302, b"")
    assert reply.headers["location"] == f"https://store.example/{output.blob}?signed"
    assert reply.headers["cache-control"] == "private, max-age=1800"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert blobs.asked == [(3_600, disposition, mime)]
    assert not blobs.readers


async def test_it_leads_there_no_longer_than_it_works_itself() -> None:
    world, blobs, stranger, output = a_stored_film()
    link = link_to(world, output, lifetime_s=100)
    world.clock.advance(90)

    reply = await stranger.get(link)
    world.clock.advance(10)
    ended = await stranger.get(link)

    assert reply.headers["cache-control"] == "private, max-age=5"
    assert (reply.status, ended.status) == (302, 403)
    assert blobs.asked == [(10, "inline", "video/mp4")]


async def test_head_is_answered_here() -> None:
    world, blobs, stranger, output = a_stored_film()

    reply = await stranger.ask("HEAD", link_to(world, output))

    assert (reply.status, reply.headers["content-length"]) == (200, str(len(FILM)))
    assert blobs.asked == []


async def test_no_bad_link_leads_anywhere() -> None:
    world, blobs, stranger, output = a_stored_film()
    link = link_to(world, output)

    for wrong in (link[:-1], link.replace("exp=", "exp=1"), link + "&name=x", link.partition("?")[0]):
        assert (await stranger.get(wrong)).status == 403
    assert blobs.asked == []


async def test_a_file_that_is_gone_is_404_as_ever() -> None:
    world, blobs, stranger, output = a_stored_film()
    blobs.contents.clear()

    assert (await stranger.get(link_to(world, output))).status == 404
