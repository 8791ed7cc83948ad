"""The configuration as a tree of plain data in which every setting knows where it was written.

Merges sources: what is put later wins, and takes the place with it. Knows no schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paceline_server.settings.problem import Finding, Place, Problem, SettingPath
from paceline_server.settings.yaml_reader import Parsed


class Document:
    """The merged sources.

    Attributes:
        data: Plain data for the schema.
        source: What a setting that is written nowhere belongs to: the file, or the defaults.
    """

    def __init__(self, parsed: Parsed, source: str) -> None:
        """Start with one source."""
        self.data: dict[str, Any] = parsed.value if isinstance(parsed.value, dict) else {}
        self.source = source
        self._values: dict[SettingPath, Place] = dict(parsed.values)
        self._keys: dict[SettingPath, Place] = dict(parsed.keys)

    def locate(self, path: SettingPath) -> str:
        """Where the setting at `path`, or else the one around it, is written: "paceline.yaml:12:5"."""
        return str(self.place(path))

    def place(self, path: SettingPath, *, key: bool = False) -> Place:
        """As `locate`; with `key` the place of the setting's key, not of its value."""
        places: Mapping[SettingPath, Place] = self._keys if key else self._values
        for end in range(len(path), 0, -1):
            if path[:end] in places:
                return places[path[:end]]
        return Place(self.source)

    def problem(self, finding: Finding) -> Problem:
        """What was found, with its place; what is missing is missed at the key around it."""
        at_key = finding.at_key or finding.path not in self._values
        return Problem(self.place(finding.path, key=at_key), finding.path, finding.message, finding.remedy)

    def value(self, path: SettingPath) -> Any:
        """What is written at `path`; None if nothing is."""
        node: Any = self.data
        for step in path:
            node = node.get(step) if isinstance(node, dict) else None
        return node

    def put(self, path: SettingPath, value: Any, place: Place) -> None:
        """Set one setting, over whatever stood there."""
        container = self.data
        for end in range(1, len(path)):
            child = container.get(str(path[end - 1]))
            if not isinstance(child, dict):
                child = container[str(path[end - 1])] = {}
                self._move(path[:end], place)
            container = child
        container[str(path[-1])] = value
        self._move(path, place)

    def key_like(self, path: SettingPath, word: str) -> str:
        """The key below `path` that an environment variable means by `word`.

        Variables have neither lower case nor '-', '.' and '/', so an existing key that differs in nothing
        else is meant; any other key is the word in lower case.
        """
        existing = self.value(path)
        wanted = word.lower()
        if not isinstance(existing, dict) or wanted in existing:
            return wanted
        return next((key for key in existing if _as_variable(key) == word.upper()), wanted)

    def _move(self, path: SettingPath, place: Place) -> None:
        """Everything at and below `path` is now written at `place`."""
        for places in (self._values, self._keys):
            for known in [known for known in places if known[: len(path)] == path]:
                del places[known]
            places[path] = place


def _as_variable(key: str) -> str:
    return "".join(character if character.isalnum() else "_" for character in key).upper()
