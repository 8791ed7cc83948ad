"""Reading the configuration: defaults, file, environment; checked whole, or refused with every problem.

Nothing is read but the given path, the given environment and the files that the settings name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from paceline_server.settings import environment
from paceline_server.settings.document import Document
from paceline_server.settings.explain import findings
from paceline_server.settings.files import UnreadableFileError, read_file
from paceline_server.settings.models import ModelSettings
from paceline_server.settings.problem import ConfigurationError, Finding, Place, Problem, SettingPath
from paceline_server.settings.schema import Settings
from paceline_server.settings.secret import Surroundings
from paceline_server.settings.yaml_reader import Parsed, parse

MAXIMUM_FILE_BYTES = 2**20
DEFAULTS_SOURCE = "defaults"
NO_OPTIONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration without problems; the document tells where each setting is written."""

    settings: Settings
    document: Document


@dataclass(frozen=True, slots=True)
class Names:
    """What of a configuration names models, providers and the listener, known even where others are wrong."""

    providers: frozenset[str]
    models: Mapping[str, ModelSettings]
    default_model: str
    listener: str


Check = Callable[[Names], Iterable[Finding]]


def no_check(_names: Names) -> Iterable[Finding]:
    """Leave the names unjudged."""
    return ()


def load(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    options: Mapping[str, str] = NO_OPTIONS,
    check: Check = no_check,
) -> Loaded:
    """Read and check the configuration.

    Args:
        path: The YAML file; None for the defaults, which are a simulated provider and a model of it.
        options: Settings by name that the command line gives as `--name`; they outrank all other sources.
        check: Judges the names, whose meaning is not known here.

    Raises:
        ConfigurationError: With all that is wrong, each with its place and a remedy.
    """
    document, problems, unread = _merged(path, environ)
    for name, value in options.items():
        document.put((name,), value, Place(f"--{name}"))
    settings, found = _validated(document, Surroundings(environ, path.parent if path else Path()))
    found = [finding for finding in found if not _below(finding.path, unread)]
    if not document.value(("providers",)) and not _below(("providers",), unread):
        found.append(Finding(("providers",), "there is no provider", _ADD_A_PROVIDER))
    found.extend(check(_names(document.data)))
    problems += [document.problem(finding) for finding in found]
    if problems or settings is None:
        raise ConfigurationError(problems)
    return Loaded(settings, document)


_ADD_A_PROVIDER = "add one below providers, or write simulated: {format: simulated} there to try without one"


def _defaults() -> dict[str, Any]:
    """What a server without a file is: the simulated provider, and a model that shows a failover."""
    return {
        "providers": {"simulated": {"format": "simulated"}},
        "models": {"demo": {"chain": ["simulated/tiring", "simulated/steady"]}},
        "default_model": "demo",
    }


def _merged(
    path: Path | None, environ: Mapping[str, str]
) -> tuple[Document, list[Problem], set[SettingPath]]:
    parsed = Parsed(value=_defaults()) if path is None else _read(path)
    if not parsed.usable:
        raise ConfigurationError(parsed.problems)
    document = Document(parsed, str(path or DEFAULTS_SOURCE))
    overlay = environment.apply(document, environ)
    # What a later source wrote over an unreadable value is judged again.
    unread = {path for path in parsed.unread | overlay.unread if document.value(path) is None}
    return document, parsed.problems + overlay.problems, unread


def _validated(document: Document, surroundings: Surroundings) -> tuple[Settings | None, list[Finding]]:
    try:
        return Settings.model_validate(document.data, context=surroundings), []
    except ValidationError as error:
        # The schema's own error holds the values that it refuses, so it goes no further.
        return None, findings(error, Settings)


def _names(data: Mapping[str, Any]) -> Names:
    """The names of the configuration, as far as they can be read: one mistake must not hide the others."""
    default = data.get("default_model")
    listener = _mapping(data.get("server")).get("listener")
    return Names(
        frozenset(_mapping(data.get("providers"))),
        {name: _model(given) for name, given in _mapping(data.get("models")).items()},
        default if isinstance(default, str) else "",
        listener if isinstance(listener, str) else "",
    )


def _mapping(given: object) -> Mapping[str, object]:
    return {str(name): value for name, value in given.items()} if isinstance(given, dict) else {}


def _model(given: object) -> ModelSettings:
    """The model; where it is wrong itself, which is told elsewhere, a name that stands for nothing."""
    try:
        return ModelSettings.model_validate(given)
    except ValidationError:
        return ModelSettings.model_construct(chain=())


def _read(path: Path) -> Parsed:
    source = str(path)
    try:
        content = read_file(path, MAXIMUM_FILE_BYTES + 1)
    except UnreadableFileError as error:
        return _refused(
            Place(source), f"the file cannot be read: {error}", "name a file that the server's user may read"
        )
    if len(content) > MAXIMUM_FILE_BYTES:
        return _refused(
            Place(source), f"the file is larger than {MAXIMUM_FILE_BYTES} bytes", "name the right file"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        place = Place(source, before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        return _refused(place, "this is not UTF-8 text", "save the file as UTF-8")
    return _with_settings(parse(text, source), source)


def _with_settings(parsed: Parsed, source: str) -> Parsed:
    if not parsed.usable or parsed.value is None or isinstance(parsed.value, dict):
        return parsed
    return _refused(Place(source, 1, 1), "the file holds no settings", "write 'name: value' lines")


def _refused(place: Place, message: str, remedy: str) -> Parsed:
    return Parsed(problems=[Problem(place, (), message, remedy)], usable=False)


def _below(path: SettingPath, unread: AbstractSet[SettingPath]) -> bool:
    return any(path[:end] in unread for end in range(len(path) + 1))
