"""What the studio understands of a prompt."""

import pytest

from filmgate.providers.studio.screenplay import Mood, Move, Thing, read_prompt


@pytest.mark.parametrize(
    ("prompt", "mood", "things"),
    [
        ("a sailboat on the sea at sunset", "sunset", {"water"}),
        ("neon city in the rain, reflections", "neon", {"city", "rain"}),
        ("northern lights over a mountain lake", "night", {"aurora", "mountains", "water"}),
        ("a snowy mountain", "day", {"snow", "mountains"}),
        ("underwater coral reef with fish", "underwater", set()),
        ("desert dunes at noon", "day", {"desert"}),
        ("a spiral galaxy in outer space", "space", set()),
        ("an astronaut on the moon", "space", {"regolith"}),
        ("a flower meadow on a sunny day", "day", {"meadow", "flowers"}),
        ("a thunderstorm over the ocean", "storm", {"water", "rain", "lightning", "clouds"}),
        ("an erupting volcano", "volcano", {"volcano", "embers"}),
        ("misty forest at dawn", "dawn", {"forest", "fog"}),
        ("日落时分的海边", "sunset", {"water"}),
        ("霓虹雨夜的城市", "neon", {"city", "rain"}),
        ("雪山上的极光", "night", {"snow", "mountains", "aurora"}),
        ("清晨的森林", "dawn", {"forest"}),
        ("沙漠", "day", {"desert"}),
        ("a castle at dusk, fireflies", "dusk", {"fireflies"}),
        ("fireflies in the grass", "night", {"fireflies", "meadow"}),
        ("fireworks over the harbour", "night", {"fireworks", "water"}),
        ("Sonnenuntergang am Meer", "sunset", {"water"}),
        ("une forêt sous la neige", "day", {"forest", "snow"}),
    ],
)
def test_hour_and_place_are_read(prompt: str, mood: Mood, things: set[Thing]) -> None:
    screenplay = read_prompt(prompt)

    assert screenplay.mood == mood
    assert things <= screenplay.things


@pytest.mark.parametrize(
    ("prompt", "absent"),
    [
        ("nice police officers", "snow"),
        ("a season ticket", "water"),
        ("a training session", "rain"),
        ("the mayor speaks", "mountains"),
        ("underwater coral reef", "water"),
        ("a palm tree on a beach", "forest"),
        ("夜空の花火", "flowers"),
        ("an ice cream van", "snow"),
    ],
)
def test_a_word_inside_another_means_nothing(prompt: str, absent: Thing) -> None:
    assert absent not in read_prompt(prompt).things


@pytest.mark.parametrize(
    ("prompt", "moves"),
    [
        ("pan left across the hills", ("left",)),
        ("slow zoom in on a castle, handheld", ("in", "handheld")),
        ("the camera pulls back to reveal the sea", ("out",)),
        ("static shot of a lake", ("still",)),
        ("镜头推进一座城堡", ("in",)),
        ("the left bank of a river", ()),
        ("a bright morning", ()),
    ],
)
def test_camera_moves_are_read(prompt: str, moves: tuple[Move, ...]) -> None:
    assert read_prompt(prompt).moves == moves


def test_a_prompt_without_a_place_is_set_where_its_subject_lives() -> None:
    assert "water" in read_prompt("a lighthouse").things
    assert "water" in read_prompt("a sailboat").things
    assert "meadow" in read_prompt("a rabbit").things


def test_spaces_and_capitals_do_not_matter() -> None:
    assert read_prompt("  A Snowy\n MOUNTAIN ") == read_prompt("a snowy mountain")


def test_one_subject_rides_another_when_the_prompt_says_so() -> None:
    assert read_prompt("an astronaut riding a horse").relation == "riding"
    assert read_prompt("an astronaut and a horse").relation == "beside"
    assert read_prompt("a cat riding a castle").relation is None
    assert read_prompt("riding through the hills").relation is None


def test_only_open_space_and_the_deep_have_no_horizon() -> None:
    assert not read_prompt("a distant galaxy").grounded
    assert not read_prompt("deep sea").grounded
    assert read_prompt("an astronaut on the moon").grounded
    assert read_prompt("the sea").grounded
