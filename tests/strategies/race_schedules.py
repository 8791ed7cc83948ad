"""Random races: candidates that answer, fail, break, stall and ignore their end wherever chance has it.

Drawn from one seeded source of randomness a schedule, so that a seed is enough to play it again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from string import ascii_uppercase

from paceline_server.completion.answer import Confidence, ConfidenceSource, FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.deltas import Delta
from paceline_server.completion.usage import Price
from paceline_server.health.budget import BudgetConfig
from paceline_server.providers.profile import Profile
from paceline_server.strategies.call import ChainOptions, Recovery
from paceline_server.strategies.chain import Chain
from paceline_server.strategies.model import Model
from paceline_server.strategies.race import Race
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.equivalence import Equivalence
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.hedged import Hedged
from paceline_server.strategies.racing.limits import NO_LIMITS, RaceLimits
from paceline_server.strategies.racing.quality import Quality
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.racing.weighted import Weighted
from tests.strategies.race_world import PURSE, RaceWorld
from tests.strategies.scripted import (
    PING,
    Break,
    Deaf,
    End,
    Read,
    Script,
    Silence,
    Step,
    Wait,
    text,
    thought,
    tool_call,
    unwritable,
)

NAMES = ("a/v", "b/w", "a/x", "c/y", "d/z")
"""Two targets of one provider, so that a provider's fault has something to bar."""

JUDGE = "j/judge"
LONG_SILENCE = 100.0

RULES: Mapping[str, Callable[[Random], Rule]] = {
    "first": lambda _rng: First(),
    "first with grace": lambda rng: First(grace=rng.choice([0.5, 1.0, 30.0])),
    "first with minimum confidence": lambda rng: First(
        grace=rng.choice([0.0, 1.0]), minimum_confidence=rng.choice([0.3, 0.5])
    ),
    "hedged": lambda rng: Hedged(delay=rng.choice([None, 0.5, 1.0]), max_hedge_count=rng.randint(0, 4)),
    "best by logprobs": lambda _rng: Best(),
    "best by judge": lambda _rng: Best(Scorer.JUDGE, judge=JUDGE),
    "best by agreement": lambda _rng: Best(Scorer.AGREEMENT),
    "weighted": lambda _rng: Weighted(),
    "quality": lambda rng: Quality(grace=rng.choice([None, 0.0, 1.0])),
} | {
    f"consensus by {equivalence.value}": lambda rng, equivalence=equivalence: Consensus(  # type: ignore[misc]
        equivalence,
        quorum=rng.choice([None, None, 1, 2, 3]),
        minimum_agreement=rng.choice([0.0, 0.0, 0.5, 1.0]),
        judge=JUDGE,
    )
    for equivalence in Equivalence
}
NESTED = (
    "first",
    "first with grace",
    "hedged",
    "best by agreement",
    "consensus by normalized_text",
    "weighted",
)

_PAUSES = (0.0, 0.0, 0.0, 0.5, 0.5, 1.0, 1.0, 2.0, 3.0, 20.0)
_ANSWERS = ("yes", "Yes.", "yes", "no", "42", "42.0", '{"a": 1}', '{"a": 1.0}')
_CONFIDENCES = (None, 0.2, 0.4, 0.4, 0.9)


@dataclass(frozen=True, slots=True)
class Entrant:
    """A candidate: a chain of targets, or of races of them."""

    chain: tuple[str | Nested, ...]
    priority: int = 0
    quality: float | None = None

    def model(self, world: RaceWorld) -> Model:
        """The chain, which a chain of one is, too."""
        models = [one.race(world) if isinstance(one, Nested) else world.model(one) for one in self.chain]
        return world.chain_of(models)


@dataclass(frozen=True, slots=True)
class Nested:
    """A race within another, or that itself."""

    rule: Rule
    entrants: tuple[Entrant, ...]
    limits: RaceLimits = NO_LIMITS

    def race(self, world: RaceWorld) -> Race:
        """The race in `world`."""
        candidates = [
            world.candidate(one.model(world), priority=one.priority, quality=one.quality)
            for one in self.entrants
        ]
        return world.race(self.rule, *candidates, limits=self.limits, judge=JUDGE)


