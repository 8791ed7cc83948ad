"""The limits of a race at its targets: reserved before a start, settled at its end, told apart (R9)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from paceline_server.completion.errors import ErrorReason
from paceline_server.completion.prompt import GenerationConfig
from paceline_server.completion.usage import Price
from paceline_server.health.budget import BudgetConfig
from paceline_server.providers.profile import Profile
from paceline_server.strategies.call import Call
from paceline_server.strategies.racing.allowance import Allowance
from paceline_server.strategies.racing.limits import RaceLimits
from tests.strategies.scripted import USED, hangs, refuses, says, stalls, unwritable
from tests.strategies.world import World
from tests.virtual_time import virtual_time

PRICED = Profile(price=Price(10**9, 10**9))
"""A thousand nano-dollars a token."""

BILLED_ON = replace(PRICED, bills_after_cancel=True)
INPUT_COUNT = 5
"""Of the prompt, by estimate."""


def limited(world: World, *allowances: Allowance) -> Call:
    """A call of a race with limits."""
    return replace(world.call(), allowances=allowances)


def allowance(**limits: int) -> Allowance:
    """What these limits allow."""
    return Allowance(RaceLimits(**limits))


def used(one: Allowance) -> tuple[int, int, int]:
    """Output tokens, money and starts, reserved and used."""
    return one.output_token_count, one.cost_nano_usd, one.started_count


@virtual_time
async def test_an_attempt_is_held_to_what_it_has_reserved() -> None:
    """R9: the provider is told the maximum, and a body that says so is shared with no other call's."""
    world = World({"a/x": says("well")}, profiles={"a/x": PRICED})
    one = allowance(max_output_token_count=40)
    call = limited(world, one)
    await world.complete(call=call)
    await world.complete(call=replace(call, allowances=()))
    capped, plain = (recorded.request for recorded in world.calls)
    assert capped.prompt == replace(call.prompt, config=GenerationConfig(max_output_token_count=40))
    assert plain.prompt is call.prompt
    assert capped.bodies is not plain.bodies
    assert used(one) == (USED.output_token_count, 10_000, 1)


@virtual_time
async def test_what_needs_no_cap_is_sent_as_it_is() -> None:
    """R9: a prompt that sets less, or a limit on starts alone, changes no request."""
    world = World({"a/x": says("well")}, profiles={"a/x": PRICED})
    for one in (allowance(max_started_count=3), Allowance(RaceLimits())):
        await world.complete(call=limited(world, one))
        assert world.calls[-1].request.prompt is world.call().prompt


@virtual_time
async def test_while_an_attempt_runs_its_reservation_stands_and_leaving_settles_it() -> None:
    """R9, A6: what a cancelled attempt is billed on stays reserved; else only what was seen is."""
    for profile, left in ((BILLED_ON, (20, 25_000, 1)), (PRICED, (1, 6_000, 1))):
        world = World({"a/x": stalls("well")}, profiles={"a/x": profile})
        one = allowance(max_output_token_count=20)
        task = asyncio.create_task(world.stream(call=limited(world, one)))
        await asyncio.sleep(1.0)
        assert used(one) == (20, INPUT_COUNT * 1000 + 20_000, 1)
        task.cancel()
        await asyncio.wait([task])
        assert used(one) == left


@virtual_time
async def test_failures_settle_too_and_what_was_not_sent_is_no_start() -> None:
    """R9, A8: a refused request cost nothing, and one that could not be written was none."""
    world = World({"a/x": refuses(), "b/y": unwritable(), "c/z": says("well")})
    one = allowance(max_output_token_count=20, max_started_count=3)
    outcome = await world.stream(call=limited(world, one))
    assert outcome.tried == ["a/x failed", "a/x failed", "b/y rejected", "c/z succeeded"]
    assert used(one) == (USED.output_token_count, 0, 3)


@pytest.mark.parametrize("streaming", [True, False])
@virtual_time
async def test_a_limit_that_is_used_up_ends_a_chain(*, streaming: bool) -> None:
    """R9: no other target is tried, and the error names the limit and the remedy."""
    world = World({"a/x": refuses(), "b/y": says("well"), "c/z": says("well")})
    call = limited(world, allowance(max_started_count=2))
    outcome = await (world.stream(call=call) if streaming else world.complete(call=call))
    assert outcome.tried == ["a/x failed", "a/x failed", "b/y skipped"]
    assert outcome.reason is ErrorReason.LIMIT_REACHED
    assert outcome.error is not None
    assert outcome.error.metadata == {"limit": "max_started_count"}
    assert outcome.error.message == "limits.max_started_count leaves no further call of a provider; raise it"
    assert outcome.attempts[-1].message == outcome.error.message


@virtual_time
async def test_an_unknown_price_rejects_a_target_and_the_next_may_have_one() -> None:
    """R9: it is the target's fault, as that of one that the prompt does not fit."""
    world = World({"a/x": says("dear"), "b/y": says("well")}, profiles={"b/y": PRICED})
    outcome = await world.stream(call=limited(world, allowance(max_cost_nano_usd=100_000)))
    assert outcome.tried == ["a/x rejected", "b/y succeeded"]
    assert world.penalised == set()


@virtual_time
async def test_where_no_target_has_a_price_the_limit_on_money_is_the_reason() -> None:
    """R9: beside other failures it is one of them."""
    world = World({"a/x": says("dear"), "b/y": refuses()}, profiles={"b/y": PRICED})
    one = allowance(max_cost_nano_usd=100_000)
    unpriced = await world.complete(world.chain("a/x"), call=limited(world, one))
    assert unpriced.reason is ErrorReason.LIMIT_REACHED
    mixed = await world.complete(world.chain("a/x", "b/y"), call=limited(world, one))
    assert mixed.reason is ErrorReason.ALL_ATTEMPTS_FAILED


@virtual_time
async def test_what_the_budget_of_attempts_forbids_is_given_back() -> None:
    """R9, C6: the reservation is made first, and nothing came of it."""
    world = World({"a/x": refuses(), "b/y": says("well")}, budget=BudgetConfig(0.0, 0.0, 0.0))
    one = allowance(max_output_token_count=20, max_started_count=5)
    outcome = await world.complete(call=limited(world, one))
    assert outcome.tried == ["a/x failed", "a/x skipped"]
    assert used(one) == (0, 0, 1)


@virtual_time
async def test_an_attempt_whose_time_is_up_is_settled() -> None:
    """R9: whatever ends an attempt, its reservation ends with it."""
    world = World({"a/x": hangs()}, profiles={"a/x": PRICED})
    one = allowance(max_output_token_count=20)
    await world.stream(call=limited(world, one))
    assert used(one) == (0, INPUT_COUNT * 1000, 1)
