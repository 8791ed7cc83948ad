"""`paceline models`: the names that calls may use, and what they stand for."""

from __future__ import annotations

import click

from paceline_client.connect import Channel
from paceline_client.messages import ModelEntry
from paceline_client.targets import list_models
from paceline_client.words import enum_word, one_line_json, target_spec
from paceline_server.cli.connection import Connection, connection_options
from paceline_server.cli.exits import OK, epilog
from paceline_server.cli.table import print_table

HEADINGS = ("NAME", "KIND", "AVAILABLE", "TARGETS", "DESCRIPTION")


@click.command(
    epilog=epilog(
        "paceline models",
        "paceline models --json | jq -r '.models[].name'",
    )
)
@connection_options
def models(connection: Connection) -> int:
    """List the names that calls may use for models.

    AVAILABLE says whether at least one of the targets can be tried now.
    """

    async def show(channel: Channel) -> int:
        response = await list_models(channel)
        if connection.as_json:
            click.echo(one_line_json(response))
            return OK
        print_table(HEADINGS, [_row(entry) for entry in response.models])
        if response.default_model:
            click.echo(f"default: {response.default_model}", err=True)
        return OK

    return connection.run(show)


def _row(entry: ModelEntry) -> tuple[str, ...]:
    return (
        entry.name,
        enum_word(entry, "kind"),
        "yes" if entry.available_now else "no",
        ", ".join(target_spec(target) for target in entry.targets),
        entry.description,
    )
