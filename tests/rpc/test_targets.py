"""TargetService: lists and their pages, the bench by hand, watches, and the names."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline.v1 import completion_pb2, targets_pb2
from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.usage import Price
from paceline_server.health.registry import HealthRegistry, ProviderScope, Ticket
from paceline_server.providers.simulated import SimulatedProvider
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.routing.catalog import Definition, ModelKind
from paceline_server.rpc.targets import MAXIMUM_QUEUED_CHANGE_COUNT
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.limits import RaceLimits
from paceline_server.strategies.racing.spec import CandidateSpec, RaceSpec
from tests.rpc.gateway import Gate, HandClock, ask, failure, gateway
from tests.rpc.raw_http2 import http2

pytestmark = pytest.mark.usefixtures("listener")

A, B, OTHER = Target("test", "a"), Target("test", "b"), Target("test-2", "a")

ListTargets = targets_pb2.ListTargetsRequest
Bench = targets_pb2.BenchTargetRequest
Unbench = targets_pb2.UnbenchTargetRequest

ACTIVE, BENCHED = targets_pb2.TARGET_STATE_ACTIVE, targets_pb2.TARGET_STATE_BENCHED
RAMPING = targets_pb2.TARGET_STATE_RAMPING


@pytest.fixture
async def clock() -> HandClock:
    """The time of health, moved by hand."""
    return HandClock()


@pytest.fixture
async def gate(clock: HandClock) -> AsyncIterator[Gate]:
    """Two providers, whose names sort otherwise than their targets, and three names."""
    priced = SimulatedModel(price=Price(5, 7, 1, None))
    providers = [
        SimulatedProvider("test", {"a": priced, "b": SimulatedModel()}, seed=1),
        SimulatedProvider("test-2", {"a": SimulatedModel()}, seed=2),
    ]
    definitions = {
        "quick": Definition(ModelKind.ALIAS, ("test/a",), "the quick one"),
        "both": Definition(ModelKind.CHAIN, ("test/a,test/b", "test-2/a")),
        "all": Definition(ModelKind.ALIAS, ("both",)),
    }
    async with gateway(
        providers=providers, definitions=definitions, default_model="both", now=clock
    ) as running:
        yield running


def named(target: Target) -> completion_pb2.Target:
    """A target as it travels."""
    return completion_pb2.Target(provider=target.provider, model=target.model)


async def listed(gate: Gate, **filters: Any) -> list[str]:
    """The targets of all pages."""
    found: list[str] = []
    token = ""
    while True:
        page = await gate.targets.ListTargets(ListTargets(page_token=token, **filters))
        found += [f"{status.target.provider}/{status.target.model}" for status in page.targets]
        token = page.next_page_token
        if not token:
            return found


async def violated(call: Any) -> list[str]:
    """The fields that a refusal names."""
    told = await failure(call)
    assert (told.reason, told.code) == ("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT)
    bad = told.detail(error_details_pb2.BadRequest)
    assert bad is not None
    return [violation.field for violation in bad.field_violations]


def fail(health: HealthRegistry, target: Target, failure_class: FailureClass, retry_after: float) -> None:
    """Make a target fail so that it is benched."""
    ticket = health.admit(target)
    assert isinstance(ticket, Ticket)
    ticket.failed(AttemptFailure(failure_class, "the provider's words", retry_after=retry_after))


@pytest.mark.parametrize("page_size", [0, 1, 2, 3, 1000])
async def test_pages_hold_every_target_once_in_order(page_size: int, gate: Gate) -> None:
    """ListTargets: the targets by provider and model, in pages of any size."""
    assert await listed(gate, page_size=page_size) == ["test/a", "test/b", "test-2/a"]


NAMES = st.from_regex(r"[a-c][a-c._-]{0,3}", fullmatch=True)


@settings(max_examples=60, deadline=None)
@given(targets=st.sets(st.builds(Target, NAMES, NAMES), min_size=1, max_size=12), page_size=st.integers(1, 5))
def test_no_name_breaks_the_pages(targets: set[Target], page_size: int) -> None:
    """ListTargets: "-" and "." sort before "/", and still no page skips or repeats a target."""

    async def pages() -> list[str]:
        by_provider = sorted({target.provider for target in targets})
        providers = [SimulatedProvider(name, {}, seed=1) for name in by_provider]
        definitions = {
            f"n{index}": Definition(ModelKind.ALIAS, (str(target),)) for index, target in enumerate(targets)
        }
        async with gateway(providers=providers, definitions=definitions) as gate:
            return await listed(gate, page_size=page_size)

    assert asyncio.run(pages()) == [str(target) for target in sorted(targets)]


async def test_filters_are_by_provider_and_by_state(gate: Gate) -> None:
    """ListTargets.states: a target also counts as being in the state of its provider's hold."""
    gate.health.bench(A, 60, "")
    gate.health.bench(ProviderScope("test-2"), 60, "")
    assert await listed(gate, provider="test") == ["test/a", "test/b"]
    assert await listed(gate, provider="nobody") == []
    assert await listed(gate, states=[BENCHED]) == ["test/a", "test-2/a"]
    assert await listed(gate, states=[ACTIVE]) == ["test/b", "test-2/a"]
    assert await listed(gate, states=[RAMPING]) == []
    assert await listed(gate, states=[ACTIVE, BENCHED], page_size=2) == ["test/a", "test/b", "test-2/a"]
    assert await listed(gate, states=[BENCHED], provider="test") == ["test/a"]


