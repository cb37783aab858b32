"""Everything that the client raises on purpose."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filmgate.client.answers import Task


class FilmgateError(Exception):
    """The root of the client's errors; `message` is for people."""

    def __init__(self, message: str) -> None:
        """Keep the message."""
        super().__init__(message)
        self.message = message


class Unreachable(FilmgateError):
    """The server did not answer, however often it was asked."""


class BadAnswer(FilmgateError):
    """The server answered with something that is no answer of a Filmgate."""


class ApiError(FilmgateError):
    """The server refused a request.

    `status` is HTTP's, `code` one of docs/reference/errors.md, `param` the field that it is about, and
    `request_id` finds the request in the server's log.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        param: str | None = None,
        request_id: str | None = None,
    ) -> None:
        """Keep what the server said."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.request_id = request_id


class InvalidRequest(ApiError):
    """The request asks for something that cannot be had (400, 405, 413, 415, 422)."""


class Unauthenticated(ApiError):
    """The key is missing, unknown, revoked or expired (401)."""


class InsufficientCredits(ApiError):
    """The account cannot pay for this task (402)."""


class NotFound(ApiError):
    """There is no such thing, or it belongs to another key (404)."""


class Conflict(ApiError):
    """The task does not allow this step now (409)."""


class RateLimited(ApiError):
    """Too much at a time (429), still so after every retry."""


class ServerError(ApiError):
    """The server's own trouble (5xx)."""


class TaskFailed(FilmgateError):
    """The task ended without a result; `code` says why, `cancelled` included."""

    def __init__(self, task: "Task") -> None:
        """Take the reason from the task."""
        self.task = task
        self.code = task.error.code if task.error else str(task.status)
        super().__init__(task.error.message if task.error else f"the task is {task.status}")


class WaitTimeout(FilmgateError):
    """The task has not ended within the time that was given; it goes on, and `task` is how it stands."""

    def __init__(self, task: "Task", timeout_s: float) -> None:
        """Say for how long."""
        super().__init__(f"task {task.id} is still {task.status} after {timeout_s:g} s")
        self.task = task


class DownloadFailed(FilmgateError):
    """What was fetched is not as long as it should be."""


class WebhookInvalid(FilmgateError):
    """A webhook that this secret did not sign, or not lately: believe nothing of it."""
