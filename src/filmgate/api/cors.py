"""Pages of any origin may ask: what lets them in is a key, and never a cookie that a browser adds."""

from collections.abc import Iterable
from typing import Final

from starlette.types import Scope

from filmgate.api.answer import Answer, Headers

OPEN: Final[Headers] = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"*"),  # x-request-id, x-filmgate-error and the like
]
_DAY: Final = (b"access-control-max-age", b"86400")
_ASKED: Final = b"access-control-request-headers"


def preflight(scope: Scope, methods: Iterable[str]) -> Answer | None:
    """Return what a browser asks before it sends what a page wants, or None if this is no such question."""
    asked = dict(scope["headers"])
    if scope["method"] != "OPTIONS" or b"access-control-request-method" not in asked:
        return None
    allowed = (b"access-control-allow-methods", ", ".join(sorted(methods)).encode())
    # By name: `*` means every header but Authorization.
    named = [(b"access-control-allow-headers", asked[_ASKED])] if _ASKED in asked else []
    return Answer(None, 204, [allowed, *named, _DAY])
