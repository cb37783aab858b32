"""The room: a wall with a window on the scene outside, curtains, pictures, and a floor of boards."""

from typing import Final

import cv2
import numpy as np

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.layers import Flat
from filmgate.providers.studio.scene.pixels import Image, Plane, colour, layer, smoothstep
from filmgate.providers.studio.scene.shot import Shot

_PAINTS: Final = ("#d8cdb8", "#b9c4b4", "#a9b8c4", "#cdae97", "#c8c0c8", "#8fa3a0")
_CURTAINS: Final = ("#8c4f46", "#5a7281", "#77805c", "#b08a5a", "#6d5a78")
_CANVASES: Final = ("#9fb4c2", "#c9b48f", "#7d8f76", "#b98a74", "#d8cdb4", "#6f7f93")
_BOARDS: Final = ("#8a5f3c", "#6f4a2f", "#a57a50")
_LAMPLIT: Final = frozenset({"night", "neon", "dusk", "storm"})
FLOOR: Final = 0.74  # where the floor begins, of the frame's height
WALL_DEPTH: Final = 0.42
FLOOR_DEPTH: Final = 0.68


class Room:
    """Wall and floor; who is in the room stands on the floor."""

    def __init__(self, shot: Shot) -> None:
        dice = shot.dice("room")
        self._shot = shot
        self._lamplit = shot.screenplay.mood in _LAMPLIT
        self._width = shot.width + 2 * shot.margin_x
        self._floor_row = int(shot.height * FLOOR)
        side = 1 if shot.subject_x < 0.5 else -1  # the window is where the subject is not
        self._window = self._window_box(dice, side)
        self._lamp = (0.5 - side * float(dice.uniform(0.24, 0.38))) * shot.width + shot.margin_x
        self.layers = [
            Flat(
                shot=shot, picture=self._wall(dice), left=-shot.margin_x, top=-shot.margin_y, depth=WALL_DEPTH
            ),
            Flat(
                shot=shot,
                picture=self._floor(dice),
                left=-shot.margin_x,
                top=self._floor_row,
                depth=FLOOR_DEPTH,
            ),
        ]

    def row_at(self, _x: float, _distance: float) -> float:
        """Return the row where someone's foot is: all stand at one distance."""
        return self._shot.height * 0.9

    def _window_box(self, dice: np.random.Generator, side: int) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom on the wall's picture."""
        shot = self._shot
        wide = min(shot.unit * float(dice.uniform(0.62, 0.9)), shot.width * 0.7)
        tall = min(shot.unit * 0.48, shot.height * 0.5)
        middle = shot.margin_x + shot.width * (0.5 + side * float(dice.uniform(0.08, 0.2)))
        top = shot.margin_y + shot.height * 0.10
        return int(middle - wide / 2), int(top), int(middle + wide / 2), int(top + tall)

    def _received(self, shape: tuple[int, int], top: int) -> Plane:
        """Return the light on each point of a picture whose first row is at `top` of the frame."""
        shot = self._shot
        rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
        rows += top
        left, _, right, bottom = self._window
        from_window = np.hypot(
            np.maximum(0, np.abs(columns - (left + right) / 2) - (right - left) / 2), rows - bottom * 0.8
        ) / np.float32(shot.unit)
        day = np.exp(-((from_window / 0.75) ** 2))[..., None]
        ambient, key = shot.palette.ambient_bgr(), shot.palette.key_bgr()
        if not self._lamplit:
            return ambient * 0.82 + 0.12 + key * 0.34 * day
        from_lamp = np.hypot(columns - self._lamp, rows - shot.height * 0.42) / np.float32(shot.unit)
        warm = np.exp(-((from_lamp / 0.62) ** 2))[..., None] * np.array([0.42, 0.66, 0.92], np.float32)
        return ambient * 0.55 + 0.10 + warm + key * 0.14 * day

    def _wall(self, dice: np.random.Generator) -> Image:
        shot = self._shot
        height = self._floor_row + shot.margin_y + int(0.05 * shot.unit)
        paint = colour(_PAINTS[int(dice.integers(len(_PAINTS)))])
        grain = noise.stretched(noise.tile(dice, 256, roughness=1.5), self._width, height)
        tones = paint * (1 + 0.025 * grain)[..., None]
        alpha = np.ones((height, self._width), np.float32)
        self._panels(tones, height, paint)
        self._pictures(tones, dice)
        self._frame(tones, alpha)
        self._curtains(tones, alpha, dice)
        lit = tones * self._received((height, self._width), -shot.margin_y)
        left, top, right, bottom = self._window
        soft = cv2.GaussianBlur(1 - alpha, (0, 0), shot.unit * 0.05)[..., None]
        if not self._lamplit:
            lit = lit + soft * alpha[..., None] * colour(shot.palette.haze) * np.float32(0.30)
        pane = (alpha < 0.5) & (np.arange(height)[:, None] < bottom)
        alpha = np.where(pane, np.float32(0.06), alpha)  # the glass has a faint sheen
        lit[top:bottom, left:right][pane[top:bottom, left:right]] = colour("#ffffff") * np.float32(0.5)
        return layer(np.clip(lit, 0, 255), alpha)

    def _panels(self, tones: Plane, height: int, paint: Plane) -> None:
        """Draw the skirting board, and a rail above it."""
        unit = self._shot.unit
        board = int(0.055 * unit)
        tones[height - board - int(0.04 * unit) :] = np.minimum(255, paint * 1.12 + 12)
        edge = height - board - int(0.04 * unit)
        tones[edge : edge + max(1, int(unit * 0.004))] = paint * 0.72

    def _pictures(self, tones: Plane, dice: np.random.Generator) -> None:
        """Hang a few framed pictures beside the window."""
        shot = self._shot
        left, top, right, _ = self._window
        for third in range(3):
            wide, tall = (int(shot.unit * float(dice.uniform(0.09, 0.17))) for _ in range(2))
            x = int((0.06 + (third + float(dice.uniform(0.1, 0.7))) * 0.3) * self._width)
            y = top + int(shot.unit * float(dice.uniform(0.02, 0.14)))
            if x + wide > left - 0.14 * shot.unit and x < right + 0.14 * shot.unit:
                continue
            rim = max(2, int(shot.unit * 0.008))
            tones[y : y + tall, x : x + wide] = colour("#3a2c22")
            inner = tones[y + rim : y + tall - rim, x + rim : x + wide - rim]
            sky, land = (colour(_CANVASES[int(index)]) for index in dice.permutation(len(_CANVASES))[:2])
            inner[:] = colour("#efe9dc") * 0.2 + sky * 0.8
            inner[int(inner.shape[0] * float(dice.uniform(0.45, 0.7))) :] = land

    def _frame(self, tones: Plane, alpha: Plane) -> None:
        """Cut the window out of the wall, with its frame, bars and sill."""
        unit = self._shot.unit
        left, top, right, bottom = self._window
        rim, bar = max(2, int(unit * 0.018)), max(1, int(unit * 0.007))
        white = colour("#ece6da")
        tones[top - rim : bottom + rim, left - rim : right + rim] = white
        alpha[top:bottom, left:right] = 0
        tones[top:bottom, left:right] = white
        for share in (1 / 3, 2 / 3):
            x = int(left + (right - left) * share)
            alpha[top:bottom, x - bar : x + bar] = 1
        y = int(top + (bottom - top) * 0.34)
        alpha[y - bar : y + bar, left:right] = 1
        sill = slice(bottom + rim, bottom + 2 * rim + bar)
        tones[sill, left - 3 * rim : right + 3 * rim] = white * 0.94
        tones[sill.stop : sill.stop + rim, left - 2 * rim : right + 2 * rim] *= 0.82

    def _curtains(self, tones: Plane, alpha: Plane, dice: np.random.Generator) -> None:
        unit = self._shot.unit
        left, top, right, bottom = self._window
        tint = colour(_CURTAINS[int(dice.integers(len(_CURTAINS)))])
        wide, upper, lower = int(unit * 0.13), top - int(unit * 0.035), bottom + int(unit * 0.16)
        for edge in (left - int(wide * 0.55), right - int(wide * 0.45)):
            x0, x1 = max(0, edge), min(self._width, edge + wide)
            if x1 <= x0:
                continue
            across = np.arange(x0, x1, dtype=np.float32) - edge
            folds = 0.82 + 0.2 * np.sin(across / wide * 2 * np.pi * 4.5 + 0.6 * np.sin(across / wide * 9))
            tones[upper:lower, x0:x1] = tint * folds[None, :, None]
            alpha[upper:lower, x0:x1] = 1
        rod = slice(upper - max(2, int(unit * 0.008)), upper)
        tones[rod, max(0, left - wide) : right + wide] = colour("#4a3a2c")

    def _floor(self, dice: np.random.Generator) -> Image:
        shot = self._shot
        height = shot.height + shot.margin_y - self._floor_row
        rows, columns = np.mgrid[0:height, 0 : self._width].astype(np.float32)
        depth = np.float32(0.30 * shot.unit) / (rows + np.float32(0.16 * shot.unit))  # metres, more or less
        across = (columns - self._width / 2) * depth / np.float32(shot.unit)
        boards = across * np.float32(9)
        board = np.floor(boards)
        shade = np.sin(board * 12.9898) * np.float32(43758.5453)
        shade = shade - np.floor(shade)
        grain = noise.sample(noise.tile(dice, 256, roughness=1.2), across * 260, depth * 60 + board * 31)
        wood = colour(_BOARDS[int(dice.integers(len(_BOARDS)))])
        tones = wood * (0.86 + 0.22 * shade + 0.06 * grain)[..., None]
        seam = np.abs(boards - board - np.float32(0.5)) > np.float32(0.475)
        tones = tones * (1 - 0.35 * seam)[..., None]
        received = self._received((height, self._width), self._floor_row)
        if not self._lamplit and shot.palette.disc == "sun":
            received = received + self._sunny_patch(rows, columns)[..., None] * shot.palette.key_bgr() * 0.75
        tones = tones * received
        tones *= smoothstep(-0.12, 0.25, rows / np.float32(shot.unit))[..., None] * 0.35 + 0.65
        return layer(np.clip(tones, 0, 255), np.ones((height, self._width), np.float32))

    def _sunny_patch(self, rows: Plane, columns: Plane) -> Plane:
        """Return the window's light on the floor: leaning away from it, with the shadows of its bars."""
        unit = np.float32(self._shot.unit)
        left, _, right, _ = self._window
        down = rows / unit
        lean = (1 if self._shot.sun_side < 0 else -1) * np.float32(0.9)
        x = (columns - (left + right) / 2 - lean * rows) / ((right - left) * (1 + down * 1.2))
        inside = (
            smoothstep(0.5, 0.47, np.abs(x)) * smoothstep(0.02, 0.04, down) * smoothstep(0.21, 0.18, down)
        )
        bars = smoothstep(0.0, 0.02, np.abs(np.abs(x) - np.float32(1 / 6)))
        return (inside * bars).astype(np.float32)
