"""`paceline targets`: the targets of a gateway and their health, once or as it changes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import click

from paceline_client.connect import Channel
from paceline_client.messages import TargetChange, TargetPrice, TargetStatus
from paceline_client.targets import list_targets, watch_targets
from paceline_client.words import dollars, enum_word, one_line_json, target_spec
from paceline_server.cli.connection import Connection, connection_options
from paceline_server.cli.exits import OK, epilog
from paceline_server.cli.printable import one_line
from paceline_server.cli.table import print_table
from paceline_server.cli.words import relative

HEADINGS = ("TARGET", "STATE", "CAUSE", "UNTIL", "ROUNDS", "PRICE", "REASON")


@click.command(
    epilog=epilog(
        "paceline targets",
        "paceline targets --provider openai --watch",
        "paceline targets --json | jq -r '.targets[] | select(.state != \"TARGET_STATE_ACTIVE\")'",
    )
)
@click.option("--provider", default="", metavar="NAME", help="Only the targets of this provider.")
@click.option("--watch", is_flag=True, help="Go on with every change until interrupted.")
@connection_options
def targets(connection: Connection, provider: str, *, watch: bool) -> int:
    """Show the targets and their health.

    ROUNDS counts the benches in a row without a success between them. PRICE is in
    dollars for a million tokens, input / output. REASON is the last failure's, or
    the operator's.
    """
    follow = _watch if watch else _list
    return connection.run(lambda channel: follow(channel, provider, as_json=connection.as_json))


async def _list(channel: Channel, provider: str, *, as_json: bool) -> int:
    response = await list_targets(channel, provider=provider)
    if as_json:
        click.echo(one_line_json(response))
    else:
        print_targets(response.targets, datetime.now(UTC))
    return OK


async def _watch(channel: Channel, provider: str, *, as_json: bool) -> int:
    async with watch_targets(channel, provider=provider) as events:
        async for event in events:
            if as_json:
                click.echo(one_line_json(event))
            elif event.HasField("snapshot"):
                print_targets(event.snapshot.targets, datetime.now(UTC))
            elif event.HasField("change"):
                click.echo(one_line(change_line(event.change)))
    return OK


def print_targets(statuses: Iterable[TargetStatus], now: datetime) -> None:
    """Print a table of targets as they are `now`."""
    print_table(HEADINGS, [_row(status, now) for status in statuses])


def change_line(change: TargetChange) -> str:
    """One change in one line."""
    status = change.status
    moment = change.change_time.ToDatetime(tzinfo=UTC)
    _, state, cause, until, *_ = _row(status, moment)
    words = [f"{moment:%H:%M:%S} {target_spec(status.target)}:"]
    words.append(f"{enum_word(change, 'previous_state') or '?'} -> {state}")
    words += [word for word in (cause, until) if word]
    reason = status.provider_hold.reason or status.reason
    return " ".join(words) + (f" ({reason})" if reason else "")


def _row(status: TargetStatus, now: datetime) -> tuple[str, ...]:
    # A target takes calls only if its provider does too, so the worse of the two is shown.
    held = status.HasField("provider_hold")
    shown = status.provider_hold if held else status
    state = f"{enum_word(shown, 'state')} (provider)" if held else enum_word(shown, "state")
    until = shown.until_time.ToDatetime(tzinfo=UTC) if shown.HasField("until_time") else None
    return (
        target_spec(status.target),
        state,
        "operator" if shown.benched_by_operator else enum_word(shown, "cause"),
        "" if until is None else relative(until, now),
        str(status.round_count or ""),
        _price(status.price) if status.HasField("price") else "",
        shown.reason if enum_word(shown, "state") != "ACTIVE" else "",
    )


def _price(price: TargetPrice) -> str:
    return f"{dollars(price.input_nano_usd)} / {dollars(price.output_nano_usd)}"
