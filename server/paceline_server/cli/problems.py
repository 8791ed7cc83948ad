"""What is wrong with a configuration, for people: the same lines from every command that reads one."""

from __future__ import annotations

from collections.abc import Sequence

import click

from paceline_server.settings.problem import Problem


def print_problems(problems: Sequence[Problem]) -> None:
    """Print each problem in one line on standard error, and how many there are."""
    for problem in problems:
        click.echo(str(problem), err=True)
    count = len(problems)
    click.echo(f"{count} problem{'' if count == 1 else 's'}; nothing was started", err=True)
