"""Chains: who is tried, who is passed over, who is asked again, what the caller is told (C1 to C4, C6)."""

from __future__ import annotations

import asyncio

import pytest

from paceline_server.completion.answer import FinishReason
from paceline_server.completion.attempt import AttemptEnded, AttemptOutcome, FailureClass
from paceline_server.completion.errors import ErrorReason
from paceline_server.health.budget import BudgetConfig
from paceline_server.health.classes import CONSEQUENCES, Advance, Penalty
from paceline_server.health.machine import HealthConfig, TargetState
from paceline_server.health.registry import ProviderScope, Ticket
from paceline_server.strategies.call import AttemptConfig
from paceline_server.strategies.chain import Chain
from tests.strategies.scripted import Break, End, Script, Wait, hangs, refuses, says, text
from tests.strategies.world import EPOCH, Client, World, target_of
from tests.virtual_time import now, virtual_time

TARGET_FAULTS = [name for name in FailureClass if CONSEQUENCES[name].penalty is Penalty.TARGET]
PROVIDER_FAULTS = [name for name in FailureClass if CONSEQUENCES[name].penalty is Penalty.PROVIDER]
REQUEST_FAULTS = [name for name in FailureClass if CONSEQUENCES[name].advance is Advance.ONLY_ON_REQUEST]
MISFITS = [FailureClass.MODEL_NOT_FOUND, FailureClass.UNSUPPORTED, FailureClass.CONTEXT_TOO_LONG]
RETRIED = [FailureClass.TRANSIENT, FailureClass.OVERLOADED, FailureClass.MALFORMED_RESPONSE]


# The order


@virtual_time
async def test_the_head_answers_while_it_is_well() -> None:
    """C1: head to tail, so a well head is the only one that is called."""
    world = World({"a/x": says("one"), "b/y": says("two")})

    outcome = await world.stream()

    assert outcome.answer == "one"
    assert world.called == ["a/x"]
    assert outcome.tried == ["a/x succeeded"]


@virtual_time
async def test_a_single_blip_costs_one_retry_and_no_bench() -> None:
    """C1, H1: one transient failure is retried on the same target, and its success clears the count."""
    world = World({"a/x": [refuses(), says("one")], "b/y": says("two")})

    outcome = await world.stream()

    assert outcome.tried == ["a/x failed", "a/x succeeded"]
    assert outcome.answer == "one"
    assert world.penalised == set()


@virtual_time
async def test_a_target_that_goes_on_failing_is_left_for_the_next() -> None:
    """C1: one retry by default, then the next target."""
    world = World({"a/x": refuses(), "b/y": says("two")})

    outcome = await world.stream()

    assert outcome.tried == ["a/x failed", "a/x failed", "b/y succeeded"]
    assert [attempt.try_number for attempt in outcome.attempts] == [1, 2, 1]
    assert [attempt.path for attempt in outcome.attempts] == ["chain[0]", "chain[0]", "chain[1]"]


@virtual_time
async def test_one_call_counts_at_most_once_against_a_target() -> None:
    """H1: both tries of one call failed, and yet the target is one call short of its bench."""
    world = World({"a/x": refuses(), "b/y": says("two")})

    await world.stream()

    assert world.record("a/x").failures == 1
    assert world.record("a/x").state is TargetState.ACTIVE


@virtual_time
async def test_the_second_call_benches_and_the_third_skips() -> None:
    """H1, C1: two failed calls bench the target, and a benched target is skipped, with event and reason."""
    world = World({"a/x": refuses(), "b/y": says("two")})

    await world.stream()
    second = await world.stream()
    third = await world.stream()

    assert second.tried == ["a/x failed", "b/y succeeded"], "a target that was just benched is not retried"
    assert second.attempts[0].benched_until == world.record("a/x").until
    assert third.tried == ["a/x skipped", "b/y succeeded"]
    (skipped, *_) = [event for event in third.client.events if isinstance(event, AttemptEnded)]
    assert skipped.attempt.outcome is AttemptOutcome.SKIPPED
    assert skipped.attempt.message == "benched: scripted transient"
    assert skipped.attempt.failure_class is FailureClass.TRANSIENT
    assert skipped.attempt.benched_until == world.record("a/x").until


