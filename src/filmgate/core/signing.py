"""The secrets that an account's webhooks are signed with: derived, so that none is stored."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

PREFIX: Final = "whsec_"
OVERLAP: Final = timedelta(hours=24)  # both secrets sign, so that receivers can change at leisure


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Which secret an account is at: `turn` grows by one with every rotation."""

    account_id: str
    turn: int = 1
    rotated_at: datetime | None = None

    def rotated(self, *, at: datetime) -> "Signing":
        """Return the next secret's turn."""
        return replace(self, turn=self.turn + 1, rotated_at=at)

    def secrets(self, root: bytes, *, at: datetime) -> tuple[str, ...]:
        """Return the `whsec_` texts that sign at `at`, newest first; `root` is the installation's."""
        both = self.rotated_at is not None and at < self.rotated_at + OVERLAP
        turns = (self.turn, self.turn - 1) if both else (self.turn,)
        return tuple(self._secret(root, turn) for turn in turns)

    def _secret(self, root: bytes, turn: int) -> str:
        raw = hmac.digest(root, f"{self.account_id}/{turn}".encode(), hashlib.sha256)
        return PREFIX + base64.b64encode(raw).decode()
