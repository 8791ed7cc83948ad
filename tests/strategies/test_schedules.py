"""Random schedules: up to four targets that fail, break, stall and answer wherever chance has it (C1 to C5).

`schedules` says what a chain must do, by the rules and from its scripts alone; the chain must do that. The
client of `world` holds each stream to the contract meanwhile, and the world looks for what is left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline_server.completion.answer import Completion
from paceline_server.completion.attempt import AttemptOutcome
from paceline_server.completion.errors import CallFailed, ErrorReason
from paceline_server.completion.usage import Price, Usage, total_usage
from paceline_server.health.budget import BudgetConfig
from paceline_server.providers.profile import Profile
from paceline_server.strategies import engine
from paceline_server.strategies.call import ChainOptions, Recovery
from paceline_server.strategies.chain import Chain
from paceline_server.strategies.delivery import NEVER_SENT
from paceline_server.strategies.model import Model
from tests.strategies.cancelling import BUDGET, Stepper, check_left_behind
from tests.strategies.schedules import LONG, NAMES, Expected, Reading, breaking, options, plays
from tests.strategies.scripted import Script
from tests.strategies.world import PLENTY, Client, Outcome, World
from tests.virtual_time import virtual_time


def check(outcome: Outcome, expected: Expected, world: World) -> None:
    """Hold what was done to what the rules say."""
    assert world.called == expected.called
    assert outcome.client.discarded_count == expected.discarded_count
    if expected.parts is not None:
        assert outcome.completion is not None, outcome.error
        assert outcome.completion.parts == expected.parts
        sent = [attempt for attempt in outcome.attempts if attempt.outcome is not AttemptOutcome.SKIPPED]
        writers = [sent[index].usage for index in expected.writers]
        assert outcome.completion.usage == total(writers), "the usage of the answer is that of its writers"
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


def total(usages: Iterable[Usage | None]) -> Usage:
    """The sum, of at least one; as it is where there is one only."""
    known = [usage for usage in usages if usage is not None]
    return known[0] if len(known) == 1 else total_usage(known)


def model_of(world: World, split: int) -> Model:
    """All targets as a chain; with a `split` the tail is a chain in the chain, which makes no difference."""
    names = world.names
    if not 0 < split < len(names):
        return world.chain()
    return Chain(
        [*(world.model(name) for name in names[:split]), world.chain(*names[split:])], world.surroundings
    )


def world_of(
    plays: list[list[Script]], prefilled: Collection[str] = (), budget: BudgetConfig = PLENTY
) -> World:
    """A world of the targets that the plays are for."""
    names = NAMES[: len(plays)]
    profiles = {name: Profile(Price(1000, 2000), accepts_prefill=name in prefilled) for name in names}
    return World(dict(zip(names, plays, strict=True)), profiles=profiles, budget=budget)


rests = st.lists(st.sampled_from([0.0, 1.0, 6.0, 40.0]), max_size=8)
prefills = st.one_of(st.just(frozenset(NAMES)), st.frozensets(st.sampled_from(NAMES)))
RANDOM = settings(max_examples=2000, suppress_health_check=[HealthCheck.too_slow])


@RANDOM
@given(plays=plays, options=options, split=st.integers(0, 3), pause=st.sampled_from([0.0, 0.0, 20.0]))
@virtual_time
async def test_any_stream_goes_as_the_rules_say(
    plays: list[list[Script]], options: ChainOptions, split: int, pause: float
) -> None:
    """C1 to C5, stream rules 1 to 5: whatever the targets do, and wherever they break."""
    world = world_of(plays)

    outcome = await world.stream(
        model_of(world, split), client=Client(pause), call=world.call(options, within=LONG)
    )

    check(outcome, Reading(world.names, plays, options, streams=True).read(), world)


@RANDOM
@given(plays=breaking, options=options, prefilled=prefills, pause=st.sampled_from([0.0, 20.0]))
@virtual_time
async def test_any_continued_stream_goes_as_the_rules_say(
    plays: list[list[Script]], options: ChainOptions, prefilled: frozenset[str], pause: float
) -> None:
    """C5, stream rules 3 and 4: whoever can goes on where it broke, and what is folded is the answer."""
    world = world_of(plays, prefilled)
    options = replace(options, recovery=Recovery.CONTINUE)

    outcome = await world.stream(client=Client(pause), call=world.call(options, within=LONG))

    check(outcome, Reading(world.names, plays, options, streams=True, prefilled=prefilled).read(), world)


@settings(RANDOM, max_examples=500)
@given(plays=plays, options=options, split=st.integers(0, 3))
@virtual_time
async def test_any_unary_call_goes_as_the_rules_say(
    plays: list[list[Script]], options: ChainOptions, split: int
) -> None:
    """C1 to C5: a unary call recovers silently, whatever the recovery says."""
    world = world_of(plays, NAMES)

    outcome = await world.complete(model_of(world, split), call=world.call(options, within=LONG))

    check(outcome, Reading(world.names, plays, options, streams=False).read(), world)


@settings(RANDOM, max_examples=200)
@given(
    plays=plays,
    options=options,
    prefilled=prefills,
    rests=st.lists(st.sampled_from([0.0, 1.0, 6.0, 40.0]), max_size=8),
)
@virtual_time
async def test_calls_in_a_row_keep_the_books_in_order(
    plays: list[list[Script]], options: ChainOptions, prefilled: frozenset[str], rests: list[float]
) -> None:
    """H1 to H3, C5: over many calls with benches, probes and ramps the grammar and the books hold."""
    world = world_of(plays, prefilled)

    for rest in rests:
        await asyncio.sleep(rest)
        outcome = await world.stream(call=world.call(options, within=LONG))
        sent = [attempt for attempt in outcome.attempts if attempt.outcome not in NEVER_SENT]
        assert len(sent) == outcome.call.record.started_count <= 9
        assert [attempt.index for attempt in outcome.attempts] == list(range(len(outcome.attempts)))

    assert sum(call.reached for call in world.calls) <= 9 * len(rests)


@settings(RANDOM, max_examples=500)
@given(
    plays=plays,
    options=options,
    prefilled=prefills,
    split=st.integers(0, 3),
    at=st.integers(0, 60),
    late=st.booleans(),
)
@virtual_time
async def test_any_call_can_be_cancelled_anywhere(
    plays: list[list[Script]],
    options: ChainOptions,
    prefilled: frozenset[str],
    split: int,
    at: int,
    *,
    late: bool,
) -> None:
    """A4, A6, H2: at any wait of any schedule nothing is left behind, and each attempt is booked once."""
    world = world_of(plays, prefilled, BUDGET)
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
