"""The street: two rows of houses in perspective, walked through, over a road that mirrors them when wet."""

import math
from typing import Final

import cv2
import numpy as np

from filmgate.providers.studio.scene import noise
from filmgate.providers.studio.scene.pixels import (
    Image,
    Plane,
    colour,
    grey,
    lay_over,
    light,
    looked_up,
    place,
    resized,
    smoothstep,
)
from filmgate.providers.studio.scene.relief import EYE
from filmgate.providers.studio.scene.shot import Moment, Shot

EYE_M: Final = 1.6  # the viewer's height, in metres as all lengths here
_HALF_WIDTH_M: Final = 6.2  # from the middle of the road to the house fronts
_KERB_M: Final = 3.9
_TALLEST_M: Final = 19.0
_ROW_M: Final = 96.0  # the length of a row of houses, which then repeats
_TEXELS: Final = 30  # to the metre, on the fine picture of a row
_COARSE: Final = 4  # times fewer on the one for far houses
_FAR_M: Final = 26.0
_PACE_M: Final = 0.55  # metres a second
_NEON: Final = ("#ff2d95", "#19e3ff", "#ffd23f", "#9b6cff", "#3dff9e", "#ff6a3a")
_WARM: Final = ("#ffd28a", "#ffe6b8", "#ffbf70", "#cfe6ff")
_WALLS: Final = ("#8a7464", "#79808c", "#9a8a78", "#6e6a78", "#8c6f66", "#70808a")
_DARK: Final = frozenset({"night", "neon", "dusk", "storm"})
_LAMPS_M: Final = 13.0
_CARS: Final = 5


