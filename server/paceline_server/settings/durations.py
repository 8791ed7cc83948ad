"""Durations as people write them, in the configuration and on the command line alike."""

from __future__ import annotations

import math
import re
from datetime import timedelta

LONGEST_DURATION = timedelta(days=365)
EXPECTED = "a duration such as 250ms, 30s, 5m, 1h or 1d, or a number of seconds"

_SECONDS_PER_UNIT = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?(ms|s|m|h|d)")


class NotADurationError(ValueError):
    """A value is no duration.

    Attributes:
        message: What is wrong; the value is not repeated.
        remedy: What to write instead.
    """

    def __init__(self, message: str, remedy: str) -> None:
        """Say what is wrong, and what to write instead."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def parse_duration(given: object) -> timedelta:
    """Read a duration in one of its forms.

    Raises:
        NotADurationError: It is none, or out of range.
    """
    if isinstance(given, timedelta):
        return given
    seconds = math.nan
    if isinstance(given, int | float) and not isinstance(given, bool):
        seconds = given
    elif isinstance(given, str) and (parts := _DURATION.fullmatch(given)):
        seconds = float(parts[1]) * _SECONDS_PER_UNIT[parts[2]]
    if math.isnan(seconds):
        raise NotADurationError("this is not a duration", f"write {EXPECTED}")
    if not 0 <= seconds <= LONGEST_DURATION.total_seconds():
        raise NotADurationError("the duration is out of range", "write one from 0s to 365d")
    return timedelta(seconds=seconds)


def write_duration(duration: timedelta) -> str:
    """The shortest exact form."""
    if duration % timedelta(seconds=1):
        milliseconds, microseconds = divmod(duration // timedelta(microseconds=1), 1000)
        return f"{milliseconds}.{microseconds:03}ms" if microseconds else f"{milliseconds}ms"
    seconds = duration // timedelta(seconds=1)
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
