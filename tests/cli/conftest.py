"""The command line as tests use it: in this process, or as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from paceline_server.cli.main import run


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Paceline = Callable[..., Result]


@pytest.fixture
def paceline(capsys: pytest.CaptureFixture[str]) -> Paceline:
    """Runs a command in this process."""

    def paceline(*arguments: str) -> Result:
        capsys.readouterr()
        code = run(arguments)
        return Result(code, *capsys.readouterr())

    return paceline


@contextmanager
def process(
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    stdout: int = subprocess.PIPE,
    **rest: Any,
) -> Iterator[subprocess.Popen[str]]:
    """A command as a process; it is killed if it outlives the test."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PACELINE")}
    rest = {"stderr": subprocess.PIPE, "text": True, **rest}
    with subprocess.Popen(
        [sys.executable, "-m", "paceline_server", *arguments],
        env={**settings, **(environ or {})},
        stdout=stdout,
        **rest,
    ) as running:
        try:
            yield running
        finally:
            running.kill()
