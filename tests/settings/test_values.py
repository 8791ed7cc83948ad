"""Durations, sizes, addresses, URLs and names are read in their forms and refused in any other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from paceline_server.settings import values
from paceline_server.settings.durations import LONGEST_DURATION, write_duration


def read(kind: Any, given_value: object) -> Any:
    """The value as the schema reads it."""
    return TypeAdapter(kind).validate_python(given_value)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("250ms", 0.25),
        ("30s", 30),
        ("1.5s", 1.5),
        ("5m", 300),
        ("1h", 3600),
        ("1d", 86_400),
        ("0s", 0),
        (2, 2),
        (0.5, 0.5),
    ],
)
def test_a_duration_has_a_unit_or_is_seconds(written: object, seconds: float) -> None:
    """Durations are written with their unit; a plain number is seconds."""
    assert read(values.Duration, written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written",
    ["30", "30 sec", "-1s", "", "s", "1w", "1:30", -1, True, None, [], 1e18, float("nan"), float("inf")],
)
def test_what_is_no_duration_is_refused(written: object) -> None:
    """A duration that could be misread is refused."""
    with pytest.raises(ValidationError):
        read(values.Duration, written)


@given(st.timedeltas(timedelta(0), LONGEST_DURATION))
def test_a_written_duration_reads_as_itself(duration: timedelta) -> None:
    """What the settings are shown as can be given as settings again."""
    assert read(values.Duration, write_duration(duration)) == duration


@pytest.mark.parametrize(
    ("written", "size"), [("16MiB", 2**24), ("64KiB", 2**16), ("1GiB", 2**30), ("7B", 7), (9, 9)]
)
def test_a_size_has_a_unit_or_is_bytes(written: object, size: int) -> None:
    """Sizes are written with their unit; a plain number is bytes."""
    assert read(values.Size, written) == size


@pytest.mark.parametrize("written", ["16MB", "16", "1.5MiB", 0, -1, True, 1.5, "2GiB", 2**31])
def test_what_is_no_size_is_refused(written: object) -> None:
    """A size that could be misread, or that no message can have, is refused."""
    with pytest.raises(ValidationError):
        read(values.Size, written)


@given(st.integers(1, 2**31 - 1))
def test_a_written_size_reads_as_itself(size: int) -> None:
    """What the settings are shown as can be given as settings again."""
    assert read(values.Size, values.write_size(size)) == size


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:50051", "[::1]:50051", "localhost:0", "0.0.0.0:65535", "unix:/run/p.sock", "unix:p.sock"],
)
def test_an_address_to_listen_on(address: str) -> None:
    """Host and port, IPv6 in brackets, or the path of a socket."""
    assert read(values.Listen, address) == address


@pytest.mark.parametrize(
    "address",
    [
        "50051",
        ":50051",
        "::1:50051",
        "localhost:65536",
        "localhost:-1",
        "localhost:",
        "a b:1",
        "unix:",
        "h:٣",
        "h/x:1",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    """An address that would fail at the start is refused before it."""
    with pytest.raises(ValidationError):
        read(values.Listen, address)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://x.example/openai?api-version=2", "https://x.example/openai?api-version=2"),
    ],
)
def test_a_base_url(url: str, kept: str) -> None:
    """A base URL may hold a port, a path and a query; a slash at its end is dropped."""
    assert read(values.Url, url) == kept


@pytest.mark.parametrize(
    "url",
    [
        "api.openai.com",
        "ftp://host/x",
        "https://",
        "https://user:pass@host/v1",
        "https://host/v1?api_key=x",
        "https://host:99999/",
        "https://[::1",
        "https://host/#top",
        "https://ho st/",
        "https://host/\n",
    ],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    """A URL without host or with credentials in it is refused."""
    with pytest.raises(ValidationError):
        read(values.Url, url)


@pytest.mark.parametrize("name", ["a/b", "a,b", "a b", "", "-a", "ä", "a" * 129, "a\n"])
def test_a_name_must_fit_into_a_spec(name: str) -> None:
    """A name with a slash, a comma or a space could not be told from a spec."""
    with pytest.raises(ValidationError):
        read(values.Name, name)
