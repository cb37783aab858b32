"""Posts through the safe client, and reads of the answer what the schedule needs."""

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from filmgate.core.errors import InvalidRequest
from filmgate.net.client import SafeClient
from filmgate.net.client import Unanswered as NoAnswer
from filmgate.net.target import Unreachable
from filmgate.ports.clock import Clock
from filmgate.ports.sender import Answered, Unanswered


class SafeSender:
    """Implements `ports.sender.Sender`."""

    def __init__(self, client: SafeClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def check_url(self, url: str) -> None:
        try:
            self._client.check(url)
        except Unreachable as error:
            raise InvalidRequest(str(error)) from error

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answered | Unanswered:
        match await self._client.post(url, headers=headers, body=body):
            case NoAnswer(reason=reason):
                return Unanswered(reason=reason)
            case answer:
                advice = {name.lower(): value for name, value in answer.headers.items()}.get("retry-after")
                return Answered(status=answer.status, retry_after_s=self._seconds(advice))

    def _seconds(self, advice: str | None) -> float | None:
        """Return a `Retry-After`, which is seconds or a date; nonsense is as good as none."""
        if advice is None or not advice.isascii():
            return None
        if advice.strip().isdecimal():
            return float(advice.strip()[:9])
        try:
            at = parsedate_to_datetime(advice)
        except ValueError:
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max((at - self._clock.now()).total_seconds(), 0)
