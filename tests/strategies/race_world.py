"""Everything around one race: what a chain's world has, and a client that holds the stream to the contract.

What must hold of a race once it is over, whatever was played in it, is the business of `race_checks`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from paceline_server.completion.answer import Completion, Target
from paceline_server.completion.attempt import (
    Attempt,
    AttemptEnded,
    AttemptStarted,
    CallEvent,
    OutputDiscarded,
)
from paceline_server.completion.content import Text
from paceline_server.completion.deltas import Delta, Fold
from paceline_server.completion.errors import CallFailed, ErrorReason
from paceline_server.completion.race import (
    CandidateDelta,
    CandidateEnded,
    CandidateOutputDiscarded,
    CandidateReport,
    CandidateStarted,
    RaceEvent,
    RaceSummary,
    WinnerSelected,
)
from paceline_server.health.budget import BudgetConfig
from paceline_server.providers.profile import Profile
from paceline_server.routing.performance import Performance
from paceline_server.strategies import engine
from paceline_server.strategies.call import AttemptConfig, Call, ChainOptions
from paceline_server.strategies.chain import Chain
from paceline_server.strategies.delivery import NEVER_SENT
from paceline_server.strategies.model import Model
from paceline_server.strategies.race import Race
from paceline_server.strategies.racing.candidate import Candidate
from paceline_server.strategies.racing.limits import NO_LIMITS, RaceLimits
from paceline_server.strategies.racing.rule import Rule
from tests.strategies.scripted import Script
from tests.strategies.world import World
from tests.virtual_time import now

PURSE = BudgetConfig(share_of_calls=0.0, per_second=0.0, burst=1000.0, start=1000.0)
"""A bucket that nothing fills, so that what was taken of it can be counted."""


def candidate_of(attempt: Attempt) -> int | None:
    """For which candidate of the outermost race an attempt was made; None for the judge."""
    step = attempt.path.split("/")[0]
    return int(step.removeprefix("race[").removesuffix("]")) if step.startswith("race[") else None


@dataclass(slots=True)
class RaceClient:
    """A caller of a streamed race; `pause` is how long it takes over each delta.

    Attributes:
        told: Whether it is told of the race; that of a chain is not.
        fold: What stands of the answer.
        folds: ... and of what those wrote who had not won, by candidate.
        selections: Each selection, and whether the candidate still wrote then.
    """

    pause: float = 0.0
    told: bool = True
    events: list[CallEvent | RaceEvent] = field(default_factory=list)
    fold: Fold = field(default_factory=Fold)
    folds: dict[int, Fold] = field(default_factory=dict)
    running: dict[int, Attempt] = field(default_factory=dict)
    indices: set[int] = field(default_factory=set)
    continuing: set[int] = field(default_factory=set)
    started: list[int] = field(default_factory=list)
    ended: dict[int, CandidateReport] = field(default_factory=dict)
    selections: list[tuple[WinnerSelected, bool]] = field(default_factory=list)

    @property
    def started_first(self) -> list[int]:
        """The candidates that started before anybody was selected."""
        kinds = [type(event) for event in self.events]
        before = kinds.index(WinnerSelected) if WinnerSelected in kinds else len(kinds)
        return [event.index for event in self.events[:before] if isinstance(event, CandidateStarted)]

    @property
    def selected(self) -> int | None:
        """Who has been told to have won last."""
        return self.selections[-1][0].index if self.selections else None

    async def sink(self, event: CallEvent) -> None:
        """Take an event of the call, and hold it to the grammar."""
        self.events.append(event)
        match event:
            case AttemptStarted(attempt, continues):
                self._attempt_started(attempt, continues=continues)
            case AttemptEnded(attempt):
                self._attempt_ended(attempt)
            case OutputDiscarded(index):
                assert self.fold, "nothing was there to discard"
                assert index in self.indices
                self.fold.clear()
            case Delta():
                assert self.selected is not None or not self.told, "a delta before anybody was selected"
                assert not self.ended, "a delta after the end"
                self.fold.add(event)
        await asyncio.sleep(self.pause if isinstance(event, Delta) else 0)

    async def tell(self, event: RaceEvent) -> None:
        """Take an event of the race, and hold it to the grammar."""
        self.events.append(event)
        match event:
            case CandidateStarted(index):
                assert index not in self.started, "a candidate started twice"
                self.started.append(index)
            case WinnerSelected(index):
                self._selected(event, index)
            case CandidateDelta(index, delta):
                assert index in self.started
                assert index != self.selected, "a winner's delta came as a loser's"
                assert index not in self.ended
                self.folds.setdefault(index, Fold()).add(delta)
            case CandidateOutputDiscarded(index):
                assert self.folds.get(index), "a candidate had nothing to discard"
                self.folds[index].clear()
            case CandidateEnded(report):
                self._candidate_ended(report)
        await asyncio.sleep(0)

    def of_kind(self, kind: type[CallEvent | RaceEvent]) -> list[Any]:
        """All events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def _attempt_started(self, attempt: Attempt, *, continues: bool) -> None:
        index = candidate_of(attempt)
        if continues:
            self.continuing.add(attempt.index)
        assert attempt.index not in self.indices, "an index came twice"
        known = index in self.started or index is None or not self.told
        assert known, "an attempt of a candidate that had not started"
        assert index not in self.ended, "an attempt of a candidate that had ended"
        self.indices.add(attempt.index)
        self.running[attempt.index] = attempt

    def _attempt_ended(self, attempt: Attempt) -> None:
        assert attempt.outcome is not None
        assert candidate_of(attempt) not in self.ended, "an attempt ended after its candidate"
        if attempt.outcome in NEVER_SENT and attempt.index not in self.running:
            assert attempt.index not in self.indices, "an index came twice"
            self.indices.add(attempt.index)
        else:
            del self.running[attempt.index]

    def _selected(self, event: WinnerSelected, index: int) -> None:
        assert index in self.started, "a candidate won that had not started"
        assert not self.ended
        own = [attempt.index for attempt in self.running.values() if candidate_of(attempt) == index]
        goes_on = bool(self.continuing.intersection(own))
        assert not self.fold or goes_on, "another was selected before what stood was discarded"
        self.selections.append((event, bool(own)))

    def _candidate_ended(self, report: CandidateReport) -> None:
        assert report.index not in self.ended, "a candidate ended twice"
        assert report.outcome is not None
        assert all(candidate_of(attempt) != report.index for attempt in self.running.values())
        self.ended[report.index] = report


