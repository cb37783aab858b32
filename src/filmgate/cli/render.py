"""`filmgate render`: one film or picture into a file, without a server or a key."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from filmgate.cli.options import Config, Json, run, settings_of
from filmgate.cli.place import whole_file
from filmgate.cli.screen import Progress, duration, note, print_json, progress_bar, size

if TYPE_CHECKING:
    from filmgate.core.catalogue import Model
    from filmgate.core.generation import Generation
    from filmgate.core.task import Output, Task
    from filmgate.core.wish import Wish
    from filmgate.ports import Ports
    from filmgate.settings import Settings

LOOK_EVERY_S = 0.5  # a hint nearly always comes sooner
CHUNK_BYTES = 1 << 20
STUDIO = "studio"
MOVES = frozenset({".mp4", ".mov", ".webm", ".mkv"})
STANDS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif"})


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
    ratio: Annotated[
        str | None, typer.Option(metavar="RATIO", help="Such as 16:9 or 9:16.", show_default=False)
    ] = None,
    resolution: Annotated[
        str | None, typer.Option(metavar="NAME", help="Such as 480p or 1080p.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="The same seed, the same film.", show_default=False)
    ] = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make a film or a picture, without a server or a key.

    FILE appears whole or not at all; Ctrl-C leaves nothing behind.
    """
    from filmgate.core.wish import Wish

    names = {"duration_s": "--duration", "aspect_ratio": "--ratio", "resolution": "--resolution"}
    wish = Wish(
        prompt=prompt,
        duration_s=seconds,
        aspect_ratio=ratio,
        resolution=resolution,
        seed=seed,
        names={**names, "seed": "--seed", "prompt": "PROMPT"},
    )
    _check_place(output)
    with progress_bar(silent=as_json) as show:
        document = run(_render(settings_of(config), model, wish, output, show))
    if as_json:
        print_json(document)
    else:
        _print(document)


async def _render(
    settings: "Settings", model_name: str, wish: "Wish", output: Path, show: Progress
) -> dict[str, Any]:
    from filmgate.bootstrap import catalogue
    from filmgate.bootstrap.service import running
    from filmgate.core.wish import fulfil

    model = catalogue(settings).find(model_name, param="--model")
    _check_ending(output, model)
    generation = fulfil(model, wish)
    show(0, "starting")
    # A service of its own: nobody else's tasks wait behind this one, and it leaves no trace.
    with whole_file(output) as file, tempfile.TemporaryDirectory(prefix="filmgate-render-") as directory:
        async with running(settings.model_copy(update={"data": Path(directory)})) as ports:
            task = await _submit(ports, model, model_name, generation)
            task = await _follow(ports, task, show)
            made = _result(task)
            await _copy(ports, made, file)
    show(100, "done")
    return _document(task, made, output)


async def _submit(ports: "Ports", model: "Model", model_name: str, generation: "Generation") -> "Task":
    from filmgate.core.pricing import quote
    from filmgate.service.manage_keys import create_key
    from filmgate.service.submit_task import SubmitTask, submit_task

    price = quote(generation, model.price).amount
    key, _ = await create_key(ports, name="render", credits_micro=price, account_id=None)
    command = SubmitTask(key=key, dialect="cli", model=model, model_name=model_name, generation=generation)
    return (await submit_task(ports, command)).task


async def _follow(ports: "Ports", task: "Task", show: Progress) -> "Task":
    while not task.ended:
        show(task.progress, "rendering" if task.started_at else "waiting")
        await ports.signals.wait(task.id, timeout_s=LOOK_EVERY_S)
        found = await ports.store.task(task.id)
        assert found is not None, "a stored task stays stored"
        task = found
    return task


def _result(task: "Task") -> "Output":
    from filmgate.core.errors import ProviderError
    from filmgate.core.generation import OutputKind

    for output in task.outputs:
        if output.kind in {OutputKind.VIDEO, OutputKind.IMAGE}:
            return output
    why = f"{task.error.message} ({task.error.code})" if task.error else f"the task is {task.status}"
    raise ProviderError(f"nothing was made: {why}")


async def _copy(ports: "Ports", made: "Output", file: BinaryIO) -> None:
    reader = await ports.blobs.open(made.blob)
    assert reader is not None, "a succeeded task's outputs are stored"
    try:
        offsets = range(0, reader.size_bytes, CHUNK_BYTES)
        file.writelines(reader.read(offset, CHUNK_BYTES) for offset in offsets)
    finally:
        reader.close()


def _check_place(output: Path) -> None:
    """Refuse what could not be written, before anything is made."""
    if output.is_dir():
        raise typer.BadParameter(f"{output} is a directory", param_hint="-o")
    if not output.parent.is_dir():
        raise typer.BadParameter(f"there is no directory {output.parent}", param_hint="-o")


def _check_ending(output: Path, model: "Model") -> None:
    from filmgate.core.catalogue import ModelKind
    from filmgate.core.errors import InvalidRequest

    ending = output.suffix.lower()
    if model.kind is ModelKind.IMAGE and ending in MOVES:
        raise InvalidRequest(f"{model.id} makes pictures: call the file {output.stem}.png, not {output.name}")
    if model.kind is ModelKind.VIDEO and ending in STANDS:
        raise InvalidRequest(f"{model.id} makes films: call the file {output.stem}.mp4, not {output.name}")


def _document(task: "Task", made: "Output", output: Path) -> dict[str, Any]:
    assert task.finished_at is not None, "it has ended"
    return {
        "file": str(output),
        "mime": made.mime,
        "size_bytes": made.size_bytes,
        "width": made.width,
        "height": made.height,
        "duration_s": made.duration_s,
        "model": task.model_id,
        "provider": task.route.provider,
        "seed": task.generation.seed,
        "took_s": round((task.finished_at - task.created_at).total_seconds(), 3),
    }


def _print(document: dict[str, Any]) -> None:
    shape = f"{document['width']}x{document['height']}"
    if document["duration_s"]:
        shape += f", {document['duration_s']:g} s"
    print(f"{document['file']}: {shape}, {size(document['size_bytes'])}")
    note(f"made by {document['provider']} in {duration(document['took_s'])}; seed {document['seed']}")
    if document["provider"] == STUDIO and not document["model"].startswith(STUDIO):
        note(f"a preview: no provider is configured for {document['model']}, so the studio stood in")
