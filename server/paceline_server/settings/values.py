"""The kinds of value that settings have: how each is written, checked and written again.

A kind's `expected` is the remedy for a value of the wrong type, so it shows an example.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, Strict, ValidationInfo

from paceline_server.completion.attempt import FailureClass
from paceline_server.settings.durations import EXPECTED as EXPECTED_DURATION
from paceline_server.settings.durations import NotADurationError, parse_duration, write_duration
from paceline_server.settings.files import UnreadableFileError, read_file
from paceline_server.settings.secret import refusal

_BYTES_PER_UNIT = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SIZE = re.compile(r"(\d{1,12}) ?(B|KiB|MiB|GiB)")
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9]+)?\]")
_WITHOUT_SCHEME = re.compile(r"(localhost|[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+)(:\d{1,5})?(/[^\s]*)?")
_MEDIA_TYPE = re.compile(r"[a-z]{1,20}/[a-z0-9.+-]{1,100}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
CREDENTIAL_WORDS = ("authorization", "key", "token", "secret", "cookie", "password", "signature", "sig=")
"""In the names of headers and of parameters in URLs, these mean that the value is a secret."""

_LARGEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value, for people: its name, and what to write."""

    name: str
    expected: str


DURATION = Kind("duration", EXPECTED_DURATION)
SIZE = Kind("size", "a size such as 64KiB or 16MiB, or a number of bytes")
NAME = Kind("name", "letters, digits, '.', '_' and '-', starting with a letter or digit, as in my-model")
LISTEN = Kind("address", "an address such as 127.0.0.1:50051, [::1]:50051 or unix:/run/paceline.sock")
URL = Kind("URL", "the URL before the format's own path, as in https://api.openai.com/v1")
FAILURE_CLASS = Kind("failure class", f"one of {', '.join(member.name for member in FailureClass)}")
PATTERN = Kind("regular expression", "a regular expression in quotes, as in 'try again in \\d+s'")
HEADER = Kind("header name", "the name of an HTTP header, as in X-Team")
MEDIA_TYPE = Kind("media type", "a media type in lower case, as in image/png")
READABLE = Kind("file", "the path of a file that the server's user may read")


def read_duration(given: object) -> timedelta:
    """Read a duration in one of its forms."""
    try:
        return parse_duration(given)
    except NotADurationError as error:
        raise refusal(error.message, error.remedy) from None


def parse_size(given: object) -> int:
    """Read a size in one of its forms."""
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    if isinstance(given, str) and (parts := _SIZE.fullmatch(given)):
        return int(parts[1]) * _BYTES_PER_UNIT[parts[2]]
    raise refusal("this is not a size", f"write {SIZE.expected}")


def write_size(size: int) -> str:
    """The shortest exact form."""
    for unit, factor in reversed(_BYTES_PER_UNIT.items()):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def parse_failure_class(given: object) -> FailureClass:
    """Read a failure class by its name."""
    if isinstance(given, FailureClass):
        return given
    if isinstance(given, str) and given in FailureClass.__members__:
        return FailureClass[given]
    raise refusal("this is not a failure class", f"write {FAILURE_CLASS.expected}")


def _positive(duration: timedelta) -> timedelta:
    if not duration:
        raise refusal("the duration must be longer than 0", f"write {DURATION.expected}")
    return duration


def _name(given: str) -> str:
    if not NAME_PATTERN.fullmatch(given):
        raise refusal("this is not a valid name", f"use {NAME.expected}")
    return given


def _listen(given: str) -> str:
    scheme, colon, path = given.partition(":")
    if scheme == "unix":
        if not path.strip() or not path.isprintable():
            raise refusal("the socket has no path", f"write {LISTEN.expected}")
        return given
    host, colon, port = given.rpartition(":")
    if not colon or not _HOST.fullmatch(host):
        raise refusal("this is not an address to listen on", f"write {LISTEN.expected}")
    if not (port.isascii() and port.isdecimal() and int(port[:6]) <= _LARGEST_PORT):
        raise refusal("the port is out of range", "write a port from 1 to 65535, or 0 for any free one")
    return given


