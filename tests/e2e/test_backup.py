"""The drill: back up under load, restore elsewhere, prove the books, and go on from there."""

import asyncio
import json
import os
import random
import re
import shlex
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from filmgate.core.admission import Limits
from filmgate.core.events import EventKind
from filmgate.core.task import TERMINAL, Status
from filmgate.ports.store import Store
from filmgate.store.postgres import open_store
from filmgate.store.sqlite import DATABASE, SqliteStore
from tests import postgres as servers
from tests.e2e.service import Service
from tests.postgres import Server
from tests.stores import findings

BACKUPS: Final = 8
RESTORED: Final = 5
CLIENTS: Final = 2
PAUSE_S: Final = 0.05
EVERY_S: Final = 1.0
SETTLES_WITHIN_S: Final = 120.0
PROMPTS: Final = (
    ("sandbox", "a cat"),
    ("sandbox", "#slow=2 a river"),
    ("sandbox", "#fail a wolf"),
    ("sandbox", "a dog"),
    ("sandbox", "#slow=5 a glacier"),
)
FILM: Final = ("studio", "a lighthouse in the rain")


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy that was made, and which tasks had been acknowledged before it was begun."""

    place: Path
    acknowledged: frozenset[str]


@asynccontextmanager
async def load(service: Service, key: str, prompts: Sequence[tuple[str, str]]) -> AsyncIterator[set[str]]:
    """Submit all the time meanwhile; what is given grows by each task's id once it is acknowledged."""
    acknowledged: set[str] = set()
    over = asyncio.Event()

    async def client(number: int) -> None:
        async with http_of(service, key) as http:
            n = number
            while not over.is_set():
                model, prompt = prompts[n % len(prompts)]
                body = {"model": model, "prompt": f"{prompt} {n}", "seconds": "1"}
                answer = await http.post("/v1/videos", json=body)
                assert answer.status_code in {200, 201}, answer.text
                acknowledged.add(answer.json()["id"])
                n += 1
                await asyncio.sleep(PAUSE_S)

    async with asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(client(number))
        yield acknowledged
        over.set()


def http_of(service: Service, key: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=service.url,
        headers={"Authorization": f"Bearer {key}"},
        timeout=20,
        follow_redirects=True,
        trust_env=False,
    )


async def copies_under_load(
    service: Service, key: str, prompts: Sequence[tuple[str, str]], copy: Callable[[int], Path]
) -> list[Copy]:
    """Make a copy each second while tasks are submitted and end."""
    copies = []
    async with load(service, key, prompts) as acknowledged:
        for n in range(BACKUPS):
            await asyncio.sleep(EVERY_S)
            before = frozenset(acknowledged)
            copies.append(Copy(await asyncio.to_thread(copy, n), before))
    assert len(copies[-1].acknowledged) > len(copies[0].acknowledged) > 0
    return copies


def chosen(copies: Sequence[Copy]) -> list[Copy]:
    seed = random.randrange(2**32)
    print(f"seed {seed}: {[len(copy.acknowledged) for copy in copies]} acknowledged before each copy")
    return random.Random(seed).sample(copies, RESTORED)


async def check_restored(service: Service, key: str, copy: Copy, open_: Callable[[], Any]) -> str:
    """See that a restored installation is whole, goes on, and ends everything once; say what it did."""
    verified = await asyncio.to_thread(service.run, "ledger", "verify", "--json")
    assert json.loads(verified.stdout)["ok"], verified
    async with opened(open_) as store:
        known = {task.id: task for task in await all_tasks(store)}
    assert copy.acknowledged <= set(known), "what was acknowledged before is in the copy"
    unfinished = [task_id for task_id, task in known.items() if not task.ended]
    await asyncio.to_thread(service.start)
    try:
        async with http_of(service, key) as http, asyncio.timeout(SETTLES_WITHIN_S):
            for task_id in unfinished:
                while (await shown(http, task_id, wait_s=10))["status"] not in {"completed", "failed"}:
                    pass
            done = [task_id for task_id, task in known.items() if task.status is Status.SUCCEEDED]
            for task_id in (*done[:3], *done[-3:]):
                assert (await http.get(f"/v1/videos/{task_id}/content")).status_code == 200
            new = await http.post("/v1/videos", json={"model": "sandbox", "prompt": "more", "seconds": "1"})
            assert new.status_code in {200, 201}, "the key works"
    finally:
        assert await asyncio.to_thread(service.stop) == 0
    async with opened(open_) as store:
        assert not await findings(store)
        for task_id in known:
            events = await store.events(task_id)
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            ends = [one for one in events if one.kind is EventKind.STATUS and one.status in TERMINAL]
            assert len(ends) == 1, f"{task_id} ended {len(ends)} times"
            assert all(one.closed_at for one in await store.attempts(task_id))
    return f"{len(known)} tasks, {len(unfinished)} of them went on"


