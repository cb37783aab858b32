"""Palettes: the light and colours of an hour or a place, several of each for the seed to choose from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from filmgate.providers.studio.scene.pixels import Plane, colour
from filmgate.providers.studio.screenplay import Mood


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """Colours as `#rrggbb`; `ambient` and `key` are what sky and sun add to a white surface (R, G, B)."""

    sky: tuple[tuple[float, str], ...]
    haze: str
    sun: str
    ambient: tuple[float, float, float]
    key: tuple[float, float, float]
    cloud_lit: str
    cloud_shade: str
    water: str
    sun_height: tuple[float, float]  # share of the way from horizon to the top, lowest and highest
    disc: str = "sun"  # sun, moon or none
    glow: float = 1.0
    stars: float = 0.0
    cloud_cover: float = 0.4
    haze_depth: float = 1.0
    bloom_from: int = 190
    rays: bool = False

    def ambient_bgr(self) -> Plane:
        """Return the sky's share of light, BGR."""
        return np.array(self.ambient[::-1], np.float32)

    def key_bgr(self) -> Plane:
        """Return the sun's or moon's share of light, BGR."""
        return np.array(self.key[::-1], np.float32)

    def sky_column(self, length: int, horizon: int) -> Plane:
        """Return the sky's colour for each of `length` rows, the last stop at `horizon`."""
        stops = np.array([stop for stop, _ in self.sky])
        colours = np.array([colour(code) for _, code in self.sky])
        rows = np.arange(length) / max(1, horizon)
        column = np.stack([np.interp(rows, stops, colours[:, channel]) for channel in range(3)], axis=1)
        return column.astype(np.float32)


