"""A race as its rule sees it: the candidates, and what has happened to them so far.

Holds no task and no clock, so that a race can be told as a list of events alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from paceline_server.completion.answer import Completion
from paceline_server.completion.immutable import immutable
from paceline_server.strategies.clock import NEVER
from paceline_server.strategies.racing.answer_keys import AnswerKeys


class Standing(Enum):
    """How far a candidate has come.

    Attributes:
        WAITING: It has not been started.
        RUNNING: It has been started and has written nothing.
        WRITING: It has written content (streaming only).
        ANSWERED: Its answer is complete and not empty.
        OUT: It will give no answer: failed, timed out, skipped, rejected or cancelled.
    """

    WAITING = "waiting"
    RUNNING = "running"
    WRITING = "writing"
    ANSWERED = "answered"
    OUT = "out"


@dataclass(slots=True)
class Entrant:
    """A candidate as a rule sees it. Times are on the event loop's clock, in seconds.

    Attributes:
        priority: Higher ones start first and win ties.
        win_rate: The shrunk and decayed share of races that its target won, above 0 and at most 1.
        quality: How good its target's answers are, from 0 to 1, as learned or configured; None if unknown.
        hedge_delay: Seconds that it may stay silent before another is worth starting (hedged only).
        ready: While WAITING: one of its targets may be called now.
        finish_rank: Its place in the order of complete answers, from 1; 0 as long as it has none.
        blocks_others: It ended for a fault of the request itself, so that starting another is no use.
    """

    index: int
    priority: int = 0
    standing: Standing = Standing.WAITING
    win_rate: float = 0.5
    quality: float | None = None
    hedge_delay: float = NEVER
    ready: bool = True
    started_at: float | None = None
    first_content_at: float | None = None
    ended_at: float | None = None
    finish_rank: int = 0
    completion: Completion | None = None
    blocks_others: bool = False

    @property
    def running(self) -> bool:
        """Whether it may still give an answer without being started."""
        return self.standing in (Standing.RUNNING, Standing.WRITING)

    @property
    def has_content(self) -> bool:
        """Whether it has written content and has not failed since."""
        return self.standing in (Standing.WRITING, Standing.ANSWERED)

    @property
    def has_answered(self) -> bool:
        """Whether its answer is complete."""
        return self.standing is Standing.ANSWERED


@immutable(frozen=True, slots=True)
class Judgement:
    """What a judge said; empty if he failed or answered rubbish, and then the next rule decides.

    Attributes:
        scores: By candidate index, from 0 to 1.
        groups: Candidates whose answers mean the same.
    """

    scores: Mapping[int, float]
    groups: Sequence[Sequence[int]] = ()


@dataclass(slots=True)
class Field:
    """What has happened in a race so far.

    Attributes:
        entrants: All candidates, in the order of their indices.
        streaming: Content is seen as it is written; else only complete answers are.
        time_is_up: The race must be decided now, with what is there.
        hedges_refused: The bucket of hedges is empty: no further start in this race.
        judgement: What the judge said, once asked; None until then.
        keys: What answers are compared by, as far as it was computed.
    """

    entrants: Sequence[Entrant]
    streaming: bool = False
    time_is_up: bool = False
    hedges_refused: bool = False
    judgement: Judgement | None = None
    keys: AnswerKeys = dataclasses.field(default_factory=AnswerKeys, repr=False, compare=False)

    def those(self, *standings: Standing) -> list[Entrant]:
        """The candidates with one of these standings, by index."""
        return [entrant for entrant in self.entrants if entrant.standing in standings]

    @property
    def answered(self) -> list[Entrant]:
        """Those with a complete answer."""
        return self.those(Standing.ANSWERED)

    @property
    def completions(self) -> dict[int, Completion]:
        """The complete answers, by the index of their candidate."""
        return {one.index: one.completion for one in self.answered if one.completion is not None}

    @property
    def anyone_running(self) -> bool:
        """Whether anyone may still give an answer without being started."""
        return any(entrant.running for entrant in self.entrants)

    def sole_survivor(self, chosen: Entrant) -> bool:
        """Whether all others had failed or were never started when `chosen` is selected."""
        return len(self.entrants) > 1 and all(
            entrant.standing in (Standing.OUT, Standing.WAITING)
            for entrant in self.entrants
            if entrant is not chosen
        )


def by_priority(entrants: Sequence[Entrant]) -> list[Entrant]:
    """The most urgent first: higher priority, then lower index."""
    return sorted(entrants, key=lambda entrant: (-entrant.priority, entrant.index))
