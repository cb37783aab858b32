"""Which HTTP status says which error."""

from typing import Final

from filmgate.core import errors
from filmgate.core.change import Namespace
from filmgate.core.errors import Fault, FilmgateError

_STATUSES: Final[dict[type[FilmgateError], int]] = {
    errors.InvalidRequest: 400,
    errors.ModelUnavailable: 400,
    errors.NotReady: 400,
    errors.Unauthenticated: 401,
    errors.InsufficientCredits: 402,
    errors.NotFound: 404,
    errors.ResultExpired: 410,
    errors.MethodNotAllowed: 405,
    errors.RequestTimeout: 408,
    errors.Conflict: 409,
    errors.IllegalTransition: 409,
    errors.BodyTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.IdempotencyMismatch: 422,
    errors.QueueFull: 429,
    errors.TooManyStreams: 429,
    errors.StoreUnavailable: 503,
}
_FAULTS: Final = {Fault.CALLER: 400, Fault.PROVIDER: 502, Fault.OPERATOR: 500, Fault.OURS: 500}
RETRY_AFTER_S: Final[dict[type[FilmgateError], int]] = {
    errors.QueueFull: 10,
    errors.TooManyStreams: 10,
    errors.StoreUnavailable: 1,
}


def status_of(error: FilmgateError) -> int:
    """Return the HTTP status of an error, where its dialect has no opinion of its own."""
    if isinstance(error, errors.IdempotencyMismatch) and error.param == Namespace.OUT_TASK_ID:
        return 409  # as ByteSpike's submit page says; nobody else has such ids
    for kind in type(error).__mro__:
        if kind in _STATUSES:
            return _STATUSES[kind]
    return _FAULTS[error.fault]


def public(error: FilmgateError) -> FilmgateError:
    """Return the error as a caller may see it: what is not theirs to mend is only said to be ours."""
    if error.fault in {Fault.CALLER, Fault.PROVIDER} or isinstance(error, errors.StoreUnavailable):
        return error
    return FilmgateError("something went wrong on our side; x-request-id finds it in our log")


def headers_of(error: FilmgateError, status: int) -> list[tuple[bytes, bytes]]:
    """Return what goes with an error in any dialect. `x-filmgate-error` is our code, whatever the shape."""
    headers = [(b"x-filmgate-error", error.code.encode())]
    if status == 401:  # noqa: PLR2004
        headers.append((b"www-authenticate", b"Bearer"))
    if status == 409:  # noqa: PLR2004
        # Stock SDKs send a POST again after a 409, three times over.
        headers.append((b"x-should-retry", b"false"))
    if status == 408:  # noqa: PLR2004
        headers.append((b"connection", b"close"))
    if type(error) in RETRY_AFTER_S:
        headers.append((b"retry-after", str(RETRY_AFTER_S[type(error)]).encode()))
    return headers
