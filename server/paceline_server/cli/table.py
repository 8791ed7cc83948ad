"""Tables for people: they fit a terminal, and are never cut anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from paceline_server.cli.printable import one_line

WIDE = 10_000
"""Columns where nobody looks at the width: a pipe must get every letter."""

_COLOURS = {
    "ACTIVE": "green",
    "BENCHED": "red",
    "PROBING": "yellow",
    "RAMPING": "yellow",
    "yes": "green",
    "no": "red",
}


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their headings on standard output."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(cell), style=_COLOURS.get(cell.partition(" ")[0], "")) for cell in row))
    terminal = sys.stdout.isatty()
    console = Console(file=sys.stdout, width=None if terminal else WIDE, highlight=False)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        # Every cell is filled up with spaces, also the last one, where a pipe has no use for them.
        click.echo(line if terminal else line.rstrip())
