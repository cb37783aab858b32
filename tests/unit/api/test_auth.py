"""Who asks, and how often the store hears of it."""

from dataclasses import replace

import pytest

from filmgate.api.auth import Keys
from filmgate.core.errors import Unauthenticated
from filmgate.core.keys import public_id
from tests.fakes import NOON, World, a_world


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def some_keys(*, most: int = 100) -> tuple[World, Keys, Ticks]:
    world, ticks = a_world(ada=1, bob=1), Ticks()
    return world, Keys(world.ports, keep_s=5, most=most, monotonic=ticks), ticks


def bearer(key: str, scheme: str = "Bearer") -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), (b"authorization", f"{scheme} {key}".encode())]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_bearer_key_is_known(scheme: str) -> None:
    world, keys, _ = some_keys()

    assert (await keys.of(bearer(world.keys["ada"], scheme))).name == "ada"


async def test_x_api_key_wins() -> None:
    world, keys, _ = some_keys()
    both = [(b"x-api-key", world.keys["bob"].encode()), *bearer(world.keys["ada"])]

    assert (await keys.of(both)).name == "bob"
    assert (await keys.of(reversed(both))).name == "bob"


async def test_a_bad_x_api_key_is_not_saved_by_a_good_bearer() -> None:
    world, keys, _ = some_keys()

    with pytest.raises(Unauthenticated):
        await keys.of([(b"x-api-key", b"nonsense"), *bearer(world.keys["ada"])])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Basic YTpi")],
        [(b"authorization", b"Bearer \xff\xfe")],
        [(b"authorization", b"Bearer fg_live_0000000000_" + b"0" * 38)],
        [(b"x-api-key", b"x" * 10_000)],
    ],
)
async def test_nobody_in_particular_is_refused(headers: list[tuple[bytes, bytes]]) -> None:
    _, keys, _ = some_keys()

    with pytest.raises(Unauthenticated):
        await keys.of(headers)


async def test_a_key_is_read_once_in_five_seconds() -> None:
    world, keys, ticks = some_keys()
    asked = bearer(world.keys["ada"])

    for ticks.s in (0, 1, 4.9):
        await keys.of(asked)
    seen = world.store.key_reads
    ticks.s = 5
    await keys.of(asked)

    assert (seen, world.store.key_reads) == (1, 2)


async def test_a_revoked_key_works_until_it_is_forgotten() -> None:
    world, keys, _ = some_keys()
    asked = bearer(world.keys["ada"])
    await keys.of(asked)
    revoke(world, "ada")

    await keys.of(asked)
    keys.forget()

    with pytest.raises(Unauthenticated):
        await keys.of(asked)


async def test_a_check_that_a_change_overtook_is_not_remembered() -> None:
    world, keys, _ = some_keys()
    secret = world.store.secret

    async def overtaken(name: str) -> bytes:
        keys.forget()
        return await secret(name)

    world.store.secret = overtaken  # type: ignore[method-assign]
    await keys.of(bearer(world.keys["ada"]))
    await keys.of(bearer(world.keys["ada"]))

    assert world.store.key_reads == 2


async def test_strangers_fill_no_memory() -> None:
    world, keys, _ = some_keys(most=1)

    for name in ("ada", "bob", "ada"):
        await keys.of(bearer(world.keys[name]))
    for n in range(100):
        with pytest.raises(Unauthenticated):
            await keys.of(bearer(f"{n}"))

    assert len(keys._known) == 1


def revoke(world: World, name: str) -> None:
    key_id = public_id(world.keys[name])
    assert key_id is not None
    world.store.known[key_id] = replace(world.store.known[key_id], revoked_at=NOON)
