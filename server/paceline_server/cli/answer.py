"""Prints an answer and how it came about: text to one stream, events to the other.

On a terminal the text appears as it comes, and cannot steer the terminal. Anywhere else it is held
until it is final, so that whoever reads a pipe never sees text that is void; there it is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TextIO

import click

from paceline_client.fold import text_of
from paceline_client.messages import (
    Attempt,
    ChainResponse,
    RaceResponse,
    StreamChainResponse,
    StreamRaceResponse,
)
from paceline_client.words import enum_word, target_spec, usage_words
from paceline_server.cli.printable import one_line, printable
from paceline_server.cli.race_words import loser_words, summary_lines
from paceline_server.cli.words import in_words, relative, utc_now

VOID = "~~~ the text above is void: its stream broke; the answer starts again ~~~"

_CUT = "a token limit cut the answer; it may be the model's own, that of the configuration, "
_CUT_CHAIN = f"{_CUT}or --max-tokens"
_CUT_RACE = f"{_CUT}--max-tokens, --max-output-tokens or --max-cost"

_COLOURS = {"SUCCEEDED": "green", "SKIPPED": "yellow", "REJECTED": "yellow", "CANCELLED": "yellow"}


class AnswerPrinter:
    """Prints the events of one call, or its whole answer; those that only races have are for others.

    Attributes:
        live: The text is printed as it comes: `out` is a terminal.
    """

    def __init__(self, out: TextIO, err: TextIO, now: Callable[[], datetime] = utc_now) -> None:
        self.live = out.isatty()
        self._out = out
        self._err = err
        self._now = now
        self._same_terminal = self.live and err.isatty()
        self._line_open = False

    def event(self, event: StreamChainResponse | StreamRaceResponse) -> None:
        """Print one event of a stream; unknown ones are ignored."""
        match event.WhichOneof("event"):
            case "started":
                self.note(f"call {event.started.call_id}")
            case "attempt_started":
                self.note(attempt_started_words(event.attempt_started.attempt))
            case "attempt_ended":
                self._ended(event.attempt_ended.attempt)
            case "delta" if self.live:
                self._text(event.delta.text.text)
            case "output_discarded":
                self._discarded(event.output_discarded.attempt_index)
            case "finished":
                self._finished(event.finished)
            case _:
                pass

    def whole(self, response: ChainResponse) -> None:
        """Print an answer that came at once."""
        self.note(f"call {response.call_id}")
        for attempt in response.attempts:
            self._ended(attempt)
        self.answer(response)

    def answer(self, response: ChainResponse | RaceResponse) -> None:
        """Print an answer of which nothing was printed yet, and what it cost."""
        if self.live:
            self._text(text_of(response.completion.parts))
        self._finished(response)

    def note(self, line: str, colour: str | None = None) -> None:
        """Print what happened, in a line of its own."""
        if self._same_terminal:
            self.end_line()
        click.echo(click.style(one_line(line), fg=colour, dim=colour is None), file=self._err)

    def end_line(self) -> None:
        """End the line of a text that stands open on a terminal."""
        if self._line_open:
            self._text("\n")

    def _text(self, text: str) -> None:
        if text:
            # Left alone by click, which would take colours away, where it is not for a terminal.
            shown, colour = (printable(text), None) if self.live else (text, True)
            click.echo(shown, file=self._out, nl=False, color=colour)
            self._line_open = not text.endswith("\n")

    def _ended(self, attempt: Attempt) -> None:
        line, colour = attempt_words(attempt, self._now())
        self.note(line, colour)

    def _discarded(self, attempt_index: int) -> None:
        if self.live:
            self.end_line()
            click.echo(click.style(VOID, dim=True), file=self._out)
        if not self._same_terminal:
            self.note(f"output of attempt {attempt_index} discarded: the answer starts again", "yellow")

    def _finished(self, response: ChainResponse | RaceResponse) -> None:
        completion = response.completion
        if not self.live:
            self._text(text_of(completion.parts))
        self.end_line()
        for part in completion.parts:
            if part.HasField("tool_call"):
                self.note(f"tool call {part.tool_call.name} {part.tool_call.arguments_json}")
        answered = f"answered by {target_spec(completion.target)}, {enum_word(completion, 'finish_reason')}"
        if isinstance(response, ChainResponse):
            count, race = len(response.attempts), response.race
            answered += f", in {count} attempt{'' if count == 1 else 's'}"
        else:
            race = response.summary
        self.note(answered)
        if enum_word(completion, "finish_reason") == "LENGTH":
            self.note(_CUT_CHAIN if isinstance(response, ChainResponse) else _CUT_RACE, "yellow")
        for line in summary_lines(race):
            self.note(line)
        replayed = "; replayed, so nothing is billed again" if response.replayed else ""
        self.note(f"cost {usage_words(response.total_usage)}{replayed}")
        if losers := loser_words(race):
            self.note(f"of that for losers and judges {losers}")


def attempt_started_words(attempt: Attempt) -> str:
    """That a target is being called, in a line."""
    return f"{_attempt_name(attempt)} started"


def attempt_words(attempt: Attempt, now: datetime) -> tuple[str, str]:
    """How an attempt ended, in a line, and the colour of that."""
    outcome = enum_word(attempt, "outcome")
    line = f"{_attempt_name(attempt)} {outcome.lower().replace('_', ' ')}"
    if attempt.HasField("latency") and attempt.latency.ToTimedelta():
        line += f" after {in_words(attempt.latency.ToTimedelta())}"
    causes = (enum_word(attempt, "failure_class"), attempt.status.message)
    cause = ": ".join(word for word in causes if word)
    if cause:
        line += f", {cause}"
    if attempt.HasField("benched_until_time"):
        back = attempt.benched_until_time.ToDatetime(tzinfo=UTC)
        line += f"; benched, back {relative(back, now)}"
    return line, _COLOURS.get(outcome, "red")


def _attempt_name(attempt: Attempt) -> str:
    retry = f", try {attempt.try_number}" if attempt.try_number > 1 else ""
    return f"attempt {attempt.index} ({target_spec(attempt.target)}{retry})"
