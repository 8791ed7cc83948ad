"""What time alone changes next: scopes by the moment, at a cost that does not grow with what lies ahead."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count

from paceline_server.health.ticket import Scope

SLACK = 64
"""Void entries that are kept before the heap is made anew."""


class Agenda:
    """At most one moment for each scope."""

    def __init__(self) -> None:
        """Nothing lies ahead."""
        self._moments: dict[Scope, float] = {}
        # The number decides between equal moments, since scopes have no order. An entry whose moment is not
        # the scope's any more is void, and is left where it is until it comes up.
        self._heap: list[tuple[float, int, Scope]] = []
        self._numbers = count()

    def __len__(self) -> int:
        """How much is kept, void entries included."""
        return len(self._heap)

    def put(self, scope: Scope, moment: float | None) -> None:
        """From now on `moment` counts for `scope`, and none other; None for no moment at all."""
        if moment is None:
            self._moments.pop(scope, None)
        elif self._moments.get(scope) != moment:
            self._moments[scope] = moment
            heappush(self._heap, (moment, next(self._numbers), scope))
            if len(self._heap) > 2 * len(self._moments) + SLACK:
                self._heap = [(due, next(self._numbers), scope) for scope, due in self._moments.items()]
                heapify(self._heap)

    def next(self) -> float | None:
        """The next moment, which may be past; None if nothing lies ahead."""
        while self._heap:
            moment, _, scope = self._heap[0]
            if self._moments.get(scope) == moment:
                return moment
            heappop(self._heap)
        return None

    def take(self, now: float, limit: int) -> list[Scope]:
        """Scopes whose moment has come, at most `limit` of them; each is taken once."""
        due: list[Scope] = []
        while len(due) < limit and (moment := self.next()) is not None and moment <= now:
            scope = heappop(self._heap)[2]
            del self._moments[scope]
            due.append(scope)
        return due
