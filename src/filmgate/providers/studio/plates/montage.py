"""The montage: plates one after the other, the joins between them, and the prompt's light and weather."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import cv2
import numpy as np

from filmgate.core.generation import MediaKind, MediaRole
from filmgate.providers.studio.order import Input, Unusable
from filmgate.providers.studio.plates.footage import Footage, first_frame, retimed
from filmgate.providers.studio.plates.grade import Relight, common_look, mean_colour
from filmgate.providers.studio.plates.joins import Flow, Join, Melt, Sweep, flow_between
from filmgate.providers.studio.plates.parallax import Anchor, Plate, Still, depth_of, journey
from filmgate.providers.studio.plates.pictures import Fitted, fit, read_picture
from filmgate.providers.studio.scene.fog import Fog
from filmgate.providers.studio.scene.layers import Element
from filmgate.providers.studio.scene.pixels import Image, Plane
from filmgate.providers.studio.scene.scenery import air
from filmgate.providers.studio.scene.shot import Shot
from filmgate.providers.studio.screenplay import Move

_LONGEST_SWEEP_S: Final = 2.0
_SWEEP_SHARE: Final = 0.55  # of the time that a plate has
_COMMON: Final = 0.35
_RELIT_PICTURE: Final = 0.6
_RELIT_CLIP: Final = 0.8
_WEATHER_COMES_S: Final = 0.8
_HEADINGS: Final[dict[Move, tuple[float, float]]] = {  # where things go when the camera moves
    "left": (1, 0),
    "right": (-1, 0),
    "up": (0, 1),
    "down": (0, -1),
}


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one plate is to be made of, and how long it is seen."""

    seconds: float
    picture: Fitted | None = None
    clip: Input | None = None
    speed: float = 1.0
    join_s: float | None = None  # to the next one, where it is the same clip again
    anchor: Anchor = "free"


@dataclass(frozen=True, slots=True)
class _Passage:
    start_s: float
    end_s: float
    join: Join


class Montage:
    """A film of pictures and clips that came in; `end_s` is the time of its last frame."""

    def __init__(self, shot: Shot, inputs: Sequence[Input], *, end_s: float) -> None:
        self._shot, self._end_s = shot, end_s
        self._exact_first = any(one.role is MediaRole.FIRST_FRAME for one in inputs)
        self._exact_last = any(one.role is MediaRole.LAST_FRAME for one in inputs)
        pieces = _pieces(shot, _in_order(inputs), end_s)
        self._bounds = [0.0]
        for piece in pieces:
            self._bounds.append(self._bounds[-1] + piece.seconds)
        self._plates, self._passages = self._edit(pieces)
        self._air: list[Element] = [*([Fog(shot)] if shot.screenplay.has("fog") else []), *air(shot)]
        self._clips_only = all(one.kind is MediaKind.VIDEO for one in inputs)
        means = [mean_colour(piece.picture.frame) for piece in pieces if piece.picture is not None]
        mean = np.mean(means, axis=0) if means else mean_colour(self._plates[0].view(0))
        # A prompt that names no hour is read as day, which is no wish.
        self._relight = None if shot.screenplay.mood == "day" else Relight(shot.palette, mean)

    def paint(self, seconds: float) -> Image:
        """Return the picture at a time of the film, opaque BGRA."""
        picture = self._cut(seconds)
        if self._relight is not None:
            most = _RELIT_CLIP if self._clips_only else _RELIT_PICTURE
            picture = self._relight.apply(picture, most * self._presence(seconds, self._end_s / 2))
        if self._air:
            self._blow(picture, seconds)
        return picture

    def _cut(self, seconds: float) -> Image:
        for index, passage in enumerate(self._passages):
            if passage.start_s <= seconds <= passage.end_s > passage.start_s:
                gone = (seconds - passage.start_s) / (passage.end_s - passage.start_s)
                return passage.join.picture(self._plates[index], self._plates[index + 1], seconds, gone)
        begun = [index for index, bound in enumerate(self._bounds[1:], start=1) if bound < seconds]
        return self._plates[min(len(begun), len(self._plates) - 1)].view(seconds)

    def _presence(self, seconds: float, rise_s: float) -> float:
        """Return how much is added by now: nothing where a frame is to be exactly a picture."""
        share = 1.0
        for exact, since in ((self._exact_first, seconds), (self._exact_last, self._end_s - seconds)):
            if exact:
                share = min(share, max(0.0, since) / max(rise_s, 1e-6))
        return share * share * (3 - 2 * share)

    def _blow(self, picture: Image, seconds: float) -> None:
        share = self._presence(seconds, _WEATHER_COMES_S)
        if share <= 0:
            return
        clear = picture.copy() if share < 1 else None
        moment = self._shot.moment(seconds)
        for element in self._air:
            element.draw(picture, moment)
        if clear is not None:
            cv2.addWeighted(picture, share, clear, 1 - share, 0, picture)
        picture[..., 3] = 255

    # --- planning ---------------------------------------------------------------------------

    def _edit(self, pieces: Sequence[_Piece]) -> tuple[list[Plate], list[_Passage]]:
        """Return the plates and the passages between them; a plate is seen in those too."""
        flows = [_flow(one, other) for one, other in pairwise(pieces)]
        passages = []
        for index, flow in enumerate(flows):
            one, other = pieces[index], pieces[index + 1]
            at = self._bounds[index + 1]
            if flow is not None:  # a whole move from the one picture to the other
                start = 0.0 if index == 0 else at - one.seconds / 2
                end = self._end_s if index == len(flows) - 1 else at + other.seconds / 2
                passages.append(_Passage(start, end, Melt(flow, (self._shot.width, self._shot.height))))
                continue
            most = min(_LONGEST_SWEEP_S, _SWEEP_SHARE * min(one.seconds, other.seconds))
            half = (one.join_s if one.join_s is not None else most) / 2
            depth = None if one.picture is None or one.picture.framed else depth_of(one.picture.frame)
            passages.append(_Passage(at - half, at + half, self._sweep(index, depth)))
        plates = [
            self._plate(
                piece,
                index,
                seen_from=passages[index - 1].start_s if index else 0.0,
                seen_until=passages[index].end_s if index < len(passages) else self._end_s,
                held=any(isinstance(p.join, Melt) for p in passages[max(0, index - 1) : index + 1]),
            )
            for index, piece in enumerate(pieces)
        ]
        return plates, passages

    def _plate(self, piece: _Piece, index: int, *, seen_from: float, seen_until: float, held: bool) -> Plate:
        if piece.clip is not None:
            size = (self._shot.width, self._shot.height)
            return Footage(piece.clip.path, size, start_s=seen_from, speed=piece.speed)
        assert piece.picture is not None
        # What melts into its neighbour must stand where the flow was measured.
        moves: tuple[Move, ...] = ("still",) if held else self._moves(index)
        anchor: Anchor = "start" if held else piece.anchor
        return Still(piece.picture, journey(moves, seen_from, seen_until, anchor))

    def _moves(self, index: int) -> tuple[Move, ...]:
        """Return the camera's moves over a plate: what the prompt says, else another one for each."""
        if self._shot.screenplay.moves:
            return self._shot.screenplay.moves
        ways: tuple[tuple[Move, ...], ...] = (("in",), ("right",), ("out",), ("left",), ("in", "up"))
        first = int(self._shot.dice("moves").integers(len(ways))) if not self._exact_first else 0
        return ways[(first + index) % len(ways)]

    def _sweep(self, index: int, depth: Plane | None) -> Sweep:
        dice = self._shot.dice(f"sweep {index}")
        heading = next((_HEADINGS[move] for move in self._moves(index) if move in _HEADINGS), None)
        if heading is None:
            heading = (0.0, 0.0) if "in" in self._moves(index) else (1.0, -0.35)
        return Sweep(dice, (self._shot.width, self._shot.height), heading, depth)