@virtual_time
async def test_a_chain_of_one_is_tried_and_retried() -> None:
    """C1: a single target is a chain of one."""
    world = World({"a/x": [refuses(), says("one")]})

    outcome = await world.complete()

    assert outcome.answer == "one"
    assert outcome.attempts[0].path == outcome.attempts[1].path == ""


@pytest.mark.parametrize("retry_count", [0, 1, 3])
@virtual_time
async def test_the_number_of_retries_is_the_callers(retry_count: int) -> None:
    """C1: `transient_retry_count` of the call outranks the configured one; 0 switches retries off."""
    world = World({"a/x": refuses(), "b/y": says("two")})

    outcome = await world.stream(transient_retry_count=retry_count)

    assert world.providers["a"].count("x") == 1 + retry_count
    assert outcome.answer == "two"


@virtual_time
async def test_a_success_resets_the_count() -> None:
    """H1: failures count in a row; one success between them and nothing is benched."""
    failing, well = refuses(), says("one")
    world = World({"a/x": [failing, well] * 5})

    for _ in range(5):
        await world.stream(transient_retry_count=0)

    assert world.record("a/x").state is TargetState.ACTIVE
    assert world.record("a/x").generation == 0


@virtual_time
async def test_a_bench_ends_and_the_first_call_afterwards_probes() -> None:
    """C1, H2: until the bench's end the target is skipped, afterwards it is asked."""
    world = World({"a/x": [refuses(), refuses(), says("one")], "b/y": says("two")})
    await world.stream(transient_retry_count=0)
    await world.stream(transient_retry_count=0)
    await asyncio.sleep(4.99)
    before = await world.stream()
    await asyncio.sleep(0.01)

    after = await world.stream()

    assert before.tried == ["a/x skipped", "b/y succeeded"]
    assert after.tried == ["a/x succeeded"]
    assert world.record("a/x").state is TargetState.RAMPING


# Waits before a retry


@virtual_time
async def test_a_retry_waits_about_a_hundred_milliseconds_and_doubles() -> None:
    """C1: without Retry-After the wait is jittered around 100 ms and doubles."""
    waits: list[list[float]] = [[], [], []]
    for seed in range(50):
        world = World({"a/x": refuses(), "b/y": says("two")}, seed=seed)
        await world.stream(transient_retry_count=3)
        starts = [call.at for call in world.calls]
        for index in range(3):
            waits[index].append(starts[index + 1] - starts[index])

    for index, drawn in enumerate(waits):
        middle = 0.1 * 2**index
        assert all(0.5 * middle <= wait <= 1.5 * middle + 1e-9 for wait in drawn)
        assert sum(drawn) / len(drawn) == pytest.approx(middle, rel=0.2)
        assert len(set(drawn)) == len(drawn), "no two callers come back in step"


@pytest.mark.parametrize("failure_class", [*RETRIED, FailureClass.RATE_LIMITED])
@virtual_time
async def test_a_short_retry_after_is_waited_for(failure_class: FailureClass) -> None:
    """C1, A3: Retry-After of up to 5 s is worth waiting for, to the second."""
    world = World({"a/x": [refuses(failure_class, retry_after=3.0), says("one")], "b/y": says("two")})

    outcome = await world.stream()

    assert outcome.answer == "one"
    assert [call.at for call in world.calls] == [0.0, pytest.approx(3.0)]


@virtual_time
async def test_a_retry_after_the_providers_own_pause_goes_as_a_probe() -> None:
    """C1, H1: RATE_LIMITED benches until Retry-After, and the call that waited for it is the probe."""
    world = World({"a/x": [refuses(FailureClass.RATE_LIMITED, retry_after=3.0), says("one", first=1.0)]})
    call = asyncio.create_task(world.stream())
    await asyncio.sleep(1.0)
    during = world.record("a/x")
    await asyncio.sleep(2.5)
    probing = world.record("a/x")

    await call

    assert (during.state, during.until) == (TargetState.BENCHED, EPOCH + 3.0)
    assert probing.state is TargetState.PROBING
    assert world.record("a/x").state is TargetState.RAMPING


