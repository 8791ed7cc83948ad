"""The registry: two scopes a target, one probe a bench, and reports that count where they belong (H1-H3)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.health import records as records_module
from paceline_server.health.agenda import SLACK, Agenda
from paceline_server.health.classes import CONSEQUENCES, Penalty
from paceline_server.health.machine import HealthConfig, Record, TargetState
from paceline_server.health.registry import HealthRegistry, Held, ProviderScope, Scope, Ticket

X, Y, Z = Target("a", "x"), Target("a", "y"), Target("b", "z")
A, B = ProviderScope("a"), ProviderScope("b")


@dataclass(slots=True)
class Ward:
    """A registry on a clock that the test turns."""

    now: float = 1_000_000.0
    config: HealthConfig = field(default_factory=lambda: HealthConfig(jitter=0.0))
    quota_identities: dict[str, str] = field(default_factory=dict)
    seed: int = 1
    registry: HealthRegistry = field(init=False)

    def __post_init__(self) -> None:
        self.registry = HealthRegistry(
            self.config,
            provider_scope=lambda target: self.quota_identities.get(target.provider, target.provider),
            now=lambda: self.now,
            rng=random.Random(self.seed),
        )

    def ticket(self, target: Target = X) -> Ticket:
        """Admission, which must be granted."""
        ticket = self.registry.admit(target, whole_ramp=True)
        assert isinstance(ticket, Ticket)
        return ticket

    def held(self, target: Target = X) -> Held:
        """Admission, which must be refused."""
        held = self.registry.admit(target)
        assert isinstance(held, Held)
        return held

    def bench(self, target: Target = X) -> Record:
        """Two calls fail."""
        for _ in range(2):
            self.ticket(target).failed(failure())
        return self.registry.record(target)

    def state(self, scope: Scope = X) -> TargetState:
        """Where a scope stands."""
        return self.registry.record(scope).state


def failure(
    failure_class: FailureClass = FailureClass.TRANSIENT, retry_after: float | None = None
) -> AttemptFailure:
    """A failure of a provider."""
    return AttemptFailure(failure_class, "failed", retry_after=retry_after)


# Who is penalised


@pytest.mark.parametrize("failure_class", FailureClass)
def test_a_class_penalises_whom_the_table_names(failure_class: FailureClass) -> None:
    """A3, H1: the target, the provider, or nobody at all."""
    ward = Ward()

    ward.ticket().failed(failure(failure_class))

    penalty = CONSEQUENCES[failure_class].penalty
    assert (ward.registry.record(X) != Record()) == (penalty is Penalty.TARGET)
    assert (ward.registry.record(A) != Record()) == (penalty is Penalty.PROVIDER)
    assert ward.registry.held(Z) is None


@pytest.mark.parametrize("failure_class", [FailureClass.AUTHENTICATION, FailureClass.QUOTA])
@pytest.mark.parametrize(
    ("retry_after", "seconds"), [(None, 600.0), (7200.0, 7200.0), (30.0, 30.0), (5.0, 5.0)]
)
def test_a_provider_at_fault_is_benched_with_all_its_targets(
    failure_class: FailureClass, retry_after: float | None, seconds: float
) -> None:
    """H1: QUOTA and AUTHENTICATION bench the provider for 10 min, or until it says, and say so."""
    ward = Ward()

    until = ward.ticket(X).failed(failure(failure_class, retry_after))

    assert until == ward.now + seconds
    for target in (X, Y):
        held = ward.held(target)
        assert (held.scope, held.until, held.cause) == (A, until, failure_class)
    assert isinstance(ward.registry.admit(Z), Ticket)


@pytest.mark.parametrize("failure_class", [FailureClass.AUTHENTICATION, FailureClass.QUOTA])
@pytest.mark.parametrize("retry_after", [0.0, 0.12, 4.9])
def test_a_few_moments_do_not_shorten_a_providers_bench(
    failure_class: FailureClass, retry_after: float
) -> None:
    """H1: [10 min, or until the provider says]; less than the first bench of a target is not its word."""
    ward = Ward()

    assert ward.ticket(X).failed(failure(failure_class, retry_after)) == ward.now + 600.0


def test_quota_identity_siblings_are_benched_together() -> None:
    """H1: providers that share a quota share its bench, under the identity's name."""
    ward = Ward(quota_identities={"a": "shared", "b": "shared"})

    ward.ticket(X).failed(failure(FailureClass.QUOTA))

    assert ward.held(Z).scope == ProviderScope("shared")
    assert str(ward.held(Z).scope) == "shared"


