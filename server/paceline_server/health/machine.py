"""The backoff state machine of one scope (a target, or a provider): pure, without clock or storage.

Each function takes a record and the time and gives the next record. Times are seconds since the
epoch, so that replicas can share them. The rules are H1 to H3.

    ACTIVE --failures reach the threshold--> BENCHED --its end, first caller--> PROBING
    PROBING --success--> RAMPING --ramp over--> ACTIVE;  PROBING --failure--> BENCHED, one round deeper
    BENCHED and PROBING by an operator's word end only with its time or by his word
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.immutable import immutable

MAXIMUM_DOUBLINGS = 32
"""Far beyond any cap: keeps the arithmetic finite when a scope has been sick for weeks."""

PROBE_PATIENCE = 1.0
"""Seconds to advise a caller to wait who is held back by a probe that is under way."""


class TargetState(Enum):
    """Where a scope stands."""

    ACTIVE = "active"
    BENCHED = "benched"
    PROBING = "probing"
    RAMPING = "ramping"


@immutable(frozen=True, slots=True)
class HealthConfig:
    """The numbers of the state machine; durations in seconds.

    Attributes:
        failure_threshold: Consecutive calls that failed before a bench.
        base: The first bench; each round doubles it, up to `maximum`.
        jitter: Each bench is longer or shorter by up to this share, so that replicas do not return in step.
        provider_bench: The bench of a provider whose quota or credentials failed, unless it says until when;
            less than `base` counts as not said.
        ramp: How long traffic takes to come back after a good probe.
        ramp_shares: The share of calls that go through in equal slices of `ramp`.
        probe_lease: A probe that never reports is forgotten after this long.
    """

    failure_threshold: int = 2
    base: float = 5.0
    maximum: float = 30.0
    jitter: float = 0.1
    provider_bench: float = 600.0
    ramp: float = 30.0
    ramp_shares: tuple[float, ...] = (0.1, 0.25, 0.5)
    probe_lease: float = 60.0


@immutable(frozen=True, slots=True)
class Record:
    """What is known of one scope.

    Attributes:
        generation: Grows with every bench; reports from an older generation count for nothing.
        since: When the state began.
        until: When a bench or a ramp ends.
        lease_until: Until when a probe keeps others away.
        rounds: Benches in a row without a success between them.
        by_operator: Benched by hand: nothing automatic shortens or lifts it.
    """

    state: TargetState = TargetState.ACTIVE
    generation: int = 0
    failures: int = 0
    rounds: int = 0
    since: float = 0.0
    until: float = 0.0
    lease_until: float = 0.0
    cause: FailureClass | None = None
    reason: str = ""
    by_operator: bool = False


class Permit(Enum):
    """What a scope lets a caller do."""

    GO = "go"
    PROBE = "probe"
    RAMP = "ramp"
    HELD = "held"


def settled(record: Record, now: float) -> Record:
    """`record` after what time alone changes: a ramp that is over, a bench by hand that has ended."""
    if record.state is TargetState.RAMPING and now >= record.until:
        return replace(record, state=TargetState.ACTIVE, since=record.until, until=0.0, cause=None, reason="")
    if record.by_operator and now >= record.until:
        return Record(generation=record.generation, since=record.until)
    return record


def permit(record: Record, now: float) -> Permit:
    """What a settled record lets the next caller do."""
    match record.state:
        case TargetState.ACTIVE:
            return Permit.GO
        case TargetState.RAMPING:
            return Permit.RAMP
        case TargetState.BENCHED:
            return Permit.HELD if now < record.until else Permit.PROBE
        case TargetState.PROBING:
            return Permit.HELD if now < record.lease_until else Permit.PROBE


def changes_at(record: Record) -> float | None:
    """When time alone changes the state, or lets the next call through; None for never."""
    if record.state is TargetState.ACTIVE:
        return None
    return record.lease_until if record.state is TargetState.PROBING else record.until


def moved(before: Record, after: Record) -> bool:
    """Whether something changed that decides who may be called, and not only counts, causes and words."""
    return (before.state, before.until, before.lease_until) != (after.state, after.until, after.lease_until)


def returns_at(record: Record, now: float) -> float:
    """When a held scope may be tried again, as far as is known: a probe on its way may end at any moment."""
    return max(record.until, now + PROBE_PATIENCE) if record.state is TargetState.PROBING else record.until


def ramp_share(record: Record, now: float, config: HealthConfig) -> float:
    """The share of calls, 0 to 1, that a ramping scope takes at `now`."""
    slice_seconds = config.ramp / (len(config.ramp_shares) or 1)
    index = int((now - record.since) / slice_seconds) if slice_seconds > 0 else len(config.ramp_shares)
    return config.ramp_shares[index] if 0 <= index < len(config.ramp_shares) else 1.0


def probing(record: Record, now: float, config: HealthConfig) -> Record:
    """One caller has taken the probe; others wait for its report or for its lease to end."""
    return replace(record, state=TargetState.PROBING, since=now, lease_until=now + config.probe_lease)


def probe_returned(record: Record, now: float) -> Record:
    """The probe was given up without a result: the next caller may take it at once."""
    return replace(record, state=TargetState.BENCHED, since=now, lease_until=0.0)


def succeeded(record: Record, now: float, config: HealthConfig) -> Record:
    """A call of the record's generation succeeded: count and rounds are cleared, a probe opens the ramp."""
    if record.state is TargetState.PROBING:
        return Record(
            state=TargetState.RAMPING,
            generation=record.generation,
            since=now,
            until=now + config.ramp,
            cause=record.cause,
            reason="probe succeeded",
        )
    if record.failures == 0 and record.rounds == 0:
        return record
    if record.state is TargetState.ACTIVE:
        return replace(record, failures=0, rounds=0, cause=None, reason="")
    return replace(record, failures=0, rounds=0)


