"""From a spec to the model that answers it.

Models hold no state of a call, so each spec is assembled once and kept, and specs that come to the same
tree share a model; a configuration of ten thousand names costs a call no more than one of ten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from paceline_server.completion.answer import Target
from paceline_server.completion.errors import InvalidSpec, ModelNotFound
from paceline_server.providers.base import Provider
from paceline_server.routing.catalog import Catalog, require_candidates, require_few_targets
from paceline_server.routing.tree import Element, Node, RaceNode, elements_of, target_count
from paceline_server.strategies.chain import Chain
from paceline_server.strategies.model import Model
from paceline_server.strategies.race import Candidate, Race
from paceline_server.strategies.racing.best import Best
from paceline_server.strategies.racing.limits import NO_LIMITS, RaceLimits
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.racing.spec import RaceSpec
from paceline_server.strategies.surroundings import Surroundings
from paceline_server.strategies.target import TargetModel

KEPT_SPEC_COUNT = 1024
"""Callers write specs; beyond so many different ones, and as many as there are configured names, the one that
was not asked for the longest is assembled anew."""

NO_RACES: Mapping[str, RaceSpec] = MappingProxyType({})


class _Assembled(NamedTuple):
    """A spec's tree, and the model that was made of it."""

    node: Node
    model: Model


class Assembly:
    """Makes models of specs."""

    def __init__(
        self,
        catalog: Catalog,
        providers: Mapping[str, Provider],
        surroundings: Surroundings,
        races: Mapping[str, RaceSpec] = NO_RACES,
    ) -> None:
        """Make models over `providers` and of `races`, which must be those that `catalog` knows."""
        self.races = races
        self._catalog = catalog
        self._providers = providers
        self._surroundings = surroundings
        kept_count = KEPT_SPEC_COUNT + len(catalog.definitions)
        self._assembled = lru_cache(kept_count)(self._assemble)
        self._model = lru_cache(kept_count)(self._model_of)

    def model(self, spec: str) -> Model:
        """The model of a spec; an empty spec means the configured default.

        Raises:
            InvalidSpec: The spec cannot be used.
            ModelNotFound: A name or provider is not configured.
        """
        return self._assembled(spec).model

    def race(self, spec: RaceSpec) -> Race:
        """The race that a request describes; it is not kept, but the models of its candidates are.

        Raises:
            InvalidSpec: The spec of a candidate or of the judge cannot be used, or there are too many.
            ModelNotFound: A name or provider is not configured.
        """
        require_candidates(len(spec.candidates), "the race")
        asked = [
            self._asked(candidate.model, f"candidates[{index}].model")
            for index, candidate in enumerate(spec.candidates)
        ]
        return self._judged(spec, [one.node for one in asked], [one.model for one in asked])

    def race_named(self, name: str, rule: Rule | None = None, limits: RaceLimits | None = None) -> Race:
        """The race that a name of the configuration stands for.

        Args:
            name: Its own, or another name for it alone.
            rule: Instead of the configured one; None leaves that.
            limits: Those that are set replace the configured ones.

        Raises:
            InvalidSpec: The name stands for no race, or the judge of `rule` cannot be used.
            ModelNotFound: The name is not configured.
        """
        if not name.strip():
            raise InvalidSpec(f"no race was named; {_WHAT_TO_DO}")
        node, model = self._assembled(name)
        if not (isinstance(node, RaceNode) and isinstance(model, Race)):
            raise InvalidSpec(f"{name!r} is {_described(node)}, not a race; {_WHAT_TO_DO}")
        known = self.races[node.name]
        mine = replace(known, rule=rule or known.rule, limits=_laid_over(known.limits, limits or NO_LIMITS))
        if mine == known:
            return model
        return self._judged(mine, node.candidates, [one.model for one in model.candidates])

    def _assemble(self, spec: str) -> _Assembled:
        node = self._catalog.expand(spec)
        return _Assembled(node, self._model(node))

    def _judged(self, spec: RaceSpec, nodes: Sequence[Node], models: Sequence[Model]) -> Race:
        """The race of a request, whose judge is looked up only now."""
        judge = self._asked(spec.rule.judge_model, _judge_field(spec.rule)) if spec.rule.judge_model else None
        require_few_targets(target_count([*nodes, judge and judge.node]), "the race")
        return self._race(models, spec, judge and judge.model)

    def _asked(self, spec: str, field: str) -> _Assembled:
        """What the spec in a field of a request comes to; there it must not be left empty."""
        if not spec.strip():
            raise InvalidSpec("the spec is empty; name a model, as in 'openai/gpt-4o-mini'", field=field)
        try:
            return self._assembled(spec)
        except InvalidSpec as error:
            raise InvalidSpec(error.violations[0].description, field=field) from error

    def _model_of(self, node: Node) -> Model:
        if isinstance(node, RaceNode):
            judge = None if node.judge is None else self._model(node.judge)
            return self._race([self._model(one) for one in node.candidates], self.races[node.name], judge)
        # A target, too, stands in a chain: that is what retries and recovers.
        return Chain([self._element(element) for element in elements_of(node)], self._surroundings)

    def _element(self, element: Element) -> Model:
        return self._model(element) if isinstance(element, RaceNode) else self._target(element)

    def _race(self, models: Sequence[Model], spec: RaceSpec, judge: Model | None) -> Race:
        candidates = [
            Candidate(
                model, candidate.model, candidate.config, candidate.priority, self._quality(model.targets[0])
            )
            for model, candidate in zip(models, spec.candidates, strict=True)
        ]
        return Race(candidates, spec.rule, self._surroundings, limits=spec.limits, judge=judge)

    def _quality(self, target: Target) -> float | None:
        """How good the answers of the target that is asked first are, as far as anyone has said."""
        provider = self._providers.get(target.provider)
        return None if provider is None else provider.profile(target.model).quality

    def _target(self, target: Target) -> TargetModel:
        provider = self._providers.get(target.provider)
        if provider is None:
            raise ModelNotFound(target.provider, "the provider is configured but was not built")
        return TargetModel(target, provider, self._surroundings)


_WHAT_TO_DO = "list the models in `candidates`, or name a virtual model that has `race` in the configuration"


def _described(node: Node) -> str:
    """What stands behind a name that is no race."""
    return "a target" if isinstance(node, Target) else "a chain"


def _judge_field(rule: Rule) -> str:
    """Where a request names the judge."""
    return "strategy.best.scorer.judge.model" if isinstance(rule, Best) else "strategy.consensus.judge_model"


def _laid_over(configured: RaceLimits, asked: RaceLimits) -> RaceLimits:
    """The limits of a request, and the configured ones where it sets none."""
    given = {limit.name: getattr(asked, limit.name) for limit in fields(asked)}
    return replace(configured, **{name: limit for name, limit in given.items() if limit is not None})
