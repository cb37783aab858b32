"""Holds the files in deploy/ to what the service understands, and runs of them what can be run here."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx2
import pytest
import typer
import yaml  # type: ignore[import-untyped]

from filmgate import cli
from filmgate.settings import Settings, load
from filmgate.store.postgres import schema
from tests.e2e.service import Service, Worker, free_port, serving
from tests.postgres import Server

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = DEPLOY / "kubernetes"
OURS = "filmgate"  # our own image
CLOSES_WITHIN_S = 7  # to let go of tasks, and close, once the last request has ended


def wait_until(true: Callable[[], bool], *, within_s: float) -> None:
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until
        time.sleep(0.1)


# --- what the files say ---------------------------------------------------------------------------


def documents(path: Path) -> list[dict[str, Any]]:
    return [found for found in yaml.safe_load_all(path.read_text()) if found is not None]


def manifest(kind: str, name: str) -> Any:  # noqa: ANN401
    """Return the one manifest of that kind and name."""
    (found,) = (
        found
        for path in MANIFESTS.glob("*.yaml")
        for found in documents(path)
        if found["kind"] == kind and found["metadata"]["name"] == name
    )
    return found


def pods() -> dict[str, Any]:
    return {name: manifest("Deployment", name)["spec"]["template"]["spec"] for name in ("api", "worker")}


def compose() -> Any:  # noqa: ANN401
    return documents(DEPLOY / "compose.yaml")[0]


def services() -> dict[str, Any]:
    """Return the services of the compose file that run our image."""
    return {name: found for name, found in compose()["services"].items() if found["image"] == OURS}


def dockerfile(instruction: str) -> list[str]:
    """Return the arguments of each such instruction."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    return re.findall(rf"^{instruction} +(.+)$", text, re.MULTILINE)


def dotenv() -> dict[str, str]:
    lines = (DEPLOY / ".env.example").read_text().splitlines()
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return dict(pairs)


def filled_in(text: object) -> str:
    """Return a value of the compose file with its variables replaced, as `docker compose` would."""
    known = {name: value or "set" for name, value in dotenv().items()}
    return re.sub(r"\$\{(\w+)(?::[-?][^}]*)?\}", lambda match: known[match[1]], str(text))


# --- settings -------------------------------------------------------------------------------------


