"""Secrets of the configuration: given by reference, read once, never shown.

A secret is named by an environment variable or a file, so that the configuration itself can be
committed, printed and sent to a colleague.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from paceline_server.settings.files import UnreadableFileError, read_file

MASK = "***"
MAXIMUM_SECRET_BYTES = 64 * 1024
HOW_TO_GIVE = "name where it is kept: {env: NAME_OF_A_VARIABLE} or {file: /path/to/a/file}"

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAINLY_A_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,99}")


class Secret:
    """A value that shows itself only when asked to."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Keep `value`."""
        self._value = value

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        """Compared in constant time."""
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere, so it cannot be pickled or copied")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let the schema read a secret from its reference and write it masked."""
        return core_schema.with_info_plain_validator_function(
            lambda given, info: given if isinstance(given, Secret) else read_secret(given, info.context),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda _secret: MASK),
        )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a configuration may refer to: the environment, and the folder that its paths start from."""

    environ: Mapping[str, str]
    folder: Path


def read_secret(given: object, surroundings: Surroundings) -> Secret:
    """Read the secret that `given` names as {env: ...} or {file: ...}.

    Raises:
        PydanticCustomError: It is no such reference, or there is no usable secret.
    """
    if isinstance(given, str):
        raise refusal("a secret must not stand in the configuration itself", HOW_TO_GIVE)
    match given:
        case {"env": str(name), **rest} if not rest:
            return _secret(_from_environment(name, surroundings.environ), f"the variable {_named(name)}")
        case {"file": str(path), **rest} if not rest:
            return _secret(_from_file(path, surroundings.folder), f"the file {_file_named(path)}")
        case _:
            raise refusal("this is no reference to a secret", HOW_TO_GIVE)


def refusal(message: str, remedy: str, *, below: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """A problem with one setting, as validators raise it; neither text repeats the setting's value.

    Args:
        below: Where below the validated setting the problem lies.
    """
    context = {"message": message, "remedy": remedy, "below": below}
    return PydanticCustomError("paceline", "{message}", context)


def _from_environment(name: str, environ: Mapping[str, str]) -> str:
    if not _VARIABLE.fullmatch(name):
        raise refusal("this is not the name of an environment variable", HOW_TO_GIVE)
    if name not in environ:
        raise refusal(
            f"the environment variable {_named(name)} is not set", "set it, or name the one that holds it"
        )
    return environ[name]


def _from_file(path: str, folder: Path) -> str:
    try:
        content = read_file(folder / path, MAXIMUM_SECRET_BYTES + 1)
    except UnreadableFileError as error:
        raise refusal(
            f"the file {_file_named(path)} cannot be read: {error}", "let the server's user read it"
        ) from None
    if len(content) > MAXIMUM_SECRET_BYTES:
        raise refusal(f"the file {_file_named(path)} is too large for a secret", "name the right file")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise refusal(f"the file {_file_named(path)} is not UTF-8 text", "name the right file") from None


def _secret(text: str, source: str) -> Secret:
    value = text.removesuffix("\n").removesuffix("\r")
    if not value.strip():
        raise refusal(f"{source} is empty", "put the secret into it, or name another place")
    # It goes into an HTTP header: another line would be another header.
    if not value.isascii() or not value.isprintable():
        raise refusal(f"{source} holds more than one line of plain characters", "put only the secret into it")
    return Secret(value)


def _named(variable: str) -> str:
    # A key pasted in the place of a variable's name must not be shown.
    return variable if _PLAINLY_A_VARIABLE.fullmatch(variable) else "that is named there"


def _file_named(path: str) -> str:
    return path if path.startswith("/") and path.isprintable() else "that is named there"
