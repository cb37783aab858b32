"""What every wire dialect in the registry promises, over HTTP.

The exact exchanges are in `golden/<dialect>/`. `python -m tests.conformance.test_dialects` writes
the answers in them anew; what it changes is for a person to read.
"""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from filmgate.api.dialect import Dialect, find_dialects
from filmgate.core import errors
from filmgate.core.attempt import Attempt
from filmgate.core.errors import FilmgateError
from filmgate.core.generation import Generation, Media, MediaKind, MediaRole, OutputKind
from filmgate.core.ledger import TransferKind
from filmgate.core.task import TERMINAL, Phase, Route, Status, Task
from tests.calls import Client, Reply, clients
from tests.fakes import NOON, World, a_generation, a_task, a_world, an_output

A_VENDORS: Final = Route(provider="studio", model="vendor-model-9")
GOLDEN: Final = Path(__file__).parent / "golden"
DIALECTS: Final = {dialect.name: dialect for dialect in find_dialects()}
TRACE: Final = "(trace id)"

each_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())


def exchanges(start: str) -> list[Any]:
    """Return the paths of all golden files whose name begins with `start`, for parametrize."""
    paths = sorted(GOLDEN.glob(f"*/{start}*.json"))
    return [pytest.param(path, id=f"{path.parent.name}/{path.stem}") for path in paths]


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


async def exchange(client: Client, request: Mapping[str, Any], *, task_id: str = "") -> Reply:
    """Send the request of a golden file; `{task_id}` in it is filled in."""
    request = json.loads(json.dumps(request).replace("{task_id}", task_id))
    method, path, headers = request["method"], request["path"], request.get("headers")
    if "json" in request:
        return await client.post(path, request["json"], headers)
    if "multipart" in request:
        return await client.post_form(path, request["multipart"])
    if "urlencoded" in request:
        form = {"content-type": "application/x-www-form-urlencoded"}
        return await client.ask(method, path, [urlencode(request["urlencoded"]).encode()], form)
    return await client.ask(method, path, [request.get("body", "").encode()], headers)


def said(reply: Reply) -> dict[str, Any]:
    """Return an answer as a golden file holds it; a trace id is never twice the same."""
    text = reply.body.decode().replace(reply.headers["x-request-id"], TRACE)
    return {"status": reply.status, "body": json.loads(text)}


def a_golden_task(status: Status) -> Task:
    """Return the one task whose every status each dialect has on file."""
    generation = a_generation(
        return_last_frame=True,
        media=(
            Media(kind=MediaKind.IMAGE, role=MediaRole.FIRST_FRAME, url="https://pictures.example/a.png"),
        ),
        resolution="720p",
    )
    task = a_task(status, generation=generation, out_task_id="order-7", request_id="r-7", metadata={"a": 1})
    if status is Status.RUNNING:
        return replace(task, phase=Phase.GENERATING)
    if status is Status.SUCCEEDED:
        more = (OutputKind.LAST_FRAME, OutputKind.THUMBNAIL)
        return replace(
            task, outputs=(an_output(), *(an_output(kind, content=kind.encode()) for kind in more))
        )
    return task


def pictures() -> Task:
    """Return a finished task of two pictures."""
    generation = Generation(prompt="two cats", width=1024, height=1024, seed=3, n=2)
    outputs = tuple(an_output(OutputKind.IMAGE, content=name) for name in (b"one", b"two"))
    return a_task(
        Status.SUCCEEDED,
        model="studio-image",
        model_id="studio-image",
        generation=generation,
        outputs=outputs,
    )


def reading(dialect: Dialect) -> Mapping[str, Any]:
    """Return the request that reads `{task_id}` in this dialect."""
    request: Mapping[str, Any] = read(GOLDEN / dialect.name / "status-queued.json")["request"]
    return request


def submissions(dialect: Dialect) -> Iterator[Mapping[str, Any]]:
    for path in sorted((GOLDEN / dialect.name).glob("submit-*.json")):
        yield read(path)["request"]


# --- what a submission means --------------------------------------------------------------------


@pytest.mark.parametrize("path", exchanges("submit-"))
async def test_a_submission_means_exactly_this(path: Path) -> None:
    golden = read(path)

    found = await submit(golden["request"], path.parent.name)

    assert found == golden


