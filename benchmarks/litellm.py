"""LiteLLM's proxy beside us: the same calls, by the same load, in the same run."""

import hashlib
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
import msgspec

from benchmarks import processes
from benchmarks.bench import Bench
from benchmarks.client import Client
from benchmarks.databases import SQLITE
from benchmarks.downloads import Fetched, Source, a_large_film, checksum, fetched, wait_until_it_answers
from benchmarks.figures import BenchmarkFailed, Figure, Report, Skipped, Target
from benchmarks.load import Generator, Load, generator, request
from benchmarks.service import FAR_MODEL, MODEL, ROOT, free_port
from benchmarks.submit import MOST_WAITING

LOCK: Final = ROOT / "requirements" / "litellm.txt"
BUILT_WITHIN_S: Final = 600.0
STARTS_WITHIN_S: Final = 180.0
CALLERS: Final = 64
SECONDS: Final = {"litellm": 3.0, "ours": 1.0}  # long enough for a few hundred answers

HOW: Final = f"""\
LiteLLM's proxy {{version}} with one worker, one model and a master key, no database; then Filmgate; each
alone on the same core, {CALLERS} callers on another. The two do different things. LiteLLM keeps nothing:
it passes each submit and each question on to an upstream, here one that speaks OpenAI's videos, answers
at once and has a core to itself but for the load. Filmgate stores the task and holds its price before it
answers a submit, and answers a question from its own row; no upstream speaks to it in this, its tasks run
in the sandbox. That is the point of the comparison: what a client's question costs whoever stands between
it and the upstream. A film of 200 MB is fetched once through each, from Filmgate's own storage and from
LiteLLM's upstream."""


def measure(bench: Bench) -> Report:
    """Measure both, one after the other."""
    packages = _installed(bench)
    film = a_large_film(bench.scratch / "film.mp4")
    expected = checksum(film)
    with generator(bench.load_core) as load:
        theirs = _litellm(bench, load, packages, film, expected)
        ours = {store: _ours(bench, load, store, film, expected) for store in bench.stores}
    figures = _figures("LiteLLM", theirs)
    for store, found in ours.items():
        figures += _figures(f"Filmgate, {store}", found)
        figures += _ratios(store, found, theirs)
    return Report(name="litellm", how=HOW.format(version=_version()), figures=figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cost:
    """What calls of one kind cost: answers for each CPU second, and the time that the middle one took."""

    answers: int
    per_cpu_s: float
    p50_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    polls: Sequence[_Cost]
    submits: Sequence[_Cost]
    resident_mb: float
    download: Fetched


# --- the environment ----------------------------------------------------------------------------


def _installed(bench: Bench) -> Path:
    """Return the folder that LiteLLM is installed in, from its lock file; once, and kept."""
    folder = ROOT / ".make" / f"litellm-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    if folder.exists():
        return folder
    bench.say(f"litellm: installing {_version()} into {folder.relative_to(ROOT)}, about two minutes, once")
    folder.parent.mkdir(exist_ok=True)
    pip = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check", "--no-input", "install"]
    locked = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r", str(LOCK)]
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        done = subprocess.run(
            [*pip, *locked, "--target", f"{made}/packages"],
            capture_output=True,
            text=True,
            timeout=BUILT_WITHIN_S,
            check=False,
        )
        if done.returncode:
            raise Skipped(f"LiteLLM cannot be installed here: {done.stderr.strip()[-500:]}")
        (Path(made) / "packages").rename(folder)
    return folder


def _version() -> str:
    found = re.search(r"^litellm==(\S+)", LOCK.read_text(), re.MULTILINE)
    assert found is not None, "the lock is LiteLLM's"
    return found[1]


# --- LiteLLM ------------------------------------------------------------------------------------


def _litellm(bench: Bench, load: Generator, packages: Path, film: Path, expected: int) -> _Found:
    key = f"sk-{secrets.token_hex(16)}"  # it refuses short ones
    with _proxied(bench, packages, film, key) as (pid, port):
        with httpx2.Client(trust_env=False, timeout=60) as http:
            answer = http.post(
                f"http://127.0.0.1:{port}/v1/videos",
                headers={"authorization": f"Bearer {key}"},
                json={"model": "sora-2", "prompt": "a small boat at sunset"},
            )
            if answer.status_code != 200:
                raise BenchmarkFailed(f"LiteLLM: HTTP {answer.status_code}: {answer.text[:500]}")
            video_id = answer.json()["id"]
        poll = request("GET", f"/v1/videos/{video_id}", key=key)
        submit = request(
            "POST", "/v1/videos", key=key, body={"model": "sora-2", "prompt": "a small boat at sunset"}
        )
        runs = {"poll": poll, "submit": submit}
        bench.say("litellm: polls and submits of LiteLLM's")
        costs = {
            name: [_cost(load, pid, port, (text,), SECONDS["litellm"]) for _ in range(bench.rounds)]
            for name, text in runs.items()
        }
        resident_mb = _resident_mb(pid)
        bench.say("litellm: a download through LiteLLM")
        source = Source(pid=pid, port=port, path=f"/v1/videos/{video_id}/content", key=key)
        download = fetched(bench, source, expected, times=1)
    return _Found(polls=costs["poll"], submits=costs["submit"], resident_mb=resident_mb, download=download)


@contextmanager
def _proxied(bench: Bench, packages: Path, film: Path, key: str) -> Iterator[tuple[int, int]]:
    """Start the upstream and the proxy before it; give the proxy's process and port."""
    upstream, port = free_port(), free_port()
    model = {
        "model_name": "sora-2",
        "litellm_params": {
            "model": "openai/sora-2",
            "api_base": f"http://127.0.0.1:{upstream}/v1",
            "api_key": "sk-upstream",
        },
    }
    config = bench.scratch / "litellm.yaml"  # JSON is YAML
    config.write_bytes(msgspec.json.encode({"model_list": [model], "general_settings": {"master_key": key}}))
    # Without site packages it sees nothing but its own folder.
    start = "from litellm import run_server; run_server()"
    proxy = [sys.executable, "-S", "-c", start, "--config", str(config), "--host", "127.0.0.1"]
    with ExitStack() as stack:
        _started(
            stack,
            bench.load_core,
            [sys.executable, "-m", "benchmarks.fake_videos", str(film), str(upstream)],
            bench.scratch / "upstream.log",
        )
        bench.say("litellm: starting LiteLLM")
        process = _started(
            stack,
            bench.server_core,
            [*proxy, "--port", str(port), "--num_workers", "1"],
            bench.scratch / "litellm.log",
            PYTHONPATH=str(packages),
            LITELLM_LOCAL_MODEL_COST_MAP="True",
            LITELLM_LOG="ERROR",
        )
        url = f"http://127.0.0.1:{port}/health/liveliness"
        wait_until_it_answers(process, url, within_s=STARTS_WITHIN_S)
        yield process.pid, port


def _started(
    stack: ExitStack, cores: frozenset[int], command: Sequence[str], log: Path, **environment: str
) -> "subprocess.Popen[bytes]":
    """Start a program that is killed in the end."""
    with log.open("wb") as file, processes.pinned(cores):
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**os.environ, **environment},
        )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


