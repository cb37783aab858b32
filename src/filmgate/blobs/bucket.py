"""A bucket of an object store, as calls that block; its errors as ours."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from filmgate.core.errors import InvalidSettings, StoreUnavailable

if TYPE_CHECKING:  # obstore has these for type checkers alone
    from obstore import ObjectMeta
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

PART_BYTES: Final = 5 << 20  # the least that S3 takes as a part; it takes 10,000: 50 GB
PARTS_AT_ONCE: Final = 2
PIECE_BYTES: Final = 256 * 1024
PATIENCE_S: Final = 30.0
DOWNLOAD_S: Final = 3_600.0
PAGE: Final = 1_000  # as many as stores list in one answer

_URL: Final = re.compile(r"(s3|gs|az)://([a-z0-9][a-z0-9._-]{1,221})((?:/[A-Za-z0-9._-]{1,100}){0,10})/?")
_QUERY: Final = re.compile(r"(https?://[^\s?]+)\?\S*")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """What a bucket has under `name`; it was put there at `at`, by the store's clock, in whole seconds."""

    name: str
    size_bytes: int
    at: datetime


class Bucket:
    """What is below `prefix` in a bucket. Everything raises StoreUnavailable where the store fails us.

    obstore's asynchronous calls can abort the interpreter at its exit: these block, for threads.
    """

    def __init__(self, store: "ObjectStore", prefix: str = "") -> None:
        self._store = store
        self._prefix = f"{prefix}/" if prefix else ""

    def put(self, name: str, content: bytes | Iterator[bytes]) -> None:
        """Store an object: all of it, durably, or none. What `content` raises goes through."""
        with _answered("put"):
            obstore.put(
                self._store,
                self._prefix + name,
                content,
                use_multipart=not isinstance(content, bytes),
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )

    def copy(self, source: str, name: str) -> bool:
        """Have the store copy an object, or return False if it has none of the name `source`."""
        with suppress(FileNotFoundError), _answered("copy", missing=FileNotFoundError):
            obstore.copy(self._store, self._prefix + source, self._prefix + name)
            return True
        return False

    def look(self, name: str) -> Object | None:
        """Return what is there under this very name."""
        with suppress(FileNotFoundError), _answered("head", missing=FileNotFoundError):
            return self._object(obstore.head(self._store, self._prefix + name))
        return None

    def list(self, under: str = "", *, after: str = "") -> Iterator[Object]:
        """Yield the objects in the folder `under`, or all, in order of their names, from past `after`."""
        stream = obstore.list(
            self._store,
            (self._prefix + under).rstrip("/") or None,
            offset=self._prefix + after if after else None,
            chunk_size=PAGE,
        )
        while True:
            with _answered("list"):
                page = next(stream, None)
            if page is None:
                return
            yield from map(self._object, page)

    def stream(self, name: str, offset: int) -> Iterator[bytes]:
        """Return an object from `offset` to its end, in one GET; FileNotFoundError if there is none."""
        with _answered("get", missing=FileNotFoundError):
            found = obstore.get(self._store, self._prefix + name, options={"range": {"offset": offset}})
            return _pieces(iter(found.stream(min_chunk_size=PIECE_BYTES)))

    def delete(self, names: Sequence[str]) -> None:
        """Remove objects; one that is not there is gone."""
        for name in names:
            with suppress(FileNotFoundError), _answered("delete", missing=FileNotFoundError):
                obstore.delete(self._store, self._prefix + name)

    def link(self, name: str, *, lifetime_s: int) -> str:
        """Return a URL by which anyone may GET an object for so long; no question to the store."""
        assert isinstance(self._store, S3Store), "links are for S3"
        with _answered("sign"):
            return obstore.sign(self._store, "GET", self._prefix + name, timedelta(seconds=lifetime_s))

    def _object(self, meta: "ObjectMeta") -> Object:
        return Object(
            name=meta["path"].removeprefix(self._prefix),
            size_bytes=meta["size"],
            # Some stores tell fractions of a second in lists, none in headers.
            at=meta["last_modified"].replace(microsecond=0),
        )


def bucket_at(url: str, environment: Mapping[str, str], *, patience_s: float = PATIENCE_S) -> Bucket:
    """Return the bucket at `s3://bucket/prefix`, `gs://...` or `az://...`; it is not asked for anything yet.

    Who we are and where the store is, obstore takes from the process's environment: AWS_*, GOOGLE_*,
    AZURE_*. No call lasts longer than about twice `patience_s`, downloads apart: those may go on as
    long as something comes.
    """
    found = _URL.fullmatch(url)
    if found is None or {".", ".."} & set(found[3].split("/")):
        raise InvalidSettings(
            "blobs: must be s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
        )
    scheme, bucket, prefix = found[1], found[2], found[3].strip("/")
    patience = timedelta(seconds=patience_s)
    client: ClientConfig = {
        "allow_http": True,  # whether an endpoint is http or https is the operator's word
        "connect_timeout": timedelta(seconds=5),
        "read_timeout": patience,
        "timeout": timedelta(seconds=DOWNLOAD_S),
    }
    retry: RetryConfig = {
        "max_retries": 6,
        "retry_timeout": patience,
        "backoff": {"max_backoff": timedelta(seconds=5)},
    }
    try:
        return Bucket(_store(scheme, bucket, environment, client, retry), prefix)
    except (BaseError, ValueError) as error:
        raise InvalidSettings(f"blobs: {_reason(error)}") from error


def _store(
    scheme: str, bucket: str, environment: Mapping[str, str], client: "ClientConfig", retry: "RetryConfig"
) -> "ObjectStore":
    match scheme:
        case "s3":
            return S3Store(bucket, client_options=client, retry_config=retry)
        case "gs":
            return GCSStore(bucket, client_options=client, retry_config=retry)
        case _:
            # obstore 0.12 panics if the account is only in the environment.
            account = environment.get("AZURE_STORAGE_ACCOUNT_NAME")
            if not account:
                raise InvalidSettings("blobs: az:// needs AZURE_STORAGE_ACCOUNT_NAME in the environment")
            return AzureStore(bucket, account_name=account, client_options=client, retry_config=retry)


def _pieces(stream: Iterator[bytes]) -> Iterator[bytes]:
    while True:
        with _answered("get"):
            piece = next(stream, None)
        if piece is None:
            return
        yield piece


@contextmanager
def _answered(doing: str, *, missing: type[FileNotFoundError] | None = None) -> Iterator[None]:
    """Turn what obstore raises into StoreUnavailable, save for what is `missing`; the log says why."""
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        if missing is not None and isinstance(error, missing):
            raise
        _log.warning("object_store_failed", doing=doing, reason=_reason(error))
        raise StoreUnavailable("the object store did not do its part; try again") from error


def _reason(error: Exception) -> str:
    """Return what obstore says without its inside, or what is signed."""
    said, _, _ = str(error).partition("\n\nDebug source")
    return _QUERY.sub(r"\1", " ".join(said.split()))[:500]