def test_parallel_calls_that_fail_once_each_are_one_bench() -> None:
    """A5, H1: twenty in flight, two benches' worth of failures, and yet one bench."""
    ward = Ward()
    tickets = [ward.ticket() for _ in range(20)]

    for ticket in tickets:
        ticket.failed(failure())

    record = ward.registry.record(X)
    assert (record.rounds, record.generation, record.until) == (1, 1, ward.now + 5.0)


def test_a_stale_success_clears_nothing() -> None:
    """A5: a success that began before the bench does not end it."""
    ward = Ward()
    early = ward.ticket()
    benched = ward.bench()

    early.succeeded()

    assert ward.registry.record(X) == benched


def test_a_stale_failure_deepens_nothing() -> None:
    """A5: a failure that arrives after a bench, or after its probe, is no news."""
    ward = Ward()
    early = [ward.ticket(), ward.ticket()]
    ward.bench()
    early[0].failed(failure())
    ward.now += 5.0
    ward.ticket().succeeded()
    early[1].failed(failure())

    record = ward.registry.record(X)
    assert (record.state, record.failures, record.rounds) == (TargetState.RAMPING, 0, 0)


def test_a_second_report_counts_for_nothing() -> None:
    """H1: a ticket is the right to one report."""
    ward = Ward()
    ticket = ward.ticket()
    ticket.failed(failure())

    ticket.failed(failure())
    ticket.succeeded()
    ticket.abandoned()

    assert ward.registry.record(X).failures == 1


# Benches and dates


@pytest.mark.parametrize(("retry_after", "seconds"), [(2.0, 2.0), (45.0, 45.0)])
def test_a_rate_limit_with_a_date_benches_at_once(retry_after: float, seconds: float) -> None:
    """H1: RATE_LIMITED benches until Retry-After."""
    ward = Ward()

    assert ward.ticket().failed(failure(FailureClass.RATE_LIMITED, retry_after)) == ward.now + seconds


def test_a_rate_limit_without_a_date_counts_like_any_failure() -> None:
    """H1: two in a row."""
    ward = Ward()

    assert ward.ticket().failed(failure(FailureClass.RATE_LIMITED)) is None
    assert ward.ticket().failed(failure(FailureClass.RATE_LIMITED)) == ward.now + 5.0


def test_other_failures_do_not_date_a_bench() -> None:
    """A3: only RATE_LIMITED binds the bench to Retry-After."""
    ward = Ward()

    assert ward.ticket().failed(failure(FailureClass.OVERLOADED, 45.0)) is None


def test_the_jitter_of_the_registry_is_a_tenth() -> None:
    """H1: benches spread over 10 % either way."""
    lengths = []
    for seed in range(300):
        ward = Ward(config=HealthConfig(), seed=seed)
        lengths.append(ward.bench().until - ward.now)

    assert 4.5 <= min(lengths) < 4.6
    assert 5.4 < max(lengths) <= 5.5


# Probes


def test_exactly_one_probe_at_a_benchs_end() -> None:
    """H2: however many callers come, one goes through."""
    ward = Ward()
    ward.bench()
    ward.now += 5.0

    admitted = [ward.registry.admit(X) for _ in range(1000)]

    assert sum(isinstance(one, Ticket) for one in admitted) == 1
    assert isinstance(admitted[0], Ticket)


def test_one_provider_probe_for_all_its_targets() -> None:
    """H2: at the end of a provider's bench one call in all goes through, whichever target it is for."""
    ward = Ward()
    ward.ticket().failed(failure(FailureClass.QUOTA))
    ward.now += 600.0

    admitted = [ward.registry.admit(target) for target in (X, Y) * 10]

    assert sum(isinstance(one, Ticket) for one in admitted) == 1


def test_a_probe_that_is_abandoned_goes_to_the_next_caller() -> None:
    """H2, A4: the caller left; the next one probes at once."""
    ward = Ward()
    ward.bench()
    ward.now += 5.0
    first = ward.ticket()
    assert ward.state() is TargetState.PROBING

    first.abandoned()

    assert isinstance(ward.registry.admit(X), Ticket)
    assert isinstance(ward.registry.admit(X), Held)