# --- ours ---------------------------------------------------------------------------------------


def _ours(bench: Bench, load: Generator, store: str, film: Path, expected: int) -> _Found:
    settings = {
        "account_queue": MOST_WAITING,
        "total_queue": MOST_WAITING,
        "providers__upstream__film": film,
    }
    with bench.service("litellm", store=store, program=("benchmarks.serve",), settings=settings) as service:
        (key,) = service.new_keys()
        client = Client(service, key)
        task_id = client.submit({"model": FAR_MODEL, "params": {"prompt": "a small boat at sunset"}})
        client.wait(task_id, "completed", within_s=60)
        service.settle()
        bench.say(f"litellm: polls and submits of Filmgate's, {store}")
        poll = request("GET", f"/v1/videos/{task_id}", key=key)
        body = {"model": MODEL, "prompt": "#stall a small boat at sunset"}
        submit = request("POST", "/v1/videos", key=key, body=body)
        polls = [
            _cost(load, service.pid, service.port, (poll,), SECONDS["ours"]) for _ in range(bench.rounds)
        ]
        submits = [
            _cost(load, service.pid, service.port, (submit,), SECONDS["ours"]) for _ in range(bench.rounds)
        ]
        resident_mb = _resident_mb(service.pid)
        path = f"/v1/videos/{task_id}/content?format=binary"
        source = Source(pid=service.pid, port=service.port, path=path, key=key)
        download = fetched(bench, source, expected, times=1)
        service.stop()
        service.check(tasks=1 + sum(cost.answers for cost in submits))
    return _Found(polls=polls, submits=submits, resident_mb=resident_mb, download=download)


def _cost(load: Generator, pid: int, port: int, texts: tuple[bytes, ...], seconds: float) -> _Cost:
    cpu_s = processes.cpu_s(pid)
    outcome = load.run(
        Load(port=port, requests=texts, connections=CALLERS, contains=b'"id"', seconds=seconds)
    )
    return _Cost(
        answers=outcome.total,
        per_cpu_s=outcome.total / max(processes.cpu_s(pid) - cpu_s, 0.01),
        p50_ms=outcome.p50_ms,
    )


def _resident_mb(pid: int) -> float:
    return sum(map(processes.resident_mb, processes.tree(pid)))


# --- what it comes to ---------------------------------------------------------------------------


def _figures(who: str, found: _Found) -> list[Figure]:
    return [
        Figure(
            what=f"{who}, GET /v1/videos/{{id}}, for each CPU second",
            unit="requests",
            values=tuple(cost.per_cpu_s for cost in found.polls),
        ),
        Figure(what="  latency p50", unit="ms", values=tuple(cost.p50_ms for cost in found.polls)),
        Figure(
            what="  POST /v1/videos, for each CPU second",
            unit="requests",
            values=tuple(cost.per_cpu_s for cost in found.submits),
        ),
        Figure(what="  latency p50", unit="ms", values=tuple(cost.p50_ms for cost in found.submits)),
        Figure(what="  memory, its children included", unit="MB", values=(found.resident_mb,)),
        Figure(what="  200 MB, until the first byte", unit="s", values=(found.download.first_byte_s,)),
        Figure(what="  200 MB, in all", unit="s", values=(found.download.took_s,)),
        Figure(what="  200 MB, the memory grew by", unit="MB", values=(found.download.grew_mb,)),
    ]


def _ratios(store: str, ours: _Found, theirs: _Found) -> list[Figure]:
    def ratio(what: str, our: Sequence[_Cost], their: Sequence[_Cost]) -> tuple[str, tuple[float, ...]]:
        pairs = zip(our, their, strict=True)
        return what, tuple(one.per_cpu_s / other.per_cpu_s for one, other in pairs)

    polls, poll_ratios = ratio("  polls, of LiteLLM's", ours.polls, theirs.polls)
    submits, submit_ratios = ratio("  submits, of LiteLLM's", ours.submits, theirs.submits)
    target = Target(at_least=100) if store == SQLITE else None
    return [
        Figure(what=polls, unit="times", values=poll_ratios, target=target, row="poll-litellm", store=store),
        Figure(what=submits, unit="times", values=submit_ratios),
    ]
