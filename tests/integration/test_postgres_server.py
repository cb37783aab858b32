"""The PostgreSQL that tests use: that it is one, keeps what it was told to keep, and leaves nothing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from tests import postgres as servers
from tests.postgres import Server, server

ROOT: Final = Path(__file__).parents[2]

# Starts a server, says which process it is, and waits to be killed.
VICTIM: Final = """
import sys
from tests.postgres import server
with server() as own:
    print(own.sql("SHOW data_directory")[0][0], flush=True)
    sys.stdin.read()
"""


@pytest.fixture(name="own", scope="module")
def _own() -> Iterator[Server]:
    with server(address="127.0.0.1") as own:
        yield own


def test_it_is_postgresql_18_in_utf_8(postgres: Server) -> None:
    assert postgres.sql("SELECT current_setting('server_version_num')::int / 10000") == [(18,)]
    assert postgres.sql("SELECT current_setting('server_encoding')") == [("UTF8",)]


async def test_whoever_has_a_database_can_make_tables_in_it_and_is_no_superuser(database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("CREATE TABLE films (id int)")
        rights = await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
    finally:
        await connection.close()

    assert rights is bool(os.environ.get(servers.GIVEN)), "a given server's role is as it is given"


def test_two_databases_are_apart(postgres: Server) -> None:
    one, other = postgres.create_database(), postgres.create_database()

    postgres.sql("CREATE TABLE films (id int)", url=one)

    assert postgres.sql("SELECT to_regclass('films') IS NULL", url=other) == [(True,)]
    postgres.drop(one)
    postgres.drop(other)


def test_what_a_template_makes_is_made_once_and_is_in_every_copy(postgres: Server) -> None:
    filled = []

    async def fill(url: str) -> None:
        filled.append(url)
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE films AS SELECT 7 AS id")
        await connection.close()

    one, other = postgres.create_database(template=fill), postgres.create_database(template=fill)
    postgres.sql("DELETE FROM films", url=one)

    assert len(filled) == 1
    assert postgres.sql("SELECT id FROM films", url=other) == [(7,)]
    postgres.drop(one)
    postgres.drop(other)


async def test_a_database_can_be_dropped_while_somebody_uses_it(postgres: Server) -> None:
    url = postgres.create_database()
    connection = await asyncpg.connect(url)

    postgres.drop(url)

    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetch("SELECT 1")
    connection.terminate()


def test_a_server_that_is_killed_loses_nothing_that_was_committed(own: Server) -> None:
    url = own.create_database()
    own.sql("CREATE TABLE films AS SELECT 7 AS id", url=url)

    own.kill()
    with pytest.raises(OSError, match="Connect call failed"):
        own.sql("SELECT 1", url=url)
    own.start()

    assert own.sql("SELECT id FROM films", url=url) == [(7,)], "at the same address as before"
    own.drop(url)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_was_stopped_starts_again(own: Server, mode: str) -> None:
    own.stop("fast" if mode == "fast" else "immediate")
    own.start()

    assert own.sql("SELECT 1") == [(1,)]


def test_by_the_network_it_asks_for_the_password(own: Server) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        own.sql("SELECT 1", url=own.url("postgres").replace("filmgate:", "filmgate:not"))


def test_a_durable_server_syncs_and_another_need_not(own: Server) -> None:
    assert own.sql("SHOW fsync") == [("on",)]
    assert own.sql("SHOW full_page_writes") == [("on",)]


def test_a_server_dies_with_the_tests_that_started_it() -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert victim.stdin is not None
    assert victim.stdout is not None
    with victim.stdin, victim.stdout, ExitStack() as stack:
        home = stack.enter_context(directory_left_behind(Path(victim.stdout.readline().strip())))
        postmaster = int((home / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        handles = [os.pidfd_open(pid) for pid in (postmaster, *map(int, children))]
        for handle in handles:
            stack.callback(os.close, handle)

        victim.kill()
        victim.wait()

        assert len(handles) > 5
        assert all(servers.has_ended(handle, servers.STOPS_WITHIN_S) for handle in handles)


def test_a_given_server_is_used_and_left_as_it_was(own: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(servers.GIVEN, own._admin)
    before = own.sql("SELECT datname FROM pg_database")

    with server(durable=False) as given:
        url = given.create_database()
        assert own.sql("SELECT current_database()", url=url)[0] not in before
        with pytest.raises(AssertionError, match="not ours to stop"):
            given.kill()

    assert own.sql("SELECT datname FROM pg_database") == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's programs are run as somebody else")
def test_programs_that_only_root_can_read_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = servers.programs().parent.parent
    tmp_path.chmod(0o700)
    for name in (package.name, f"{package.name}.libs"):
        (tmp_path / name).symlink_to(package.with_name(name))
    monkeypatch.setattr(servers, "programs", lambda: tmp_path / package.name / "pginstall" / "bin")

    with server(durable=False) as own:
        assert own.sql("SELECT 1") == [(1,)]


@pytest.mark.parametrize(("required", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_without_a_wheel_a_test_skips_by_name_or_fails_by_name(
    monkeypatch: pytest.MonkeyPatch, required: str, outcome: type[BaseException]
) -> None:
    monkeypatch.delenv(servers.GIVEN, raising=False)
    monkeypatch.setenv(servers.REQUIRED, required)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(outcome, match="there is no PostgreSQL here"), server(durable=False):
        pass


@contextmanager
def directory_left_behind(data: Path) -> Iterator[Path]:
    yield data.parent
    shutil.rmtree(data.parent)
