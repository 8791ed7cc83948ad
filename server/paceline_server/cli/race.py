"""`paceline race`: lets models answer side by side, and prints the answer of the one that wins."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any, get_args

import click

from paceline_client.connect import Channel
from paceline_client.messages import RaceRequest
from paceline_client.prompt import RecoveryName
from paceline_client.race import EquivalenceName, StrategyName, race_request, stream_race
from paceline_client.race import race as call_race
from paceline_client.words import one_line_json
from paceline_server.cli.connection import Connection, connection_options
from paceline_server.cli.exits import OK, epilog
from paceline_server.cli.race_lines import RacePrinter
from paceline_server.cli.race_options import DollarsType, StrategyOptions, limits_of, strategy_of
from paceline_server.cli.words import DURATION

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
    request = race_request(
        models[0] if _is_name(models) else models,
        text,
        strategy=strategy_of(strategy, StrategyOptions(**strategy_options)),
        limits=limits_of(max_cost, max_output_tokens, decision_timeout),
        system=system,
        recovery=recovery,
        max_output_token_count=max_tokens,
        stream_all_candidates=tells_all,
    )
    if unary:
        return connection.run(lambda channel: _whole(channel, request, timeout, as_json=connection.as_json))
    return connection.run(
        lambda channel: _stream(channel, request, timeout, as_json=connection.as_json), attempts_told=True
    )


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


async def _stream(
    channel: Channel, request: RaceRequest, time_limit: timedelta | None, *, as_json: bool
) -> int:
    printer = RacePrinter(sys.stdout, sys.stderr)
    async with stream_race(channel, request, time_limit=time_limit) as events:
        try:
            async for event in events:
                if as_json:
                    click.echo(one_line_json(event))
                else:
                    printer.event(event)
        finally:
            printer.end_line()
    return OK
