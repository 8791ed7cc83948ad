"""How targets have done of late: how fast they answer, and how often they win races (rules C7, R3, R4, R7).

Kept per process and per target. What is made of the numbers is decided where they are asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from paceline_server.completion.answer import Target
from paceline_server.routing.recent_times import RecentTimes

MINIMUM_COUNT = 20
"""From fewer observations no quantile is told; of twenty, 0.95 is the first that is not just the slowest."""

KEPT_TARGET_COUNT = 512
"""Callers name any model; beyond so many targets the one is forgotten that was not heard of for the longest.
A target takes some 20 KB, and ten times that where its times are spread over all of an hour."""

HALF_LIFE = 3600.0
"""Seconds after which a race counts half."""

PRIOR_WEIGHT = 10.0
"""A target's own races weigh as much as all targets' together once it has run so many."""

UNKNOWN_WIN_RATE = 0.5
LEAST_WIN_RATE = 1e-6
"""Where no race has been won at all, so that a score still falls with latency."""


@dataclass(slots=True)
class _Races:
    """Races run and won, each of a weight that halves with every `HALF_LIFE`."""

    wins: float = 0.0
    participations: float = 0.0
    as_of: float = 0.0

    def settle(self, now: float) -> None:
        """Let time do its part."""
        faded = 0.5 ** ((now - self.as_of) / HALF_LIFE)
        self.wins *= faded
        self.participations *= faded
        self.as_of = now

    def add(self, now: float, *, won: bool) -> None:
        """One more race."""
        self.settle(now)
        self.participations += 1.0
        self.wins += won


@dataclass(slots=True)
class _Known:
    """What is known of one target."""

    contents: RecentTimes = field(default_factory=RecentTimes)
    answers: RecentTimes = field(default_factory=RecentTimes)
    races: _Races = field(default_factory=_Races)

    def times(self, *, streaming: bool) -> RecentTimes:
        """To the first content of streams, or to the whole answers of unary calls."""
        return self.contents if streaming else self.answers


class Performance:
    """What is known of all targets."""

    def __init__(
        self, *, now: Callable[[], float] = time.monotonic, kept_target_count: int = KEPT_TARGET_COUNT
    ) -> None:
        """Start with nothing known; `now` is in seconds and never goes back."""
        self._now = now
        self._kept_target_count = kept_target_count
        self._known: dict[Target, _Known] = {}
        self._all_races = _Races()

    def observe(self, target: Target, latency: float, *, streaming: bool) -> None:
        """Note an attempt with its first content (streaming) or whole answer after `latency` seconds."""
        self._of(target).times(streaming=streaming).add(latency, self._now())

    def censored(self, target: Target, waited: float, *, streaming: bool) -> None:
        """Note an attempt that was cancelled after `waited` seconds, before it had come so far."""
        self._of(target).times(streaming=streaming).add_cut_off(waited, self._now())

    def quantile(self, target: Target, q: float, *, streaming: bool) -> float | None:
        """Of the times of the last minutes, in seconds, a second old at most; None if it is not known.

        It is known from `MINIMUM_COUNT` attempts on that were not cancelled, unless so many were cancelled
        that it lies beyond all the others.

        Args:
            target: Whose times.
            q: Above 0 and below 1.
            streaming: Of the times to the first content, else of those to whole answers.
        """
        known = self._known.get(target)
        if known is None:
            return None
        return known.times(streaming=streaming).quantile(q, self._now(), MINIMUM_COUNT)

    def raced(self, winner: Target | None, losers: Iterable[Target]) -> None:
        """Note a race that was decided; a target that ran twice is named twice."""
        if winner is not None:
            self._ran(winner, won=True)
        for loser in losers:
            self._ran(loser, won=False)

    def win_rate(self, target: Target) -> float:
        """The share of races that it won, shrunk to the mean of all targets; above 0 and at most 1."""
        now = self._now()
        everyone = self._all_races
        everyone.settle(now)
        mean = UNKNOWN_WIN_RATE
        if everyone.participations > 0.0:
            mean = everyone.wins / everyone.participations
        known = self._known.get(target)
        if known is None:
            return max(LEAST_WIN_RATE, mean)
        own = known.races
        own.settle(now)
        return max(LEAST_WIN_RATE, (own.wins + PRIOR_WEIGHT * mean) / (own.participations + PRIOR_WEIGHT))

    def _ran(self, target: Target, *, won: bool) -> None:
        now = self._now()
        self._all_races.add(now, won=won)
        self._of(target).races.add(now, won=won)

    def _of(self, target: Target) -> _Known:
        """What is known of `target`, which was heard of just now."""
        known = self._known.pop(target, None)
        if known is None:
            known = _Known()
            if len(self._known) >= self._kept_target_count:
                del self._known[next(iter(self._known))]
        self._known[target] = known
        return known
