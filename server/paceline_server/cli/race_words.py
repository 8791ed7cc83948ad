"""Races in words: how candidates fared, how it was decided, who agreed. Prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from paceline_client.messages import AnswerGroup, Candidate, RaceSummary
from paceline_client.words import enum_word, usage_words
from paceline_server.cli.race_course import outcome_word
from paceline_server.cli.words import in_words, relative

PREVIEW_LENGTH = 100
"""How much of an answer stands in a line about those who gave it."""

COLOURS = {
    "WON": "green",
    "LOST": "blue",
    "CANCELLED": "yellow",
    "TIMED_OUT": "red",
    "FAILED": "red",
    "SKIPPED": "yellow",
    "REJECTED": "yellow",
}
"""By the word of an outcome."""


def candidate_name(index: int, model: str) -> str:
    """A candidate as lines name it; the index alone tells it from another with the same model."""
    return f"candidate {index} ({model})"


def candidate_words(candidate: Candidate, now: datetime) -> str:
    """How a candidate fared, in a line."""
    line = f"{candidate_name(candidate.index, candidate.model)} {outcome_word(candidate)}"
    if candidate.HasField("latency"):
        line += f" after {in_words(candidate.latency.ToTimedelta())}"
    if candidate.HasField("first_content_latency"):
        line += f", first content after {in_words(candidate.first_content_latency.ToTimedelta())}"
    if candidate.status.message:
        line += f": {candidate.status.message}"
    if candidate.HasField("skipped_until_time"):
        line += f"; back {relative(candidate.skipped_until_time.ToDatetime(tzinfo=UTC), now)}"
    confidence = candidate.completion.confidence
    if candidate.completion.HasField("confidence"):
        line += f"; confidence {confidence.value:.2f} ({enum_word(confidence, 'source')})"
    if candidate.HasField("usage"):
        line += f"; {usage_words(candidate.usage)}"
    if any(attempt.billed_after_cancel for attempt in candidate.attempts):
        line += ", as its provider bills on"
    return line


def summary_lines(race: RaceSummary) -> Iterator[str]:
    """How a race was decided, and who agreed; nothing of none."""
    if race.HasField("selected_index"):
        winner = race.candidates[race.selected_index]
        after = in_words(race.decision_latency.ToTimedelta())
        name = candidate_name(winner.index, winner.model)
        decision = enum_word(race, "decision")
        yield f"race of {race.candidate_count}: {name} won, {decision} after {after}"
    if race.HasField("agreement_score"):
        yield f"agreement {race.agreement_score:.2f}"
        yield from group_lines(race.groups)


def loser_words(race: RaceSummary) -> str:
    """What of the cost is that of others than the winner; nothing of nothing."""
    usage = race.loser_usage
    return usage_words(usage) if usage.input_token_count or usage.output_token_count else ""


def group_lines(groups: Iterable[AnswerGroup]) -> Iterator[str]:
    """Who gave which answer, a line a group."""
    for group in groups:
        indices = group.candidate_indices
        who = f"candidate{'' if len(indices) == 1 else 's'} {', '.join(map(str, indices))}"
        cut = group.preview[:PREVIEW_LENGTH]
        yield f"{who}: {cut}{'' if cut == group.preview else ' ...'}"
