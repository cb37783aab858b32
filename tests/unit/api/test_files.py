"""Signed links and what they serve."""

import random
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from filmgate.api.files import PIECE_BYTES
from filmgate.api.links import STEADY_S, Links
from filmgate.core.generation import OutputKind
from filmgate.core.task import Output, Status
from tests.calls import WEB, Client, clients
from tests.fakes import World, a_task, a_world, an_output

FILM = bytes(range(256)) * 8_000  # four pieces


def a_stored_film(*, mime: str = "video/mp4") -> tuple[World, Client, Output]:
    world = a_world()
    (client,) = clients(world, "ada")
    output = replace(an_output(OutputKind.VIDEO, content=FILM), mime=mime)
    world.blobs.put(FILM)
    world.put(a_task(Status.SUCCEEDED, outputs=(output,)))
    return world, replace(client, key=None), output


def link_to(world: World, output: Output, *, filename: str = "") -> str:
    url = Links(WEB, world.ports.clock).for_seconds(output, 3600, filename=filename)
    return url.removeprefix(WEB.public_url)


async def test_a_link_serves_the_file_without_a_key() -> None:
    world, stranger, output = a_stored_film()

    reply = await stranger.get(link_to(world, output))

    assert (reply.status, reply.body) == (200, FILM)
    del reply.headers["x-request-id"]
    assert reply.headers == {
        "content-type": "video/mp4",
        "content-length": str(len(FILM)),
        "accept-ranges": "bytes",
        "etag": f'"{output.blob}"',
        "cache-control": "private, max-age=31536000, immutable",
        "content-disposition": "inline",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "access-control-allow-origin": "*",
        "access-control-expose-headers": "*",
    }


async def test_no_piece_is_larger_than_memory_should_hold() -> None:
    world, stranger, output = a_stored_film()

    reply = await stranger.get(link_to(world, output))

    assert max(len(piece) for piece in reply.pieces) == PIECE_BYTES
    assert all(reader.closed for reader in world.blobs.readers)


@pytest.mark.parametrize(
    ("header", "first", "end"),
    [("bytes=0-0", 0, 1), ("bytes=1000-", 1000, len(FILM)), ("bytes=-5", len(FILM) - 5, len(FILM))],
)
async def test_a_range_is_that_part(header: str, first: int, end: int) -> None:
    world, stranger, output = a_stored_film()

    reply = await stranger.get(link_to(world, output), {"range": header})

    assert (reply.status, reply.body) == (206, FILM[first:end])
    assert reply.headers["content-range"] == f"bytes {first}-{end - 1}/{len(FILM)}"
    assert reply.headers["content-length"] == str(end - first)


async def test_a_range_past_the_end_is_416() -> None:
    world, stranger, output = a_stored_film()

    reply = await stranger.get(link_to(world, output), {"range": f"bytes={len(FILM)}-"})

    assert (reply.status, reply.body) == (416, b"")
    assert reply.headers["content-range"] == f"bytes */{len(FILM)}"
    assert all(reader.closed for reader in world.blobs.readers)


async def test_if_range_holds_only_for_the_same_content() -> None:
    world, stranger, output = a_stored_film()
    link = link_to(world, output)

    same = await stranger.get(link, {"range": "bytes=0-1", "if-range": f'"{output.blob}"'})
    other = await stranger.get(link, {"range": "bytes=0-1", "if-range": '"another"'})

    assert (same.status, other.status) == (206, 200)


async def test_what_a_client_has_is_not_sent_again() -> None:
    world, stranger, output = a_stored_film()

    reply = await stranger.get(link_to(world, output), {"if-none-match": f'W/"x", "{output.blob}"'})

    assert (reply.status, reply.body) == (304, b"")


async def test_head_is_get_without_the_file() -> None:
    world, stranger, output = a_stored_film()
    link = link_to(world, output)

    head = await stranger.ask("HEAD", link)
    get = await stranger.get(link)

    assert head.body == b""
    assert head.headers | {"x-request-id": ""} == get.headers | {"x-request-id": ""}


