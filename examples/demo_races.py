"""The second story of the demo: three providers race, for speed and for agreement."""

from __future__ import annotations

from demo_stage import PATIENCE, expect, say, show
from paceline_client.connect import Channel
from paceline_client.fold import Fold, text_of
from paceline_client.messages import Candidate, RaceRequest, RaceResponse
from paceline_client.race import race_request, stream_race
from paceline_client.words import dollars, enum_word, usage_words

LIMIT = 60
"""The most tokens of an answer where three race: what a provider that generates on can cost at most."""


async def tell_races(channel: Channel) -> None:
    """The story, race by race."""
    say("6. Now all three race. Whose content comes first answers; the others are cancelled, and billed.")
    models = ["alpha/quick", "beta/steady", "gamma/thorough"]
    question = race_request(models, "What is a gateway good for?", max_output_token_count=LIMIT)
    swift = await run_race(channel, question)
    expect(outcomes(swift) == ["WON", "CANCELLED", "CANCELLED"], "alpha is the first, and the others stop")
    expect(enum_word(swift.summary, "decision") == "FIRST_CONTENT", "the first content decides")
    expect(billed_after_cancel(swift) == [2], "gamma goes on generating, so its whole answer is booked")

    say("7. One that is slow need not hold anybody up: after 200 ms a hedge starts beside it.")
    hedged = await run_race(channel, race_request("hedge", "What is a gateway good for?"))
    expect(outcomes(hedged) == ["CANCELLED", "WON"], "the hedge overtakes gamma")

    say("8. Three judge a question. Two agree, so nobody waits for the third.")
    agreed = await run_race(channel, race_request("panel", "Is 97 a prime? Answer yes or no."))
    expect(enum_word(agreed.summary, "decision") == "MAJORITY", "more than half agree")
    groups = [list(group.candidate_indices) for group in agreed.summary.groups]
    expect(groups == [[0, 1]], "'Yes.' and 'yes' are the same answer")
    expect(outcomes(agreed)[2] == "CANCELLED", "the third is not waited for")


async def run_race(channel: Channel, request: RaceRequest) -> RaceResponse:
    """Run a race; print the winner's answer as it is written, and how all fared."""
    answer = Fold()
    finished = RaceResponse()
    async with stream_race(channel, request, time_limit=PATIENCE) as events:
        async for event in events:
            answer.add(event)
            match event.WhichOneof("event"):
                case "candidate_started":
                    show(f"\n   candidate {event.candidate_started.index} starts: ")
                    show(event.candidate_started.model)
                case "winner_selected":
                    show(f"\n   candidate {event.winner_selected.index} wins: ")
                case "delta":
                    show(event.delta.text.text)
                case "finished":
                    finished = event.finished
                case _:
                    pass  # attempts, ends of candidates, or an event of a newer gateway
    expect(answer.text != "", "there is an answer")
    expect(answer.text == text_of(finished.completion.parts), "the pieces add up to the winner's answer")
    show("\n\n")
    for candidate in finished.summary.candidates:
        show_candidate(candidate)
    show_bill(finished)
    return finished


def outcomes(response: RaceResponse) -> list[str]:
    """How each candidate ended, by index."""
    return [enum_word(candidate, "outcome") for candidate in response.summary.candidates]


def billed_after_cancel(response: RaceResponse) -> list[int]:
    """The candidates whose providers go on generating, and billing, after they are cancelled."""
    return [candidate.index for candidate in response.summary.candidates if bills_on(candidate)]


def bills_on(candidate: Candidate) -> bool:
    """Whether the provider of a candidate goes on generating, and billing, after it was cancelled."""
    return any(attempt.billed_after_cancel for attempt in candidate.attempts)


def show_candidate(candidate: Candidate) -> None:
    """Print how a candidate fared."""
    seconds = candidate.latency.ToTimedelta().total_seconds()
    words = f"   {candidate.index} {candidate.model:<16} {enum_word(candidate, 'outcome'):<9} {seconds:.1f} s"
    show(f"{words}  {usage_words(candidate.usage)}\n")
    if bills_on(candidate) and candidate.usage.output_token_count:
        show(f"     (its provider generates on, so all that the limit of {LIMIT} tokens allows is booked)\n")
    elif bills_on(candidate):
        show("     (its provider generates on; without a limit none knows how much: not booked)\n")


def show_bill(response: RaceResponse) -> None:
    """Print what the race cost, and what of it the losers did: nobody runs for nothing."""
    candidates = response.summary.candidates
    total, losers = response.total_usage.cost_nano_usd, response.summary.loser_usage.cost_nano_usd
    expect(total == sum(one.usage.cost_nano_usd for one in candidates), "the bill is the sum of all")
    winner = candidates[response.summary.selected_index]
    expect(total == winner.usage.cost_nano_usd + losers, "and the winner's and the losers' together")
    expect(losers > 0, "the losers cost something")
    show(f"   together {dollars(total)}, of which the losers cost {dollars(losers)}\n")
