"""A race is shown side by side, on terminals of any size."""

from __future__ import annotations

import io

import click
import pytest
from rich.cells import cell_len
from rich.console import Console

from paceline.v1.completion_pb2 import OutputDiscarded
from paceline.v1.race_pb2 import StreamRaceResponse
from paceline_server.cli.answer import VOID
from paceline_server.cli.race_course import Course
from paceline_server.cli.race_view import course_lines, frame_lines
from tests.cli.race_messages import entered, fared, race_stream, selected, written, written_by
from tests.cli.test_race_course import course_of

NOW = 75.0


def console(width: int = 100, height: int = 24, encoding: str = "utf-8") -> Console:
    """A terminal of that size."""
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Console(
        file=out, record=True, width=width, height=height, force_terminal=True, color_system="standard"
    )


def plain(lines: list[str]) -> list[str]:
    """Lines as one reads them."""
    return [click.unstyle(line).rstrip() for line in lines]


def running() -> Course:
    """Three candidates, of which one streams and one has not started."""
    return course_of(
        entered(0, "p/quick"),
        entered(1, "p/sure"),
        written_by(1, "x" * 80),
        models=("p/quick", "p/sure", "p/quick"),
    )


def test_all_is_shown_where_there_is_room() -> None:
    """Each candidate has a line: its index, model, bar, state, times, tokens and cost."""
    assert plain(course_lines(console(90), running(), NOW)) == [
        " # MODEL                                     STATE        FIRST   TIME TOKENS        COST",
        " 0 p/quick                                   waiting              1:15",
        " 1 p/sure  ████████████████                  streaming    1.0 s   1:14    ~20",
        " 2 p/quick                                   not started",
    ]


def test_a_race_that_is_over_shows_what_it_took() -> None:
    """Outcome, times, tokens and cost are those that the gateway told."""
    lines = plain(course_lines(console(80), course_of(*race_stream()), NOW))
    assert [line.split() for line in lines[1:]] == [
        ["0", "p/quick", "cancelled", "1.5", "s", "1", "$0.00002"],
        ["1", "p/sure", "█", "won", "0.3", "s", "1.5", "s", "4", "$0.00005"],
    ]


@pytest.mark.parametrize("width", [1, 2, 5, 12, 20, 33, 46, 47, 60, 70, 71, 72, 80, 100, 200, 400])
@pytest.mark.parametrize(
    "model", ["m", "provider/" + "long-model-" * 20, "漢" * 60], ids=["short", "long", "wide"]
)
def test_no_line_is_wider_than_its_terminal(width: int, model: str) -> None:
    """The last column stays free, whatever the models are called, and each candidate keeps one line."""
    course = course_of(entered(0, model), written_by(0, "漢x" * 300), entered(1, model))
    course.take(selected(1), 3.0)
    course.take(written("漢x " * 100), 4.0)
    for previews in (False, True):
        lines = course_lines(console(width), course, NOW, previews=previews)
        assert max(cell_len(click.unstyle(line)) for line in lines) <= max(width - 1, 1)
        assert len(lines) == (4 if previews else 3)
    framed = frame_lines(console(width, height=10), course, NOW)
    assert max(cell_len(click.unstyle(line)) for line in framed) <= max(width - 1, 2)
    assert len(framed) <= 9


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (100, ["#", "MODEL", "STATE", "FIRST", "TIME", "TOKENS", "COST"]),
        (60, ["#", "MODEL", "STATE", "TIME", "TOKENS"]),
        (30, ["#", "MODEL", "STATE"]),
    ],
)
def test_a_narrow_terminal_shows_what_matters_most(width: int, headings: list[str]) -> None:
    """Cost and first content give way first, then time and tokens; who does what stays."""
    lines = plain(course_lines(console(width), running(), NOW))
    assert lines[0].split() == headings
    assert [line.split()[:2] for line in lines[1:]] == [["0", "p/quick"], ["1", "p/sure"], ["2", "p/quick"]]


def test_names_are_cut_only_for_the_least_of_bars() -> None:
    """Who it is says more than how long its bar is."""
    course = course_of(entered(0, "provider/a-usual-model"), written_by(0, "x" * 500))
    assert "provider/a-usual-model ████████ streaming" in plain(course_lines(console(80), course, NOW))[1]


def test_bars_grow_with_what_is_written() -> None:
    """The longest is full, the others are in proportion to it, and a little text is a little bar."""
    course = course_of(entered(0, "a"), entered(1, "b"), written_by(0, "x" * 50), written_by(1, "x" * 25))
    few = [line.count("█") for line in course_lines(console(), course, NOW)]
    course.take(written_by(0, "x" * 950), 5.0)
    course.take(written_by(1, "x" * 475), 5.0)
    many = [line.count("█") for line in course_lines(console(), course, NOW)]
    assert few == [0, 12, 6]
    assert many == [0, 40, 20]