@pytest.mark.parametrize(
    ("mime", "disposition", "policy"),
    [
        ("image/png", 'inline; filename="a.png"', None),
        ("text/html", 'attachment; filename="a.png"', "sandbox"),
        ("image/svg+xml", 'attachment; filename="a.png"', "sandbox"),
    ],
)
async def test_only_pictures_and_films_are_shown(mime: str, disposition: str, policy: str | None) -> None:
    world, stranger, output = a_stored_film(mime=mime)

    reply = await stranger.get(link_to(world, output, filename="a.png"))

    assert reply.headers["content-disposition"] == disposition
    assert reply.headers.get("content-security-policy") == policy


async def test_a_good_link_to_nothing_is_404() -> None:
    world, stranger, output = a_stored_film()
    link = link_to(world, output)
    world.blobs.contents.clear()

    gone = await stranger.get(link)
    world.store.outputs.clear()
    unknown = await stranger.get(link)

    assert (gone.status, unknown.status) == (404, 404)
    assert gone.body == unknown.body


async def test_a_link_ends_at_its_time() -> None:
    world, stranger, output = a_stored_film()
    link = link_to(world, output)

    world.clock.advance(3_599)
    before = await stranger.get(link)
    world.clock.advance(1)
    after = await stranger.get(link)

    assert (before.status, after.status) == (200, 403)
    assert after.json["error"]["type"] == "invalid_link"


async def test_links_made_close_together_are_one() -> None:
    world, _, output = a_stored_film()
    links = Links(WEB, world.ports.clock)
    world.clock.advance(1)

    first = links.to(output, output)[1]
    world.clock.advance(STEADY_S / 2)
    (soon,) = links.to(output)
    world.clock.advance(STEADY_S)
    (later,) = links.to(output)

    assert first == soon != later


async def test_no_changed_link_serves_a_byte() -> None:
    world, stranger, output = a_stored_film()
    other = replace(an_output(content=b"other"), mime="video/mp4")
    world.store.outputs[other.blob] = other
    world.blobs.put(b"other")
    link = link_to(world, output, filename="a.mp4")
    chance = random.Random(11)

    for _ in range(2_000):
        changed = _mutated(link, other.blob, chance)
        reply = await stranger.ask(chance.choice(("GET", "HEAD")), changed)
        assert reply.status in {403, 404, 400}, changed
        assert not any(piece in reply.body for piece in (FILM[:64], b"other")), changed
    assert not world.blobs.readers


def _mutated(link: str, other: str, chance: random.Random) -> str:
    """Return a link that differs from `link` in a way that somebody might try."""
    path, _, query = link.partition("?")
    expires = next(part for part in query.split("&") if part.startswith("exp="))
    at = chance.randrange(len(link))
    digit = chance.choice("0123456789abcdef")
    ways = (
        lambda: link[:at] + link[at + 1 :],
        lambda: link[:at] + ("x" if link[at] != "x" else "y") + link[at + 1 :],
        lambda: link[:at] + f"%{ord(link[at]):02x}" + link[at + 1 :] if at < len(path) else link + "&sig=1",
        lambda: link[: -chance.randrange(1, 43)],
        lambda: link + digit,
        lambda: link.replace(expires, f"exp={int(expires[4:]) + chance.choice((-1, 1, 10_000))}"),
        lambda: link.replace(path[7:71], other),
        lambda: link.replace(
            "/files/", chance.choice(("/files/../files/", "/files//", "/files/%2e%2e/", "//"))
        ),
        lambda: link.replace(".mp4?", chance.choice((".mp4%00?", ".html?", ".mp4/?", "?", ".MP4?"))),
        lambda: link.replace(
            "name=a.mp4", chance.choice(("name=b.mp4", "name=", "x=1", "name=a.mp4&name=a.mp4"))
        ),
        lambda: link.replace("kid=1", chance.choice(("kid=2", "kid=", "kid=1&kid=1", "kid=%31&x=1"))),
        lambda: link + chance.choice(("&", "&x=1", "&exp=99999999999", "&name=a.mp4", "%00", "&sig=")) + "x",
        lambda: path,
        lambda: f"{path}?",
    )
    changed = chance.choice(ways)()
    return _mutated(link, other, chance) if changed == link or not urlsplit(changed).path else changed
