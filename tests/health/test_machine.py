"""The backoff state machine as tables: each state, what happens to it, and what becomes of it (H1 to H3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.completion.attempt import FailureClass
from paceline_server.health import machine
from paceline_server.health.machine import HealthConfig, Permit, Record, TargetState

CONFIG = HealthConfig()
ACTIVE, BENCHED = TargetState.ACTIVE, TargetState.BENCHED
PROBING, RAMPING = TargetState.PROBING, TargetState.RAMPING


def failed(
    record: Record,
    now: float,
    *,
    not_before: float = 0.0,
    jitter_factor: float = 1.0,
    counts: bool = True,
    config: HealthConfig = CONFIG,
) -> Record:
    """`record` after a transient failure, or one that the provider dated `not_before`."""
    return machine.failed(
        record,
        now,
        config,
        cause=FailureClass.TRANSIENT,
        reason="failed",
        not_before=not_before,
        jitter_factor=jitter_factor,
        at_once=not_before > 0.0,
        counts=counts,
    )


def benched(until: float, *, rounds: int = 1, generation: int = 1) -> Record:
    """A record on the bench."""
    return Record(
        BENCHED, generation, rounds=rounds, until=until, cause=FailureClass.TRANSIENT, reason="failed"
    )


def probing(until: float, *, lease_until: float, rounds: int = 1) -> Record:
    """A record whose probe is under way."""
    return Record(PROBING, 1, rounds=rounds, until=until, lease_until=lease_until)


def ramping(since: float, *, failures: int = 0) -> Record:
    """A record that is coming back."""
    return Record(
        RAMPING, 1, failures=failures, since=since, until=since + 30.0, cause=FailureClass.TRANSIENT
    )


@pytest.mark.parametrize(
    ("record", "now", "expected"),
    [
        (Record(), 0.0, Permit.GO),
        (Record(failures=1), 0.0, Permit.GO),
        (benched(10.0), 9.99, Permit.HELD),
        (benched(10.0), 10.0, Permit.PROBE),
        (probing(10.0, lease_until=70.0), 69.9, Permit.HELD),
        (probing(10.0, lease_until=70.0), 70.0, Permit.PROBE),
        (probing(100.0, lease_until=70.0), 80.0, Permit.PROBE),
        (ramping(0.0), 5.0, Permit.RAMP),
    ],
)
def test_what_a_record_permits(record: Record, now: float, expected: Permit) -> None:
    """H1, H2: held until the end of the bench, one probe then, held again until its lease ends."""
    assert machine.permit(record, now) is expected


@pytest.mark.parametrize(
    ("record", "now", "state", "failures", "rounds"),
    [
        (Record(), 5.0, ACTIVE, 1, 0),
        (Record(failures=1), 5.0, BENCHED, 0, 1),
        (Record(failures=1, rounds=2), 5.0, BENCHED, 0, 3),
        (probing(4.0, lease_until=70.0), 5.0, BENCHED, 0, 2),
        (ramping(0.0), 5.0, RAMPING, 1, 0),
        (ramping(0.0, failures=1), 5.0, BENCHED, 0, 1),
    ],
)
def test_a_failure_in_each_state(
    record: Record, now: float, state: TargetState, failures: int, rounds: int
) -> None:
    """H1, H2: two in a row bench; a probe's failure benches at once, one round deeper."""
    after = failed(record, now)

    assert (after.state, after.failures, after.rounds) == (state, failures, rounds)
    assert after.generation == record.generation + (1 if state is BENCHED else 0)
    assert after.cause is FailureClass.TRANSIENT


@pytest.mark.parametrize(
    ("record", "state"),
    [
        (Record(), ACTIVE),
        (Record(failures=1, rounds=3, cause=FailureClass.TRANSIENT, reason="failed"), ACTIVE),
        (probing(4.0, lease_until=70.0), RAMPING),
        (ramping(0.0, failures=1), RAMPING),
    ],
)
def test_a_success_in_each_state(record: Record, state: TargetState) -> None:
    """H1, H2: a success clears count and rounds; a probe's opens the ramp; a well record tells no cause."""
    after = machine.succeeded(record, 5.0, CONFIG)

    assert (after.state, after.failures, after.rounds) == (state, 0, 0)
    assert after.generation == record.generation
    assert after.state is not ACTIVE or (after.cause, after.reason) == (None, "")


def test_rounds_double_up_to_the_cap() -> None:
    """H1: 5 s x 2^rounds, at most 30 s."""
    record = Record(failures=1)
    lengths: list[float] = []
    for _ in range(6):
        record = failed(record, 100.0)
        lengths.append(record.until - 100.0)
        record = machine.probing(Record(BENCHED, rounds=record.rounds), 100.0, CONFIG)

    assert lengths == [5.0, 10.0, 20.0, 30.0, 30.0, 30.0]


def test_weeks_of_sickness_do_not_overflow() -> None:
    """H1: the arithmetic stays finite at any number of rounds."""
    assert failed(Record(failures=1, rounds=10_000), 0.0).until == 30.0


