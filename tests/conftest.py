"""What every test shares: one way to try random inputs, logging as nobody set it up, a PostgreSQL."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from tests.postgres import Server, migrated, server

# No deadline: a busy machine is no bug. The blob repeats a failure exactly.
settings.register_profile("filmgate", deadline=None, print_blob=True)
settings.load_profile("filmgate")

_configure = structlog.configure


@pytest.fixture(autouse=True)
def own_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a test makes of logging; a logger that was cached would keep it for all that follow."""
    monkeypatch.setattr(
        structlog, "configure", lambda **options: _configure(**options | {"cache_logger_on_first_use": False})
    )
    yield
    structlog.reset_defaults()


@pytest.fixture(name="postgres", scope="session")
def _postgres() -> Iterator[Server]:
    """Return a PostgreSQL for databases that need not outlive a power cut; started when first asked for."""
    with server(durable=False) as one:
        yield one


@pytest.fixture(name="database")
def _database(postgres: Server) -> Iterator[str]:
    """Return the URL of an empty database, which is gone after the test."""
    url = postgres.create_database()
    yield url
    postgres.drop(url)


@pytest.fixture(name="migrated")
def _migrated(postgres: Server) -> Iterator[str]:
    """Return the URL of a database with our schema and nothing in it, which is gone after the test."""
    url = postgres.create_database(template=migrated)
    yield url
    postgres.drop(url)


@pytest.fixture(params=["sqlite", "postgres"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Path | str]:
    """Return what names a place for another empty store, on each database in turn."""
    if request.param == "sqlite":
        numbers = count(1)
        return lambda: tmp_path / f"data-{next(numbers)}"
    postgres: Server = request.getfixturevalue("postgres")
    return lambda: postgres.create_database(template=migrated)
