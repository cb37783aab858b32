"""`filmgate demo`: the whole way once, over HTTP, from nothing to a film in a file."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from select import select
from time import monotonic
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from filmgate.cli.options import Config, Json, settings_of
from filmgate.cli.place import saving
from filmgate.cli.remote import plainly
from filmgate.cli.screen import (
    CommandFailed,
    Progress,
    duration,
    is_plain,
    print_facts,
    print_json,
    progress_bar,
    size,
)

if TYPE_CHECKING:
    from filmgate.client import Task

PROMPT = "A lighthouse on a cliff at sunset, waves below, gulls in the wind, the camera slowly pushes in"
SECONDS = 5
SIZE = "1280x720"
CREDITS = 1_000
START_S = 30.0
STOP_S = 20.0
RENDER_S = 300
LOG = "demo.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The demo's own server: where it listens, and where it keeps everything."""

    url: str
    data: Path


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog='Example: filmgate demo "a steam train through snowy mountains"')(demo)


def demo(
    prompt: Annotated[
        str, typer.Argument(metavar="[PROMPT]", show_default=False, help="What to show.")
    ] = PROMPT,
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Where the film goes.")
    ] = Path("filmgate-demo.mp4"),
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Where the server keeps everything; else a new directory.",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make a first film, the whole way over HTTP.

    Starts a server, makes a key, submits a film as any OpenAI client would,
    saves it and stops the server. Then prints what to go on with.
    """
    with _signals_as_exits(), _directory(data) as directory, progress_bar(silent=as_json) as show:
        show(0, "starting")
        with _server(directory, config) as server:
            key = _make_key(config, directory)
            show(0, "submitting")
            task, took_s = _film(server, key, prompt, output, show)
        show(100, "done")
    if as_json:
        print_json({**_facts(server, key, task, output), "took_s": round(took_s, 3)})
    else:
        _print(server, key, task, output, took_s)


# --- the server ---------------------------------------------------------------------------------


@contextmanager
def _directory(data: Path | None) -> Iterator[Path]:
    """Give a directory that stays if all goes well, for going on, and goes with a failure if new."""
    if data is not None:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield data.absolute()
        return
    fresh = Path(tempfile.mkdtemp(prefix="filmgate-demo-"))
    try:
        yield fresh
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


@contextmanager
def _server(data: Path, config: Path | None) -> Iterator[Server]:
    command = [sys.executable, "-m", "filmgate", "serve", "--json", "--host", "127.0.0.1", "--port", "0"]
    command += ["--data", str(data), *(["--config", str(config)] if config else [])]
    with (data / LOG).open("ab") as log:
        child = subprocess.Popen(  # noqa: S603  (our own program)
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env={
                **os.environ,
                "FILMGATE_PUBLIC_URL": "",
                "FILMGATE_LOG_FORMAT": "json",
                "FILMGATE_TASK_DEADLINE_S": str(RENDER_S),
            },
            start_new_session=True,  # Ctrl-C is for us; we stop it in order
        )
    try:
        yield Server(url=_where_it_listens(child, data), data=data)
    finally:
        stopped = _stop(child)
    if stopped != 0:
        raise CommandFailed(f"the server ended with status {stopped}; its log is {data / LOG}")


def _where_it_listens(child: "subprocess.Popen[bytes]", data: Path) -> str:
    assert child.stdout is not None
    ready, _, _ = select([child.stdout], [], [], START_S)
    line = child.stdout.readline() if ready else b""
    if not line:
        raise CommandFailed(f"the server did not start: {_last_words(data)}")
    url: str = json.loads(line)["listening"]
    return url


def _last_words(data: Path) -> str:
    lines = (data / LOG).read_text(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("filmgate: ") if lines else f"it said nothing within {START_S:.0f} s"


def _stop(child: "subprocess.Popen[bytes]") -> int:
    child.terminate()
    try:
        return child.wait(STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()
    finally:
        if child.stdout is not None:
            child.stdout.close()


@contextmanager
def _signals_as_exits() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end us as Ctrl-C does: with everything put away."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _make_key(config: Path | None, data: Path) -> str:
    import asyncio

    from filmgate.bootstrap import beside
    from filmgate.core.pricing import MICRO
    from filmgate.service.manage_keys import create_key

    async def create() -> str:
        async with beside(settings_of(config, data)) as ports:
            _, key = await create_key(ports, name="demo", credits_micro=CREDITS * MICRO, account_id=None)
            return key

    return asyncio.run(create())


# --- the film -----------------------------------------------------------------------------------


def _film(server: Server, key: str, prompt: str, output: Path, show: Progress) -> tuple["Task", float]:
    """Submit, follow and download, as any client does."""
    import httpx2

    from filmgate.client import Filmgate

    began = monotonic()
    # No proxy stands between us and our own machine.
    with plainly({}), httpx2.Client(trust_env=False) as http, Filmgate(server.url, key, http=http) as client:
        task = client.submit(prompt, model="studio", duration_s=SECONDS, size=SIZE)
        for event in client.stream(task):
            show(event.task.progress, "rendering")
        task = client.wait(task)
        took_s = monotonic() - began
        show(100, "saving")
        with saving(output) as place:
            client.download(task, place)
    return task, took_s


# --- what to go on with -------------------------------------------------------------------------


def _facts(server: Server, key: str, task: "Task", output: Path) -> dict[str, Any]:
    film = f"{server.url}/v1/videos/{task.id}"
    return {
        "file": str(output),
        "size_bytes": output.stat().st_size,
        "key": key,
        "task": task.id,
        "url": film,
        "content_url": f"{film}/content",
        "data": str(server.data),
        "serve": _serve_again(server),
    }


def _serve_again(server: Server) -> str:
    # The same port, so that every URL above is right again.
    port = server.url.rpartition(":")[2]
    return shlex.join([*_how_we_were_called(), "serve", "--port", port, "--data", str(server.data)])


def _how_we_were_called() -> list[str]:
    """Return what to type for this program: `filmgate`, unless the shell would not find this one."""
    called = Path(sys.argv[0])
    on_path = shutil.which("filmgate")
    if on_path is not None and Path(on_path).samefile(called):
        return ["filmgate"]
    if called.name == "__main__.py":
        return [_nearer(sys.executable), "-m", "filmgate"]
    return [_nearer(called)]


def _nearer(path: str | Path) -> str:
    return min(os.path.relpath(path), os.path.abspath(path), key=len)  # noqa: PTH100  (links stay)


def _print(server: Server, key: str, task: "Task", output: Path, took_s: float) -> None:
    facts = _facts(server, key, task, output)
    if not is_plain(sys.stdout):
        print()
    print_facts(
        [
            (
                "film",
                f"{output}: {SIZE}, {SECONDS} s, {size(facts['size_bytes'])}, made in {duration(took_s)}",
            ),
            ("task", facts["url"]),
            ("key", key),
        ]
    )
    print(f"""
The server is stopped, and all it had is kept. Start it again:

  {facts["serve"]}

Then, elsewhere, ask for a film, see how it stands, and fetch it:

  KEY={key}
  API={server.url}/v1/videos
  curl -H "Authorization: Bearer $KEY" $API \\
    -F model=studio -F seconds=4 -F "prompt=a paper boat in the rain"
  curl -H "Authorization: Bearer $KEY" $API/ID
  curl -H "Authorization: Bearer $KEY" $API/ID/content -Lo film.mp4""")
