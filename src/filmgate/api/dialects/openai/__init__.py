"""Dialect C, Videos: OpenAI's and Token360's `/v1/videos` as one implementation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from filmgate.api import sample
from filmgate.api.answer import Answer, Feed, Headers, Stream
from filmgate.api.call import Call
from filmgate.api.dialect import Dialect, Json, Shown, View
from filmgate.api.dialects.openai.content import ContentQuery, content
from filmgate.api.dialects.openai.models import (
    ModelList,
    ModelObject,
    ModelQuery,
    list_models,
    model_object,
)
from filmgate.api.dialects.openai.reading import VideoCreate, VideoRemix, read_order, read_remix
from filmgate.api.dialects.openai.writing import (
    EVENTS,
    STATUSES,
    ContentLink,
    OpenAIError,
    Video,
    VideoDeleted,
    VideoList,
    write_envelope,
    write_error,
    write_task,
)
from filmgate.api.links import Links
from filmgate.api.pages import PageQuery, list_tasks
from filmgate.api.routing import About, Route
from filmgate.api.submission import submit, task_headers
from filmgate.api.waiting import until_ended
from filmgate.api.web import Web
from filmgate.api.wire import read_body
from filmgate.core.errors import InvalidRequest, ModelNotFound, NotReady
from filmgate.core.task import Task
from filmgate.ports import Ports
from filmgate.service.cancel_task import cancel_task
from filmgate.service.delete_task import delete_task
from filmgate.service.read_tasks import read_task

NAME: Final = "openai"


def routes(ports: Ports, web: Web) -> Sequence[Route]:
    """Return the routes; literal paths below /v1/videos win over ids."""
    view = View(links=Links(web, ports.clock), catalogue=ports.catalogue)
    on = _Handlers(ports, view, Shown(write_task, view))
    video = partial(_video, answer=write_task(sample.COMPLETED, view))
    new = partial(
        _video,
        answer=write_task(sample.QUEUED, view),
        forms=True,
        submits=True,
        errors=(400, 401, 402, 404, 413, 422, 429),
    )
    create = new("Create a video", reads=(VideoCreate,), reading=_CREATE)
    return [
        Route(method="POST", path="/v1/videos", handle=on.create, about=create),
        Route(
            method="GET",
            path="/v1/videos/{video_id}",
            handle=on.retrieve,
            about=video("Retrieve a video", waits=True),
        ),
        Route(
            method="GET",
            path="/v1/videos",
            handle=on.list_videos,
            about=_about(
                "List videos",
                query=PageQuery,
                answers=VideoList,
                answer=_a_page(write_task(sample.COMPLETED, view)),
                errors=(400, 401),
            ),
        ),
        Route(
            method="POST",
            path="/v1/videos/{video_id}/remix",
            handle=on.remix,
            about=new("Remix a video", reads=(VideoRemix,), reading={"prompt": "the same at sunrise"}),
        ),
        Route(
            method="DELETE",
            path="/v1/videos/{video_id}",
            handle=on.delete,
            about=_about("Delete a video", answers=VideoDeleted, answer=_DELETED),
        ),
        Route(
            method="POST",
            path="/v1/videos/{video_id}/cancel",
            handle=on.cancel,
            about=video("Cancel a video", answer=write_task(sample.CANCELLED, view)),
        ),
        Route(
            method="GET",
            path="/v1/videos/{video_id}/content",
            handle=on.get_content,
            about=_about(
                "Download a video",
                query=ContentQuery,
                answers=ContentLink,
                answer={
                    "url": f"{web.public_url}/files/…",
                    "video_id": sample.COMPLETED.id,
                    "expires_in": 3600,
                },
                statuses=(200, 206, 302),
                media_type="video/mp4",
            ),
        ),
        Route(
            method="GET",
            path="/v1/videos/{video_id}/events",
            handle=on.events,
            about=_about(
                "Follow a video (SSE)",
                media_type="text/event-stream",
                statuses=(200, 204),
                errors=(401, 404, 429),
            ),
        ),
        Route(
            method="GET",
            path="/v1/models",
            handle=on.get_models,
            about=_about("List the models", tag="Models", query=ModelQuery, answers=ModelList, errors=(401,)),
        ),
        Route(
            method="GET",
            path="/v1/models/{model}",
            handle=on.get_model,
            about=_about("Retrieve a model", tag="Models", answers=ModelObject, errors=(401, 404)),
        ),
        *(
            Route(method=method, path=path, handle=_not_yet, about=_about(summary, errors=(400, 401)))
            for method, path, summary in _NOT_YET
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Handlers:
    ports: Ports
    view: View
    shown: Shown

    async def create(self, call: Call) -> Answer:
        async with read_body(call) as body:
            order = read_order(body.fields, self.ports.catalogue)
            task, headers = await submit(self.ports, call, NAME, order, uploads=body.uploads)
        return Answer(write_task(task, self.view), headers=[*headers, self._pace(task)])

    async def remix(self, call: Call) -> Answer:
        source = await self._find(call)
        async with read_body(call) as body:
            order = read_remix(body.fields, source, self.ports.catalogue)
            for clip in order.generation.media:
                # It may be on its way to the garbage while its task is still there.
                if clip.blob is None or not await self.ports.blobs.renew(clip.blob):
                    raise NotReady(f"the film of {source.id} is no longer kept", param="video_id")
            task, headers = await submit(self.ports, call, NAME, order)
        return Answer(write_task(task, self.view), headers=[*headers, self._pace(task)])

    async def retrieve(self, call: Call) -> Answer:
        task, waited = await until_ended(self.ports, call, await self._find(call))
        return self._answer(task, waited)

    async def cancel(self, call: Call) -> Answer:
        return self._answer(await cancel_task(self.ports, await self._find(call)), [])

    async def delete(self, call: Call) -> Answer:
        task = await self._find(call)
        await delete_task(self.ports, task)
        return Answer({"id": task.id, "object": "video.deleted", "deleted": True})

    async def list_videos(self, call: Call) -> Answer:
        return Answer(await list_tasks(self.ports, call, self.shown, kind="video"))

    async def get_content(self, call: Call) -> Answer | Stream:
        return await content(self.ports, self.view, call, await self._find(call))

    async def events(self, call: Call) -> Feed:
        return Feed(await self._find(call), self._write)

    async def get_models(self, call: Call) -> Answer:
        return Answer(list_models(call, self.ports.catalogue))

    async def get_model(self, call: Call) -> Answer:
        catalogue = self.ports.catalogue
        return Answer(model_object(catalogue.find(call.params["model"]), catalogue))

    async def _find(self, call: Call) -> Task:
        return await read_task(self.ports, call.key, call.params["video_id"])

    def _answer(self, task: Task, headers: Headers) -> Answer:
        return Answer(self.shown(task), headers=[*task_headers(task), self._pace(task), *headers])

    def _write(self, task: Task) -> Json:
        return write_task(task, self.view)

    def _pace(self, task: Task) -> tuple[bytes, bytes]:
        # The SDK reads this from its first poll alone and keeps it: an average, never a first guess.
        after_ms = min(max(self.view.expected_s(task) * 50, 250), 5_000)
        return (b"openai-poll-after-ms", str(after_ms).encode())


# Known to OpenAI's clients: a plain word is kinder than a 404 that looks like a wrong base URL.
_NOT_YET: Final = (
    ("POST", "/v1/videos/edits", "Edit a video (not available)"),
    ("POST", "/v1/videos/extensions", "Extend a video (not available)"),
    ("POST", "/v1/videos/characters", "Create a character (not available)"),
    ("GET", "/v1/videos/characters/{character_id}", "Retrieve a character (not available)"),
)


async def _not_yet(call: Call) -> Answer:
    raise InvalidRequest(f"{call.method} {call.scope['path'][:200]} is not available in this version")


# --- what the documentation says ----------------------------------------------------------------

_CREATE: Final = {
    "model": "studio",
    "prompt": "a lighthouse at dusk, waves, slow zoom",
    "seconds": "5",
    "size": "1280x720",
}


_DELETED: Final = {"id": sample.COMPLETED.id, "object": "video.deleted", "deleted": True}


def _about(summary: str, **more: Any) -> About:  # noqa: ANN401  (the fields of About)
    return About(**({"tag": "Videos (OpenAI, Token360)", "errors": (400, 401, 404)} | more), summary=summary)


def _video(summary: str, **more: Any) -> About:  # noqa: ANN401
    return _about(summary, answers=Video, **more)


def _a_page(video: object) -> dict[str, object]:
    found = sample.COMPLETED.id
    return {"object": "list", "data": [video], "first_id": found, "last_id": found, "has_more": False}


DIALECT: Final = Dialect(
    name=NAME,
    prefixes=("/v1", "/v1/videos", "/v1/models"),
    statuses=STATUSES,
    routes=routes,
    write_task=write_task,
    write_error=write_error,
    read_order=read_order,
    knows=VideoCreate.known_names(),
    error=OpenAIError,
    http={ModelNotFound: 404},
    events=EVENTS,
    write_envelope=write_envelope,
)
