"""A way to a service that can be cut: what a restarted proxy or a lost network does to a client."""

import socket
import threading
from contextlib import suppress
from typing import Self


class Proxy:
    """Passes bytes on between clients and a service on this machine."""

    def __init__(self, port: int) -> None:
        """Listen on a port of its own, in front of the service's."""
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.connections = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Break every connection; new ones are taken as before."""
        while self._open:
            connection = self._open.pop()
            with suppress(OSError):  # it may have gone by itself
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):  # which is how a closed listener ends
            while True:
                ours, _ = self._listener.accept()
                its = socket.create_connection(("127.0.0.1", self._target))
                self.connections += 1
                self._open += [ours, its]
                for source, sink in ((ours, its), (its, ours)):
                    threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65_536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