def _flow(one: _Piece, other: _Piece) -> Flow | None:
    if one.picture is None or other.picture is None:
        return None
    return flow_between(one.picture.frame, other.picture.frame)


def _in_order(inputs: Sequence[Input]) -> list[tuple[int, Input]]:
    """Return what is seen, in the order it is seen, with the place it had among the inputs."""
    rank = {MediaRole.FIRST_FRAME: 0, MediaRole.LAST_FRAME: 2}
    seen = [(place, one) for place, one in enumerate(inputs, start=1) if one.kind is not MediaKind.AUDIO]
    return sorted(seen, key=lambda entry: rank.get(entry[1].role, 1))


def _pieces(shot: Shot, seen: Sequence[tuple[int, Input]], end_s: float) -> list[_Piece]:
    size = (shot.width, shot.height)
    span = end_s / len(seen)
    pieces: list[_Piece] = []
    for place, one in seen:
        try:
            pieces += _clip(one, size, span) if one.kind is MediaKind.VIDEO else [_still(one, size, span)]
        except Unusable as error:
            raise Unusable(f"Input {place} ({one.kind}) {error}.") from error
    references = [piece for piece in pieces if piece.picture is not None and piece.anchor == "free"]
    looks = iter(common_look([piece.picture.canvas for piece in references if piece.picture], _COMMON))
    return [
        replace(piece, picture=replace(piece.picture, canvas=next(looks)))
        if piece.picture is not None and piece.anchor == "free"
        else piece
        for piece in pieces
    ]


def _still(one: Input, size: tuple[int, int], span: float) -> _Piece:
    anchors: dict[MediaRole, Anchor] = {MediaRole.FIRST_FRAME: "start", MediaRole.LAST_FRAME: "end"}
    picture = fit(read_picture(one.path, *size), *size)
    return _Piece(span, picture=picture, anchor=anchors.get(one.role, "free"))


def _clip(one: Input, size: tuple[int, int], span: float) -> list[_Piece]:
    still = first_frame(one.path, size)  # told now, before anything is drawn, if there is none
    plan = retimed(one.duration_s, max(span, 1e-3))
    if plan is None:
        return [_Piece(span, picture=Fitted(still, 0, 0))]
    return [
        _Piece(
            plan.pass_s, clip=one, speed=plan.speed, join_s=plan.join_s if turn < plan.passes - 1 else None
        )
        for turn in range(plan.passes)
    ]