_DAY: Final = Palette(
    sky=((0, "#1a63c6"), (0.42, "#4c9be6"), (0.78, "#a5d0f2"), (1, "#e6f2f6")),
    haze="#c6ddec",
    sun="#fff4d6",
    ambient=(0.50, 0.57, 0.68),
    key=(0.78, 0.72, 0.60),
    cloud_lit="#ffffff",
    cloud_shade="#a4b6cf",
    water="#0b5580",
    sun_height=(0.55, 0.85),
    glow=0.75,
    cloud_cover=0.42,
    bloom_from=222,
)
_SUNSET: Final = Palette(
    sky=(
        (0, "#1d1b4a"),
        (0.3, "#5a2f72"),
        (0.55, "#b9426d"),
        (0.78, "#f3764f"),
        (0.93, "#fdb163"),
        (1, "#ffe3a3"),
    ),
    haze="#f0906a",
    sun="#ffd58a",
    ambient=(0.46, 0.33, 0.46),
    key=(1.0, 0.58, 0.32),
    cloud_lit="#ffb27c",
    cloud_shade="#8c4a78",
    water="#2a1a4a",
    sun_height=(0.06, 0.26),
    cloud_cover=0.5,
    bloom_from=172,
    rays=True,
)
_DAWN: Final = Palette(
    sky=((0, "#35568c"), (0.4, "#7f97c6"), (0.7, "#e9b4b4"), (0.9, "#fdd3b0"), (1, "#fff0d6")),
    haze="#ecd2cc",
    sun="#fff0d0",
    ambient=(0.60, 0.56, 0.64),
    key=(0.78, 0.60, 0.46),
    cloud_lit="#ffe6d8",
    cloud_shade="#a99ab8",
    water="#3a5a80",
    sun_height=(0.10, 0.30),
    glow=0.9,
    cloud_cover=0.42,
    haze_depth=0.75,
    bloom_from=205,
    rays=True,
)
_DUSK: Final = Palette(
    sky=((0, "#0b1030"), (0.4, "#28305f"), (0.72, "#744a80"), (0.9, "#d67c7a"), (1, "#f7b58b")),
    haze="#8a6a8f",
    sun="#ffc9a0",
    ambient=(0.38, 0.36, 0.52),
    key=(0.62, 0.42, 0.42),
    cloud_lit="#d895a0",
    cloud_shade="#4a4576",
    water="#151c42",
    sun_height=(0.05, 0.11),
    glow=0.8,
    stars=0.5,
    cloud_cover=0.4,
    bloom_from=160,
)
_NIGHT: Final = Palette(
    sky=((0, "#030716"), (0.45, "#0a1838"), (0.8, "#18305e"), (1, "#2c5283")),
    haze="#21406a",
    sun="#e8f0ff",
    ambient=(0.17, 0.23, 0.38),
    key=(0.34, 0.40, 0.52),
    cloud_lit="#5c749c",
    cloud_shade="#152444",
    water="#061024",
    sun_height=(0.45, 0.8),
    disc="moon",
    glow=0.38,
    stars=1.0,
    cloud_cover=0.26,
    bloom_from=140,
)
_STORM: Final = Palette(
    sky=((0, "#1a2029"), (0.5, "#37424e"), (0.85, "#64727d"), (1, "#929ca1")),
    haze="#6f7c84",
    sun="#e8edf0",
    ambient=(0.42, 0.46, 0.50),
    key=(0.26, 0.28, 0.30),
    cloud_lit="#8a96a0",
    cloud_shade="#262d36",
    water="#24303a",
    sun_height=(0.4, 0.6),
    disc="none",
    glow=0.2,
    cloud_cover=0.92,
    haze_depth=0.9,
    bloom_from=170,
)
_OVERCAST: Final = Palette(
    sky=((0, "#8798a9"), (0.5, "#a9b7c3"), (0.85, "#cdd6db"), (1, "#dfe5e6")),
    haze="#ccd5da",
    sun="#f4f4ee",
    ambient=(0.66, 0.70, 0.74),
    key=(0.26, 0.25, 0.22),
    cloud_lit="#d9e0e6",
    cloud_shade="#8a98a8",
    water="#4a6474",
    sun_height=(0.35, 0.6),
    disc="none",
    glow=0.35,
    cloud_cover=0.8,
    haze_depth=0.6,
    bloom_from=228,
)
_NEON: Final = Palette(
    sky=((0, "#070318"), (0.4, "#1d0a42"), (0.7, "#5a1273"), (0.9, "#c82a86"), (1, "#ff5c8f")),
    haze="#4a1a6e",
    sun="#ff7ac0",
    ambient=(0.36, 0.26, 0.52),
    key=(0.75, 0.28, 0.62),
    cloud_lit="#a03a9a",
    cloud_shade="#24103f",
    water="#12062e",
    sun_height=(0.1, 0.3),
    disc="none",
    glow=0.35,
    stars=0.3,
    cloud_cover=0.4,
    bloom_from=135,
)
_SPACE: Final = Palette(
    sky=((0, "#010208"), (0.5, "#04050f"), (1, "#060818")),
    haze="#101026",
    sun="#fff2dd",
    ambient=(0.30, 0.30, 0.40),
    key=(0.85, 0.80, 0.72),
    cloud_lit="#7040a0",
    cloud_shade="#0a0618",
    water="#05060f",
    sun_height=(0.6, 0.8),
    disc="none",
    glow=0.0,
    stars=1.4,
    cloud_cover=0.0,
    bloom_from=140,
)
_UNDERWATER: Final = Palette(
    sky=((0, "#8fe9e4"), (0.18, "#35b6c6"), (0.5, "#0d6d9c"), (1, "#042546")),
    haze="#0e6a94",
    sun="#e8fff8",
    ambient=(0.34, 0.60, 0.68),
    key=(0.36, 0.46, 0.44),
    cloud_lit="#99ffee",
    cloud_shade="#117788",
    water="#04405f",
    sun_height=(0.95, 1.0),
    disc="none",
    glow=0.0,
    cloud_cover=0.0,
    bloom_from=150,
    rays=True,
)
_VOLCANO: Final = Palette(
    sky=((0, "#0b0507"), (0.4, "#2b0b0c"), (0.75, "#7c1a0c"), (1, "#ff6a1e")),
    haze="#6b1c10",
    sun="#ff9a3c",
    ambient=(0.36, 0.20, 0.19),
    key=(0.95, 0.42, 0.20),
    cloud_lit="#b04a2c",
    cloud_shade="#2a0f10",
    water="#20080a",
    sun_height=(0.2, 0.4),
    disc="none",
    glow=0.3,
    cloud_cover=0.8,
    bloom_from=130,
)

