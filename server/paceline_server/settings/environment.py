"""Settings from environment variables, put over those of the file.

    PACELINE_PROVIDER_<NAME>=<format>+https://host/base     a provider, with its _KEY or _KEY_FILE;
                                                            formats are openai, anthropic and gemini
    PACELINE__A__B=value                                    any setting; the value is YAML

An empty variable counts as unset, as deployment templates leave them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from paceline_server.settings.document import Document
from paceline_server.settings.problem import Place, Problem, SettingPath
from paceline_server.settings.yaml_reader import parse

PROVIDER_PREFIX = "PACELINE_PROVIDER_"
SETTING_PREFIX = "PACELINE__"
MAXIMUM_PART_COUNT = 16
MAXIMUM_VARIABLE_COUNT = 1000
_LONGEST_SHOWN_VARIABLE = 64
_KEY = "_KEY"
_KEY_FILE = "_KEY_FILE"
_HOW = "write it as openai+https://host/base"


class Overlay(NamedTuple):
    """What came of the variables: problems, and settings whose value could not be read."""

    problems: list[Problem]
    unread: set[SettingPath]


def apply(document: Document, environ: Mapping[str, str]) -> Overlay:
    """Put the settings of the environment over the document's; `PACELINE__` variables come last."""
    overlay = Overlay([], set())
    ours = (name for name in environ if name.startswith((PROVIDER_PREFIX, SETTING_PREFIX)))
    given = {name: environ[name] for name in sorted(ours) if environ[name].strip()}
    if len(given) > MAXIMUM_VARIABLE_COUNT:
        told = f"there are more than {MAXIMUM_VARIABLE_COUNT} variables with settings"
        overlay.problems.append(Problem(Place("environment"), (), told, "write them into a file"))
        return overlay
    providers = {
        name.removeprefix(PROVIDER_PREFIX): value
        for name, value in given.items()
        if name.startswith(PROVIDER_PREFIX)
    }
    keys = {name for name in providers if name.endswith((_KEY, _KEY_FILE))}
    for name in providers.keys() - keys:
        _put_provider(document, overlay, name, providers[name])
    for name in sorted(keys):
        _put_key(document, overlay, name, providers[name], both=_twin(name) in keys)
    settings = [name for name in given if name.startswith(SETTING_PREFIX)]
    # The deeper variable is the more exact one, so it wins over one that sets all around it.
    for name in sorted(settings, key=lambda name: name.count("__")):
        _put_setting(document, overlay, name, given[name])
    return overlay


def _put_provider(document: Document, overlay: Overlay, name: str, value: str) -> None:
    place = Place(PROVIDER_PREFIX + name)
    wire_format, plus, url = value.strip().partition("+")
    if not plus or "/" in wire_format:
        overlay.problems.append(Problem(place, (), "this names no format and URL", _HOW))
        return
    if not name:
        overlay.problems.append(
            Problem(place, (), "the provider has no name", "append one, in capital letters")
        )
        return
    provider = document.key_like(("providers",), name)
    document.put(("providers", provider, "format"), wire_format, place)
    document.put(("providers", provider, "base_url"), url, place)


def _put_key(document: Document, overlay: Overlay, variable: str, value: str, *, both: bool) -> None:
    place = Place(PROVIDER_PREFIX + variable)
    name = variable.removesuffix(_KEY_FILE) if variable.endswith(_KEY_FILE) else variable.removesuffix(_KEY)
    provider = document.key_like(("providers",), name)
    if document.value(("providers", provider)) is None:
        remedy = f"set {Place(PROVIDER_PREFIX + name)} as well, as in openai+https://host/base"
        overlay.problems.append(Problem(place, (), "there is no provider for this key", remedy))
    elif both:
        told = f"the key is also given by {Place(PROVIDER_PREFIX + _twin(variable))}"
        overlay.problems.append(Problem(place, (), told, "set one of the two"))
    elif variable.endswith(_KEY_FILE):
        document.put(("providers", provider, "key"), {"file": value}, place)
    else:
        document.put(("providers", provider, "key"), {"env": place.source}, place)


def _twin(variable: str) -> str:
    return variable.removesuffix("_FILE") if variable.endswith(_KEY_FILE) else variable + "_FILE"


def _put_setting(document: Document, overlay: Overlay, variable: str, value: str) -> None:
    words = variable.removeprefix(SETTING_PREFIX).split("__")
    if len(words) > MAXIMUM_PART_COUNT:
        told = f"the setting's name has more than {MAXIMUM_PART_COUNT} parts"
        place = Place(variable[:_LONGEST_SHOWN_VARIABLE])
        overlay.problems.append(Problem(place, (), told, "no setting lies so deep; shorten it"))
        return
    path: SettingPath = ()
    for word in words:
        path = (*path, document.key_like(path, word))
    place = Place(variable)
    if "" in path:
        overlay.problems.append(
            Problem(place, (), "a part of the setting's name is empty", "write PACELINE__A__B")
        )
        return
    parsed = parse(value, variable, lines=False)
    overlay.problems.extend(replace(problem, path=(*path, *problem.path)) for problem in parsed.problems)
    overlay.unread.update((*path, *below) for below in parsed.unread)
    if parsed.usable:
        document.put(path, parsed.value, place)
