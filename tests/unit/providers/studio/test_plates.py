"""What the studio makes of pictures, clips and sounds that it is given."""

import io
import struct
import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from filmgate.providers.studio.order import SAMPLE_RATE, FilmOrder, Input, StillOrder, Unusable
from filmgate.providers.studio.plates.footage import Footage, retimed
from filmgate.providers.studio.plates.joins import flow_between
from filmgate.providers.studio.plates.pictures import fit, read_picture
from filmgate.providers.studio.plates.sounds import laid_out, levelled, loudness_of, read_sound
from filmgate.providers.studio.stage import Film, stage, still
from tests.studio_inputs import Rgb, a_clip, a_picture, a_sound, given, saved, turned

WIDTH, HEIGHT = 160, 90
BGRA = NDArray[np.uint8]


def a_film(*inputs: Input, prompt: str = "zoom in", duration_s: int = 2, audio: bool = True) -> Film:
    order = FilmOrder(
        prompt=prompt,
        seed=1,
        width=WIDTH,
        height=HEIGHT,
        duration_s=duration_s,
        fps=8,
        inputs=inputs,
        audio=audio,
    )
    return stage(order)


def rgb(frame: BGRA) -> Rgb:
    return np.asarray(frame[..., 2::-1])


def difference(one: Rgb | BGRA, other: Rgb | BGRA) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


# --- first and last frames ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompt", ["zoom in", "pull back", "pan left", "handheld", "snow at night", "static shot"]
)
def test_the_first_frame_is_the_picture_to_the_pixel(tmp_path: Path, prompt: str) -> None:
    picture = a_picture()
    film = a_film(given("first", saved(picture, tmp_path / "a.png")), prompt=prompt)

    assert np.array_equal(rgb(film.frame(0)), picture)


@pytest.mark.parametrize("prompt", ["", "pan right, snow at night"])
@pytest.mark.parametrize("alike", [True, False], ids=["alike", "unlike"])
def test_the_last_frame_is_the_picture_to_the_pixel_too(tmp_path: Path, prompt: str, *, alike: bool) -> None:
    first = a_picture(1)
    last = np.roll(first, 6, axis=1) if alike else a_picture(2)
    film = a_film(
        given("last", saved(last, tmp_path / "b.png")),
        given("first", saved(first, tmp_path / "a.png")),
        prompt=prompt,
    )

    assert np.array_equal(rgb(film.frame(0)), first)
    assert np.array_equal(rgb(film.frame(film.frame_count - 1)), last)


def test_a_picture_of_another_shape_is_cropped_about_its_middle(tmp_path: Path) -> None:
    wide = a_picture(width=240, height=90)
    film = a_film(given("first", saved(wide, tmp_path / "a.png")))

    assert np.array_equal(rgb(film.frame(0)), wide[:, 40:200])


def test_a_film_of_one_picture_moves(tmp_path: Path) -> None:
    film = a_film(given("first", saved(a_picture(), tmp_path / "a.png")))

    frames = [film.frame(i).copy() for i in range(film.frame_count)]

    assert all(difference(one, other) > 0.2 for one, other in pairwise(frames))


def test_a_film_of_one_frame_is_the_first_picture(tmp_path: Path) -> None:
    first, last = a_picture(1), a_picture(2)
    inputs = (
        given("first", saved(first, tmp_path / "a.png")),
        given("last", saved(last, tmp_path / "b.png")),
    )
    order = FilmOrder(prompt="", seed=1, width=WIDTH, height=HEIGHT, duration_s=1, fps=1, inputs=inputs)

    assert np.array_equal(rgb(stage(order).frame(0)), first)


@pytest.mark.parametrize("seed", range(4))
def test_different_pictures_never_melt_into_one_another(seed: int) -> None:
    one, other = (cv2.cvtColor(a_picture(k, 640, 360), cv2.COLOR_RGB2BGRA) for k in (seed, seed + 10))

    assert flow_between(np.asarray(one, np.uint8), np.asarray(other, np.uint8)) is None


