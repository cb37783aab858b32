"""What the probe says of files, good and bad; in this process, for these are our own."""

from pathlib import Path

import pytest

from filmgate.core.errors import InputInvalid
from filmgate.core.generation import MediaKind
from filmgate.media.formats import HEAD_BYTES, MOST_BYTES, recognise
from filmgate.media.look import look
from filmgate.ports.media import Probed
from tests import corpus
from tests.corpus import animation, film, picture, rotated_picture

GOOD: dict[str, tuple[bytes, str, tuple[int | None, int | None, float | None]]] = {
    "PNG": (picture("PNG"), "image/png", (64, 48, None)),
    "JPEG": (picture("JPEG"), "image/jpeg", (64, 48, None)),
    "JPEG, rotated": (rotated_picture(), "image/jpeg", (48, 64, None)),
    "GIF": (animation(3), "image/gif", (1, 1, None)),
    "WebP": (picture("WEBP"), "image/webp", (64, 48, None)),
    "BMP": (picture("BMP"), "image/bmp", (64, 48, None)),
    "a PNG with a ZIP behind it": (picture("PNG") + b"PK\x03\x04", "image/png", (64, 48, None)),
    "MP4": (film(audio="aac"), "video/mp4", (320, 180, 1.0)),
    "MP4, rotated": (film(rotation=90), "video/mp4", (180, 320, 1.0)),
    "MP4 of one frame": (film(frames=1), "video/mp4", (320, 180, 0.042)),
    "MOV": (film("mov"), "video/quicktime", (320, 180, 1.0)),
    "WebM": (film("webm", "libvpx", "libopus"), "video/webm", (320, 180, 1.0)),
    "Matroska": (film("matroska"), "video/x-matroska", (320, 180, 1.0)),
    "M4A": (film("ipod", None, "aac"), "audio/mp4", (None, None, 1.0)),
    "MP3": (film("mp3", None, "libmp3lame"), "audio/mpeg", (None, None, 1.0)),
    "AAC": (film("adts", None, "aac"), "audio/aac", (None, None, 1.0)),
    "Ogg": (film("ogg", None, "libopus"), "audio/ogg", (None, None, 1.0)),
    "WAV": (film("wav", None, "pcm_s16le"), "audio/wav", (None, None, 1.0)),
    "FLAC": (film("flac", None, "flac"), "audio/flac", (None, None, 1.0)),
}


def looked_at(content: bytes, directory: Path) -> Probed:
    path = directory / "file"
    path.write_bytes(content)
    with path.open("rb") as file:
        return look(file)


@pytest.mark.parametrize(("content", "mime", "shown"), GOOD.values(), ids=GOOD.keys())
def test_a_good_file_is_known_by_its_content(
    content: bytes, mime: str, shown: tuple[int | None, int | None, float | None], tmp_path: Path
) -> None:
    found = looked_at(content, tmp_path)

    assert (found.mime, found.kind, found.size_bytes) == (mime, mime.partition("/")[0], len(content))
    assert (found.width, found.height) == shown[:2]
    assert found.duration_s == (shown[2] and pytest.approx(shown[2], abs=0.1))


def test_a_film_that_does_not_say_how_long_it_is_is_measured(tmp_path: Path) -> None:
    content = film("webm", "libvpx")
    duration = content.index(b"\x44\x89")  # the element's id
    unsaid = content[:duration] + b"\xec\x89" + content[duration + 2 :]  # a void one

    assert looked_at(unsaid, tmp_path).duration_s == pytest.approx(1.0, abs=0.1)


def test_a_file_is_never_larger_than_its_kind_may_be(tmp_path: Path) -> None:
    for content, kind in (
        (picture("BMP"), MediaKind.IMAGE),
        (film("wav", None, "pcm_s16le"), MediaKind.AUDIO),
    ):
        path = tmp_path / kind
        path.write_bytes(content)
        with path.open("r+b") as file:
            file.truncate(MOST_BYTES[kind] + 1)
            with pytest.raises(InputInvalid, match=f"larger than {MOST_BYTES[kind]} bytes"):
                look(file)


@pytest.mark.parametrize("head", [b"", b"\0", b"\xff" * 3, b"RIFF1234", b"hello", bytes(HEAD_BYTES)])
def test_what_is_not_known_is_not_taken(head: bytes) -> None:
    with pytest.raises(InputInvalid):
        recognise(head)


def test_every_bad_file_has_a_name_of_its_own() -> None:
    names = [bad.name for bad in corpus.corpus()]

    assert len(set(names)) == len(names) > 35
