"""The command line as real processes: what scripts rely on, and what is left behind."""

import json
import os
import pty
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import httpx2
import pytest

COMMAND = [sys.executable, "-m", "filmgate"]
SOON_S = 60.0
# Nothing that draws, colours or moves the cursor belongs in a pipe.
DRAWN = re.compile("[\x1b\r\u2500-\u259f]")


class Machine:
    """A home of its own for everything that a test starts, with nothing of this machine's settings."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.data = home / "data"
        self.temporary = home / "tmp"
        self.temporary.mkdir()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("FILMGATE_")}
        self.environ = {
            **kept,
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "share"),
            "TMPDIR": str(self.temporary),
            "FILMGATE_DATA": str(self.data),
        }

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command and return at once."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.home,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, status: int = 0) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end, which must be `status`."""
        with self.start(*arguments) as process:
            try:
                out, err = process.communicate(timeout=SOON_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == status, err
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def answer(self, *arguments: str, status: int = 0) -> Any:  # noqa: ANN401
        """Run a command with --json and return the one document on stdout."""
        return json.loads(self.run(*arguments, "--json", status=status).stdout)

    def key(self, credits_: int = 1000) -> str:
        """Create a key and return it."""
        return self.run("keys", "create", "--name", "test", "--credits", str(credits_)).stdout.strip()

    @contextmanager
    def serving(self, *arguments: str) -> Iterator["Server"]:
        """Run a server meanwhile, on a free port."""
        process = self.start("serve", "--port", "0", "--json", *arguments)
        assert process.stdout is not None
        try:
            ready, _, _ = select.select([process.stdout], [], [], SOON_S)
            assert ready, "the server did not start"
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            yield Server(process, json.loads(line))
        finally:
            process.terminate()
            process.communicate(timeout=SOON_S)


class Server:
    """A server that runs, as a client sees it."""

    def __init__(self, process: "subprocess.Popen[str]", told: dict[str, Any]) -> None:
        self.process = process
        self.told = told
        self.url: str = told["listening"]

    def client(self, key: str) -> httpx2.Client:
        """Return a client that has this key."""
        return httpx2.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False
        )

    def status_with(self, key: str) -> int:
        """Return the HTTP status that this key gets."""
        with self.client(key) as client:
            return client.get("/v1/videos").status_code


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def wait_until(true: Any, *, within_s: float = SOON_S) -> None:  # noqa: ANN401
    """Look every 50 ms until it is true."""
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.05)


