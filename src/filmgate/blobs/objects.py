"""Blobs on an object store: S3, Google Cloud Storage or Azure, for any number of processes."""

import asyncio
import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from io import FileIO
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from filmgate.blobs.copies import Copies
from filmgate.blobs.files import CHUNK_BYTES, copied, open_regular
from filmgate.core.errors import InvalidSettings, StoreUnavailable
from filmgate.ports.blobs import GRACE, Blob

if TYPE_CHECKING:  # it needs the extra `objects`
    from filmgate.blobs.bucket import Bucket, Object
    from filmgate.blobs.presigned import Presigner

STEADY: Final = timedelta(seconds=60)  # what was kept so lately is not copied for being kept again
SMALL_BYTES: Final = 5 << 20  # up to this, one PUT
TRIES: Final = 3

_ID: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"([0-9a-f]{64})/[0-9a-f]{32}")
_SECOND: Final = timedelta(seconds=1)


def blobs_at(
    url: str, *, copies: Copies, redirect: bool, environment: Mapping[str, str], patience_s: float = 30.0
) -> "ObjectBlobs":
    """Return the blobs at `s3://bucket/prefix`, `gs://...` or `az://...`; nothing is asked of it yet.

    With `redirect`, clients fetch files there, by links of an hour. `environment` is the process's, which
    obstore reads by itself. Raise InvalidSettings for what cannot be.
    """
    try:
        from filmgate.blobs.bucket import bucket_at  # noqa: PLC0415  (it needs the extra `objects`)
        from filmgate.blobs.presigned import Presigner  # noqa: PLC0415  (the same)
    except ImportError as error:
        raise InvalidSettings("blobs: a bucket needs obstore: pip install 'filmgate[objects]'") from error
    bucket = bucket_at(url, environment, patience_s=patience_s)
    if not redirect:
        return ObjectBlobs(bucket, copies)
    secret = environment.get("AWS_SECRET_ACCESS_KEY", "")
    if not (url.startswith("s3:") and environment.get("AWS_ACCESS_KEY_ID") and secret):
        needs = "s3://, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; all else goes by proxy"
        raise InvalidSettings(f"blob_links: redirect needs {needs}")
    return ObjectBlobs(bucket, copies, presigner=Presigner(bucket, secret))


def _now() -> datetime:
    return datetime.now(UTC)


