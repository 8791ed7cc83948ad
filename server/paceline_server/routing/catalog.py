"""The names of the configuration, and what a spec comes to when they are expanded.

Names are expanded in place and recursively; a repeated target is kept once; a circle or an
unknown name is an error that says where it looked. A catalog does not change: another
configuration is another catalog.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from paceline_server.completion.answer import Target
from paceline_server.completion.errors import InvalidSpec, ModelNotFound
from paceline_server.routing.spec import Element, Name, parse_spec

_Expanded = dict[str, tuple[Target, ...]]

MAXIMUM_TARGET_COUNT = 64
"""What a spec may come to; a longer chain is a mistake, not a plan."""

MAXIMUM_DEPTH = 64
"""How many names may stand for one another in a row."""


class ModelKind(Enum):
    """What a name stands for."""

    ALIAS = "alias"
    CHAIN = "chain"


@dataclass(frozen=True, slots=True)
class Definition:
    """What a name is defined as: one spec for an alias, one or more for a chain."""

    kind: ModelKind
    specs: tuple[str, ...]
    description: str = ""


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

    def resolve(self, spec: str) -> tuple[Target, ...]:
        """The targets that `spec` comes to, in order, each once; an empty spec means the default.

        Raises:
            InvalidSpec: The spec cannot be parsed, is empty without a default, runs in a circle or
                comes to too many targets.
            ModelNotFound: A name or provider is not configured.
        """
        if not spec.strip() and not self.default_model:
            raise InvalidSpec("no model was named and no default_model is configured; name one")
        targets = self._targets(parse_spec(spec.strip() or self.default_model), (), {})
        if len(targets) > MAXIMUM_TARGET_COUNT:
            raise InvalidSpec(
                f"the spec comes to {len(targets)} targets; at most {MAXIMUM_TARGET_COUNT} are allowed"
            )
        return targets

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

    def _targets(
        self, elements: Iterable[Element], path: tuple[str, ...], expanded: _Expanded
    ) -> tuple[Target, ...]:
        targets: dict[Target, None] = {}
        for element in elements:
            if isinstance(element, Target):
                self.require_provider(element.provider)
                targets[element] = None
            else:
                targets.update(dict.fromkeys(self._expand(element, path, expanded)))
        return tuple(targets)

    def _expand(self, name: Name, path: tuple[str, ...], expanded: _Expanded) -> tuple[Target, ...]:
        """What a name comes to; each is expanded once, or forty names could come to a trillion."""
        known = expanded.get(name.name)
        if known is not None:
            return known
        if name.name in path:
            raise InvalidSpec(f"the names run in a circle: {' -> '.join((*path, name.name))}")
        definition = self.definitions.get(name.name)
        if definition is None:
            raise ModelNotFound(
                name.name,
                f"it is no alias or virtual model ({_listed(self.definitions)}); "
                "a target is written 'provider/model'",
            )
        if len(path) == MAXIMUM_DEPTH:
            raise InvalidSpec(f"more than {MAXIMUM_DEPTH} names stand for one another: {' -> '.join(path)}")
        elements = [element for spec in definition.specs for element in parse_spec(spec)]
        targets = self._targets(elements, (*path, name.name), expanded)
        expanded[name.name] = targets
        return targets


def _listed(names: Iterable[str]) -> str:
    shown = sorted(names)
    if not shown:
        return "none"
    more = f" and {len(shown) - 10} more" if len(shown) > 10 else ""  # noqa: PLR2004 - enough to see a typo
    return ", ".join(shown[:10]) + more
