"""Which names can be tried now.

The cost of a change grows with the names that it can touch, and not with how many names there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from paceline_server.completion.answer import Target
from paceline_server.health.registry import HealthRegistry, Scope


class Availability:
    """The names by the scopes that decide about them."""

    def __init__(self, targets_of_name: Mapping[str, Sequence[Target]], health: HealthRegistry) -> None:
        """Look at `health` for the targets of each name, of which any one will do."""
        self._targets_of_name = targets_of_name
        self._health = health
        # Ordered, and with a name once below a provider, however many of its targets it has.
        self._names_under: dict[Scope, dict[str, None]] = {}
        for name, targets in targets_of_name.items():
            for target in targets:
                for scope in health.scopes(target):
                    self._names_under.setdefault(scope, {})[name] = None

    def of(self, name: str) -> bool:
        """Whether one of a name's targets can be tried now."""
        return any(self._health.held(target) is None for target in self._targets_of_name[name])

    def touched_by(self, scopes: Sequence[Scope]) -> list[str]:
        """The names that may have changed with `scopes`, each once."""
        touched: dict[str, None] = {}
        for scope in scopes:
            touched.update(self._names_under.get(scope, {}))
        return list(touched)

    def decides(self, scope: Scope) -> bool:
        """Whether a scope decides about any name."""
        return scope in self._names_under


class NameChanges:
    """Gathers what happens to names until it is taken, so that a burst is looked at once."""

    def __init__(self, availability: Availability, health: HealthRegistry, wake: Callable[[], None]) -> None:
        """Begin to listen; `wake` is called when there is something to take or to settle."""
        self._availability = availability
        self._health = health
        self._wake = wake
        self._moved: dict[Scope, None] = {}
        self._unsubscribe = health.subscribe(lambda scope, _record: self._on_move(scope), moves_only=True)

    def settle(self) -> float | None:
        """Let time do its part; returns when it next does (seconds since the epoch), past if at once."""
        for scope in self._health.settle():
            self._note(scope)
        return self._health.next_change()

    def take(self) -> list[str]:
        """The names that may have changed since the last time."""
        moved, self._moved = tuple(self._moved), {}
        return self._availability.touched_by(moved)

    def close(self) -> None:
        """Listen no more."""
        self._unsubscribe()

    def _on_move(self, scope: Scope) -> None:
        self._note(scope)
        self._wake()

    def _note(self, scope: Scope) -> None:
        # Callers name any models; only those of the configuration's names are kept.
        if self._availability.decides(scope):
            self._moved[scope] = None