def failed(
    record: Record,
    now: float,
    config: HealthConfig,
    *,
    cause: FailureClass,
    reason: str,
    not_before: float,
    jitter_factor: float,
    at_once: bool,
    counts: bool = True,
) -> Record:
    """A call of the record's generation failed.

    Args:
        not_before: The provider's own word on when to come back (0.0: none); the bench ends no earlier.
        jitter_factor: Drawn by the caller from 1 - jitter to 1 + jitter.
        at_once: Bench until `not_before` without waiting for the threshold: the provider said when.
        counts: False if this call was counted before: one call adds at most one to the count.
    """
    failures = record.failures + (1 if counts else 0)
    earned = record.state is TargetState.PROBING or (counts and failures >= config.failure_threshold)
    if not earned and not at_once:
        return replace(record, failures=failures, cause=cause, reason=reason)
    backoff = _backoff(record.rounds, config, jitter_factor) if earned else 0.0
    held_until = record.until if record.state in (TargetState.BENCHED, TargetState.PROBING) else 0.0
    return replace(
        record,
        state=TargetState.BENCHED,
        generation=record.generation + 1,
        failures=0,
        rounds=record.rounds + 1,
        since=now,
        until=max(held_until, now + backoff, not_before),
        lease_until=0.0,
        cause=cause,
        reason=reason,
    )


def benched_by_operator(record: Record, now: float, until: float, reason: str) -> Record:
    """An operator's bench; it outranks the automaton until its end.

    It replaces another bench by hand, and shortens no longer one of the automaton's.
    """
    automatic = record.state in (TargetState.BENCHED, TargetState.PROBING) and not record.by_operator
    held_until = record.until if automatic else 0.0
    return replace(
        record,
        state=TargetState.BENCHED,
        generation=record.generation + 1,
        since=now,
        until=max(held_until, until),
        cause=None,
        reason=reason,
        by_operator=True,
    )


def unbenched(record: Record, now: float) -> Record:
    """An operator's word that the scope is well: all is forgotten but the generation."""
    return Record(generation=record.generation + 1, since=now)


def _backoff(rounds: int, config: HealthConfig, jitter_factor: float) -> float:
    """The length of a bench that was earned: never above the maximum, and spread at the maximum too."""
    jittered = min(config.maximum, config.base * 2.0 ** min(rounds, MAXIMUM_DOUBLINGS)) * jitter_factor
    return min(jittered, 2.0 * config.maximum - jittered)
