"""Cancelling a call at every one of its awaits: nothing is left open, out, or booked twice (A4, A6, H2).

Virtual time makes a call's steps the same each time, so a call is run once to count them and then again for
each step, cancelled there: in one round when the step has begun to wait, in the other when what it waits
for has come and the task is only about to go on.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from paceline_server.completion.answer import Completion, FinishReason
from paceline_server.completion.attempt import AttemptOutcome, FailureClass
from paceline_server.completion.prompt import GenerationConfig
from paceline_server.completion.usage import Price, UsageState
from paceline_server.providers.base import Provider
from paceline_server.providers.profile import Profile
from paceline_server.providers.simulated import SimulatedProvider
from paceline_server.providers.simulated_pace import Fixed
from paceline_server.providers.simulated_script import Cut, Fail, Ok, Stall
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.strategies import engine
from paceline_server.strategies.call import Call, ChainOptions, Recovery
from paceline_server.strategies.chain import Chain
from tests.strategies.cancelling import BUDGET, Scene, Stepper, cancel_everywhere, limited
from tests.strategies.fitter import Refuse, Rewrite
from tests.strategies.scripted import (
    PING,
    USED,
    End,
    Script,
    Wait,
    breaks,
    hangs,
    refuses,
    says,
    stalls,
    text,
    unwritable,
)
from tests.strategies.world import PROMPT, Client, World
from tests.virtual_time import run_virtual, virtual_time

HOLD = ChainOptions(recovery=Recovery.HOLD, overtake_after=0.0)
CONTINUE = ChainOptions(recovery=Recovery.CONTINUE, overtake_after=0.0)


SCENES = {
    "an answer": Scene({"a/x": says("one ", "two ", "three", every=1.0, first=1.0)}),
    "comments": Scene({"a/x": Script((PING, Wait(1.0), PING, Wait(1.0), *text("one"), End()))}),
    "a retry": Scene({"a/x": [refuses(after=1.0), says("one", first=1.0)], "b/y": says("two")}),
    "a waiting probe": Scene(
        {"a/x": [refuses(FailureClass.RATE_LIMITED, retry_after=2.0), says("one", "two", every=1.0)]}
    ),
    "a failover": Scene(
        {"a/x": refuses(), "b/y": refuses(FailureClass.QUOTA), "c/z": says("three", first=1.0)}
    ),
    "a restart": Scene({"a/x": breaks("one", "two"), "b/y": says("three", "four", every=1.0)}),
    "a restart on itself": Scene({"a/x": [breaks("one"), says("two", every=1.0)]}),
    "a hold": Scene({"a/x": breaks("one"), "b/y": says("two", "three", every=1.0)}, options=HOLD),
    "a skip": Scene({"a/x": says("one"), "b/y": says("two", first=1.0)}, benched=("a/x",)),
    "a last resort": Scene({"a/x": says("one", "two", every=1.0, first=1.0)}, benched=("a/x",)),
    "a failing last resort": Scene({"a/x": refuses(after=1.0)}, benched=("a/x",)),
    "silences": Scene({"a/x": hangs(), "b/y": stalls("one"), "c/z": says("two")}),
    "exhaustion": Scene(
        {"a/x": refuses(), "b/y": refuses(FailureClass.CONTEXT_TOO_LONG), "c/z": breaks("one")}
    ),
    "a continuation": Scene(
        {"a/x": breaks("one "), "b/y": breaks(" two"), "c/z": says(" three", first=1.0)}, options=CONTINUE
    ),
    "a continuation of itself": Scene(
        {"a/x": [breaks("one"), says(" two", first=1.0)]}, options=CONTINUE, fitting={"a": Rewrite(1.0)}
    ),
    "a refused continuation": Scene(
        {"a/x": breaks("one"), "b/y": [refuses(FailureClass.INVALID_REQUEST, after=1.0), says("two")]},
        options=CONTINUE,
    ),
    "a continuation that cannot be written": Scene(
        {"a/x": breaks("one"), "b/y": [unwritable(), says("two", first=1.0)]}, options=CONTINUE
    ),
    "a fit": Scene({"a/x": says("one", first=1.0)}, fitting={"a": Rewrite(2.0)}),
    "a fit of a probe": Scene({"a/x": says("one", first=1.0)}, benched=("a/x",), fitting={"a": Rewrite(2.0)}),
    "misfits": Scene(
        {"a/x": says("no"), "b/y": unwritable(), "c/z": says("three", first=1.0)},
        fitting={"a": Refuse(seconds=1.0)},
    ),
    "an unwritable failover": Scene({"a/x": refuses(after=1.0), "b/y": unwritable(), "c/z": says("three")}),
    "a unary fit": Scene({"a/x": says("one", first=1.0)}, fitting={"a": Rewrite(2.0)}, unary=True),
    "a unary answer": Scene({"a/x": says("one", first=1.0)}, unary=True),
    "a unary failover": Scene({"a/x": refuses(after=1.0), "b/y": says("two", first=1.0)}, unary=True),
    "a unary last resort": Scene({"a/x": says("one", first=1.0)}, benched=("a/x",), unary=True),
    "a unary silence": Scene({"a/x": hangs(), "b/y": says("two", first=1.0)}, unary=True),
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", SCENES)
def test_a_call_can_be_cancelled_at_every_await(name: str, *, late: bool) -> None:
    """A4, A6, H2: closed, returned, booked once as cancelled with its usage, and nobody blamed."""
    cancel_everywhere(SCENES[name], late=late)


@pytest.mark.parametrize("name", SCENES)
def test_a_deadline_at_any_moment_leaves_nothing_behind(name: str) -> None:
    """A4, A6: the caller's deadline, wherever it falls, is a cancellation like any other."""
    for tenths in range(1, 60):
        run_virtual(partial(limited, SCENES[name], tenths / 10 + 0.05))