@pytest.mark.parametrize(
    ("growth", "degrees", "aside"), [(1.0, 0, 0), (1.0, 0, 60), (1.6, 0, 0), (1.1, 20, 15), (0.6, 0, 0)]
)
def test_two_pictures_of_one_thing_show_the_camera_going_from_one_to_the_other(
    tmp_path: Path, growth: float, degrees: float, aside: float
) -> None:
    def seen(share: float) -> Rgb:
        move = cv2.getRotationMatrix2D((800, 500), degrees * share, growth**share)
        move[:, 2] += np.array([aside * share - 480, -320])
        return np.asarray(cv2.warpAffine(world, move, (640, 360), flags=cv2.INTER_AREA), np.uint8)

    world = a_picture(5, 1600, 1000)
    inputs = (
        given("first", saved(seen(0), tmp_path / "a.png")),
        given("last", saved(seen(1), tmp_path / "b.png")),
    )
    order = FilmOrder(prompt="", seed=1, width=640, height=360, duration_s=1, fps=9, inputs=inputs)

    halfway = rgb(stage(order).frame(4))

    middle = slice(60, 300), slice(100, 540)
    assert difference(halfway[middle], seen(0.5)[middle]) < 6


# --- other pictures -----------------------------------------------------------------------------


def test_nine_references_are_all_seen(tmp_path: Path) -> None:
    tones = [(25 * k + 20, 240 - 25 * k, 128) for k in range(9)]
    inputs = [
        given("reference", saved(np.full((90, 160, 3), tone, np.uint8), tmp_path / f"{k}.png"))
        for k, tone in enumerate(tones)
    ]
    film = a_film(*inputs, prompt="", duration_s=9)

    shown = [rgb(film.frame(round((k + 0.5) * 8 - 0.5))).mean(axis=(0, 1)) for k in range(9)]

    assert all(earlier[0] < later[0] and earlier[1] > later[1] for earlier, later in pairwise(shown))


def test_references_follow_the_first_frame(tmp_path: Path) -> None:
    first, reference = a_picture(1), np.full((90, 160, 3), (10, 200, 30), np.uint8)
    film = a_film(
        given("reference", saved(reference, tmp_path / "r.png")),
        given("first", saved(first, tmp_path / "a.png")),
        prompt="",
    )

    assert np.array_equal(rgb(film.frame(0)), first)
    assert difference(rgb(film.frame(15)), reference) < 3


def test_a_frame_depends_on_nothing_but_its_number(tmp_path: Path) -> None:
    clip = a_clip(tmp_path / "c.mp4", seconds=0.8)
    inputs = (
        given("first", saved(a_picture(1), tmp_path / "a.png")),
        given("reference", saved(a_picture(2), tmp_path / "b.png")),
        given("source", clip, duration_s=0.8),
    )
    in_order, alone = (a_film(*inputs, prompt="rain at dusk", duration_s=6) for _ in range(2))
    frames = [in_order.frame(i).copy() for i in range(in_order.frame_count)]

    for i in (47, 20, 33, 5, 0, 46):
        assert np.array_equal(frames[i], alone.frame(i)), i


def test_weather_and_light_of_the_prompt_lie_over_the_picture(tmp_path: Path) -> None:
    picture = given("first", saved(np.full((90, 160, 3), 128, np.uint8), tmp_path / "a.png"))

    plain, snowy, dark = (a_film(picture, prompt=words).frame(15).copy() for words in ("", "snow", "night"))

    assert difference(plain, np.full_like(plain, 128)) < 50
    assert (rgb(snowy).max(axis=2) > 180).any()
    assert rgb(dark).mean() < rgb(plain).mean() - 10


def test_pictures_are_made_from_references_too(tmp_path: Path) -> None:
    inputs = (given("reference", saved(a_picture(3), tmp_path / "a.png")),)
    order = StillOrder(prompt="snow", seed=1, width=WIDTH, height=HEIGHT, n=2, inputs=inputs)

    first, second = still(order, 0), still(order, 1)

    assert first.shape == (HEIGHT, WIDTH, 4)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, still(order, 0))


# --- odd pictures -------------------------------------------------------------------------------


def in_a_frame(path: Path) -> Rgb:
    return rgb(fit(read_picture(path, WIDTH, HEIGHT), WIDTH, HEIGHT).frame)


@pytest.mark.parametrize(
    ("name", "mode", "tolerance"),
    [
        ("a.jpg", "CMYK", 12),
        ("a.jpg", "L", 60),
        ("a.png", "L", 60),
        ("a.png", "1", 128),
        ("a.png", "P", 20),
        ("a.gif", "P", 20),
        ("a.webp", "RGB", 12),
        ("a.bmp", "RGB", 0),
        ("a.tif", "F", 60),
        ("a.png", "LA", 60),
    ],
)
def test_any_kind_of_picture_is_read(tmp_path: Path, name: str, mode: str, tolerance: float) -> None:
    picture = a_picture()
    image = Image.fromarray(picture)
    stored = image.convert("L").convert("F").point(lambda tone: tone * (1 / 256)) if mode == "F" else image
    stored.convert(mode).save(tmp_path / name)

    assert difference(in_a_frame(tmp_path / name), picture) <= tolerance


