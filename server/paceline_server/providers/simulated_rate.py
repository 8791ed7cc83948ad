"""How many calls a simulated model takes a second. Knows no clock: the time is handed in."""

from __future__ import annotations

# Sums of binary fractions fall short of a whole token by less than this.
_ROUNDING = 1e-9


class CallRate:
    """A bucket that fills at `calls_per_second` and holds a second's worth, at least one call."""

    __slots__ = ("_calls_per_second", "_capacity", "_filled_at", "_tokens")

    def __init__(self, calls_per_second: float) -> None:
        """Start full."""
        self._calls_per_second = calls_per_second
        self._capacity = max(1.0, calls_per_second)
        self._tokens = self._capacity
        self._filled_at: float | None = None

    def admit(self, now: float) -> float:
        """Take one call at `now` seconds of any steady clock.

        Returns:
            0 if the call was taken, else the seconds until one would be; nothing is taken then.
        """
        if self._filled_at is not None:
            gained = (now - self._filled_at) * self._calls_per_second
            self._tokens = min(self._capacity, self._tokens + gained)
        self._filled_at = now
        if self._tokens < 1.0 - _ROUNDING:
            return (1.0 - self._tokens) / self._calls_per_second
        self._tokens = max(0.0, self._tokens - 1.0)
        return 0.0
