"""Makes docs/images/studio.jpg: first, middle and last frames of five of the studio's films."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from filmgate.providers.studio.order import FilmOrder
from filmgate.providers.studio.stage import stage

SHEET: Final = Path(__file__).parents[1] / "docs" / "images" / "studio.jpg"
SIZE: Final = (480, 270)
PROMPTS: Final = (
    ("a sailboat on a calm sea at sunset, slow zoom in", 11),
    ("a fox in a flower meadow on a sunny day", 4),
    ("snowy mountains, an eagle flies over a frozen lake, pan right", 7),
    ("neon city at night in the rain, reflections on the river", 5),
    ("an astronaut riding a horse on the moon", 3),
)


def main() -> None:
    """Stage each film, and lay three of its frames side by side."""
    rows = []
    for prompt, seed in PROMPTS:
        film = stage(
            FilmOrder(prompt=prompt, seed=seed, width=1280, height=720, duration_s=4, fps=24, audio=False)
        )
        picked = (0, film.frame_count // 2, film.frame_count - 1)
        frames = [cv2.resize(film.frame(i)[..., :3], SIZE, interpolation=cv2.INTER_AREA) for i in picked]
        rows.append(np.hstack(frames))
    SHEET.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(SHEET), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 86])


if __name__ == "__main__":
    main()
