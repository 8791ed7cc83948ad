"""Who may be called now: the health of all targets and providers in this process.

Applies the state machine to its scopes and tells listeners of each change. All calls are
synchronous, so a call to a healthy target waits for nothing. A target stands under two scopes:
its own, and that of its provider (or of the quota that providers share).
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.health import machine
from paceline_server.health.classes import CONSEQUENCES, Penalty
from paceline_server.health.machine import HealthConfig, Permit, Record, TargetState
from paceline_server.health.records import Listener, Records
from paceline_server.health.ticket import Held, ProviderScope, Scope, Ticket

__all__ = ["HealthRegistry", "Held", "ProviderScope", "Scope", "Ticket"]

MAXIMUM_CALLED_COUNT = 10_000
"""Specs may name any model of a provider; of the targets that were called, the latest this many are known."""


class HealthRegistry:
    """The health of every scope that ever failed. Scopes without a record are well."""

    def __init__(
        self,
        config: HealthConfig | None = None,
        *,
        provider_scope: Callable[[Target], str] = lambda target: target.provider,
        now: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        """Start with everything well.

        Args:
            provider_scope: The provider's identity, or the quota identity that it shares.
            now: Seconds since the epoch.
            rng: Draws jitter and the ramp's share.
        """
        self.config = config or HealthConfig()
        self.now = now
        self._provider_scope_of = lru_cache(MAXIMUM_CALLED_COUNT)(
            lambda target: ProviderScope(provider_scope(target))
        )
        self._rng = rng or random.Random()
        self._records = Records(now)
        self._called: OrderedDict[Target, None] = OrderedDict()

    def scopes(self, target: Target) -> tuple[Scope, Scope]:
        """The two scopes that a target stands under: its provider's and its own."""
        return self._provider_scope_of(target), target

    def record(self, scope: Scope) -> Record:
        """What is known of a scope now."""
        return self._records.get(scope)

    def settle(self) -> list[Scope]:
        """Tell the listeners of what time alone has changed: the end of a ramp, or of a bench by hand.

        Returns:
            The scopes whose moment has come, those whose bench has ended included; at most some at once.
        """
        return self._records.settle()

    def next_change(self) -> float | None:
        """When time alone next changes something; past if `settle` has more to do, None for never."""
        return self._records.next_change()

    def called_targets(self) -> tuple[Target, ...]:
        """The targets that were let through, or tried to, since the start; of very many the latest."""
        return tuple(self._called)

    def snapshot(self) -> dict[Scope, Record]:
        """All scopes with a record, settled to now."""
        return self._records.snapshot()

    def held(self, target: Target) -> Held | None:
        """Why a target may not be called now, or None if it may; draws nothing and takes no probe."""
        scopes = self.scopes(target)
        if self._records.are_unknown(scopes):
            return None
        worst: Held | None = None
        now = self.now()
        for scope in scopes:
            record = self.record(scope)
            if machine.permit(record, now) is Permit.HELD:
                held = _held(target, scope, record, now)
                if worst is None or held.until > worst.until:
                    worst = held
        return worst

    def admit(self, target: Target, *, whole_ramp: bool = False) -> Ticket | Held:
        """Let a caller through, as a probe where one is due, or say until when the target is held.

        Args:
            whole_ramp: Let the call through however little of the ramp is open (nothing else is left to try).
        """
        scopes = self.scopes(target)
        if self._records.are_unknown(scopes):
            self._remember(target)
            provider, own = scopes
            generation = self._records.unknown_generation
            return Ticket(self, target, ((provider, generation), (own, generation)))
        held = self.held(target)
        if held is not None:
            return held
        self._remember(target)
        now = self.now()
        generations: list[tuple[Scope, int]] = []
        probes: list[Scope] = []
        # One draw for both scopes: where both ramp, the smaller share goes through and not their product.
        draw = -1.0 if whole_ramp else self._rng.random()
        for scope in scopes:
            record = self.record(scope)
            generations.append((scope, record.generation))
            permit = machine.permit(record, now)
            if permit is Permit.PROBE:
                probes.append(scope)
            elif permit is Permit.RAMP and draw >= machine.ramp_share(record, now, self.config):
                return _held(target, scope, record, now, ramping=True)
        return self._ticket(target, generations, probes)

    def last_resort(self, target: Target) -> Ticket | None:
        """A probe before the bench has ended, unless one is under way or an operator forbids it."""
        generations: list[tuple[Scope, int]] = []
        probes: list[Scope] = []
        now = self.now()
        for scope in self.scopes(target):
            record = self.record(scope)
            held = machine.permit(record, now) is Permit.HELD
            if held and (record.state is TargetState.PROBING or record.by_operator):
                return None
            generations.append((scope, record.generation))
            if record.state in (TargetState.BENCHED, TargetState.PROBING):
                probes.append(scope)
        return self._ticket(target, generations, probes)

    def record_success(self, ticket: Ticket) -> None:
        """Apply a success to the scopes whose generation is still the ticket's."""
        if self._records.are_unknown(self.scopes(ticket.target)):
            return
        for scope, record in self._current(ticket):
            self._records.put(scope, machine.succeeded(record, self.now(), self.config))

    def record_failure(self, ticket: Ticket, failure: AttemptFailure, *, counts: bool) -> None:
        """Apply a failure to the scope that its class penalises, if any; probes of other scopes go back."""
        now = self.now()
        penalty = Penalty.NOBODY if failure.blameless else CONSEQUENCES[failure.failure_class].penalty
        for scope, record in self._current(ticket):
            blamed = Penalty.TARGET if isinstance(scope, Target) else Penalty.PROVIDER
            if penalty is not blamed:
                self._return_probe(ticket, scope, record, now)
            else:
                self._records.put(scope, self._after(record, now, failure, penalty, counts=counts))

    def return_probes(self, ticket: Ticket) -> None:
        """Give back the probes that the ticket took, without a result."""
        now = self.now()
        for scope, record in self._current(ticket):
            self._return_probe(ticket, scope, record, now)

    def bench(self, scope: Scope, seconds: float, reason: str) -> Record:
        """An operator's bench of `seconds`."""
        now = self.now()
        return self._records.put(
            scope, machine.benched_by_operator(self.record(scope), now, now + seconds, reason)
        )

    def unbench(self, scope: Scope) -> Record:
        """An operator's word that the scope is well."""
        return self._records.put(scope, machine.unbenched(self.record(scope), self.now()))

    def subscribe(self, listener: Listener, *, moves_only: bool = False) -> Callable[[], None]:
        """Tell `listener` of every change, at once and synchronously; returns what ends that.

        Args:
            moves_only: Leave out the changes that do not decide who may be called, such as counts.
        """
        return self._records.subscribe(listener, moves_only=moves_only)

    def _after(
        self, record: Record, now: float, failure: AttemptFailure, penalty: Penalty, *, counts: bool
    ) -> Record:
        told = failure.retry_after
        if penalty is Penalty.PROVIDER:
            # A few moments are the pace of a rate limit; neither a quota nor a key is renewed in so little.
            said = told is not None and told >= self.config.base
            wait: float | None = told if said else self.config.provider_bench
        else:
            wait = told if failure.failure_class is FailureClass.RATE_LIMITED else None
        return machine.failed(
            record,
            now,
            self.config,
            cause=failure.failure_class,
            reason=failure.message,
            not_before=0.0 if wait is None else now + wait,
            jitter_factor=1.0 + self.config.jitter * self._rng.uniform(-1.0, 1.0),
            at_once=wait is not None,
            counts=counts,
        )

    def _remember(self, target: Target) -> None:
        if target not in self._called:
            if len(self._called) >= MAXIMUM_CALLED_COUNT:
                self._called.popitem(last=False)
            self._called[target] = None

    def _ticket(self, target: Target, generations: list[tuple[Scope, int]], probes: list[Scope]) -> Ticket:
        leases: list[tuple[Scope, float]] = []
        for scope in probes:
            record = self._records.put(scope, machine.probing(self.record(scope), self.now(), self.config))
            leases.append((scope, record.lease_until))
        return Ticket(self, target, tuple(generations), tuple(leases))

    def _current(self, ticket: Ticket) -> list[tuple[Scope, Record]]:
        """The ticket's scopes that have not moved to another generation since it was given out."""
        records = [(scope, generation, self.record(scope)) for scope, generation in ticket.generations]
        return [(scope, record) for scope, generation, record in records if record.generation == generation]

    def _return_probe(self, ticket: Ticket, scope: Scope, record: Record, now: float) -> None:
        # A lease that has ended may be another caller's by now: only its holder gives a probe back.
        if record.state is TargetState.PROBING and (scope, record.lease_until) in ticket.probes:
            self._records.put(scope, machine.probe_returned(record, now))


def _held(target: Target, scope: Scope, record: Record, now: float, *, ramping: bool = False) -> Held:
    return Held(
        target,
        scope,
        until=now if ramping else machine.returns_at(record, now),
        cause=record.cause,
        reason=record.reason,
        ramping=ramping,
        by_operator=record.by_operator,
    )