async def test_a_list_request_that_breaks_a_rule_is_refused(gate: Gate) -> None:
    """ListTargets, ListModels: INVALID_REQUEST, all violations at once."""
    nonsense = base64.b64encode(b"\xff").decode()
    for method, request in ((gate.targets.ListTargets, ListTargets), (gate.targets.ListModels, None)):
        make: Any = request or targets_pb2.ListModelsRequest
        call: Any = method
        for page_size in (-1, 1001):
            assert await violated(call(make(page_size=page_size))) == ["page_size"]
        for token in ("?", "é", nonsense):
            assert await violated(call(make(page_token=token))) == ["page_token"]
        assert await violated(call(make(page_size=-1, page_token="?"))) == ["page_size", "page_token"]
    assert await violated(gate.targets.ListTargets(ListTargets(states=[99]))) == ["states[0]"]  # type: ignore[list-item]
    kinds: Any = [1, 99]
    assert await violated(gate.targets.ListModels(targets_pb2.ListModelsRequest(kinds=kinds))) == ["kinds[1]"]


async def status_of(gate: Gate, target: Target) -> targets_pb2.TargetStatus:
    """One target as the list has it."""
    page = await gate.targets.ListTargets(ListTargets(provider=target.provider))
    return next(status for status in page.targets if status.target.model == target.model)


async def test_a_target_is_told_with_its_health_and_its_price(gate: Gate, clock: HandClock) -> None:
    """TargetStatus: state, cause, reason, since, until, rounds and price; unset where there is nothing."""
    well = await status_of(gate, A)
    assert (well.state, well.reason, well.round_count) == (ACTIVE, "", 0)
    assert not any(well.HasField(name) for name in ("since_time", "until_time", "provider_hold"))
    assert (well.price.input_nano_usd, well.price.output_nano_usd, well.price.cached_input_nano_usd) == (
        5,
        7,
        1,
    )
    assert not well.price.HasField("cache_write_nano_usd")
    assert not (await status_of(gate, B)).HasField("price")
    fail(gate.health, A, FailureClass.RATE_LIMITED, 90)
    sick = await status_of(gate, A)
    assert (sick.state, sick.cause, sick.reason) == (
        BENCHED,
        completion_pb2.FAILURE_CLASS_RATE_LIMITED,
        "the provider's words",
    )
    assert (sick.since_time.seconds, sick.until_time.seconds) == (clock.seconds, clock.seconds + 90)
    assert (sick.round_count, sick.benched_by_operator) == (1, False)
    fail(gate.health, B, FailureClass.QUOTA, 60)
    held = await status_of(gate, B)
    assert held.state == ACTIVE
    assert (held.provider_hold.name, held.provider_hold.state) == ("test", BENCHED)
    assert held.provider_hold.cause == completion_pb2.FAILURE_CLASS_QUOTA
    assert held.provider_hold.until_time.seconds == clock.seconds + 60


