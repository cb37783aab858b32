"""The bytes of a finished video: sent, redirected to, or as a link."""

from typing import Final

from filmgate.api.answer import Answer, Stream
from filmgate.api.call import Call
from filmgate.api.dialect import View
from filmgate.api.dialects.openai.writing import STATUSES
from filmgate.api.files import send_file
from filmgate.api.links import extension_of
from filmgate.core.errors import InvalidRequest, NotFound, NotReady
from filmgate.core.generation import OutputKind
from filmgate.core.task import Output, Status, Task
from filmgate.ports import Ports

LINK_S: Final = 3_600  # what Token360 says of its links

_VARIANTS: Final = {
    "video": (OutputKind.VIDEO, OutputKind.IMAGE),
    "thumbnail": (OutputKind.THUMBNAIL,),
    "spritesheet": (),
}
_FORMATS: Final = ("redirect", "url", "binary")


async def content(ports: Ports, view: View, call: Call, task: Task) -> Answer | Stream:
    """Return the content of a task in the variant and format that were asked for."""
    variant = call.query.get("variant") or "video"
    if variant not in _VARIANTS:
        raise InvalidRequest(f"variant: must be one of {', '.join(_VARIANTS)}", param="variant")
    wanted = call.query.get("format") or _usual_format(call)
    if wanted not in _FORMATS:
        raise InvalidRequest(f"format: must be one of {', '.join(_FORMATS)}", param="format")
    output = _find(task, variant)
    filename = f"{task.id}.{extension_of(output.mime)}"
    if wanted == "binary":
        return await send_file(ports, call, output, filename=filename, attached=True)
    url = view.links.for_seconds(output, LINK_S, filename=filename)
    if wanted == "url":
        return Answer({"url": url, "video_id": task.id, "expires_in": LINK_S})
    return Answer(None, 302, [(b"location", url.encode())])


def _usual_format(call: Call) -> str:
    """Return `binary` for OpenAI's SDK, which asks for bytes by this type, and Token360's default else."""
    return "binary" if "application/binary" in (call.header(b"accept") or "") else "redirect"


def _find(task: Task, variant: str) -> Output:
    if task.status is not Status.SUCCEEDED:
        raise NotReady(f"video {task.id} is {STATUSES[task.status]}: it has no content", param="video_id")
    for kind in _VARIANTS[variant]:
        for output in task.outputs:
            if output.kind is kind:
                return output
    raise NotFound(f"video {task.id} has no {variant}", param="variant")
