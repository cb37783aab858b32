"""What is printed where nobody looks: plain, whole and the same every time."""

import json
from pathlib import Path

import pytest

from filmgate.cli.place import saving
from filmgate.cli.screen import (
    complain,
    duration,
    print_facts,
    print_json,
    print_table,
    progress_bar,
    size,
)


def test_a_table_in_a_pipe_is_aligned_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id", ">credits"), [("a" * 100, 5), ("b", 1000)], empty="none")

    assert capsys.readouterr().out.splitlines() == [
        "ID" + " " * 98 + "  CREDITS",
        "a" * 100 + "        5",
        "b" + " " * 99 + "     1000",
    ]


def test_an_empty_table_says_so_to_people_only(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("id",), [], empty="There is none.")

    assert capsys.readouterr() == ("", "There is none.\n")


def test_facts_in_a_pipe_are_one_a_line_and_unknown_ones_are_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_facts([("task", "t"), ("error", None), ("provider", "studio")])

    assert capsys.readouterr().out == "task      t\nprovider  studio\n"


def test_json_in_a_pipe_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"prompt": "Füchse", "path": Path("x")})

    out = capsys.readouterr().out
    assert out == '{"prompt": "Füchse", "path": "x"}\n'
    assert json.loads(out)


def test_a_complaint_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    complain("word " * 100)

    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1


def test_progress_in_a_pipe_is_a_line_for_every_quarter(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as show:
        for percent in range(101):
            show(percent, "rendering")

    out, err = capsys.readouterr()
    assert not out
    assert err.splitlines() == [f"rendering {percent}%" for percent in (0, 25, 50, 75, 100)]


def test_silent_progress_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(silent=True) as show:
        show(50, "rendering")

    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 ms"), (0.85, "850 ms"), (6.24, "6.2 s"), (59.9, "59.9 s"), (180, "3 min")]
)
def test_a_span_of_time_is_said_as_people_say_it(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_500, "1.5 kB"), (2_600_000, "2.6 MB"), (3 * 10**9, "3.0 GB")],
)
def test_a_size_is_said_as_people_say_it(count: int, said: str) -> None:
    assert size(count) == said


# --- the place of a result ----------------------------------------------------------------------


def test_a_result_appears_whole_and_replaces_an_old_one(tmp_path: Path) -> None:
    place = tmp_path / "film.mp4"
    place.write_text("old")

    with saving(place) as path:
        path.write_text("new")
        assert place.read_text() == "old"

    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    assert place.read_text() == "new"


def test_a_result_that_fails_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "film.mp4"
    place.write_text("old")

    def half() -> None:
        with saving(place) as path:
            path.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()

    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
    assert place.read_text() == "old"
