"""Before an attempt the prompt is fitted to its target; what does not fit is never sent (A8)."""

from __future__ import annotations

import asyncio

import pytest

from paceline_server.completion.attempt import AttemptEnded, AttemptStarted, FailureClass
from paceline_server.completion.content import Text
from paceline_server.completion.errors import ErrorReason
from paceline_server.health.budget import BudgetConfig
from paceline_server.providers.profile import MediaLimits, Profile
from paceline_server.strategies.chain import Chain
from tests.strategies.fitter import Fault, Refuse, Rewrite, ScriptedFitter
from tests.strategies.scripted import Recorded, breaks, refuses, says, unwritable
from tests.strategies.world import PROMPT, World
from tests.virtual_time import now, virtual_time

MISFITS = [FailureClass.UNSUPPORTED, FailureClass.CONTEXT_TOO_LONG]
IMAGES = Profile(media=MediaLimits(frozenset({"image/png"})))
LONG = Profile(context_token_count=10**6)


def prompt_text(call: Recorded) -> str:
    """The last words of what was sent."""
    kind = call.request.prompt.messages[-1].parts[-1].kind
    assert isinstance(kind, Text)
    return kind.text


# What is sent


@pytest.mark.parametrize("unary", [True, False])
@virtual_time
async def test_each_target_is_sent_what_was_fitted_to_it(*, unary: bool) -> None:
    """A8: the fitted prompt is what the adapter writes; the caller's own is left as it is."""
    fitter = ScriptedFitter({"a": Rewrite()})
    world = World({"a/x": refuses(FailureClass.TIMEOUT), "b/y": says("two")}, fitter=fitter)

    outcome = await (world.complete() if unary else world.stream())

    assert [prompt_text(call) for call in world.calls] == ["fitted for a", "What is a gateway?"]
    assert world.calls[1].request.prompt is outcome.call.prompt is PROMPT


@virtual_time
async def test_targets_of_one_provider_and_the_same_limits_are_fitted_once() -> None:
    """A8: what a fit depends on is the same, so it is made once and its bodies are shared."""
    names = ("a/w", "a/x", "a/y", "a/z")
    fitter = ScriptedFitter({"a": Rewrite()})
    world = World(dict.fromkeys(names, refuses()), fitter=fitter, profiles={"a/y": IMAGES, "a/z": LONG})

    await world.stream(transient_retry_count=1)

    assert fitter.asked == ["a"] * 3
    bodies = [id(call.request.bodies) for call in world.calls]
    assert [bodies.index(one) for one in bodies] == [0, 0, 0, 0, 4, 4, 6, 6]


@virtual_time
async def test_targets_that_a_prompt_fits_as_it_is_share_its_bodies() -> None:
    """A8: bodies belong to the prompt they were encoded from, and to no other."""
    fitter = ScriptedFitter({"b": Rewrite()})
    scripts = {"a/x": refuses(), "b/y": refuses(), "c/z": says("three")}
    world = World(scripts, fitter=fitter)

    await world.stream(transient_retry_count=0)

    first, fitted, last = (call.request.bodies for call in world.calls)
    assert first is last
    assert fitted is not first


@virtual_time
async def test_calls_share_nothing() -> None:
    """A8: what was fitted and encoded is kept in the call alone."""
    fitter = ScriptedFitter({})
    world = World({"a/x": says("one")}, fitter=fitter)

    await world.stream()
    await world.stream()

    assert fitter.asked == ["a", "a"]
    assert world.calls[0].request.bodies is not world.calls[1].request.bodies


@virtual_time
async def test_nothing_is_fitted_to_a_target_that_is_benched() -> None:
    """A8, C1: scaling an image for a target that is skipped anyhow would be work for nothing."""
    fitter = ScriptedFitter({})
    world = World({"a/x": says("one"), "b/y": says("two")}, fitter=fitter)
    world.bench("a/x")

    outcome = await world.stream()

    assert outcome.tried == ["a/x skipped", "b/y succeeded"]
    assert fitter.asked == ["b"]


# What does not fit


