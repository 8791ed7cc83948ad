"""How many additional attempts a fleet may make: retries, failovers, hedges and judges together.

A token bucket fed by the calls that are offered and by time (rule C6, after Finagle's retry
budget); hedges have a narrower one besides (rules C7, R4). It bounds what a sick provider is made
to bear; it knows no calls and no targets.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from paceline_server.completion.immutable import immutable


@immutable(frozen=True, slots=True)
class BudgetConfig:
    """The numbers of the budget.

    Attributes:
        share_of_calls: Additional attempts granted for each call offered.
        per_second: ... and each second, so that a quiet service can fail over too.
        burst: The most that can be saved up.
        start: What the bucket starts with, at most `burst`; None means one second's worth.
    """

    share_of_calls: float = 0.2
    per_second: float = 10.0
    burst: float = 100.0
    start: float | None = None


HEDGES = BudgetConfig(share_of_calls=0.1, per_second=0.0, burst=10.0, start=1.0)
"""For hedges alone; it starts with one, so that a quiet service can hedge too."""


class AttemptBudget:
    """The budget of one process."""

    def __init__(
        self, config: BudgetConfig | None = None, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Start with what the config says; `now` is in seconds and never goes back."""
        self.config = config or BudgetConfig()
        self._now = now
        start = self.config.per_second if self.config.start is None else self.config.start
        self._balance = min(start, self.config.burst)
        self._updated = now()

    def call_offered(self) -> None:
        """A call came: its share is granted."""
        self._accrue(self.config.share_of_calls)

    def has_one(self) -> bool:
        """Whether there is an additional attempt to take."""
        self._accrue(0.0)
        return self._balance >= 1.0

    def spend(self) -> bool:
        """Take one additional attempt, if there is one."""
        if not self.has_one():
            return False
        self._balance -= 1.0
        return True

    def give_back(self) -> None:
        """Return one additional attempt that was not made after all."""
        self._accrue(1.0)

    def _accrue(self, granted: float) -> None:
        now = self._now()
        earned = max(0.0, now - self._updated) * self.config.per_second + granted
        self._updated = now
        self._balance = min(self.config.burst, self._balance + earned)