async def submit(request: Mapping[str, Any], dialect: str) -> dict[str, Any]:
    world = a_world()
    (ada,) = clients(world, "ada")
    reply = await exchange(ada, request)
    tasks = [row.task for row in world.store.rows.values()]
    assert len(tasks) == 1, reply.body
    assert reply.headers["x-filmgate-task-id"] == tasks[0].id
    assert tasks[0].dialect == dialect
    # Where the caller named no seed, the task's own id gives one.
    stored = json.loads(json.dumps(asdict(tasks[0].generation)))
    beside = {
        name: getattr(tasks[0], name) for name in ("out_task_id", "callback_url", "request_id", "metadata")
    }
    return {
        "request": request,
        "model": tasks[0].model_id,
        "generation": stored,
        "beside": {name: value for name, value in beside.items() if value},
        "answer": said(reply),
    }


@each_dialect
async def test_what_is_held_is_the_price(dialect: Dialect) -> None:
    for request in submissions(dialect):
        world = a_world()
        (ada,) = clients(world, "ada")

        await exchange(ada, request)

        (task,) = (row.task for row in world.store.rows.values())
        assert world.store.books_["acct_ada"].held == task.quote.amount


# --- how a task reads ---------------------------------------------------------------------------


@each_dialect
@pytest.mark.parametrize("status", Status)
async def test_a_task_in_each_status_reads_exactly_so(dialect: Dialect, status: Status) -> None:
    golden = read(GOLDEN / dialect.name / f"status-{status}.json")

    assert await status_of(golden["request"], a_golden_task(status)) == golden


@each_dialect
async def test_a_task_of_pictures_reads_exactly_so(dialect: Dialect) -> None:
    golden = read(GOLDEN / dialect.name / "pictures.json")

    assert await status_of(golden["request"], pictures()) == golden


async def status_of(request: Mapping[str, Any], task: Task) -> dict[str, Any]:
    world = a_world()
    (ada,) = clients(world, "ada")
    world.put(task)
    reply = await exchange(ada, request, task_id=task.id)
    assert reply.headers["x-filmgate-task-id"] == task.id
    return {"request": request, "answer": said(reply)}


@each_dialect
def test_every_status_has_a_word(dialect: Dialect) -> None:
    assert set(dialect.statuses) == set(Status)


@each_dialect
def test_a_finished_task_never_looks_unfinished(dialect: Dialect) -> None:
    finished = {word for status, word in dialect.statuses.items() if status in TERMINAL}
    unfinished = {word for status, word in dialect.statuses.items() if status not in TERMINAL}

    assert not finished & unfinished
    assert dialect.statuses[Status.SUCCEEDED] not in {
        dialect.statuses[Status.FAILED],
        dialect.statuses[Status.CANCELLED],
    }


@each_dialect
@pytest.mark.parametrize("status", [status for status in Status if status is not Status.SUCCEEDED])
async def test_no_address_of_a_film_is_told_before_it_is_finished(dialect: Dialect, status: Status) -> None:
    task = replace(a_golden_task(status), outputs=(an_output(),))

    found = await status_of(reading(dialect), task)

    assert an_output().blob not in json.dumps(found)


@each_dialect
async def test_a_task_whose_files_were_let_go_is_still_finished(dialect: Dialect) -> None:
    for task in (a_golden_task(Status.SUCCEEDED), pictures()):
        found = await status_of(reading(dialect), replace(task, outputs=()))

        assert found["answer"]["status"] == 200
        assert dialect.statuses[Status.SUCCEEDED] in json.dumps(found["answer"])
        assert "/files/" not in json.dumps(found["answer"])


@each_dialect
async def test_a_task_made_in_one_dialect_reads_in_every_other(dialect: Dialect) -> None:
    for other in DIALECTS.values():
        for request in submissions(dialect):
            world = a_world()
            (ada,) = clients(world, "ada")
            await exchange(ada, request)
            (task_id,) = world.store.rows

            reply = await exchange(ada, reading(other), task_id=task_id)

            assert reply.status == 200
            assert task_id in reply.body.decode()


@each_dialect
async def test_what_a_vendor_calls_things_stays_inside(dialect: Dialect) -> None:
    for status in Status:
        world = a_world()
        (ada,) = clients(world, "ada")
        task = world.put(replace(a_golden_task(status), route=A_VENDORS))
        world.store.tries[task.id, 1] = Attempt(
            task_id=task.id, n=1, provider="studio", intent_at=NOON, remote_id="vendor-id-9"
        )

        reply = await exchange(ada, reading(dialect), task_id=task.id)

        assert "vendor" not in reply.body.decode()
        assert "vendor" not in str(reply.headers)


# --- errors -------------------------------------------------------------------------------------


def every_error() -> Iterator[FilmgateError]:
    """Return one error of each class, as its raiser would make it."""
    for kind in sorted(kinds_of(FilmgateError), key=lambda kind: kind.__name__):
        yield kind("what is wrong", param="field") if kind not in _OWN_SHAPE else kind("what is wrong")
    yield errors.IdempotencyMismatch("what is wrong", param="out_task_id")


