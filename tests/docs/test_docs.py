"""Does what the documentation says: its commands, its Python, its links."""

import getopt
import itertools
import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.e2e.service import Service

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENDS_WITHIN_S = 60.0


@pytest.fixture(name="service", scope="module")
def _service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("docs") / "data")
    service.start()
    try:
        yield service
    finally:
        assert service.stop() == 0


# --- Python -------------------------------------------------------------------------------------


def test_the_openai_client_of_the_first_page_saves_a_film(service: Service, tmp_path: Path) -> None:
    key = service.new_key(credits_=1_000)
    code = here(python("docs/start.md"), service)

    run = subprocess.run(
        [sys.executable, "-c", f"KEY = {key!r}\n{code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=ENDS_WITHIN_S,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    assert_film(tmp_path / "film.mp4")


def test_the_readme_shows_the_same_client(service: Service) -> None:
    assert here(python("README.md"), service) == here(python("docs/start.md"), service)


def python(page: str) -> str:
    """Return the one block of Python of a page."""
    (code,) = [text for language, text in blocks(page) if language == "python"]
    return code


def assert_film(path: Path) -> None:
    assert path.read_bytes()[4:8] == b"ftyp", f"{path.name} is no MP4"


# --- commands -----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["docs/reference/dialects.md", "docs/start.md", "README.md"])
def test_the_commands_of_a_page_work(page: str, service: Service, tmp_path: Path) -> None:
    reader = Reader(service, tmp_path)

    for (language, text), (next_language, next_text) in itertools.pairwise([*blocks(page), ("", "")]):
        if language == "sh":
            answer = reader.run(text)
            if next_language == "json":
                assert shape(answer.json()) == shape(json.loads(next_text)), f"the answer to {text}"

    assert reader.commands >= 3, f"{page} has few commands"
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
        self.commands = 0
        self.saved: list[Path] = []

    def run(self, block: str) -> httpx2.Response:
        """Run the commands of a block one after the other, and return the last one's answer."""
        answer = None
        for command in commands(block):
            assert not re.search(r"'[^']*\$\w[^']*'", command), (
                f"a shell expands nothing in quotes: {command}"
            )
            if "$TASK" in command:
                self._wait()
            known = command.replace("$KEY", self._key).replace("$TASK", self._task)
            answer, saved = curl(shlex.split(here(known, self._service), comments=True), self._directory)
            assert answer.is_success, f"{command}\n{answer.status_code} {answer.text}"
            if answer.request.method == "POST":
                self._task = answer.headers["x-filmgate-task-id"]
            self.commands += 1
            self.saved += saved
        assert answer is not None, "a block without a command"
        return answer

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
    form: list[tuple[str, tuple[None, str]]] = []
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
                assert not said.startswith(("@", "<")), "files are not understood here"
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


def blocks(page: str) -> Iterator[tuple[str, str]]:
    """Yield the language and the text of each fenced block of a page."""
    for match in FENCE.finditer((ROOT / page).read_text()):
        yield match[1], match[2]


def here(text: str, service: Service) -> str:
    """Return the text with the service's address in place of the usual one."""
    found = re.sub(r"(localhost|127\.0\.0\.1):8080", f"127.0.0.1:{service.port}", text)
    assert found != text, f"the address of the server is not in {text}"
    return found


def shape(value: Any) -> Any:  # noqa: ANN401
    """Return the names of all fields, in their order, and the status: the rest differs each time."""
    match value:
        case dict():
            return [(name, item if name == "status" else shape(item)) for name, item in value.items()]
        case list():
            return [shape(item) for item in value]
        case _:
            return None