async def test_a_target_that_was_called_is_listed(gate: Gate) -> None:
    """ListTargets: those of the configuration, and those that were benched since the start."""
    gate.health.bench(Target("test", "dated/model-1"), 60, "")
    assert await listed(gate, provider="test") == ["test/a", "test/b", "test/dated/model-1"]


async def test_an_operator_benches_a_target_and_calls_go_elsewhere(gate: Gate, clock: HandClock) -> None:
    """BenchTarget: out of use for the time that is given, with a reason; UnbenchTarget ends it."""
    made = await gate.targets.BenchTarget(
        Bench(target=named(A), duration=Duration(seconds=60), reason="repairs")
    )
    assert (made.status.state, made.status.benched_by_operator, made.status.reason) == (
        BENCHED,
        True,
        "repairs",
    )
    assert made.status.until_time.seconds == clock.seconds + 60
    assert not made.status.cause
    answer = await gate.chain.Chain(ask("both"))
    assert answer.completion.target == named(B)
    assert answer.attempts[0].outcome == completion_pb2.ATTEMPT_OUTCOME_SKIPPED
    assert answer.attempts[0].benched
    ended = await gate.targets.UnbenchTarget(Unbench(target=named(A)))
    assert (ended.status.state, ended.was_benched) == (ACTIVE, True)
    assert (await gate.chain.Chain(ask("both"))).completion.target == named(A)


async def test_an_operator_benches_a_provider(gate: Gate) -> None:
    """BenchTarget: an empty model means the whole provider; the answer has the bench in `provider_hold`."""
    made = await gate.targets.BenchTarget(Bench(target=named(Target("test", "")), reason="contract"))
    assert (made.status.target, made.status.state) == (named(Target("test", "")), ACTIVE)
    hold = made.status.provider_hold
    assert (hold.name, hold.state, hold.reason, hold.benched_by_operator) == (
        "test",
        BENCHED,
        "contract",
        True,
    )
    assert (await gate.chain.Chain(ask("both"))).completion.target == named(OTHER)
    ended = await gate.targets.UnbenchTarget(Unbench(target=named(Target("test", ""))))
    assert ended.was_benched
    assert not ended.status.HasField("provider_hold")
    assert (await gate.chain.Chain(ask("both"))).completion.target == named(A)


async def test_unbenching_a_provider_leaves_the_benches_of_its_targets(gate: Gate) -> None:
    """UnbenchTargetRequest: benches of single targets stay; the provider may still hold a target."""
    gate.health.bench(A, 60, "")
    gate.health.bench(ProviderScope("test"), 60, "")
    await gate.targets.UnbenchTarget(Unbench(target=named(Target("test", ""))))
    assert (await status_of(gate, A)).state == BENCHED
    gate.health.bench(ProviderScope("test"), 60, "")
    ended = await gate.targets.UnbenchTarget(Unbench(target=named(A)))
    assert ended.was_benched
    assert ended.status.provider_hold.state == BENCHED


async def test_unbenching_what_is_not_benched_does_nothing(gate: Gate) -> None:
    """UnbenchTarget: it does nothing if there is no bench; failures are forgotten all the same."""
    changes: list[object] = []
    gate.health.subscribe(lambda _scope, _record: changes.append(None))
    ended = await gate.targets.UnbenchTarget(Unbench(target=named(Target("test", "unheard-of"))))
    assert not ended.was_benched
    assert not changes
    assert "test/unheard-of" not in await listed(gate)
    ticket = gate.health.admit(A)
    assert isinstance(ticket, Ticket)
    ticket.failed(AttemptFailure(FailureClass.TRANSIENT, "once"))
    assert (await status_of(gate, A)).consecutive_failure_count == 1
    assert not (await gate.targets.UnbenchTarget(Unbench(target=named(A)))).was_benched
    assert (await status_of(gate, A)).consecutive_failure_count == 0


async def test_a_bench_by_hand_outranks_the_automaton_until_its_end(gate: Gate, clock: HandClock) -> None:
    """H3: no success and no last resort shortens it; when its time is over, it is over."""
    ticket = gate.health.admit(A)
    assert isinstance(ticket, Ticket)
    await gate.targets.BenchTarget(Bench(target=named(A), duration=Duration(seconds=60)))
    ticket.succeeded()
    assert (await status_of(gate, A)).state == BENCHED
    told = await failure(gate.chain.Chain(ask("quick")))
    assert told.reason == "NO_HEALTHY_TARGET"
    clock.seconds += 61
    assert (await status_of(gate, A)).state == ACTIVE
    await gate.chain.Chain(ask("quick"))


