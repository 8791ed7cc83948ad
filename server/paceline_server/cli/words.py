"""Durations on the command line, and how long ago and how soon, in words."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from paceline_server.settings.durations import EXPECTED, NotADurationError, parse_duration

_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


class DurationType(click.ParamType[timedelta]):
    """A duration as the configuration has them, but longer than 0; a number alone is seconds."""

    name = "duration"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """How help writes it."""
        return "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read one."""
        try:
            # Whatever comes as a number in YAML comes as its text here.
            duration = parse_duration(float(value) if _NUMBER.fullmatch(str(value)) else value)
        except NotADurationError as error:
            self.fail(f"{value!r}: {error.message}; {error.remedy}", param, ctx)
        if not duration:
            self.fail(f"{value!r}: the duration must be longer than 0; write {EXPECTED}", param, ctx)
        return duration


DURATION = DurationType()


def in_words(duration: timedelta) -> str:
    """A duration as people say it, in at most two units: "0.4 s", "12 s", "5 min 10 s", "2 h", "29 d"."""
    seconds = duration.total_seconds()
    if seconds < 10:  # noqa: PLR2004 - below this, tenths matter
        return f"{max(seconds, 0.0):.1f} s"
    whole = timedelta(seconds=round(seconds))
    if whole < _MINUTE:
        return f"{whole.seconds} s"
    if whole < _HOUR:
        return _two(whole, _MINUTE, "min", timedelta(seconds=1), "s")
    if whole < _DAY:
        return _two(whole, _HOUR, "h", _MINUTE, "min")
    return _two(whole, _DAY, "d", _HOUR, "h")


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def relative(moment: datetime, now: datetime) -> str:
    """When something is, seen from now: "in 12 s", "now"."""
    return f"in {in_words(moment - now)}" if moment > now else "now"


def _two(duration: timedelta, large: timedelta, large_word: str, small: timedelta, small_word: str) -> str:
    count, rest = divmod(duration, large)
    small_count = rest // small
    return f"{count} {large_word} {small_count} {small_word}" if small_count else f"{count} {large_word}"
