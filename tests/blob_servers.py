"""Object stores for tests: a server that speaks S3, ones that fail, and buckets on a test's own clock."""

import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final, Self

from filmgate.blobs.bucket import Bucket, Object

if TYPE_CHECKING:
    from obstore import ObjectMeta

BUCKET: Final = "films"
SECRET: Final = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
STARTS_WITHIN_S: Final = 30.0


def environment(endpoint: str) -> dict[str, str]:
    """Return what a process that uses the S3 at `endpoint` has in its environment."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }


@contextmanager
def s3_server() -> Iterator[str]:
    """Yield the address of an S3 server with the bucket `BUCKET`. It checks no signatures."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, server)
        bucket = urllib.request.Request(f"http://127.0.0.1:{port}/{BUCKET}", method="PUT")
        urllib.request.urlopen(bucket).close()  # noqa: S310  (its address is ours)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            assert server.poll() is None, "the S3 server ended"
            assert time.monotonic() < until, "the S3 server did not start"
            time.sleep(0.05)
        else:
            return


@contextmanager
def refusing(status: int, code: str) -> Iterator[str]:
    """Yield the address of a server that has the same error for everyone."""
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()

    class Refusal(BaseHTTPRequestHandler):
        def _refuse(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", "0")))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _refuse  # noqa: N815  (names of the library)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name in the library)
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Severed:
    """A way to a server that breaks, for good, once a client has sent `after_bytes` over it."""

    def __init__(self, endpoint: str, *, after_bytes: int) -> None:
        """Listen on a port of its own."""
        self._target = int(endpoint.rpartition(":")[2])
        self._left = after_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()

    @property
    def is_cut(self) -> bool:
        """Whether so much has been sent."""
        return self._left <= 0

    def cut(self) -> None:
        """Break every connection, and take no more."""
        self._left = 0
        for one in (self._listener, *self._open):
            with suppress(OSError):  # it may have gone by itself
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):  # which is how a closed listener ends
            while True:
                ours, _ = self._listener.accept()
                its = socket.create_connection(("127.0.0.1", self._target))
                self._open += [ours, its]
                for source, sink in ((ours, its), (its, ours)):
                    threading.Thread(
                        target=self._pump, args=(source, sink, source is ours), daemon=True
                    ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, counted: bool) -> None:  # noqa: FBT001
        with suppress(OSError):
            while piece := source.recv(65_536):
                self._left -= len(piece) if counted else 0
                if self.is_cut:
                    self.cut()
                    return
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)


class TimedBucket(Bucket):
    """A real bucket in which objects were put when a test's clock says, in whole seconds as on S3."""

    def __init__(self, bucket: Bucket, now: Callable[[], datetime]) -> None:
        """Take the place of `bucket`, empty until now."""
        super().__init__(bucket._store, bucket._prefix.rstrip("/"))
        self._now = now
        self._put_at: dict[str, datetime] = {}

    def put(self, name: str, content: bytes | Iterator[bytes]) -> None:
        super().put(name, content)
        self._put_at[name] = self._now()

    def copy(self, source: str, name: str) -> bool:
        done = super().copy(source, name)
        self._put_at[name] = self._now()
        return done

    def _object(self, meta: "ObjectMeta") -> Object:
        one = super()._object(meta)
        return replace(one, at=self._put_at.get(one.name, self._now()).replace(microsecond=0))
