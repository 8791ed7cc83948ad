"""The command `paceline`: its subcommands, and the exit codes of all of them.

Loads a subcommand only when it is used, so that help and errors come at once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

import click

from paceline_server.cli.exits import FAILED, INTERRUPTED, OK, UNUSABLE, epilog


class Lazy(NamedTuple):
    """Where a subcommand is defined, and its line in the list."""

    module: str
    attribute: str
    line: str


COMMANDS = {
    "serve": Lazy("serve", "serve", "Start a gateway."),
    "chain": Lazy("chain", "chain", "Ask a model, or a chain of models, and print the answer."),
    "race": Lazy("race", "race", "Let several models race, and print the winner's answer."),
    "targets": Lazy("targets", "targets", "Show the targets and their health."),
    "bench-target": Lazy("bench", "bench_target", "Take a target, or a provider, out of use."),
    "unbench-target": Lazy("bench", "unbench_target", "Take it into use again."),
    "models": Lazy("models", "models", "List the names that calls may use."),
    "health": Lazy("health", "health", "Ask a gateway whether it can serve."),
    "config": Lazy("config", "config", "Check a configuration."),
}


class LazyGroup(click.Group):
    """A group that imports the module of a subcommand when that is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand of a name, or None."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(import_module(f"paceline_server.cli.{entry.module}"), entry.attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - a wrong table is a bug
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of subcommands, which loads none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.line) for name, entry in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    epilog=epilog(
        "paceline serve",
        'paceline chain demo "What is a paceline?"',
        "paceline targets --watch",
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="paceline", message="paceline %(version)s")
def paceline() -> None:
    """Paceline is a gRPC gateway in front of LLM providers.

    Commands that talk to a running gateway find it by --address, or by the
    environment variable PACELINE_ADDRESS.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default that of the process; returns the exit code."""
    # gRPC's own notices on stderr would stand between the lines of a command, or of the log.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        code = paceline.main(arguments, prog_name="paceline", standalone_mode=False)
    except click.Abort:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return UNUSABLE
    except SystemExit as error:
        # The reader of a pipe has left: click has made standard output quiet.
        return OK if error.code is None else FAILED
    return code if isinstance(code, int) else OK