@pytest.mark.parametrize("levels", [np.uint16, np.int32])
def test_sixteen_bits_are_brought_down_to_eight(tmp_path: Path, levels: type) -> None:
    grey = a_picture()[..., 0]
    name = "a.png" if levels is np.uint16 else "a.tif"
    Image.fromarray(grey.astype(levels) * 257).save(tmp_path / name)

    assert np.array_equal(in_a_frame(tmp_path / name)[..., 0], grey)


def test_an_animation_is_its_first_picture(tmp_path: Path) -> None:
    red, blue = Image.new("P", (160, 90)), Image.new("P", (160, 90))
    for image, tone in ((red, (255, 0, 0)), (blue, (0, 0, 255))):
        image.putpalette(tone * 256)
    red.save(tmp_path / "a.gif", save_all=True, append_images=[blue])

    assert (in_a_frame(tmp_path / "a.gif") == (255, 0, 0)).all()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_set_upright(tmp_path: Path, name: str, orientation: int) -> None:
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[:45, :80] = (220, 30, 30)
    picture[:45, 80:] = (30, 220, 30)
    undone = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = Image.fromarray(picture)
    if orientation in undone:
        stored = stored.transpose(undone[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / name, exif=exif)

    assert difference(in_a_frame(tmp_path / name), picture) < 8


def test_what_is_clear_gets_a_ground_that_it_stands_out_from(tmp_path: Path) -> None:
    for name, tone in (("dark.png", 20), ("light.png", 240)):
        picture = np.zeros((90, 90, 4), np.uint8)
        picture[20:70, 20:70] = (tone, tone, tone, 255)
        Image.fromarray(picture).save(tmp_path / name)

        frame = in_a_frame(tmp_path / name).astype(int)

        assert abs(int(frame[45, 80, 0]) - tone) < 4, "the middle is the picture"
        assert abs(int(frame[45, 5, 0]) - tone) > 120, "beside it is the ground"


def test_a_tall_picture_in_a_wide_frame_is_shown_whole_on_a_blur_of_itself(tmp_path: Path) -> None:
    picture = np.zeros((900, 400, 3), np.uint8)
    picture[:20], picture[-20:] = (255, 0, 0), (0, 0, 255)
    picture[20:-20] = (40, 160, 60)

    frame = in_a_frame(saved(picture, tmp_path / "a.png"))

    assert frame[0, 80, 0] > 180
    assert frame[-1, 80, 2] > 180
    beside = frame[45, 4].astype(int)
    assert beside[1] > beside[0], "a dim blur of the picture"
    assert beside[1] < 150


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (5000, 2), (3, 3), (161, 91)])
def test_odd_sizes_make_a_film(tmp_path: Path, size: tuple[int, int]) -> None:
    inputs = [
        given("first", saved(np.full((size[1], size[0], 3), 90, np.uint8), tmp_path / "a.png")),
        given("last", saved(a_picture(), tmp_path / "b.png")),
    ]
    film = a_film(*inputs, prompt="pan right")

    assert all(film.frame(i).shape == (HEIGHT, WIDTH, 4) for i in range(film.frame_count))


def test_the_smallest_film_of_everything(tmp_path: Path) -> None:
    clip = a_clip(tmp_path / "c.mp4")
    inputs = (
        given("first", saved(a_picture(), tmp_path / "a.png")),
        *(given("reference", saved(a_picture(k), tmp_path / f"{k}.png")) for k in range(9)),
        given("source", clip, duration_s=1),
        given("last", saved(a_picture(8), tmp_path / "z.png")),
    )
    order = FilmOrder(
        prompt="fog, rain, lightning",
        seed=1,
        width=16,
        height=16,
        duration_s=1,
        fps=3,
        inputs=inputs,
        watermark=True,
    )

    film = stage(order)

    assert [film.frame(i).shape for i in range(3)] == [(16, 16, 4)] * 3