PALETTES: Final[Mapping[Mood, tuple[Palette, ...]]] = {
    "day": (
        _DAY,
        replace(
            _DAY,
            sky=((0, "#0f4fa8"), (0.4, "#2f86d8"), (0.8, "#8cc6ea"), (1, "#d9eef2")),
            haze="#b4d6e4",
            cloud_cover=0.3,
        ),
        replace(
            _DAY,
            sky=((0, "#4a8fd6"), (0.45, "#8abdec"), (0.8, "#cfe4f2"), (1, "#f8efdc")),
            haze="#dfe0d8",
            key=(0.86, 0.74, 0.54),
            sun_height=(0.4, 0.6),
        ),
    ),
    "sunset": (
        _SUNSET,
        replace(
            _SUNSET,
            sky=(
                (0, "#26416f"),
                (0.32, "#6d6a8f"),
                (0.6, "#d98a6a"),
                (0.82, "#f9a94f"),
                (0.95, "#ffcf6e"),
                (1, "#fff0b8"),
            ),
            haze="#f0aa6c",
            cloud_lit="#ffc987",
            cloud_shade="#94677c",
            water="#2b2f55",
        ),
        replace(
            _SUNSET,
            sky=(
                (0, "#2a0f3d"),
                (0.3, "#641c4f"),
                (0.58, "#c2334d"),
                (0.8, "#f2603a"),
                (0.94, "#ff9a4a"),
                (1, "#ffd98a"),
            ),
            haze="#e8704c",
            sun="#ffc06a",
            cloud_lit="#ff9468",
            cloud_shade="#7a2f58",
        ),
    ),
    "dawn": (
        _DAWN,
        replace(
            _DAWN,
            sky=((0, "#4a6fa8"), (0.4, "#9db6d8"), (0.72, "#f0cfb8"), (0.92, "#ffe2a8"), (1, "#fff6dc")),
            haze="#efdcc0",
        ),
        replace(
            _DAWN,
            sky=((0, "#3b3f78"), (0.4, "#8a7cb0"), (0.7, "#e8a0b0"), (0.9, "#ffc4a8"), (1, "#ffe8cc")),
            haze="#e6bcc4",
        ),
    ),
    "dusk": (
        _DUSK,
        replace(
            _DUSK,
            sky=((0, "#06142e"), (0.42, "#173a62"), (0.74, "#4a6f8c"), (0.9, "#c89a86"), (1, "#f6cf9a")),
            haze="#5a7690",
            ambient=(0.32, 0.40, 0.54),
            cloud_lit="#c8a8a0",
            cloud_shade="#2f486a",
        ),
    ),
    "night": (
        _NIGHT,
        replace(
            _NIGHT,
            sky=((0, "#050514"), (0.45, "#131036"), (0.8, "#2c2560"), (1, "#4a4486")),
            haze="#37336c",
            ambient=(0.22, 0.21, 0.40),
            cloud_shade="#1e1c46",
            water="#0a0a26",
        ),
        replace(
            _NIGHT,
            sky=((0, "#020a12"), (0.45, "#062430"), (0.8, "#104854"), (1, "#2a6f74")),
            haze="#1b525c",
            ambient=(0.15, 0.27, 0.34),
            cloud_shade="#0f3240",
            water="#04161e",
        ),
    ),
    "storm": (
        _STORM,
        replace(
            _STORM,
            sky=((0, "#141d22"), (0.5, "#2c3f44"), (0.85, "#5d7670"), (1, "#9aa88e")),
            haze="#687a72",
            cloud_shade="#1f2c30",
            water="#1c3434",
        ),
    ),
    "overcast": (
        _OVERCAST,
        replace(
            _OVERCAST,
            sky=((0, "#6f8299"), (0.5, "#95a6b8"), (0.85, "#c3ccd4"), (1, "#dcdcda")),
            haze="#bcc6cf",
        ),
    ),
    "neon": (
        _NEON,
        replace(
            _NEON,
            sky=((0, "#020a1c"), (0.4, "#07264a"), (0.7, "#0d5a78"), (0.9, "#26a6a4"), (1, "#7fe6c4")),
            haze="#14506e",
            sun="#6fe8e0",
            cloud_lit="#3a8aa8",
            cloud_shade="#0c2440",
            ambient=(0.24, 0.38, 0.52),
            key=(0.30, 0.66, 0.72),
            water="#041a2e",
        ),
        replace(
            _NEON,
            sky=((0, "#06051a"), (0.4, "#171447"), (0.72, "#3b2a8c"), (0.9, "#7a44c8"), (1, "#ff7ac0")),
            haze="#35288a",
        ),
    ),
    "space": (_SPACE,),
    "underwater": (
        _UNDERWATER,
        replace(
            _UNDERWATER,
            sky=((0, "#a6f0d4"), (0.2, "#3fc0a8"), (0.5, "#0f7a86"), (1, "#04303c")),
            haze="#12747e",
        ),
        replace(
            _UNDERWATER,
            sky=((0, "#7cc8f2"), (0.18, "#2f88d8"), (0.5, "#1550a4"), (1, "#061a48")),
            haze="#154c96",
        ),
    ),
    "volcano": (_VOLCANO,),
}
