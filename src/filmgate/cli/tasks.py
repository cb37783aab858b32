"""`filmgate tasks`: list, show, cancel and delete tasks, beside a running server or without one."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from filmgate.cli.options import Config, Data, Json, run, settings_of
from filmgate.cli.screen import duration, note, print_facts, print_json, print_table, size

if TYPE_CHECKING:
    from filmgate.core.events import Event
    from filmgate.core.task import Task
    from filmgate.ports import Ports
    from filmgate.settings import Settings


class State(StrEnum):
    """The statuses of a task, as an option's choices; `core.task` has them, and more to import."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


TaskId = Annotated[str, typer.Argument(metavar="TASK", help="The task's id.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    tasks = typer.Typer(no_args_is_help=True, help="List, show, cancel and delete tasks.")
    tasks.command("list", epilog="Example: filmgate tasks list --status failed")(list_tasks)
    tasks.command(epilog="Example: filmgate tasks show task_01JDA8... --json")(show)
    tasks.command(epilog="Example: filmgate tasks cancel task_01JDA8...")(cancel)
    tasks.command(epilog="Example: filmgate tasks delete task_01JDA8...")(delete)
    app.add_typer(tasks, name="tasks", epilog="Example: filmgate tasks list")


def list_tasks(
    *,
    status: Annotated[State | None, typer.Option("--status", help="Only those that stand so.")] = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="ID", help="Only this account's.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="How many at most.")] = 20,
    data: Data = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List tasks, newest first."""
    tasks = run(_list(settings_of(config, data), status, account, limit))
    if as_json:
        print_json([_document(task) for task in tasks])
        return
    rows = [
        (task.id, task.status.value, f"{task.progress}%", task.model, f"{task.created_at:%m-%d %H:%M}")
        for task in tasks
    ]
    print_table(("task", "status", ">done", "model", "created"), rows, empty="There is no such task.")


def show(task_id: TaskId, *, data: Data = None, config: Config = None, as_json: Json = False) -> None:
    """Show what was asked for, how it went and what came of it."""
    task, events = run(_show(settings_of(config, data), task_id))
    document = _document(task)
    if as_json:
        print_json({**document, "events": [_event(event) for event in events]})
        return
    error = document["error"]
    print_facts(
        [
            ("task", task.id),
            ("status", task.status.value if task.ended else f"{task.status} {task.progress}%"),
            ("error", error and f"{error['message']} ({error['code']})"),
            ("model", task.model if task.model == task.model_id else f"{task.model} ({task.model_id})"),
            ("provider", task.route.provider),
            ("prompt", task.generation.prompt or None),
            ("size", f"{task.generation.width}x{task.generation.height}"),
            ("length", f"{task.generation.duration_s} s" if task.generation.duration_s else None),
            ("seed", task.generation.seed),
            ("credits", f"{document['credits_charged']} charged, {document['credits_quoted']} quoted"),
            ("account", task.account_id),
            ("created", f"{task.created_at:%Y-%m-%d %H:%M:%S} UTC"),
            ("took", duration(document["took_s"]) if document["took_s"] is not None else None),
            ("deleted", task.deleted_at and f"{task.deleted_at:%Y-%m-%d %H:%M:%S} UTC"),
            ("files", _files(task)),
            *(("output", f"{out.kind} {out.mime} {size(out.size_bytes)} {out.blob}") for out in task.outputs),
        ]
    )
    print()
    rows = [
        (f"{event.at:%H:%M:%S.%f}"[:-3], _happened(event), event.phase or "", f"{event.progress}%")
        for event in events
    ]
    print_table(("time", "status", "phase", ">done"), rows, empty="")


def cancel(task_id: TaskId, *, data: Data = None, config: Config = None, as_json: Json = False) -> None:
    """Cancel a task, which frees its credits.

    One that has ended otherwise stays as it is; the exit status is then 1.
    """
    before, after = run(_cancel(settings_of(config, data), task_id))
    if as_json:
        print_json(_document(after))
    elif before.ended:
        note(f"task {after.id} had ended before: {after.status}")
    else:
        note(f"task {after.id} is {after.status}")
    if after.status.value != State.CANCELLED.value:
        raise typer.Exit(1)


def _happened(event: "Event") -> str:
    """Return how the task stood, or what became of it after its end."""
    return event.kind.value if event.kind.value in {"expired", "deleted"} else event.status.value


def _files(task: "Task") -> str | None:
    """Say what becomes of the files of an ended task."""
    if task.files_gone:
        return "gone: their time has passed" if task.deleted_at is None else "gone with the task"
    if not task.blobs or not task.ended:
        return None
    until = task.result_expires_at
    return "kept for ever" if until is None else f"kept until {until:%Y-%m-%d %H:%M:%S} UTC"


def delete(task_id: TaskId, *, data: Data = None, config: Config = None, as_json: Json = False) -> None:
    """Delete a task: it is cancelled, and its prompt and files go.

    What it cost, and its idempotency key, stay. Deleting it twice is no error.
    """
    task = run(_delete(settings_of(config, data), task_id))
    if as_json:
        print_json(_document(task))
    else:
        note(f"task {task.id} is deleted")


async def _list(
    settings: "Settings", status: State | None, account: str | None, limit: int
) -> Sequence["Task"]:
    from filmgate.bootstrap import beside
    from filmgate.core.task import Status
    from filmgate.ports.store import TaskQuery

    query = TaskQuery(status=Status(status) if status else None, account_id=account, limit=limit)
    async with beside(settings) as ports:
        return await ports.store.tasks(query)


async def _show(settings: "Settings", task_id: str) -> tuple["Task", Sequence["Event"]]:
    from filmgate.bootstrap import beside

    async with beside(settings) as ports:
        return await _find(ports, task_id), await ports.store.events(task_id)


async def _cancel(settings: "Settings", task_id: str) -> tuple["Task", "Task"]:
    from filmgate.bootstrap import beside
    from filmgate.service.cancel_task import cancel_task

    async with beside(settings) as ports:
        task = await _find(ports, task_id)
        return task, await cancel_task(ports, task)


async def _delete(settings: "Settings", task_id: str) -> "Task":
    from filmgate.bootstrap import beside
    from filmgate.service.delete_task import delete_task

    async with beside(settings) as ports:
        await delete_task(ports, await _find(ports, task_id))
        return await _find(ports, task_id)


async def _find(ports: "Ports", task_id: str) -> "Task":
    from filmgate.core.errors import TaskNotFound

    task = await ports.store.task(task_id)
    if task is None:
        raise TaskNotFound(f"there is no task {task_id!r}")
    return task


def _document(task: "Task") -> dict[str, Any]:
    from filmgate.core.pricing import credits_of

    generation = task.generation
    ended = task.finished_at
    return {
        "id": task.id,
        "status": task.status.value,
        "phase": task.phase and task.phase.value,
        "progress": task.progress,
        "error": task.error and {"code": task.error.code, "message": task.error.message},
        "model": task.model,
        "model_id": task.model_id,
        "provider": task.route.provider,
        "dialect": task.dialect,
        "account": task.account_id,
        "key": task.key_id,
        "out_task_id": task.out_task_id,
        "prompt": generation.prompt,
        "width": generation.width,
        "height": generation.height,
        "duration_s": generation.duration_s,
        "seed": generation.seed,
        "n": generation.n,
        "credits_quoted": credits_of(task.quote.amount),
        "credits_charged": credits_of(task.charged),
        "created_at": task.created_at.isoformat(),
        "started_at": task.started_at and task.started_at.isoformat(),
        "finished_at": ended and ended.isoformat(),
        "took_s": None if ended is None else (ended - task.created_at).total_seconds(),
        "deleted_at": task.deleted_at and task.deleted_at.isoformat(),
        "result_expires_at": task.result_expires_at and task.result_expires_at.isoformat(),
        "files_gone": task.files_gone,
        "outputs": [
            {"kind": out.kind.value, "mime": out.mime, "size_bytes": out.size_bytes, "blob": out.blob}
            for out in task.outputs
        ],
    }


def _event(event: "Event") -> dict[str, Any]:
    return {
        "seq": event.seq,
        "kind": event.kind.value,
        "at": event.at.isoformat(),
        "status": event.status.value,
        "phase": event.phase and event.phase.value,
        "progress": event.progress,
    }