@dataclass(slots=True)
class RaceOutcome:
    """How a call of a race ended, at which time on the loop's clock."""

    call: Call
    race: Race | Chain
    client: RaceClient
    streaming: bool
    completion: Completion | None = None
    error: CallFailed | None = None
    cancelled: bool = False
    at: float = 0.0

    @property
    def summary(self) -> RaceSummary:
        """What is told of the race."""
        record = self.call.record.race
        assert record is not None, "a race left no record"
        return record.summary()

    @property
    def answer(self) -> str:
        """The text of the answer."""
        assert self.completion is not None, f"no answer: {self.error}"
        return "".join(part.kind.text for part in self.completion.parts if isinstance(part.kind, Text))

    @property
    def reason(self) -> ErrorReason:
        """The reason of the error."""
        assert self.error is not None, f"no error but {self.completion}"
        return self.error.reason

    @property
    def outcomes(self) -> list[str]:
        """How each candidate ended, in the order of their indices."""
        return [one.outcome.value if one.outcome else "" for one in self.summary.candidates]

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts as booked."""
        return self.call.record.attempts


class Scores(Performance):
    """Keeps also which races it was told of: the winner and the losers of each."""

    def __init__(self) -> None:
        """Start with none, on the loop's clock."""
        super().__init__(now=asyncio.get_running_loop().time)
        self.races: list[tuple[Target | None, tuple[Target, ...]]] = []

    def raced(self, winner: Target | None, losers: Iterable[Target]) -> None:
        """Note it."""
        known = tuple(losers)
        self.races.append((winner, known))
        super().raced(winner, known)