def test_a_probe_that_penalises_nobody_is_given_back() -> None:
    """H2, A3: a probe refused for its prompt says nothing of its target's health."""
    ward = Ward()
    ward.bench()
    ward.now += 5.0

    ward.ticket().failed(failure(FailureClass.CONTEXT_TOO_LONG))

    assert ward.registry.record(X).rounds == 1
    assert isinstance(ward.registry.admit(X), Ticket)


@pytest.mark.parametrize("failure_class", FailureClass)
def test_a_fault_of_the_gateway_itself_penalises_nobody(failure_class: FailureClass) -> None:
    """A3, H2: whatever its class, a blameless failure counts against no scope and gives its probe back."""
    ward = Ward()
    until = ward.bench().until
    ward.now = until

    ward.ticket().failed(AttemptFailure(failure_class, "no descriptor left", blameless=True))

    assert (ward.state(), ward.registry.record(X).until) == (TargetState.BENCHED, until)
    assert ward.state(A) is TargetState.ACTIVE
    assert isinstance(ward.registry.admit(X), Ticket), "the next caller takes the probe"


def test_a_probe_of_the_other_scope_is_given_back() -> None:
    """H2: the target failed while its provider was probed; the provider's probe is free again."""
    ward = Ward()
    ward.ticket().failed(failure(FailureClass.QUOTA))
    ward.now += 600.0

    ward.ticket(X).failed(failure())

    assert ward.state(A) is TargetState.BENCHED
    assert isinstance(ward.registry.admit(Y), Ticket)


def test_a_lease_that_ends_lets_another_probe() -> None:
    """H2: a probe that never reports is forgotten after its lease."""
    ward = Ward()
    ward.bench()
    ward.now += 5.0
    ward.ticket()
    ward.now += 59.9
    assert isinstance(ward.registry.admit(X), Held)
    ward.now += 0.1

    assert isinstance(ward.registry.admit(X), Ticket)
    assert isinstance(ward.registry.admit(X), Held)


def test_a_probe_whose_lease_ended_does_not_give_back_anothers() -> None:
    """H2: only the holder of the lease returns it, or there would be two probes at once."""
    ward = Ward()
    ward.bench()
    ward.now += 5.0
    late = ward.ticket()
    ward.now += 60.0
    ward.ticket()

    late.abandoned()

    assert isinstance(ward.registry.admit(X), Held)


def test_a_failed_probe_benches_one_round_deeper() -> None:
    """H2: 5 s, 10 s, 20 s, and then the cap."""
    ward = Ward()
    ward.bench()
    lengths = []
    for _ in range(4):
        ward.now = ward.registry.record(X).until
        ward.ticket().failed(failure())
        lengths.append(ward.registry.record(X).until - ward.now)

    assert lengths == [10.0, 20.0, 30.0, 30.0]


# The ramp


def ramped() -> Ward:
    """A ward whose X has just been probed with success."""
    ward = Ward()
    ward.bench()
    ward.now += 5.0
    ward.ticket().succeeded()
    return ward


@pytest.mark.parametrize(("after", "share"), [(0.0, 0.10), (10.0, 0.25), (20.0, 0.50), (30.0, 1.0)])
def test_the_shares_of_the_ramp(after: float, share: float) -> None:
    """H2: 10, 25, 50, 100 %, within 5 points over 10,000 calls."""
    ward = ramped()
    ward.now += after

    admitted = sum(isinstance(ward.registry.admit(X), Ticket) for _ in range(10_000))

    assert abs(admitted / 10_000 - share) <= 0.05


def test_both_scopes_ramping_let_the_smaller_share_through_and_not_the_product() -> None:
    """H2: a target and its provider that come back together come back at 10 %, not at 1 %."""
    ward = Ward()
    ward.bench()
    ward.ticket(Y).failed(failure(FailureClass.QUOTA, 5.0))
    ward.now += 5.0
    ward.ticket(X).succeeded()
    assert ward.state(X) is ward.state(A) is TargetState.RAMPING

    admitted = sum(isinstance(ward.registry.admit(X), Ticket) for _ in range(10_000))

    assert abs(admitted / 10_000 - 0.10) <= 0.05