async def shown(http: httpx2.AsyncClient, task_id: str, *, wait_s: int = 0) -> dict[str, Any]:
    answer = await http.get(f"/v1/videos/{task_id}", params={"wait": wait_s} if wait_s else {})
    assert answer.status_code == 200, answer.text
    task: dict[str, Any] = answer.json()
    return task


async def all_tasks(store: Store) -> list[Any]:
    books = await store.books()
    _ = list(books.accounts), list(books.rows)
    return [await store.task(billed.id) for billed in books.tasks]


@asynccontextmanager
async def opened(open_: Callable[[], Any]) -> AsyncIterator[Store]:
    store: Store = await open_()
    try:
        yield store
    finally:
        await store.close()


# --- SQLite ---------------------------------------------------------------------------------------


async def test_any_backup_made_under_load_can_be_restored_and_goes_on(tmp_path: Path) -> None:
    service = Service(tmp_path / "data", account_concurrency=64, account_queue=10_000)
    await asyncio.to_thread(service.start)
    key = service.new_key(credits_=1_000_000)

    def copy(n: int) -> Path:
        place = tmp_path / f"copy-{n}"
        place.mkdir()
        made = service.run("backup", str(place / DATABASE), "--json")
        assert made.returncode == 0, made.stderr
        assert json.loads(made.stdout)["ok"]
        subprocess.run(["cp", "-a", service.data / "blobs", place], check=True)
        return place

    copies = await copies_under_load(service, key, (*PROMPTS * 8, FILM), copy)
    service.kill()

    for one in chosen(copies):
        restored = Service(one.place, account_concurrency=64, account_queue=10_000)

        async def open_(place: Path = one.place) -> Store:
            return SqliteStore.open(place, limits=Limits(), serving=False)

        manifest = json.loads((one.place / f"{DATABASE}.json").read_text())
        with closing(sqlite3.connect(one.place / DATABASE)) as db:
            for table, count in manifest["tables"].items():
                assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (count,)  # noqa: S608
        print(await check_restored(restored, key, one, open_))
    doctor = Service(copies[-1].place).run("doctor", "--deep", "--json")
    assert doctor.returncode == 0, doctor.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Service:
    """Return a service that was never started, with an account."""
    service = Service(tmp_path / "data")
    service.new_key(credits_=5)
    return service


def test_a_backup_is_one_file_for_its_owner_and_says_what_it_holds(machine: Service, tmp_path: Path) -> None:
    os.umask(0o022)
    made = machine.run("backup", str(tmp_path / "copy.db"), "--json")
    again = machine.run("backup", str(tmp_path / "copy.db"))

    told = json.loads(made.stdout)
    assert again.returncode == 0, again.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"copy.db", "copy.db.json", "data"}
    for name in ("copy.db", "copy.db.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert told["tables"] | {"accounts": 1, "keys": 1, "transfers": 1, "tasks": 0} == told["tables"]
    written = json.loads((tmp_path / "copy.db.json").read_text())
    assert written["ledger"] == told["ledger"]
    assert written["sha256"] == told["sha256"], "the same rows are the same file"


def test_the_ledger_of_a_manifest_moves_with_every_transfer(machine: Service, tmp_path: Path) -> None:
    before = json.loads(machine.run("backup", str(tmp_path / "copy.db"), "--json").stdout)
    account = json.loads(machine.run("credits", "balance", "--json").stdout)[0]["account"]
    machine.run("credits", "grant", account, "1")

    after = json.loads(machine.run("backup", str(tmp_path / "copy.db"), "--json").stdout)

    assert before["ledger"] != after["ledger"]


def test_a_damaged_database_is_not_backed_up_over_a_good_copy(machine: Service, tmp_path: Path) -> None:
    machine.run("backup", str(tmp_path / "copy.db"))
    good = (tmp_path / "copy.db").read_bytes()
    with (machine.data / DATABASE).open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 4)

    refused = machine.run("backup", str(tmp_path / "copy.db"))

    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr
    assert (tmp_path / "copy.db").read_bytes() == good
    assert {path.name for path in tmp_path.iterdir()} == {"copy.db", "copy.db.json", "data"}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("data/filmgate.db", "is the database itself"),
        ("data", "is a directory"),
        ("nowhere/copy.db", "No such file or directory"),
    ],
)
def test_a_place_that_is_none_is_refused(machine: Service, tmp_path: Path, target: str, said: str) -> None:
    before = (machine.data / DATABASE).read_bytes()

    refused = machine.run("backup", str(tmp_path / target))

    assert refused.returncode == 1
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (machine.data / DATABASE).read_bytes() == before