@virtual_time
async def test_a_retry_that_waited_is_let_through_though_the_two_clocks_differ() -> None:
    """C1: the wait runs on the loop's clock and the bench on the wall's; a hair between them is no bench."""
    world = World({"a/x": [refuses(FailureClass.RATE_LIMITED, retry_after=3.0), says("one")]}, drift=0.01)

    outcome = await world.stream()

    assert outcome.tried == ["a/x failed", "a/x succeeded"]


@pytest.mark.parametrize("failure_class", [*RETRIED, FailureClass.RATE_LIMITED])
@virtual_time
async def test_a_long_retry_after_advances_at_once(failure_class: FailureClass) -> None:
    """C1: nobody waits more than 5 s for the same target while another could answer."""
    world = World({"a/x": refuses(failure_class, retry_after=5.1), "b/y": says("two")})

    outcome = await world.stream()

    assert outcome.tried == ["a/x failed", "b/y succeeded"]
    assert outcome.at == 0.0


@virtual_time
async def test_a_rate_limit_without_retry_after_is_not_retried() -> None:
    """A3: RATE_LIMITED goes to the same target again only if Retry-After is short."""
    world = World({"a/x": refuses(FailureClass.RATE_LIMITED), "b/y": says("two")})

    outcome = await world.stream()

    assert outcome.tried == ["a/x failed", "b/y succeeded"]


@virtual_time
async def test_a_rate_limited_target_is_benched_at_least_until_retry_after() -> None:
    """A3, H1: one rate limit with a date benches at once and until then."""
    world = World({"a/x": refuses(FailureClass.RATE_LIMITED, retry_after=40.0), "b/y": says("two")})

    await world.stream()
    await asyncio.sleep(39.9)
    outcome = await world.stream()

    assert outcome.tried == ["a/x skipped", "b/y succeeded"]


@virtual_time
async def test_a_retry_that_could_not_start_before_the_deadline_is_not_waited_for() -> None:
    """A1, C1: no attempt outlives the caller, so a wait beyond the deadline advances at once."""
    world = World({"a/x": refuses(retry_after=4.0), "b/y": says("two")})

    outcome = await world.stream(within=3.0)

    assert outcome.tried == ["a/x failed", "b/y succeeded"]
    assert outcome.at == 0.0


@virtual_time
async def test_a_timeout_is_not_retried_on_the_same_target() -> None:
    """A3: TIMEOUT goes to the next target, never to the same again."""
    world = World({"a/x": hangs(), "b/y": says("two")})

    outcome = await world.stream(transient_retry_count=5)

    assert outcome.tried == ["a/x timed_out", "b/y succeeded"]


@virtual_time
async def test_a_target_benched_by_others_during_the_wait_is_not_retried() -> None:
    """C1: a target that was just benched is not retried, and not as a last resort either."""
    world = World({"a/x": refuses(retry_after=2.0)})
    call = asyncio.create_task(world.stream())
    await asyncio.sleep(1.0)
    world.bench("a/x")

    outcome = await call

    assert outcome.tried == ["a/x failed", "a/x skipped"]
    assert outcome.reason is ErrorReason.ALL_ATTEMPTS_FAILED


# Classes, row by row


@pytest.mark.parametrize("failure_class", RETRIED)
@virtual_time
async def test_target_faults_are_retried_then_advance_and_penalise_the_target(
    failure_class: FailureClass,
) -> None:
    """A3, C2: TRANSIENT, OVERLOADED and MALFORMED_RESPONSE."""
    world = World({"a/x": refuses(failure_class), "b/y": says("two")})

    outcome = await world.stream()

    assert outcome.tried == ["a/x failed", "a/x failed", "b/y succeeded"]
    assert world.penalised == {"a/x"}


