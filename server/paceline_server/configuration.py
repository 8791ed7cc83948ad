"""The configuration as a gateway uses it: loaded, its names judged, and made a catalog of them.

A part of the composition root: the settings know no grammar of names and no installation, and the catalog
no settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from paceline_server.adapters import model_names
from paceline_server.completion.answer import Target
from paceline_server.completion.errors import ModelNotFound, PacelineError
from paceline_server.routing.catalog import Catalog, Definition, ModelKind
from paceline_server.routing.spec import NAME
from paceline_server.settings.load import NO_OPTIONS, Loaded, Names, load
from paceline_server.settings.models import ModelSettings
from paceline_server.settings.problem import Finding, SettingPath, told_of
from paceline_server.settings.providers import ProviderSettings
from paceline_server.settings.schema import Settings


def is_installed(package: str) -> bool:
    """Whether a package of this name can be imported; it is not."""
    return find_spec(package) is not None


def load_checked(
    config: Path | None,
    environ: Mapping[str, str],
    options: Mapping[str, str] = NO_OPTIONS,
    *,
    installed: Callable[[str], bool] = is_installed,
) -> Loaded:
    """Load the configuration and judge its names too.

    Args:
        options: Those of the command line.
        installed: Says whether there is a package that only some configurations need.

    Raises:
        ConfigurationError: With everything that is wrong.
    """

    def check(names: Names) -> Iterable[Finding]:
        yield from _check_names(names)
        if names.listener == "native" and not installed(_NATIVE_PACKAGE):
            yield Finding(("server", "listener"), "the package pygrpc-native is not installed", _GET_NATIVE)

    return load(config, environ, options=options, check=check)


_NATIVE_PACKAGE = "pygrpc_native"
_GET_NATIVE = (
    "write listener: grpcio, or install it: make install brings it, as does pip install '.[native]' in a "
    "clone, and an image is built with --build-arg RUNTIME_LOCK=requirements-native.lock"
)


def catalog_of(settings: Settings) -> Catalog:
    """All names and providers that specs may use."""
    return Catalog(
        _definitions(settings.models),
        frozenset(settings.providers),
        tuple(_known_targets(settings.providers)),
        settings.default_model or "",
    )


def _check_names(names: Names) -> Iterable[Finding]:
    """What the catalog says of each spec, at its own place, and of each name as a whole."""
    catalog = Catalog(_definitions(names.models), names.providers)
    for name, model in names.models.items():
        path: SettingPath = ("models", name)
        found = list(_check_specs(catalog, (((*path, *below), spec) for below, spec in model.placed_specs())))
        yield from found
        # What is wrong with one of its specs is wrong with the name, too, and told once.
        if not found and NAME.fullmatch(name):
            yield from _check_specs(catalog, [(path, name)])
    if names.default_model:
        yield from _check_specs(catalog, [(("default_model",), names.default_model)])


def _check_specs(catalog: Catalog, specs: Iterable[tuple[SettingPath, str]]) -> Iterable[Finding]:
    for path, spec in specs:
        try:
            catalog.expand(spec)
        except ModelNotFound as error:
            remedy = "correct the spelling, or configure it below models or providers"
            yield Finding(path, told_of(spec, error.message), remedy)
        except PacelineError as error:
            yield Finding(
                path,
                told_of(spec, error.message.removeprefix("model: ")),
                "write specs such as openai/gpt-4o-mini, or names that lead to some",
            )


def _definitions(models: Mapping[str, ModelSettings]) -> dict[str, Definition]:
    return {
        name: Definition(
            _kind(model), model.specs, model.description or model.display_name or "", model.judge
        )
        for name, model in models.items()
    }


def _kind(model: ModelSettings) -> ModelKind:
    if model.race:
        return ModelKind.RACE
    return ModelKind.ALIAS if model.alias is not None else ModelKind.CHAIN


def _known_targets(providers: Mapping[str, ProviderSettings]) -> Iterable[Target]:
    for name, provider in providers.items():
        yield from (Target(name, model) for model in model_names(provider))
