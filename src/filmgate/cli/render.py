"""`filmgate render`: one film or picture into a file, made here without a server, or by one that runs."""

import mimetypes
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from filmgate.cli.options import Config, Json, run, settings_of
from filmgate.cli.place import saving
from filmgate.cli.remote import Key, Url, plainly
from filmgate.cli.screen import CommandFailed, Progress, duration, note, print_json, progress_bar, size

if TYPE_CHECKING:
    from filmgate.client import AsyncFilmgate, Model, Task

HERE = "http://filmgate"
CREDITS = 1_000_000  # play money: the account lives as long as the command
STUDIO = "studio"
URLS = ("http://", "https://", "data:")
MOVES = frozenset({".mp4", ".mov", ".webm", ".mkv"})
STANDS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif"})
NAMES = {
    "prompt": "PROMPT",
    "model": "--model",
    "duration": "--duration",
    "size": "--size",
    "aspect_ratio": "--ratio",
    "resolution": "--resolution",
    "seed": "--seed",
    "watermark": "--watermark",
    "input_reference": "--image",
    "last_frame": "--last-frame",
    "input_references": "--reference",
    "source_video": "--video",
}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog='Example: filmgate render "a lighthouse in a storm at night" -o storm.mp4')(render)


def render(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to show.")],
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Where to; an old file is replaced.")
    ],
    model: Annotated[str, typer.Option(metavar="NAME", help="See: filmgate models")] = "studio",
    seconds: Annotated[
        int | None, typer.Option("--duration", metavar="SECONDS", help="Its length.", show_default=False)
    ] = None,
    frame_size: Annotated[
        str | None, typer.Option("--size", metavar="WxH", help="Such as 1280x720.", show_default=False)
    ] = None,
    resolution: Annotated[
        str | None, typer.Option(metavar="NAME", help="Such as 480p or 1080p.", show_default=False)
    ] = None,
    ratio: Annotated[
        str | None, typer.Option(metavar="RATIO", help="Such as 16:9 or 9:16.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="The same seed, the same film.", show_default=False)
    ] = None,
    image: Annotated[
        str | None, typer.Option(metavar="FILE", help="Its first picture.", show_default=False)
    ] = None,
    last_frame: Annotated[
        str | None, typer.Option(metavar="FILE", help="Its last picture.", show_default=False)
    ] = None,
    references: Annotated[
        list[str] | None,
        typer.Option(
            "--reference", metavar="FILE", help="A picture to go by; again for more.", show_default=False
        ),
    ] = None,
    video: Annotated[
        str | None, typer.Option(metavar="FILE", help="A film to rework.", show_default=False)
    ] = None,
    audio: Annotated[
        str | None, typer.Option(metavar="FILE", help="A sound to go by.", show_default=False)
    ] = None,
    watermark: Annotated[
        bool | None,
        typer.Option("--watermark/--no-watermark", help="A mark in the corner.", show_default=False),
    ] = None,
    url: Url = None,
    key: Key = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make a film or a picture, without a server or a key.

    With --url or --key a server makes it. Where a FILE goes in, a URL may stand as well.
    The result appears whole or not at all; Ctrl-C cancels it and leaves nothing behind.
    """
    wish = {
        "model": model,
        "duration_s": seconds,
        "size": frame_size,
        "resolution": resolution,
        "aspect_ratio": ratio,
        "seed": seed,
        "image": image,
        "last_frame": last_frame,
        "references": references or None,
        "video": video,
        "audio": audio,
        "watermark": watermark,
    }
    _check_place(output)
    _check_inputs(image=image, last_frame=last_frame, reference=references, video=video, audio=audio)
    order = _Order(prompt, {name: value for name, value in wish.items() if value is not None}, output)
    with progress_bar(silent=as_json) as show, plainly(NAMES):
        client = _remote(url, key) if url or key else _here(config)
        document = run(_render(client, order, show))
    if as_json:
        print_json(document)
    else:
        _print(document)


@dataclass(frozen=True, slots=True)
class _Order:
    prompt: str
    wish: Mapping[str, Any]
    output: Path


# --- making it ----------------------------------------------------------------------------------


async def _render(
    connecting: AbstractAsyncContextManager["AsyncFilmgate"], order: _Order, show: Progress
) -> dict[str, Any]:
    show(0, "starting")
    async with connecting as client:
        model = await _find_model(client, order.wish["model"])
        _check_ending(order.output, model)
        began = monotonic()
        task = await client.submit(order.prompt, **order.wish)
        try:
            task = await _follow(client, task, show)
            took_s = monotonic() - began
            show(100, "saving")
            with saving(order.output) as place:
                await client.download(task, place)
        except BaseException:
            # Whoever breaks off wants nothing of it any more; one that has ended stays as it is.
            with suppress(Exception):
                await client.cancel(task)
            raise
    show(100, "done")
    return _document(task, model, order.output, took_s)


@asynccontextmanager
async def _remote(url: str | None, key: str | None) -> AsyncIterator["AsyncFilmgate"]:
    from filmgate.client import AsyncFilmgate

    async with AsyncFilmgate(url, key) as client:
        yield client


@asynccontextmanager
async def _here(config: Path | None) -> AsyncIterator["AsyncFilmgate"]:
    """Run a service of our own: nobody else's tasks wait behind this one, and it leaves no trace."""
    import httpx2

    from filmgate.api.app import create_app
    from filmgate.bootstrap.logs import start_logging
    from filmgate.bootstrap.server import web_of
    from filmgate.bootstrap.service import running
    from filmgate.cli.inside import Inside
    from filmgate.client import AsyncFilmgate
    from filmgate.core.pricing import MICRO
    from filmgate.service.manage_keys import create_key

    start_logging("console", "error")
    with tempfile.TemporaryDirectory(prefix="filmgate-render-") as directory:
        alone = {"data": Path(directory), "database": None, "blobs": None, "run": True, "capabilities": ()}
        settings = settings_of(config).model_copy(update=alone)
        async with running(settings) as service:
            ports = service.ports
            _, key = await create_key(ports, name="render", credits_micro=CREDITS * MICRO, account_id=None)
            app = create_app(ports, await web_of(settings, service, HERE))
            async with (
                httpx2.AsyncClient(transport=Inside(app)) as http,
                AsyncFilmgate(HERE, key, http=http) as client,
            ):
                yield client


async def _follow(client: "AsyncFilmgate", task: "Task", show: Progress) -> "Task":
    from filmgate.client import Status, TaskFailed

    async with aclosing(client.stream(task)) as events:
        async for event in events:
            task = event.task
            show(task.progress, "waiting" if task.status is Status.QUEUED else "rendering")
    if task.status is not Status.SUCCEEDED:
        raise TaskFailed(task)
    return task


async def _find_model(client: "AsyncFilmgate", name: str) -> "Model | None":
    """Return the model of this name; the server refuses one that there is not, and better than we could."""
    for model in await client.models():
        if name in {model.id, *model.aliases}:
            return model
    return None


# --- before and after ---------------------------------------------------------------------------


def _check_place(output: Path) -> None:
    """Refuse what could not be written, before anything is made."""
    if output.is_dir():
        raise typer.BadParameter(f"{output} is a directory", param_hint="-o")
    if not output.parent.is_dir():
        raise typer.BadParameter(f"there is no directory {output.parent}", param_hint="-o")


def _check_inputs(**sources: str | Sequence[str] | None) -> None:
    for name, given in sources.items():
        for source in [given] if isinstance(given, str) else given or ():
            if not source.startswith(URLS) and not Path(source).is_file():
                raise typer.BadParameter(
                    f"there is no file {source}", param_hint=f"--{name.replace('_', '-')}"
                )


def _check_ending(output: Path, model: "Model | None") -> None:
    ending = output.suffix.lower()
    if model is not None and model.kind == "image" and ending in MOVES:
        raise CommandFailed(f"{model.id} makes pictures: call the file {output.stem}.png, not {output.name}")
    if model is not None and model.kind == "video" and ending in STANDS:
        raise CommandFailed(f"{model.id} makes films: call the file {output.stem}.mp4, not {output.name}")


def _document(task: "Task", model: "Model | None", output: Path, took_s: float) -> dict[str, Any]:
    return {
        "file": str(output),
        "mime": mimetypes.guess_type(urlsplit(task.url or "").path)[0],
        "size_bytes": output.stat().st_size,
        "width": task.width,
        "height": task.height,
        "duration_s": task.duration_s or None,
        "task": task.id,
        "model": model.id if model else task.model,
        "provider": task.provider,
        "seed": task.seed,
        "took_s": round(took_s, 3),
    }


def _print(document: dict[str, Any]) -> None:
    shape = f"{document['width']}x{document['height']}"
    if document["duration_s"]:
        shape += f", {document['duration_s']:g} s"
    print(f"{document['file']}: {shape}, {size(document['size_bytes'])}")
    note(f"made by {document['provider']} in {duration(document['took_s'])}; seed {document['seed']}")
    if document["provider"] == STUDIO and not document["model"].startswith(STUDIO):
        note(f"a preview: no provider is configured for {document['model']}, so the studio stood in")