@pytest.mark.parametrize("failure_class", PROVIDER_FAULTS)
@virtual_time
async def test_provider_faults_go_to_the_next_provider_only(failure_class: FailureClass) -> None:
    """A3, C2: the other models of the provider would fail alike, so they are skipped."""
    world = World({"a/x": refuses(failure_class, http_status=401), "a/y": says("no"), "b/z": says("three")})

    outcome = await world.stream()

    assert outcome.tried == ["a/x failed", "a/y skipped", "b/z succeeded"]
    assert world.record("a").state is TargetState.BENCHED
    assert world.record("a").until == EPOCH + 600
    assert world.record("a/x").failures == 0


@pytest.mark.parametrize("failure_class", PROVIDER_FAULTS)
@virtual_time
async def test_provider_faults_that_end_at_once_still_go_to_the_next_provider(
    failure_class: FailureClass,
) -> None:
    """A3: a provider that says "try again now" is not asked again in this call, by none of its models."""
    world = World({"a/x": refuses(failure_class, retry_after=0.0), "a/y": says("no"), "b/z": says("three")})

    outcome = await world.stream()

    assert outcome.tried == ["a/x failed", "a/y skipped", "b/z succeeded"]


@virtual_time
async def test_providers_that_share_a_quota_are_one_provider() -> None:
    """A3, H1: next provider *or quota identity*."""
    world = World(
        {"a/x": refuses(FailureClass.QUOTA), "b/y": says("no"), "c/z": says("three")},
        quota_identities={"a": "shared", "b": "shared"},
    )

    outcome = await world.stream()

    assert outcome.tried == ["a/x failed", "b/y skipped", "c/z succeeded"]
    assert world.record("shared").cause is FailureClass.QUOTA


@pytest.mark.parametrize("failure_class", PROVIDER_FAULTS)
@virtual_time
async def test_a_quota_that_comes_back_at_once_is_still_barred_for_the_call(
    failure_class: FailureClass,
) -> None:
    """A3: the other providers of the identity are skipped in this call, though no bench holds them."""
    world = World(
        {"a/x": refuses(failure_class), "b/y": says("two"), "c/z": says("three")},
        quota_identities={"a": "shared", "b": "shared"},
        health=HealthConfig(jitter=0.0, provider_bench=0.0),
    )

    outcome = await world.stream()
    next_call = await world.stream(world.chain("b/y"))

    assert outcome.tried == ["a/x failed", "b/y skipped", "c/z succeeded"]
    assert next_call.tried == ["b/y succeeded"]


@virtual_time
async def test_a_fault_of_the_gateway_itself_penalises_nobody_and_others_are_tried() -> None:
    """A3: without a file descriptor no provider failed, so none is benched and the next is turned to."""
    unconnected = Script((), (Break(blameless=True),))
    world = World({"a/x": unconnected, "b/y": says("two")})

    outcomes = [await world.stream() for _ in range(3)]

    assert {outcome.answer for outcome in outcomes} == {"two"}
    assert outcomes[-1].tried == ["a/x failed", "a/x failed", "b/y succeeded"]
    assert world.penalised == set()


@virtual_time
async def test_a_fault_of_the_gateway_itself_does_not_hide_the_targets_own() -> None:
    """A3, H1: a call counts once against its target, and what was the gateway's fault is not that once."""
    unconnected = Script((), (Break(blameless=True),))
    world = World({"a/x": [unconnected, refuses()], "b/y": says("two")})

    await world.stream()

    assert world.record("a/x").failures == 1


@pytest.mark.parametrize("failure_class", MISFITS)
@virtual_time
async def test_misfits_advance_and_penalise_nobody(failure_class: FailureClass) -> None:
    """A3, C2: MODEL_NOT_FOUND, UNSUPPORTED, CONTEXT_TOO_LONG."""
    world = World({"a/x": refuses(failure_class, http_status=400), "b/y": says("two")})

    outcome = await world.stream()

    assert outcome.tried == ["a/x failed", "b/y succeeded"]
    assert world.penalised == set()