def test_a_declined_call_is_told_that_the_target_ramps() -> None:
    """H2: it is well and coming back; nothing to wait for."""
    ward = ramped()
    declined = next(one for one in (ward.registry.admit(X) for _ in range(1000)) if isinstance(one, Held))

    assert declined.ramping
    assert declined.until == ward.now
    assert ward.registry.held(X) is None
    assert isinstance(ward.registry.admit(X, whole_ramp=True), Ticket)


def test_failures_in_the_ramp_bench_again() -> None:
    """H1, H2: two in a row, as ever."""
    ward = ramped()

    ward.bench()

    assert ward.state() is TargetState.BENCHED


# Last resort


def test_a_last_resort_takes_the_probe_of_every_bench() -> None:
    """C3: target and provider alike, once."""
    ward = Ward()
    ward.bench()
    ward.ticket(Y).failed(failure(FailureClass.QUOTA))

    assert ward.registry.last_resort(X) is not None
    assert ward.state(X) is ward.state(A) is TargetState.PROBING
    assert ward.registry.last_resort(X) is None
    assert ward.registry.last_resort(Y) is None


def test_a_last_resort_that_is_abandoned_leaves_the_bench() -> None:
    """C3, A4: until its old end, no deeper."""
    ward = Ward()
    benched = ward.bench()
    ticket = ward.registry.last_resort(X)
    assert ticket is not None

    ticket.abandoned()

    after = ward.registry.record(X)
    assert (after.state, after.until, after.rounds) == (TargetState.BENCHED, benched.until, 1)


# Operators


def test_an_operators_bench_outranks_the_automaton_and_the_last_resort() -> None:
    """H3: until its end nothing goes through, and no report lifts or shortens it."""
    ward = Ward()
    early = ward.ticket()
    record = ward.registry.bench(X, 60.0, "maintenance")

    early.succeeded()

    assert ward.registry.record(X) == record
    assert ward.registry.last_resort(X) is None
    held = ward.held()
    assert (held.by_operator, held.reason, held.until) == (True, "maintenance", ward.now + 60.0)
    ward.now += 60.0
    assert isinstance(ward.registry.admit(X), Ticket)


def test_an_operator_benches_providers_too() -> None:
    """H3: all targets of the provider are held."""
    ward = Ward()

    ward.registry.bench(A, 60.0, "maintenance")

    assert ward.held(X).scope == ward.held(Y).scope == A
    assert isinstance(ward.registry.admit(Z), Ticket)


def test_a_short_bench_by_hand_shortens_no_long_one() -> None:
    """H3, H4: until = max(old, new)."""
    ward = Ward()
    ward.ticket().failed(failure(FailureClass.QUOTA))

    ward.registry.bench(A, 1.0, "maintenance")

    assert ward.registry.record(A).until == ward.now + 600.0


def test_another_bench_by_hand_replaces_the_first() -> None:
    """H3: an operator may shorten his own bench; the contract of BenchTarget says that it is replaced."""
    ward = Ward()
    ward.registry.bench(X, 6000.0, "maintenance")

    ward.registry.bench(X, 10.0, "sooner done")

    assert ward.registry.record(X).until == ward.now + 10.0


@pytest.mark.parametrize("by_hand", [True, False])
def test_what_time_alone_changes_is_told_when_it_is_settled(*, by_hand: bool) -> None:
    """H3: a watch sees the end of a ramp and of a bench by hand, though nobody called."""
    ward = Ward() if by_hand else ramped()
    if by_hand:
        ward.registry.bench(X, 10.0, "maintenance")
    told: list[TargetState] = []
    ward.registry.subscribe(lambda _scope, record: told.append(record.state))
    ward.registry.settle()
    assert told == []

    ward.now += 30.0
    ward.registry.settle()

    assert told == [TargetState.ACTIVE]


def test_targets_that_were_called_are_known_though_nothing_ever_failed() -> None:
    """The contract of ListTargets: those of the configuration, and those that were called since the start."""
    ward = Ward()
    ward.ticket(Y).succeeded()
    ward.ticket(X).succeeded()
    ward.ticket(Y).succeeded()

    assert ward.registry.called_targets() == (Y, X)


