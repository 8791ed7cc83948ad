"""What is known of each scope that ever failed, and who is told when it changes.

Callers name the models, so neither the records nor the time that a change takes may grow with how many
there were: time is followed by an agenda, and old records are forgotten a few at a time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from paceline_server.completion.answer import Target
from paceline_server.health import machine
from paceline_server.health.agenda import Agenda
from paceline_server.health.machine import Record, TargetState
from paceline_server.health.ticket import Scope

MAXIMUM_RECORD_COUNT = 10_000
"""Beyond this many, records that say nothing any more are forgotten."""

CROWDED_RECORD_COUNT = 2 * MAXIMUM_RECORD_COUNT
"""Beyond this many, targets that still are benched are forgotten too, but for what an operator benched."""

MEMORABLE_SECONDS = 600.0
"""A bench that ended this long ago without a probe since says nothing any more."""

EXAMINED_RECORD_COUNT = 4
"""Old records that are looked at for each new one: few, yet more than one, so that room is made."""

SETTLED_AT_ONCE = 1000
"""Scopes that time changes in one go, so that calls come in between when many benches end together."""

Listener = Callable[[Scope, Record], None]


class _Subscription(NamedTuple):
    listener: Listener
    moves_only: bool


class Records:
    """The record of every scope. Scopes without a record are well."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Start with everything well."""
        self._now = now
        self._records: OrderedDict[Scope, Record] = OrderedDict()
        self._never_held = Record()
        self._agenda = Agenda()
        self._subscriptions: list[_Subscription] = []

    def get(self, scope: Scope) -> Record:
        """What is known of a scope now."""
        record = self._records.get(scope)
        return self._never_held if record is None else machine.settled(record, self._now())

    def are_unknown(self, scopes: tuple[Scope, Scope]) -> bool:
        """Whether neither scope has a record: both are well. The usual case, asked several times a call."""
        first, second = scopes
        return first not in self._records and second not in self._records

    @property
    def unknown_generation(self) -> int:
        """The generation of scopes without a record."""
        return self._never_held.generation

    def put(self, scope: Scope, record: Record) -> Record:
        """Keep a record; whoever listens is told if it is another one."""
        before = self._records.get(scope) or self._never_held
        if record is before or record == before:
            return record
        is_new = scope not in self._records
        self._records[scope] = record
        self._tell(scope, before, record)
        if is_new:
            self._make_room()
        return record

    def snapshot(self) -> dict[Scope, Record]:
        """All scopes with a record, settled to now."""
        return {scope: self.get(scope) for scope in self._records}

    def settle(self) -> list[Scope]:
        """Tell the listeners of what time alone has changed; returns the scopes whose moment has come.

        Among them are those whose bench has ended, which is no change until somebody calls.
        """
        due = self._agenda.take(self._now(), SETTLED_AT_ONCE)
        for scope in due:
            self.put(scope, self.get(scope))
        return due

    def next_change(self) -> float | None:
        """When time alone next changes something; it may be past. None if nothing lies ahead."""
        return self._agenda.next()

    def subscribe(self, listener: Listener, *, moves_only: bool = False) -> Callable[[], None]:
        """Tell `listener` of every change, at once and synchronously; returns what ends that.

        Args:
            moves_only: Leave out the changes that do not decide who may be called, such as counts.
        """
        subscription = _Subscription(listener, moves_only)
        self._subscriptions.append(subscription)
        return lambda: self._subscriptions.remove(subscription)

    def _tell(self, scope: Scope, before: Record, record: Record) -> None:
        self._agenda.put(scope, machine.changes_at(record))
        moved = machine.moved(before, record)
        for listener, moves_only in tuple(self._subscriptions):
            if moved or not moves_only:
                listener(scope, record)

    def _make_room(self) -> None:
        for _ in range(EXAMINED_RECORD_COUNT):
            if len(self._records) <= MAXIMUM_RECORD_COUNT:
                return
            scope = next(iter(self._records))
            if self._says_nothing(scope):
                self._forget(scope)
            else:
                self._records.move_to_end(scope)

    def _says_nothing(self, scope: Scope) -> bool:
        record = self.get(scope)
        if record.state is TargetState.ACTIVE:
            return True
        if record.by_operator or not isinstance(scope, Target):
            return False
        ended = max(record.until, record.lease_until)
        return len(self._records) > CROWDED_RECORD_COUNT or self._now() > ended + MEMORABLE_SECONDS

    def _forget(self, scope: Scope) -> None:
        forgotten = self._records.pop(scope)
        if forgotten.generation > self._never_held.generation:
            # Generations never go back, or a report from before a forgotten bench would count again.
            self._never_held = Record(generation=forgotten.generation)
        # Who keeps the states of scopes must learn that this one has none any more.
        self._tell(scope, forgotten, self._never_held)
