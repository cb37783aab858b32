"""The Python client of a Filmgate server, sync and async.

    from filmgate.client import Filmgate

    with Filmgate() as filmgate:  # FILMGATE_URL and FILMGATE_API_KEY, or arguments
        task = filmgate.submit("a lighthouse in a storm", model="studio", duration_s=4)
        task = filmgate.wait(task)
        filmgate.download(task, "storm.mp4")

`AsyncFilmgate` has the same methods, to be awaited. What goes wrong is a `FilmgateError`.
"""

from filmgate.client.aio import AsyncFilmgate
from filmgate.client.answers import Estimate, Event, Model, Status, Task, TaskError
from filmgate.client.errors import (
    ApiError,
    BadAnswer,
    Conflict,
    DownloadFailed,
    FilmgateError,
    InsufficientCredits,
    InvalidRequest,
    NotFound,
    RateLimited,
    ServerError,
    TaskFailed,
    Unauthenticated,
    Unreachable,
    WaitTimeout,
    WebhookInvalid,
)
from filmgate.client.order import Source, Wish
from filmgate.client.sync import Filmgate
from filmgate.client.webhooks import Webhook, verify_webhook

__all__ = [
    "ApiError",
    "AsyncFilmgate",
    "BadAnswer",
    "Conflict",
    "DownloadFailed",
    "Estimate",
    "Event",
    "Filmgate",
    "FilmgateError",
    "InsufficientCredits",
    "InvalidRequest",
    "Model",
    "NotFound",
    "RateLimited",
    "ServerError",
    "Source",
    "Status",
    "Task",
    "TaskError",
    "TaskFailed",
    "Unauthenticated",
    "Unreachable",
    "WaitTimeout",
    "Webhook",
    "WebhookInvalid",
    "Wish",
    "verify_webhook",
]
