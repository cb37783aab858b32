"""The hosts that tests make on this machine: linked each with each, cut, healed, gone without a trace."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests import lab as labs
from tests.lab import Lab, lab
from tests.postgres import has_ended, server

SOON_S: Final = 10.0
NOT_S: Final = 0.3  # long enough for a packet on this machine, hundreds of times


@pytest.fixture(name="here", scope="module")
def _here() -> Iterator[Lab]:
    with lab("db", "a", "b") as here:
        yield here


@pytest.fixture(autouse=True)
def _healed(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "here" in request.fixturenames:
        request.getfixturevalue("here").heal()


@pytest.mark.parametrize(("one", "other"), [("db", "a"), ("a", "db"), ("a", "b"), ("b", "db")])
def test_every_two_hosts_are_linked_and_know_each_other_by_address(here: Lab, one: str, other: str) -> None:
    with closing(listening(here, other)) as listener, closing(connected(here, one, listener)) as client:
        accepted, (address, _) = listener.accept()
        with closing(accepted):
            client.sendall(b"hello")

            assert accepted.recv(5) == b"hello"
            assert address == here.address(one)


def test_of_three_hosts_two_can_be_cut_from_each_other(here: Lab) -> None:
    with closing(listening(here, "db")) as listener:
        here.cut("a", "db")

        with pytest.raises(TimeoutError):
            connected(here, "a", listener, within_s=NOT_S)
        connected(here, "b", listener).close()

        here.heal()
        connected(here, "a", listener).close()


def test_a_connection_hangs_while_it_is_cut_and_goes_on_when_it_is_healed(here: Lab) -> None:
    with closing(listening(here, "db")) as listener, closing(connected(here, "a", listener)) as client:
        accepted = listener.accept()[0]
        with closing(accepted):
            here.cut("db", "a")
            client.sendall(b"still here?")
            accepted.settimeout(NOT_S)
            with pytest.raises(TimeoutError):
                accepted.recv(1)

            here.heal()

            accepted.settimeout(SOON_S)
            assert accepted.recv(100) == b"still here?"


def test_a_cut_can_be_one_way(here: Lab) -> None:
    with closing(datagrams(here, "a")) as a, closing(datagrams(here, "b")) as b:
        here.cut("a", "b", both_ways=False)

        a.sendto(b"lost", b.getsockname())
        b.sendto(b"found", a.getsockname())

        assert a.recv(10) == b"found"
        b.settimeout(NOT_S)
        with pytest.raises(TimeoutError):
            b.recv(10)


def test_this_machine_is_out_of_reach_from_a_host(here: Lab) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, pytest.raises(ConnectionRefusedError):
        connected(here, "a", listener)


def test_nothing_of_a_lab_is_seen_on_this_machine() -> None:
    before = network_of_this_machine()

    with lab("a", "b"):
        during = network_of_this_machine()

    assert before == during == network_of_this_machine()


def test_what_runs_in_a_host_is_in_it_and_ends_with_the_lab(tmp_path: Path) -> None:
    with lab("a", "b") as here:
        with (tmp_path / "log").open("wb") as log:
            shown = here.spawn("b", ["ip", "-o", "-4", "addr", "show", "to-a"], log=log, cwd=tmp_path)
            shown.wait(SOON_S)
            sleeper = os.pidfd_open(here.spawn("a", ["sleep", "inf"], log=log, cwd=tmp_path).pid)
        assert f"{here.address('b')} peer {here.address('a')}" in (tmp_path / "log").read_text()

    assert has_ended(sleeper, SOON_S)
    os.close(sleeper)


def test_a_postgresql_runs_in_a_host_and_outlives_being_cut_off(here: Lab) -> None:
    with server(address=here.address("db"), through=here.inside("db")) as postgres:
        url = postgres.create_database()
        assert here.within("a", lambda: postgres.sql("SELECT inet_client_addr()::text", url=url)) == [
            (f"{here.address('a')}/32",)
        ]

        here.cut("a", "db")

        assert here.within("b", lambda: postgres.sql("SELECT 1", url=url)) == [(1,)]


@pytest.mark.parametrize(("required", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_where_there_can_be_no_lab_a_test_skips_by_name_or_fails_by_name(
    monkeypatch: pytest.MonkeyPatch, required: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv(labs.REQUIRED, required)
    monkeypatch.setattr(shutil, "which", lambda _: None)

    with pytest.raises(outcome, match="needs network namespaces"), lab("a", "b"):
        pass


def listening(here: Lab, host: str) -> socket.socket:
    listener = here.within(host, lambda: socket.create_server((here.address(host), 0)))
    listener.settimeout(SOON_S)
    return listener


def connected(here: Lab, host: str, listener: socket.socket, *, within_s: float = SOON_S) -> socket.socket:
    return here.within(host, lambda: socket.create_connection(listener.getsockname(), within_s))


def datagrams(here: Lab, host: str) -> socket.socket:
    one = here.within(host, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    one.settimeout(SOON_S)
    one.bind((here.address(host), 0))
    return one


def network_of_this_machine() -> list[str]:
    """Return what a lab must not touch, as far as it keeps still by itself."""
    asked = ("link", "route", "netns")
    return [subprocess.check_output(["ip", "-o", what], text=True) for what in asked]