def test_colours_follow_the_profile_of_a_picture(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = a_picture()
    Image.fromarray(picture).save(tmp_path / "same.png", icc_profile=lab)
    Image.fromarray(picture).save(tmp_path / "broken.png", icc_profile=b"no profile at all")

    assert np.array_equal(in_a_frame(tmp_path / "same.png"), picture)
    assert np.array_equal(in_a_frame(tmp_path / "broken.png"), picture)


def a_png(width: int, height: int) -> bytes:
    """Return the head of a PNG that claims a size."""
    whole = io.BytesIO()
    Image.new("L", (1, 1)).save(whole, "PNG")
    head = whole.getvalue()[:16] + struct.pack(">II", width, height) + whole.getvalue()[24:29]
    checksum = zlib.crc32(head[12:29])
    return head + struct.pack(">I", checksum) + whole.getvalue()[33:]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "damaged"),
        (a_png(30_000, 30_000), "100 million pixels"),
        (a_png(5000, 5000), "damaged"),
    ],
    ids=["empty", "svg", "junk", "bomb", "truncated"],
)
def test_what_is_no_picture_is_refused_in_a_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    good, bad = saved(a_picture(), tmp_path / "a.png"), tmp_path / "b.png"
    bad.write_bytes(content)

    with pytest.raises(Unusable, match=rf"^Input 2 \(image\) .*{words}.*\.$"):
        a_film(given("first", good), given("reference", bad))


# --- clips --------------------------------------------------------------------------------------


def test_a_clip_plays_from_its_start_to_its_end(tmp_path: Path) -> None:
    film = a_film(given("source", a_clip(tmp_path / "c.mp4", seconds=2), duration_s=2), prompt="")

    tones = [float(film.frame(i)[..., :3].mean()) for i in range(film.frame_count)]

    assert tones == sorted(tones)
    assert tones[0] < 12
    assert tones[-1] > 235


@pytest.mark.parametrize(
    ("clip_s", "wanted_s", "speed", "passes"),
    [(5, 5, 1, 1), (6, 5, 1.2, 1), (60, 5, 1.25, 1), (4, 5, 0.8, 1), (2, 10, 2 / 3, 5), (0.4, 1, 2 / 3, 2)],
)
def test_a_clip_is_retimed_a_little_then_cut_or_begun_again(
    clip_s: float, wanted_s: float, speed: float, passes: int
) -> None:
    plan = retimed(clip_s, wanted_s)

    assert plan is not None
    assert plan.speed == pytest.approx(speed)
    assert plan.passes == passes
    shown_s = (plan.pass_s + (plan.join_s if passes > 2 else plan.join_s / 2)) * plan.speed
    assert shown_s <= clip_s + 1e-6 or passes == 1


def test_a_clip_that_is_too_short_to_move_is_a_picture(tmp_path: Path) -> None:
    clip = a_clip(tmp_path / "c.mp4", seconds=0.1, fps=10)

    film = a_film(given("source", clip, duration_s=0.1), prompt="")

    assert retimed(0.1, 5) is None
    assert film.frame(0)[..., :3].mean() < 12


def test_a_short_clip_begins_again(tmp_path: Path) -> None:
    film = a_film(given("source", a_clip(tmp_path / "c.mp4"), duration_s=1), prompt="", duration_s=4)

    tones = [float(film.frame(i)[..., :3].mean()) for i in range(film.frame_count)]

    falls = sum(later < earlier - 20 for earlier, later in pairwise(tones))
    assert falls >= 2
    assert max(tones[16:]) > 200


def test_a_clip_whose_length_nobody_knows_stands_still_at_its_end(tmp_path: Path) -> None:
    film = a_film(given("source", a_clip(tmp_path / "c.mp4")), prompt="", duration_s=3)

    assert film.frame(23)[..., :3].mean() > 235


def test_a_clip_is_set_upright(tmp_path: Path) -> None:
    clip = tmp_path / "c.mp4"
    a_clip(clip, size=(36, 64))

    upright = Footage(turned(clip), (64, 36), start_s=0, speed=1)

    assert upright.view(0).shape == (36, 64, 4)
    assert abs(float(upright.view(0)[..., :3].mean()) - float(upright.view(0)[2, 2, :3].mean())) < 2, (
        "no blurred bed"
    )