class Street:
    """Fills the canvas below and beside the end of the road; stands before any sky."""

    def __init__(self, shot: Shot) -> None:
        self._shot = shot
        dice = shot.dice("street")
        self._dark = shot.screenplay.mood in _DARK
        self._wet = 0.8 if shot.screenplay.has("rain") else 0.5 if shot.screenplay.mood == "neon" else 0.12
        self._focal = shot.unit * 1.02
        self._fine = [_row(shot, dice, dark=self._dark) for _ in range(2)]
        self._coarse = [
            resized(row, row.shape[1] // _COARSE, row.shape[0] // _COARSE, cv2.INTER_AREA)
            for row in self._fine
        ]
        self._place_walls()
        self._place_road(dice)
        self._glow = _ball(max(9, int(shot.unit * 0.10)) | 1)
        self._lamp = colour("#ffd9a0") * np.float32(0.85 if self._dark else 0.0)
        self._cars = dice.random((_CARS, 3)).tolist()
        self._walks = "still" not in shot.moves

    def row_at(self, _x: float, distance: float) -> float:
        """Return the row where something at a distance has its foot: the street is flat."""
        return self._shot.horizon + self._shot.unit * EYE / distance

    # --- what does not change ---------------------------------------------------------------

    def _place_walls(self) -> None:
        """For every pixel of the two walls, how far along and how high up its row of houses it is."""
        shot = self._shot
        columns = np.arange(shot.width, dtype=np.float32) - np.float32(shot.width / 2)
        away = np.maximum(np.abs(columns), np.float32(self._focal * _HALF_WIDTH_M / _ROW_M))
        self._depth = (np.float32(self._focal * _HALF_WIDTH_M) / away).astype(
            np.float32
        )  # per column, metres
        rows = np.arange(shot.height, dtype=np.float32)[:, None]
        up = (np.float32(shot.horizon) - rows) * self._depth[None] / np.float32(self._focal) + np.float32(
            EYE_M
        )
        self._down = ((np.float32(_TALLEST_M) - up) * np.float32(_TEXELS)).astype(np.float32)
        self._base = shot.horizon + self._focal * EYE_M / self._depth  # the row where a wall meets the ground
        self._low = min(shot.height, int(self._base.max()) + 2)
        far = np.flatnonzero(self._depth > _FAR_M)
        self._far = slice(int(far[0]), int(far[-1]) + 1)
        # Air between: the haze of the hour takes the far houses.
        share = 1 - np.exp(-self._depth / np.float32(30 if shot.screenplay.has("fog") else 85))
        haze = colour(shot.palette.haze) * np.float32(0.85)
        self._keep = _broad(np.clip((1 - share) * 255, 0, 255), self._low)
        self._air = _broad_colour(share, haze, self._low)

    def _place_road(self, dice: np.random.Generator) -> None:
        """For every pixel of the ground, where on the road it is, and where above what it mirrors is."""
        shot = self._shot
        height, width = -(-(shot.height - shot.horizon) // 2), -(-shot.width // 2)
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32) * 2
        rows += 1
        depth = np.float32(self._focal * EYE_M) / rows
        across = (columns - shot.width / 2) * depth / np.float32(self._focal)
        self._road_u = ((across + 16) * np.float32(_ROAD_TEXELS)).astype(np.float32)
        self._road_v = (depth * np.float32(_ROAD_TEXELS)).astype(np.float32)
        self._road = _road(shot, dice)
        base = self._base[::2][None, :width] - np.float32(shot.horizon)
        self._mirror_x = columns
        self._mirror_y = np.clip(shot.horizon + 2 * base - rows, 0, shot.height - 1).astype(np.float32)
        ripple = noise.tile(dice, 256, roughness=1.2, low_cut=4)
        self._ripple = noise.sample(ripple, across * 40, depth * 26) * np.float32(shot.unit * 0.004)
        puddles = noise.tile(dice, 256, roughness=1.8, low_cut=2)
        wet = np.clip(self._wet + 0.25 * noise.sample(puddles, across * 9, depth * 9), 0, 0.92) * min(
            1.0, self._wet * 3
        )
        self._shine = _grey_full(
            wet * smoothstep(-0.02, 0.10, rows / np.float32(shot.unit)), width * 2, height * 2
        )
        below = np.arange(shot.height - shot.horizon, dtype=np.float32)[:, None] + np.float32(shot.horizon)
        open_road = np.clip(below - self._base[None], 0, 1) * 255
        self._ground = np.repeat(open_road.astype(np.uint8)[..., None], 4, axis=2)

    # --- a moment ---------------------------------------------------------------------------

    def draw(self, canvas: Image, moment: Moment) -> None:
        """Draw houses, road, lamps and the lights of cars as they are after so many steps."""
        walked = (moment.seconds * _PACE_M if self._walks else 0.0) + 20 * (moment.zoom - 1.02)
        self._draw_walls(canvas, walked)
        self._draw_road(canvas, walked, moment)
        self._draw_lights(canvas, walked, moment)

    def _draw_walls(self, canvas: Image, walked: float) -> None:
        shot, low = self._shot, self._low
        along = ((self._depth + np.float32(walked)) % np.float32(_ROW_M)) * np.float32(_TEXELS)
        half = shot.width // 2
        walls = np.zeros((low, shot.width, 4), np.uint8)
        for side, part in enumerate((slice(0, half), slice(half, shot.width))):
            near = slice(part.start, self._far.start) if side == 0 else slice(self._far.stop, part.stop)
            far = slice(self._far.start, half) if side == 0 else slice(half, self._far.stop)
            for texture, where, shrink in ((self._fine[side], near, 1), (self._coarse[side], far, _COARSE)):
                if where.stop <= where.start:
                    continue
                u = np.broadcast_to(along[where] / shrink, (low, where.stop - where.start))
                v = self._down[:low, where] / np.float32(shrink)
                walls[:, where] = cv2.remap(
                    texture, np.ascontiguousarray(u), np.ascontiguousarray(v), cv2.INTER_LINEAR,
                    borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0, 0),
                )  # fmt: skip
        air = cv2.multiply(
            self._air, cv2.cvtColor(cv2.extractChannel(walls, 3), cv2.COLOR_GRAY2BGRA), scale=1 / 255
        )
        alpha = cv2.extractChannel(walls, 3)
        cv2.multiply(walls, self._keep, walls, scale=1 / 255)
        cv2.add(walls, air, walls)
        cv2.insertChannel(alpha, walls, 3)
        lay_over(canvas[:low], walls)

    def _draw_road(self, canvas: Image, walked: float, moment: Moment) -> None:
        shot = self._shot
        below = shot.height - shot.horizon
        v = self._road_v + np.float32(walked * _ROAD_TEXELS % self._road.shape[0])
        road = looked_up(self._road, self._road_u, v, wrap=True)
        wave = self._ripple * np.float32(1 + 0.3 * math.sin(moment.seconds * 2.1))
        mirror = looked_up(canvas, self._mirror_x + wave, self._mirror_y + np.abs(wave) * 3)
        mirror = np.asarray(cv2.blur(mirror, (1, max(1, int(shot.unit * 0.02)))), np.uint8)
        size = (shot.width, -(-below // 2) * 2)
        full = resized(road, *size)[:below]
        shine = cv2.multiply(resized(mirror, *size), self._shine[:, : shot.width], scale=1 / 255)[:below]
        cv2.add(full, shine, full)
        region = canvas[shot.horizon :]
        cv2.multiply(full, self._ground, full, scale=1 / 255)
        hidden = cv2.bitwise_not(self._ground)
        cv2.multiply(region, hidden, region, scale=1 / 255)
        cv2.add(region, full, region)

    def _draw_lights(self, canvas: Image, walked: float, moment: Moment) -> None:
        if not self._dark:
            return
        for number in range(6, -1, -1):
            z = number * _LAMPS_M + _LAMPS_M - walked % _LAMPS_M
            for side in (-1, 1):
                self._lamp_post(canvas, side * (_KERB_M + 0.5), z)
        for lane, phase, speed in self._cars:
            towards = lane < 0.5
            z = (phase * 70 + (-1 if towards else 0.6) * moment.seconds * (5 + 4 * speed)) % 70 + 7
            tint = colour("#fff2d8" if towards else "#ff3020")
            for wheel in (-0.6, 0.6):
                self._spot(canvas, (-2.0 if towards else 2.0) + wheel, 0.75, z, tint, 0.55)

    def _lamp_post(self, canvas: Image, x: float, z: float) -> None:
        shot, scale = self._shot, self._focal / z
        foot = (int(shot.width / 2 + x * scale), int(shot.horizon + EYE_M * scale))
        top = (foot[0], int(shot.horizon - (5.2 - EYE_M) * scale))
        arm = (int(foot[0] - math.copysign(1.0, x) * scale), top[1])
        ink = (34, 30, 30, 255)
        thick = max(1, int(0.09 * scale))
        cv2.line(canvas, foot, top, ink, thick, cv2.LINE_AA)
        cv2.line(canvas, top, arm, ink, thick, cv2.LINE_AA)
        self._spot(canvas, x - math.copysign(1.0, x), 5.0, z, self._lamp, 1.5)

    def _spot(self, canvas: Image, x: float, up: float, z: float, tint: Plane, size: float) -> None:
        """Add a light at a place in the street, and its long mirror image where the road is wet."""
        shot, scale = self._shot, self._focal / z
        side = max(3, int(size * scale))
        ball = light(resized(self._glow, side, side)[..., None] * tint * np.float32(min(1.0, 30 / z + 0.35)))
        column = shot.width / 2 + x * scale
        place(canvas, ball, column, shot.horizon - (up - EYE_M) * scale, glow=True)
        streak = resized(ball, max(2, side // 2), side * 3)
        cv2.multiply(streak, np.array([self._wet * 0.7] * 4), streak)
        place(canvas, streak, column, shot.horizon + (EYE_M + 0.4 * up) * scale, glow=True)


_ROAD_TEXELS: Final = 24  # to the metre
_ROAD_M: Final = 12


def _road(shot: Shot, dice: np.random.Generator) -> Image:
    """Return twelve metres of road seen from above, 32 metres across, seamless along."""
    height, width = _ROAD_M * _ROAD_TEXELS, 32 * _ROAD_TEXELS
    grain = noise.stretched(noise.tile(dice, 256, roughness=0.8), width, height)
    worn = noise.stretched(noise.tile(dice, 256, roughness=1.8), width, height)
    across = np.abs(np.arange(width, dtype=np.float32) / _ROAD_TEXELS - 16)[None]
    along = (np.arange(height, dtype=np.float32) / _ROAD_TEXELS)[:, None]
    snowy = shot.screenplay.has("snow")
    asphalt, slabs = (
        (colour("#a9b2bf"), colour("#d5dde8")) if snowy else (colour("#3c3f46"), colour("#77746f"))
    )
    walk = smoothstep(_KERB_M - 0.02, _KERB_M + 0.02, across)[..., None]
    tones = asphalt + (slabs - asphalt) * walk
    joints = ((along % 1.5 < 0.05) | (across % 1.5 < 0.05)) & (across > _KERB_M)
    tones = tones * (1 - 0.25 * joints)[..., None]
    if not snowy:
        lines = ((across < 0.07) & (along % 6 < 3)) | (np.abs(across - _KERB_M + 0.35) < 0.05)
        tones = np.where(lines[..., None], colour("#cfcabb"), tones)
    tones = tones * (1 + 0.05 * grain + 0.06 * worn)[..., None]
    received = shot.palette.ambient_bgr() * 0.85 + shot.palette.key_bgr() * 0.35
    out = np.full((height, width, 4), 255, np.uint8)
    out[..., :3] = np.clip(tones * received, 0, 255)
    return out


def _row(shot: Shot, dice: np.random.Generator, *, dark: bool) -> Image:
    """Return the fronts of a row of houses, premultiplied; its left end joins its right one."""
    height, width = int(_TALLEST_M * _TEXELS), int(_ROW_M * _TEXELS)
    canvas: Image = np.zeros((height, width, 4), np.uint8)
    x = 0
    while x < width:
        wide = min(int(float(dice.uniform(5.5, 12)) * _TEXELS), width - x)
        if width - x - wide < 4 * _TEXELS:
            wide = width - x
        _House(shot, dice, canvas[:, x : x + wide], dark=dark).build()
        x += wide
    return canvas


class _House:
    """One front: shops below, windows above, and signs."""

    def __init__(self, shot: Shot, dice: np.random.Generator, canvas: Image, *, dark: bool) -> None:
        self._shot, self._dice, self._canvas, self._dark = shot, dice, canvas, dark
        self._neon = shot.screenplay.mood == "neon"
        received = shot.palette.ambient_bgr() * 0.9 + shot.palette.key_bgr() * (0.2 if dark else 0.4)
        self._received = received
        self._wall = (
            colour(_WALLS[int(dice.integers(len(_WALLS)))]) * float(dice.uniform(0.75, 1.1)) * received
        )
        tall = float(dice.uniform(0.45, 1.0) if not self._neon else dice.uniform(0.65, 1.0))
        self._top = int(canvas.shape[0] * (1 - tall))

    def build(self) -> None:
        canvas = self._canvas
        rows = np.linspace(0.82, 1.08, canvas.shape[0] - self._top, dtype=np.float32)[:, None, None]
        canvas[self._top :, :, :3] = np.clip(self._wall * rows, 0, 255)
        canvas[self._top :, :, 3] = 255
        canvas[self._top : self._top + 10, :, :3] = np.clip(self._wall * 0.6, 0, 255)
        canvas[self._top :, :3, :3] = (canvas[self._top :, :3, :3] * 0.6).astype(np.uint8)
        self._windows()
        self._shop()
        if self._neon or (self._dark and self._dice.random() < 0.6) or self._dice.random() < 0.3:
            self._signs()

    def _box(self, left: float, top: float, right: float, bottom: float, tone: Plane) -> None:
        height, width = self._canvas.shape[:2]
        x0, x1 = max(0, int(left)), min(width, int(right))
        y0, y1 = max(self._top, int(top)), min(height, int(bottom))
        if x1 > x0 and y1 > y0:
            self._canvas[y0:y1, x0:x1, :3] = np.clip(tone, 0, 255)

    def _windows(self) -> None:
        dice, texels = self._dice, _TEXELS
        height, width = self._canvas.shape[:2]
        wide, tall = float(dice.uniform(0.9, 1.5)) * texels, float(dice.uniform(1.3, 1.8)) * texels
        gap = wide + float(dice.uniform(0.6, 1.0)) * texels
        count = max(1, int((width - texels) / gap))
        margin = (width - count * gap + gap - wide) / 2
        warm = colour(_WARM[int(dice.integers(len(_WARM)))])
        level = height - 4.6 * texels - tall
        while level > self._top + 0.5 * texels:
            for number in range(count):
                x = margin + number * gap
                lit = self._dark and dice.random() < 0.42
                pane = (
                    warm * float(dice.uniform(0.5, 1.0))
                    if lit
                    else self._wall * 0.45 + colour(self._shot.palette.haze) * (0.05 if self._dark else 0.25)
                )
                self._box(x - 3, level - 3, x + wide + 3, level + tall + 5, self._wall * 1.25)
                self._box(x, level, x + wide, level + tall, pane)
                self._box(x + wide / 2 - 1, level, x + wide / 2 + 1, level + tall, self._wall * 0.8)
            level -= tall + 1.5 * texels

    def _shop(self) -> None:
        """Glass with light behind it, a door, an awning and a board over them."""
        dice, texels = self._dice, _TEXELS
        height, width = self._canvas.shape[:2]
        tint = colour((_NEON if self._neon else _WARM)[int(dice.integers(4))])
        shine = 0.95 if self._dark else 0.55
        glass = (
            (colour("#ffe2b0") * 0.6 + tint * 0.4) * shine
            if self._dark or dice.random() < 0.5
            else self._wall * 0.5
        )
        x, step = 0.5 * texels, 2.4 * texels
        while x + 1.6 * texels < width:
            self._box(
                x,
                height - 2.9 * texels,
                x + 2.1 * texels,
                height - 0.35 * texels,
                glass * float(dice.uniform(0.75, 1.05)),
            )
            for _ in range(3):  # wares, or people, behind the glass
                left = x + float(dice.uniform(0, 1.6)) * texels
                self._box(
                    left,
                    height - float(dice.uniform(1.0, 2.0)) * texels,
                    left + float(dice.uniform(0.2, 0.5)) * texels,
                    height - 0.4 * texels,
                    glass * 0.45,
                )
            x += step
        board = (
            colour(_NEON[int(dice.integers(len(_NEON)))])
            if self._dark
            else colour(_WALLS[int(dice.integers(len(_WALLS)))]) * self._received
        )
        self._box(
            0.4 * texels,
            height - 3.9 * texels,
            width - 0.4 * texels,
            height - 3.1 * texels,
            board * (0.55 if self._dark else 0.9),
        )
        self._letters(
            0.9 * texels,
            height - 3.75 * texels,
            width - 0.9 * texels,
            height - 3.25 * texels,
            colour("#fff6e0"),
        )
        if dice.random() < 0.5:
            stripe = colour(("#b8433a", "#3a6a8a", "#4a7a52")[int(dice.integers(3))]) * self._received
            for number in range(int(width / (0.5 * texels))):
                tone = stripe if number % 2 else colour("#e8e2d4") * self._received
                self._box(
                    number * 0.5 * texels,
                    height - 3.1 * texels,
                    (number + 1) * 0.5 * texels,
                    height - 2.5 * texels,
                    tone,
                )

    def _signs(self) -> None:
        """Upright boards with glowing signs that look like writing, and are none."""
        dice, texels = self._dice, _TEXELS
        height, width = self._canvas.shape[:2]
        for _ in range(int(dice.integers(1, 4)) if self._neon else 1):
            tint = colour(_NEON[int(dice.integers(len(_NEON)))])
            tall = float(dice.uniform(2.5, 6.0)) * texels
            wide = float(dice.uniform(0.7, 1.1)) * texels
            x = float(dice.uniform(0.1, 0.9)) * (width - wide)
            y = float(
                dice.uniform(self._top + texels, max(self._top + texels + 1, height - 4.5 * texels - tall))
            )
            back = tint * 0.22 if dice.random() < 0.5 else tint * 0.95
            ink = (
                tint * 1.1
                if back[0] + back[1] + back[2] < 0.5 * float(tint.sum())
                else np.float32(20) + tint * 0.05
            )
            self._box(x - 3, y - 3, x + wide + 3, y + tall + 3, tint)
            self._box(x, y, x + wide, y + tall, back)
            glyph = wide * 0.8
            row = y + glyph * 0.2
            while row + glyph < y + tall:
                self._glyph(x + wide * 0.1, row, glyph, ink)
                row += glyph * 1.15

    def _letters(self, left: float, top: float, right: float, bottom: float, ink: Plane) -> None:
        size = bottom - top
        x = left
        while x + size < right:
            if self._dice.random() < 0.85:
                self._glyph(x, top, size * 0.8, ink * (0.95 if self._dark else 0.8))
            x += size

    def _glyph(self, x: float, y: float, size: float, ink: Plane) -> None:
        """Draw a few strokes in a square."""
        dice, thick = self._dice, max(2.0, size * 0.12)
        for _ in range(int(dice.integers(3, 6))):
            at = float(dice.integers(0, 4)) / 3.4
            if dice.random() < 0.5:
                self._box(x, y + at * size, x + size, y + at * size + thick, ink)
            else:
                self._box(x + at * size, y, x + at * size + thick, y + size, ink)


def _ball(size: int) -> Plane:
    rows, columns = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    away = np.hypot(rows, columns)
    return (
        np.exp(-((away / 0.16) ** 2)) + 0.35 * np.exp(-((away / 0.45) ** 2)) * smoothstep(1.0, 0.6, away)
    ).clip(0, 1)


def _broad(row: Plane, height: int) -> Image:
    out = np.repeat(row.astype(np.uint8)[None, :, None], 4, axis=2)
    return np.ascontiguousarray(np.broadcast_to(out, (height, *out.shape[1:])))


def _broad_colour(share: Plane, tone: Plane, height: int) -> Image:
    out = np.zeros((1, len(share), 4), np.uint8)
    out[0, :, :3] = np.clip(share[:, None] * tone, 0, 255)
    return np.ascontiguousarray(np.broadcast_to(out, (height, *out.shape[1:])))


def _grey_full(plane: Plane, width: int, height: int) -> Image:
    """Turn factors of 0..1 into a picture of another size to multiply with; its alpha is zero."""
    factors = grey(resized(np.ascontiguousarray(plane, np.float32), width, height))
    factors[..., 3] = 0
    return factors
