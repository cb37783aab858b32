"""The subjects the studio can show: the cast, its drawings, and how to rasterise one."""

import functools
import json
import lzma
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, Literal, get_args

import cv2
import numpy as np
import resvg_py

from filmgate.providers.studio.scene.pixels import Image

Kind = Literal["boat", "fly", "space", "swim", "walk", "person", "building", "plant", "vehicle"]

_DATA: Final = resources.files("filmgate.providers.studio") / "data"
_CLEAR: Final = 8  # alpha below this is not part of a drawing
_HEADER: Final = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One thing to show: which drawing, how it moves, how tall it stands beside a person of 1.

    `coastal` ones live by the sea; one that `flutters` beats its wings.
    `count` is how many the prompt asks for.
    """

    name: str
    kind: Kind
    scale: float = 1.0
    faces_right: bool = False
    glows: bool = False
    coastal: bool = False
    flutters: bool = False
    count: int = 1

    @property
    def many(self) -> bool:
        """Whether the prompt asks for more than one."""
        return self.count > 1


@functools.cache
def cast() -> Mapping[str, Subject]:
    """Return every subject by name."""
    table = _cast_table()
    right, glowing, coastal, flutters = (
        frozenset(table[trait]) for trait in ("faces_right", "glowing", "coastal", "flutters")
    )
    return {
        name: Subject(
            name=name,
            kind=kind,
            scale=float(scale),
            faces_right=name in right,
            glows=name in glowing,
            coastal=name in coastal,
            flutters=name in flutters,
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


def drawing(subject: Subject, height: int) -> Image:
    """Rasterise a subject, trimmed to its outline and `height` pixels tall; alpha is not premultiplied."""
    # The trim is known only after drawing: draw once, then again at the size that trims to `height`.
    share = _trimmed(_raster(_svg(subject.name), 128)).shape[0] / 128
    picture = _trimmed(_raster(_svg(subject.name), max(8, round(height / share))))
    return np.ascontiguousarray(picture)


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


def _trimmed(picture: Image) -> Image:
    solid = picture[..., 3] > _CLEAR
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
