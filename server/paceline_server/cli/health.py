"""`paceline health`: whether a gateway, or one of its services or models, can serve."""

from __future__ import annotations

import json

import click

from paceline_client.connect import Channel
from paceline_client.health import ServingStatus, check_health, watch_health
from paceline_server.cli.connection import Connection, connection_options
from paceline_server.cli.exits import FAILED, OK, UNUSABLE, epilog

HEALTH_CODES = (
    "Exit codes: 0 SERVING; 1 anything else; 2 wrong usage, or no gateway can be reached; 130 interrupted."
)


@click.command(
    epilog=epilog(
        "paceline health",
        "paceline health model/demo --watch",
        exit_codes=HEALTH_CODES,
    )
)
@click.argument("service", default="")
@click.option("--watch", is_flag=True, help="Go on with every change until interrupted.")
@connection_options
def health(connection: Connection, service: str, *, watch: bool) -> int:
    """Ask whether SERVICE can serve; without one, the gateway itself.

    Services are "liveness", those of the contract by name, such as
    paceline.v1.ChainService, and model/NAME for each name of the configuration.
    """

    async def ask(channel: Channel) -> int:
        status = await check_health(channel, service)
        _show(connection, service, status)
        return OK if status is ServingStatus.SERVING else FAILED

    async def follow(channel: Channel) -> int:
        async with watch_health(channel, service) as changes:
            async for status in changes:
                _show(connection, service, status)
        return OK

    # Whatever keeps a gateway from saying how it is, nobody can be sent there.
    return connection.run(follow if watch else ask, failed=UNUSABLE)


def _show(connection: Connection, service: str, status: ServingStatus) -> None:
    if connection.as_json:
        click.echo(json.dumps({"service": service, "status": status.value}))
    else:
        click.echo(status.value)
