"""Random schedules: up to four targets that fail, break, stall and answer wherever chance has it (C1 to C5).

A few lines say what a chain must do, by the rules and from its scripts alone; the chain must do that. The
client of `world` holds each stream to the contract meanwhile, and the world looks for what is left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline_server.completion.answer import Completion
from paceline_server.completion.attempt import AttemptOutcome, FailureClass
from paceline_server.completion.deltas import Delta, character_count, fold
from paceline_server.completion.errors import CallFailed, ErrorReason
from paceline_server.completion.usage import Price, total_usage
from paceline_server.health.classes import CONSEQUENCES, Advance
from paceline_server.providers.profile import Profile
from paceline_server.strategies import engine
from paceline_server.strategies.call import AttemptConfig, ChainOptions, Recovery
from paceline_server.strategies.chain import Chain
from paceline_server.strategies.model import Model
from tests.strategies.cancelling import BUDGET, Stepper, check_left_behind
from tests.strategies.scripted import (
    PING,
    Break,
    End,
    Read,
    Script,
    Silence,
    Step,
    Wait,
    deltas_in,
    hangs,
    refuses,
    text,
    tool_call,
)
from tests.strategies.world import Client, Outcome, World
from tests.virtual_time import virtual_time

NAMES = ("a/w", "b/x", "a/y", "c/z")
"""Two targets of one provider, so that a provider's fault has something to bar."""

LONG = 3600.0


# What chance may play

failure_classes = st.sampled_from(FailureClass)
retry_afters = st.sampled_from([None, 0.0, 1.0, 5.0, 5.5, 90.0])
pauses = st.sampled_from([0.0, 0.0, 1.0, 14.0])


@st.composite
def contents(draw: st.DrawFn) -> tuple[Step, ...]:
    """Reads of text, reasoning and interleaved tool calls, with pauses and pings that trip no clock."""
    word = draw(st.sampled_from(["a", "abcd", "abcd" * 10, "abcd" * 70]))
    reads = list(text(*[word] * draw(st.integers(1, 5))))
    if draw(st.booleans()):
        first, second = tool_call(1, '{"a":', "1}"), tool_call(2, '{"b":', "2}")
        pairs = zip(first, second, strict=True)
        reads += [Read((*pair,)) for pair in pairs]
    steps: list[Step] = []
    for read in reads[: draw(st.integers(1, len(reads)))]:
        steps += [read, Wait(draw(pauses)), PING]
    return tuple(steps)


failures = st.builds(Break, failure_classes.filter(lambda one: one is not FailureClass.TIMEOUT), retry_afters)
scripts = st.one_of(
    st.builds(lambda steps: Script((*steps, End())), contents()),
    st.builds(lambda steps, end: Script((*steps, end)), contents(), failures),
    st.builds(lambda steps: Script((*steps, Silence())), contents()),
    st.builds(lambda end: Script((), (Wait(0.5), end)), failures),
    st.builds(lambda end: Script((PING, end)), failures),
    st.just(hangs()),
    st.just(refuses()),
    st.just(Script((PING, Silence()))),
)
plays = st.lists(st.lists(scripts, min_size=1, max_size=3), min_size=1, max_size=4)
options = st.builds(
    ChainOptions,
    recovery=st.sampled_from(Recovery),
    hold_token_count=st.sampled_from([0, 1, 30, None]),
    transient_retry_count=st.sampled_from([0, None, None, 2]),
    advance_on_permanent=st.booleans(),
)


# What the rules say


@dataclass(slots=True)
class Expected:
    """What a chain must do with its scripts, from the rules alone."""

    called: list[str] = field(default_factory=list)
    answer: Script | None = None
    broken: bool = False
    deadline: bool = False
    discarded_count: int = 0


