"""Whether a call may turn to a target: what bars it, its health, and the budgets of attempts.

Asks and counts; what is made of the answer is the target's business.
"""

from __future__ import annotations

from paceline_server.completion.answer import Target
from paceline_server.completion.errors import AttemptFailure
from paceline_server.health.registry import Held, Ticket
from paceline_server.strategies.call import Admission, Call, Turn
from paceline_server.strategies.surroundings import Surroundings

CLOCK_TOLERANCE = 0.05
"""Seconds that the event loop's clock and the health clock may differ over one retry's wait."""


class Gate:
    """Stands before one target."""

    def __init__(self, target: Target, surroundings: Surroundings) -> None:
        """Guard `target`."""
        self._target = target
        self._health = surroundings.health
        self._provider = surroundings.health.scopes(target)[0]
        self._budget = surroundings.budget
        self._hedges = surroundings.hedges
        self._additional_attempts = surroundings.config.additional_attempts

    def ready(self, call: Call) -> bool:
        """Whether `call` may turn to the target now."""
        return self._health.held(self._target) is None and self._provider not in call.record.barred

    def held(self, call: Call, turn: Turn) -> Held | None:
        """Why the target will not be called, as far as is seen without asking for admission."""
        barred = call.record.barred.get(self._provider)
        if barred is not None:
            held = self._health.held(self._target)
            until = self._health.now() if held is None else held.until
            return Held(self._target, self._provider, until, barred.failure_class, barred.message)
        forced = turn.admission in (Admission.LAST_RESORT, Admission.RETRY)
        return None if forced else self._health.held(self._target)

    def admit(self, call: Call, turn: Turn) -> Ticket | Held:
        """Let the call through, or say what holds the target."""
        held = self.held(call, turn)
        if held is not None:
            return held
        admission = turn.admission
        if admission is Admission.LAST_RESORT or (admission is Admission.RETRY and self._bench_is_over()):
            ticket = self._health.last_resort(self._target)
            if ticket is not None:
                return ticket
        return self._health.admit(self._target, whole_ramp=admission is Admission.WHOLE_RAMP)

    def may_start(self, call: Call) -> bool:
        """A first start is free; each further one draws on the call's and the fleet's budget (A7, C6)."""
        record = call.record
        whole = record.whole or record
        if not whole.offered:
            whole.offered = True
            self._budget.call_offered()
            self._hedges.call_offered()
        if record.starts_freely:
            return True
        if whole.additional_count >= self._additional_attempts or not self._budget.spend():
            return False
        whole.additional_count += 1
        return True

    def take_back(self, call: Call) -> None:
        """Nothing was sent after all: no start, and no budget used (A8)."""
        record = call.record
        record.take_back(self._target)
        if not record.starts_freely:
            (record.whole or record).additional_count -= 1
            self._budget.give_back()

    def bar_provider(self, call: Call, failure: AttemptFailure) -> None:
        """Let the call turn to no target of the provider any more, or of its quota (A3)."""
        call.record.barred[self._provider] = failure

    def _bench_is_over(self) -> bool:
        """Whether a retry has waited for its own bench; the wait and the bench run on two clocks."""
        held = self._health.held(self._target)
        return held is None or held.until <= self._health.now() + CLOCK_TOLERANCE