SIMULATED = {
    "an answer": (Ok(),),
    "a failure": (Fail(), Ok()),
    "a cut": (Cut(3), Ok()),
    "a stall": (Stall(3), Ok()),
    "a hang": (Stall(before_headers=True), Ok()),
}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", SIMULATED)
def test_the_simulated_provider_is_left_clean_too(name: str, *, late: bool) -> None:
    """A6: every await of a call to the simulated provider, streamed and whole."""
    steps = SIMULATED[name]

    async def simulated(*, at: int | None, unary: bool) -> int:
        world = World({"a/x": says("unused")}, budget=BUDGET)
        model = SimulatedModel(
            answer="one two three four five",
            first_content=Fixed(1.0),
            token_interval=Fixed(1.0),
            script=steps,
        )
        provider = SimulatedProvider("a", {"x": model, "y": SimulatedModel()}, seed=1)
        checked: Provider = provider
        chain = Chain([world.model(target, checked) for target in ("a/x", "a/y")], world.surroundings)
        call = Call("call", PROMPT, 0.0, 300.0, ChainOptions(overtake_after=0.0))
        client = Client()
        answer = engine.complete(call, chain) if unary else engine.stream(call, chain, client)
        stepper = Stepper(answer, at, late)

        async def follow() -> Completion:
            return await stepper

        task = asyncio.create_task(follow())
        await asyncio.wait([task])
        assert task.cancelled() == (at is not None)
        assert at is not None or task.exception() is None
        assert provider.open_stream_count == 0
        assert provider.running_unary_call_count == 0
        assert world.probes_out == []
        return stepper.count

    for unary in (True, False):
        count = run_virtual(partial(simulated, at=None, unary=unary))
        for at in range(count):
            run_virtual(partial(simulated, at=at, unary=unary))


@virtual_time
async def test_a_cancelled_attempt_is_billed_to_its_limit_where_the_provider_bills_on() -> None:
    """A6: what was seen is billed; where the provider bills on, all that it could still have written."""
    price = Price(10**6, 2 * 10**6)
    usages = []
    for bills_on in (False, True):
        profile = Profile(price=price, bills_after_cancel=bills_on)
        world = World({"a/x": stalls("x" * 40)}, profiles={"a/x": profile})
        call = world.call(within=5.0)
        call.prompt = replace(PROMPT, config=GenerationConfig(max_output_token_count=500))
        outcome = await world.stream(call=call)
        (attempt,) = outcome.attempts
        assert (attempt.outcome, attempt.billed_after_cancel) == (AttemptOutcome.CANCELLED, bills_on)
        usages.append(attempt.usage)

    stopped, billed = usages
    assert stopped is not None
    assert billed is not None
    assert (stopped.output_token_count, billed.output_token_count) == (10, 500)
    assert stopped.input_token_count == billed.input_token_count
    assert stopped.state is billed.state is UsageState.ESTIMATED
    for usage in (stopped, billed):
        assert usage.cost_nano_usd == price.cost_nano_usd(usage) > 0


@virtual_time
async def test_what_the_provider_told_is_booked_though_the_answer_came_to_nothing() -> None:
    """K4, A6: a whole answer is billed as told, if its caller left at the last moment or it was filtered."""
    world = World({"a/x": says("one"), "b/y": Script((End(FinishReason.CONTENT_FILTER),))})
    counted = Stepper(engine.stream(world.call(), world.chain("a/x"), Client()))
    await counted
    call = world.call()

    async def follow() -> Completion:
        # The last two waits are the closing of the connection and the telling of the end.
        return await Stepper(engine.stream(call, world.chain("a/x"), Client()), counted.count - 2)

    await asyncio.wait([asyncio.create_task(follow())])
    filtered = await world.stream(world.chain("b/y"))

    (cancelled,) = call.record.attempts
    (refused,) = filtered.attempts
    assert cancelled.outcome is AttemptOutcome.CANCELLED
    assert cancelled.usage == refused.usage == USED
