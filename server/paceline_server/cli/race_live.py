"""Keeps the view of a race on a terminal up to date while its events come.

Draws by the clock and not by the event, so that a fast model costs no more than a slow one. At the end
the candidates stay as they were last, and the answer follows as `AnswerPrinter` prints it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, TextIO

import click
from rich.console import Console

from paceline_client.messages import Candidate, StreamRaceResponse
from paceline_client.words import enum_word
from paceline_server.cli.answer import AnswerPrinter, attempt_started_words, attempt_words
from paceline_server.cli.printable import one_line
from paceline_server.cli.race_course import Course
from paceline_server.cli.race_lines import uneventful
from paceline_server.cli.race_view import course_lines, frame_lines
from paceline_server.cli.race_words import COLOURS, candidate_words
from paceline_server.cli.screen import Screen

INTERVAL_SECONDS = 0.1


class Timer(Protocol):
    """Something that is to happen."""

    def cancel(self) -> None:
        """Let it not happen."""


CallLater = Callable[[float, Callable[[], None]], Timer]


def can_show(out: TextIO, err: TextIO, term: str) -> bool:
    """Whether both streams go to a terminal, of the kind `term`, on which lines can be drawn anew."""
    return out.isatty() and err.isatty() and term not in ("", "dumb", "unknown")


class LiveRace:
    """One race, side by side on a terminal."""

    def __init__(
        self,
        console: Console,
        answer: AnswerPrinter,
        models: Sequence[str],
        *,
        previews: bool,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        call_later: CallLater,
    ) -> None:
        """Show `models`, or those of the named race as they start, on `console`.

        Args:
            answer: Prints the answer at the end, on the same terminal.
            previews: Show also what the others write.
            clock: The time in seconds.
            call_later: Calls back after so many seconds.
        """
        self._console = console
        self._answer = answer
        self._previews = previews
        self._clock = clock
        self._now = now
        self._call_later = call_later
        self._screen = Screen(console.file)
        self._course = Course(models)
        self._above: list[str] = []
        self._written: list[StreamRaceResponse] = []
        self._timer: Timer | None = None

    def event(self, event: StreamRaceResponse) -> None:
        """Take in one event; it is seen when the next frame is drawn."""
        self._course.take(event, self._clock())
        match event.WhichOneof("event"):
            case "started":
                self._note(f"call {event.started.call_id}")
                self._frame()
            case "attempt_started" if not uneventful(event.attempt_started.attempt):
                self._note(attempt_started_words(event.attempt_started.attempt))
            case "attempt_ended" if not uneventful(event.attempt_ended.attempt):
                self._note(*attempt_words(event.attempt_ended.attempt, self._now()))
            case "candidate_ended":
                self._ended(event.candidate_ended.candidate)
            case "delta" | "output_discarded":
                self._written.append(event)
            case "finished":
                self.close()
                self._answer.event(event)
            case _:
                pass

    def close(self) -> None:
        """Leave the candidates as they are now, and the answer as far as it came, below them."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        lines = course_lines(self._console, self._course, self._clock(), previews=self._previews)
        self._draw([*lines, ""] if self._written else lines)
        self._screen.leave()
        for event in self._written:
            self._answer.event(event)
        self._answer.end_line()

    def _ended(self, candidate: Candidate) -> None:
        # What its attempts met has been told by them.
        if candidate.status.message and not candidate.attempts:
            colour = COLOURS.get(enum_word(candidate, "outcome"))
            self._note(candidate_words(candidate, self._now()), colour)

    def _note(self, line: str, colour: str | None = None) -> None:
        self._above.append(click.style(one_line(line), fg=colour, dim=colour is None))

    def _frame(self) -> None:
        self._draw(frame_lines(self._console, self._course, self._clock(), previews=self._previews))
        self._timer = self._call_later(INTERVAL_SECONDS, self._frame)

    def _draw(self, lines: Sequence[str]) -> None:
        self._screen.draw(lines, self._console.width, above=self._above)
        self._above.clear()
