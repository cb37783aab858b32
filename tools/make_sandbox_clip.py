"""Makes the sandbox's test card: `clip.mp4` and `picture.png`, vendored in its package."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from filmgate.providers import sandbox
from filmgate.providers.studio.encode import FILM, LAST_FRAME, Picture, write_film
from filmgate.providers.studio.order import SAMPLE_RATE, FilmOrder

ORDER = FilmOrder(prompt="", seed=0, width=320, height=180, duration_s=1, fps=24, last_frame=True)
BARS = ("#c0c0c0", "#c0c000", "#00c0c0", "#00c000", "#c000c0", "#c00000", "#0000c0")
GREYS = ("#101010", "#303030", "#505050", "#707070", "#909090", "#b0b0b0", "#d0d0d0")


class TestCard:
    """Colour bars, a name, and a hand that goes round once, with a soft tone."""

    frame_count = ORDER.duration_s * ORDER.fps

    def frame(self, index: int) -> Picture:
        """Draw one frame."""
        image = Image.new("RGBA", (ORDER.width, ORDER.height), "#181818")
        draw = ImageDraw.Draw(image)
        step = ORDER.width / len(BARS)
        for k, (bar, grey) in enumerate(zip(BARS, GREYS, strict=True)):
            draw.rectangle((k * step, 0, (k + 1) * step, 127), fill=bar)
            draw.rectangle((k * step, 128, (k + 1) * step, 143), fill=grey)
        draw.text((12, 153), "FILMGATE SANDBOX", fill="#e8e8e8", font=ImageFont.load_default(15))
        draw.text((272, 153), f"{index + 1:02d}/24", fill="#e8e8e8", font=ImageFont.load_default(15))
        self._hand(draw, (index + 1) / self.frame_count)
        return np.ascontiguousarray(np.asarray(image)[:, :, [2, 1, 0, 3]])

    def _hand(self, draw: ImageDraw.ImageDraw, turn: float) -> None:
        x, y, radius = 160, 64, 44
        draw.ellipse(
            (x - radius, y - radius, x + radius, y + radius), fill="#181818", outline="#f0f0f0", width=3
        )
        angle = math.tau * turn
        tip = (x + 36 * math.sin(angle), y - 36 * math.cos(angle))
        draw.line(((x, y), tip), fill="#f0f0f0", width=4)

    def soundtrack(self) -> NDArray[np.float32]:
        """Return 440 Hz, faded in and out."""
        at = np.arange(SAMPLE_RATE * ORDER.duration_s) / SAMPLE_RATE
        tone = 0.12 * np.sin(math.tau * 440 * at) * np.clip(20 * np.minimum(at, at[::-1]), 0, 1)
        return np.repeat(tone[:, None], 2, axis=1).astype(np.float32)


def main() -> None:
    """Write both files into the sandbox's package."""
    package = Path(sandbox.__file__).parent
    with TemporaryDirectory() as made:
        write_film(TestCard(), ORDER, Path(made), on_progress=lambda _: None)
        for name, kept in ((FILM, "clip.mp4"), (LAST_FRAME, "picture.png")):
            (package / kept).write_bytes((Path(made) / name).read_bytes())


if __name__ == "__main__":
    main()