def test_unbench_lets_everybody_through_at_once() -> None:
    """H3: no probe and no ramp: the operator's word stands."""
    ward = Ward()
    ward.bench()
    ward.registry.bench(X, 60.0, "maintenance")

    ward.registry.unbench(X)

    assert all(isinstance(ward.registry.admit(X), Ticket) for _ in range(10))


def test_unbench_during_a_probe_ends_the_probes_say() -> None:
    """H3, A5: the probe began before the operator's word, so its failure is no news."""
    ward = Ward()
    ward.bench()
    ward.now += 5.0
    probe = ward.ticket()
    ward.registry.unbench(X)

    probe.failed(failure())

    assert ward.state() is TargetState.ACTIVE
    assert ward.registry.record(X).failures == 0


# Both scopes


@pytest.mark.parametrize(("target_seconds", "provider_seconds"), [(60.0, 20.0), (20.0, 60.0)])
def test_a_target_is_held_until_both_its_scopes_are_free(
    target_seconds: float, provider_seconds: float
) -> None:
    """H1, C3: the time of return is the later of the two."""
    ward = Ward()
    ward.registry.bench(X, target_seconds, "maintenance")
    ward.registry.bench(A, provider_seconds, "maintenance")

    assert ward.held().until == ward.now + 60.0
    assert ward.held() == ward.registry.held(X)


def test_a_held_target_takes_no_probe_of_its_provider() -> None:
    """H2: a call that does not go through leaves the other scope's probe alone."""
    ward = Ward()
    ward.ticket(Y).failed(failure(FailureClass.QUOTA, 5.0))
    ward.registry.bench(X, 60.0, "maintenance")
    ward.now += 5.0

    ward.held(X)

    assert ward.state(A) is TargetState.BENCHED
    assert isinstance(ward.registry.admit(Y), Ticket)


# Listeners, snapshots, memory


def test_listeners_are_told_of_each_change_in_order() -> None:
    """H3: bench, probe and ramp, with their scope."""
    ward = Ward()
    told: list[tuple[Scope, TargetState]] = []
    ward.registry.subscribe(lambda scope, record: told.append((scope, record.state)))
    ward.bench()
    ward.now += 5.0
    ward.ticket().succeeded()
    ward.now += 30.0
    ward.ticket().succeeded()

    states = [TargetState.ACTIVE, TargetState.BENCHED, TargetState.PROBING, TargetState.RAMPING]
    assert told == [(X, state) for state in [*states, TargetState.ACTIVE]]


def test_listeners_are_not_told_of_what_changes_nothing() -> None:
    """H4: a call to a healthy target costs no message."""
    ward = Ward()
    told: list[Scope] = []
    ward.registry.subscribe(lambda scope, _record: told.append(scope))

    for _ in range(10):
        ward.ticket().succeeded()
        ward.ticket().abandoned()

    assert told == []
    assert ward.registry.snapshot() == {}


def test_a_listener_that_left_is_told_nothing() -> None:
    """H3: a watch that ended costs nothing."""
    ward = Ward()
    told: list[Scope] = []
    leave = ward.registry.subscribe(lambda scope, _record: told.append(scope))
    leave()

    ward.bench()

    assert told == []


def test_a_snapshot_is_settled_to_now() -> None:
    """H3: a ramp that is over is told as over."""
    ward = ramped()
    assert ward.registry.snapshot()[X].state is TargetState.RAMPING
    ward.now += 30.0

    assert ward.registry.snapshot()[X].state is TargetState.ACTIVE


def test_well_records_are_forgotten_beyond_the_bound_and_benched_ones_are_kept() -> None:
    """H1: specs may name any model, so the registry forgets the well ones before it grows without end."""
    ward = Ward()
    ward.bench()
    for number in range(2 * records_module.MAXIMUM_RECORD_COUNT):
        ward.ticket(Target("b", f"m{number}")).failed(failure())

    assert len(ward.registry.snapshot()) <= records_module.MAXIMUM_RECORD_COUNT
    assert ward.state(X) is TargetState.BENCHED


def test_forgetting_never_takes_a_generation_back() -> None:
    """A5: a report from before a bench that was forgotten still counts for nothing."""
    ward = Ward()
    early = ward.ticket()
    ward.bench()
    ward.registry.unbench(X)
    generation = ward.registry.record(X).generation
    for number in range(records_module.MAXIMUM_RECORD_COUNT):
        ward.ticket(Target("b", f"m{number}")).failed(failure())
    assert X not in ward.registry.snapshot()

    early.failed(failure())

    assert ward.registry.record(X).failures == 0
    assert ward.registry.record(X).generation >= generation