@pytest.mark.parametrize("failure_class", REQUEST_FAULTS)
@virtual_time
async def test_request_faults_fail_fast(failure_class: FailureClass) -> None:
    """A3, C4: what is the request's fault is not tried elsewhere, and the caller is told."""
    world = World({"a/x": refuses(failure_class, http_status=400), "b/y": says("two")})

    outcome = await world.stream()

    assert outcome.tried == ["a/x failed"]
    assert outcome.reason is ErrorReason.PROVIDER_REJECTED_REQUEST
    assert world.penalised == set()


@pytest.mark.parametrize("failure_class", REQUEST_FAULTS)
@virtual_time
async def test_request_faults_advance_where_the_caller_asks_for_it(failure_class: FailureClass) -> None:
    """A3: `advance_on_permanent`."""
    world = World({"a/x": refuses(failure_class, http_status=400), "b/y": says("two")})

    outcome = await world.stream(advance_on_permanent=True)

    assert outcome.tried == ["a/x failed", "b/y succeeded"]
    assert world.penalised == set()


@virtual_time
async def test_an_answer_filtered_before_any_content_is_a_request_fault() -> None:
    """A2: filtered before content is CONTENT_FILTERED, although the provider ended in order."""
    world = World({"a/x": Script((End(FinishReason.CONTENT_FILTER),)), "b/y": says("two")})

    streamed = await world.stream()
    whole = await world.complete()

    assert streamed.reason is whole.reason is ErrorReason.PROVIDER_REJECTED_REQUEST
    assert streamed.attempts[0].failure_class is FailureClass.CONTENT_FILTERED


@virtual_time
async def test_an_answer_filtered_after_content_is_an_answer_that_says_so() -> None:
    """A2: filtered after some content is a completion with that finish reason."""
    world = World({"a/x": Script((*text("so far"), End(FinishReason.CONTENT_FILTER)))})

    outcome = await world.stream()

    assert outcome.completion is not None
    assert outcome.completion.finish_reason is FinishReason.CONTENT_FILTER
    assert outcome.answer == "so far"


@virtual_time
async def test_a_stream_without_its_terminal_marker_is_a_failure() -> None:
    """A2: a truncated answer is never a success."""
    world = World({"a/x": Script(text("half")), "b/y": says("whole")})

    streamed = await world.stream()
    whole = await world.complete()

    assert streamed.answer == whole.answer == "whole"
    assert streamed.attempts[0].failure_class is FailureClass.MALFORMED_RESPONSE


@virtual_time
async def test_a_target_that_the_call_may_not_turn_to_is_not_left() -> None:
    """A1, A3: beside the models of a provider at fault the other target is the last, with all the time."""
    refusal = refuses(FailureClass.QUOTA, retry_after=0.0)
    world = World({"a/x": refusal, "b/y": says("two", first=200.0), "a/z": says("no")})

    outcome = await world.stream()

    assert outcome.answer == "two"


# Budgets


@virtual_time
async def test_a_call_starts_at_most_eight_additional_attempts() -> None:
    """A7: one budget of 8 over retries and failover together, beyond the first start."""
    world = World({f"{provider}/m": refuses() for provider in "abcdefgh"})

    outcome = await world.stream()

    assert len(world.calls) == 9
    assert outcome.reason is ErrorReason.ALL_ATTEMPTS_FAILED


@virtual_time
async def test_the_call_budget_counts_retries_on_one_target_too() -> None:
    """A7: however many retries the caller asks for."""
    world = World({"a/x": refuses()})

    await world.stream(transient_retry_count=100)

    assert len(world.calls) == 9


@pytest.mark.parametrize("calls_per_second", [20, 200])
@virtual_time
async def test_with_every_provider_failing_upstream_calls_stay_within_the_fleets_budget(
    calls_per_second: int,
) -> None:
    """C6: 20 % of the calls offered plus 10 a second, and the second's worth that the bucket starts with."""
    never = HealthConfig(failure_threshold=10**9)
    world = World({f"{name}/m": refuses() for name in "abc"}, budget=BudgetConfig(), health=never)
    seconds = 10

    async with asyncio.TaskGroup() as group:
        for _ in range(seconds * calls_per_second):
            group.create_task(world.stream())
            await asyncio.sleep(1 / calls_per_second)

    offered = seconds * calls_per_second
    additional = len(world.calls) - offered
    assert additional <= 0.2 * offered + 10 * (now() + 1)
    assert additional > 0.8 * (0.2 * offered + 10 * seconds), "the budget is there to be used"


