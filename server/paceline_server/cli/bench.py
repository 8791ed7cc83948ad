"""`paceline bench-target` and `paceline unbench-target`: the operator's word over that of the gateway."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from paceline_client.connect import Channel
from paceline_client.messages import Target
from paceline_client.targets import bench_target as call_bench
from paceline_client.targets import unbench_target as call_unbench
from paceline_client.words import one_line_json, parse_target
from paceline_server.cli.connection import Connection, connection_options
from paceline_server.cli.exits import OK, epilog
from paceline_server.cli.targets import print_targets
from paceline_server.cli.words import DURATION


class TargetType(click.ParamType[Target]):
    """A target as specs write it; "provider/" is the whole provider."""

    name = "provider/model"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Target:
        """Read one."""
        try:
            return parse_target(value)
        except ValueError:
            self.fail(
                f"{value!r} is not a target; write provider/model, or provider/ for all of it", param, ctx
            )


@click.command(
    "bench-target",
    epilog=epilog(
        'paceline bench-target openai/gpt-4o-mini --for 10m --reason "wrong answers"',
        "paceline bench-target openai/ --for 2h",
    ),
)
@click.argument("target", metavar="PROVIDER/MODEL", type=TargetType())
@click.option("--for", "duration", type=DURATION, required=True, help="For how long, from 1s to 30d.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for other operators.")
@connection_options
def bench_target(connection: Connection, target: Target, duration: timedelta, reason: str) -> int:
    """Take a target out of use for a time. PROVIDER/ alone is the whole provider.

    The bench outranks what the gateway itself thinks until it ends, or until
    unbench-target ends it. Calls that run are not touched.
    """

    async def bench(channel: Channel) -> int:
        status = await call_bench(channel, target, duration=duration, reason=reason)
        if connection.as_json:
            click.echo(one_line_json(status))
        else:
            print_targets([status], datetime.now(UTC))
        return OK

    return connection.run(bench)


@click.command(
    "unbench-target",
    epilog=epilog(
        "paceline unbench-target openai/gpt-4o-mini",
        "paceline unbench-target openai/",
    ),
)
@click.argument("target", metavar="PROVIDER/MODEL", type=TargetType())
@connection_options
def unbench_target(connection: Connection, target: Target) -> int:
    """End every bench of a target, by hand or not, and forget its failures.

    PROVIDER/ alone is the provider itself; benches of its single targets stay.
    """

    async def unbench(channel: Channel) -> int:
        response = await call_unbench(channel, target)
        if connection.as_json:
            click.echo(one_line_json(response))
            return OK
        if not response.was_benched:
            click.echo("there was no bench to end", err=True)
        print_targets([response.status], datetime.now(UTC))
        return OK

    return connection.run(unbench)
