"""`paceline chain`: asks a model and prints the answer as it comes."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import get_args

import click

from paceline_client.chain import chain as call_chain
from paceline_client.chain import chain_request, stream_chain
from paceline_client.connect import Channel
from paceline_client.messages import ChainRequest
from paceline_client.prompt import RecoveryName
from paceline_client.words import one_line_json
from paceline_server.cli.answer import AnswerPrinter
from paceline_server.cli.connection import Connection, connection_options
from paceline_server.cli.exits import OK, epilog
from paceline_server.cli.words import DURATION


@click.command(
    epilog=epilog(
        'paceline chain demo "What is a paceline?"',
        'paceline chain openai/gpt-4o-mini,groq/llama-3.3-70b "Say hello" --timeout 20s',
        'cat letter.txt | paceline chain demo - --system "Summarise." > summary.txt',
        "paceline chain demo \"Say hello\" --json | jq 'select(.finished).finished.totalUsage'",
    )
)
@click.argument("model")
@click.argument("prompt")
@click.option("--system", default="", metavar="TEXT", help="An instruction that stands before the prompt.")
@click.option(
    "--max-tokens", type=click.IntRange(1, 2**31 - 1), help="The most tokens that the answer may have."
)
@click.option(
    "--recovery",
    type=click.Choice(get_args(RecoveryName)),
    help="What happens when a stream breaks after its first content.  [default: restart]",
)
@click.option("--timeout", type=DURATION, help="For the whole call.  [default: the gateway's maximum]")
@click.option("--unary", is_flag=True, help="Ask for the whole answer at once instead of a stream.")
@connection_options
def chain(
    *,
    connection: Connection,
    model: str,
    prompt: str,
    system: str,
    max_tokens: int | None,
    recovery: RecoveryName | None,
    timeout: timedelta | None,
    unary: bool,
) -> int:
    """Ask MODEL for an answer to PROMPT.

    MODEL is a target (provider/model), a name of the configuration, or several of
    these with commas between them, tried in order; '' is the configured default.
    A PROMPT of - is read from standard input.

    The answer goes to standard output, what happens on the way to standard error.
    On a terminal the text appears as it is written, and what a broken attempt had
    written is marked as void. Anywhere else only the final text comes out, when it
    is certain.
    """
    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise click.UsageError("the prompt is empty")
    request = chain_request(model, text, system=system, recovery=recovery, max_output_token_count=max_tokens)
    if unary:
        return connection.run(lambda channel: _whole(channel, request, timeout, as_json=connection.as_json))
    return connection.run(
        lambda channel: _stream(channel, request, timeout, as_json=connection.as_json), attempts_told=True
    )


async def _whole(
    channel: Channel, request: ChainRequest, time_limit: timedelta | None, *, as_json: bool
) -> int:
    response = await call_chain(channel, request, time_limit=time_limit)
    if as_json:
        click.echo(one_line_json(response))
    else:
        AnswerPrinter(sys.stdout, sys.stderr).whole(response)
    return OK


async def _stream(
    channel: Channel, request: ChainRequest, time_limit: timedelta | None, *, as_json: bool
) -> int:
    printer = AnswerPrinter(sys.stdout, sys.stderr)
    async with stream_chain(channel, request, time_limit=time_limit) as events:
        try:
            async for event in events:
                if as_json:
                    click.echo(one_line_json(event))
                else:
                    printer.event(event)
        finally:
            printer.end_line()
    return OK