def environments() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what each process of ours would be told."""
    image: dict[str, str] = {}
    for words in dockerfile("ENV"):
        image |= dict(word.split("=", 1) for word in shlex.split(words))
    for name, service in services().items():
        told = {variable: filled_in(value) for variable, value in service["environment"].items()}
        yield f"compose {name}", image | told
    shared = manifest("ConfigMap", "filmgate")["data"] | manifest("Secret", "filmgate")["stringData"]
    for name, pod in pods().items():
        own = {variable["name"]: variable["value"] for variable in pod["containers"][0].get("env", [])}
        yield f"kubernetes {name}", image | shared | own


@pytest.mark.parametrize(
    "environment", [told for _, told in environments()], ids=[name for name, _ in environments()]
)
def test_the_service_understands_what_it_is_told(environment: dict[str, str]) -> None:
    ours = {name: value for name, value in environment.items() if name.startswith("FILMGATE_")}

    settings = load({}, environ=ours).settings

    settings.check_exposure()
    assert settings.public_url == "https://video.example.com"
    assert settings.data == Path("/data")


def test_each_variable_of_the_compose_file_is_in_the_example_and_used() -> None:
    used = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text()))

    assert used == set(dotenv())


def test_no_secret_has_a_default() -> None:
    secrets = {name for name in dotenv() if re.search("PASSWORD|SECRET", name)}

    assert secrets
    assert not [name for name in secrets if dotenv()[name]]
    for name in secrets:
        assert set(re.findall(rf"\$\{{{name}(.)", (DEPLOY / "compose.yaml").read_text())) == {":"}
        assert f"${{{name}:-" not in (DEPLOY / "compose.yaml").read_text()


# --- commands -------------------------------------------------------------------------------------


def command_lines() -> Iterator[list[str]]:
    """Yield what follows `filmgate`, wherever these files say it."""
    yield json.loads(dockerfile("CMD")[-1])
    yield from ([filled_in(word) for word in service["command"]] for service in services().values())
    yield from (pod["containers"][0]["args"] for pod in pods().values())
    for path in sorted(DEPLOY.rglob("*")):
        if path.is_file():
            said = re.findall(r"^#.*(?:CONTAINER|exec api|--) filmgate (.+)$", path.read_text(), re.MULTILINE)
            yield from (shlex.split(words) for words in said)


@pytest.mark.parametrize("words", list(command_lines()), ids=" ".join)
def test_each_command_is_one_that_there_is(words: list[str]) -> None:
    parse(words)


def parse(words: Sequence[str]) -> None:
    """Parse a command line down to its last option, and run nothing."""
    command: Any = typer.main.get_command(cli.app)
    rest = list(words)
    while hasattr(command, "commands"):
        assert rest[0] in command.commands, f"there is no command {rest[0]}"
        command = command.commands[rest.pop(0)]
    command.make_context("filmgate", rest)


def test_an_option_that_there_is_not_would_be_noticed() -> None:
    with pytest.raises(Exception, match="No such option: --nonsense"):
        parse(["serve", "--nonsense"])


# --- health ---------------------------------------------------------------------------------------


@pytest.fixture(name="service", scope="module")
def _service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("deploy") / "data") as service:
        yield service


def test_the_image_knows_whether_it_is_healthy(service: Service) -> None:
    (check,) = dockerfile("HEALTHCHECK")
    _, program, *arguments = json.loads(check.partition("CMD ")[2])

    codes = [
        subprocess.run(
            [sys.executable, program, *arguments],
            env={"FILMGATE_PORT": str(port)},
            capture_output=True,
            timeout=30,
            check=False,
        ).returncode
        for port in (service.port, free_port())
    ]

    assert codes == [0, 1]


def test_probes_ask_for_paths_that_there_are(service: Service) -> None:
    container = pods()["api"]["containers"][0]
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}

    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",  # a database that is away is no reason to start anew
        "readiness": "/readyz",
    }
    assert {httpx2.get(service.url + probe["path"]).status_code for probe in probes.values()} == {200}
    assert {probe["port"] for probe in probes.values()} == {container["ports"][0]["name"]}
    waits_s = container["startupProbe"]["periodSeconds"] * container["startupProbe"]["failureThreshold"]
    assert waits_s > schema._MINUTES  # else a long migration is killed, and begun anew, for ever
    assert container["ports"][0]["containerPort"] == Settings().port == int(dockerfile("EXPOSE")[0])


def test_a_worker_that_stands_still_is_found_out(migrated: str, tmp_path: Path) -> None:
    probe = pods()["worker"]["containers"][0]["livenessProbe"]["exec"]["command"]
    assert services()["worker"]["healthcheck"]["test"] == ["CMD-SHELL", probe[-1]]

    def lives() -> bool:
        look = [*probe[:-1], probe[-1].replace("/data", f"{tmp_path}/data")]
        return subprocess.run(look, check=False).returncode == 0

    def silent_for_a_minute() -> None:
        (file,) = (tmp_path / "data").glob("work/*/alive")
        os.utime(file, times=(time.time() - 61,) * 2)

    worker = Worker(tmp_path / "data", database=migrated, capabilities="sandbox")
    worker.start()
    wait_until(lives, within_s=30)
    silent_for_a_minute()
    wait_until(lives, within_s=30)
    os.kill(worker.pid, signal.SIGSTOP)
    silent_for_a_minute()
    assert not lives()
    os.kill(worker.pid, signal.SIGCONT)
    wait_until(lives, within_s=30)

    assert worker.stop() == 0
    assert not lives()


@pytest.mark.parametrize("name", ["api", "worker"])
def test_there_is_time_to_stop(name: str) -> None:
    shutdown_s = int(manifest("ConfigMap", "filmgate")["data"]["FILMGATE_GRACEFUL_SHUTDOWN_S"])
    pod = pods()[name]
    pause = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {"seconds": 0})
    compose_s = int(services()[name]["stop_grace_period"].removesuffix("s"))

    assert pod["terminationGracePeriodSeconds"] >= pause["seconds"] + shutdown_s + CLOSES_WITHIN_S
    assert compose_s >= Settings().graceful_shutdown_s + CLOSES_WITHIN_S
    assert dockerfile("STOPSIGNAL") == ["SIGTERM"]


# --- safety ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["api", "worker"])
def test_a_pod_may_do_no_more_than_it_must(name: str) -> None:
    pod = pods()[name]
    (container,) = pod["containers"]
    user = int(dockerfile("USER")[-1].split(":")[0])

    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not pod["automountServiceAccountToken"]
    # Else Kubernetes sets FILMGATE_PORT and the like, and an unknown setting stops the start.
    assert not pod["enableServiceLinks"]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/data", "/tmp"}  # noqa: S108


@pytest.mark.parametrize("name", ["api", "worker"])
def test_a_container_may_do_no_more_than_it_must(name: str) -> None:
    service = services()[name]

    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    # Named, a volume would be one for all workers, and each empties its own at its start.
    assert service["volumes"] == ["/data"]


def test_only_the_api_can_be_reached() -> None:
    published_ = {name for name, service in compose()["services"].items() if "ports" in service}
    allowed = [found["spec"] for found in documents(MANIFESTS / "network.yaml")]

    assert published_ == {"api"}
    assert [spec["podSelector"] for spec in allowed if spec.get("ingress")] == [
        {"matchLabels": manifest("Deployment", "api")["spec"]["selector"]["matchLabels"]}
    ]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}.items() <= allowed[0].items()


def test_images_are_pinned() -> None:
    (python,) = (words.split("=")[1] for words in dockerfile("ARG") if words.startswith("PYTHON="))
    others = [service["image"] for service in compose()["services"].values() if service["image"] != OURS]

    assert set(dockerfile("FROM")) == {"python:${PYTHON} AS build", "python:${PYTHON}"}
    assert re.fullmatch(r"3\.11\.\d+-slim-bookworm", python)
    assert others
    assert all(re.fullmatch(r"[\w./-]+:\d[\w.-]*", image) for image in others)


def test_what_is_copied_into_the_image_is_there_and_not_ignored() -> None:
    copied = [words.split()[:-1] for words in dockerfile("COPY") if not words.startswith("--from")]
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}

    assert {name for names in copied for name in names} == let_in
    assert all((ROOT / name).exists() for name in let_in)


# --- one cluster ----------------------------------------------------------------------------------


def test_every_manifest_is_applied_but_the_example_of_secrets() -> None:
    (listed,) = documents(MANIFESTS / "kustomization.yaml")
    files = {path.name for path in MANIFESTS.iterdir()}

    assert set(listed["resources"]) == files - {"kustomization.yaml", "secret.example.yaml"}


def test_what_refers_to_another_finds_it() -> None:
    for name in ("api", "worker"):
        deployment = manifest("Deployment", name)["spec"]
        labels = deployment["template"]["metadata"]["labels"].items()
        assert deployment["selector"]["matchLabels"].items() <= labels
        assert manifest("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"].items() <= labels
    assert manifest("Service", "api")["spec"]["selector"].items() <= dict(labels_of("api")).items()
    assert manifest("HorizontalPodAutoscaler", "api")["spec"]["scaleTargetRef"]["name"] == "api"
    assert manifest("ScaledObject", "worker")["spec"]["scaleTargetRef"]["name"] == "worker"
    for trigger in manifest("ScaledObject", "worker")["spec"]["triggers"]:
        authentication = manifest("TriggerAuthentication", trigger["authenticationRef"]["name"])
        for reference in authentication["spec"]["secretTargetRef"]:
            assert reference["key"] in manifest("Secret", reference["name"])["stringData"]


def labels_of(name: str) -> Any:  # noqa: ANN401
    return manifest("Deployment", name)["spec"]["template"]["metadata"]["labels"]


def test_a_worker_has_the_memory_that_its_films_may_take() -> None:
    container = pods()["worker"]["containers"][0]
    told = {variable["name"]: int(variable["value"]) for variable in container["env"]}
    slots = told["FILMGATE_PROVIDERS__STUDIO__SLOTS"]
    limit = container["resources"]["limits"]["memory"]

    assert int(limit.removesuffix("Mi")) >= slots * told["FILMGATE_PROVIDERS__STUDIO__MEMORY_MB"] + 512
    assert trigger("running")["metadata"]["targetQueryValue"] == str(slots)
    assert int(container["resources"]["limits"]["cpu"]) == slots


def test_the_scaler_knows_how_many_tasks_an_account_may_run() -> None:
    concurrency = manifest("ConfigMap", "filmgate")["data"]["FILMGATE_ACCOUNT_CONCURRENCY"]

    assert trigger("queue-age")["metadata"]["query"].split()[-1] == concurrency


def trigger(name: str) -> Any:  # noqa: ANN401
    (found,) = (one for one in manifest("ScaledObject", "worker")["spec"]["triggers"] if one["name"] == name)
    return found


async def test_the_scaler_asks_for_what_there_is_and_may_be_asked(migrated: str, postgres: Server) -> None:
    """As the role that secret.example.yaml creates, over a queue like any other."""
    role = re.findall(
        r"^#   ((?:CREATE|GRANT) .+;)$", (MANIFESTS / "secret.example.yaml").read_text(), re.MULTILINE
    )
    queries = [trigger(name)["metadata"]["query"] for name in ("queue-age", "running")]
    database = await asyncpg.connect(
        urlsplit(postgres._admin)._replace(path=urlsplit(migrated).path).geturl()
    )
    transaction = database.transaction()  # a role belongs to the whole server: nothing of it may stay
    await transaction.start()
    try:
        for account, admitted, ages_s in (("busy", 6, [1_000]), ("free", 1, [50, 100])):
            for n in range(admitted):
                await put(database, f"{account}-{n}", account, admitted=1)
            for age_s in ages_s:
                await put(database, f"{account}-{age_s}s", account, waiting=1, age_s=age_s)
        await put(database, "elsewhere", "free", provider="sandbox", waiting=1, age_s=5_000)
        await database.execute(
            "INSERT INTO jobs (task_id, provider) SELECT id, provider FROM tasks WHERE admitted = 1 "
            "UNION ALL SELECT 'another', 'sandbox'"
        )
        for statement in role:
            await database.execute(statement)
        await database.execute("SET LOCAL ROLE filmgate_scaler")

        waits_s, running = [await database.fetchval(query) for query in queries]
    finally:
        await transaction.rollback()
        await database.close()

    assert len(role) == 3
    assert 100 <= waits_s < 160
    assert running == 7


async def put(database: Any, task_id: str, account: str, **columns: Any) -> None:  # noqa: ANN401
    """Store a task, of which only its place in the queue matters."""
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    row = {
        "id": task_id,
        "account_id": account,
        "provider": "studio",
        "waiting": 0,
        "admitted": 0,
        "created_at": now - columns.pop("age_s", 0) * 1_000_000,
        **dict.fromkeys(("key_id", "dialect", "kind", "model_id", "status", "snapshot"), ""),
        **dict.fromkeys(("lease_no", "priority", "held", "deadline_at"), 0),
        **dict.fromkeys(("version", "charged", "deleted", "updated_at"), 0),
        **columns,
    }
    await database.execute(
        "INSERT INTO tasks SELECT (jsonb_populate_record(NULL::tasks, $1::jsonb)).*", json.dumps(row)
    )
