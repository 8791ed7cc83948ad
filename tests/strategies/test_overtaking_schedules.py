"""Random schedules in which targets overtake each other: whatever they do, the contract and the books hold.

Who is called when depends on who is slow, so nothing is foretold here. The client of `world` holds each
stream to the contract meanwhile, and the world looks for what is left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paceline_server.completion.answer import Completion
from paceline_server.completion.attempt import AttemptOutcome
from paceline_server.completion.errors import CallFailed
from paceline_server.completion.usage import Price, total_usage
from paceline_server.health.budget import BudgetConfig
from paceline_server.providers.profile import Profile
from paceline_server.strategies import engine
from paceline_server.strategies.call import ChainOptions
from paceline_server.strategies.chain import Chain
from paceline_server.strategies.delivery import NEVER_SENT
from paceline_server.strategies.model import Model
from paceline_server.strategies.race import Candidate, Race
from paceline_server.strategies.racing.first import First
from tests.strategies.cancelling import BUDGET, Stepper, check_left_behind
from tests.strategies.overtaken import left_in
from tests.strategies.schedules import LONG, NAMES, options, plays, scripts
from tests.strategies.scripted import Script, Wait
from tests.strategies.world import Client, Outcome, World
from tests.virtual_time import virtual_time

TOKENS = BudgetConfig(share_of_calls=0.0, per_second=0.0, burst=20.0, start=20.0)
RANDOM = settings(max_examples=1500, suppress_health_check=[HealthCheck.too_slow])


def chained(world: World) -> Model:
    """One after the other."""
    return world.chain()


def raced_first(world: World) -> Model:
    """The first two race, and the others are next."""
    return Chain([_race(world, *world.names[:2]), *map(world.model, world.names[2:])], world.surroundings)


def raced_last(world: World) -> Model:
    """The first is a target, and the others race."""
    others = world.names[1:]
    models: list[Model] = [world.model(world.names[0])]
    return Chain([*models, _race(world, *others)] if others else models, world.surroundings)


def racing_chains(world: World) -> Model:
    """Two chains race."""
    parts = [names for names in (world.names[:2], world.names[2:]) if names]
    return Race([Candidate(world.chain(*names), "") for names in parts], First(), world.surroundings)


def chain_in_chain(world: World) -> Model:
    """The first two are a chain of their own."""
    names = world.names
    return Chain([world.chain(*names[:2]), *map(world.model, names[2:])], world.surroundings)


def _race(world: World, *names: str) -> Race:
    return Race([Candidate(world.chain(name), name) for name in names], First(), world.surroundings)


@st.composite
def slow_plays(draw: st.DrawFn) -> list[list[Script]]:
    """Schedules of whom each takes a while."""
    starts = st.sampled_from([0.0, 0.5, 1.0, 1.0, 1.5, 3.0])
    slow = st.builds(
        lambda script, wait: Script((Wait(wait), *script.steps), script.before_headers), scripts, starts
    )
    drawn: list[list[Script]] = draw(st.lists(st.lists(slow, min_size=1, max_size=2), min_size=1, max_size=4))
    return drawn


trees = st.sampled_from([chained, chained, raced_first, raced_last, racing_chains, chain_in_chain])
delays = st.sampled_from([0.5, 1.0, 1.5, 10.0])
overtaking = st.builds(lambda options, delay: replace(options, overtake_after=delay), options, delays)
prefills = st.one_of(st.just(frozenset(NAMES)), st.frozensets(st.sampled_from(NAMES)))


def world_of(plays: list[list[Script]], prefilled: Collection[str], budget: BudgetConfig = TOKENS) -> World:
    """A world of the targets that the plays are for."""
    names = NAMES[: len(plays)]
    profiles = {name: Profile(Price(1000, 2000), accepts_prefill=name in prefilled) for name in names}
    return World(dict(zip(names, plays, strict=True)), profiles=profiles, budget=budget, hedges=TOKENS)


def check(outcome: Outcome, world: World) -> None:
    """What holds whoever was slow."""
    sent = [attempt for attempt in outcome.attempts if attempt.outcome not in NEVER_SENT]
    assert len(sent) == outcome.call.record.started_count
    unsent = [one for one in sent if one.outcome is AttemptOutcome.CANCELLED and one.usage is None]
    assert sum(call.reached for call in world.calls) == len(sent) - len(unsent)
    assert sorted(one.index for one in outcome.attempts) == list(range(len(outcome.attempts)))
    for target in {one.target for one in sent}:
        tries = sorted(one.try_number for one in sent if one.target == target)
        assert outcome.client.raced or tries == sorted(set(tries)), "a try was counted twice"
    succeeded = [one for one in outcome.attempts if one.outcome is AttemptOutcome.SUCCEEDED]
    usages = [one.usage for one in outcome.attempts if one.usage is not None]
    assert outcome.call.record.total_usage() == total_usage(usages)
    additional = outcome.call.record.additional_count
    assert additional <= 8
    assert left_in(world.budget) == 20 - additional
    assert left_in(world.hedges) >= 20 - additional, "a hedge was paid without a start"
    for name in world.names:
        assert world.record(name).failures <= 1, "one call counts at most once"
    if outcome.completion is not None:
        assert len(succeeded) == 1 or outcome.client.raced, "one success at most"
        assert succeeded
        assert not outcome.client.running
    elif not outcome.client.raced:
        assert not succeeded


@RANDOM
@given(
    plays=st.one_of(slow_plays(), plays),
    options=overtaking,
    prefilled=prefills,
    tree=trees,
    pause=st.sampled_from([0.0, 0.0, 20.0]),
)
@virtual_time
async def test_any_overtaking_stream_keeps_the_contract(
    plays: list[list[Script]],
    options: ChainOptions,
    prefilled: frozenset[str],
    tree: Callable[[World], Model],
    pause: float,
) -> None:
    """C7, C5, C6, stream rules 1 to 5: whoever is slow, breaks or fails, and wherever."""
    world = world_of(plays, prefilled)
    call = world.call(options, within=LONG)
    client = Client(pause, beside=True, raced=tree is not chained)

    outcome = await world.stream(tree(world), client=client, call=call)

    check(outcome, world)


@settings(RANDOM, max_examples=500)
@given(plays=st.one_of(slow_plays(), plays), options=overtaking, tree=trees)
@virtual_time
async def test_any_overtaking_unary_call_keeps_the_books(
    plays: list[list[Script]], options: ChainOptions, tree: Callable[[World], Model]
) -> None:
    """C7, C6: the same for calls that are told at their end."""
    world = world_of(plays, NAMES)
    call = world.call(options, within=LONG)

    outcome = await world.complete(tree(world), call=call)
    outcome.client.raced = tree is not chained

    check(outcome, world)


@settings(RANDOM, max_examples=500)
@given(
    plays=slow_plays(),
    options=overtaking,
    prefilled=prefills,
    tree=trees,
    at=st.integers(0, 80),
    late=st.booleans(),
)
@virtual_time
async def test_any_overtaking_can_be_cancelled_anywhere(
    plays: list[list[Script]],
    options: ChainOptions,
    prefilled: frozenset[str],
    tree: Callable[[World], Model],
    at: int,
    *,
    late: bool,
) -> None:
    """A4, A6, H2: at any wait of any of those nothing is left behind, and each attempt is booked once."""
    world = world_of(plays, prefilled, BUDGET)
    call = world.call(options, within=LONG)
    client = Client(beside=True, raced=tree is not chained)
    stepper = Stepper(engine.stream(call, tree(world), client, now=world.health.now), at, late)

    async def follow() -> Completion:
        return await stepper

    task = asyncio.create_task(follow())
    await asyncio.wait([task])

    assert task.cancelled() == (at < stepper.count)
    if task.cancelled():
        check_left_behind(world, call, client, set())
    else:
        assert task.exception() is None or isinstance(task.exception(), CallFailed)