_OWN_SHAPE: Final = {errors.ProviderBusy}


def kinds_of(kind: type[FilmgateError]) -> set[type[FilmgateError]]:
    below = kind.__subclasses__()
    return {kind, *below, *(found for one in below for found in kinds_of(one))}


@each_dialect
def test_every_error_is_said_exactly_so(dialect: Dialect) -> None:
    assert errors_in(dialect) == read(GOLDEN / dialect.name / "errors.json")


def errors_in(dialect: Dialect) -> dict[str, Any]:
    (ada,) = clients(a_world(), "ada")
    found = {}
    for error in every_error():
        answer = ada.app.error_answer(dialect, error, TRACE)
        name = type(error).__name__ + (" (out_task_id)" if error.param == "out_task_id" else "")
        headers = {key.decode(): value.decode() for key, value in answer.headers if key not in _PLAIN}
        found[name] = {"status": answer.status, "body": json.loads(answer.body), "headers": headers}
    return found


_PLAIN: Final = {b"content-type", b"content-length", b"cache-control"}

MALFORMED: Final = {
    "nothing": b"",
    "half an object": b'{"model": "studio", "prompt": ',
    "not an object": b'["studio"]',
    "not a number": b'{"model": "studio", "prompt": NaN}',
    "a key twice": b'{"model": "studio", "prompt": "a", "prompt": "b"}',
    "not UTF-8": b'{"model": "studio", "prompt": "\xff"}',
    "a prompt that is a number": b'{"model": "studio", "prompt": 7}',
    "a prompt of nothing": b'{"model": "studio", "prompt": "  "}',
    "no prompt": b'{"model": "studio"}',
    "a model that is a list": b'{"model": ["studio"], "prompt": "a"}',
    "an unknown model": b'{"model": "nobody\'s", "prompt": "a"}',
    "a length of nothing": b'{"model": "studio", "prompt": "a", "duration": 0, "duration_seconds": 0}',
    "a length in words": b'{"model": "studio", "prompt": "a", "duration": "ten", "duration_seconds": "ten"}',
    "half a second": b'{"model": "studio", "prompt": "a", "duration": 5.5, "duration_seconds": 5.5}',
    "true seconds": b'{"model": "studio", "prompt": "a", "duration": true, "duration_seconds": true}',
    "a shape nobody has": b'{"model": "studio", "prompt": "a", "aspect_ratio": "5:1"}',
    "an enormous seed": b'{"model": "studio", "prompt": "a", "seed": 99999999999}',
    "a callback to a file": b'{"model": "studio", "prompt": "a", "callback_url": "file:///etc/passwd"}',
}


@each_dialect
@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_body_is_the_callers_fault_and_leaves_no_trace(
    dialect: Dialect, body: bytes
) -> None:
    for path in {request["path"] for request in submissions(dialect)}:
        world = a_world()
        (ada,) = clients(world, "ada")

        reply = await ada.ask("POST", path, [body], {"content-type": "application/json"})

        assert 400 <= reply.status < 500, reply.body
        assert_untouched(world)


@each_dialect
async def test_a_task_nobody_can_pay_for_leaves_no_trace(dialect: Dialect) -> None:
    for request in submissions(dialect):
        world = a_world(ada=0)
        (ada,) = clients(world, "ada")

        reply = await exchange(ada, request)

        assert reply.status == 402
        assert_untouched(world)


def assert_untouched(world: World) -> None:
    assert not world.store.rows
    assert not world.dispatch.started
    assert all(row.transfer.kind is TransferKind.GRANT for row in world.store.ledger)


@each_dialect
async def test_an_unknown_task_and_somebody_elses_are_the_same(dialect: Dialect) -> None:
    world = a_world(ada=1, bob=1)
    ada, bob = clients(world, "ada", "bob")
    task = world.put(a_golden_task(Status.SUCCEEDED))

    foreign = await exchange(bob, reading(dialect), task_id=task.id)
    del world.store.rows[task.id]
    unknown = await exchange(bob, reading(dialect), task_id=task.id)
    known = await exchange(ada, reading(dialect), task_id=task.id)

    assert foreign.status == unknown.status == known.status == 404
    assert said(foreign) == said(unknown) == said(known)
    for reply in (foreign, unknown):
        del reply.headers["x-request-id"]
    assert foreign.headers == unknown.headers


@each_dialect
@pytest.mark.parametrize("task_id", ["x", "task_", "task_" + "Z" * 26, "%00", "%F0%9F%8E%AC", "a" * 5_000])
async def test_what_is_no_task_id_is_not_found(dialect: Dialect, task_id: str) -> None:
    (ada,) = clients(a_world(), "ada")
    request = reading(dialect)

    reply = await exchange(ada, {**request, "path": request["path"].replace("{task_id}", task_id)})

    assert reply.status in ({404} if "%00" not in task_id else {400, 404})


