"""What a submission would make and cost: read in any dialect's words, and nothing is stored."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypedDict

from filmgate.api import sample
from filmgate.api.answer import Answer
from filmgate.api.call import Call
from filmgate.api.dialect import Dialect, Json
from filmgate.api.routing import About, Route
from filmgate.api.shapes import shown_ratio, shown_resolution
from filmgate.api.submission import Order, estimated
from filmgate.api.web import Web
from filmgate.api.wire import read_body, read_json
from filmgate.core.pricing import Quote, credits_of
from filmgate.core.task import Route as Run
from filmgate.ports import Ports


class Estimate(TypedDict):
    """What would be made, by whom, for how many credits and in about how many seconds."""

    object: Literal["estimate"]
    model: str
    provider: str
    estimated_credits: float
    estimated_seconds: int
    duration_seconds: int
    width: int
    height: int
    resolution: str
    aspect_ratio: str
    n: int


def routes(ports: Ports, web: Web, dialects: Sequence[Dialect]) -> Sequence[Route]:
    """Return the routes; a body that more than one dialect could mean is read by its path's."""

    async def of_task(call: Call) -> Answer:
        fields = await read_json(call, most=web.task_json_bytes)
        return Answer(_estimate(ports, _read(fields, "bytespike")))

    async def of_video(call: Call) -> Answer:
        async with read_body(call) as body:
            return Answer(_estimate(ports, _read(body.fields, "openai")))

    def _read(fields: Mapping[str, Any], usual: str) -> Order:
        given = {name for name, value in fields.items() if value is not None}
        best = min(dialects, key=lambda one: (len(given - one.knows), one.name != usual))
        return best.read_order(fields, ports.catalogue)

    return [
        Route(method="POST", path="/v1/tasks/estimate", handle=of_task, about=_about("Tasks (ByteSpike)")),
        Route(
            method="POST",
            path="/v1/videos/estimate",
            handle=of_video,
            about=_about("Videos (OpenAI, Token360)", forms=True),
        ),
    ]


def _estimate(ports: Ports, order: Order) -> Json:
    run, quote = estimated(ports, order)
    return _write(order, run, quote)


def _write(order: Order, run: Run, quote: Quote) -> Json:
    generation = order.generation
    return {
        "object": "estimate",
        "model": order.model_name,
        "provider": run.provider,
        "estimated_credits": credits_of(quote.amount),
        "estimated_seconds": order.model.expected_s,
        "duration_seconds": generation.duration_s,
        "width": generation.width,
        "height": generation.height,
        "resolution": shown_resolution(generation),
        "aspect_ratio": shown_ratio(generation),
        "n": generation.n,
    }


_EXAMPLE: Final = {
    "object": "estimate",
    "model": sample.QUEUED.model,
    "provider": "studio",
    "estimated_credits": 5,
    "estimated_seconds": 8,
    "duration_seconds": 5,
    "width": 1280,
    "height": 720,
    "resolution": "720p",
    "aspect_ratio": "16:9",
    "n": 1,
}


def _about(tag: str, *, forms: bool = False) -> About:
    return About(
        tag=tag,
        summary="Estimate the cost of a submission",
        reading={"model": "studio", "prompt": sample.QUEUED.generation.prompt, "duration_seconds": 5},
        forms=forms,
        answers=Estimate,
        answer=_EXAMPLE,
        errors=(400, 401, 413),
    )
