"""From a spec to the model that answers it.

Models hold no state of a call, so each spec is assembled once and kept, and specs that come to the same
targets share a model; a configuration of ten thousand names costs a call no more than one of ten.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from paceline_server.completion.answer import Target
from paceline_server.completion.errors import ModelNotFound
from paceline_server.providers.base import Provider
from paceline_server.routing.catalog import Catalog
from paceline_server.strategies.chain import Chain
from paceline_server.strategies.model import Model
from paceline_server.strategies.surroundings import Surroundings
from paceline_server.strategies.target import TargetModel

KEPT_SPEC_COUNT = 1024
"""Callers write specs; beyond so many different ones, and as many as there are configured names, the one that
was not asked for the longest is assembled anew."""


class Assembly:
    """Makes models of specs."""

    def __init__(
        self, catalog: Catalog, providers: Mapping[str, Provider], surroundings: Surroundings
    ) -> None:
        """Make models over `providers`, which must be those that `catalog` knows."""
        self._catalog = catalog
        self._providers = providers
        self._surroundings = surroundings
        kept_count = KEPT_SPEC_COUNT + len(catalog.definitions)
        self._model = lru_cache(kept_count)(self._assemble)
        self._chain = lru_cache(kept_count)(self._chain_of)

    def model(self, spec: str) -> Model:
        """The model of a spec; an empty spec means the configured default.

        Raises:
            InvalidSpec: The spec cannot be used.
            ModelNotFound: A name or provider is not configured.
        """
        return self._model(spec)

    def _assemble(self, spec: str) -> Chain:
        return self._chain(self._catalog.resolve(spec))

    def _chain_of(self, targets: tuple[Target, ...]) -> Chain:
        return Chain([self._target(target) for target in targets], self._surroundings.config)

    def _target(self, target: Target) -> TargetModel:
        provider = self._providers.get(target.provider)
        if provider is None:
            raise ModelNotFound(target.provider, "the provider is configured but was not built")
        return TargetModel(target, provider, self._surroundings)
