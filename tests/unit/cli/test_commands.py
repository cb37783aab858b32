"""The command line as a whole: one shape for every command, and nothing heavy before it runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from filmgate.cli import app
from filmgate.cli.options import micro_credits, run
from filmgate.cli.screen import CommandFailed
from filmgate.core.errors import FilmgateError

HEAVY = "apsw asyncio av cv2 httpx2 numpy pydantic rich starlette structlog uvicorn uvloop".split()
HEAVY_FOR_A_SERVER = "av cv2 httpx2 numpy PIL rich.progress".split()

KEPT_STABLE = [
    ("serve", "--host --port --data --database --processes --run --no-run --json"),
    ("worker", "--capabilities --data --database --json"),
    ("demo", "--data --json"),
    (
        "render",
        (
            "-o --model --duration --size --resolution --ratio --seed --image --last-frame --reference "
            "--video --audio --watermark --url --key --json"
        ),
    ),
    ("models", "--json"),
    ("settings", "--data --json"),
    ("doctor", "--deep --data --json"),
    ("webhooks list", "--account --state --limit --data --json"),
    ("webhooks show", "--data --json"),
    ("webhooks replay", "--dead --data --json"),
    ("webhooks secret", "--account --rotate --data --json"),
    ("backup", "--data --json"),
    ("migrate sqlite-to-postgres", "--data --database --json"),
    ("version", "--json"),
    ("keys create", "--name --credits --account --data --json"),
    ("keys list", "--data --json"),
    ("keys revoke", "--data --json"),
    ("credits grant", "--data --json"),
    ("credits balance", "--data --json"),
    ("tasks list", "--data --json"),
    ("tasks show", "--data --json"),
    ("tasks cancel", "--data --json"),
    ("tasks delete", "--data --json"),
    ("ledger verify", "--data --json"),
]


@pytest.fixture(autouse=True)
def nothing_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep this machine's own settings and data out of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FILMGATE_DATA", str(tmp_path / "data"))


def filmgate(*arguments: str) -> tuple[int, str, str]:
    """Run a command here and return its exit status, stdout and stderr."""
    result = CliRunner().invoke(app, arguments)
    if isinstance(result.exception, CommandFailed | FilmgateError):
        return 1, result.stdout, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(("command", "options"), KEPT_STABLE, ids=[command for command, _ in KEPT_STABLE])
def test_every_command_explains_its_options_and_gives_an_example(command: str, options: str) -> None:
    code, out, _ = filmgate(*command.split(), "--help")

    assert code == 0
    assert re.search(rf"Example: .*filmgate {command}", out)
    assert not [option for option in options.split() if option not in out.split()]
    assert max(len(line) for line in out.splitlines()) <= 80


def test_the_list_of_commands_is_what_others_script_against() -> None:
    names = [
        command.name or (command.callback and command.callback.__name__)
        for command in app.registered_commands
    ]
    groups = {
        f"{group.name} {command.name or (command.callback and command.callback.__name__)}"
        for group in app.registered_groups
        if group.typer_instance is not None
        for command in group.typer_instance.registered_commands
    }

    assert {*names, *groups} == {command for command, _ in KEPT_STABLE}


def test_a_command_line_that_is_only_read_imports_nothing_heavy() -> None:
    assert imported("import filmgate.cli") & set(HEAVY) <= {"asyncio"}


def test_the_server_imports_no_renderer() -> None:
    loaded = imported(
        "import filmgate.bootstrap.server\nfrom filmgate.providers import registry\nregistry()\n"
    )

    assert not loaded & set(HEAVY_FOR_A_SERVER)


def imported(code: str) -> set[str]:
    """Return the names of all modules that are there after `code` ran in a new process."""
    report = f"{code}\nimport sys\nprint(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", report], capture_output=True, text=True, check=True
        ).stdout.split()
    )


# --- arguments ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "micro"), [("0", 0), ("100", 100_000_000), ("0.5", 500_000), ("1e3", 10**9)]
)
def test_credits_are_read_exactly(text: str, micro: int) -> None:
    assert micro_credits(text) == micro


@pytest.mark.parametrize("text", ["", "many", "-1", "nan", "inf", "0.0000001", "1e30"])
def test_what_is_no_amount_of_credits_is_a_usage_error(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        micro_credits(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ["keys", "create"],
        ["keys", "create", "--name", "ada", "--credits", "many"],
        ["keys", "make"],
        ["tasks", "list", "--status", "lost"],
        ["tasks", "list", "--limit", "0"],
        ["serve", "--port", "70000"],
        ["render", "a fox"],
        ["render", "a fox", "-o", "missing/fox.mp4"],
        ["render", "a fox", "-o", "."],
        ["render", "a fox", "-o", "fox.mp4", "--image", "missing.png"],
        ["render", "a fox", "-o", "fox.mp4", "--reference", "missing.png"],
    ],
    ids=" ".join,
)
def test_a_usage_error_is_status_2_and_prints_nothing_on_stdout(arguments: list[str]) -> None:
    code, out, err = filmgate(*arguments)

    assert (code, out) == (2, "")
    assert "Error" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["keys", "revoke", "nobody"], "no key 'nobody'"),
        (["keys", "create", "--name", "x", "--account", "acct_x"], "no account 'acct_x'"),
        (["credits", "grant", "acct_x", "5"], "no account 'acct_x'"),
        (["credits", "grant", "acct_x", "0"], "more than 0"),
        (["credits", "balance", "acct_x"], "no account 'acct_x'"),
        (["tasks", "show", "task_x"], "no task 'task_x'"),
        (["tasks", "cancel", "task_x"], "no task 'task_x'"),
        (["models", "--config", "missing.toml"], "cannot read missing.toml"),
        (["serve", "--host", "192.0.2.1"], "public_url"),
        (["render", "a fox", "-o", "fox.png"], "call the file fox.mp4"),
        (["render", "a fox", "-o", "fox.mp4", "--model", "studio-image"], "call the file fox.png"),
        (["render", "a fox", "-o", "fox.mp4", "--model", "nothing"], "no model 'nothing'"),
        (["render", "a fox", "-o", "fox.mp4", "--ratio", "5:4"], "--ratio: must be one of"),
        (["render", "a fox", "-o", "fox.mp4", "--duration", "99"], "--duration: .* 1 to 20 seconds"),
        (["render", "a fox", "-o", "fox.mp4", "--size", "1x1"], "--size: "),
        (["render", "a fox", "-o", "fox.mp4", "--url", "http://127.0.0.1:9"], "an API key is needed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_status_1_and_says_why(
    arguments: list[str], said: str, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        code, out, err = filmgate(*arguments)

    assert (code, out) == (1, "")
    assert re.search(said, err)
    assert not list(tmp_path.glob("*fox*"))


async def nothing() -> int:
    return 7


def test_work_that_ends_returns_its_result() -> None:
    assert run(nothing()) == 7
