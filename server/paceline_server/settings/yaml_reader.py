"""YAML to plain data with the place of every key and value, and all that is wrong with the text itself.

The scalars are those of the YAML 1.2 core schema, so that a model may be called `no`. Keys are text.
Aliases are refused: they can make a small file huge, and a setting then has no place of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from yaml.composer import Composer, ComposerError
from yaml.error import Mark, MarkedYAMLError, YAMLError
from yaml.events import AliasEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from paceline_server.settings.problem import Place, Problem, SettingPath

MAXIMUM_DEPTH = 32
MAXIMUM_DIGIT_COUNT = 18
"""Beyond any setting, and within what every later conversion takes."""

_TAG = "tag:yaml.org,2002:"
_QUOTED = re.compile(r"""'[^' <]{4,}'|"[^" <]{4,}\"""")
"""Words of the text in PyYAML's messages; single characters and the names of tokens may stay."""


@dataclass(slots=True)
class Parsed:
    """What a text holds.

    Attributes:
        unread: Values that could not be read, which stand as None.
        usable: False where the text is no YAML at all.
    """

    value: Any = None
    values: dict[SettingPath, Place] = field(default_factory=dict)
    keys: dict[SettingPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unread: set[SettingPath] = field(default_factory=set)
    usable: bool = True


class _Loader(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's own, up to the tree of nodes, with bounds."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        """As PyYAML does, but only so deep and without aliases."""
        if self.check_event(AliasEvent):
            raise ComposerError(None, None, "aliases are not supported", self._mark())
        if self._depth == MAXIMUM_DEPTH:
            raise ComposerError(None, None, "this is nested too deeply", self._mark())
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def _mark(self) -> Any:
        return self.peek_event().start_mark  # type: ignore[no-untyped-call]


for _kind, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(rf"(?:{_pattern})\Z"), _first)


def parse(text: str, source: str, *, lines: bool = True) -> Parsed:
    """Read one document.

    Args:
        source: Named in every place.
        lines: Whether places tell the line; an environment variable has none worth telling.
    """
    parsed = Parsed()
    builder = _Builder(parsed, source, lines=lines)
    try:
        node = _Loader(text).get_single_node()
    except ReaderError as error:
        return _unreadable(
            parsed, _place_at(text, error.position, source, lines=lines), "a character is not allowed"
        )
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return _unreadable(
            parsed, builder.place(mark), _QUOTED.sub("(left out)", error.problem or "not YAML")
        )
    except (YAMLError, ValueError):
        # ValueError: an escape that names no character.
        return _unreadable(parsed, Place(source), "this is not YAML")
    if node is not None:
        parsed.value = builder.build(node, ())
    return parsed


def _unreadable(parsed: Parsed, place: Place, message: str) -> Parsed:
    remedy = "correct the YAML here or just before; quote text that holds special characters"
    parsed.problems.append(Problem(place, (), message, remedy))
    parsed.usable = False
    return parsed


def _place_at(text: str, position: int, source: str, *, lines: bool) -> Place:
    before = text[:position]
    return Place(source, before.count("\n") + 1, position - before.rfind("\n")) if lines else Place(source)


class _Builder:
    """Turns nodes into data, noting places and problems."""

    def __init__(self, parsed: Parsed, source: str, *, lines: bool) -> None:
        self._parsed = parsed
        self._source = source
        self._lines = lines

    def place(self, mark: Mark | None) -> Place:
        """Where a mark points to."""
        return (
            Place(self._source, mark.line + 1, mark.column + 1)
            if mark and self._lines
            else Place(self._source)
        )

    def build(self, node: Node, path: SettingPath) -> Any:
        """The data of a node, everything below it included."""
        self._parsed.values[path] = self.place(node.start_mark)
        match node:
            case MappingNode() if node.tag == f"{_TAG}map":
                return self._mapping(node, path)
            case SequenceNode() if node.tag == f"{_TAG}seq":
                return [self.build(child, (*path, index)) for index, child in enumerate(node.value)]
            case ScalarNode():
                return self._scalar(node, path)
            case _:
                return self._unread(node, path, "a YAML tag is not supported here", "write the plain value")

    def _mapping(self, node: MappingNode, path: SettingPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key, child in node.value:
            if not isinstance(key, ScalarNode):
                self._report(key, path, "a key must be text", "write 'name: value'")
            elif key.value in data:
                first = self._parsed.keys[(*path, key.value)]
                told = "it is given twice" + (f", first in line {first.line}" if first.line else "")
                self._report(key, (*path, key.value), told, "keep one of the two")
            else:
                self._parsed.keys[(*path, key.value)] = self.place(key.start_mark)
                data[key.value] = self.build(child, (*path, key.value))
        return data

    def _scalar(self, node: ScalarNode, path: SettingPath) -> Any:
        text = node.value
        match node.tag.removeprefix(_TAG):
            case "str":
                return text
            case "null":
                return None
            case "bool" if text.lower() in {"true", "false"}:
                return text.lower() == "true"
            case "int" | "float" if len(text) > MAXIMUM_DIGIT_COUNT:
                return self._unread(
                    node, path, "the number has too many digits", "shorten it, or quote the text"
                )
            case "int" if text.lstrip("+-").isdecimal():
                return int(text)
            case "float" if _is_number(text):
                return float(text)
            case _:
                return self._unread(node, path, "a YAML tag is not supported here", "write the plain value")

    def _unread(self, node: Node, path: SettingPath, message: str, remedy: str) -> None:
        self._parsed.unread.add(path)
        self._report(node, path, message, remedy)

    def _report(self, node: Node, path: SettingPath, message: str, remedy: str) -> None:
        self._parsed.problems.append(Problem(self.place(node.start_mark), path, message, remedy))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
