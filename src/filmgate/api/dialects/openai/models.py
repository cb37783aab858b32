"""The list of models: the union of what OpenAI's, Token360's and ByteSpike's clients read."""

from typing import Literal, TypedDict

from pydantic import Field

from filmgate.api.call import Call
from filmgate.api.dialect import Json
from filmgate.api.schema import Body
from filmgate.core.catalogue import Catalogue, Model, ModelKind
from filmgate.core.errors import ModelUnavailable
from filmgate.core.pricing import Unit, credits_of


class ModelQuery(Body):
    """Which models; each may be given again and again."""

    capability: list[str] | None = Field(None, description="`video_generation` or `image_generation`.")
    family: list[str] | None = Field(None, description="As `family` of a model.")


class ModelLimits(TypedDict):
    """What a model takes. `any_size` is every even size besides those that are named."""

    duration_s: list[int] | None
    default_duration_s: int | None
    aspect_ratios: list[str]
    resolutions: list[str]
    sizes: list[str]
    any_size: bool
    n: int
    inputs: dict[str, int]


class ModelObject(TypedDict):
    """One model. `price` is in credits; `provider` is what runs it here."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    family: str
    capabilities: list[str]
    input_modalities: list[str]
    output_modalities: list[str]
    context_window: int | None
    max_output_tokens: int | None
    pricing_url: str | None
    aliases: list[str]
    available: bool
    provider: str | None
    limits: ModelLimits
    price: dict[str, float]
    expected_seconds: int


class ModelList(TypedDict):
    """The models that can run here."""

    object: Literal["list"]
    data: list[ModelObject]


def list_models(call: Call, catalogue: Catalogue) -> Json:
    """Return the models that can run here, filtered by `capability` and `family`."""
    asked = {
        name: {value for key, value in call.query_pairs if key == name} for name in ("capability", "family")
    }
    found = [model_object(model, catalogue) for model in catalogue.models]
    return {
        "object": "list",
        "data": [
            model
            for model in found
            if model["available"]
            if not asked["capability"] or asked["capability"] & set(model["capabilities"])
            if not asked["family"] or model["family"] in asked["family"]
        ],
    }


def model_object(model: Model, catalogue: Catalogue) -> Json:
    """Return one model."""
    provider = _provider(model, catalogue)
    video = model.kind is ModelKind.VIDEO
    inputs = ["text", *sorted(kind.value for kind, most in model.inputs.items() if most)]
    return {
        "id": model.id,
        "object": "model",
        "created": 0,
        "owned_by": model.owned_by,
        "family": model.owned_by,
        "capabilities": ["video_generation" if video else "image_generation"],
        "input_modalities": inputs,
        "output_modalities": [model.kind.value],
        "context_window": None,
        "max_output_tokens": None,
        "pricing_url": None,
        "aliases": list(model.aliases),
        "available": provider is not None,
        "provider": provider,
        "limits": {
            "duration_s": list(model.durations_s) if video else None,
            "default_duration_s": model.default_duration_s if video else None,
            "aspect_ratios": list(model.ratios),
            "resolutions": list(model.resolutions),
            "sizes": [f"{width}x{height}" for width, height in model.sizes],
            "any_size": model.any_size,
            "n": model.max_n,
            "inputs": {kind.value: most for kind, most in model.inputs.items()},
        },
        "price": _price(model),
        "expected_seconds": model.expected_s,
    }


def _price(model: Model) -> Json:
    price = model.price
    unit = "second" if price.unit is Unit.SECOND else "image"
    found: Json = {f"credits_per_{unit}": credits_of(price.rate)}
    if price.rate_with_video is not None:
        found[f"credits_per_{unit}_with_video"] = credits_of(price.rate_with_video)
    return found


def _provider(model: Model, catalogue: Catalogue) -> str | None:
    try:
        return catalogue.route(model).provider
    except ModelUnavailable:
        return None