def test_a_terminal_without_unicode_gets_letters() -> None:
    """What the encoding does not have is not written."""
    course = course_of(entered(0, "p/" + "m" * 200), written_by(0, "x" * 500))
    lines = course_lines(console(encoding="latin-1"), course, NOW)
    assert all(line.encode("latin-1") for line in lines)
    assert "########" in lines[1]


def test_the_end_of_the_text_stands_below() -> None:
    """As much of the winner's text as there is room for, the newest last."""
    course = course_of(entered(0, "p/quick"), selected(0), written("\n".join(f"line {n}" for n in range(50))))
    lines = plain(frame_lines(console(height=10), course, NOW))
    assert lines[2:] == ["", *(f"line {n}" for n in range(44, 50))]
    assert len(lines) == 9


def test_lines_of_the_text_keep_their_place() -> None:
    """A long paragraph is not wrapped anew with each word that comes."""
    course = course_of(entered(0, "p/quick"), selected(0), written("word " * 400))
    before = plain(frame_lines(console(60, 12), course, NOW))
    course.take(written("next"), NOW)
    after = plain(frame_lines(console(60, 12), course, NOW))
    assert before[3:-1] == after[3:-1]


def test_void_text_is_marked() -> None:
    """As in a chain: what a broken winner wrote stays, with a mark below it."""
    course = course_of(entered(0, "p/quick"), selected(0), written("wrong"))
    course.take(StreamRaceResponse(output_discarded=OutputDiscarded()), 4.0)
    assert plain(frame_lines(console(), course, NOW))[3:5] == ["wrong", VOID]
    course.take(written("right"), 5.0)
    assert plain(frame_lines(console(), course, NOW))[3:] == ["wrong", VOID, "right"]


def test_a_low_terminal_shows_the_winner_and_its_text() -> None:
    """The region never is as high as the terminal, which would scroll; those left out are counted."""
    course = course_of(*(entered(index, "m") for index in range(16)), selected(12), written("text"))
    lines = plain(frame_lines(console(height=10), course, NOW))
    assert [line.split()[0] for line in lines[1:5]] == ["12", "0", "1", "2"]
    assert lines[5:] == ["+12 more", "", "text"]
    assert [line.split()[0] for line in plain(frame_lines(console(height=7), course, NOW))[1:3]] == [
        "12",
        "0",
    ]
    assert plain(frame_lines(console(height=7), course, NOW))[-1] == "text"
    assert [len(frame_lines(console(height=height), course, NOW)) for height in (1, 2, 3, 4)] == [1, 1, 2, 3]


def test_all_candidates_are_shown_as_long_as_there_is_room() -> None:
    """Without a text they may fill the screen; previews give way before candidates do."""
    course = course_of(*(entered(index, "m") for index in range(16)), written_by(3, "so far"))
    assert len(frame_lines(console(height=18), course, NOW, previews=True)) == 17
    assert plain(frame_lines(console(height=17), course, NOW))[-1] == "+2 more"
    assert "   | so far" in plain(frame_lines(console(height=40), course, NOW, previews=True))


def test_what_is_left_at_the_end_is_whole() -> None:
    """The last lines may scroll, so nobody is left out of them, and each keeps its place."""
    course = course_of(*(entered(index, "m") for index in range(16)), selected(12), written("text"))
    assert [
        int(line.split()[0]) for line in plain(course_lines(console(height=10), course, NOW))[1:]
    ] == list(range(16))


def test_previews_show_what_the_others_write() -> None:
    """Below each but the winner stands the end of its text, in one line."""
    course = course_of(entered(0, "a"), written_by(0, "one\ntwo"), entered(1, "b"), written_by(1, "not this"))
    course.take(selected(1), 5.0)
    lines = plain(course_lines(console(), course, NOW, previews=True))
    assert lines[2] == "   | one two"
    assert len(lines) == 4


def test_nobody_can_steer_the_terminal() -> None:
    """Names, texts and previews are neutral."""
    evil = "\x1b[2J\x07\r"
    course = course_of(entered(0, f"{evil}m"), written_by(0, f"{evil}preview"), entered(1, "b"))
    course.take(selected(1), 5.0)
    course.take(written(f"{evil}text"), 6.0)
    for line in frame_lines(console(), course, NOW, previews=True):
        assert click.unstyle(line).isprintable()
        assert "\x1b[2J" not in line


def test_markup_of_others_is_text() -> None:
    """What looks like the markup of the library that draws is shown as it is."""
    course = course_of(entered(0, "[red]m"), selected(0), written("[bold]x :smile:"))
    lines = plain(frame_lines(console(), course, NOW))
    assert "[red]m" in lines[1]
    assert lines[3] == "[bold]x :smile:"


def test_ends_come_in_the_order_of_the_indices() -> None:
    """A candidate keeps its line, whenever it is first heard of."""
    course = course_of(entered(1, "b"), entered(0, "a"), fared(race_stream()[-2].candidate_ended.candidate))
    assert [line.split()[0] for line in plain(course_lines(console(), course, NOW))[1:]] == ["0", "1"]