@pytest.mark.parametrize("unary", [True, False])
@pytest.mark.parametrize("failure_class", MISFITS)
@virtual_time
async def test_a_misfit_advances_and_costs_nobody_anything(
    failure_class: FailureClass, *, unary: bool
) -> None:
    """A8, A7: REJECTED without a start, without penalty and though no additional attempt is left."""
    fitter = ScriptedFitter({"a": Refuse(failure_class, 2.0)})
    world = World({"a/x": says("no"), "b/y": says("two")}, fitter=fitter, budget=BudgetConfig(0.0, 0.0, 0.0))

    outcome = await (world.complete() if unary else world.stream())

    assert outcome.tried == ["a/x rejected", "b/y succeeded"]
    rejected = outcome.attempts[0]
    assert (rejected.failure_class, rejected.message) == (failure_class, "a cannot take it")
    assert (rejected.usage, rejected.benched_until, rejected.try_number) == (None, None, 1)
    assert (rejected.start_offset, rejected.latency) == (0.0, 2.0)
    assert world.penalised == set()
    assert outcome.call.record.started_count == 1


@virtual_time
async def test_a_misfit_ends_without_a_start() -> None:
    """A8, stream rule 2: its end is told as that of a skipped target."""
    world = World({"a/x": says("no"), "b/y": says("two")}, fitter=ScriptedFitter({"a": Refuse()}))

    outcome = await world.stream()

    kinds = [type(event) for event in outcome.client.events]
    assert kinds[:2] == [AttemptEnded, AttemptStarted]


@pytest.mark.parametrize(
    ("failure_class", "reason"),
    [
        (FailureClass.UNSUPPORTED, ErrorReason.UNSUPPORTED_FEATURE),
        (FailureClass.CONTEXT_TOO_LONG, ErrorReason.CONTEXT_TOO_LONG),
    ],
)
@virtual_time
async def test_what_fits_nobody_is_told_as_that(failure_class: FailureClass, reason: ErrorReason) -> None:
    """A8, C4: no target can take the prompt, and none was asked."""
    refuse = Refuse(failure_class)
    fitter = ScriptedFitter({"a": refuse, "b": refuse})
    world = World({"a/x": says("no"), "b/y": says("no")}, fitter=fitter)

    outcome = await world.stream()

    assert outcome.reason is reason
    assert world.called == []


@virtual_time
async def test_a_misfit_hides_no_last_resort() -> None:
    """C3, A8: all targets that can take the prompt are benched, so the soonest of them is probed."""
    fitter = ScriptedFitter({"a": Refuse()})
    world = World({"a/x": says("no"), "b/y": says("two")}, fitter=fitter)
    world.bench("b/y")

    outcome = await world.stream()

    assert outcome.answer == "two"


@virtual_time
async def test_a_misfit_in_a_chain_in_a_chain_hides_no_last_resort() -> None:
    """C3, A8: wherever in the tree the misfit and the benched target stand."""
    fitter = ScriptedFitter({"a": Refuse()})
    world = World({"a/x": says("no"), "b/y": says("two"), "c/z": says("three")}, fitter=fitter)
    world.bench("b/y")
    await world.stream(world.chain("c/z"))
    world.bench("c/z")

    outcome = await world.stream(
        Chain([world.chain("a/x", "b/y"), world.chain("a/x", "c/z")], world.surroundings)
    )

    assert outcome.answer == "two"


@virtual_time
async def test_a_misfit_after_a_break_is_not_what_broke() -> None:
    """C5, A8: STREAM_BROKEN names the target whose words were seen, not one that was never asked."""
    fitter = ScriptedFitter({"b": Refuse()})
    world = World({"a/x": breaks("half"), "b/y": says("no")}, fitter=fitter)

    outcome = await world.stream(transient_retry_count=0)

    assert outcome.reason is ErrorReason.STREAM_BROKEN
    assert outcome.error is not None
    assert outcome.error.metadata["target"] == "a/x"


@virtual_time
async def test_a_bug_of_the_fitter_costs_the_target_and_not_the_call() -> None:
    """A8: the next target may take the prompt as it is, and the words tell nothing of the bug."""
    world = World({"a/x": says("no"), "b/y": says("two")}, fitter=ScriptedFitter({"a": Fault()}))

    outcome = await world.stream()

    assert outcome.tried == ["a/x rejected", "b/y succeeded"]
    assert "bug" not in outcome.attempts[0].message


# What is the request's fault


