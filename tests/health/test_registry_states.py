"""Any life of a target and its provider, step by step, against what must always hold (A5, H1 to H3)."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.health import machine
from paceline_server.health.classes import CONSEQUENCES, Penalty
from paceline_server.health.machine import HealthConfig, Record, TargetState
from paceline_server.health.registry import HealthRegistry, Held, ProviderScope, Scope, Ticket

X, Y = Target("a", "x"), Target("a", "y")
SCOPES: tuple[Scope, ...] = (X, Y, ProviderScope("a"))
HELD_STATES = (TargetState.BENCHED, TargetState.PROBING)

targets = st.sampled_from([X, Y])


class HealthLife(RuleBasedStateMachine):
    """Calls come and go, the clock moves on, operators speak."""

    @initialize(seed=st.integers(0, 1000))
    def begin(self, seed: int) -> None:
        """A new registry; its listener looks at every single change."""
        self.now = 1_000_000.0
        self.config = HealthConfig()
        self.registry = HealthRegistry(self.config, now=lambda: self.now, rng=random.Random(seed))
        self.tickets: list[Ticket] = []
        self.records: dict[Scope, Record] = {}
        self.unbenching = False
        self.succeeding: tuple[Scope, ...] = ()
        self.registry.subscribe(self.changed)

    def changed(self, scope: Scope, record: Record) -> None:
        """One change: generations never go back, and a bench never shortens but for a reason."""
        # What time alone changes is not told, so the record before is what time has made of it.
        before = machine.settled(self.records.get(scope, Record()), self.now)
        assert record.generation >= before.generation, "a generation went back (A5)"
        was_held = before.state in HELD_STATES and before.until > self.now
        is_held = record.state in HELD_STATES and record.until > self.now
        if was_held and not self.unbenching:
            lifted_by_probe = scope in self.succeeding and record.state is TargetState.RAMPING
            replaced_by_hand = before.by_operator and record.by_operator and record.reason == "by hand"
            kept = record.until >= before.until
            assert kept or lifted_by_probe or replaced_by_hand, "a bench was shortened (H3, H4)"
            assert not (before.by_operator and lifted_by_probe), "a probe lifted a bench by hand (H3)"
            assert not before.by_operator or record.by_operator, "the automaton took over (H3)"
        if is_held and record.until > before.until and not record.by_operator:
            assert record.generation == before.generation + 1, "a longer bench is a new generation (A5)"
        if record.state is TargetState.BENCHED and record.generation > before.generation:
            assert record.by_operator or record.rounds == before.rounds + 1, "one round at a time (H2)"
        self.records[scope] = record

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.5, 5.5, 11.0, 31.0, 61.0, 660.0]))
    def pass_time(self, seconds: float) -> None:
        """The clock moves on."""
        self.now += seconds

    @rule(called=targets, whole_ramp=st.booleans())
    def admit(self, called: Target, *, whole_ramp: bool) -> None:
        """A caller comes; one after him finds the probe taken."""
        due = [scope for scope in self.registry.scopes(called) if self.probe_is_due(scope)]
        admitted = self.registry.admit(called, whole_ramp=whole_ramp)
        if isinstance(admitted, Held):
            assert admitted.ramping or admitted.until > self.now, "held, and nothing to wait for"
            assert admitted.ramping or self.registry.held(called) is not None
            return
        self.tickets.append(admitted)
        assert [scope for scope, _ in admitted.probes] == due, "a due probe is taken, and nothing else (H2)"
        if due:
            assert isinstance(self.registry.admit(called, whole_ramp=True), Held), "two probes at once (H2)"

    def probe_is_due(self, scope: Scope) -> bool:
        """Whether the next caller is a probe of `scope`."""
        record = self.registry.record(scope)
        if record.state is TargetState.BENCHED:
            return record.until <= self.now
        return record.state is TargetState.PROBING and record.lease_until <= self.now

    @rule(called=targets)
    def last_resort(self, called: Target) -> None:
        """Somebody has nothing else left."""
        records = [self.registry.record(scope) for scope in self.registry.scopes(called)]
        forbidden = any(
            (record.by_operator and record.until > self.now)
            or (record.state is TargetState.PROBING and record.lease_until > self.now)
            for record in records
        )
        ticket = self.registry.last_resort(called)
        assert (ticket is None) == forbidden, "only a bench by hand or a lease forbids it (C3, H3)"
        if ticket is not None:
            self.tickets.append(ticket)

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        """A call ends well; a report of an older generation clears nothing."""
        ticket = self.pick(data)
        before = {scope: self.registry.record(scope) for scope in SCOPES}
        current = self.current(ticket)
        self.succeeding = tuple(current)
        ticket.succeeded()
        self.succeeding = ()
        for scope in SCOPES:
            after = self.registry.record(scope)
            if scope not in current:
                assert after == before[scope], "a stale success cleared something (A5)"
            else:
                assert (after.failures, after.rounds) == (0, 0), "a success clears count and rounds (H1)"
                assert before[scope].state is not TargetState.PROBING or after.state is TargetState.RAMPING

    @precondition(lambda self: self.tickets)
    @rule(
        data=st.data(),
        failure_class=st.sampled_from(FailureClass),
        retry_after=st.sampled_from([None, 0.0, 3.0, 50.0, 5000.0]),
        counts=st.booleans(),
    )
    def fail(
        self, data: st.DataObject, failure_class: FailureClass, retry_after: float | None, *, counts: bool
    ) -> None:
        """A call fails; a report of an older generation, and a class that blames nobody, deepen nothing."""
        ticket = self.pick(data)
        before = {scope: self.registry.record(scope) for scope in SCOPES}
        current = self.current(ticket)
        penalty = CONSEQUENCES[failure_class].penalty
        until = ticket.failed(AttemptFailure(failure_class, "failed", retry_after=retry_after), counts=counts)
        for scope in SCOPES:
            after = self.registry.record(scope)
            blamed = Penalty.TARGET if isinstance(scope, Target) else Penalty.PROVIDER
            if scope not in current:
                assert after == before[scope], "a stale failure deepened something (A5)"
            elif penalty is not blamed:
                kept = (after.failures, after.rounds, after.until, after.generation)
                was = before[scope]
                assert kept == (was.failures, was.rounds, was.until, was.generation), "the innocent pay (A3)"
            else:
                self.check_bench(before[scope], after, failure_class, retry_after)
        assert until is None or until > self.now

    def check_bench(
        self, before: Record, after: Record, failure_class: FailureClass, retry_after: float | None
    ) -> None:
        """What a failure did to the scope that it counts against."""
        assert after.failures <= before.failures + 1, "one call adds at most one (H1)"
        if before.state is TargetState.PROBING:
            assert after.state is TargetState.BENCHED, "a failed probe benches (H2)"
        if after.state is TargetState.BENCHED and after.generation > before.generation:
            dated = retry_after is not None and (
                failure_class is FailureClass.RATE_LIMITED
                or (CONSEQUENCES[failure_class].penalty is Penalty.PROVIDER and retry_after >= 5.0)
            )
            if dated and retry_after is not None:
                assert after.until >= self.now + retry_after, "benched at least until Retry-After (H1)"
            elif CONSEQUENCES[failure_class].penalty is Penalty.PROVIDER:
                assert after.until >= self.now + 600.0
            else:
                length = after.until - self.now
                middle = min(30.0, 5.0 * 2.0**before.rounds)
                was_until = before.until if before.state in HELD_STATES else 0.0
                assert length >= 0.9 * middle - 1e-6
                assert length <= max(min(30.0, 1.1 * middle), was_until - self.now) + 1e-6

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        """A caller leaves: nobody is to blame, and a probe goes back."""
        ticket = self.pick(data)
        before = {scope: self.registry.record(scope) for scope in SCOPES}
        ticket.abandoned()
        for scope in SCOPES:
            after, was = self.registry.record(scope), before[scope]
            kept = (after.failures, after.rounds, after.until, after.generation)
            assert kept == (was.failures, was.rounds, was.until, was.generation), "somebody was blamed (A4)"
            if (scope, was.lease_until) in ticket.probes and was.state is TargetState.PROBING:
                stale = scope not in self.current(ticket)
                assert stale or after.state is TargetState.BENCHED, "a probe was kept (H2)"

    @rule(scope=st.sampled_from(SCOPES), seconds=st.sampled_from([0.0, 1.0, 100.0]))
    def bench(self, scope: Scope, seconds: float) -> None:
        """An operator benches."""
        record = self.registry.bench(scope, seconds, "by hand")
        assert record.until >= self.now + seconds

    @rule(scope=st.sampled_from(SCOPES))
    def unbench(self, scope: Scope) -> None:
        """An operator unbenches."""
        self.unbenching = True
        self.registry.unbench(scope)
        self.unbenching = False
        assert self.registry.record(scope).state is TargetState.ACTIVE

    @invariant()
    def held_agrees_with_admission(self) -> None:
        """Whoever asks whether a target is held is told what admission would tell, and changes nothing."""
        if not hasattr(self, "registry"):
            return
        before = self.registry.snapshot()
        for target in (X, Y):
            held = self.registry.held(target)
            records = [self.registry.record(scope) for scope in self.registry.scopes(target)]
            barred = any(
                (record.state is TargetState.BENCHED and record.until > self.now)
                or (record.state is TargetState.PROBING and record.lease_until > self.now)
                for record in records
            )
            assert (held is not None) == barred
        assert self.registry.snapshot() == before

    def pick(self, data: st.DataObject) -> Ticket:
        """One of the calls under way."""
        return self.tickets.pop(data.draw(st.integers(0, len(self.tickets) - 1)))

    def current(self, ticket: Ticket) -> list[Scope]:
        """The scopes that are still of the ticket's generation."""
        return [
            scope
            for scope, generation in ticket.generations
            if self.registry.record(scope).generation == generation
        ]


TestHealthLife = HealthLife.TestCase
TestHealthLife.settings = settings(max_examples=300, stateful_step_count=40)
