"""Which subjects the studio finds in a prompt."""

import numpy as np
import pytest

from filmgate.providers.studio.languages import spoken
from filmgate.providers.studio.lexicon import find_mentions
from filmgate.providers.studio.subjects import Subject, cast, drawings, own_words, packed


def _subjects(prompt: str) -> list[Subject]:
    text = prompt.lower()
    return [mention.subject for mention in find_mentions(text, spoken(text))]


def _names(prompt: str) -> list[str]:
    return [subject.name for subject in _subjects(prompt)]


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("a cat in the grass", ["cat"]),
        ("two dogs and a horse", ["dog", "horse"]),
        ("hot air balloons over the hills", ["hot-air-balloon"]),
        ("a red fox in the snow", ["fox"]),
        ("ein Hund und eine Katze in einem Park", ["dog", "cat"]),
        ("un chat noir sous la pluie", ["black-cat"]),
        ("un barco en el mar", ["sailboat"]),
        ("кошка на крыше", ["cat"]),
        ("夕阳下的帆船", ["sailboat"]),
        ("一只猫在雪地里", ["cat"]),
        ("海の上のヨット", ["sailboat"]),
        ("고양이", ["cat"]),
    ],
)
def test_subjects_are_found_in_many_languages(prompt: str, names: list[str]) -> None:
    assert _names(prompt) == names


@pytest.mark.parametrize(
    "prompt",
    [
        "pan left, then tilt up",
        "a chat in the park",
        "you and me and the sea",
        "bird's eye view of a forest",
        "crane shot over the valley",
        "a rose gold sky",
        "马路上的行车",
        "霓虹雨夜的城市",
        "a feeling of calm",
        "a smiling face",
    ],
)
def test_no_subject_is_better_than_a_wrong_one(prompt: str) -> None:
    assert _names(prompt) == []


def test_many_are_told_from_one() -> None:
    assert _subjects("birds over a lake")[0].many
    assert _subjects("two cats")[0].count == 2
    assert _subjects("三只猫")[0].count == 3
    assert _subjects("一群鸟")[0].many
    assert _subjects("a school of fish")[0].many
    assert not _subjects("a bird over a lake")[0].many
    assert not _subjects("the bird's nest")[0].many


def test_at_most_three_subjects_share_a_shot() -> None:
    assert len(_names("a cat, a dog, a horse, a cow and a pig")) == 3


def test_every_word_of_ours_names_a_member_of_the_cast() -> None:
    assert set(own_words().values()) <= cast().keys()


def test_every_member_of_the_cast_has_a_drawing_of_the_height_asked_for() -> None:
    for subject in cast().values():
        pictures = drawings(subject, 24)

        assert len({picture.shape for picture in pictures}) == 1, subject.name
        assert abs(pictures[0].shape[0] - 24) <= 2, subject.name
        assert pictures[0].shape[2] == 4


def test_who_walks_flies_or_swims_moves_in_twelve_steps_and_ends_where_it_began() -> None:
    for name in ("wolf", "woman", "seagull", "elephant", "fish"):
        steps = drawings(cast()[name], 96)
        changes = [
            float(np.abs(one.astype(np.int16) - other).mean())
            for one, other in zip(steps, (*steps[1:], steps[0]), strict=True)
        ]

        assert len(steps) == 12
        assert min(changes) > 0, name
        assert changes[-1] < 2 * max(changes[:-1]), f"{name} does not jump at the end of a stride"


def test_people_of_a_crowd_do_not_all_look_the_same() -> None:
    one, other = (drawings(cast()["person"], 96, look=look)[0] for look in (0, 1))

    assert one.shape != other.shape or np.abs(one.astype(np.int16) - other).max() > 50


def test_the_vendored_data_says_where_it_comes_from() -> None:
    assert [(source["package"], source["licence"]) for source in packed()["sources"]] == [
        ("@iconify-json/noto@1.2.9", "Apache-2.0"),
        ("emojibase-data@17.0.0", "MIT"),
    ]
