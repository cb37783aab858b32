"""The subjects the studio can show: the cast, its drawings, and how to rasterise one."""

import functools
import json
import lzma
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, Literal, get_args

import cv2
import numpy as np
import resvg_py

from filmgate.providers.studio import figures
from filmgate.providers.studio.figures import Act, Breed, Build, Outfit, Plumage
from filmgate.providers.studio.puppets import Gait, stride
from filmgate.providers.studio.scene.pixels import Image

Kind = Literal[
    "boat", "fly", "space", "swim", "walk", "person", "building", "plant", "vehicle", "furniture", "object"
]

_DATA: Final = resources.files("filmgate.providers.studio") / "data"
_CLEAR: Final = 8  # alpha below this is not part of a drawing
_HEADER: Final = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
_STRIDE: Final = 12  # drawings in one stride, wing beat or stroke
_SMALLEST: Final = 8  # pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One thing to show: which drawing, how it moves, how tall it stands beside a person of 1.

    `coastal` ones live by the sea; one that `flutters` beats its wings; under one that `shelters` others
    can stand; one that `steams` is hot. `act` is what people and animals do. `count` is how many the
    prompt asks for.
    """

    name: str
    kind: Kind
    scale: float = 1.0
    act: Act = "walk"
    faces_right: bool = False
    glows: bool = False
    coastal: bool = False
    flutters: bool = False
    shelters: bool = False
    steams: bool = False
    count: int = 1

    @property
    def many(self) -> bool:
        """Whether the prompt asks for more than one."""
        return self.count > 1


@functools.cache
def cast() -> Mapping[str, Subject]:
    """Return every subject by name."""
    table = _cast_table()
    right, glowing, coastal, flutters, shelters, steams = (
        frozenset(table[trait])
        for trait in ("faces_right", "glowing", "coastal", "flutters", "shelters", "steams")
    )
    return {
        name: Subject(
            name=name,
            kind=kind,
            scale=float(scale),
            faces_right=name in right or name in _figures(),
            glows=name in glowing,
            coastal=name in coastal,
            flutters=name in flutters,
            shelters=name in shelters,
            steams=name in steams,
        )
        for kind in get_args(Kind)
        for name, scale in table[kind].items()
    }


@functools.cache
def own_words() -> Mapping[str, str]:
    """Return the words we add to the lexicons, each with the subject it names."""
    return {word.strip(): name for name, words in _cast_table()["words"].items() for word in words.split(",")}


@functools.cache
def packed() -> Mapping[str, Any]:
    """Return the vendored drawings and words, parsed once per process."""
    return json.loads(lzma.decompress((_DATA / "studio.json.xz").read_bytes()))  # type: ignore[no-any-return]


def drawings(subject: Subject, height: int, *, look: int = 0) -> tuple[Image, ...]:
    """Rasterise a subject at every point of its stride; alpha is not premultiplied.

    All are of one size, trimmed to what any of them covers, `height` pixels tall. What does not move has
    one drawing. `look` tells one person of a crowd from the next.
    """
    pages = _pages(subject, look)
    # The trim is known only after drawing: draw once small, then again at the size that trims to `height`.
    sketches = [_raster(page, 128) for page in pages]
    top, bottom, left, right = _outline(sketches)
    tall = max(_SMALLEST, round(height / (bottom - top)))
    pictures = [_raster(page, tall) for page in pages]
    rows, columns = pictures[0].shape[:2]
    box = np.s_[
        math.floor(top * rows) : math.ceil(bottom * rows),
        math.floor(left * columns) : math.ceil(right * columns),
    ]
    if len(pictures) > 1:
        return tuple(np.ascontiguousarray(picture[box]) for picture in pictures)
    gait: Gait | None = "tail" if subject.name in _cast_table()["wriggles"] else _GAITS.get(subject.kind)
    return stride(np.ascontiguousarray(_trimmed(pictures[0])), gait, _STRIDE)


_GAITS: Final[Mapping[Kind, Gait]] = {"walk": "legs", "person": "legs", "swim": "tail"}


def _pages(subject: Subject, look: int) -> list[str]:
    """Return a subject's drawings as SVG."""
    build = _figures().get(subject.name)
    if build is None:
        return [_svg(subject.name)]
    return [figures.svg(build, act=subject.act, phase=step / _STRIDE, look=look) for step in range(_STRIDE)]


@functools.cache
def _figures() -> Mapping[str, Build]:
    """Return how every figure with joints is built."""
    tables = _cast_table()["figures"]
    builds: dict[str, Build] = {}
    for kind, build in (("person", Outfit), ("beast", Breed), ("bird", Plumage)):
        builds |= {name: build(**traits) for name, traits in tables[kind].items()}
    return builds


@functools.cache
def _cast_table() -> Mapping[str, Any]:
    return tomllib.loads((_DATA / "cast.toml").read_text(encoding="utf-8"))


def _svg(name: str) -> str:
    ours = _DATA / "drawings" / f"{name}.svg"
    if ours.is_file():
        return ours.read_text(encoding="utf-8")
    part = packed()["drawings"][name]
    return f'{_HEADER} viewBox="0 0 {part["width"]} {part["height"]}">{part["body"]}</svg>'


def _raster(svg: str, height: int) -> Image:
    _, _, view_width, view_height = (
        float(number) for number in svg.split('viewBox="', 1)[1].split('"', 1)[0].split()
    )
    width = max(1, round(height * view_width / view_height))
    sized = svg.replace("viewBox=", f'width="{width}" height="{height}" viewBox=', 1)
    png = bytes(resvg_py.svg_to_bytes(svg_string=sized, width=width, height=height, skip_system_fonts=True))
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None, "resvg answers with a PNG"
    return picture.astype(np.uint8, copy=False)


def _outline(pictures: list[Image]) -> tuple[float, float, float, float]:
    """Return what any of the pictures covers: top, bottom, left and right, as shares of their size."""
    solid = np.any([picture[..., 3] > _CLEAR for picture in pictures], axis=0)
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    height, width = solid.shape
    return rows[0] / height, (rows[-1] + 1) / height, columns[0] / width, (columns[-1] + 1) / width


def _trimmed(picture: Image) -> Image:
    solid = picture[..., 3] > _CLEAR
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
