"""The command as a whole: help, usage and exit codes."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from paceline_server.cli.main import COMMANDS
from paceline_server.cli.main import paceline as group
from tests.cli.conftest import Paceline, process

HEAVY = ("grpc", "google.protobuf", "rich", "pydantic", "aiohttp", "asyncio", "paceline_client")


def test_help_loads_no_command() -> None:
    """Help comes at once, because nothing heavy is imported for it."""
    script = (
        "import sys; from paceline_server.cli.main import run; run(['--help']);"
        f"sys.exit(', '.join(sorted(set(sys.modules) & set({HEAVY!r}))))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert result.stderr.strip() == ""
    assert all(name in result.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(paceline: Paceline, name: str) -> None:
    """Each command has help with examples and exit codes; a group has help with its commands."""
    result = paceline(name, "--help")
    assert result.code == 0
    command = group.get_command(click.Context(group), name)
    if not isinstance(command, click.Group):
        assert "Examples:" in result.out
        assert "Exit codes:" in result.out


@pytest.mark.parametrize(
    "arguments", [["chian"], ["chain"], ["chain", "m", "p", "--recovery", "maybe"], ["chain", "m", " "], []]
)
def test_wrong_usage_exits_with_2(paceline: Paceline, arguments: list[str]) -> None:
    """A command line that makes no sense is told apart from a call that failed."""
    assert paceline(*arguments).code == 2


def test_the_version_is_told(paceline: Paceline) -> None:
    """`--version` names the program and its version."""
    result = paceline("--version")
    assert (result.code, result.out.split()[0]) == (0, "paceline")


def test_a_reader_that_leaves_causes_no_traceback() -> None:
    """A pipe that is closed early ends the command quietly."""
    with process("config", "check", "--json") as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert "Traceback" not in running.stderr.read()