@virtual_time
async def test_a_call_that_the_budget_stops_gives_back_its_probe() -> None:
    """C6, H2: no lease is held by a call that may not start."""
    world = World({"a/x": refuses(), "b/y": says("two")}, budget=BudgetConfig(0.0, 0.0, 0.0))
    world.bench("b/y")
    await asyncio.sleep(5.0)

    outcome = await world.stream(transient_retry_count=0)

    assert outcome.reason is ErrorReason.ALL_ATTEMPTS_FAILED
    assert world.called == ["a/x"]
    assert isinstance(world.health.admit(target_of("b/y")), Ticket)
    # And the caller learns why nothing more was tried.
    last = outcome.attempts[-1]
    assert (last.outcome, str(last.target)) == (AttemptOutcome.SKIPPED, "b/y")
    assert "budget" in last.message


# All benched


@virtual_time
async def test_when_all_are_benched_the_one_that_returns_soonest_is_probed() -> None:
    """C3: a last resort goes to the soonest, and its answer is the call's."""
    world = World({"a/x": says("one"), "b/y": says("two"), "c/z": says("three")})
    for name in ("a/x", "b/y", "c/z"):
        world.bench(name)
        await asyncio.sleep(0.1)
    world.health.unbench(target_of("a/x"))
    world.bench("a/x")

    outcome = await world.stream()

    assert outcome.answer == "two"
    assert world.called == ["b/y"]
    assert world.record("b/y").state is TargetState.RAMPING


@virtual_time
async def test_a_last_resort_that_fails_benches_one_round_deeper_and_is_not_retried() -> None:
    """C3, H2: the probe failed, so the bench is longer, and the caller is told what happened."""
    world = World({"a/x": refuses()})
    world.bench("a/x")

    outcome = await world.stream()

    assert outcome.tried == ["a/x skipped", "a/x failed"]
    assert outcome.reason is ErrorReason.ALL_ATTEMPTS_FAILED
    assert (world.record("a/x").rounds, world.record("a/x").until) == (2, EPOCH + 10.0)


@virtual_time
async def test_one_last_resort_at_a_time_and_the_others_are_told_when() -> None:
    """C3, H2: the probe's lease is taken, so NO_HEALTHY_TARGET with the time of return."""
    world = World({"a/x": says("one", first=2.0)})
    world.bench("a/x")
    probe = asyncio.create_task(world.stream())
    await asyncio.sleep(1.0)

    others = await asyncio.gather(*(world.complete_beside() for _ in range(20)))
    first = await probe

    assert first.answer == "one"
    assert {other.reason for other in others} == {ErrorReason.NO_HEALTHY_TARGET}
    assert len(world.calls) == 1
    assert all(other.error is not None and other.error.retry_after == 4.0 for other in others)
    assert others[0].error is not None
    assert others[0].error.metadata == {"target": "a/x", "held_count": "1"}


@virtual_time
async def test_no_healthy_target_names_the_earliest_return() -> None:
    """C3: the time of return is the soonest of all targets."""
    world = World({"a/x": says("one"), "b/y": says("two")})
    world.health.bench(target_of("a/x"), 60.0, "maintenance")
    world.health.bench(target_of("b/y"), 20.0, "maintenance")

    outcome = await world.stream()

    assert outcome.reason is ErrorReason.NO_HEALTHY_TARGET
    assert outcome.error is not None
    assert outcome.error.retry_after == 20.0
    assert world.called == []


@virtual_time
async def test_the_time_of_return_waits_for_both_scopes() -> None:
    """C3, H1: a target is back when its own bench and its provider's are both over."""
    world = World({"a/x": says("one")})
    world.health.bench(target_of("a/x"), 60.0, "maintenance")
    world.health.bench(ProviderScope("a"), 20.0, "maintenance")

    outcome = await world.stream()

    assert outcome.error is not None
    assert outcome.error.retry_after == 60.0