@dataclass(frozen=True, slots=True)
class Schedule:
    """One call of one race, with all that chance has in it.

    Attributes:
        cancel_after: When the caller leaves; None for never.
        pause: How long he takes over each delta.
        before: Targets that the race stands behind in a chain.
        behind: Targets that stand behind it.
        obedient: Providers hold to the most tokens that they are told.
    """

    race: Nested
    scripts: Mapping[str, Sequence[Script]]
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    options: ChainOptions = field(default_factory=ChainOptions)
    streaming: bool = True
    tells_all: bool = False
    within: float = 300.0
    cancel_after: float | None = None
    pause: float = 0.0
    benched: tuple[str, ...] = ()
    hedges: BudgetConfig = PURSE
    before: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()
    obedient: bool = False

    @property
    def is_chain(self) -> bool:
        """Whether the race stands in a chain."""
        return bool(self.before or self.behind)

    def model(self, world: RaceWorld) -> Race | Chain:
        """What is called."""
        race = self.race.race(world)
        if not self.is_chain:
            return race
        return world.chain_of([*map(world.model, self.before), race, *map(world.model, self.behind)])

    def world(self) -> RaceWorld:
        """A world for it, with all that is benched."""
        world = RaceWorld(self.scripts, profiles=self.profiles, hedges=self.hedges)
        for provider in world.providers.values():
            provider.obedient = self.obedient
        for name in self.benched:
            world.bench(name)
        return world


def drawn(strategy: str, seed: int, *, deaf: bool = True) -> Schedule:
    """The schedule of this number of a strategy; if `deaf`, some ignore that they are to end."""
    rng = Random(f"{strategy} {seed}")
    count = rng.choice([1, 2, 2, 3, 3, 3, 4, 5])
    names = NAMES[: rng.randint(max(1, count - 1), 5)]
    entrants = tuple(_entrant(rng, names) for _ in range(count))
    stands = rng.random()
    deaf = rng.random() < 0.2 and stands >= 0.15 and deaf
    bounded = rng.random() < 0.25
    return Schedule(
        race=Nested(RULES[strategy](rng), entrants, _limits(rng, bounded=bounded)),
        scripts={name: [_script(rng, deaf=deaf) for _ in range(rng.randint(1, 3))] for name in names}
        | {JUDGE: [_judge(rng, count)]},
        profiles={name: _profile(rng) for name in (*names, JUDGE)},
        options=_options(rng),
        streaming=rng.random() < 0.7,
        tells_all=rng.random() < 0.5,
        within=rng.choice([1.5, 4.0, 40.0, 300.0, 300.0]),
        cancel_after=rng.choice([0.0, 0.5, 1.0, 2.5]) if rng.random() < 0.1 else None,
        pause=rng.choice([0.0, 0.0, 0.0, 0.5]),
        benched=tuple(name for name in names if rng.random() < 0.12),
        hedges=BudgetConfig(0.0, 0.0, 1000.0, rng.choice([0.0, 1.0, 1000.0, 1000.0])),
        before=(rng.choice(names),) if stands < 0.05 else (),
        behind=(rng.choice(names),) if 0.05 < stands < 0.15 else (),
        obedient=bounded,
    )


def _entrant(rng: Random, names: Sequence[str]) -> Entrant:
    form = rng.random()
    chain: tuple[str | Nested, ...]
    if form < 0.65:
        chain = (rng.choice(names),)
    elif form < 0.82:
        chain = (rng.choice(names), rng.choice(names))
    else:
        inner = tuple(Entrant((rng.choice(names),)) for _ in range(rng.randint(1, 2)))
        limits = RaceLimits(decision_timeout=rng.choice([None, None, 1.0]))
        nested = Nested(RULES[rng.choice(NESTED)](rng), inner, limits)
        chain = (nested,) if form < 0.94 else (nested, rng.choice(names))
    return Entrant(chain, rng.choice([0, 0, 1]), rng.choice([None, 0.3, 0.8]))


def _limits(rng: Random, *, bounded: bool) -> RaceLimits:
    if rng.random() < 0.5 and not bounded:
        return NO_LIMITS
    return RaceLimits(
        max_cost_nano_usd=rng.choice([None, 0, 6000, 20_000, 50_000]) if bounded else None,
        max_output_token_count=rng.choice([None, 1, 3, 12]) if bounded else None,
        max_started_count=rng.choice([None, 1, 2, 4]) if bounded else None,
        decision_timeout=rng.choice([None, 0.25, 1.0, 3.0]),
        first_content_timeout=rng.choice([None, 0.75]),
        candidate_timeout=rng.choice([None, None, 0.5, 2.0]),
    )


