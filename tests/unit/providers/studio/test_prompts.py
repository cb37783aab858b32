"""The acceptance list: prompts in every language of the lexicon, each with what must be seen."""

import runpy
from pathlib import Path
from typing import Final

import pytest

from filmgate.providers.studio.screenplay import Mood, Relation, Thing, read_prompt

_ROOT: Final = Path(__file__).parents[4]
_SEEN: list[tuple[str, str, Mood, list[str], set[Thing]]] = [
    ("en", "a stylish woman walks down a Tokyo street at night, neon", "neon", ["elegant-woman"], {"street"}),
    ("en", "a cup of hot coffee on a wooden table, morning light", "dawn", ["hot-beverage"], {"table"}),
    ("en", "golden retriever puppy running through a field of flowers", "day", ["guide-dog"], {"flowers"}),
    ("zh", "一只熊猫在竹林里", "day", ["panda"], {"forest"}),
    ("zh", "夕阳下海边的帆船", "sunset", ["sailboat"], {"water", "beach"}),
    ("zh", "夜晚的上海街道 霓虹灯 下雨", "neon", [], {"street", "rain"}),
    ("zh", "桌子上的一杯咖啡", "day", ["hot-beverage"], {"table"}),
    ("zh-hant", "一隻貓在沙發上睡覺", "day", ["cat", "sofa"], {"room"}),
    ("zh-hant", "雪山上空的熱氣球 日出", "dawn", ["hot-air-balloon"], {"mountains", "snow"}),
    ("ja", "夕焼けの海辺を歩く女性", "sunset", ["woman"], {"beach"}),
    ("ja", "雨の東京の街を走る車", "overcast", ["automobile"], {"city", "rain"}),
    ("ja", "桜の木の下の猫", "day", ["cat", "cherry-tree"], {"petals"}),
    ("ko", "비 오는 거리를 걷는 남자", "overcast", ["man"], {"street", "rain"}),
    ("ko", "바다 위의 돛단배, 일몰", "sunset", ["sailboat"], {"water"}),
    ("ko", "숲속의 호랑이", "day", ["tiger"], {"forest"}),
    ("es", "un perro corriendo por la playa al atardecer", "sunset", ["dog"], {"beach"}),
    ("es", "un lobo en un bosque nevado de noche", "night", ["wolf"], {"forest", "snow"}),
    ("fr", "un ours dans une forêt enneigée", "day", ["bear"], {"forest", "snow"}),
    ("fr", "une tasse de café sur une table près de la fenêtre", "day", ["hot-beverage"], {"table", "room"}),
    ("de", "ein Wolf im verschneiten Wald bei Nacht", "night", ["wolf"], {"forest", "snow"}),
    ("de", "ein Heißluftballon über den Alpen bei Sonnenaufgang", "dawn", ["hot-air-balloon"], {"mountains"}),
    ("it", "un cavallo che corre su una spiaggia al tramonto", "sunset", ["horse"], {"beach"}),
    ("it", "una barca sul lago nella nebbia", "overcast", ["sailboat"], {"water", "fog"}),
    ("pt", "um pássaro voando sobre o oceano", "day", ["bird"], {"water"}),
    ("pt", "uma casa na floresta no outono", "day", ["house"], {"forest", "autumn"}),
    ("ru", "лиса в зимнем лесу", "day", ["fox"], {"forest", "snow"}),
    ("ru", "кошка на окне, идёт дождь", "overcast", ["cat"], {"room", "rain"}),
    ("uk", "людина та собака йдуть полем на заході сонця", "sunset", ["person", "dog"], {"meadow"}),
    ("pl", "kot śpi na kanapie", "day", ["cat", "sofa"], {"room"}),
    ("pl", "zamek w górach we mgle", "overcast", ["castle"], {"mountains", "fog"}),
    ("nl", "een molen in een tulpenveld", "day", ["windmill"], {"flowers"}),
    ("sv", "en hund på stranden vid solnedgången", "sunset", ["dog"], {"beach"}),
    ("da", "en ræv i en snedækt skov", "day", ["fox"], {"forest", "snow"}),
    ("nb", "en ulv i skogen om natten under nordlys", "night", ["wolf"], {"forest", "aurora"}),
    ("fi", "susi juoksee lumisessa metsässä", "day", ["wolf"], {"forest", "snow"}),
    ("hu", "egy hajó a tengeren viharban", "storm", ["sailboat"], {"water"}),
    ("vi", "một con thuyền trên biển lúc hoàng hôn", "sunset", ["sailboat"], {"water"}),
    ("th", "แมวบนโซฟา", "day", ["cat", "sofa"], {"room"}),
    ("th", "ช้างในป่าตอนเช้า", "dawn", ["elephant"], {"forest"}),
    ("hi", "जंगल में एक बाघ, रात", "night", ["tiger"], {"forest"}),
]


