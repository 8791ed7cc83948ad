"""What operators and orchestrators see: the targets with their health, and the names with theirs.

A read view over the catalog and the health of targets, plus the two levers of an operator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

from paceline_server.completion.answer import Target
from paceline_server.completion.usage import Price
from paceline_server.health.machine import Record, TargetState
from paceline_server.health.registry import HealthRegistry, Scope
from paceline_server.providers.profile import Profile
from paceline_server.routing.availability import Availability, NameChanges
from paceline_server.routing.catalog import Catalog, Definition
from paceline_server.routing.tree import answering, reachable

__all__ = ["Directory", "ModelStatus", "StatusListener", "TargetState", "TargetStatus"]

StatusListener = Callable[["TargetStatus", TargetState], None]


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """One target's health.

    Attributes:
        target: Its model is empty where the whole provider is meant.
        own: The record of the target itself.
        provider_name: The provider, or the quota identity that it shares.
        provider: The record of the provider; its state is ACTIVE unless it holds the target.
    """

    target: Target
    own: Record
    provider_name: str
    provider: Record
    price: Price | None


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One name.

    Attributes:
        targets: Those that a call of it may reach, a race's judge included.
        available: One of those whose answer may be its own can be tried now.
    """

    name: str
    definition: Definition
    targets: tuple[Target, ...]
    available: bool


class Directory:
    """All targets and names of this process."""

    def __init__(
        self, catalog: Catalog, health: HealthRegistry, profile_of: Callable[[Target], Profile]
    ) -> None:
        """Look at `catalog` and `health`; `profile_of` is asked for prices."""
        self.catalog = catalog
        self._health = health
        self._profile_of = profile_of
        self._configured = catalog.all_targets()
        nodes = {name: catalog.expand(name) for name in sorted(catalog.definitions)}
        self._targets_of_name = {name: reachable(node) for name, node in nodes.items()}
        # A judge answers nobody: a race with nobody left but him cannot be run.
        self._availability = Availability({name: answering(node) for name, node in nodes.items()}, health)

    def now(self) -> float:
        """Seconds since the epoch, as health counts them."""
        return self._health.now()

    def known_targets(self, provider: str = "") -> list[Target]:
        """The configured targets and those that were called or held since the start, sorted."""
        held = (scope for scope in self._health.snapshot() if isinstance(scope, Target))
        known = {*held, *self._configured, *self._health.called_targets()}
        wanted = [target for target in known if provider in ("", target.provider)]
        return sorted(wanted, key=attrgetter("provider", "model"))

    def targets(self, provider: str = "") -> list[TargetStatus]:
        """The health of all known targets, or of those of one provider."""
        return [self.status(target) for target in self.known_targets(provider)]

    def status(self, target: Target) -> TargetStatus:
        """One target's health; an empty model means its provider alone."""
        provider_scope, own_scope = self._health.scopes(target)
        return TargetStatus(
            target=target,
            own=self._health.record(own_scope) if target.model else Record(),
            provider_name=str(provider_scope),
            provider=self._health.record(provider_scope),
            price=self._profile_of(target).price if target.model else None,
        )

    def names(self) -> list[str]:
        """The names, in alphabetical order."""
        return list(self._targets_of_name)

    def model(self, name: str) -> ModelStatus:
        """One of the names."""
        definition, targets = self.catalog.definitions[name], self._targets_of_name[name]
        return ModelStatus(name, definition, targets, self.available(name))

    def available(self, name: str) -> bool:
        """Whether one of the targets that may answer for a name can be tried now."""
        return self._availability.of(name)

    def follow_names(self, wake: Callable[[], None]) -> NameChanges:
        """What happens to names from now on; `wake` is called when there is something to take."""
        return NameChanges(self._availability, self._health, wake)

    def bench(self, target: Target, seconds: float, reason: str) -> TargetStatus:
        """Take a target, or with an empty model its whole provider, out of use by hand.

        Raises:
            ModelNotFound: The provider is not configured.
        """
        self.catalog.require_provider(target.provider)
        self._health.bench(self._scope(target), seconds, reason)
        return self.status(target)

    def unbench(self, target: Target) -> tuple[TargetStatus, bool]:
        """Take it into use again; also tells whether there was a bench to end.

        Raises:
            ModelNotFound: The provider is not configured.
        """
        self.catalog.require_provider(target.provider)
        scope = self._scope(target)
        record = self._health.record(scope)
        was_benched = record.state in (TargetState.BENCHED, TargetState.PROBING)
        if record.state is not TargetState.ACTIVE or record.failures or record.rounds:
            self._health.unbench(scope)
        return self.status(target), was_benched

    def subscribe(self, listener: StatusListener) -> Callable[[], None]:
        """Tell `listener` of each change of a target's state, with the state before; returns what ends that.

        A change of a provider is told once for each of its targets.
        """
        told = {
            scope: record.state
            for scope, record in self._health.snapshot().items()
            if record.state is not TargetState.ACTIVE
        }

        def state_before(scope: Scope) -> TargetState:
            return told.get(scope, TargetState.ACTIVE)

        def on_change(scope: Scope, record: Record) -> None:
            for target in self._under(scope):
                provider_scope, own_scope = self._health.scopes(target)
                before = _effective(state_before(own_scope), state_before(provider_scope))
                listener(self.status(target), before)
            # What is well takes no room: callers name any models.
            told.pop(scope, None)
            if record.state is not TargetState.ACTIVE:
                told[scope] = record.state

        return self._health.subscribe(on_change)

    def _scope(self, target: Target) -> Scope:
        return target if target.model else self._health.scopes(target)[0]

    def _under(self, scope: Scope) -> list[Target]:
        if isinstance(scope, Target):
            return [scope]
        return [target for target in self.known_targets() if self._health.scopes(target)[0] == scope]


def _effective(own: TargetState, provider: TargetState) -> TargetState:
    """A target's own state, unless its provider holds it."""
    return own if provider is TargetState.ACTIVE else provider
