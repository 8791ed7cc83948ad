"""Prints a race in lines, where there is no terminal that could show it side by side.

The winner's answer is `AnswerPrinter`'s; what the others write is told when they have ended, if it is told.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TextIO

from paceline_client.fold import Fold
from paceline_client.messages import Attempt, Candidate, RaceResponse, StreamRaceResponse, WinnerSelected
from paceline_client.words import enum_word
from paceline_server.cli.answer import AnswerPrinter
from paceline_server.cli.race_course import candidate_of
from paceline_server.cli.race_words import COLOURS, candidate_name, candidate_words
from paceline_server.cli.words import in_words, utc_now

_UNEVENTFUL = ("", "SUCCEEDED", "CANCELLED")


def uneventful(attempt: Attempt) -> bool:
    """Whether what is told of its candidate tells all of an attempt."""
    return candidate_of(attempt) is not None and enum_word(attempt, "outcome") in _UNEVENTFUL


class RacePrinter:
    """Prints the events of one race, or its whole answer."""

    def __init__(self, out: TextIO, err: TextIO, now: Callable[[], datetime] = utc_now) -> None:
        self._answer = AnswerPrinter(out, err, now)
        self._now = now
        self._models: dict[int, str] = {}
        self._others: dict[int, Fold] = {}

    def event(self, event: StreamRaceResponse) -> None:
        """Print one event of a stream; unknown ones are ignored."""
        match event.WhichOneof("event"):
            case "candidate_started":
                started = event.candidate_started
                self._models[started.index] = started.model
                self._answer.note(f"{candidate_name(started.index, started.model)} started")
            case "winner_selected":
                self._selected(event.winner_selected)
            case "candidate_delta":
                other = self._others.setdefault(event.candidate_delta.index, Fold())
                other.add_delta(event.candidate_delta.delta)
            case "candidate_output_discarded":
                self._others.pop(event.candidate_output_discarded.index, None)
            case "candidate_ended":
                self._ended(event.candidate_ended.candidate)
            case "attempt_started" if uneventful(event.attempt_started.attempt):
                pass
            case "attempt_ended" if uneventful(event.attempt_ended.attempt):
                pass
            case _:
                self._answer.event(event)

    def whole(self, response: RaceResponse) -> None:
        """Print an answer that came at once."""
        self._answer.note(f"call {response.call_id}")
        for candidate in response.summary.candidates:
            self._ended(candidate)
        self._answer.answer(response)

    def close(self) -> None:
        """End the line of a text that stands open on a terminal."""
        self._answer.end_line()

    def _selected(self, selected: WinnerSelected) -> None:
        name = candidate_name(selected.index, self._models.get(selected.index, ""))
        after = in_words(selected.decision_latency.ToTimedelta())
        self._answer.note(f"{name} selected, {enum_word(selected, 'decision')} after {after}", "green")

    def _ended(self, candidate: Candidate) -> None:
        outcome = enum_word(candidate, "outcome")
        self._answer.note(candidate_words(candidate, self._now()), COLOURS.get(outcome))
        written = self._others.pop(candidate.index, None)
        if written is not None and outcome != "WON":
            for line in written.text.splitlines():
                self._answer.note(f"  | {line}")