@pytest.mark.parametrize(("language", "prompt", "mood", "names", "things"), _SEEN)
def test_the_subject_and_the_place_are_seen_in_every_language(
    language: str, prompt: str, mood: Mood, names: list[str], things: set[Thing]
) -> None:
    screenplay = read_prompt(prompt)

    assert [subject.name for subject in screenplay.subjects] == names, language
    assert screenplay.mood == mood
    assert things <= screenplay.things


def test_the_list_has_every_language_the_lexicon_has() -> None:
    assert {language for language, *_ in _SEEN} >= set(
        "en zh zh-hant ja ko es fr de it pt ru uk pl nl sv da nb fi hu vi th hi".split()
    )


@pytest.mark.parametrize(
    ("prompt", "relation", "names"),
    [
        ("an astronaut riding a horse on mars", "riding", ["astronaut", "horse"]),
        ("un hombre a caballo en la playa", "riding", ["man", "horse"]),
        ("骑着马的宇航员", "riding", ["astronaut", "horse"]),
        ("馬に乗る宇宙飛行士", "riding", ["astronaut", "horse"]),
        ("말을 탄 우주비행사", "riding", ["astronaut", "horse"]),
        ("a cat sleeping on a sofa", "on", ["cat", "sofa"]),
        ("猫在沙发上", "on", ["cat", "sofa"]),
        ("a whale jumping over a small boat", "over", ["whale", "canoe"]),
        ("a girl under a cherry tree", "under", ["girl", "cherry-tree"]),
        ("桜の木の下の女の子", "under", ["girl", "cherry-tree"]),
        ("a fisherman in a small boat", "in", ["fisherman", "canoe"]),
        ("a boy and his dog in a park", "beside", ["boy", "dog"]),
        ("ein Ritter neben einem Pferd", "beside", ["knight", "horse"]),
        ("an astronaut, a horse", None, ["astronaut", "horse"]),
    ],
)
def test_one_subject_stands_to_another_as_the_prompt_says(
    prompt: str, relation: Relation | None, names: list[str]
) -> None:
    screenplay = read_prompt(prompt)

    assert [subject.name for subject in screenplay.subjects] == names
    assert screenplay.relation == relation


@pytest.mark.parametrize(
    ("prompt", "absent"),
    [
        ("a train in the mountains, no people", "person"),
        ("a beach without people", "person"),
        ("a street without cars", "automobile"),
        ("ein Strand ohne Menschen", "person"),
        ("une plage sans personne", "person"),
        ("una playa sin perros", "dog"),
        ("пляж без людей", "person"),
        ("没有人的海滩", "person"),
        ("사람 없는 해변", "person"),
    ],
)
def test_what_a_prompt_wants_absent_is_not_shown(prompt: str, absent: str) -> None:
    assert absent not in {subject.name for subject in read_prompt(prompt).subjects}


def test_no_is_in_the_in_portuguese() -> None:
    assert "forest" in read_prompt("um lobo no bosque").things


@pytest.mark.parametrize("prompt", ["quarterly synergy", "अमूर्त विचार", "?!", "", "lorem ipsum dolor"])
def test_of_what_names_nothing_known_nothing_is_understood(prompt: str) -> None:
    assert not read_prompt(prompt).understood


@pytest.mark.parametrize("prompt", ["a quiet evening", "rain", "mountains", "a cat", "海"])
def test_an_hour_a_place_or_a_subject_is_enough_to_show_something(prompt: str) -> None:
    assert read_prompt(prompt).understood


def test_who_sits_gets_a_seat() -> None:
    assert [one.name for one in read_prompt("an old man sitting in a park").subjects] == ["old-man", "bench"]
    assert [one.name for one in read_prompt("a cat sleeping in a living room").subjects] == ["cat", "sofa"]
    assert read_prompt("an old man sitting in a park").relation == "on"


def test_deeds_are_read() -> None:
    assert read_prompt("a dog running").subjects[0].act == "run"
    assert read_prompt("un chien qui dort").subjects[0].act == "sit"
    assert read_prompt("跳舞的女孩").subjects[0].act == "dance"
    assert read_prompt("ein Mann steht am See").subjects[0].act == "stand"
    assert read_prompt("a dog in a park").subjects[0].act == "walk"


def test_the_guide_tells_every_film_of_the_contact_sheets_in_order() -> None:
    path = _ROOT / "tools" / "make_contact_sheet.py"
    sheets = runpy.run_path(str(path))["SHEETS"]
    guide = (_ROOT / "docs" / "guides" / "studio.md").read_text(encoding="utf-8")

    for name, rows in sheets.items():
        if name == "studio":  # the front page's
            continue
        table = "\n".join(f"| {row} | {prompt} | {seed} |" for row, (prompt, seed) in enumerate(rows, 1))
        assert f"({name}.jpg)" in guide.replace("../images/", "")
        assert table in guide
