"""The probe processes: what a file may do to one, and what a burst may."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from filmgate.core.errors import InputInvalid
from filmgate.media.pool import Probers
from tests.corpus import Bad, corpus, film, picture


@pytest_asyncio.fixture(name="probers", scope="module", loop_scope="module")
async def _probers() -> AsyncIterator[Probers]:
    probers = Probers()
    yield probers
    await probers.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


def a_file(content: bytes, directory: Path) -> Path:
    path = directory / "file"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("bad", corpus(), ids=lambda bad: bad.name)
async def test_a_bad_file_is_refused_by_name_or_by_kind(bad: Bad, probers: Probers, tmp_path: Path) -> None:
    if bad.says.startswith("this is a"):
        found = await probers.probe(a_file(bad.content, tmp_path))
        assert found.kind is not bad.kind
        return

    with pytest.raises(InputInvalid, match=bad.says):
        await probers.probe(a_file(bad.content, tmp_path))


async def test_a_burst_starts_only_a_few_processes(probers: Probers, tmp_path: Path) -> None:
    path = a_file(picture(), tmp_path)
    await probers.probe(path)
    began = time.monotonic()

    found = await asyncio.gather(*(probers.probe(path) for _ in range(50)))

    assert len({one.mime for one in found}) == 1
    assert len(probers.processes) == 2
    assert time.monotonic() - began < 10


async def test_a_process_that_dies_costs_one_answer_and_no_more(tmp_path: Path) -> None:
    probers = Probers(size=1)
    path = a_file(film(), tmp_path)
    try:
        await probers.probe(path)
        (process,) = probers.processes
        os.kill(process, signal.SIGKILL)
        with pytest.raises(RuntimeError):
            await probers.probe(path)

        assert (await probers.probe(path)).mime == "video/mp4"
    finally:
        await probers.close()

    assert not probers.processes


async def test_a_probe_that_nobody_waits_for_is_stopped(tmp_path: Path) -> None:
    probers = Probers(size=1)
    path = a_file(film(), tmp_path)
    try:
        waiting = asyncio.create_task(probers.probe(path))
        await asyncio.sleep(0.05)  # whatever it is at by then
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

        assert (await probers.probe(path)).mime == "video/mp4", "and the next is not held up"
    finally:
        await probers.close()


async def test_only_a_plain_file_is_looked_into(probers: Probers, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(a_file(picture(), tmp_path))
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path / "link", tmp_path / "pipe", tmp_path, tmp_path / "missing"):
        with pytest.raises(InputInvalid):
            await probers.probe(path)
