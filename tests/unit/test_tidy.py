"""The rules of this repository that no other tool checks."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "filmgate"
PYPROJECT = (ROOT / "pyproject.toml").read_text()
SETTINGS: dict[str, Any] = tomllib.loads(PYPROJECT)
LOCKS = ("runtime", "build", "dev")

LEFT_BY_TOOLS = re.compile(
    r"(^|/)(\.git|\.venv|\.make|\.\w+_cache|\.hypothesis|__pycache__)/|^(build|dist|data)/"
)
MACHINE_PATH = re.compile(r"(?<![\w.~$}])/(work|root|home/\w+|Users/\w+)/")
REGISTRY = re.compile(r"\b(pypi|pythonhosted|npmjs|yarnpkg|crates|rubygems)\.(org|com|io)\b")


def tracked() -> list[Path]:
    """Return the files of the repository, new ones too, as paths from its root."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    git = (
        subprocess.run(listing, capture_output=True, text=True, check=False)
        if (ROOT / ".git").exists()
        else None
    )
    if git is not None and git.returncode == 0:
        found = [Path(name) for name in git.stdout.split("\0") if name]
    else:
        found = [path.relative_to(ROOT) for path in ROOT.rglob("*")]
    return sorted(p for p in found if (ROOT / p).is_file() and not LEFT_BY_TOOLS.search(p.as_posix()))


def modules(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    """Yield path and syntax tree of every Python file below the folders."""
    for path in tracked():
        if path.suffix == ".py" and path.parts[0] in folders:
            yield path.as_posix(), ast.parse((ROOT / path).read_text())


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield the full name of every module that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def lines_of_table(start: str, end: str) -> list[str]:
    """Return the lines of pyproject.toml between two of its lines, without empty ones."""
    _, _, after = PYPROJECT.partition(start + "\n")
    table, found, _ = after.partition("\n" + end)
    assert found, f"pyproject.toml has no {start!r} that ends with {end!r}"
    return [line for line in table.splitlines() if line.strip()]


def test_every_module_opens_with_one_sentence() -> None:
    wrong = []

    for path, tree in modules("src", "tests", "tools", "benchmarks"):
        first, *rest = (ast.get_docstring(tree) or "").split("\n")
        if not first.endswith((".", "?")) or (rest and rest[0]):
            wrong.append(path)

    assert not wrong, "the docstring's first line is one sentence, on a line of its own"


@pytest.mark.parametrize(
    ("package", "may_import"), [("core", ("core",)), ("ports", ("core", "ports"))], ids=["core", "ports"]
)
def test_the_inside_imports_only_itself_and_the_standard_library(
    package: str, may_import: tuple[str, ...]
) -> None:
    allowed = tuple(f"filmgate.{name}" for name in may_import)
    wrong = [
        f"{path} imports {name}"
        for path, tree in modules("src")
        if path.startswith(f"src/filmgate/{package}/")
        for name in imported(tree)
        if name.partition(".")[0] not in sys.stdlib_module_names
        if not any(name == one or name.startswith(f"{one}.") for one in allowed)
    ]

    assert not wrong


def test_the_client_imports_nothing_else_of_ours() -> None:
    wrong = [
        f"{path} imports {name}"
        for path, tree in modules("src")
        if path.startswith("src/filmgate/client")
        for name in imported(tree)
        if name.partition(".")[0] == "filmgate" and not name.startswith("filmgate.client")
    ]

    assert not wrong


def test_every_top_level_package_has_its_layer() -> None:
    layers = SETTINGS["tool"]["importlinter"]["contracts"][0]["layers"]
    named = {name.strip(" ()") for layer in layers for name in layer.split("|")}
    there = {
        path.parts[2].removesuffix(".py")
        for path in tracked()
        if path.parts[:2] == ("src", "filmgate") and path.suffix == ".py"
    }

    assert there - {"__init__"} <= named


def test_no_file_names_a_machine() -> None:
    wrong = []

    for path in tracked():
        try:
            text = (ROOT / path).read_text()
        except UnicodeDecodeError:
            continue
        wrong += [f"{path}: {found[0]}" for found in MACHINE_PATH.finditer(text)]
        wrong += [f"{path}: {found[0]}" for found in REGISTRY.finditer(text)]

    assert not wrong, "a path of one machine, or a registry's address; pip's own settings say where to look"


def test_nothing_is_taken_for_a_number_that_int_cannot_read() -> None:
    """`isdigit` is true of a superscript two: `core.numbers.whole` reads what strangers wrote."""
    found = [
        f"{path}:{node.lineno}"
        for path, tree in modules("src")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"isdigit", "isnumeric"}
    ]

    assert not found


def test_every_dependency_says_why() -> None:
    declared = lines_of_table("dependencies = [", "]") + lines_of_table("[dependency-groups]", "# ---")
    silent = [line for line in declared if re.match(r'\s+"', line) and not re.search(r'",\s+# \w', line)]

    assert len(declared) > len(SETTINGS["project"]["dependencies"])
    assert not silent


def test_every_rule_switched_off_says_why() -> None:
    ignores = lines_of_table("ignore = [", "]") + lines_of_table("[tool.ruff.lint.per-file-ignores]", "[")
    silent = [line for line in ignores if re.match(r'\s+"', line) and not re.search(r'",\s+# \w', line)]

    assert not silent


@pytest.mark.parametrize("name", [*LOCKS, "all", "openai-2.24", "litellm"])
def test_a_lock_is_pinned_by_hash_and_names_no_index(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    entries = re.split(r"\n(?=[a-z0-9])", "\n" + text.replace("\\\n", ""))[1:]

    assert entries
    assert not [
        entry for entry in entries if not re.match(r"[a-z0-9._-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry)
    ]
    assert not re.search(r"^\s*-(?!-hash)|://", text, re.MULTILINE)


def test_the_locks_agree_and_hold_what_is_asked_for() -> None:
    runtime, build, dev = (pins(name) for name in LOCKS)
    names = [re.match(r"[\w-]+", line) for line in SETTINGS["project"]["dependencies"]]

    assert runtime.items() <= dev.items()
    assert build.items() <= dev.items()
    assert {name[0] for name in names if name} <= runtime.keys()


def pins(lock: str) -> dict[str, str]:
    """Return name and version of everything in a lock file."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))
