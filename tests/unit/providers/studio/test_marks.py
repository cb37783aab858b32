"""What is written into and onto the studio's work, under each profile of labels."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from filmgate.core.generation import MediaKind, MediaRole
from filmgate.providers.studio import encode
from filmgate.providers.studio.encode import write_film, write_picture
from filmgate.providers.studio.marks import film_metadata, xmp
from filmgate.providers.studio.order import FilmOrder, Input, Labels, Marks, StillOrder
from filmgate.providers.studio.stage import stage, still

PICTURE = Input(kind=MediaKind.IMAGE, role=MediaRole.FIRST_FRAME, path=Path("a.png"))
CN = Marks(labels="cn", producer='天津"影" & <Sons>', work_id="task_1-1")
A_FILM = FilmOrder(prompt="the sea", seed=1, width=320, height=180, duration_s=5, fps=2, audio=False)
A_STILL = StillOrder(prompt="the sea", seed=1, width=320, height=180)
TC260 = "{http://www.tc260.org.cn/ns/AIGC/1.0/}AIGC"
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"


def marked(index: int, *, film: FilmOrder = A_FILM, labels: Labels) -> NDArray[np.bool_]:
    """Return where a frame with labels differs from the one without."""
    plain, labelled = (
        stage(replace(film, marks=Marks(labels=profile))).frame(index) for profile in ("none", labels)
    )
    return np.asarray(np.abs(plain.astype(int) - labelled.astype(int)).max(axis=2) > 24)


@pytest.mark.parametrize("labels", ["none", "eu", "cn"])
def test_every_film_says_that_it_was_generated(labels: Labels) -> None:
    order = replace(A_FILM, marks=Marks(labels=labels))

    assert film_metadata(order)["DigitalSourceType"].endswith("/algorithmicMedia")
    assert "algorithmicMedia" in xmp(order)


def test_what_is_made_from_given_media_says_so() -> None:
    order = replace(A_FILM, inputs=(PICTURE,))

    assert film_metadata(order)["DigitalSourceType"].endswith("/compositeSynthetic")
    assert "from media" in film_metadata(order)["comment"]


def test_the_chinese_record_is_in_the_film_once(tmp_path: Path) -> None:
    order = replace(A_FILM, width=64, height=36, duration_s=1, marks=CN)

    write_film(stage(order), order, tmp_path, on_progress=lambda _: None)

    film = tmp_path / encode.FILM
    with av.open(str(film)) as file:
        record = json.loads(file.metadata["AIGC"])
    assert record == {
        "Label": "1",
        "ContentProducer": CN.producer,
        "ProduceID": "task_1-1",
        "ReservedCode1": "",
        "ContentPropagator": CN.producer,
        "PropagateID": "task_1-1",
        "ReservedCode2": "",
    }
    assert film.read_bytes().count(b'"ContentProducer"') == 1


def test_the_chinese_record_is_in_a_picture_once_whatever_the_producer_is_called(tmp_path: Path) -> None:
    order = replace(A_STILL, marks=CN)

    write_picture(still(order, 0), tmp_path / "a.png", order)

    content = (tmp_path / "a.png").read_bytes()
    packet = content[content.index(b"<x:xmpmeta") : content.index(b"</x:xmpmeta>") + len(b"</x:xmpmeta>")]
    tree = ET.fromstring(packet)  # noqa: S314  (our own)
    (record,) = tree.iter(TC260)
    assert json.loads(record.text or "")["ContentProducer"] == CN.producer
    assert [node.get(IPTC) for node in tree.iter() if node.get(IPTC)] != []


def test_no_labels_leave_the_picture_alone() -> None:
    assert not marked(0, labels="none").any()


def test_the_label_of_the_eu_is_small_and_always_there() -> None:
    for index in (0, 9):
        rows, columns = np.nonzero(marked(index, labels="eu"))

        assert rows.min() > 150
        assert columns.max() < 100


def test_the_label_of_china_is_large_and_on_the_opening() -> None:
    rows, columns = np.nonzero(marked(0, labels="cn"))

    assert rows.max() - rows.min() >= 0.05 * 180
    assert columns.max() < 100
    assert marked(4, labels="cn").any(), "for two seconds at least"
    assert not marked(9, labels="cn").any()


@pytest.mark.parametrize("size", [(64, 36), (36, 64), (1080, 1920)])
def test_the_label_of_china_is_a_twentieth_of_the_short_side_in_any_frame(size: tuple[int, int]) -> None:
    film = replace(A_FILM, width=size[0], height=size[1], duration_s=1, fps=1)

    rows, _ = np.nonzero(marked(0, film=film, labels="cn"))

    assert rows.max() - rows.min() + 1 >= 0.05 * min(size)


@pytest.mark.parametrize("labels", ["eu", "cn"])
def test_every_picture_of_a_still_order_is_labelled(labels: Labels) -> None:
    for k in (0, 1):
        plain, labelled = (
            still(replace(A_STILL, n=2, marks=Marks(labels=profile)), k) for profile in ("none", labels)
        )

        assert not np.array_equal(plain, labelled)


@pytest.mark.parametrize("labels", ["eu", "cn"])
def test_badge_and_label_do_not_lie_on_one_another(labels: Labels) -> None:
    film = replace(A_FILM, width=180, height=320)

    badge = (stage(film).frame(0) != stage(replace(film, watermark=True)).frame(0)).any(axis=2)

    assert badge.any()
    assert not (badge & marked(0, film=film, labels=labels)).any()
