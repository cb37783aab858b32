"""Prints the pages of docs/ that the code already knows; `--check` says which are stale."""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from filmgate.core.errors import Fault, FilmgateError

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Write every page, or with `--check` only compare; return the exit status."""
    stale = [name for name, page in PAGES.items() if page() != _there(name)]
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"{name} is stale; `make fix` prints it anew", file=sys.stderr)
        return bool(stale)
    for name in stale:
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(PAGES[name](), encoding="utf-8")
    return 0


def errors() -> str:
    """Return the page of all errors, by whose fault they are."""
    return "\n".join(_errors()).rstrip() + "\n"


def _errors() -> Iterator[str]:
    yield "# Errors\n"
    yield (
        "Every error has a stable code to branch on; the wording may change. Each dialect wraps code and\n"
        "message in its own shape. *Again* says whether trying the same thing again may help. Whatever is\n"
        f"not listed is a bug of ours; its code is `{FilmgateError.code}`.\n"
    )
    for fault, title in _FAULTS.items():
        found = [error for error in _below(FilmgateError) if error.fault is fault]
        if not found:
            continue
        yield f"## {title}\n"
        yield "| Code | Again | What happened | Class |"
        yield "|---|---|---|---|"
        for error in found:
            words = " ".join((inspect.getdoc(error) or "").split()).replace("|", "\\|")
            again = "yes" if error.retryable else "no"
            yield f"| `{error.code}` | {again} | {words} | `{error.__name__}` |"
        yield ""


def _below(root: type[FilmgateError]) -> Iterator[type[FilmgateError]]:
    """Yield every error below `root` in the order in which they are written down."""
    for error in root.__subclasses__():
        yield error
        yield from _below(error)


def _there(name: str) -> str | None:
    path = ROOT / name
    return path.read_text(encoding="utf-8") if path.exists() else None


_FAULTS: Final[Mapping[Fault, str]] = {
    Fault.CALLER: "The caller can act",
    Fault.PROVIDER: "Between Filmgate and a provider",
    Fault.OPERATOR: "Only the operator can act",
    Fault.OURS: "Ours",
}

PAGES: Final[Mapping[str, Callable[[], str]]] = {"docs/reference/errors.md": errors}

if __name__ == "__main__":
    sys.exit(main())
