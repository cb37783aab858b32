"""The bytes of a finished video: sent, redirected to, or as a link."""

from typing import Final, Literal

from pydantic import Field

from filmgate.api.answer import Answer, Stream
from filmgate.api.call import Call
from filmgate.api.dialect import View
from filmgate.api.dialects.openai.writing import STATUSES
from filmgate.api.files import send_file
from filmgate.api.links import extension_of
from filmgate.api.schema import Body, check
from filmgate.core.errors import NotFound, NotReady, ResultExpired
from filmgate.core.generation import OutputKind
from filmgate.core.task import Output, Status, Task
from filmgate.ports import Ports

LINK_S: Final = 3_600  # what Token360 says of its links

_VARIANTS: Final = {
    "video": (OutputKind.VIDEO, OutputKind.IMAGE),
    "thumbnail": (OutputKind.THUMBNAIL,),
    "spritesheet": (OutputKind.SPRITESHEET,),
}


class ContentQuery(Body):
    """What of a video, and how."""

    variant: Literal["video", "thumbnail", "spritesheet"] = "video"
    format: Literal["redirect", "url", "binary"] | None = Field(
        None, description="`binary` for who accepts `application/binary`, else `redirect`."
    )


async def content(ports: Ports, view: View, call: Call, task: Task) -> Answer | Stream:
    """Return the content of a task in the variant and format that were asked for."""
    asked = check(ContentQuery, call.only(*ContentQuery.model_fields))
    wanted = asked.format or _usual_format(call)
    output = _find(task, asked.variant)
    filename = f"{task.id}.{extension_of(output.mime)}"
    if wanted == "binary":
        return await send_file(ports, call, output, filename=filename, attached=True)
    lifetime_s = _lifetime_s(ports, task)
    url = view.links.for_seconds(output, lifetime_s, filename=filename)
    if wanted == "url":
        return Answer({"url": url, "video_id": task.id, "expires_in": lifetime_s})
    return Answer(None, 302, [(b"location", url.encode())])


def _usual_format(call: Call) -> str:
    """Return `binary` for OpenAI's SDK, which asks for bytes by this type, and Token360's default else."""
    return "binary" if "application/binary" in (call.header(b"accept") or "") else "redirect"


def _lifetime_s(ports: Ports, task: Task) -> int:
    """Return for how long a link may work: never past the file."""
    if task.result_expires_at is None:
        return LINK_S
    left_s = int((task.result_expires_at - ports.clock.now()).total_seconds())
    return max(0, min(LINK_S, left_s))


def _find(task: Task, variant: str) -> Output:
    if task.status is not Status.SUCCEEDED:
        raise NotReady(f"video {task.id} is {STATUSES[task.status]}: it has no content", param="video_id")
    if task.files_gone:
        raise ResultExpired(f"the content of video {task.id} has expired and is gone", param="video_id")
    for kind in _VARIANTS[variant]:
        for output in task.outputs:
            if output.kind is kind:
                return output
    raise NotFound(f"video {task.id} has no {variant}", param="variant")
