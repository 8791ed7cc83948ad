"""`paceline race`: lets models answer side by side, and prints the answer of the one that wins."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import closing
from datetime import timedelta
from typing import Any, get_args

import click
from rich.console import Console

from paceline_client.connect import Channel
from paceline_client.errors import CallFailed
from paceline_client.messages import RaceRequest
from paceline_client.prompt import RecoveryName
from paceline_client.race import EquivalenceName, StrategyName, race_request, stream_race
from paceline_client.race import race as call_race
from paceline_client.words import one_line_json
from paceline_server.cli.answer import AnswerPrinter
from paceline_server.cli.connection import Connection, connection_options
from paceline_server.cli.exits import OK, epilog
from paceline_server.cli.printable import one_line
from paceline_server.cli.race_lines import RacePrinter
from paceline_server.cli.race_live import LiveRace, can_show
from paceline_server.cli.race_options import (
    DollarsType,
    StrategyOptions,
    check_quorum,
    limits_of,
    strategy_of,
)
from paceline_server.cli.race_remedies import hint_of, remedy_of
from paceline_server.cli.words import DURATION, utc_now

MAXIMUM_CANDIDATE_COUNT = 16

_COUNT = click.IntRange(1, 2**31 - 1)


@click.command(
    epilog=epilog(
        'paceline race openai/gpt-4o-mini claude/claude-haiku-4-5 "What is a paceline?"',
        'paceline race panel "Is 97 prime? Answer yes or no." --json',
        'paceline race a/m a/m b/n "Is 97 prime?" --strategy consensus --quorum 2',
        'paceline race fast/m sure/m "Say hello" --strategy hedged --delay 500ms',
        'paceline race a/m b/n "Explain TLS" --strategy best --judge c/k --max-cost 0.05',
    )
)
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.argument("prompt")
@click.option(
    "--strategy",
    type=click.Choice(get_args(StrategyName)),
    help="How the winner is chosen.  [default: that of the named race, else first]",
)
@click.option("--grace", type=DURATION, help="How long others may follow the first one (first, quality).")
@click.option("--delay", type=DURATION, help="When the next one starts beside a slow one (hedged).")
@click.option(
    "--quantile",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="The same, as a quantile of its usual time to first content (hedged).  [default: 0.95]",
)
@click.option(
    "--quorum", type=click.IntRange(1, MAXIMUM_CANDIDATE_COUNT), help="How many must agree (consensus)."
)
@click.option(
    "--equivalence",
    type=click.Choice(get_args(EquivalenceName)),
    help="When two answers are the same (consensus).  [default: normalized_text]",
)
@click.option("--judge", metavar="MODEL", help="Who scores (best) or compares (consensus) the answers.")
@click.option("--rubric", metavar="TEXT", help="What makes an answer good, for the judge (best).")
@click.option("--max-cost", type=DollarsType(), help="The most that the race may cost.")
@click.option("--max-output-tokens", type=_COUNT, help="The most tokens that all answers may have together.")
@click.option("--decision-timeout", type=DURATION, help="When it is decided with what is there.")
@click.option("--system", default="", metavar="TEXT", help="An instruction that stands before the prompt.")
@click.option("--max-tokens", type=_COUNT, help="The most tokens that each answer may have.")
@click.option(
    "--recovery",
    type=click.Choice(get_args(RecoveryName)),
    help="What happens when the winner's stream breaks after its first content.  [default: restart]",
)
@click.option("--timeout", type=DURATION, help="For the whole call.  [default: the gateway's maximum]")
@click.option("--all", "tells_all", is_flag=True, help="Tell also what the others write.")
@click.option("--unary", is_flag=True, help="Ask for the whole answer at once instead of a stream.")
@connection_options
def race(
    *,
    connection: Connection,
    models: tuple[str, ...],
    prompt: str,
    strategy: StrategyName | None,
    max_cost: int | None,
    max_output_tokens: int | None,
    decision_timeout: timedelta | None,
    system: str,
    max_tokens: int | None,
    recovery: RecoveryName | None,
    timeout: timedelta | None,
    tells_all: bool,
    unary: bool,
    **strategy_options: Any,
) -> int:
    """Let MODELs race for the best answer to PROMPT.

    Each MODEL is a candidate: a target (provider/model), a name of the configuration,
    or several of these with commas between them. The same one may stand twice. A
    single name without / or comma is that of a race of the configuration, whose
    strategy and limits apply where no option sets any. A PROMPT of - is read from
    standard input.

    The winner's answer goes to standard output, what happens on the way to standard
    error. Losers are cancelled, and what they cost is told. Anywhere else than on a
    terminal only the final text comes out, when it is certain.
    """
    if len(models) > MAXIMUM_CANDIDATE_COUNT:
        raise click.UsageError(f"{len(models)} models are too many; up to {MAXIMUM_CANDIDATE_COUNT} may race")
    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise click.UsageError("the prompt is empty")
    check_quorum(strategy_options["quorum"], models, named=_is_name(models))
    if not connection.as_json and (hint := hint_of(models, prompt)):
        click.echo(one_line(hint), err=True)
    live = not (unary or connection.as_json) and can_show(sys.stdout, sys.stderr, os.environ.get("TERM", ""))
    request = race_request(
        models[0] if _is_name(models) else models,
        text,
        strategy=strategy_of(strategy, StrategyOptions(**strategy_options)),
        limits=limits_of(max_cost, max_output_tokens, decision_timeout),
        system=system,
        recovery=recovery,
        max_output_token_count=max_tokens,
        # The view shows how much each has written.
        stream_all_candidates=tells_all or live,
    )

    def remedy(failed: CallFailed) -> str:
        return remedy_of(failed, request.model)

    if unary:
        return connection.run(
            lambda channel: _whole(channel, request, timeout, as_json=connection.as_json), remedy=remedy
        )

    async def stream(channel: Channel) -> int:
        async with stream_race(channel, request, time_limit=timeout) as events:
            if connection.as_json:
                async for event in events:
                    click.echo(one_line_json(event))
            else:
                with closing(_live(request, previews=tells_all) if live else _lines()) as printer:
                    async for event in events:
                        printer.event(event)
        return OK

    return connection.run(stream, attempts_told=True, remedy=remedy)


def _is_name(models: tuple[str, ...]) -> bool:
    return len(models) == 1 and not {"/", ","} & set(models[0])


async def _whole(
    channel: Channel, request: RaceRequest, time_limit: timedelta | None, *, as_json: bool
) -> int:
    response = await call_race(channel, request, time_limit=time_limit)
    if as_json:
        click.echo(one_line_json(response))
    else:
        RacePrinter(sys.stdout, sys.stderr).whole(response)
    return OK


def _lines() -> RacePrinter:
    return RacePrinter(sys.stdout, sys.stderr)


def _live(request: RaceRequest, *, previews: bool) -> LiveRace:
    return LiveRace(
        Console(file=sys.stdout, highlight=False),
        AnswerPrinter(sys.stdout, sys.stderr),
        [candidate.model for candidate in request.candidates],
        previews=previews,
        clock=time.monotonic,
        now=utc_now,
        call_later=asyncio.get_running_loop().call_later,
    )
