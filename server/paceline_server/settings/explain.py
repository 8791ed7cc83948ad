"""From the schema's errors to findings that people can act on: what is wrong, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from paceline_server.settings.problem import Finding, SettingPath
from paceline_server.settings.section import Section
from paceline_server.settings.shape import Shape, fields, follow

_SHORTEST_BEGINNING = 3
Words = tuple[str, str]
"""A message and a remedy."""


def findings(error: ValidationError, root: type[Section]) -> list[Finding]:
    """One finding for each error of the schema; values are never repeated."""
    details = error.errors(include_url=False, include_input=False)
    return [_finding(detail, root) for detail in details]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A remedy for a word that is not known."""
    choices, word = sorted(known), word.lower()
    close = difflib.get_close_matches(word, choices, n=1)
    if not close and len(word) >= _SHORTEST_BEGINNING:
        close = [choice for choice in choices if choice.startswith(word)]
    listed = f"known are {', '.join(choices)}" if choices else "nothing is known here"
    return f"did you mean {close[0]}? {listed}" if close else listed


def _finding(detail: ErrorDetails, root: type[Section]) -> Finding:
    path, shape = follow(root, detail["loc"])
    context = detail.get("ctx", {})
    match detail["type"]:
        case "extra_forbidden":
            return Finding(path, *_unknown(path, detail["loc"], root), at_key=True)
        case "union_tag_invalid":
            known = did_you_mean(str(context["tag"]), shape.alternatives)
            return Finding((*path, "format"), "there is no such format", known)
        case "union_tag_not_found":
            known = " or ".join(shape.alternatives)
            return Finding((*path, "format"), "it is missing", f"add a vendor, or format: {known}")
        case kind:
            words = _WORDS.get(kind, _other)
            path += context.get("below", ())
            return Finding(path, *words(context, _expected(shape)), at_key=detail["loc"][-1:] == ("[key]",))


def _unknown(path: SettingPath, location: tuple[str | int, ...], root: type[Section]) -> Words:
    _, parent = follow(root, location[:-1])
    known = [key for key, _, _ in fields(parent.section)] if parent.section else []
    return "there is no such setting", did_you_mean(str(path[-1]), known)


def _expected(shape: Shape) -> str:
    if shape.kind:
        return shape.kind.expected
    if shape.section:
        return f"settings below it, such as {', '.join(key for key, _, _ in fields(shape.section)[:3])}"
    return (
        "a list in brackets"
        if shape.type and shape.item and "tuple" in str(shape.type)
        else "entries below it"
    )


def _other(_context: dict[str, Any], expected: str) -> Words:
    return "the value has the wrong type", f"write {expected}"


def _bound(relation: str, key: str) -> Callable[[dict[str, Any], str], Words]:
    return lambda context, _expected: (
        "the number is out of range",
        f"write a number {relation} {context[key]:g}",
    )


_WORDS: dict[str, Callable[[dict[str, Any], str], Words]] = {
    "paceline": lambda context, _expected: (context["message"], context["remedy"]),
    "missing": lambda _context, expected: ("it is missing", f"add it: {expected}"),
    "literal_error": lambda _context, expected: ("there is no such choice", f"write {expected}"),
    "greater_than_equal": _bound("of at least", "ge"),
    "greater_than": _bound("above", "gt"),
    "less_than_equal": _bound("of at most", "le"),
    "less_than": _bound("below", "lt"),
    "finite_number": lambda _context, expected: ("the number is not finite", f"write {expected}"),
    "too_long": lambda context, _expected: (
        "the list is too long",
        f"write at most {context['max_length']} entries",
    ),
    "too_short": lambda _context, expected: ("the list is empty", f"write {expected}"),
    "string_too_short": lambda _context, expected: ("the text is empty", f"write {expected}"),
    "string_too_long": lambda context, _expected: (
        "the text is too long",
        f"write at most {context['max_length']} characters",
    ),
}
