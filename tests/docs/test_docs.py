"""Does what the documentation says: its commands, its Python, its links."""

import getopt
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from standardwebhooks.webhooks import Webhook

from filmgate.providers.sandbox import PICTURE
from tests.e2e.service import Service, free_port, serving
from tests.unit.client.videos import video

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENDS_WITHIN_S = 60.0
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldA=="
# Programs that go on until they are stopped, and pieces of what somebody is to write.
NOT_RUN = {
    "docs/guides/receive-webhooks.md",
    "docs/guides/add-a-dialect.md",
    "docs/guides/add-a-provider.md",
}


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Yield the language and the text of each fenced block of a page."""
    for match in FENCE.finditer((ROOT / page).read_text()):
        yield match[1], match[2]


def pages_with(language: str) -> list[str]:
    names = [page.relative_to(ROOT).as_posix() for page in PAGES]
    return [name for name in names if any(found == language for found, _ in blocks(name))]


@pytest.fixture(name="service", scope="module")
def _service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("docs") / "data") as service:
        yield service


@pytest.fixture(name="desk")
def _desk(tmp_path: Path) -> Path:
    """Return a reader's directory, with pictures to send."""
    for name in ("boat.png", "harbour.png"):
        (tmp_path / name).write_bytes(PICTURE.source.read_bytes())
    return tmp_path