class CountedTarget(Target):
    """A target that counts how often anybody looks something up by it."""

    looks: ClassVar[int] = 0

    def __hash__(self) -> int:
        CountedTarget.looks += 1
        return hash((self.provider, self.model))


def test_a_failure_costs_the_same_however_many_targets_failed_before() -> None:
    """H1, H4: callers name the models of a provider that is down; 20,000 of them slow no call."""
    ward = Ward()
    costs = []
    for number in range(20_000):
        target = CountedTarget("b", f"m{number}")
        CountedTarget.looks = 0
        ward.ticket(target).failed(failure(FailureClass.RATE_LIMITED, 86_400.0))
        ward.registry.settle()
        costs.append(CountedTarget.looks)

    assert max(costs) <= 3 * costs[0]


def test_benches_that_end_together_are_settled_a_part_at_a_time() -> None:
    """H3, H4: calls come in between, however many benches end at once."""
    ward = Ward()
    ward.registry.bench(X, 5.0, "maintenance")
    for number in range(records_module.SETTLED_AT_ONCE):
        ward.ticket(Target("b", f"m{number}")).failed(failure(FailureClass.RATE_LIMITED, 5.0))
    ward.now += 5.0

    assert len(ward.registry.settle()) == records_module.SETTLED_AT_ONCE
    assert ward.registry.next_change() == ward.now
    assert len(ward.registry.settle()) == 1
    assert ward.registry.next_change() is None


def test_what_was_benched_again_and_again_leaves_nothing_on_the_agenda() -> None:
    """H4: a bench that was ended by hand is not kept until its time would have come."""
    agenda = Agenda()
    for number in range(10_000):
        agenda.put(X, 1e9 + number)
        agenda.put(X, None)

    assert len(agenda) <= SLACK + 1
    assert agenda.next() is None


@pytest.mark.parametrize("since", [599.0, 601.0])
def test_a_bench_that_ended_long_ago_is_forgotten_and_its_end_is_told(since: float) -> None:
    """H2, H4: ten minutes after its end a bench says nothing any more, if there are too many records."""
    ward = Ward()
    ward.bench()
    ward.now = ward.registry.record(X).until + since
    told: list[tuple[Scope, TargetState]] = []
    ward.registry.subscribe(lambda scope, record: told.append((scope, record.state)))
    for number in range(records_module.MAXIMUM_RECORD_COUNT):
        ward.ticket(Target("b", f"m{number}")).failed(failure(FailureClass.RATE_LIMITED, 60.0))

    is_forgotten = since > records_module.MEMORABLE_SECONDS
    assert (X not in ward.registry.snapshot()) == is_forgotten
    assert ((X, TargetState.ACTIVE) in told) == is_forgotten


def test_records_have_a_limit_that_only_operators_exceed() -> None:
    """H3, H4: benches of made-up targets fill no memory, and push out no provider and no operator's word."""
    ward = Ward()
    ward.registry.bench(X, 86_400.0, "maintenance")
    ward.ticket(Z).failed(failure(FailureClass.QUOTA, 86_400.0))
    for number in range(records_module.CROWDED_RECORD_COUNT + 100):
        ward.ticket(Target("c", f"m{number}")).failed(failure(FailureClass.RATE_LIMITED, 86_400.0))

    assert len(ward.registry.snapshot()) == records_module.CROWDED_RECORD_COUNT
    assert ward.state(X) is ward.state(B) is TargetState.BENCHED


def test_who_listens_for_moves_is_not_told_of_counts() -> None:
    """H4: a count decides nothing about who may be called; another end of a bench does."""
    ward = Ward()
    told: list[float] = []
    ward.registry.subscribe(lambda _scope, record: told.append(record.until), moves_only=True)
    ward.ticket().failed(failure())
    assert told == []

    ward.registry.bench(X, 10.0, "maintenance")
    ward.registry.bench(X, 10.0, "other words")
    ward.registry.bench(X, 20.0, "maintenance")

    assert told == [ward.now + 10.0, ward.now + 20.0]
