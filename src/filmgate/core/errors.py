"""Every error Filmgate raises on purpose.

Each class carries a stable `code` that clients may branch on, whose `fault` it is, and whether
trying the same thing again may help. HTTP status codes live in `api/`, wording for a wire in its
dialect; the message here is safe to show to any caller.
"""

import errno
from enum import StrEnum
from typing import ClassVar, Final

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Fault(StrEnum):
    """Who can do something about an error."""

    CALLER = "caller"
    PROVIDER = "provider"
    OPERATOR = "operator"
    OURS = "ours"


class FilmgateError(Exception):
    """The root: never raised itself."""

    code: ClassVar[str] = "internal_error"
    fault: ClassVar[Fault] = Fault.OURS
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, param: str | None = None) -> None:
        """Say what is wrong in `message`; name the request field it is about in `param`."""
        super().__init__(message)
        self.message = message
        self.param = param


# --- the caller's -------------------------------------------------------------------------------


class InvalidRequest(FilmgateError):
    """The request is malformed or asks for something the model does not offer."""

    code = "invalid_request"
    fault = Fault.CALLER


class InputInvalid(InvalidRequest):
    """An input file is damaged, too large, or not the kind of media it should be."""

    code = "input_invalid"


class InputUnavailable(InvalidRequest):
    """An input URL could not be fetched: its address is not allowed, or what is there did not come."""

    code = "input_unavailable"


class ModelNotFound(InvalidRequest):
    """No model of this name or alias is in the catalogue."""

    code = "model_not_found"


class ModelUnavailable(FilmgateError):
    """The model is known, but no configured provider can run it."""

    code = "model_unavailable"
    fault = Fault.CALLER


class Unauthenticated(FilmgateError):
    """No key, or one that is unknown, revoked, expired or not allowed from here."""

    code = "invalid_api_key"
    fault = Fault.CALLER


class NotFound(FilmgateError):
    """There is no such thing, or it belongs to someone else; the two answers are the same."""

    code = "not_found"
    fault = Fault.CALLER


class TaskNotFound(NotFound):
    """There is no such task, or it belongs to another key."""

    code = "task_not_found"


class ResultExpired(NotFound):
    """The task succeeded, but its files have gone: it ended longer ago than results are kept."""

    code = "result_expired"


class MethodNotAllowed(FilmgateError):
    """The path exists, but not with this HTTP method."""

    code = "method_not_allowed"
    fault = Fault.CALLER


class UnsupportedMediaType(FilmgateError):
    """The body's content type or encoding is not one this path reads."""

    code = "unsupported_media_type"
    fault = Fault.CALLER


class BodyTooLarge(FilmgateError):
    """The request body is larger than this path accepts."""

    code = "body_too_large"
    fault = Fault.CALLER


class RequestTimeout(FilmgateError):
    """The request body did not arrive in time."""

    code = "request_timeout"
    fault = Fault.CALLER
    retryable = True


class InsufficientCredits(FilmgateError):
    """The account cannot pay for this task; nothing was stored and nothing is held."""

    code = "insufficient_credits"
    fault = Fault.CALLER


class IdempotencyMismatch(FilmgateError):
    """The idempotency key was used before for a different request."""

    code = "idempotency_mismatch"
    fault = Fault.CALLER


class Conflict(FilmgateError):
    """The task changed under the request; read it again."""

    code = "conflict"
    fault = Fault.CALLER
    retryable = True


class LeaseLost(Conflict):
    """Another worker has taken the task over; this one must let go of it."""

    code = "lease_lost"
    fault = Fault.OURS
    retryable = False


class IllegalTransition(FilmgateError):
    """The task's status does not allow this step."""

    code = "illegal_transition"
    fault = Fault.CALLER


class QueueFull(FilmgateError):
    """Too many tasks are waiting already, of this account or in all; try again later."""

    code = "queue_full"
    fault = Fault.CALLER
    retryable = True


class TooManyStreams(FilmgateError):
    """As many event streams are open as may be, of this key or in all; close some, or poll."""

    code = "too_many_streams"
    fault = Fault.CALLER
    retryable = True


class NotReady(FilmgateError):
    """The task has no result yet, or will never have one."""

    code = "not_ready"
    fault = Fault.CALLER


# --- the provider's -----------------------------------------------------------------------------


class ProviderError(FilmgateError):
    """Something went wrong between Filmgate and a provider.

    `landed` says whether the submission may exist upstream all the same: only False permits
    another submission.
    """

    code = "provider_error"
    fault = Fault.PROVIDER
    landed: ClassVar[bool] = False


class ProviderRejected(ProviderError):
    """The provider understood the request and will not run it."""

    code = "provider_rejected"


class ModerationRejected(ProviderRejected):
    """The provider's content policy refuses this prompt or this input."""

    code = "moderated"


class ProviderBusy(ProviderError):
    """The provider asks us to slow down; nothing was started."""

    code = "provider_busy"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        """Keep the provider's own advice on when to come back, in seconds."""
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ProviderUnavailable(ProviderError):
    """The provider could not be reached; provably nothing was started."""

    code = "provider_unavailable"
    retryable = True


class SubmissionUnclear(ProviderError):
    """The connection broke, or the provider failed, after the submission was sent."""

    code = "submit_unknown"
    landed = True


class RemoteLost(ProviderError):
    """The provider no longer knows a submission that it had accepted."""

    code = "provider_lost"
    landed = True


class ProviderProtocolError(ProviderError):
    """The provider answered with something its documentation does not mention."""

    code = "provider_protocol"
    landed = True


# --- the operator's and ours --------------------------------------------------------------------


class ProviderMisconfigured(ProviderError):
    """The provider refuses our credentials or our account: only the operator can help."""

    code = "provider_misconfigured"
    fault = Fault.OPERATOR


class InvalidSettings(FilmgateError):
    """A setting is unknown, malformed or unsafe; the service does not start."""

    code = "invalid_settings"
    fault = Fault.OPERATOR


class AlreadyServing(FilmgateError):
    """Another process serves this data directory."""

    code = "already_serving"
    fault = Fault.OPERATOR


class StoreUnavailable(FilmgateError):
    """The database or the disk could not make the change durable; nothing of it is kept."""

    code = "store_unavailable"
    fault = Fault.OURS
    retryable = True


class OutcomeUnknown(StoreUnavailable):
    """The connection went while a change was being saved: it was, or it was not. A store finds out itself."""


def is_no_room(error: BaseException) -> bool:
    """Whether a disk was full: that passes, and is no bug."""
    return isinstance(error, OSError) and error.errno in _NO_ROOM
