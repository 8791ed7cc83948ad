"""What a race strategy is: a synchronous rule over what has happened so far.

A rule reads the field and says what is to be done next. It awaits nothing, keeps nothing between two
questions and changes nothing, so that it can be tested with lists of events alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Protocol

from paceline_server.completion.answer import Confidence
from paceline_server.completion.immutable import immutable
from paceline_server.completion.race import AnswerGroup, RaceDecision
from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.racing.field import Entrant, Field


@immutable(frozen=True, slots=True)
class Wait:
    """Nothing is to be done before something happens, or before `until` (the loop's clock)."""

    until: float = NEVER


@immutable(frozen=True, slots=True)
class Start:
    """A candidate that waits is to be started, with a token of the hedge bucket."""

    index: int


class JudgeTask(Enum):
    """What is asked of a judge."""

    SCORE = "score"
    GROUP = "group"


@immutable(frozen=True, slots=True)
class Judge:
    """The answers of these candidates are to be shown to the judge; asked at most once a race."""

    task: JudgeTask
    indices: tuple[int, ...]


@immutable(frozen=True, slots=True)
class Select:
    """This candidate wins; it is WRITING or ANSWERED."""

    index: int
    decision: RaceDecision


@immutable(frozen=True, slots=True)
class Fail:
    """Nobody can win any more.

    Attributes:
        no_consensus: The answers do not agree enough, and could not with those that are still to come;
            else there is none that may win.
    """

    no_consensus: bool = False


Step = Wait | Start | Judge | Select | Fail


@immutable(frozen=True, slots=True)
class Agreement:
    """How the answers agree, for the race's report; the largest group first."""

    groups: tuple[AnswerGroup, ...]
    score: float


class Rule(Protocol):
    """A strategy: how a race is run and decided."""

    @property
    def judge_model(self) -> str:
        """The spec of the judge that it may ask for; empty if it asks for none."""
        ...

    @property
    def judge_rubric(self) -> str:
        """What makes an answer good, for the judge; empty for what goes without saying."""
        ...

    @property
    def asks_logprobs(self) -> bool:
        """Whether candidates are asked for the log probabilities of their answers."""
        ...

    def first_starts(self, field: Field) -> Sequence[int]:
        """Who starts at once, the most urgent first; at least one."""
        ...

    def start_count(self, candidate_count: int) -> int:
        """How many candidates it starts at most, of so many."""
        ...

    def decide(self, field: Field, now: float) -> Step:
        """What is to be done next. With `field.time_is_up` it is `Select` or `Fail`."""
        ...

    def may_start(self, field: Field) -> bool:
        """Whether anyone who waits could still be started, now or later."""
        ...

    def hedge_delay(self, observed: Callable[[float], float | None]) -> float:
        """Seconds that a running candidate may stay silent before another starts; `NEVER` if none is to.

        Args:
            observed: The observed quantile of the candidate's time to its answer; None without observations.
        """
        ...

    def confidence(self, entrant: Entrant, field: Field) -> Confidence | None:
        """How sure the answer of an entrant is, from where the rule takes that; None if it is not known."""
        ...

    def agreement(self, field: Field) -> Agreement | None:
        """How the answers agree; None where no consensus is sought."""
        ...
