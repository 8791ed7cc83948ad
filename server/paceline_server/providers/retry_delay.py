"""How long a provider asks to wait, from whichever of its many ways of saying so it used.

Only for failures: providers send the same headers with answers, where they mean nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

MAX_DELAY = 24 * 60 * 60.0
"""Seconds. A provider that asks for more is asked again after a day."""

_TOO_MANY_REQUESTS = 429
_RESET_PREFIX = "x-ratelimit-reset-"
_REMAINING_PREFIX = "x-ratelimit-remaining-"
_ANTHROPIC_PREFIX = "anthropic-ratelimit-"
"""Followed by the limit and "-reset" or "-remaining"; resets are instants there."""

_SECONDS_OF_UNIT: Mapping[str, float] = {
    "d": 86_400.0,
    "h": 3_600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "\N{MICRO SIGN}s": 1e-6,
    "ns": 1e-9,
}
_STEP = r"(\d{1,12}(?:\.\d{1,12})?)" + "(ms|us|\N{MICRO SIGN}s|ns|d|h|m|s)"
_DURATION_STEP = re.compile(_STEP)
_DURATION = re.compile(rf"(?:{_STEP})+")
_IN_TEXT = re.compile(
    r"(?:try again|retry|available)\s+(?:in|after)\s+"
    rf"(?:(?P<duration>(?:{_STEP})+)|(?P<seconds>\d{{1,9}}(?:\.\d{{1,9}})?)\s*sec)",
    re.IGNORECASE,
)


def retry_delay(
    status: int,
    headers: Mapping[str, str],
    message: str,
    *,
    now: float,
    stated: str = "",
    reads_resets: bool = True,
) -> float | None:
    """Seconds to wait, from 0 to a day; None if the provider asks nothing.

    Args:
        status: The HTTP status.
        headers: Of the answer; names are looked up in lower case.
        message: The provider's sentence about the failure.
        now: Seconds since the epoch, for delays that are given as a date.
        stated: The duration that the body has in a field of its own, if any.
        reads_resets: Whether the failure is one that ends when a rate limit is reset.
    """
    resets = headers if reads_resets and status == _TOO_MANY_REQUESTS else None
    for delay in _delays(headers, resets, stated, message, now):
        if delay is not None and math.isfinite(delay):
            return min(max(delay, 0.0), MAX_DELAY)
    return None


def go_duration(text: str) -> float | None:
    """The seconds of a duration such as `6m0s`, `1.574s` or `12ms`; None if it is none."""
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _SECONDS_OF_UNIT[unit] for number, unit in _DURATION_STEP.findall(text))


def _delays(
    headers: Mapping[str, str], resets: Mapping[str, str] | None, stated: str, message: str, now: float
) -> Iterator[float | None]:
    # In this order the sources go from the exact to the vague.
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None and milliseconds > 0:
        yield milliseconds / 1000

    header = headers.get("retry-after", "")
    seconds = _number(header)
    yield _until_date(header, now) if seconds is None else seconds

    yield go_duration(stated)
    if resets is not None:
        yield _reset_delay(resets, now)
    yield _delay_in_text(message)


def _reset_delay(headers: Mapping[str, str], now: float) -> float | None:
    resets = list(_resets({name.lower(): value for name, value in headers.items()}, now))
    exhausted = [delay for delay, is_exhausted in resets if is_exhausted]
    if exhausted:
        return max(exhausted)
    # Which limit was hit is not said. Those that reset at once were not, so they are no reason to wait.
    return min((delay for delay, _ in resets if delay > 0), default=None)


def _resets(headers: Mapping[str, str], now: float) -> Iterator[tuple[float, bool]]:
    # Of each limit the seconds until it is reset, and whether it is exhausted.
    for name, value in headers.items():
        if name.startswith(_RESET_PREFIX):
            delay = go_duration(value.strip())
            remaining = _REMAINING_PREFIX + name.removeprefix(_RESET_PREFIX)
        elif name.startswith(_ANTHROPIC_PREFIX) and name.endswith("-reset"):
            delay = _until_instant(value.strip(), now)
            remaining = name.removesuffix("reset") + "remaining"
        else:
            continue
        if delay is not None:
            yield delay, headers.get(remaining) == "0"


def _delay_in_text(message: str) -> float | None:
    found = _IN_TEXT.search(message)
    if found is None:
        return None
    duration = found["duration"]
    return go_duration(duration.lower()) if duration else float(found["seconds"])


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number >= 0 else None


def _until_date(text: str, now: float) -> float | None:
    if not text:
        return None
    try:
        return parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return None


def _until_instant(text: str, now: float) -> float | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if instant.tzinfo is None else instant.timestamp() - now