@given(rounds=st.integers(0, 40), jitter_factor=st.floats(0.9, 1.1))
def test_a_bench_is_jittered_by_a_tenth_and_never_above_the_cap(rounds: int, jitter_factor: float) -> None:
    """H1: jitter 10 %, at the cap too, where it must not make a bench longer than the most."""
    middle = min(30.0, 5.0 * 2.0**rounds)
    until = failed(Record(failures=1, rounds=rounds), 0.0, jitter_factor=jitter_factor).until

    assert 0.9 * middle - 1e-9 <= until <= min(30.0, 1.1 * middle + 1e-9)
    if abs(jitter_factor - 1.0) > 0.01:
        assert abs(until - middle) > 0.005 * middle, "replicas would return in step"


@pytest.mark.parametrize(
    ("failures", "not_before", "until"),
    [(0, 8.0, 8.0), (1, 3.0, 5.0), (1, 40.0, 40.0), (0, 4000.0, 4000.0)],
)
def test_a_providers_own_date_is_the_least(failures: int, not_before: float, until: float) -> None:
    """H1, A3: benched at once and at least until Retry-After; longer where the count has earned it."""
    after = failed(Record(failures=failures), 0.0, not_before=not_before)

    assert (after.state, after.until) == (BENCHED, until)


def test_a_call_that_was_counted_before_adds_nothing() -> None:
    """H1: one call adds at most one to the count."""
    once = failed(Record(), 0.0)

    assert failed(once, 1.0, counts=False).failures == 1
    assert failed(once, 1.0, counts=False).state is ACTIVE


def test_a_ramp_ends_with_its_time() -> None:
    """H2: after 30 s the record is active again, and remembers what failed meanwhile."""
    record = ramping(10.0, failures=1)

    assert machine.settled(record, 39.9) is record
    after = machine.settled(record, 40.0)
    assert (after.state, after.failures, after.since, after.cause) == (ACTIVE, 1, 40.0, None)


@pytest.mark.parametrize(
    ("after", "share"),
    [(-5.0, 0.1), (0.0, 0.1), (9.9, 0.1), (10.0, 0.25), (19.9, 0.25), (20.0, 0.5), (29.9, 0.5), (30.0, 1.0)],
)
def test_the_ramp_in_its_slices(after: float, share: float) -> None:
    """H2: 10, 25, 50, 100 % over 30 s."""
    assert machine.ramp_share(ramping(100.0), 100.0 + after, CONFIG) == share


def test_a_ramp_without_slices_is_open() -> None:
    """H2: no shares, or no time, means that all traffic is back at once."""
    assert machine.ramp_share(ramping(0.0), 0.0, HealthConfig(ramp_shares=())) == 1.0
    assert machine.ramp_share(ramping(0.0), 0.0, HealthConfig(ramp=0.0)) == 1.0


def test_a_probe_that_is_given_back_leaves_the_bench_as_it_was() -> None:
    """H2: the next caller may take it at once, and the bench is no longer and no deeper."""
    taken = machine.probing(benched(10.0, rounds=3), 12.0, CONFIG)
    returned = machine.probe_returned(taken, 13.0)

    assert (returned.state, returned.until, returned.rounds) == (BENCHED, 10.0, 3)
    assert machine.permit(returned, 13.0) is Permit.PROBE
    assert returned.generation == taken.generation


@pytest.mark.parametrize(
    ("record", "seconds", "until"),
    [
        (Record(), 60.0, 65.0),
        (benched(10.0), 60.0, 65.0),
        (benched(600.0), 60.0, 600.0),
        (probing(600.0, lease_until=70.0), 60.0, 600.0),
        (ramping(0.0), 1.0, 6.0),
    ],
)
def test_an_operators_bench(record: Record, seconds: float, until: float) -> None:
    """H3, H4: until = max(old, new), where the automaton benched before."""
    after = machine.benched_by_operator(record, 5.0, 5.0 + seconds, "maintenance")

    assert (after.state, after.until, after.by_operator) == (BENCHED, until, True)
    assert after.generation == record.generation + 1
    assert machine.settled(after, until - 0.1) == after
    assert machine.settled(after, until) == Record(generation=after.generation, since=until)


@pytest.mark.parametrize(
    "record", [Record(failures=1), benched(10.0), probing(10.0, lease_until=70.0), ramping(0.0)]
)
def test_unbench_forgets_all_but_the_generation(record: Record) -> None:
    """H3: the operator's word that a scope is well; reports from before it count for nothing."""
    assert machine.unbenched(record, 5.0) == Record(generation=record.generation + 1, since=5.0)


@pytest.mark.parametrize(
    ("record", "now", "expected"),
    [
        (benched(10.0), 5.0, 10.0),
        (probing(10.0, lease_until=70.0), 5.0, 10.0),
        (probing(10.0, lease_until=70.0), 20.0, 21.0),
    ],
)
def test_the_time_of_return(record: Record, now: float, expected: float) -> None:
    """C3: the end of the bench, or soon, where a probe is on its way."""
    assert machine.returns_at(record, now) == expected


def test_a_last_resort_that_fails_does_not_shorten_the_bench_that_it_broke() -> None:
    """C3, H4: until = max(old, new): the provider's date stands, whatever the probe before it brought."""
    after = failed(probing(600.0, lease_until=70.0), 5.0)

    assert (after.state, after.until) == (BENCHED, 600.0)
