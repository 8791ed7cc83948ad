"""How long something took of late: quantiles over the last minutes, in bounded memory.

Times are kept as DDSketch keeps them, in bins that are within 1 % of their values and that add up without
loss: over slices of time and, later, over replicas. Whose times they are is the owner's business.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field

from ddsketch.mapping import LogarithmicMapping
from ddsketch.store import DenseStore

SLICE_LENGTH = 150.0
SLICE_COUNT = 4
"""Slices of `SLICE_LENGTH` seconds: the last seven and a half to ten minutes count."""

SHORTEST = 0.001
LONGEST = 3600.0
"""Seconds; what lies outside counts as the nearer of the two, so that a slice has at most 756 bins."""

KEPT_SECONDS = 1.0
"""For so long quantiles come from one merger of the slices, which costs as much as sixty observations."""

_BINS = LogarithmicMapping(0.01)
_ROUNDING = 1e-9


@dataclass(slots=True)
class _Slice:
    began_at: float
    whole: DenseStore = field(default_factory=DenseStore)
    cut_off: DenseStore = field(default_factory=DenseStore)

    def merge(self, other: _Slice) -> None:
        self.whole.merge(other.whole)
        self.cut_off.merge(other.cut_off)


class RecentTimes:
    """The times of one thing. `now` is in seconds, never goes back, and is the same clock in every call."""

    __slots__ = ("_merged", "_merged_at", "_slices")

    def __init__(self) -> None:
        """Start with none."""
        self._slices: deque[_Slice] = deque()
        self._merged: _Distribution | None = None
        self._merged_at = 0.0

    def add(self, seconds: float, now: float) -> None:
        """It took so long."""
        self._slice(now).whole.add(_bin(seconds))

    def add_cut_off(self, waited: float, now: float) -> None:
        """It was cut off after `waited` seconds and would have taken longer."""
        self._slice(now).cut_off.add(_bin(waited))

    def quantile(self, q: float, now: float, minimum_count: int) -> float | None:
        """The quantile `q`, above 0 and below 1, as it was at most `KEPT_SECONDS` ago.

        None with fewer than `minimum_count` whole times, and where it lies beyond all that were not cut off.
        """
        if self._merged is None or now >= self._merged_at + KEPT_SECONDS:
            self._merged = self._merger(now, minimum_count)
            self._merged_at = now
        return None if self._merged is None else self._merged.quantile(q)

    def _slice(self, now: float) -> _Slice:
        slices = self._slices
        if not slices or now >= slices[-1].began_at + SLICE_LENGTH:
            self._expire(now)
            slices.append(_Slice(now))
        return slices[-1]

    def _merger(self, now: float, minimum_count: int) -> _Distribution | None:
        self._expire(now)
        if sum(one.whole.count for one in self._slices) < minimum_count:
            return None
        merged = _Slice(now)
        for one in self._slices:
            merged.merge(one)
        return _Distribution(merged)

    def _expire(self, now: float) -> None:
        while self._slices and now >= self._slices[0].began_at + SLICE_LENGTH * SLICE_COUNT:
            self._slices.popleft()


class _Distribution:
    """How times are distributed, as the product-limit estimator has it from times whole and cut off.

    Hedging cuts off the slow ones: left out, they would make their target look ever faster, and taken for
    whole, nearly so. The estimator counts each as still to come until it was cut off, and no longer (E. L.
    Kaplan and P. Meier, Nonparametric Estimation from Incomplete Observations, JASA 53, 1958).
    """

    __slots__ = ("_bins", "_shares")

    def __init__(self, times: _Slice) -> None:
        """Of at least one whole time."""
        self._bins: list[int] = []
        self._shares: list[float] = []
        """Of the times, how many are in the bin of the same place or below it."""
        to_come = times.whole.count + times.cut_off.count
        longer = 1.0
        for one in range(_lowest(times), times.whole.max_key + 1):
            whole = _in_bin(times.whole, one)
            if whole:
                longer *= 1.0 - whole / to_come
                self._bins.append(one)
                self._shares.append(1.0 - longer)
            to_come -= whole + _in_bin(times.cut_off, one)

    def quantile(self, q: float) -> float | None:
        """None if it lies beyond the longest whole time."""
        place = bisect_left(self._shares, q - _ROUNDING)
        return None if place == len(self._bins) else _BINS.value(self._bins[place])


def _bin(seconds: float) -> int:
    return _BINS.key(min(max(seconds, SHORTEST), LONGEST))


def _lowest(times: _Slice) -> int:
    whole, cut_off = times.whole, times.cut_off
    return min(whole.min_key, cut_off.min_key) if cut_off.count else whole.min_key


def _in_bin(store: DenseStore, one: int) -> float:
    place = one - store.offset
    return store.bins[place] if 0 <= place < len(store.bins) else 0.0
