"""When to try a submission again that provably did not land."""

import hashlib
from datetime import datetime, timedelta
from typing import Final

from filmgate.core.errors import ProviderBusy, ProviderError

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
_DOUBLINGS: Final = 16  # past the longest wait by far, and no number grows without end


def again_at(
    error: ProviderError, *, reference: str, tries: int, now: datetime, deadline: datetime
) -> datetime | None:
    """Return when to submit again after `tries` refusals, or None to give up.

    The wait doubles, spread by up to a fifth either way by the reference, so that many tasks
    refused at once do not come back at once; the provider's own advice is never undercut.
    """
    if error.landed or not error.retryable:
        return None
    wait_s = min(FIRST_WAIT_S * 2 ** min(tries - 1, _DOUBLINGS), LONGEST_WAIT_S)
    wait_s *= 0.8 + 0.4 * _fraction(f"{reference}/{tries}")
    if isinstance(error, ProviderBusy) and error.retry_after_s is not None:
        wait_s = max(wait_s, error.retry_after_s)
    # Compared before it is added: advice may be longer than any calendar.
    if wait_s >= (deadline - now).total_seconds():
        return None
    return now + timedelta(seconds=wait_s)


def _fraction(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32
