"""Downloads one file several times at once, and says what came and when: a process of its own."""

import os
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from zlib import crc32

import msgspec

_PIECE = 1 << 20


def main() -> None:
    """Fetch as the command line says: port, path, how often, and a key if there is one."""
    port, path, times, key = sys.argv[1:]
    began = time.perf_counter()
    with ThreadPoolExecutor(int(times)) as pool:
        asked = [pool.submit(_fetch, int(port), path, key) for _ in range(int(times))]
        came = [one.result() for one in asked]
    told = {
        "took_s": time.perf_counter() - began,
        "first_byte_s": max(at for at, _ in came) - began,
        "checksums": [checksum for _, checksum in came],
    }
    os.write(1, msgspec.json.encode(told))


def _fetch(port: int, path: str, key: str) -> tuple[float, int]:
    """Return when the first byte of the file came, and the checksum of all."""
    head = f"GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n"
    if key:
        head += f"authorization: Bearer {key}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=240) as connection:
        connection.sendall(f"{head}\r\n".encode())
        heard = b""
        while b"\r\n\r\n" not in heard:
            piece = connection.recv(65_536)
            if not piece:
                raise ConnectionError(f"no answer came: {heard[:500]!r}")
            heard += piece
        at = time.perf_counter()
        top, _, body = heard.partition(b"\r\n\r\n")
        lines = top.lower().split(b"\r\n")
        if lines[0][9:12] != b"200":
            raise ConnectionError(f"an unexpected answer: {heard[:500]!r}")
        (length,) = (int(line[16:]) for line in lines if line.startswith(b"content-length: "))
        checksum, left = crc32(body), length - len(body)
        buffer = memoryview(bytearray(_PIECE))
        while left:
            got = connection.recv_into(buffer)
            if not got:
                raise ConnectionError(f"{left} bytes never came")
            checksum, left = crc32(buffer[:got], checksum), left - got
    return at, checksum


if __name__ == "__main__":
    main()