@virtual_time
async def test_an_operators_bench_is_no_last_resort_and_hides_no_other() -> None:
    """C3, H3: what an operator benched is not probed, and the next to return is, though later."""
    world = World({"a/x": says("one"), "b/y": says("two")})
    world.health.bench(target_of("a/x"), 1.0, "maintenance")
    world.bench("b/y")

    outcome = await world.stream()

    assert outcome.answer == "two"
    assert world.called == ["b/y"]


@virtual_time
async def test_the_last_resort_only_goes_where_nothing_was_tried() -> None:
    """C3: while one target could be tried, the benched ones stay benched."""
    world = World({"a/x": says("one"), "b/y": refuses()})
    world.bench("a/x")

    outcome = await world.stream()

    assert world.called == ["b/y", "b/y"]
    assert outcome.reason is ErrorReason.ALL_ATTEMPTS_FAILED


# Chains in chains


@virtual_time
async def test_a_chain_in_a_chain_forces_nothing_while_its_parent_has_more() -> None:
    """C3: last resort means that all are benched, those of the parent included."""
    world = World({"a/x": says("one"), "b/y": says("two"), "c/z": says("three")})
    world.bench("a/x")
    world.bench("b/y")

    outcome = await world.stream(Chain([world.chain("a/x", "b/y"), world.model("c/z")], world.surroundings))

    assert outcome.answer == "three"
    assert world.called == ["c/z"]


@virtual_time
async def test_a_chain_in_a_chain_probes_the_soonest_of_all() -> None:
    """C3: the one that returns soonest, wherever it stands in the tree."""
    world = World({"a/x": says("one"), "b/y": says("two"), "c/z": says("three")})
    world.bench("b/y")
    await asyncio.sleep(0.5)
    world.bench("a/x")
    world.bench("c/z")

    outcome = await world.stream(Chain([world.model("c/z"), world.chain("a/x", "b/y")], world.surroundings))

    assert outcome.answer == "two"
    assert world.called == ["b/y"]


@virtual_time
async def test_a_chain_in_a_chain_lets_the_ramp_decline_while_its_parent_has_more() -> None:
    """H2: the ramp is forced open only where nothing else is left."""
    world = World({"a/x": says("one"), "b/y": says("two")}, health=HealthConfig(jitter=0, ramp_shares=(0.0,)))
    await ramp_up(world, "a/x")

    outcome = await world.stream(Chain([world.chain("a/x"), world.model("b/y")], world.surroundings))

    assert outcome.answer == "two"


# Ramping


async def ramp_up(world: World, name: str) -> None:
    """Bench a target and let its probe succeed."""
    world.bench(name)
    ticket = world.health.last_resort(target_of(name))
    assert ticket is not None
    ticket.succeeded()
    assert world.record(name).state is TargetState.RAMPING


CLOSED_RAMP = HealthConfig(jitter=0.0, ramp_shares=(0.0,))


@virtual_time
async def test_a_ramping_target_declines_to_others() -> None:
    """H2: outside its share the next target leads, with event and reason."""
    world = World({"a/x": says("one"), "b/y": says("two")}, health=CLOSED_RAMP)
    await ramp_up(world, "a/x")

    outcome = await world.stream()

    assert outcome.tried == ["a/x skipped", "b/y succeeded"]
    assert outcome.attempts[0].benched_until is None
    assert "coming back" in outcome.attempts[0].message


@virtual_time
async def test_a_ramping_target_serves_when_it_is_alone() -> None:
    """H2: where nothing else is left to try, the ramp turns nobody away."""
    world = World({"a/x": says("one")}, health=CLOSED_RAMP)
    await ramp_up(world, "a/x")

    outcome = await world.stream()

    assert outcome.answer == "one"


@virtual_time
async def test_a_ramping_target_serves_when_the_others_failed() -> None:
    """H2, C1: after the others failed, what declined is asked again."""
    world = World({"a/x": says("one"), "b/y": refuses()}, health=CLOSED_RAMP)
    await ramp_up(world, "a/x")

    outcome = await world.stream()

    assert outcome.tried == ["a/x skipped", "b/y failed", "b/y failed", "a/x succeeded"]