async def test_a_bench_without_a_duration_lasts_30_days(gate: Gate, clock: HandClock) -> None:
    """BenchTargetRequest.duration: unset means 30 days."""
    made = await gate.targets.BenchTarget(Bench(target=named(A)))
    assert made.status.until_time.seconds == clock.seconds + 30 * 86_400


@pytest.mark.parametrize(
    ("fields", "violations"),
    [
        ({}, ["target.provider"]),
        ({"target": completion_pb2.Target(model="a")}, ["target.provider"]),
        ({"duration": Duration(nanos=999_999_999)}, ["duration"]),
        ({"duration": Duration()}, ["duration"]),
        ({"duration": Duration(seconds=-5)}, ["duration"]),
        ({"duration": Duration(seconds=30 * 86_400 + 1)}, ["duration"]),
        ({"reason": "é" * 513}, ["reason"]),
        ({"duration": Duration(), "reason": "x" * 1025}, ["duration", "reason"]),
    ],
)
async def test_a_bench_that_breaks_a_rule_is_refused(
    fields: dict[str, Any], violations: list[str], gate: Gate
) -> None:
    """BenchTarget: from 1 s to 30 days, a reason of at most 1024 bytes; a provider is required."""
    if fields and "target" not in fields:
        fields = {"target": named(A), **fields}
    assert await violated(gate.targets.BenchTarget(Bench(**fields))) == violations
    assert (await status_of(gate, A)).state == ACTIVE