def _options(rng: Random) -> ChainOptions:
    return ChainOptions(
        recovery=rng.choice(list(Recovery)),
        hold_token_count=rng.choice([None, 0, 2]),
        transient_retry_count=rng.choice([None, None, 0, 2]),
        advance_on_permanent=rng.random() < 0.3,
        overtake_after=rng.choice([0.0, 0.0, 0.5]),
    )


def _profile(rng: Random) -> Profile:
    return Profile(
        price=Price(1_000_000_000, 2_000_000_000) if rng.random() < 0.9 else None,
        accepts_prefill=rng.random() < 0.6,
        bills_after_cancel=rng.random() < 0.3,
    )


def _script(rng: Random, *, deaf: bool) -> Script:
    before = _pause(rng)
    if deaf and rng.random() < 0.4:
        before = (Deaf(rng.choice([1.0, 4.0, 20.0])),)
    form = rng.random()
    if form < 0.10:
        return Script((), (*before, _break(rng)))
    # Who has not heard that it is to end must end by itself.
    silence = Wait(LONG_SILENCE) if deaf else Silence()
    if form < 0.14:
        return Script((), (*before, silence))
    if form < 0.17:
        return unwritable(rng.choice([FailureClass.UNSUPPORTED, FailureClass.INVALID_REQUEST]))
    if form < 0.24:
        return Script((*_nothing(rng), *_pause(rng), _end(rng)), before)
    content = _content(rng, deaf=deaf)
    if form < 0.40:
        return Script((*content, *_pause(rng), _break(rng)), before)
    if form < 0.46:
        return Script((*content, silence), before)
    if form < 0.48:
        return Script(content, before)
    return Script((*content, *_pause(rng), _end(rng)), before)


def _content(rng: Random, *, deaf: bool) -> tuple[Step, ...]:
    words = rng.choice(_ANSWERS)
    thoughts = int(rng.random() < 0.25)
    reads: list[Read] = list(thought(*["hm"] * thoughts))
    if rng.random() < 0.15:
        reads += [Read((delta,)) for delta in tool_call(thoughts, words)]
    else:
        reads += text(*words, part=thoughts)
    steps: list[Step] = [*_pause(rng)]
    for read in reads[: rng.randint(1, len(reads))] if rng.random() < 0.2 else reads:
        steps.append(read)
        if rng.random() < 0.3:
            steps += _pause(rng)
        if deaf and rng.random() < 0.1:
            steps.append(Deaf(rng.choice([1.0, 4.0])))
    return tuple(steps)


def _nothing(rng: Random) -> tuple[Step, ...]:
    """What says nothing: not a word, thoughts alone, or white space."""
    blank: tuple[Delta, ...] = text(" ")[0].deltas
    return rng.choice([(PING,), thought("hm"), (Read(blank),)])


def _pause(rng: Random) -> tuple[Step, ...]:
    return (Wait(rng.choice(_PAUSES)),)


def _break(rng: Random) -> Break:
    failure_class = rng.choice([FailureClass.TRANSIENT] * 4 + list(FailureClass))
    return Break(failure_class, rng.choice([None, None, 0.0, 1.0, 90.0]))


def _end(rng: Random) -> End:
    filtered = rng.random() < 0.05
    value = rng.choice(_CONFIDENCES)
    confidence = None if value is None else Confidence(value, ConfidenceSource.LOGPROBS)
    reason = FinishReason.CONTENT_FILTER if filtered else FinishReason.STOP
    return End(reason, None, confidence) if rng.random() < 0.2 else End(reason, confidence=confidence)


def _judge(rng: Random, count: int) -> Script:
    """One who scores or groups some of the answers, or does something else."""
    if rng.random() < 0.3:
        return _script(rng, deaf=False)
    labels = ascii_uppercase[: rng.randint(1, count)]
    said = (
        {"scores": {label: rng.randint(0, 10) for label in labels}}
        if rng.random() < 0.6
        else {"groups": [list(labels[:2]), list(labels[2:])]}
    )
    return Script((*_pause(rng), *text(json.dumps(said)), End()))
