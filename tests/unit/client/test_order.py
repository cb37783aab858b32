"""What a call of `submit` sends."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from filmgate.client import Wish
from filmgate.client.order import submission
from filmgate.client.steps import Part, Request

PNG = b"\x89PNG\r\n\x1a\n"


def sent(prompt: str = "a cat", wish: Wish | None = None) -> Request:
    with ExitStack() as files:
        return submission("/v1/videos", prompt, wish or {}, files)


def texts(parts: Any) -> list[tuple[str, str]]:  # noqa: ANN401  (what a request has)
    return [(name, text) for name, (filename, text, _) in parts if filename is None]


def test_words_alone_go_as_json_in_the_wires_own_words() -> None:
    request = sent(
        "a cat",
        {
            "model": "sora-2",
            "duration_s": 4,
            "size": "1280x720",
            "seed": 7,
            "sound": False,
            "watermark": True,
            "return_last_frame": True,
            "callback_url": "https://me.example/hook",
            "metadata": {"order": "7"},
        },
    )

    assert (request.method, request.path, request.parts) == ("POST", "/v1/videos", ())
    assert request.json == {
        "model": "sora-2",
        "prompt": "a cat",
        "duration": 4,
        "size": "1280x720",
        "seed": 7,
        "generate_audio": False,
        "watermark": True,
        "return_last_frame": True,
        "callback_url": "https://me.example/hook",
        "metadata": {"order": "7"},
    }


def test_what_is_left_out_is_not_sent() -> None:
    assert sent().json == {"model": "studio", "prompt": "a cat"}


def test_every_submission_has_an_idempotency_key_of_its_own_unless_one_is_given() -> None:
    first, second = sent().headers["idempotency-key"], sent().headers["idempotency-key"]

    assert first != second
    assert len(first) > 20
    assert sent(wish={"idempotency_key": "order-7"}).headers["idempotency-key"] == "order-7"


def test_media_that_have_addresses_go_as_json_too() -> None:
    request = sent(
        wish={
            "image": "https://x.example/a.png",
            "last_frame": "data:image/png;base64,AA==",
            "video": "http://x.example/v.mp4",
            "references": [
                "https://x.example/b",
                "https://x.example/c.mp4?sig=1",
                "data:audio/wav;base64,AA==",
            ],
            "audio": "https://x.example/d.mp3#t=1",
        }
    )

    assert isinstance(request.json, dict)
    assert request.json["input_reference"] == "https://x.example/a.png"
    assert request.json["last_frame"] == "data:image/png;base64,AA=="
    assert request.json["source_video"] == "http://x.example/v.mp4"
    assert request.json["input_references"] == [
        {"type": "image_url", "image_url": {"url": "https://x.example/b"}},
        {"type": "video_url", "video_url": {"url": "https://x.example/c.mp4?sig=1"}},
        {"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64,AA=="}},
        {"type": "audio_url", "audio_url": {"url": "https://x.example/d.mp3#t=1"}},
    ]


def test_a_file_makes_it_a_form_and_words_become_texts(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(PNG)

    with ExitStack() as files:
        request = submission(
            "/v1/videos",
            "a cat",
            {
                "image": picture,
                "last_frame": PNG,
                "sound": False,
                "duration_s": 4,
                "metadata": {"order": "7"},
            },
            files,
        )
        first, last = [part for part in request.parts if part[1][0] is not None]
        content = first[1][1]
        assert not isinstance(content, (str, bytes))
        assert content.read() == PNG

    assert request.json is None
    assert texts(request.parts) == [
        ("model", "studio"),
        ("prompt", "a cat"),
        ("duration", "4"),
        ("generate_audio", "false"),
        ("metadata[order]", "7"),
    ]
    assert (first[0], first[1][0], first[1][2]) == ("input_reference", "a.png", "image/png")
    assert last == ("last_frame", ("upload", PNG, "image/png"))
    assert content.closed


def test_files_and_addresses_can_be_mixed(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"\0\0\0\x18ftypisom")

    request = sent(
        wish={"image": "https://x.example/a.png", "references": [str(clip), "https://x.example/b.mp4", PNG]}
    )

    def shape(part: Part) -> tuple[str, object]:
        name, (filename, content, mime) = part
        return name, content if filename is None else mime

    assert [shape(part) for part in request.parts[2:]] == [
        ("input_reference", "https://x.example/a.png"),
        ("input_references[0]", "video/mp4"),
        ("input_references[1][type]", "video_url"),
        ("input_references[1][video_url][url]", "https://x.example/b.mp4"),
        ("input_references[2]", "image/png"),
    ]


@pytest.mark.parametrize(
    ("content", "mime"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF....WEBPVP8 ", "image/webp"),
        (b"RIFF....WAVEfmt ", "audio/wav"),
        (b"\0\0\0\x20ftypmp42", "video/mp4"),
        (b"anything", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_bytes_are_called_what_they_begin_like(content: bytes, mime: str) -> None:
    ((_, (_, _, said)),) = [part for part in sent(wish={"image": content}).parts if part[1][0] is not None]

    assert said == mime


def test_a_slip_in_a_name_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="no argument 'seconds'"):
        sent(wish={"seconds": 4})  # type: ignore[arg-type]


def test_a_file_that_is_not_there_is_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sent(wish={"image": tmp_path / "missing.png"})
