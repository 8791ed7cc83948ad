"""The live view is drawn by the clock, and leaves the terminal as it found it."""

from __future__ import annotations

import io
import os
import pty
import signal
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from rich.console import Console

from paceline.v1.race_pb2 import CANDIDATE_OUTCOME_SKIPPED, Candidate, StreamRaceResponse
from paceline_server.cli.answer import VOID, AnswerPrinter
from paceline_server.cli.race_live import INTERVAL_SECONDS, LiveRace, can_show
from tests.cli.conftest import process
from tests.cli.race_messages import (
    STARTED,
    entered,
    fared,
    race_stream,
    recovered_race,
    selected,
    written,
)
from tests.cli.terminal import ScriptedTerminal
from tests.cli.test_chain import read_all
from tests.clients.python.fake_gateway import PATIENCE_SECONDS, FakeGateway, Silence, serving

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Alarm:
    """A clock that goes on when it is told, and its timers."""

    def __init__(self) -> None:
        self.time = 0.0
        self.due: Callable[[], None] | None = None

    def call_later(self, delay: float, callback: Callable[[], None]) -> Alarm:
        """The next and only timer."""
        assert delay >= 1 / 12
        assert self.due is None
        self.due = callback
        return self

    def cancel(self) -> None:
        """No timer any more."""
        self.due = None

    def ring(self) -> None:
        """The time of the timer has come."""
        self.time += INTERVAL_SECONDS
        callback, self.due = self.due, None
        assert callback is not None
        callback()


class Shown:
    """A live race on a terminal that a test reads."""

    def __init__(self, *, models: tuple[str, ...] = ("p/quick", "p/sure"), previews: bool = False) -> None:
        self.alarm = Alarm()
        self.terminal = ScriptedTerminal(100)
        self.live = LiveRace(
            Console(file=self.terminal, width=100, height=24, force_terminal=True, color_system="standard"),
            AnswerPrinter(self.terminal, self.terminal, lambda: NOW),
            models,
            previews=previews,
            clock=lambda: self.alarm.time,
            now=lambda: NOW,
            call_later=self.alarm.call_later,
        )

    def tell(self, *events: StreamRaceResponse) -> None:
        """Events come, all in one moment."""
        for event in events:
            self.live.event(event)


def test_it_is_drawn_by_the_clock_and_not_by_the_event() -> None:
    """A thousand tokens between two frames cost no frame."""
    shown = Shown()
    shown.tell(STARTED, entered(0, "p/quick"), selected(0), *(written("x ") for _ in range(1000)))
    assert shown.terminal.frame_count == 1
    shown.alarm.ring()
    assert shown.terminal.frame_count == 2
    assert "x x x" in shown.terminal.lines[-2]


def test_nothing_is_drawn_before_the_call_is_admitted() -> None:
    """Where no gateway answers, there is no race to show."""
    shown = Shown()
    shown.live.close()
    assert shown.terminal.getvalue() == ""


def test_at_the_end_all_stands_there_once() -> None:
    """The candidates as they fared, the whole answer, and what it cost; no frame is left behind."""
    shown = Shown()
    for event in race_stream():
        shown.tell(event)
        if shown.alarm.due is not None:
            shown.alarm.ring()
    shown.live.close()
    lines = shown.terminal.lines
    assert lines[0] == "call c1"
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["#", "MODEL", "STATE"],
        ["0", "p/quick", "cancelled"],
        ["1", "p/sure", "█"],
    ]
    assert lines[4:] == [
        "",
        "right",
        "answered by p/sure, STOP",
        "race of 2: candidate 1 (p/sure) won, FIRST_CONTENT after 0.3 s",
        "cost 3 input + 5 output tokens, $0.00007",
        "of that for losers and judges 3 input + 1 output tokens, $0.00002",
        "",
    ]
    assert shown.terminal.cursor_shown
    assert shown.alarm.due is None