def children_of(pid: int) -> set[int]:
    """Return every living descendant of a process."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, rest = stat.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(stat.parent.name)] = int(rest.split()[1])
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in {pid, *found}} - found:
        found |= more
    return found


def alive(pids: Sequence[int] | set[int]) -> set[int]:
    """Return which of the processes are still there, those apart that only wait to be counted."""
    there = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            there.add(pid)
    return there


# --- keys ---------------------------------------------------------------------------------------


def test_only_the_key_goes_to_stdout(machine: Machine) -> None:
    made = machine.run("keys", "create", "--name", "ada", "--credits", "5")

    assert re.fullmatch(r"fg_live_\w{49}\n", made.stdout)
    assert "not shown again" in made.stderr


def test_a_key_made_or_revoked_beside_a_running_server_counts_there_at_once(machine: Machine) -> None:
    with machine.serving() as server:
        key = machine.key()
        assert server.status_with(key) == 200

        machine.run("keys", "revoke", key)
        wait_until(lambda: server.status_with(key) == 401, within_s=5)


def test_a_task_cancelled_beside_a_running_server_is_cancelled_there(machine: Machine) -> None:
    with machine.serving() as server, server.client(machine.key()) as client:
        video = client.post(
            "/v1/videos", json={"model": "sandbox", "prompt": "#stall", "seconds": "1"}
        ).json()
        wait_until(lambda: client.get(f"/v1/videos/{video['id']}").json()["status"] == "in_progress")

        machine.run("tasks", "cancel", video["id"])

        seen = client.get(f"/v1/videos/{video['id']}").json()
        assert (seen["status"], seen["error"]["code"]) == ("failed", "cancelled")
    assert machine.answer("tasks", "show", video["id"])["status"] == "cancelled"
    assert machine.answer("ledger", "verify")["ok"]


# --- serve --------------------------------------------------------------------------------------


def test_health_is_answered_as_soon_as_the_address_is_told(machine: Machine) -> None:
    with machine.serving() as server:
        assert httpx2.get(f"{server.url}/healthz", trust_env=False).status_code == 200


def test_sigterm_ends_an_idle_server_with_status_0(machine: Machine) -> None:
    with machine.serving() as server:
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(SOON_S)

    assert server.process.returncode == 0
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_server_stopped_at_work_leaves_no_child_and_finishes_the_work_next_time(
    machine: Machine, by: signal.Signals
) -> None:
    key = machine.key()
    with machine.serving() as server, server.client(key) as client:
        video = client.post("/v1/videos", json={"model": "studio", "prompt": "a fox", "seconds": "9"}).json()
        wait_until(lambda: client.get(f"/v1/videos/{video['id']}").json()["status"] == "in_progress")
        wait_until(lambda: children_of(server.process.pid))
        children = children_of(server.process.pid)

        server.process.send_signal(by)
        server.process.wait(15)

    assert server.process.returncode == 0
    wait_until(lambda: not alive(children), within_s=5)
    assert machine.answer("tasks", "show", video["id"])["status"] == "running"
    with machine.serving() as server, server.client(key) as client:
        wait_until(
            lambda: client.get(f"/v1/videos/{video['id']}").json()["status"] == "completed", within_s=120
        )
    assert machine.answer("ledger", "verify")["ok"]


def test_one_directory_is_served_once(machine: Machine) -> None:
    with machine.serving():
        second = machine.run("serve", "--port", "0", status=1)

    assert second.stderr.splitlines()[-1].startswith("filmgate: another Filmgate serves")
    assert "Traceback" not in second.stderr


def test_a_port_in_use_is_said_in_one_line(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = machine.run("serve", "--port", str(taken.getsockname()[1]), status=1)

    assert re.fullmatch(r"filmgate: cannot listen on 127.0.0.1:\d+: Address already in use\n", refused.stderr)


def test_an_unsafe_setting_stops_the_start(machine: Machine) -> None:
    refused = machine.run("serve", "--host", "0.0.0.0", "--port", "0", status=1)  # noqa: S104

    assert "public_url" in refused.stderr


def test_public_url_begins_every_link_and_the_host_header_none(machine: Machine) -> None:
    key = machine.key()
    with (
        machine.serving("--public-url", "https://video.example.com/") as server,
        server.client(key) as client,
    ):
        video = client.post("/v1/videos", json={"model": "sandbox", "prompt": "x", "seconds": "1"}).json()
        wait_until(lambda: client.get(f"/v1/videos/{video['id']}").json()["status"] == "completed")
        link = client.get(f"/v1/videos/{video['id']}", headers={"Host": "evil.example"}).json()["url"]

    assert server.told["url"] == "https://video.example.com"
    assert link.startswith("https://video.example.com/files/")


# --- render -------------------------------------------------------------------------------------


def test_render_makes_a_film_that_plays(machine: Machine) -> None:
    machine.run("render", "a fox in the snow", "-o", "fox.mp4", "--duration", "1", "--resolution", "360p")

    with av.open(str(machine.home / "fox.mp4")) as film:
        stream = film.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 640, 360)
        assert sum(1 for _ in film.decode(stream)) == 24
    assert sorted(path.name for path in machine.home.iterdir()) == ["fox.mp4", "tmp"]
    assert not list(machine.temporary.iterdir())


def test_render_tells_a_program_what_it_made(machine: Machine) -> None:
    made = machine.answer(
        "render", "a fox", "-o", "fox.png", "--model", "studio-image", "--ratio", "16:9", "--resolution",
        "360p", "--seed", "7",
    )  # fmt: skip

    assert made["size_bytes"] == (machine.home / "fox.png").stat().st_size
    assert (made["width"], made["height"], made["seed"]) == (640, 360, 7)
    assert (machine.home / "fox.png").read_bytes().startswith(b"\x89PNG")


def test_a_render_that_fails_says_why_and_keeps_the_old_file(machine: Machine) -> None:
    (machine.home / "fox.mp4").write_text("old")

    failed = machine.run("render", "a fox #fail", "-o", "fox.mp4", "--model", "sandbox", status=1)

    assert "filmgate: nothing was made: The sandbox failed" in failed.stderr
    assert not failed.stdout
    assert (machine.home / "fox.mp4").read_text() == "old"
    assert sorted(path.name for path in machine.home.iterdir()) == ["fox.mp4", "tmp"]


@pytest.mark.parametrize(
    ("by", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_render_that_is_broken_off_leaves_nothing(
    machine: Machine, by: signal.Signals, status: int
) -> None:
    process = machine.start("render", "a fox", "-o", "fox.mp4", "--duration", "20", "--resolution", "1080p")
    wait_until(lambda: children_of(process.pid))
    children = children_of(process.pid)

    process.send_signal(by)
    _, err = process.communicate(timeout=SOON_S)

    assert process.returncode == status
    assert "Traceback" not in err
    assert [path.name for path in machine.home.iterdir()] == ["tmp"]
    assert not list(machine.temporary.iterdir())
    wait_until(lambda: not alive(children), within_s=5)


def test_files_go_into_a_render(machine: Machine) -> None:
    machine.run("render", "a fox", "-o", "fox.png", "--model", "sandbox-image")

    made = machine.answer(
        "render", "it runs", "-o", "fox.mp4", "--model", "sandbox", "--image", "fox.png", "--last-frame",
        "fox.png", "--reference", "fox.png", "--reference", "fox.png", "--no-watermark",
    )  # fmt: skip
    refused = machine.run("render", "it runs", "-o", "x.mp4", "--image", "fox.mp4", status=1)

    assert made["size_bytes"] == (machine.home / "fox.mp4").stat().st_size
    assert refused.stderr.splitlines()[-1].startswith("filmgate: --image: ")


def test_a_server_renders_if_one_is_named(machine: Machine) -> None:
    key = machine.key()
    with machine.serving() as server:
        by_option = machine.answer(
            "render", "a fox", "-o", "a.mp4", "--model", "sandbox", "--url", server.url, "--key", key
        )
        machine.environ |= {"FILMGATE_URL": server.url, "FILMGATE_API_KEY": key}
        by_environment = machine.answer("render", "a fox", "-o", "b.mp4", "--model", "sandbox")

    listed = {task["id"] for task in machine.answer("tasks", "list")}
    assert listed == {by_option["task"], by_environment["task"]}
    assert (machine.home / "a.mp4").read_bytes() == (machine.home / "b.mp4").read_bytes()


def test_a_render_that_is_broken_off_is_cancelled_on_its_server(machine: Machine) -> None:
    key = machine.key()
    with machine.serving() as server:
        process = machine.start(
            "render", "#stall", "-o", "a.mp4", "--model", "sandbox", "--url", server.url, "--key", key
        )
        wait_until(lambda: machine.answer("tasks", "list", "--status", "running"))

        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SOON_S)

    assert process.returncode == 130
    assert machine.answer("tasks", "list", "--status", "cancelled")
    assert not list(machine.home.glob("*a.mp4*"))


# --- demo ---------------------------------------------------------------------------------------


def test_the_demo_works_twice_and_what_it_prints_is_true(machine: Machine) -> None:
    first = machine.run("demo")
    shown = machine.answer("demo", "a paper boat in the rain")

    assert not DRAWN.search(first.stdout + first.stderr)
    assert "filmgate-demo.mp4: 1280x720, 5 s" in first.stdout
    assert (machine.home / "filmgate-demo.mp4").stat().st_size == shown["size_bytes"]
    with av.open(str(machine.home / "filmgate-demo.mp4")) as film:
        assert film.duration is not None
        assert round(film.duration / av.time_base) == 5
    machine.environ["FILMGATE_DATA"] = shown["data"]
    with machine.serving() as server, server.client(shown["key"]) as client:
        assert client.get(f"/v1/videos/{shown['task']}").json()["status"] == "completed"


def test_a_demo_that_is_broken_off_leaves_no_server_and_no_file(machine: Machine) -> None:
    process = machine.start("demo")
    wait_until(lambda: len(children_of(process.pid)) > 1)
    children = children_of(process.pid)

    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SOON_S)

    assert process.returncode == 143
    wait_until(lambda: not alive(children), within_s=5)
    assert [path.name for path in machine.home.iterdir()] == ["tmp"]
    assert not list(machine.temporary.iterdir())


def test_a_demo_whose_server_does_not_start_says_why(machine: Machine) -> None:
    with machine.serving():
        failed = machine.run("demo", "--data", str(machine.data), status=1)

    assert "filmgate: the server did not start: another Filmgate serves" in failed.stderr


# --- the ledger ---------------------------------------------------------------------------------


def test_a_flipped_byte_in_the_ledger_is_found_and_its_row_named(machine: Machine) -> None:
    with machine.serving() as server, server.client(machine.key()) as client:
        video = client.post("/v1/videos", json={"model": "sandbox", "prompt": "x", "seconds": "1"}).json()
        wait_until(lambda: client.get(f"/v1/videos/{video['id']}").json()["status"] == "completed")
    before = machine.run("ledger", "verify")
    database = machine.data / "filmgate.db"
    content = bytearray(database.read_bytes())
    place = content.index(b"with key test")
    content[place] ^= 1
    database.write_bytes(content)

    after = machine.run("ledger", "verify", status=1)

    with sqlite3.connect(database) as db:
        (row,) = db.execute("SELECT id FROM transfers WHERE memo LIKE '%ith key test'").fetchone()
    assert before.stdout.startswith("The books are right: 1 accounts, 3 rows, 1 tasks checked in")
    assert after.stdout.splitlines() == [f"{row}: the row is not what its hash says, or not in its place"]
    assert "the books are wrong: 1 findings" in after.stderr
    report = machine.answer("ledger", "verify", status=1)
    assert [found["row"] for found in report["findings"]] == [row]


# --- what people see ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["serve", "--help"], ["keys", "list"], ["models"], ["settings"], ["ledger", "verify"]],
    ids=" ".join,
)
def test_nothing_is_drawn_in_a_pipe(machine: Machine, arguments: list[str]) -> None:
    machine.key()

    shown = machine.run(*arguments)

    assert shown.stdout
    assert not DRAWN.search(shown.stdout + shown.stderr)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["keys", "list"], ["models"], ["credits", "balance"]], ids=" ".join
)
def test_a_terminal_of_80_columns_is_wide_enough_and_without_colour_if_asked(
    machine: Machine, arguments: list[str]
) -> None:
    machine.key()
    machine.environ |= {"NO_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "80"}

    lines = seen_on_a_terminal(machine, arguments).splitlines()

    assert len(lines) > 2
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines) <= 80
    assert not [line for line in lines if "…" in line or re.search(r"\x1b\[[0-9;]*[349]\d", line)]


def seen_on_a_terminal(machine: Machine, arguments: list[str]) -> str:
    """Return what a command writes when it is looked at."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=machine.home, env=machine.environ, stdout=its, stderr=its
    ) as process:
        os.close(its)
        seen = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how Linux says that the other side has closed
                break
            seen += piece
    os.close(ours)
    assert process.returncode == 0
    return seen.decode()
