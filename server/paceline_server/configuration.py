"""The configuration as a gateway uses it: loaded, its names judged, and made a catalog of them.

A part of the composition root: the settings know no grammar of names, and the catalog no settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from paceline_server.adapters import model_names
from paceline_server.completion.answer import Target
from paceline_server.completion.errors import ModelNotFound, PacelineError
from paceline_server.routing.catalog import Catalog, Definition, ModelKind
from paceline_server.settings.load import NO_OPTIONS, Loaded, Names, load
from paceline_server.settings.problem import Finding, SettingPath, told_of
from paceline_server.settings.providers import ProviderSettings
from paceline_server.settings.schema import ModelSettings, Settings


def load_checked(
    config: Path | None, environ: Mapping[str, str], options: Mapping[str, str] = NO_OPTIONS
) -> Loaded:
    """Load the configuration and judge its names too; `options` are those of the command line.

    Raises:
        ConfigurationError: With everything that is wrong.
    """
    return load(config, environ, options=options, check=_check_names)


def catalog_of(settings: Settings) -> Catalog:
    """All names and providers that specs may use."""
    return Catalog(
        _definitions(settings.models),
        frozenset(settings.providers),
        tuple(_known_targets(settings.providers)),
        settings.default_model or "",
    )


def _check_names(names: Names) -> Iterable[Finding]:
    """What the catalog says of each spec of the configuration, at its own place."""
    catalog = Catalog(_definitions(names.models), names.providers)
    for path, spec in _specs(names):
        try:
            catalog.resolve(spec)
        except ModelNotFound as error:
            remedy = "correct the spelling, or configure it below models or providers"
            yield Finding(path, told_of(spec, error.message), remedy)
        except PacelineError as error:
            yield Finding(
                path,
                told_of(spec, error.message.removeprefix("model: ")),
                "write specs such as openai/gpt-4o-mini, or names that lead to some",
            )


def _specs(names: Names) -> Iterable[tuple[SettingPath, str]]:
    """Every spec of the configuration with the path of its setting."""
    for name, model in names.models.items():
        if model.alias is not None:
            yield ("models", name), model.alias
        yield from ((("models", name, "chain", index), spec) for index, spec in enumerate(model.chain or ()))
    if names.default_model:
        yield ("default_model",), names.default_model


def _definitions(models: Mapping[str, ModelSettings]) -> dict[str, Definition]:
    return {
        name: Definition(
            ModelKind.CHAIN if model.chain else ModelKind.ALIAS,
            model.specs,
            model.description or model.display_name or "",
        )
        for name, model in models.items()
    }


def _known_targets(providers: Mapping[str, ProviderSettings]) -> Iterable[Target]:
    for name, provider in providers.items():
        yield from (Target(name, model) for model in model_names(provider))
