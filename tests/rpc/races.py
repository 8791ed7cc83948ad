"""Races as they are told, for tests of what becomes of them on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paceline_server.completion.answer import Completion, Confidence, ConfidenceSource, FinishReason, Target
from paceline_server.completion.attempt import Attempt, AttemptOutcome
from paceline_server.completion.content import Part, Text
from paceline_server.completion.prompt import Prompt
from paceline_server.completion.race import CandidateOutcome, CandidateReport, RaceSummary
from paceline_server.completion.usage import Usage
from paceline_server.strategies.call import Call

USAGE = Usage(3, 5, cost_nano_usd=11)


def answer(text: str = "Four.", model: str = "a") -> Completion:
    """A whole answer."""
    confidence = Confidence(0.75, ConfidenceSource.JUDGE)
    part = Part(Text(text))
    return Completion((part,), FinishReason.STOP, "stop", Target("test", model), "a-1", USAGE, confidence)


def attempt(index: int = 0, **fields: object) -> Attempt:
    """An attempt that succeeded, unless told otherwise."""
    fields.setdefault("outcome", AttemptOutcome.SUCCEEDED)
    fields.setdefault("usage", USAGE)
    return Attempt(index, Target("test", "a"), f"race[{index}]", 1, 0.25, **fields)  # type: ignore[arg-type]


def report(index: int, outcome: CandidateOutcome = CandidateOutcome.LOST, text: str = "") -> CandidateReport:
    """A candidate that has ended; with an answer if there is a text."""
    return CandidateReport(index, "test/a", outcome, completion=answer(text) if text else None)


@dataclass
class ToldRace:
    """A race of which all is known."""

    told: RaceSummary
    left: Sequence[CandidateReport] = ()

    def summary(self) -> RaceSummary:
        """How it went."""
        return self.told

    def untold(self) -> Sequence[CandidateReport]:
        """Those whose end is still to be told."""
        return self.left


def raced(summary: RaceSummary, attempts: Sequence[Attempt] = ()) -> Call:
    """A call after its race."""
    call = Call("the-id", Prompt(()), 0.0, 0.0)
    call.record.attempts += attempts
    call.record.race = ToldRace(summary)
    return call