async def test_benching_what_is_not_configured_is_refused(gate: Gate) -> None:
    """BenchTarget, UnbenchTarget: MODEL_NOT_FOUND if the provider is not configured."""
    unknown = named(Target("nobody", "a"))
    for told in (
        await failure(gate.targets.BenchTarget(Bench(target=unknown))),
        await failure(gate.targets.UnbenchTarget(Unbench(target=unknown))),
    ):
        assert (told.reason, told.code) == ("MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND)
    assert (await failure(gate.targets.UnbenchTarget(Unbench()))).reason == "INVALID_REQUEST"


def watching(gate: Gate, provider: str = "") -> Any:
    """A watch of targets."""
    return gate.targets.WatchTargets(targets_pb2.WatchTargetsRequest(provider=provider))


async def test_a_watch_begins_with_a_snapshot_and_goes_on_with_changes(gate: Gate, clock: HandClock) -> None:
    """WatchTargets: a snapshot first and then every change, with the state before."""
    watch = watching(gate)
    first = (await watch.read()).snapshot
    assert [status.target for status in first.targets] == [named(A), named(B), named(OTHER)]
    assert first.snapshot_time.seconds == clock.seconds
    gate.health.bench(A, 60, "repairs")
    change = (await watch.read()).change
    assert (change.status.target, change.status.state, change.previous_state) == (named(A), BENCHED, ACTIVE)
    assert change.change_time.seconds == clock.seconds
    gate.health.unbench(A)
    change = (await watch.read()).change
    assert (change.status.state, change.previous_state) == (ACTIVE, BENCHED)
    watch.cancel()


async def test_a_change_of_a_provider_is_a_change_of_each_of_its_targets(gate: Gate) -> None:
    """TargetChange: when a provider's hold changes, each of its targets has a change."""
    watch = watching(gate)
    await watch.read()
    gate.health.bench(ProviderScope("test"), 60, "")
    changes = [(await watch.read()).change for _ in range(2)]
    assert [change.status.target for change in changes] == [named(A), named(B)]
    assert all(change.status.provider_hold.state == BENCHED for change in changes)
    watch.cancel()


async def test_a_watch_of_one_provider_sees_no_other(gate: Gate) -> None:
    """WatchTargetsRequest.provider: only this provider, in the snapshot and in the changes."""
    watch = watching(gate, "test-2")
    assert [status.target for status in (await watch.read()).snapshot.targets] == [named(OTHER)]
    gate.health.bench(A, 60, "")
    gate.health.bench(OTHER, 60, "")
    assert (await watch.read()).change.status.target == named(OTHER)
    watch.cancel()


async def test_a_watcher_that_falls_behind_starts_again_from_a_snapshot(gate: Gate) -> None:
    """WatchTargets: a snapshot may come again, and replaces all that was sent before."""
    watch = watching(gate)
    await watch.read()
    # Without a turn of the loop between them, nothing is taken from the queue.
    for number in range(MAXIMUM_QUEUED_CHANGE_COUNT + 1):
        gate.health.bench(A, 60 + number, str(number))
    event = await watch.read()
    assert event.HasField("snapshot")
    assert event.snapshot.targets[0].reason == str(MAXIMUM_QUEUED_CHANGE_COUNT)
    gate.health.unbench(A)
    assert (await watch.read()).change.status.state == ACTIVE
    watch.cancel()


async def test_a_watcher_that_leaves_is_forgotten(gate: Gate) -> None:
    """WatchTargets: until the client leaves; then no change is told to it, and nothing is left."""
    async with http2(gate) as connection:
        await connection.request("/paceline.v1.TargetService/WatchTargets", b"")
        await gate.chain.Chain(ask())
        connection.writer.transport.abort()
    (ended,) = [call for call in await gate.book.ended(2) if call.method.endswith("WatchTargets")]
    assert ended.code == "CANCELLED"
    assert gate.server.in_flight_count == 0
    assert not gate.bugs


async def test_names_are_listed_with_what_they_stand_for(gate: Gate) -> None:
    """ListModels: names in alphabetical order, with definition, targets, source and availability."""
    gate.health.bench(A, 60, "")
    answer = await gate.targets.ListModels(targets_pb2.ListModelsRequest())
    assert answer.default_model == "both"
    assert [model.name for model in answer.models] == ["all", "both", "quick"]
    assert [model.available_now for model in answer.models] == [True, True, False]
    every, both, quick = answer.models
    assert every.definition.alias.spec == "both"
    assert list(every.targets) == list(both.targets) == [named(A), named(B), named(OTHER)]
    assert list(both.definition.chain.models) == ["test/a,test/b", "test-2/a"]
    assert (quick.kind, quick.description) == (targets_pb2.MODEL_KIND_ALIAS, "the quick one")
    assert quick.source == targets_pb2.MODEL_SOURCE_CONFIGURATION
    assert not quick.HasField("update_time")


async def test_names_are_filtered_and_paged(gate: Gate) -> None:
    """ListModels: kinds and pages."""
    kinds = [targets_pb2.MODEL_KIND_ALIAS]
    first = await gate.targets.ListModels(targets_pb2.ListModelsRequest(kinds=kinds, page_size=1))
    second = await gate.targets.ListModels(
        targets_pb2.ListModelsRequest(kinds=kinds, page_size=1, page_token=first.next_page_token)
    )
    assert [model.name for model in (*first.models, *second.models)] == ["all", "quick"]
    assert not second.next_page_token


async def test_races_are_listed_with_their_candidates_and_their_judge() -> None:
    """ListModels: the kind RACE, its definition, every target it may reach; a judge alone answers nobody."""
    candidates = (CandidateSpec("test/a", priority=1), CandidateSpec("test/a"))
    races = {"judged": RaceSpec(candidates, Best(Scorer.JUDGE, "test/b"), RaceLimits(max_started_count=4))}
    definitions = {"quick": Definition(ModelKind.ALIAS, ("judged",))}
    async with gateway({"a": SimulatedModel()}, definitions=definitions, races=races) as gate:
        kinds = [targets_pb2.MODEL_KIND_RACE]
        (model,) = (await gate.targets.ListModels(targets_pb2.ListModelsRequest(kinds=kinds))).models
        assert (model.name, model.kind, model.available_now) == ("judged", targets_pb2.MODEL_KIND_RACE, True)
        assert list(model.targets) == [named(A), named(B)]
        told = model.definition.race
        assert [(one.model, one.priority) for one in told.candidates] == [("test/a", 1), ("test/a", 0)]
        assert (told.strategy.best.scorer.judge.model, told.limits.max_started_count) == ("test/b", 4)
        gate.health.bench(A, 60, "")
        answer = await gate.targets.ListModels(targets_pb2.ListModelsRequest())
        assert [model.available_now for model in answer.models] == [False, False]