def test_where_there_is_nothing_nothing_is_made(tmp_path: Path) -> None:
    refused = Service(tmp_path / "data").run("backup", str(tmp_path / "copy.db"))

    assert refused.returncode == 1
    assert "there is no database" in refused.stderr
    assert not list(tmp_path.iterdir())


# --- PostgreSQL -----------------------------------------------------------------------------------


@pytest.fixture(name="tools")
def _tools(postgres: Server) -> Path:
    """Return the directory of a `pg_dump` that is not older than the server; without one the test skips."""
    ((server,),) = postgres.sql("SELECT current_setting('server_version_num')::int / 10000")
    found = shutil.which("pg_dump")
    for place in (*_of_the_wheel(), *([Path(found).parent] if found else [])):
        said = subprocess.run([place / "pg_dump", "--version"], capture_output=True, text=True, check=True)
        version = re.search(r"\d+", said.stdout)
        if version is not None and int(version[0]) >= server:
            return place
    return pytest.skip(f"there is no pg_dump of PostgreSQL {server} or later here")


def _of_the_wheel() -> Iterator[Path]:
    try:
        yield servers.programs()
    except pytest.skip.Exception:
        return


async def test_any_dump_made_under_load_can_be_restored_and_goes_on(
    tmp_path: Path, postgres: Server, tools: Path
) -> None:
    database = postgres.create_database()
    settings = {"account_concurrency": 64, "account_queue": 10_000, "capabilities": "sandbox"}
    service = Service(tmp_path / "data", database=database, **settings)
    await asyncio.to_thread(service.start)
    key = service.new_key(credits_=1_000_000)

    def copy(n: int) -> Path:
        place = tmp_path / f"copy-{n}"
        place.mkdir()
        told = service.run("backup", str(place / "filmgate.dump"))
        assert told.returncode == 1, "nothing was copied by us"
        program, *arguments = shlex.split(told.stdout)
        subprocess.run([tools / program, *arguments], check=True)
        subprocess.run(["cp", "-a", service.data / "blobs", place], check=True)
        return place

    copies = await copies_under_load(service, key, PROMPTS, copy)
    service.kill()

    async def restore(one: Copy) -> str:
        url = postgres.create_database()
        command = (tools / "pg_restore", "--exit-on-error", "--no-owner", f"--dbname={url}")
        await asyncio.to_thread(lambda: subprocess.run([*command, one.place / "filmgate.dump"], check=True))
        restored = Service(one.place, database=url, **settings)
        restored.log = one.place / "service.log"

        async def open_() -> Store:
            return (await open_store(url, limits=Limits()))[0]

        return await check_restored(restored, key, one, open_)

    # Together: each finds out after 20 s that the worker in its dump is dead.
    print(*await asyncio.gather(*map(restore, chosen(copies))), sep="\n")


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    url = "postgresql://ada:geheim@db:5432/films?sslmode=require&sslpassword=secret"
    service = Service(tmp_path / "data", database=url)

    told = service.run("backup", "/backup/it's mine", "--json")

    command = json.loads(told.stdout)["command"]
    assert told.returncode == 1
    assert shlex.split(command) == [
        "pg_dump",
        "--format=custom",
        "--file=/backup/it's mine",
        "postgresql://ada@db:5432/films?sslmode=require",
    ]
