"""What every test shares: one way to try random inputs, and logging that no other test has set up."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

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