@virtual_time
async def test_a_ramping_target_to_turn_back_to_is_a_target_that_is_left() -> None:
    """A1: the last in the order is not the last that is left, so its clocks may end it."""
    world = World({"a/x": says("one"), "b/y": hangs()}, health=CLOSED_RAMP)
    await ramp_up(world, "a/x")

    outcome = await world.stream()

    assert outcome.tried == ["a/x skipped", "b/y timed_out", "a/x succeeded"]
    assert outcome.at == 30.0


@virtual_time
async def test_the_ramping_target_turned_back_to_is_the_last_that_is_left() -> None:
    """A1: it has the caller's whole remaining time, though a target after it is well."""
    slow = Script((Wait(100.0), *text("one"), End()))
    world = World({"a/x": slow, "b/y": refuses()}, health=CLOSED_RAMP)
    await ramp_up(world, "a/x")

    outcome = await world.stream()

    assert outcome.answer == "one"


# What the caller is told


@virtual_time
async def test_exhaustion_reports_each_attempt_and_the_first_cause_first() -> None:
    """C4: every attempt's reason, skipped targets included; the first cause leads."""
    world = World(
        {
            "a/x": refuses(FailureClass.OVERLOADED),
            "b/y": says("benched"),
            "c/z": refuses(FailureClass.CONTEXT_TOO_LONG),
        }
    )
    world.bench("b/y")

    outcome = await world.stream(transient_retry_count=0)

    assert outcome.tried == ["a/x failed", "b/y skipped", "c/z failed"]
    assert outcome.reason is ErrorReason.ALL_ATTEMPTS_FAILED
    assert outcome.error is not None
    assert outcome.error.metadata["first_cause"] == "OVERLOADED"
    assert outcome.error.metadata["first_cause_target"] == "a/x"
    assert "scripted overloaded" in outcome.error.message


@virtual_time
async def test_fail_fast_reports_what_went_before_it() -> None:
    """C4: the attempts before a request fault are in the record, in their order."""
    world = World({"a/x": refuses(), "b/y": refuses(FailureClass.INVALID_REQUEST)})

    outcome = await world.stream()

    assert outcome.tried == ["a/x failed", "a/x failed", "b/y failed"]
    assert outcome.reason is ErrorReason.PROVIDER_REJECTED_REQUEST


@virtual_time
async def test_a_unary_call_recovers_silently() -> None:
    """C5: whatever failed on the way, the caller of a unary call sees one answer."""
    world = World({"a/x": Script((*text("half"), Wait(1.0))), "b/y": says("whole")})

    outcome = await world.complete()

    assert outcome.answer == "whole"
    assert outcome.tried == ["a/x failed", "a/x failed", "b/y succeeded"]


@virtual_time
async def test_events_come_in_order_and_before_the_error() -> None:
    """C4, stream rule 2: every attempt's end is told before the call's error."""
    world = World({"a/x": refuses(), "b/y": refuses()})
    client = Client()

    outcome = await world.stream(client=client)

    ended = [event.attempt for event in client.events if isinstance(event, AttemptEnded)]
    assert ended == outcome.attempts
    assert [attempt.index for attempt in ended] == [0, 1, 2, 3]


@virtual_time
async def test_usage_of_failed_tries_is_part_of_the_total() -> None:
    """Stream rule 5: totals are the sum of their children, failed tries included."""
    world = World({"a/x": Script((*text("12345678"), Wait(0.0))), "b/y": says("whole")})

    outcome = await world.stream()

    total = outcome.call.record.total_usage()
    children = [attempt.usage for attempt in outcome.attempts if attempt.usage is not None]
    assert len(children) == 2
    assert total.output_token_count == sum(usage.output_token_count for usage in children) == 2 + 3


@virtual_time
async def test_the_configured_retries_hold_where_the_call_says_nothing() -> None:
    """C1: the default is a setting."""
    world = World({"a/x": refuses(), "b/y": says("two")}, config=AttemptConfig(transient_retry_count=2))

    await world.stream()

    assert world.providers["a"].count("x") == 3