def _url(given: str) -> str:
    try:
        url = urlsplit(given)
        usable = url.scheme in {"http", "https"} and bool(url.hostname) and (url.port or 1) > 0
    except ValueError:
        usable = False
    else:
        parameters = url.query.lower().split("&")
        if url.username is not None or any(word in text for word in CREDENTIAL_WORDS for text in parameters):
            raise refusal("the URL holds credentials", "give them as key or headers, by reference")
    if not usable and _WITHOUT_SCHEME.fullmatch(given):
        raise refusal("the URL has no scheme", "write https:// before it, or http:// where there is no TLS")
    if not usable or not given.isascii() or not given.isprintable() or " " in given or "#" in given:
        raise refusal("this is not a usable URL", f"write {URL.expected}")
    return given.rstrip("/")


def _pattern(given: str) -> str:
    try:
        re.compile(given)
    except (re.error, OverflowError, RecursionError):
        raise refusal("this is not a regular expression", f"write {PATTERN.expected}") from None
    return given


def _header(given: str) -> str:
    if not _HEADER.fullmatch(given):
        raise refusal("this is not a header name", f"write {HEADER.expected}")
    return given


def _media_type(given: str) -> str:
    if not _MEDIA_TYPE.fullmatch(given):
        raise refusal("this is not a media type", f"write {MEDIA_TYPE.expected}")
    return given


def _file(given: str | Path, info: ValidationInfo) -> Path:
    path: Path = info.context.folder / given if info.context else Path(given)
    try:
        empty = not read_file(path, 1)
    except UnreadableFileError as error:
        raise refusal(f"the file cannot be read: {error}", f"name {READABLE.expected}") from None
    if empty:
        raise refusal("the file is empty", f"name {READABLE.expected}")
    return path


Duration = Annotated[
    timedelta, DURATION, BeforeValidator(read_duration), PlainSerializer(write_duration, return_type=str)
]
PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
Size = Annotated[
    int,
    SIZE,
    BeforeValidator(parse_size),
    Field(ge=1, lt=2**31),
    PlainSerializer(write_size, return_type=str),
]
Flag = Annotated[bool, Kind("true or false", "true or false"), Strict()]
Count = Annotated[int, Kind("count", "a whole number such as 3"), Strict(), Field(ge=0, le=1_000_000_000)]
WholeNumber = Annotated[
    int, Kind("whole number", "a whole number such as 3 or -1"), Strict(), Field(ge=-(2**31), lt=2**31)
]
Share = Annotated[
    float,
    Kind("share", "a number from 0 to 1, as in 0.2"),
    Field(strict=True, ge=0, le=1, allow_inf_nan=False),
]
Number = Annotated[
    float,
    Kind("number", "a number of at least 0, as in 2.5"),
    Field(strict=True, ge=0, le=1e9, allow_inf_nan=False),
]
Text = Annotated[
    str,
    Kind("text", "a text, in quotes if it looks like a number"),
    Strict(),
    Field(min_length=1, max_length=4096),
]
Spec = Annotated[
    Text, Kind("spec", "a spec such as openai/gpt-4o-mini, or a name below models"), Field(max_length=1024)
]
Name = Annotated[str, NAME, Strict(), AfterValidator(_name)]
Listen = Annotated[str, LISTEN, Strict(), AfterValidator(_listen)]
Url = Annotated[str, URL, Strict(), AfterValidator(_url)]
Pattern = Annotated[str, PATTERN, Strict(), Field(min_length=1, max_length=1000), AfterValidator(_pattern)]
HeaderName = Annotated[str, HEADER, Strict(), AfterValidator(_header)]
MediaType = Annotated[str, MEDIA_TYPE, Strict(), AfterValidator(_media_type)]
ReadableFile = Annotated[
    Path, READABLE, Field(strict=False), AfterValidator(_file), PlainSerializer(str, return_type=str)
]
FailureClassName = Annotated[
    FailureClass,
    FAILURE_CLASS,
    BeforeValidator(parse_failure_class),
    PlainSerializer(lambda failure_class: failure_class.name, return_type=str),
]
