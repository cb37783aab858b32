"""Makes docs/images/studio*.jpg: first, middle and last frames of films the studio makes of real prompts.

Run it from the repository root when the studio draws otherwise: `python tools/make_contact_sheet.py`.
The prompts and seeds stand beside their pictures in docs/guides/studio.md, row by row.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from filmgate.providers.studio.order import FilmOrder
from filmgate.providers.studio.stage import stage

IMAGES: Final = Path(__file__).parents[1] / "docs" / "images"
SIZE: Final = (432, 243)
LARGEST_BYTES: Final = 300_000
Row = tuple[str, int]  # a prompt and a seed
SHEETS: Final[Mapping[str, tuple[Row, ...]]] = {
    "studio": (
        ("A stylish woman walks down a Tokyo street filled with warm glowing neon, rain", 3),
        ("a sailboat on a calm sea at sunset, slow zoom in", 11),
        ("a cat sleeping on a sofa by the window on a rainy day", 3),
        ("two people walking on a beach at sunset", 2),
        ("an astronaut riding a horse on Mars", 3),
    ),
    "studio-people": (
        ("한 남자가 비 오는 거리를 걷고 있다", 1),
        ("夕焼けの海辺を歩く女性", 2),
        ("一个女孩在樱花树下跳舞", 3),
        ("a couple dancing in the rain under a street lamp", 2),
        ("an old man fishing in a small boat on a quiet lake at dawn", 2),
        ("ein Ritter mit einem Pferd vor einem Schloss bei Sonnenuntergang", 4),
        ("a man reading in a library at night", 1),
    ),
    "studio-animals": (
        ("un ours dans une forêt enneigée", 2),
        ("a lion walking in the savanna at golden hour", 2),
        ("一只熊猫在竹林里", 3),
        ("un perro corriendo por la playa al atardecer", 5),
        ("лиса в зимнем лесу", 2),
        ("birds flying over a calm lake at dawn", 2),
        ("a whale jumping over a small boat at sunset", 3),
    ),
    "studio-places": (
        ("夜晚的上海街道 下雨 霓虹灯倒映在地面", 2),
        ("a quiet street in Paris in the snow, a dog", 3),
        ("ein Heißluftballon über den Alpen bei Sonnenaufgang", 2),
        ("uma casa na floresta no outono", 2),
        ("egy hajó a tengeren viharban", 3),
        ("een molen in een tulpenveld", 3),
        ("a campfire in the forest at night, sparks, tent", 3),
    ),
    "studio-things": (
        ("桌子上的一杯咖啡", 2),
        ("a bowl of ramen with steam rising, close-up", 1),
        ("แมวบนโซฟา", 3),
        ("a butterfly on a flower, macro", 3),
        ("un coche rojo en una carretera de montaña", 1),
        ("a school of fish swimming in a coral reef", 3),
        ("quarterly synergy of abstract notions", 1),
    ),
}


def main() -> None:
    """Stage each film, and lay three of its frames side by side."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, rows in SHEETS.items():
        sheet = np.vstack([_row(prompt, seed) for prompt, seed in rows])
        (IMAGES / f"{name}.jpg").write_bytes(_small(sheet))


def _row(prompt: str, seed: int) -> np.ndarray:
    film = stage(
        FilmOrder(prompt=prompt, seed=seed, width=1280, height=720, duration_s=5, fps=24, audio=False)
    )
    # The first second of a title card is dark: begin a little after it.
    picked = (film.frame_count // 8, film.frame_count // 2, film.frame_count - 1)
    return np.hstack([cv2.resize(film.frame(i)[..., :3], SIZE, interpolation=cv2.INTER_AREA) for i in picked])


def _small(sheet: np.ndarray) -> bytes:
    """Return the sheet as the best JPEG within the size."""
    for quality in range(90, 40, -4):
        _, data = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if len(data) <= LARGEST_BYTES:
            return data.tobytes()
    raise ValueError("the sheet is too large")


if __name__ == "__main__":
    main()