class ObjectBlobs:
    """Implements `ports.blobs.Blobs` as objects `<sha256>/<random>`: a blob may have several.

    No name is used twice. To keep a blob anew is to put, or to copy, an object of a new name; to delete
    one is to delete names that were seen, each of them old. So whoever deletes, however late, cannot take
    what somebody kept meanwhile, and nobody needs a lock. See ADR 13.
    """

    def __init__(
        self,
        bucket: "Bucket",
        copies: Copies,
        *,
        presigner: "Presigner | None" = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._bucket = bucket
        self._copies = copies
        self._presigner = presigner
        self._now = now

    async def keep(self, path: Path) -> Blob:
        return await asyncio.to_thread(self._keep, path)

    async def renew(self, blob: str) -> bool:
        return _ID.fullmatch(blob) is not None and await asyncio.to_thread(self._renew, blob)

    async def open(self, blob: str) -> "ObjectReader | None":
        if not _ID.fullmatch(blob):
            return None
        return await asyncio.to_thread(self._open, blob)

    async def path(self, blob: str) -> Path | None:
        if not _ID.fullmatch(blob):
            return None
        return await asyncio.to_thread(self._path, blob)

    async def link(self, blob: str, *, lifetime_s: int, disposition: str, mime: str) -> str | None:
        if self._presigner is None or not _ID.fullmatch(blob):
            return None
        found = await asyncio.to_thread(self._newest, blob)
        if found is None:
            return None
        return self._presigner.link(found.name, lifetime_s=lifetime_s, disposition=disposition, mime=mime)

    async def delete(self, blob: str, *, kept_before: datetime | None = None) -> bool:
        return _ID.fullmatch(blob) is None or await asyncio.to_thread(self._delete, blob, kept_before)

    async def kept_before(self, at: datetime, *, after: str = "", limit: int = 1_000) -> Sequence[str]:
        return await asyncio.to_thread(lambda: list(islice(self._kept_before(at, after), limit)))

    # --- storing --------------------------------------------------------------------------------

    def _keep(self, path: Path) -> Blob:
        with open_regular(path) as source:
            blob = copied(source, None)
            if not self._renew(blob.id):
                source.seek(0)
                content = _content(source, blob.id)
                self._bucket.put(
                    _new_name(blob.id), b"".join(content) if blob.size_bytes <= SMALL_BYTES else content
                )
        return blob

    def _renew(self, blob: str) -> bool:
        for _ in range(TRIES):
            there = self._objects(blob)
            if not there:
                return False
            newest = there[-1]
            # The other way about, our clock is far from the store's: then rather a copy too many.
            if abs(self._now() - newest.at) <= STEADY:
                return True
            if self._copy(newest):
                self._prune(there)
                return True
            # It was deleted in between; perhaps there is another one by now.
        return False

    def _copy(self, source: "Object") -> bool:
        name = _new_name(source.name.partition("/")[0])
        if not self._bucket.copy(source.name, name):
            return False
        # S3 may say 200 and mean an error.
        copy = self._bucket.look(name)
        if copy is None or copy.size_bytes != source.size_bytes:
            self._bucket.delete([name])
            raise StoreUnavailable("the object store did not copy a file; try again")
        return True

    # --- how long -------------------------------------------------------------------------------

    def _delete(self, blob: str, kept_before: datetime | None) -> bool:
        there = self._objects(blob)
        if kept_before is not None and there and not _is_before(there[-1], kept_before):
            return False
        self._bucket.delete([one.name for one in there])
        self._copies.drop(blob)
        return True

    def _prune(self, there: "Sequence[Object]") -> None:
        """Remove objects that had a successor an hour ago: nobody reads those any more."""
        settled = [one for one in there if _is_before(one, self._now() - GRACE)]
        self._bucket.delete([one.name for one in settled[:-1]])

    def _kept_before(self, at: datetime, after: str) -> Iterator[str]:
        objects = self._bucket.list(after=f"{after}0" if after else "")  # "0" comes right after "/"
        for blob, group in groupby(objects, key=_blob_of):
            if blob is not None and all(_is_before(one, at) for one in group):
                yield blob

    # --- reading --------------------------------------------------------------------------------

    def _open(self, blob: str) -> "ObjectReader | None":
        newest = self._newest(blob)
        if newest is None:
            return None
        return ObjectReader(lambda offset: self._stream(blob, newest, offset), newest.size_bytes)

    def _stream(self, blob: str, one: "Object", offset: int) -> Iterator[bytes]:
        try:
            return self._bucket.stream(one.name, offset)
        except FileNotFoundError as error:
            other = self._newest(blob)  # the same content under another name
            if other is None or other == one:
                raise StoreUnavailable("a stored file went away while it was read") from error
            return self._bucket.stream(other.name, offset)

    def _path(self, blob: str) -> Path | None:
        reader = self._open(blob)
        if reader is None:
            self._copies.drop(blob)
            return None
        found = self._copies.find(blob, reader.size_bytes)
        if found is not None:
            return found
        whole = range(0, reader.size_bytes, CHUNK_BYTES)
        return self._copies.add(blob, (reader.read(offset, CHUNK_BYTES) for offset in whole))

    def _newest(self, blob: str) -> "Object | None":
        return next(reversed(self._objects(blob)), None)

    def _objects(self, blob: str) -> "list[Object]":
        """Return a blob's objects, the one that was made last at the end."""
        there = [one for one in self._bucket.list(blob) if _blob_of(one) == blob]
        return sorted(there, key=lambda one: (one.at, one.name))


class ObjectReader:
    """Implements `ports.blobs.Reader`: a read that goes on where the last one ended goes on with its GET.

    Any other begins a GET, to the end of the blob. One that breaks off is begun again where it was.
    """

    def __init__(self, stream: Callable[[int], Iterator[bytes]], size_bytes: int) -> None:
        """Take what begins a GET at an offset."""
        self._stream = stream
        self._size_bytes = size_bytes
        self._lock = threading.Lock()
        self._closed = False
        self._at = 0
        self._coming: Iterator[bytes] | None = None
        self._rest = memoryview(b"")

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def read(self, offset: int, length: int) -> bytes:
        length = min(length, self._size_bytes - offset)
        if length <= 0:
            return b""
        with self._lock:
            if self._closed:
                raise ValueError("read of a closed blob")
            if offset != self._at:
                self._drop()
                self._at = offset
            try:
                return b"".join(self._pieces(length))
            finally:
                self._drop_if_closed()

    def close(self) -> None:
        self._closed = True
        # Never waits for a read: that one lets go of the GET itself.
        if self._lock.acquire(blocking=False):
            self._drop()
            self._lock.release()

    def _pieces(self, length: int) -> Iterator[memoryview]:
        while length:
            if not self._rest:
                self._rest = memoryview(self._more())
            piece, self._rest = self._rest[:length], self._rest[length:]
            self._at += len(piece)
            length -= len(piece)
            yield piece

    def _more(self) -> bytes:
        if self._coming is not None:
            try:
                if piece := next(self._coming, b""):
                    return piece
            except StoreUnavailable:
                pass  # it brought something before it broke off
        self._coming = self._stream(self._at)
        piece = next(self._coming, b"")
        if not piece:
            raise StoreUnavailable("a stored file is shorter than it was")
        return piece

    def _drop_if_closed(self) -> None:
        if self._closed:
            self._drop()

    def _drop(self) -> None:
        self._coming, self._rest = None, memoryview(b"")


def _content(source: FileIO, blob: str) -> Iterator[bytes]:
    """Yield a file in chunks; raise rather than come to the end if it changed meanwhile."""
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK_BYTES):
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != blob:
        raise OSError("a file changed while it was stored")


def _new_name(blob: str) -> str:
    return f"{blob}/{uuid4().hex}"


def _blob_of(one: "Object") -> str | None:
    name = _NAME.fullmatch(one.name)
    return name[1] if name else None


def _is_before(one: "Object", at: datetime) -> bool:
    """Say whether an object was kept before `at`, however late in its second, and for how long it counted."""
    return one.at <= at - STEADY - _SECOND