class RaceWorld(World):
    """A world whose targets race.

    Attributes:
        scores: What it was told of races.
        benched: What was benched before any call.
    """

    def __init__(
        self,
        scripts: Mapping[str, Script | Sequence[Script]],
        *,
        config: AttemptConfig | None = None,
        profiles: Mapping[str, Profile] | None = None,
        hedges: BudgetConfig = PURSE,
    ) -> None:
        """Make a world on the running loop; `scripts` by target, as "provider/model"."""
        self.scores = Scores()
        super().__init__(
            scripts, config=config, budget=PURSE, hedges=hedges, performance=self.scores, profiles=profiles
        )
        self.hedge_count = int(hedges.start or 0)
        self.benched: set[str] = set()

    def candidate(self, model: Model | str, **settings: Any) -> Candidate:
        """A candidate; a name stands for the chain of one, as assembled."""
        if isinstance(model, str):
            return Candidate(self.chain(model), model, **settings)
        return Candidate(model, repr(model), **settings)

    def chain_of(self, models: Sequence[Model]) -> Chain:
        """A chain of any models."""
        return Chain(models, self.surroundings)

    def bench(self, name: str) -> None:
        """Bench a target as its own failures do it."""
        before = self.penalised
        super().bench(name)
        self.benched |= self.penalised - before

    def race(
        self,
        rule: Rule,
        *candidates: Candidate | Model | str,
        limits: RaceLimits = NO_LIMITS,
        judge: Model | str | None = None,
    ) -> Race:
        """A race; without candidates all targets run in it."""
        entrants = [
            one if isinstance(one, Candidate) else self.candidate(one) for one in candidates or self.names
        ]
        judging = self.chain(judge) if isinstance(judge, str) else judge
        return Race(entrants, rule, self.surroundings, limits=limits, judge=judging)

    async def run(
        self,
        race: Race | Chain,
        *,
        streaming: bool = True,
        call: Call | None = None,
        client: RaceClient | None = None,
        within: float = 300.0,
        tells_all: bool = False,
        cancel_after: float | None = None,
        **options: Any,
    ) -> RaceOutcome:
        """Make one call to its end, or until its caller leaves after `cancel_after` seconds."""
        call = call or self.call(ChainOptions(**options), within=within)
        call.tells_all = tells_all
        outcome = RaceOutcome(call, race, client or RaceClient(), streaming)
        task = asyncio.create_task(self.answer(outcome))
        await asyncio.wait([task], timeout=cancel_after)
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        outcome.at = now()
        if task.cancelled():
            outcome.cancelled = True
            return outcome
        try:
            outcome.completion = task.result()
        except CallFailed as error:
            outcome.error = error
        return outcome

    def answer(self, outcome: RaceOutcome) -> Coroutine[Any, Any, Completion]:
        """What the call of `outcome` awaits."""
        call, race, client = outcome.call, outcome.race, outcome.client
        if outcome.streaming and isinstance(race, Chain):
            return engine.stream(call, race, client.sink, now=self.health.now)
        if outcome.streaming and isinstance(race, Race):
            return engine.stream_race(call, race, client.sink, client.tell, now=self.health.now)
        return engine.complete(call, race, now=self.health.now)

    @property
    def taken(self) -> int:
        """How many additional attempts the fleet's budget has paid for; asked once, at the end."""
        return int(PURSE.burst) - _left(self.budget)

    @property
    def hedged(self) -> int:
        """How many hedges were paid for; asked once, at the end."""
        return self.hedge_count - _left(self.hedges)


def _left(budget: Any) -> int:
    count = 0
    while budget.spend():
        count += 1
    return count
