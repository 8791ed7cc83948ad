"""Durations are read and written as people do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from paceline_server.cli.words import DURATION, in_words, relative

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("30s", timedelta(seconds=30)),
        ("1.5", timedelta(seconds=1.5)),
        ("10m", timedelta(minutes=10)),
        ("2h", timedelta(hours=2)),
        ("30d", timedelta(days=30)),
        ("10 m", timedelta(minutes=10)),
    ],
)
def test_durations_are_read(text: str, duration: timedelta) -> None:
    """A number and a unit are a duration, as in the configuration; a number alone is seconds."""
    assert DURATION.convert(text, None, None) == duration


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "this is not a duration"),
        ("soon", "this is not a duration"),
        ("-1s", "this is not a duration"),
        ("1w", "this is not a duration"),
        ("10min", "this is not a duration"),
        ("1e9", "this is not a duration"),
        ("366d", "the duration is out of range; write one from 0s to 365d"),
        ("0s", "the duration must be longer than 0"),
        ("0", "the duration must be longer than 0"),
    ],
)
def test_what_is_no_duration_is_refused(text: str, said: str) -> None:
    """Nothing is guessed, and the command line takes what the configuration takes."""
    with pytest.raises(click.BadParameter, match=said):
        DURATION.convert(text, None, None)


@pytest.mark.parametrize(
    ("duration", "words"),
    [
        (timedelta(seconds=-1), "0.0 s"),
        (timedelta(seconds=0.42), "0.4 s"),
        (timedelta(seconds=12.4), "12 s"),
        (timedelta(seconds=59.9), "1 min"),
        (timedelta(seconds=310), "5 min 10 s"),
        (timedelta(hours=2), "2 h"),
        (timedelta(hours=2, minutes=5), "2 h 5 min"),
        (timedelta(days=29, hours=23), "29 d 23 h"),
    ],
)
def test_durations_are_written_in_two_units_at_most(duration: timedelta, words: str) -> None:
    """Nobody needs the seconds of a day."""
    assert in_words(duration) == words


def test_a_moment_is_seen_from_now() -> None:
    """What lies ahead is told as a wait, what is past is now."""
    assert relative(NOW + timedelta(seconds=4), NOW) == "in 4.0 s"
    assert relative(NOW, NOW + timedelta(days=1)) == "now"
