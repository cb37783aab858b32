"""The city: three rows of towers with lit windows, signs and aerials."""

from typing import Final

import cv2
import numpy as np

from filmgate.providers.studio.scene.layers import Flat
from filmgate.providers.studio.scene.pixels import Image, Plane, colour
from filmgate.providers.studio.scene.shot import Shot

_NEON: Final = ("#ff2d95", "#19e3ff", "#ffd23f", "#7b5cff", "#3dff9e")
_WINDOWS: Final = ("#ffd28a", "#ffe9c0", "#bfe0ff", "#ffb060")
_WALLS: Final = ("#5a6478", "#6b6670", "#4f5a66", "#70675f", "#58607a")
_DAYLIT: Final = frozenset({"day", "dawn", "overcast"})


def city(shot: Shot) -> list[Flat]:
    """Return the rows, farthest first; a taller cluster stands where the seed says."""
    dice = shot.dice("city")
    centre = float(dice.uniform(0.25, 0.75))
    return [_Row(shot, dice, row, centre).flat() for row in range(3)]


class _Row:
    def __init__(self, shot: Shot, dice: np.random.Generator, row: int, centre: float) -> None:
        self._shot, self._dice, self._row, self._centre = shot, dice, row, centre
        self._width = shot.width + 2 * shot.margin_x
        self._foot = int(shot.horizon + shot.margin_y * 0.2)
        self._canvas: Image = np.zeros((self._foot, self._width, 4), np.uint8)
        self._haze = (0.74, 0.45, 0.14)[row] * (1.15 if shot.screenplay.has("fog", "rain") else 1)
        self._daylit = shot.screenplay.mood in _DAYLIT
        self._neon = shot.screenplay.mood == "neon"
        self._haze_tone = colour(shot.palette.haze)

    def flat(self) -> Flat:
        shot, dice = self._shot, self._dice
        x = -int(0.05 * shot.unit * float(dice.random()))
        while x < self._width:
            width = int(shot.unit * float(dice.uniform(0.035, 0.085)) * (1 + 0.45 * self._row))
            self._tower(x, max(6, width), self._tower_height(x + width / 2))
            x += width + int(shot.unit * 0.012 * float(dice.random()) * (3 - self._row))
        top = int(np.argmax(self._canvas[..., 3].any(axis=1)))
        return Flat(
            shot=shot,
            picture=np.ascontiguousarray(self._canvas[top:]),
            left=-shot.margin_x,
            top=top,
            depth=0.10 + 0.13 * self._row,
        )

    def _tower_height(self, x: float) -> int:
        """Towers are tallest downtown and lower towards the edges, nearer rows lower still."""
        away = abs(x / self._width - self._centre)
        downtown = 0.35 + 0.75 * float(np.exp(-((away / 0.2) ** 2)))
        share = 0.07 + 0.36 * float(self._dice.random()) ** 1.5 * downtown * (1.15, 0.95, 0.6)[self._row]
        return min(int(self._shot.unit * share), int(self._shot.horizon * 0.92))

    def _tower(self, x: int, width: int, height: int) -> None:
        dice, shot = self._dice, self._shot
        x0, x1, top = max(0, x), min(self._width, x + width), self._shot.horizon - height
        if x1 - x0 < 3:
            return
        wall = self._wall(colour(_WALLS[int(dice.integers(len(_WALLS)))]) * float(dice.uniform(0.7, 1.15)))
        rows = np.linspace(0, 1, self._foot - top, dtype=np.float32)[:, None]
        shade = (1.1 - 0.25 * rows)[..., None] * wall + (rows * 0.42 * (1 - self._haze))[
            ..., None
        ] * self._haze_tone
        self._canvas[top:, x0:x1, :3] = np.clip(shade, 0, 255)
        self._canvas[top:, x0:x1, 3] = 255
        side = max(1, (x1 - x0) // 3)
        dark = slice(x1 - side, x1) if shot.sun_side < 0 else slice(x0, x0 + side)
        self._canvas[top:, dark, :3] = (self._canvas[top:, dark, :3] * 0.8).astype(np.uint8)
        self._roof(x0, x1, top, height, wall)
        self._windows(x0, x1, top, wall)
        if self._neon and dice.random() < 0.3:
            self._edge_light(x0, x1, top)
        if self._row > 0 and dice.random() < (0.55 if self._neon else 0.0 if self._daylit else 0.10):
            self._sign(x0, x1, top, height)

    def _wall(self, tone: Plane) -> Plane:
        light = self._shot.palette.ambient_bgr() + 0.5 * self._shot.palette.key_bgr()
        lit = tone * light * (1.0 if self._daylit else 0.62)
        return lit + (self._haze_tone - lit) * np.float32(min(0.92, self._haze))

    def _roof(self, x0: int, x1: int, top: int, height: int, wall: Plane) -> None:
        dice, shot = self._dice, self._shot
        choice = float(dice.random())
        ink = (*(float(value) for value in wall), 255.0)
        middle, width = (x0 + x1) // 2, x1 - x0
        if choice < 0.22:
            tip = top - int(height * 0.2)
            cv2.line(
                self._canvas, (middle, top), (middle, tip), ink, max(1, int(shot.unit / 480)), cv2.LINE_AA
            )
            if not self._daylit:
                cv2.circle(
                    self._canvas, (middle, tip), max(1, int(shot.unit / 340)), (70.0, 70.0, 255.0, 255.0), -1
                )
        elif choice < 0.42:
            step = max(2, width // 5)
            cv2.rectangle(self._canvas, (x0 + step, top - step), (x1 - step, top), ink, -1)
        elif choice < 0.5:
            peak = np.array([(x0, top), (middle, top - width // 2), (x1 - 1, top)], np.int32)
            cv2.fillPoly(self._canvas, [peak], ink, cv2.LINE_AA)

    def _windows(self, x0: int, x1: int, top: int, wall: Plane) -> None:
        dice, shot = self._dice, self._shot
        across = max(2, int(shot.unit / 165 * (1 + 0.45 * self._row)))
        down = max(3, int(across * float(dice.choice([1.0, 1.5, 1.5]))))
        step_x, step_y = across + max(1, across // 2), down + max(1, down // 2)
        columns, rows = (x1 - x0 - across) // step_x, (self._foot - top - 2 * down) // step_y
        if columns < 1 or rows < 1:
            return
        shine = dice.random((rows, columns))
        if self._daylit:
            pane = wall * 0.72 + self._haze_tone * 0.12
            tones = np.broadcast_to(pane, (rows, columns, 3)) * (0.85 + 0.4 * shine[..., None])
            shown = np.ones((rows, columns), bool)
        else:
            warm = colour(_WINDOWS[int(dice.integers(len(_WINDOWS)))])
            strength = (0.35 + 0.65 * dice.random((rows, columns))) * (1 - 0.6 * self._haze)
            tones = warm * strength[..., None] + wall * (1 - strength[..., None]) * 0.5
            shown = shine < float(dice.uniform(0.14, 0.55))
        block = np.zeros((rows * step_y, columns * step_x, 3), np.float32)
        mask = np.zeros(block.shape[:2], bool)
        for y in range(down):
            for x in range(across):
                block[y::step_y, x::step_x] = tones
                mask[y::step_y, x::step_x] = shown
        left = x0 + (x1 - x0 - columns * step_x + step_x - across) // 2
        target = self._canvas[top + down : top + down + block.shape[0], left : left + block.shape[1], :3]
        mask, block = mask[: target.shape[0], : target.shape[1]], block[: target.shape[0], : target.shape[1]]
        target[mask] = np.clip(block[mask], 0, 255)

    def _edge_light(self, x0: int, x1: int, top: int) -> None:
        """Draw a tube of light around the roof and down one corner."""
        tint = colour(_NEON[int(self._dice.integers(len(_NEON)))]) * (1 - 0.7 * self._haze)
        thick = max(1, int(self._shot.unit / 420))
        corner = x0 if self._dice.random() < 0.5 else x1 - thick
        self._canvas[top : top + thick, x0:x1, :3] = tint
        self._canvas[top:, corner : corner + thick, :3] = tint

    def _sign(self, x0: int, x1: int, top: int, height: int) -> None:
        dice, shot = self._dice, self._shot
        tint = colour(_NEON[int(dice.integers(len(_NEON)))])
        width = max(3, int(shot.unit * 0.009 * float(dice.uniform(1, 3.0))))
        tall = int(height * float(dice.uniform(0.2, 0.55)))
        left = min(x1 - width, x0 + int((x1 - x0) * float(dice.random()) * 0.7))
        y = top + int(height * 0.12)
        self._canvas[y : y + tall, max(0, left) : left + width, :3] = tint
        gap = max(4, width)
        for row in range(y + gap, y + tall, gap):
            self._canvas[row : row + max(1, gap // 5), max(0, left) : left + width, :3] = (tint * 0.3).astype(
                np.uint8
            )
