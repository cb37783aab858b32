"""Clients that were written for the vendors, kept as they are: only the address and the key are ours."""

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final

import httpx2
import pytest

from filmgate.providers.sandbox import CLIP, PICTURE
from tests.e2e.service import Service, serving

CLIENTS: Final = Path(__file__).parents[1] / "clients"
SCRIPTS: Final = sorted(
    path for path in CLIENTS.iterdir() if path.suffix in {".py", ".sh"} and path.stem != "openai_videos"
)


@pytest.fixture(name="service", scope="module")
def _service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory = tmp_path_factory.mktemp("vendors")
    # The vendors' models, run by the sandbox: what is tested is how clients speak, not what is drawn.
    shipped = resources.files("filmgate").joinpath("catalogue.toml").read_text(encoding="utf-8")
    catalogue = directory / "catalogue.toml"
    catalogue.write_text(
        re.sub(r"^(checked = .*)$", r'\1\nroutes = [{ provider = "sandbox" }]', shipped, flags=re.MULTILINE)
    )
    with serving(directory / "data", catalogue=catalogue) as service:
        yield service


@pytest.fixture(name="environment")
def _environment(service: Service, tmp_path: Path) -> dict[str, str]:
    key = service.new_key(credits_=10_000)
    picture = base64.b64encode(PICTURE.source.read_bytes()).decode()
    return os.environ | {
        "BASE_URL": service.url,
        "API_KEY": key,
        "OUT": str(tmp_path),
        "PICTURE": str(PICTURE.source),
        "DATA_URI": f"data:image/png;base64,{picture}",
        "PICTURE_URL": a_link(service, key, "sandbox-image"),
        "CLIP_URL": a_link(service, key, "sandbox"),
    }


def a_link(service: Service, key: str, model: str) -> str:
    """Return a link of this service's own to something that it made."""
    with httpx2.Client(base_url=service.url, headers={"x-api-key": key}) as api:
        made = api.post("/v1/tasks/submit", json={"model": model, "prompt": "a card"}).json()
        found = api.get("/v1/tasks/query", params={"task_id": made["task_id"], "wait": 20}).json()
    link: str = found["output"][0]["url"]
    return link


@pytest.mark.parametrize("script", SCRIPTS, ids=[path.name for path in SCRIPTS])
def test_a_client_of_the_vendor_gets_its_film(script: Path, environment: dict[str, str]) -> None:
    interpreter = ["sh"] if script.suffix == ".sh" else [sys.executable]

    ran = subprocess.run(
        [*interpreter, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    print(ran.stdout, ran.stderr)
    assert ran.returncode == 0
    *_, last = ran.stdout.splitlines()
    film = httpx2.get(last).content if last.startswith("http") else Path(last).read_bytes()
    assert film in {CLIP.source.read_bytes(), PICTURE.source.read_bytes()}
