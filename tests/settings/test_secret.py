"""Secrets are given by reference, read once and never shown (S5, S6)."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from pydantic_core import PydanticCustomError

from paceline_server.settings.secret import MAXIMUM_SECRET_BYTES, Secret, Surroundings, read_secret

CANARY = "sk-canary-4711"


def refusal_of(given: object, environ: dict[str, str], folder: Path) -> str:
    """What is said about a reference that cannot be used."""
    with pytest.raises(PydanticCustomError) as caught:
        read_secret(given, Surroundings(environ, folder))
    return f"{caught.value} {caught.value.context}"


def test_a_secret_of_the_environment(tmp_path: Path) -> None:
    """{env: NAME} is the variable's value, of the environment that was handed over."""
    secret = read_secret({"env": "KEY"}, Surroundings({"KEY": CANARY}, tmp_path))
    assert secret.reveal() == CANARY


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_secret_of_a_file(tmp_path: Path, end: str) -> None:
    """{file: path} is the file's content without the line break that editors append."""
    (tmp_path / "key").write_bytes((CANARY + end).encode())
    surroundings = Surroundings({}, tmp_path)
    assert read_secret({"file": "key"}, surroundings).reveal() == CANARY
    assert read_secret({"file": str(tmp_path / "key")}, surroundings).reveal() == CANARY


def test_a_secret_does_not_show_itself() -> None:
    """Neither text nor copies of a secret exist by accident."""
    secret = Secret(CANARY)
    assert CANARY not in f"{secret!r} {secret} {[secret]}"
    for write in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not written anywhere"):
            write(secret)


def test_secrets_compare_by_value() -> None:
    """A reload can tell whether a key has changed."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (CANARY, "must not stand in the configuration itself"),
        ({"env": CANARY}, "not the name of an environment variable"),
        ({"env": "ABSENT"}, "the environment variable ABSENT is not set"),
        ({"env": "EMPTY"}, "the variable EMPTY is empty"),
        ({"env": "LINES"}, "more than one line"),
        ({"env": "KEY", "file": "x"}, "no reference to a secret"),
        ({"env": 3}, "no reference to a secret"),
        ({}, "no reference to a secret"),
        (3, "no reference to a secret"),
        ({"file": "absent"}, "cannot be read: No such file or directory"),
        ({"file": "/absent/key"}, "the file /absent/key cannot be read"),
        ({"file": CANARY}, "the file that is named there cannot be read"),
        ({"file": "\0"}, "it has no valid name"),
        ({"file": "large"}, "too large for a secret"),
        ({"file": "binary"}, "not UTF-8 text"),
    ],
)
def test_a_secret_that_cannot_be_read(tmp_path: Path, given: object, said: str) -> None:
    """The variable or file is named, the remedy told, and a secret in the wrong place not repeated."""
    (tmp_path / "large").write_bytes(b"x" * (MAXIMUM_SECRET_BYTES + 1))
    (tmp_path / "binary").write_bytes(b"\xff")
    told = refusal_of(given, {"EMPTY": " \n", "LINES": f"{CANARY}\nX-Other: 1", "KEY": CANARY}, tmp_path)
    assert said in told
    assert CANARY not in told