@dataclass(slots=True)
class Reading:
    """Reads scripts as a chain must; a unary call, which not `streams`, delivers nothing before its end."""

    names: Sequence[str]
    plays: Sequence[Sequence[Script]]
    options: ChainOptions
    streams: bool
    expected: Expected = field(default_factory=Expected)
    released: bool = False
    delivered: bool = False
    barred: set[str] = field(default_factory=set)

    def read(self) -> Expected:
        """Go through the targets head to tail."""
        self.released = self.options.recovery is not Recovery.HOLD or self.options.hold_token_count == 0
        assert AttemptConfig().transient_retry_count == 1
        assert AttemptConfig().hold_token_count == 64
        for position in range(len(self.names)):
            if self._provider(position) not in self.barred and self._target(position):
                break
        return self.expected

    def _provider(self, position: int) -> str:
        return self.names[position].partition("/")[0]

    def _target(self, position: int) -> bool:
        """One target with its retries; whether that was the end of the call."""
        expected = self.expected
        later = range(position + 1, len(self.names))
        untried = sum(self._provider(other) not in self.barred for other in later)
        probing = False
        retry_count = self.options.transient_retry_count
        for try_number in range(1, 2 + (1 if retry_count is None else retry_count)):
            if len(expected.called) == 9:
                return True
            expected.called.append(self.names[position])
            if self.delivered:
                expected.discarded_count += 1
                self.delivered = False
            script = self.plays[position][min(try_number, len(self.plays[position])) - 1]
            end = (*script.before_headers, *script.steps)[-1]
            content = deltas_in(script)
            if isinstance(end, End):
                expected.answer = script
                return True
            if isinstance(end, Silence) and untried == 0 and not (content and self.streams):
                expected.deadline = True
                return True
            self._deliver(content)
            failure = end if isinstance(end, Break) else Break(FailureClass.TIMEOUT)
            consequence = CONSEQUENCES[failure.failure_class]
            if self.delivered and self.options.recovery is Recovery.NONE:
                return True
            if consequence.advance is Advance.ONLY_ON_REQUEST and not self.options.advance_on_permanent:
                return True
            if consequence.advance is Advance.OTHER_PROVIDER:
                self.barred.add(self._provider(position))
            if not self._worth_a_retry(failure, probing=probing, untried=untried):
                return False
            probing = failure.failure_class is FailureClass.RATE_LIMITED
        return False

    def _deliver(self, content: Sequence[Delta]) -> None:
        if not self.streams:
            return
        tokens = -(-sum(character_count(delta.kind) for delta in content) // 4)
        mark = self.options.hold_token_count
        self.released = self.released or (bool(content) and tokens >= (64 if mark is None else mark))
        self.delivered = self.released and bool(content)
        self.expected.broken = self.expected.broken or self.delivered

    def _worth_a_retry(self, failure: Break, *, probing: bool, untried: int) -> bool:
        """A3, C1, C5; a probe that failed has just benched its target."""
        consequence = CONSEQUENCES[failure.failure_class]
        known = failure.retry_after is not None
        return (
            consequence.retry
            and not probing
            and (known or not consequence.retry_needs_delay)
            and (failure.retry_after or 0.0) <= 5.0
            and not (self.delivered and untried > 0)
        )


def check(outcome: Outcome, expected: Expected, world: World) -> None:
    """Hold what was done to what the rules say."""
    assert world.called == expected.called
    assert outcome.client.discarded_count == expected.discarded_count
    if expected.answer is not None:
        assert outcome.completion is not None, outcome.error
        assert outcome.completion.parts == fold(deltas_in(expected.answer))
    elif expected.deadline:
        assert outcome.reason is ErrorReason.DEADLINE_EXCEEDED
    elif expected.broken:
        assert outcome.reason is ErrorReason.STREAM_BROKEN
    else:
        assert outcome.reason not in {ErrorReason.STREAM_BROKEN, ErrorReason.DEADLINE_EXCEEDED}
    succeeded = [attempt for attempt in outcome.attempts if attempt.outcome is AttemptOutcome.SUCCEEDED]
    assert len(succeeded) == (outcome.completion is not None), "on failure there is never a success"
    usages = [attempt.usage for attempt in outcome.attempts if attempt.usage is not None]
    assert outcome.call.record.total_usage() == total_usage(usages)
    for name in world.names:
        assert world.record(name).failures <= 1, "one call counts at most once"


def model_of(world: World, split: int) -> Model:
    """All targets as a chain; with a `split` the tail is a chain in the chain, which makes no difference."""
    names = world.names
    if not 0 < split < len(names):
        return world.chain()
    return Chain([*(world.model(name) for name in names[:split]), world.chain(*names[split:])], world.config)


RANDOM = settings(max_examples=2000, suppress_health_check=[HealthCheck.too_slow])


@RANDOM
@given(plays=plays, options=options, split=st.integers(0, 3), pause=st.sampled_from([0.0, 0.0, 20.0]))
@virtual_time
async def test_any_stream_goes_as_the_rules_say(
    plays: list[list[Script]], options: ChainOptions, split: int, pause: float
) -> None:
    """C1 to C5, stream rules 1 to 5: whatever the targets do, and wherever they break."""
    names = NAMES[: len(plays)]
    world = World(dict(zip(names, plays, strict=True)))

    outcome = await world.stream(
        model_of(world, split), client=Client(pause), call=world.call(options, within=LONG)
    )

    check(outcome, Reading(names, plays, options, streams=True).read(), world)


@settings(RANDOM, max_examples=500)
@given(plays=plays, options=options, split=st.integers(0, 3))
@virtual_time
async def test_any_unary_call_goes_as_the_rules_say(
    plays: list[list[Script]], options: ChainOptions, split: int
) -> None:
    """C1 to C5: a unary call recovers silently, whatever the recovery says."""
    names = NAMES[: len(plays)]
    world = World(dict(zip(names, plays, strict=True)))

    outcome = await world.complete(model_of(world, split), call=world.call(options, within=LONG))

    check(outcome, Reading(names, plays, options, streams=False).read(), world)


@settings(RANDOM, max_examples=200)
@given(plays=plays, options=options, rests=st.lists(st.sampled_from([0.0, 1.0, 6.0, 40.0]), max_size=8))
@virtual_time
async def test_calls_in_a_row_keep_the_books_in_order(
    plays: list[list[Script]], options: ChainOptions, rests: list[float]
) -> None:
    """H1 to H3, C5: over many calls with benches, probes and ramps the grammar and the books hold."""
    world = World(dict(zip(NAMES, plays, strict=False)))

    for rest in rests:
        await asyncio.sleep(rest)
        outcome = await world.stream(call=world.call(options, within=LONG))
        sent = [attempt for attempt in outcome.attempts if attempt.outcome is not AttemptOutcome.SKIPPED]
        assert len(sent) == outcome.call.record.started_count <= 9
        assert [attempt.index for attempt in outcome.attempts] == list(range(len(outcome.attempts)))

    assert len(world.calls) <= 9 * len(rests)


@settings(RANDOM, max_examples=500)
@given(plays=plays, options=options, split=st.integers(0, 3), at=st.integers(0, 60), late=st.booleans())
@virtual_time
async def test_any_call_can_be_cancelled_anywhere(
    plays: list[list[Script]], options: ChainOptions, split: int, at: int, *, late: bool
) -> None:
    """A4, A6, H2: at any wait of any schedule nothing is left behind, and each attempt is booked once."""
    priced = dict.fromkeys(NAMES, Profile(price=Price(1000, 2000)))
    world = World(dict(zip(NAMES, plays, strict=False)), budget=BUDGET, profiles=priced)
    call = world.call(options, within=LONG)
    client = Client()
    stepper = Stepper(engine.stream(call, model_of(world, split), client, now=world.health.now), at, late)

    async def follow() -> Completion:
        return await stepper

    task = asyncio.create_task(follow())
    await asyncio.wait([task])

    assert task.cancelled() == (at < stepper.count)
    if task.cancelled():
        check_left_behind(world, call, client, set())
    else:
        assert task.exception() is None or isinstance(task.exception(), CallFailed)