@each_dialect
@pytest.mark.parametrize("prefix_is", ["known", "unknown"])
async def test_without_a_key_nothing_is_said(dialect: Dialect, prefix_is: str) -> None:
    world = a_world()
    (ada,) = clients(world, "ada")
    stranger = replace(ada, key=None if prefix_is == "known" else "fg_live_" + "0" * 49)

    for request in (reading(dialect), *submissions(dialect)):
        reply = await exchange(stranger, request, task_id="task_" + "0" * 26)
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == "Bearer"
    assert_untouched(world)


# --- the same submission again ------------------------------------------------------------------


@each_dialect
@pytest.mark.parametrize("again", ["abc", '"abc"', " abc "])
async def test_the_same_submission_again_is_the_same_task(dialect: Dialect, again: str) -> None:
    for request in submissions(dialect):
        world = a_world()
        (ada,) = clients(world, "ada")
        keyed = [{**request, "headers": {"idempotency-key": key}} for key in ("abc", again)]
        if "json" not in request:
            continue

        first, second = [await exchange(ada, one) for one in keyed]

        assert said(first) == said(second)
        assert len(world.store.rows) == 1
        assert first.headers.get("idempotent-replayed") is None
        assert second.headers["idempotent-replayed"] == "true"
        assert second.headers["x-filmgate-task-id"] == first.headers["x-filmgate-task-id"]


@each_dialect
async def test_another_submission_under_the_same_key_is_refused(dialect: Dialect) -> None:
    first, second = [request for request in submissions(dialect) if "json" in request][:2]
    world = a_world()
    (ada,) = clients(world, "ada")
    await exchange(ada, {**first, "headers": {"idempotency-key": "abc"}})

    reply = await exchange(ada, {**second, "headers": {"idempotency-key": "abc"}})

    assert reply.status == 422
    assert len(world.store.rows) == 1


@each_dialect
@pytest.mark.parametrize(
    "token", ["", '""', "x" * 256, "\x00", "a\x00b", "é", "a\tb", "\x7f", "a\nb", "x" * 10_000]
)
async def test_a_hostile_idempotency_key_is_refused(dialect: Dialect, token: str) -> None:
    world = a_world()
    (ada,) = clients(world, "ada")
    request = next(request for request in submissions(dialect) if "json" in request)

    reply = await exchange(ada, {**request, "headers": {"idempotency-key": token}})

    assert reply.status == 400
    assert_untouched(world)


@each_dialect
@pytest.mark.parametrize("token", ["a", "x" * 255, "' OR 1=1 --", "%00", "a b", '"', "../..", "{}[]"])
async def test_an_odd_idempotency_key_is_a_key(dialect: Dialect, token: str) -> None:
    (ada,) = clients(a_world(), "ada")
    request = next(request for request in submissions(dialect) if "json" in request)

    reply = await exchange(ada, {**request, "headers": {"idempotency-key": token}})

    assert reply.status == 200


# --- the golden files ---------------------------------------------------------------------------


@each_dialect
def test_each_dialect_has_its_exchanges_on_file(
    dialect: Dialect, record_property: Callable[[str, object], None]
) -> None:
    found = counted(dialect)

    record_property("exchanges", found)
    print(f"{dialect.name}: {found}")
    assert found["submissions"] > 0
    assert found["statuses"] == len(Status) + 1
    assert found["errors"] == len(list(every_error()))


def counted(dialect: Dialect) -> dict[str, int]:
    """Return how many exchanges of each sort a dialect has on file."""
    folder = GOLDEN / dialect.name
    return {
        "submissions": len(list(folder.glob("submit-*.json"))),
        "statuses": len([*folder.glob("status-*.json"), *folder.glob("pictures.json")]),
        "errors": len(read(folder / "errors.json")),
    }


async def write_golden() -> None:
    """Write the answers of all golden files anew, from the requests that are in them."""
    for name, dialect in DIALECTS.items():
        folder = GOLDEN / name
        for path in sorted(folder.glob("submit-*.json")):
            save(path, await submit(read(path)["request"], name))
        request = reading(dialect)
        for status in Status:
            save(folder / f"status-{status}.json", await status_of(request, a_golden_task(status)))
        save(folder / "pictures.json", await status_of(request, pictures()))
        save(folder / "errors.json", errors_in(dialect))
        print(f"{name}: {counted(dialect)}")


def save(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    asyncio.run(write_golden())
