"""Shows what a gateway is for: a provider fails, and the caller gets its answers all the same; others race.

Starts a real gateway with the simulated providers of demo.yaml, talks to it as any client would,
and stops it. It needs no key and no network. Whatever does not happen as it is told here ends
the demo with exit code 1, so that it also serves as a test.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime

from demo_races import tell_races
from demo_stage import PATIENCE, Surprise, end_by_signals, expect, gateway, say, show
from paceline_client.chain import chain_request, stream_chain
from paceline_client.connect import Channel, connect
from paceline_client.errors import PacelineError
from paceline_client.fold import Fold, text_of
from paceline_client.messages import Attempt, ChainResponse, TargetStatus
from paceline_client.targets import list_targets, watch_targets
from paceline_client.words import dollars, enum_word, target_spec

ALPHA, BETA = "alpha/quick", "beta/steady"


async def tell(channel: Channel) -> None:
    """The story, call by call."""
    say("1. A chain asks alpha first. Alpha breaks in the middle of its answer.")
    first = await ask(channel)
    expect(outcomes(first) == [(ALPHA, "FAILED"), (BETA, "SUCCEEDED")], "beta answers after alpha broke")

    say("2. Alpha now refuses the call outright. Nothing was written yet, so nobody notices.")
    second = await ask(channel)
    expect(outcomes(second) == [(ALPHA, "FAILED"), (BETA, "SUCCEEDED")], "beta answers after alpha refused")

    say("3. Two failures in a row: alpha is benched, and the next call does not even try it.")
    alpha = await show_targets(channel)
    expect(enum_word(alpha, "state") == "BENCHED", "alpha is on the bench")
    third = await ask(channel)
    expect(outcomes(third) == [(ALPHA, "SKIPPED"), (BETA, "SUCCEEDED")], "a benched target is skipped")

    say("4. When the bench ends, one call tries alpha again, and finds it well.")
    await sleep_until(alpha.until_time.ToDatetime(tzinfo=UTC))
    async with watch_targets(channel, provider="alpha") as events:
        await anext(events)  # how things are now; what follows are changes
        fourth = await ask(channel)
        states = [enum_word((await anext(events)).change.status, "state") for _ in range(2)]
    expect(outcomes(fourth) == [(ALPHA, "SUCCEEDED")], "alpha answers again")
    expect(states == ["PROBING", "RAMPING"], "alpha was probed, and then gets a growing share of the calls")
    await show_targets(channel)

    say("5. Two seconds later alpha has all of its calls back.")
    await asyncio.sleep(2.05)
    fifth = await ask(channel)
    expect(outcomes(fifth) == [(ALPHA, "SUCCEEDED")], "alpha answers at the first try")
    alpha = await show_targets(channel)
    expect(enum_word(alpha, "state") == "ACTIVE", "alpha is active")

    show_bill([first, second, third, fourth, fifth])


async def ask(channel: Channel) -> ChainResponse:
    """Ask the chain, and print its answer as it is written."""
    request = chain_request("demo", "What is a gateway good for?")
    answer = Fold()
    finished = ChainResponse()
    async with stream_chain(channel, request, time_limit=PATIENCE) as events:
        async for event in events:
            answer.add(event)
            match event.WhichOneof("event"):
                case "attempt_started":
                    show(f"\n   {target_spec(event.attempt_started.attempt.target)}: ")
                case "attempt_ended":
                    show_end(event.attempt_ended.attempt)
                case "delta":
                    show(event.delta.text.text)
                case "output_discarded":
                    show("\n   (what was written above is void; the answer starts again)")
                case "finished":
                    finished = event.finished
                case _:
                    pass  # an event of a newer gateway
    show("\n")
    expect(answer.text != "", "there is an answer")
    expect(answer.text == text_of(finished.completion.parts), "the pieces add up to the whole answer")
    return finished


def outcomes(response: ChainResponse) -> list[tuple[str, str]]:
    """Which targets were tried for an answer, and how each attempt ended."""
    return [(target_spec(attempt.target), enum_word(attempt, "outcome")) for attempt in response.attempts]


def show_end(attempt: Attempt) -> None:
    """Print how an attempt ended, unless it answered."""
    outcome = enum_word(attempt, "outcome")
    if outcome == "SKIPPED":
        show(f"\n   {target_spec(attempt.target)}: skipped, {attempt.status.message}")
    elif outcome != "SUCCEEDED":
        show(f"\n   [{outcome} as {enum_word(attempt, 'failure_class')}: {attempt.status.message}]")


async def show_targets(channel: Channel) -> TargetStatus:
    """Print the health of the targets of the chain; returns that of alpha."""
    statuses = {target_spec(status.target): status for status in (await list_targets(channel)).targets}
    show("\n")
    for spec in (ALPHA, BETA):
        status = statuses[spec]
        words = f"   {spec:<12} {enum_word(status, 'state'):<8}"
        if status.HasField("until_time"):
            left = status.until_time.ToDatetime(tzinfo=UTC) - datetime.now(UTC)
            words += f" for another {left.total_seconds():.1f} s, because of {enum_word(status, 'cause')}"
        show(words + "\n")
    return statuses[ALPHA]


def show_bill(responses: list[ChainResponse]) -> None:
    """Print what everything cost: broken attempts are in the total of their call."""
    say(f"What the {len(responses)} answers cost, broken attempts included:")
    total = 0
    for number, response in enumerate(responses, start=1):
        usage = response.total_usage
        expect(usage.HasField("cost_nano_usd"), "every call has its price")
        spent = sum(attempt.usage.cost_nano_usd for attempt in response.attempts)
        expect(usage.cost_nano_usd == spent, "the bill of a call is the sum of its attempts")
        total += usage.cost_nano_usd
        show(f"\n   call {number}: {dollars(usage.cost_nano_usd)}")
    expect(total > 0, "the answers cost something")
    show(f"\n   together: {dollars(total)}\n")


async def sleep_until(moment: datetime) -> None:
    """Wait for a moment to come."""
    wait = moment - datetime.now(UTC)
    await asyncio.sleep(max(wait.total_seconds(), 0) + 0.05)


async def run() -> None:
    """Start a gateway, tell the story, stop the gateway."""
    end_by_signals()
    async with gateway() as address, connect(address) as channel:
        show(f"A gateway listens on {address}, in front of simulated providers: alpha, beta and gamma.\n")
        await tell(channel)
        await tell_races(channel)
    show("\nThat was it. Start a gateway of your own with: .venv/bin/paceline serve\n")


def main() -> int:
    """Run the demo; returns the exit code."""
    try:
        asyncio.run(run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    except Surprise as surprise:
        print(f"\nThis did not happen: {surprise}.", file=sys.stderr)
        return 1
    except (PacelineError, TimeoutError) as error:
        print(f"\nThis should not have happened: {error!r}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
