"""Blobs on an object store without a lock: every order of what several processes do there, tried out."""

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from obstore.store import MemoryStore

from filmgate.blobs import objects
from filmgate.blobs.bucket import Bucket, Object
from filmgate.blobs.copies import Copies
from filmgate.blobs.objects import ObjectBlobs
from tests.blob_servers import TimedBucket
from tests.fakes import NOON, ManualClock

FILM: Final = b"a film"
BLOB: Final = hashlib.sha256(FILM).hexdigest()
OLD: Final = 2 * 3_600  # seconds ago, which is longer than the grace
CUTOFF: Final = NOON - timedelta(hours=1)


class Actor(threading.Thread):
    """A process that does one thing; it stops before each call to the bucket until it is its turn."""

    def __init__(self, act: Callable[[], bool]) -> None:
        super().__init__(daemon=True)
        self._act = act
        self._turn = threading.Semaphore(0)
        self._paused = threading.Semaphore(0)
        self.done = False
        self.needs_the_blob = False
        self.error: BaseException | None = None

    def run(self) -> None:
        self._turn.acquire()
        try:
            self.needs_the_blob = self._act()
        except BaseException as error:  # noqa: BLE001  (for whoever steps)
            self.error = error
        self.done = True
        self._paused.release()

    def pause(self) -> None:
        """Stand still before a call; for this thread itself."""
        self._paused.release()
        self._turn.acquire()

    def step(self) -> None:
        """Let it go on to its next call, or to its end."""
        self._turn.release()
        self._paused.acquire()
        if self.error is not None:
            raise self.error


class SteppedBucket(TimedBucket):
    """A bucket whose callers stand still before each call."""

    def put(self, name: str, content: bytes | Iterator[bytes]) -> None:
        _pause()
        super().put(name, content)

    def copy(self, source: str, name: str) -> bool:
        _pause()
        return super().copy(source, name)

    def look(self, name: str) -> Object | None:
        _pause()
        return super().look(name)

    def list(self, under: str = "", *, after: str = "") -> Iterator[Object]:
        _pause()
        return iter(list(super().list(under, after=after)))

    def delete(self, names: Sequence[str]) -> None:
        for name in names:
            _pause()
            super().delete([name])


def _pause() -> None:
    actor = threading.current_thread()
    if isinstance(actor, Actor):
        actor.pause()


class Play:
    """What several processes do with one blob, of which there were `ages` objects before, in seconds."""

    def __init__(
        self, directory: Path, kind: type[ObjectBlobs], parts: Sequence[str], ages: Sequence[int]
    ) -> None:
        self._directory, self._kind, self._parts, self._ages = directory, kind, parts, ages
        self._source = directory / "source"
        self._source.write_bytes(FILM)
        self._copies = Copies(directory / "copies", most_bytes=1)

    def lost_in(self) -> tuple[int, list[str] | None]:
        """Try every order; return how many there are, or were until one in which the blob was lost."""
        tried, orders = 0, [list[int]()]
        while orders:
            tried += 1
            order, lost = self._run(orders.pop(), orders)
            if lost:
                return tried, [self._parts[n] for n in order]
        return tried, None

    def _run(self, order: list[int], orders: list[list[int]]) -> tuple[list[int], bool]:
        """Follow `order`, then let the first go on who can; put the other ways there are into `orders`."""
        clock = ManualClock()
        bucket = SteppedBucket(Bucket(MemoryStore()), clock.now)
        for age_s in self._ages:
            clock.advance(-age_s)
            bucket.put(objects._new_name(BLOB), FILM)
            clock.advance(age_s)
        blobs = self._kind(bucket, self._copies, now=clock.now)
        actors = [Actor(self._act(blobs, part)) for part in self._parts]
        for actor in actors:
            actor.start()
            actor.step()
        taken = list[int]()
        while ready := [n for n, actor in enumerate(actors) if not actor.done]:
            if len(taken) < len(order):
                choice = order[len(taken)]
            else:
                choice, *others = ready
                orders += [[*taken, other] for other in others]
            actors[choice].step()
            taken.append(choice)
            # Whoever dies is never stepped again: so it is looked at after each step, not at the end.
            if any(actor.needs_the_blob for actor in actors) and not _is_there(bucket):
                return taken, True
        return taken, False

    def _act(self, blobs: ObjectBlobs, part: str) -> Callable[[], bool]:
        match part:
            case "keep":
                return lambda: blobs._keep(self._source).id == BLOB
            case "renew":
                return lambda: blobs._renew(BLOB)
            case _:
                return lambda: blobs._delete(BLOB, CUTOFF) and False


def _is_there(bucket: TimedBucket) -> bool:
    newest = max(Bucket.list(bucket, BLOB), key=lambda one: (one.at, one.name), default=None)
    return newest is not None and b"".join(bucket.stream(newest.name, 0)) == FILM


@pytest.mark.parametrize(
    ("parts", "ages"),
    [
        (("keep", "delete"), ()),
        (("keep", "delete"), (OLD,)),
        (("renew", "delete"), (OLD,)),
        (("keep", "delete"), (OLD, OLD + 60, 3_000)),
        (("renew", "delete", "delete"), (OLD,)),
        (("renew", "delete"), (OLD, OLD)),
        (("renew", "renew"), (2 * OLD, OLD)),
        (("keep", "delete", "delete"), (OLD,)),
        (("keep", "renew", "delete"), (OLD,)),
        (("renew", "delete"), (3 * OLD, 2 * OLD, OLD)),
        (("keep", "keep", "delete"), ()),
    ],
)
def test_no_order_loses_a_blob_that_somebody_has_kept_or_renewed(
    tmp_path: Path, parts: Sequence[str], ages: Sequence[int]
) -> None:
    tried, lost = Play(tmp_path, ObjectBlobs, parts, ages).lost_in()

    assert lost is None
    assert tried > 1


# --- the trial finds what it is for -------------------------------------------------------------


class RenewsWithoutACopy(ObjectBlobs):
    def _copy(self, source: Object) -> bool:
        return self._bucket.look(source.name) is not None


class BelievesInACopy(ObjectBlobs):
    def _copy(self, source: Object) -> bool:
        super()._copy(source)
        return True


class DeletesWhatItDidNotSee(ObjectBlobs):
    def _delete(self, blob: str, kept_before: datetime | None) -> bool:
        there = self._objects(blob)
        if there and kept_before and objects._is_before(there[-1], kept_before):
            self._bucket.delete([one.name for one in self._objects(blob)])
        return True


@pytest.mark.parametrize(
    ("kind", "parts", "ages"),
    [
        (RenewsWithoutACopy, ("keep", "delete"), (OLD,)),
        (BelievesInACopy, ("renew", "delete"), (OLD,)),
        (DeletesWhatItDidNotSee, ("keep", "delete"), (OLD,)),
    ],
)
def test_a_mistake_is_found(
    tmp_path: Path, kind: type[ObjectBlobs], parts: Sequence[str], ages: Sequence[int]
) -> None:
    _, lost = Play(tmp_path, kind, parts, ages).lost_in()

    assert lost is not None


def test_a_name_that_is_used_twice_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_new_name", lambda blob: f"{blob}/{'0' * 32}")

    _, lost = Play(tmp_path, ObjectBlobs, ("keep", "delete"), (OLD,)).lost_in()

    assert lost is not None