def test_a_clip_that_breaks_off_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    clip = a_clip(tmp_path / "c.mp4", seconds=4, fps=24)
    whole = clip.read_bytes()
    at = whole.index(b"mdat") + 400
    clip.write_bytes(whole[:at] + bytes(len(whole) - at) if whole.index(b"moov") < at else whole)

    film = a_film(given("source", clip, duration_s=4), prompt="", duration_s=4)

    assert film.frame(31).shape == (HEIGHT, WIDTH, 4)


@pytest.mark.parametrize(
    "content",
    [b"", b"junk" * 99, b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n"],
    ids=["empty", "junk", "playlist", "concat"],
)
@pytest.mark.parametrize("name", ["b.mp4", "b.wav"])
def test_what_is_no_clip_or_sound_is_refused_in_a_sentence(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(Unusable, match=r"^Input 1 \((video|audio)\) .*damaged.*\.$"):
        a_film(given("source", tmp_path / name, duration_s=1)).soundtrack()


def test_a_sound_for_a_clip_is_refused(tmp_path: Path) -> None:
    sound = replace(
        given("source", a_sound(tmp_path / "a.wav"), duration_s=1), kind=given("source", Path("a.mp4")).kind
    )

    with pytest.raises(Unusable, match="has no picture"):
        a_film(sound)


# --- sounds -------------------------------------------------------------------------------------


def loudest_hz(sound: NDArray[np.float32]) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(sound[:, 0])))) * SAMPLE_RATE / len(sound)


def test_a_sound_that_came_in_is_the_soundtrack_from_start_to_end(tmp_path: Path) -> None:
    film = a_film(given("reference", a_sound(tmp_path / "a.wav", hz=660)), prompt="", duration_s=4)

    sound = film.soundtrack()

    assert sound.shape == (4 * SAMPLE_RATE, 2)
    assert loudest_hz(sound) == pytest.approx(660, abs=3)
    assert all(np.abs(second).max() > 0.05 for second in np.split(sound, 4))
    assert np.abs(sound[-20:]).max() < 0.01, "it fades out"
    assert loudness_of(sound) == pytest.approx(-16, abs=1)


def test_a_clip_brings_its_own_sound_at_its_own_pitch(tmp_path: Path) -> None:
    clip = given("source", a_clip(tmp_path / "c.mp4", seconds=2.4, tone_hz=500), duration_s=2.4)

    assert loudest_hz(a_film(clip, prompt="").soundtrack()) == pytest.approx(500, abs=4)


def test_a_sound_goes_before_the_sound_of_a_clip(tmp_path: Path) -> None:
    clip = given("source", a_clip(tmp_path / "c.mp4", seconds=2, tone_hz=500), duration_s=2)
    sound = given("reference", a_sound(tmp_path / "a.wav", hz=900))

    assert loudest_hz(a_film(clip, sound, prompt="").soundtrack()) == pytest.approx(900, abs=3)


def test_a_silent_clip_gets_the_ambience(tmp_path: Path) -> None:
    silent = a_film(given("source", a_clip(tmp_path / "c.mp4", seconds=2), duration_s=2), prompt="rain")

    assert np.array_equal(silent.soundtrack(), a_film(prompt="rain").soundtrack())


def test_a_quiet_sound_is_raised_and_silence_is_not(tmp_path: Path) -> None:
    quiet = read_sound(a_sound(tmp_path / "a.wav", loudness=0.03), 1)
    silence = np.zeros((SAMPLE_RATE, 2), np.float32)

    assert quiet is not None
    assert loudness_of(levelled(quiet)) == pytest.approx(loudness_of(quiet) + 18.06, abs=0.1)  # type: ignore[operator]
    assert np.array_equal(levelled(silence), silence)


def test_loudness_is_what_the_recommendation_says() -> None:
    at = np.arange(5 * SAMPLE_RATE) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * 997 * at).astype(np.float32)

    assert loudness_of(np.stack([tone, tone], axis=1)) == pytest.approx(0.0, abs=0.02)
    assert loudness_of(np.stack([tone, 0 * tone], axis=1)) == pytest.approx(-3.01, abs=0.02)


@pytest.mark.parametrize("samples", [1, 2, 3, 100, SAMPLE_RATE, 9 * SAMPLE_RATE])
def test_sounds_of_any_length_fill_the_film(samples: int) -> None:
    laid = laid_out([np.full((samples, 2), 0.5, np.float32)], 2)

    assert laid.shape == (2 * SAMPLE_RATE, 2)
    assert np.isfinite(laid).all()
    assert np.abs(laid).max() <= 1
