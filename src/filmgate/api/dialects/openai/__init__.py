"""Dialect C, Videos: OpenAI's and Token360's `/v1/videos` as one implementation."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import Field

from filmgate.api.answer import Answer, Headers, Stream
from filmgate.api.call import Call
from filmgate.api.dialect import Dialect, Json, Shown, View
from filmgate.api.dialects.openai.content import content
from filmgate.api.dialects.openai.models import list_models, model_object
from filmgate.api.dialects.openai.reading import read_order
from filmgate.api.dialects.openai.writing import STATUSES, write_error, write_task
from filmgate.api.links import Links
from filmgate.api.routing import Route
from filmgate.api.schema import Body, Whole, check
from filmgate.api.submission import submit, task_headers
from filmgate.api.web import Web
from filmgate.api.wire import read_fields
from filmgate.core.errors import InvalidRequest, ModelNotFound
from filmgate.core.ids import is_task_id
from filmgate.core.task import Task
from filmgate.ports import Ports
from filmgate.ports.store import TaskQuery
from filmgate.service.read_tasks import read_task

NAME: Final = "openai"


def routes(ports: Ports, web: Web) -> Sequence[Route]:
    """Return the routes; literal paths below /v1/videos win over ids."""
    view = View(links=Links(web, ports.clock), catalogue=ports.catalogue)
    shown = Shown(write_task, view)

    def polled(task: Task) -> Headers:
        # The SDK reads this from its first poll alone and keeps it: an average, never a first guess.
        after_ms = min(max(view.expected_s(task) * 50, 250), 5_000)
        return [*task_headers(task), (b"openai-poll-after-ms", str(after_ms).encode())]

    async def create(call: Call) -> Answer:
        order = read_order(await read_fields(call), ports.catalogue)
        task, headers = await submit(ports, call, NAME, order)
        return Answer(write_task(task, view), headers=[*headers, *polled(task)[1:]])

    async def retrieve(call: Call) -> Answer:
        task = await read_task(ports, call.key, call.params["video_id"])
        return Answer(shown(task), headers=polled(task))

    async def list_videos(call: Call) -> Answer:
        return Answer(await _page(ports, view, call))

    async def get_content(call: Call) -> Answer | Stream:
        task = await read_task(ports, call.key, call.params["video_id"])
        return await content(ports, view, call, task)

    async def get_models(call: Call) -> Answer:
        return Answer(list_models(call, ports.catalogue))

    async def get_model(call: Call) -> Answer:
        return Answer(model_object(ports.catalogue.find(call.params["model"]), ports.catalogue))

    return [
        Route(method="GET", path="/v1/videos/{video_id}", handle=retrieve),
        Route(method="POST", path="/v1/videos", handle=create),
        Route(method="GET", path="/v1/videos", handle=list_videos),
        Route(method="GET", path="/v1/videos/{video_id}/content", handle=get_content),
        Route(method="GET", path="/v1/models", handle=get_models),
        Route(method="GET", path="/v1/models/{model}", handle=get_model),
        *(Route(method=method, path=path, handle=_not_yet) for method, path in _NOT_YET),
    ]


# Known to OpenAI's clients: a plain word is kinder than a 404 that looks like a wrong base URL.
_NOT_YET: Final = (
    ("DELETE", "/v1/videos/{video_id}"),
    ("POST", "/v1/videos/{video_id}/remix"),
    ("POST", "/v1/videos/edits"),
    ("POST", "/v1/videos/extensions"),
    ("POST", "/v1/videos/characters"),
    ("GET", "/v1/videos/characters/{character_id}"),
)


async def _not_yet(call: Call) -> Answer:
    raise InvalidRequest(f"{call.method} {call.scope['path'][:200]} is not available in this version")


class Page(Body):
    """Which part of the list."""

    limit: Annotated[Whole, Field(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


async def _page(ports: Ports, view: View, call: Call) -> Json:
    page = check(Page, call.only("limit", "order", "after", "before"))
    for name, cursor in (("after", page.after), ("before", page.before)):
        if cursor is not None and not is_task_id(cursor):
            raise InvalidRequest(f"{name}: is not the id of a video", param=name)
    # The page before a cursor is the one that ends there: read backwards from it, then turned round.
    backwards = page.before is not None and page.after is None
    found = await ports.store.tasks(
        TaskQuery(
            key_id=call.key.identity,
            kind="video",
            after=page.before if backwards else page.after,
            before=None if backwards else page.before,
            ascending=(page.order == "asc") is not backwards,
            limit=page.limit + 1,  # one more than asked for says whether there is more
        )
    )
    has_more = len(found) > page.limit
    tasks = list(found[: page.limit])
    if backwards:
        tasks.reverse()
    return {
        "object": "list",
        "data": [write_task(task, view) for task in tasks],
        "first_id": tasks[0].id if tasks else None,
        "last_id": tasks[-1].id if tasks else None,
        "has_more": has_more,
    }


DIALECT: Final = Dialect(
    name=NAME,
    prefixes=("/v1", "/v1/videos", "/v1/models"),
    statuses=STATUSES,
    routes=routes,
    write_task=write_task,
    write_error=write_error,
    http={ModelNotFound: 404},
)
