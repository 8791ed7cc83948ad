"""Collects what is wrong with a request, field by field, so that a caller is told all of it at once."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from paceline_server.completion.errors import InvalidRequest, Violation

T = TypeVar("T")

MAXIMUM_VIOLATION_COUNT = 32
"""More than anyone mends at once; a hostile request must not make a long list."""


class Violations:
    """The violations so far."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        """Start with none."""
        self._found: list[Violation] = []

    def add(self, field: str, description: str) -> None:
        """Note one.

        Raises:
            InvalidRequest: There are enough: millions of empty messages fit into a request, and none of them
                is worth a sentence.
        """
        self._found.append(Violation(field, description))
        if len(self._found) == MAXIMUM_VIOLATION_COUNT:
            self.check()

    def check(self) -> None:
        """Raise what was found.

        Raises:
            InvalidRequest: There was at least one violation.
        """
        if self._found:
            raise InvalidRequest(self._found)

    def number(
        self, message: Message, name: str, path: str, low: float, high: float, *, above_low: bool = False
    ) -> Any:
        """An optional number within its range, or None if it is not set."""
        if not message.HasField(name):
            return None
        value = getattr(message, name)
        too_low = value <= low if above_low else value < low
        if not math.isfinite(value) or too_low or value > high:
            at_least = f"above {low:g}" if above_low else f"at least {low:g}"
            most = "" if high == math.inf else f" and at most {high:g}"
            self.add(f"{path}.{name}", f"is {value:g}; must be {at_least}{most}")
            return None
        return value

    def choice(self, value: int, known: Mapping[int, T], path: str) -> T | None:
        """An enum value, or None if it is not set or not known."""
        if value == 0:
            return None
        if value not in known:
            self.add(path, f"is {value}, which this version does not know")
        return known.get(value)

    def seconds(self, message: Message, name: str, path: str, low: float, high: float) -> float | None:
        """A duration within its range, in seconds, or None if it is not set."""
        if not message.HasField(name):
            return None
        duration: Duration = getattr(message, name)
        seconds = duration.seconds + duration.nanos / 1e9
        if not low <= seconds <= high:
            self.add(_joined(path, name), f"is {seconds:g} s; must be from {low:g} s to {high:g} s")
            return None
        return seconds

    def at_most_bytes(self, text: str, limit: int, path: str) -> str:
        """A text that is not too long."""
        size = len(text.encode())
        if size > limit:
            self.add(path, f"has {size} bytes; at most {limit} are allowed")
        return text

    def json_object(self, text: str, path: str, *, what: str) -> dict[str, Any] | None:
        """The JSON object in a text, or None if there is none."""
        try:
            value = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            self.add(path, f"is not JSON; give {what} as the text of a JSON object")
            return None
        if not isinstance(value, dict):
            self.add(path, f"is JSON but no object; give {what} as the text of a JSON object")
            return None
        return value


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _no_constant(word: str) -> None:
    """Python reads NaN and Infinity, which are no JSON and which no provider reads."""
    raise ValueError(word)
