"""A receiver of webhooks: notes what is posted to it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

PATIENCE_S: Final = 20


@dataclass
class Receiver:
    """A server that notes what is posted to it, and answers as the path says: `/500` fails."""

    url: str = ""
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    fails: bool = False
    _came: threading.Condition = field(default_factory=threading.Condition)

    def note(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Note a request, and return the status to answer with."""
        with self._came:
            self.got.append((path, headers, body))
            self._came.notify_all()
        return 500 if self.fails else 200

    def wait(self, path: str, times: int = 1) -> tuple[dict[str, str], bytes]:
        """Return headers and body of what came to `path`, the `times`-th of it."""
        with self._came:
            found = self._came.wait_for(lambda: self._of(path)[times - 1 :], PATIENCE_S)
        assert found, f"nothing came to {path}"
        return found[0]

    def _of(self, path: str) -> list[tuple[dict[str, str], bytes]]:
        return [(headers, body) for there, headers, body in self.got if there == path]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Receive on a free loopback port."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(receiver.note(self.path, headers, body))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
