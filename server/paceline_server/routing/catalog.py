"""The names of the configuration, and what a spec comes to when they are expanded.

Names are expanded in place and recursively into a tree; in a chain a repeated target or race is
kept once; a circle or an unknown name is an error that says where it looked. A catalog does not
change: another configuration is another catalog. How a race is decided is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from paceline_server.completion.answer import Target
from paceline_server.completion.errors import InvalidSpec, ModelNotFound
from paceline_server.routing.spec import Name, parse_spec
from paceline_server.routing.tree import (
    Element,
    Node,
    RaceNode,
    elements_of,
    node_of,
    reachable,
    target_count,
)

_Expanded = dict[str, Node]

MAXIMUM_TARGET_COUNT = 64
"""What a spec may come to; a longer chain is a mistake, not a plan."""

MAXIMUM_CANDIDATE_COUNT = 16
"""How many may run side by side in one race (rule R1)."""

MAXIMUM_DEPTH = 64
"""How many names may stand for one another in a row."""


class ModelKind(Enum):
    """What a name stands for."""

    ALIAS = "alias"
    CHAIN = "chain"
    RACE = "race"


@dataclass(frozen=True, slots=True)
class Definition:
    """What a name is defined as.

    Attributes:
        specs: One for an alias, one or more for a chain; for a race those of its candidates, by index.
        judge: The spec of the model that a race may ask about its answers; empty if it asks none.
    """

    kind: ModelKind
    specs: tuple[str, ...]
    description: str = ""
    judge: str = ""


@dataclass(frozen=True, slots=True)
class Catalog:
    """All names and providers that specs may use.

    Attributes:
        known_targets: Targets that the configuration lists; others of a provider may be called too.
        default_model: The spec for a request that names none; empty if there is no default.
    """

    definitions: Mapping[str, Definition]
    providers: frozenset[str]
    known_targets: tuple[Target, ...] = ()
    default_model: str = ""

    def expand(self, spec: str) -> Node:
        """The tree that `spec` comes to; an empty spec means the default.

        Raises:
            InvalidSpec: The spec cannot be parsed, is empty without a default, runs in a circle or
                comes to too many targets or candidates.
            ModelNotFound: A name or provider is not configured.
        """
        if not spec.strip() and not self.default_model:
            raise InvalidSpec("no model was named and no default_model is configured; name one")
        return self._node((spec.strip() or self.default_model,), (), {})

    def resolve(self, spec: str) -> tuple[Target, ...]:
        """The targets that a call of `spec` may reach, in order, each once.

        Raises:
            PacelineError: As `expand`.
        """
        return reachable(self.expand(spec))

    def all_targets(self) -> tuple[Target, ...]:
        """Every target that the configuration knows by name, sorted."""
        named = {target for name in self.definitions for target in self.resolve(name)}
        return tuple(sorted(named.union(self.known_targets)))

    def require_provider(self, provider: str) -> None:
        """Raise `ModelNotFound` unless the provider is configured."""
        if provider not in self.providers:
            raise ModelNotFound(
                provider, f"there is no such provider; configured are {_listed(self.providers)}"
            )

    def _node(self, specs: Iterable[str], path: tuple[str, ...], expanded: _Expanded) -> Node:
        """The chain of `specs`, which are those of the last name of `path`."""
        elements: list[Element] = []
        for step in (step for spec in specs for step in parse_spec(spec)):
            if isinstance(step, Name):
                elements += elements_of(self._named(step.name, path, expanded))
            else:
                self.require_provider(step.provider)
                elements.append(step)
        node = node_of(elements)
        require_few_targets(target_count([node]), repr(path[-1]) if path else "the spec")
        return node

    def _named(self, name: str, path: tuple[str, ...], expanded: _Expanded) -> Node:
        """What a name comes to; each is expanded once, or forty names could come to a trillion."""
        known = expanded.get(name)
        if known is not None:
            return known
        if name in path:
            raise InvalidSpec(f"the names run in a circle: {' -> '.join((*path, name))}")
        definition = self.definitions.get(name)
        if definition is None:
            raise ModelNotFound(
                name,
                f"it is no alias or virtual model ({_listed(self.definitions)}); "
                "a target is written 'provider/model'",
            )
        if len(path) == MAXIMUM_DEPTH:
            raise InvalidSpec(f"more than {MAXIMUM_DEPTH} names stand for one another: {' -> '.join(path)}")
        inside = (*path, name)
        if definition.kind is ModelKind.RACE:
            node: Node = self._race(definition, inside, expanded)
        else:
            node = self._node(definition.specs, inside, expanded)
        expanded[name] = node
        return node

    def _race(self, definition: Definition, path: tuple[str, ...], expanded: _Expanded) -> RaceNode:
        require_candidates(len(definition.specs), repr(path[-1]))
        candidates = tuple(self._node((spec,), path, expanded) for spec in definition.specs)
        judge = self._node((definition.judge,), path, expanded) if definition.judge else None
        count = target_count((*candidates, judge))
        require_few_targets(count, repr(path[-1]))
        return RaceNode(path[-1], candidates, judge, count)


def require_few_targets(count: int, what: str) -> None:
    """Raise `InvalidSpec` if `what` comes to more targets than a spec may."""
    if count > MAXIMUM_TARGET_COUNT:
        raise InvalidSpec(f"{what} comes to {count} targets; at most {MAXIMUM_TARGET_COUNT} are allowed")


def require_candidates(count: int, what: str) -> None:
    """Raise `InvalidSpec` unless a race may have so many candidates."""
    if not 1 <= count <= MAXIMUM_CANDIDATE_COUNT:
        raise InvalidSpec(f"{what} has {count} candidates; a race has 1 to {MAXIMUM_CANDIDATE_COUNT}")


def _listed(names: Iterable[str]) -> str:
    shown = sorted(names)
    if not shown:
        return "none"
    more = f" and {len(shown) - 10} more" if len(shown) > 10 else ""  # noqa: PLR2004 - enough to see a typo
    return ", ".join(shown[:10]) + more