@virtual_time
async def test_a_damaged_file_fails_fast_though_nobody_was_called() -> None:
    """A8, A3: INVALID_REQUEST of the fitter is the request's fault, as a provider's is."""
    fitter = ScriptedFitter({"a": Refuse(FailureClass.INVALID_REQUEST)})
    world = World({"a/x": says("no"), "b/y": says("two")}, fitter=fitter)

    outcome = await world.stream()

    assert outcome.tried == ["a/x rejected"]
    assert outcome.reason is ErrorReason.INVALID_REQUEST
    assert world.called == []


@virtual_time
async def test_a_damaged_file_advances_where_the_caller_asks_for_it() -> None:
    """A8, A3: `advance_on_permanent`."""
    fitter = ScriptedFitter({"a": Refuse(FailureClass.INVALID_REQUEST)})
    world = World({"a/x": says("no"), "b/y": says("two")}, fitter=fitter)

    outcome = await world.stream(advance_on_permanent=True)

    assert outcome.tried == ["a/x rejected", "b/y succeeded"]


# What an adapter cannot write


@pytest.mark.parametrize("failure_class", MISFITS)
@virtual_time
async def test_what_an_adapter_cannot_write_was_not_sent(failure_class: FailureClass) -> None:
    """A8, A7: REJECTED, with no use of the budget, which is left for the next targets."""
    scripts = {"a/x": unwritable(failure_class), "b/y": unwritable(failure_class), "c/z": says("three")}
    world = World(scripts, budget=BudgetConfig(0.0, 1.0, 1.0))

    outcome = await world.stream()

    assert outcome.tried == ["a/x rejected", "b/y rejected", "c/z succeeded"]
    assert outcome.attempts[0].usage is None
    assert outcome.call.record.started_count == 1
    assert world.budget.spend(), "the one additional attempt is still there"
    assert world.penalised == set()


@virtual_time
async def test_an_additional_attempt_that_was_not_sent_is_given_back() -> None:
    """A7, C6: a failover that its adapter cannot write leaves the budget to the next one."""
    scripts = {"a/x": refuses(), "b/y": unwritable(FailureClass.UNSUPPORTED), "c/z": says("three")}
    world = World(scripts, budget=BudgetConfig(0.0, 1e-9, 1.0))
    world.budget.give_back()

    outcome = await world.stream(transient_retry_count=0)

    assert outcome.tried == ["a/x failed", "b/y rejected", "c/z succeeded"]
    assert not world.budget.spend()


@virtual_time
async def test_a_call_is_offered_to_the_budget_once() -> None:
    """C6: a first start that was not sent after all does not earn the call's share a second time."""
    scripts = {"a/x": unwritable(FailureClass.UNSUPPORTED), "b/y": says("two")}
    world = World(scripts, budget=BudgetConfig(share_of_calls=1.0, per_second=0.0, burst=10.0))

    await world.stream()

    assert world.budget.spend()
    assert not world.budget.spend()


# Time


@virtual_time
async def test_the_deadline_covers_the_fitting() -> None:
    """A8, A1: time spent fitting is the caller's time, and he is answered when it is over."""
    fitter = ScriptedFitter({"a": Rewrite(60.0)})
    world = World({"a/x": says("one")}, fitter=fitter)

    outcome = await world.stream(within=5.0)

    assert outcome.reason is ErrorReason.DEADLINE_EXCEEDED
    assert now() == 5.0
    assert outcome.attempts == []


@virtual_time
async def test_an_attempts_own_clocks_start_after_the_fitting() -> None:
    """A1: a target is not blamed for the time that its prompt took."""
    fitter = ScriptedFitter({"a": Rewrite(25.0)})
    world = World({"a/x": says("one", first=25.0), "b/y": says("two")}, fitter=fitter)

    outcome = await world.stream()

    assert outcome.answer == "one"
    assert outcome.attempts[0].start_offset == 25.0


@virtual_time
async def test_a_target_that_was_benched_during_the_fitting_is_skipped() -> None:
    """C1: admission is asked for when the prompt is ready, and holds what is known then."""
    fitter = ScriptedFitter({"a": Rewrite(2.0)})
    world = World({"a/x": says("one"), "b/y": says("two")}, fitter=fitter)
    call = asyncio.create_task(world.stream())
    await asyncio.sleep(1.0)
    world.bench("a/x")

    outcome = await call

    assert outcome.tried == ["a/x skipped", "b/y succeeded"]