# --- programs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", sorted(set(pages_with("python")) - NOT_RUN))
def test_the_python_of_a_page_runs(page: str, service: Service, desk: Path) -> None:
    key = service.new_key(credits_=1_000)
    program = "\n".join(text for language, text in blocks(page) if language == "python")

    run = subprocess.run(
        [sys.executable, "-W", "ignore:The Sora API", "-c", f"KEY = {key!r}\n{here(program, service)}"],
        cwd=desk,
        env={**os.environ, "FILMGATE_URL": service.url, "FILMGATE_API_KEY": key},
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    for film in desk.glob("*.mp4"):
        assert_film(film)


@pytest.mark.parametrize("number", [0, 1, 2], ids=["ours", "reference", "node"])
def test_a_receiver_takes_what_was_signed_and_refuses_the_rest(number: int, tmp_path: Path) -> None:
    """Each program of the guide to webhooks: a sender that has the secret, and one that has not."""
    programs = [found for found in blocks("docs/guides/receive-webhooks.md") if found[0] in {"python", "js"}]
    language, program = programs[number]
    command = {"python": sys.executable, "js": shutil.which("node")}[language]
    if command is None:
        pytest.skip("there is no node here")
    port = free_port()
    file = tmp_path / ("receiver.py" if language == "python" else "receiver.mjs")
    file.write_text(program.replace("9000", str(port)))

    with subprocess.Popen(
        [command, str(file)],
        env={**os.environ, "WEBHOOK_SECRET": SECRET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as receiver:
        try:
            assert [deliver(port, secret) for secret in (SECRET, OTHER_SECRET)] == [204, 400]
        finally:
            receiver.terminate()


def deliver(port: int, secret: str) -> int:
    """Send a webhook once somebody listens, and return what is answered."""
    now = datetime.now(UTC)
    body = json.dumps({"type": "video.completed", "timestamp": now.isoformat(), "data": video()})
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("evt_1", now, body),
    }
    until = time.monotonic() + ENDS_WITHIN_S
    while True:
        try:
            return httpx2.post(f"http://127.0.0.1:{port}/hook", content=body, headers=headers).status_code
        except httpx2.ConnectError:
            assert time.monotonic() < until, "nobody listens"
            time.sleep(0.05)


def assert_film(path: Path) -> None:
    assert path.read_bytes()[4:8] == b"ftyp", f"{path.name} is no MP4"


# --- commands -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", pages_with("sh"))
def test_the_commands_of_a_page_work(page: str, service: Service, desk: Path) -> None:
    reader = Reader(service, desk)

    for (language, text), (next_language, next_text) in itertools.pairwise([*blocks(page), ("", "")]):
        if language == "sh":
            answer = reader.run(text)
            if next_language == "json":
                assert answer is not None, f"nothing answers {text}"
                assert shape(answer.json()) == shape(json.loads(next_text)), f"the answer to {text}"

    for film in reader.saved:
        assert_film(film)


class Reader:
    """Types what a page says into a shell with `KEY` and `TASK`, and insists that it works."""

    def __init__(self, service: Service, directory: Path) -> None:
        """Come with a key, as the page's reader would."""
        self._service = service
        self._directory = directory
        self._key = service.new_key(credits_=1_000)
        self._task = ""
        self.saved: list[Path] = []

    def run(self, block: str) -> httpx2.Response | None:
        """Run the commands of a block one after the other, and return what was answered last."""
        answer = None
        for command in commands(block):
            assert not re.search(r"'[^']*\$\w[^']*'", command), (
                f"a shell expands nothing in quotes: {command}"
            )
            if "$TASK" in command:
                self._wait()
            known = command.replace("$KEY", self._key).replace("$TASK", self._task)
            words = shlex.split(here(known, self._service), comments=True)
            if words[0] == "filmgate":
                self._type(words[1:])
            else:
                answer = self._curl(words)
        return answer

    def _curl(self, words: list[str]) -> httpx2.Response:
        answer, saved = curl(words, self._directory)
        assert answer.is_success, f"{words}\n{answer.status_code} {answer.text}"
        if answer.request.method == "POST":
            self._task = answer.headers.get("x-filmgate-task-id", self._task)
        self.saved += saved
        return answer

    def _type(self, words: list[str]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "filmgate", *words],
            cwd=self._directory,
            env={**os.environ, "FILMGATE_DATA": str(self._service.data)},
            capture_output=True,
            text=True,
            timeout=ENDS_WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stderr}"
        self.saved += [self._directory / word for word in words if word.endswith(".mp4")]

    def _wait(self) -> None:
        until = time.monotonic() + ENDS_WITHIN_S
        status = ""
        while time.monotonic() < until:
            url = f"{self._service.url}/v1/videos/{self._task}"
            status = httpx2.get(url, headers={"x-api-key": self._key}).json()["status"]
            if status not in {"queued", "in_progress"}:
                break
            time.sleep(0.1)
        assert status == "completed", f"{self._task} is {status}"


def commands(block: str) -> Iterator[str]:
    """Yield the commands of a block: a line each, unless it is continued or a quotation is open."""
    pending = ""
    for line in block.replace("\\\n", " ").splitlines():
        pending += line + "\n"
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:
            continue
        if words:
            yield pending
        pending = ""
    assert not pending, f"a quotation is not closed: {pending}"


def curl(words: list[str], directory: Path) -> tuple[httpx2.Response, list[Path]]:
    """Do what `curl` would, which a bare machine may lack: return its answer and the files it wrote."""
    assert words[0] == "curl", f"{words[0]}: only curl is understood here"
    options, addresses = getopt.gnu_getopt(words[1:], "sLH:F:d:o:X:", ["data="])
    assert len(addresses) == 1, f"one address is needed, not {addresses}"
    headers: dict[str, str] = {}
    form: list[tuple[str, tuple[str | None, str | bytes]]] = []
    data = method = None
    saved: list[Path] = []
    follow = False
    for option, value in options:
        match option:
            case "-L":
                follow = True
            case "-H":
                name, _, said = value.partition(":")
                headers[name.strip().lower()] = said.strip()
            case "-F":
                name, _, said = value.partition("=")
                assert not said.startswith("<"), "only @ is understood here"
                if said.startswith("@"):
                    path = directory / said[1:]
                    form.append((name, (path.name, path.read_bytes())))
                else:
                    form.append((name, (None, said)))
            case "-d" | "--data":
                assert data is None, "one -d is understood here"
                data = value
                headers.setdefault("content-type", "application/x-www-form-urlencoded")
            case "-o":
                saved.append(directory / value)
            case "-X":
                method = value
            case _:  # -s
                pass
    answer = httpx2.request(
        method or ("GET" if data is None and not form else "POST"),
        addresses[0] if "://" in addresses[0] else f"http://{addresses[0]}",
        headers=headers,
        content=data,
        files=form or None,
        follow_redirects=follow,
    )
    for path in saved:
        path.write_bytes(answer.content)
    return answer, saved


# --- links --------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text()))
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]

    dead = [link for link in links if not leads_somewhere(page, link)]

    assert not dead


def leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# --- pages --------------------------------------------------------------------------------------


def here(text: str, service: Service) -> str:
    """Return the text with the service's address in place of the usual one."""
    return re.sub(r"(localhost|127\.0\.0\.1):8080", f"127.0.0.1:{service.port}", text)


def shape(value: Any) -> Any:  # noqa: ANN401
    """Return the names of all fields, in their order, and the status: the rest differs each time."""
    match value:
        case dict():
            return [(name, item if name == "status" else shape(item)) for name, item in value.items()]
        case list():
            return [shape(item) for item in value]
        case _:
            return None
