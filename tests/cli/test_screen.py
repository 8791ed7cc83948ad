"""A region of a terminal is drawn in place."""

from __future__ import annotations

import io

from paceline_server.cli.screen import Screen
from tests.cli.terminal import ScriptedTerminal


def test_a_frame_takes_the_place_of_the_last() -> None:
    """Shorter and fewer lines leave nothing of the frame before, and what stood above stays."""
    terminal = ScriptedTerminal()
    terminal.write("$ paceline\n")
    screen = Screen(terminal)
    screen.draw(["one long line", "two", "three"], 80)
    screen.draw(["one", "2"], 80)
    assert terminal.lines == ["$ paceline", "one", "2", ""]


def test_lines_go_up_out_of_the_region() -> None:
    """What is to stay stands above, however long it is, and the region below it."""
    terminal = ScriptedTerminal(width=10)
    screen = Screen(terminal)
    screen.draw(["a", "b"], 10, above=["first"])
    screen.draw(["a", "b"], 10, above=["a note that is longer"])
    assert terminal.lines == ["first", "a note tha", "t is longe", "r", "a", "b", ""]


def test_a_terminal_that_became_narrower_is_drawn_over() -> None:
    """The lines that it has broken are counted as they now stand."""
    terminal = ScriptedTerminal(width=5)
    terminal.write("$\n")
    screen = Screen(terminal)
    screen.draw(["123456789"], 10)
    screen.draw(["1234"], 5)
    assert terminal.lines == ["$", "1234", ""]


def test_colours_and_wide_characters_are_measured() -> None:
    """Sequences have no width, and some characters have two columns."""
    out = io.StringIO()
    screen = Screen(out)
    screen.draw(["\x1b[31mred\x1b[0m", "漢漢漢"], 10)
    screen.draw([], 5)
    assert "\x1b[3A" in out.getvalue()


def test_the_cursor_is_shown_after_each_frame() -> None:
    """However the process ends, nothing of the terminal is left to repair, and a frame is one write."""
    terminal = ScriptedTerminal()
    screen = Screen(terminal)
    for count in range(1, 4):
        screen.draw(["line"] * count, 80, above=["note"])
        assert terminal.cursor_shown
        assert terminal.frame_count == count


def test_what_is_left_stays() -> None:
    """After the last frame the terminal goes on below it."""
    terminal = ScriptedTerminal()
    screen = Screen(terminal)
    screen.draw(["last"], 80)
    screen.leave()
    screen.draw(["next"], 80)
    assert terminal.lines == ["last", "next", ""]
