"""The stock OpenAI client, newest and old, against a running service: its API closed, its users did not."""

import base64
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from standardwebhooks.webhooks import Webhook

from filmgate.providers.sandbox import CLIP, PICTURE
from tests.e2e.service import Service, serving

ROOT: Final = Path(__file__).parents[2]
SCRIPT: Final = ROOT / "tests" / "clients" / "openai_videos.py"
STEPS: Final = re.findall(r"^    (\w+),$", SCRIPT.read_text().partition("STEPS = (")[2], re.MULTILINE)
OLD: Final = "openai-2.24"


@pytest.fixture(name="service", scope="module")
def _service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("openai") / "data") as service:
        yield service


def old_client() -> Path:
    """Return the folder of the old client, installed from its lock file; once, and kept."""
    lock = ROOT / "requirements" / f"{OLD}.txt"
    folder = ROOT / ".make" / f"{OLD}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    if folder.exists():
        return folder
    folder.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        pip = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input", "install"]
        locked = [
            "--require-hashes",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--target",
            made,
            "-r",
            str(lock),
        ]
        subprocess.run([*pip, *locked], check=True, timeout=300)
        try:
            Path(made).rename(folder)
        except OSError:  # another process of these tests was faster
            assert folder.exists()
        else:
            Path(made).mkdir()  # for the context manager to remove
    return folder


def a_delivery() -> str:
    """Return a webhook as we send one, signed by the standard's own library."""
    secret = "whsec_" + base64.b64encode(b"a secret of 24 bytes ...").decode()
    now = datetime.now(UTC)
    event = {
        "id": "evt_1",
        "object": "event",
        "type": "video.completed",
        "created_at": int(now.timestamp()),
        "data": {"id": "task_x"},
    }
    body = json.dumps(event)
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("evt_1", now, body),
    }
    return json.dumps({"secret": secret, "body": body, "headers": headers})


@pytest.mark.parametrize("version", ["newest", "2.24"])
def test_everything_that_the_stock_client_does_with_videos(service: Service, version: str) -> None:
    picture = PICTURE.source.read_bytes()
    # Without site packages the old client sees nothing but its own folder.
    isolated, path = (["-S"], str(old_client())) if version == "2.24" else ([], "")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")},
        "PYTHONPATH": path,
        "BASE_URL": f"{service.url}/v1",
        "KEY": service.new_key(credits_=1_000),
        "EMPTY_KEY": service.new_key(credits_=0),
        "PICTURE": str(PICTURE.source),
        "CLIP": str(CLIP.source),
        "DATA_URI": "data:image/png;base64," + base64.b64encode(picture).decode(),
        "DELIVERY": a_delivery(),
    }

    ran = subprocess.run(
        [sys.executable, *isolated, str(SCRIPT)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    print(ran.stdout, ran.stderr)
    used, *passed = ran.stdout.splitlines()
    assert ran.returncode == 0
    assert passed == STEPS
    assert used.startswith("2.24.") is (version == "2.24")


# --- the retry that a stock client makes by itself ----------------------------------------------


def raw_submit(service: Service, key: str, *, retry: int) -> bytes:
    """Return a submission as the client sends it."""
    body = json.dumps({"model": "sandbox", "prompt": "nobody heard of it"}).encode()
    head = (
        f"POST /v1/videos HTTP/1.1\r\nhost: 127.0.0.1:{service.port}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        f"x-stainless-retry-count: {retry}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


def videos_of(service: Service, key: str) -> list[dict[str, Any]]:
    reply = httpx2.get(f"{service.url}/v1/videos", headers={"authorization": f"Bearer {key}"})
    data: list[dict[str, Any]] = reply.json()["data"]
    return data


def test_a_submit_whose_connection_broke_is_retried_into_the_same_video(service: Service) -> None:
    key = service.new_key(credits_=0)
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(raw_submit(service, key, retry=0))
    until = time.monotonic() + 10
    while not videos_of(service, key) and time.monotonic() < until:
        time.sleep(0.02)  # as a client that backs off

    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        connection.sendall(raw_submit(service, key, retry=1))
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))

    (video,) = videos_of(service, key)
    assert video["id"].encode() in answer
    assert b"idempotent-replayed: true" in answer
