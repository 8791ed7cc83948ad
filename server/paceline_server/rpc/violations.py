"""Collects what is wrong with a request, field by field, so that a caller is told all of it at once."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from paceline_server.completion.errors import InvalidRequest, InvalidSpec, Violation
from paceline_server.routing.spec import parse_spec

T = TypeVar("T")

MAXIMUM_VIOLATION_COUNT = 32
"""More than anyone mends at once; a hostile request must not make a long list."""


class Violations:
    """The violations so far."""

    __slots__ = ("_found", "_specs")

    def __init__(self) -> None:
        """Start with none."""
        self._found: list[Violation] = []
        self._specs: list[Violation] = []

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
            InvalidSpec: Specs that cannot be used were all there was.
        """
        if self._found:
            raise InvalidRequest([*self._found, *self._specs])
        if self._specs:
            first, *others = self._specs
            raise InvalidSpec(first.description, field=first.field, others=others)

    def spec(self, spec: str, path: str) -> str:
        """A model spec that can be read; what it names is looked up by who assembles the model."""
        try:
            parse_spec(spec)
        except InvalidSpec as error:
            self._specs.append(Violation(path, error.violations[0].description))
        return spec

    def arm(self, message: Message, oneof: str, path: str) -> str | None:
        """Which field of a oneof is set; None if none is.

        One that only later versions of the contract have reads as none, and must not pass for the default.
        """
        name: str | None = message.WhichOneof(oneof)
        if name is None and len(UnknownFieldSet(message)):
            self.add(path, "is set to a kind that this version does not know")
        return name

    def number(
        self,
        message: Message,
        name: str,
        path: str,
        low: float,
        high: float,
        *,
        above_low: bool = False,
        below_high: bool = False,
    ) -> Any:
        """An optional number within its range, or None if it is not set."""
        if not message.HasField(name):
            return None
        value = getattr(message, name)
        too_low = value <= low if above_low else value < low
        too_high = value >= high if below_high else value > high
        if not math.isfinite(value) or too_low or too_high:
            at_least = f"above {low:g}" if above_low else f"at least {low:g}"
            at_most = f" and below {high:g}" if below_high else f" and at most {high:g}"
            most = "" if high == math.inf else at_most
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