def test_a_void_answer_is_marked() -> None:
    """As in a chain: what a broken winner wrote stays, marked, and the failure stands above."""
    shown = Shown()
    for event in recovered_race():
        shown.tell(event)
        if shown.alarm.due is not None:
            shown.alarm.ring()
    lines = shown.terminal.lines
    assert lines[1] == "attempt 0 (p/quick) failed, TRANSIENT: the stream broke"
    assert lines[6:9] == ["wrong", VOID, "right"]
    assert sum("wrong" in line for line in lines) == 1


def test_a_candidate_that_never_started_says_why() -> None:
    """Nothing else tells why it was passed over."""
    shown = Shown()
    skipped = Candidate(index=1, model="p/sure", outcome=CANDIDATE_OUTCOME_SKIPPED)
    skipped.status.message = "decided before its turn"
    shown.tell(STARTED, fared(skipped))
    shown.live.close()
    assert shown.terminal.lines[1] == "candidate 1 (p/sure) skipped: decided before its turn"
    assert "skipped" in shown.terminal.lines[4]


def test_an_answer_that_breaks_off_stays_as_far_as_it_came() -> None:
    """After a failure or an interrupt the view stands still, and the text ends its line."""
    shown = Shown()
    shown.tell(STARTED, entered(0, "p/quick"), selected(0), written("half"))
    shown.live.close()
    shown.live.close()
    assert shown.terminal.lines[-2:] == ["half", ""]
    assert shown.terminal.cursor_shown
    assert shown.alarm.due is None


@pytest.mark.parametrize(
    ("out", "err", "term", "shows"),
    [
        (ScriptedTerminal(), ScriptedTerminal(), "xterm", True),
        (ScriptedTerminal(), ScriptedTerminal(), "dumb", False),
        (ScriptedTerminal(), ScriptedTerminal(), "", False),
        (ScriptedTerminal(), io.StringIO(), "xterm", False),
        (io.StringIO(), ScriptedTerminal(), "xterm", False),
    ],
)
def test_it_needs_a_terminal_for_both_streams(
    out: io.StringIO, err: io.StringIO, term: str, *, shows: bool
) -> None:
    """Where a stream goes elsewhere, or the terminal cannot go back, there are lines instead."""
    assert can_show(out, err, term) == shows


def test_a_real_terminal_shows_the_race() -> None:
    """On a terminal the command asks for what all write, and leaves answer and cursor in good order."""
    gateway = FakeGateway(race_events=race_stream())
    screen, code = on_a_terminal(gateway, "race", "p/quick", "p/sure", "hello")
    assert code == 0
    assert gateway.requests[0].stream_all_candidates
    assert "right" in screen.lines
    assert sum("p/quick" in line for line in screen.lines) == 1
    assert screen.cursor_shown


def test_an_interrupt_leaves_the_terminal_in_order() -> None:
    """Ctrl-C cancels the race at the gateway, and the cursor is there."""
    gateway = FakeGateway(race_events=[*race_stream()[:-3], Silence()])
    screen, code = on_a_terminal(gateway, "race", "p/quick", "p/sure", "hello", interrupt_at=b"right")
    assert code == 130
    assert gateway.left.wait(PATIENCE_SECONDS)
    assert screen.cursor_shown
    assert screen.lines[-4:] == ["right", "", "interrupted", ""]


def on_a_terminal(
    gateway: FakeGateway, *command: str, interrupt_at: bytes = b""
) -> tuple[ScriptedTerminal, int]:
    """What a command leaves on a real terminal of 90 columns, and its exit code."""
    ours, theirs = pty.openpty()
    environ = {"TERM": "xterm", "COLUMNS": "90", "LINES": "24"}
    with (
        serving(gateway) as address,
        process(*command, "--address", address, environ=environ, **streams(theirs)) as running,
    ):
        os.close(theirs)
        shown = b""
        while interrupt_at not in shown:
            shown += os.read(ours, 4096)
        if interrupt_at:
            running.send_signal(signal.SIGINT)
        text = shown.decode() + read_all(ours)
        code = running.wait(PATIENCE_SECONDS)
    screen = ScriptedTerminal(90)
    screen.write(text.replace("\r\n", "\n"))
    return screen, code


def streams(terminal: int) -> dict[str, int]:
    """All three on one terminal."""
    return {"stdin": terminal, "stdout": terminal, "stderr": terminal}
