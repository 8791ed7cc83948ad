"""A race is told in lines, and its answer alone is text."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from google.rpc.status_pb2 import Status

from paceline.v1.completion_pb2 import (
    ATTEMPT_OUTCOME_SUCCEEDED,
    CONFIDENCE_SOURCE_REPORTED,
    Attempt,
    Completion,
    Confidence,
)
from paceline.v1.race_pb2 import (
    CANDIDATE_OUTCOME_LOST,
    CANDIDATE_OUTCOME_SKIPPED,
    AnswerGroup,
    Candidate,
    CandidateOutcome,
)
from paceline.v1.race_pb2 import StreamRaceResponse as Event
from paceline_client.words import enum_word
from paceline_server.cli.race_lines import RacePrinter
from paceline_server.cli.race_words import COLOURS, candidate_words, group_lines
from tests.cli.race_messages import (
    STARTED,
    SURE,
    WINNER,
    attempt_over,
    called,
    candidate,
    entered,
    fared,
    race_stream,
    recovered_race,
    response,
    taken_back_by,
    used,
    written_by,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def printed(*events: Event) -> tuple[str, list[str]]:
    """What `events` leave in a pipe, and the lines beside it."""
    out, err = io.StringIO(), io.StringIO()
    printer = RacePrinter(out, err, lambda: NOW)
    for event in events:
        printer.event(event)
    printer.close()
    return out.getvalue(), err.getvalue().splitlines()


END = [
    "answered by p/sure, STOP",
    "race of 2: candidate 1 (p/sure) won, FIRST_CONTENT after 0.3 s",
    "cost 3 input + 5 output tokens, $0.00007",
    "of that for losers and judges 3 input + 1 output tokens, $0.00002",
]
FARED = [
    "candidate 0 (p/quick) cancelled after 1.5 s; 3 input + 1 output tokens, $0.00002",
    "candidate 1 (p/sure) won after 1.5 s, first content after 0.3 s; 3 input + 4 output tokens, $0.00005",
]


def test_a_race_is_told_line_by_line() -> None:
    """Who runs, who is selected and why, how each fared, and what the losers cost; attempts add nothing."""
    out, lines = printed(*race_stream())
    assert out == "right\n"
    assert lines == [
        "call c1",
        "candidate 0 (p/quick) started",
        "candidate 1 (p/sure) started",
        "candidate 1 (p/sure) selected, FIRST_CONTENT after 0.3 s",
        *FARED,
        *END,
    ]


def test_a_pipe_gets_nothing_before_the_end() -> None:
    """Text that may yet become void is held."""
    assert printed(*race_stream()[:-1])[0] == ""


def test_a_winner_that_breaks_is_told() -> None:
    """The failed attempt and the void are told, the final text alone is written."""
    out, lines = printed(*recovered_race())
    assert out == "right\n"
    assert lines[3:7] == [
        "candidate 0 (p/quick) selected, FIRST_CONTENT after 0.3 s",
        "attempt 0 (p/quick) failed, TRANSIENT: the stream broke",
        "output of attempt 0 discarded: the answer starts again",
        "candidate 1 (p/sure) selected, ONLY_SURVIVOR after 0.3 s",
    ]


def test_a_whole_answer_is_printed_with_its_candidates() -> None:
    """A unary answer tells how all fared, only later."""
    out, err = io.StringIO(), io.StringIO()
    RacePrinter(out, err, lambda: NOW).whole(response())
    assert (out.getvalue(), err.getvalue().splitlines()) == ("right\n", ["call c1", *FARED, *END])


def test_the_attempts_of_a_judge_are_told() -> None:
    """A judge is no candidate, so nothing else tells of it."""
    _, lines = printed(
        STARTED,
        called(2, SURE, "judge"),
        attempt_over(2, SURE, "judge", outcome=ATTEMPT_OUTCOME_SUCCEEDED),
    )
    assert lines[1:] == ["attempt 2 (p/sure) started", "attempt 2 (p/sure) succeeded"]


def test_what_others_wrote_is_told_at_their_end() -> None:
    """A loser's text comes whole, without what it took back, and is kept apart from the answer."""
    out, lines = printed(
        written_by(0, "vo"),
        taken_back_by(0),
        written_by(0, "lost\nanyway"),
        written_by(1, "right"),
        fared(candidate(0, "p/quick", CANDIDATE_OUTCOME_LOST)),
        fared(WINNER),
    )
    assert out == ""
    assert lines[1:3] == ["  | lost", "  | anyway"]
    assert len(lines) == 4


def test_the_same_model_twice_is_told_apart() -> None:
    """R1: a candidate is known by its index."""
    _, lines = printed(entered(0, "p/quick"), entered(1, "p/quick"))
    assert lines == ["candidate 0 (p/quick) started", "candidate 1 (p/quick) started"]


def test_a_candidate_tells_all_that_is_known_of_it() -> None:
    """R10: outcome, reason, return, confidence, usage and a bill that goes on."""
    skipped = Candidate(index=2, model="p/held", outcome=CANDIDATE_OUTCOME_SKIPPED)
    skipped.status.MergeFrom(Status(message="it is benched"))
    skipped.skipped_until_time.FromDatetime(NOW + timedelta(seconds=4))
    assert candidate_words(skipped, NOW) == "candidate 2 (p/held) skipped: it is benched; back in 4.0 s"
    lost = candidate(
        0, "p/quick", CANDIDATE_OUTCOME_LOST, used(4, 7), attempts=[Attempt(billed_after_cancel=True)]
    )
    lost.completion.MergeFrom(Completion(confidence=Confidence(value=0.5, source=CONFIDENCE_SOURCE_REPORTED)))
    assert candidate_words(lost, NOW) == (
        "candidate 0 (p/quick) lost after 1.5 s; confidence 0.50 (REPORTED); "
        "3 input + 4 output tokens, $0.000000007, as its provider bills on"
    )


def test_a_consensus_tells_who_agreed() -> None:
    """R6: agreement and groups come with the answer, long ones cut."""
    groups = [AnswerGroup(preview="Yes.", candidate_indices=[0, 1]), AnswerGroup(preview="n" * 101)]
    groups[1].candidate_indices.append(2)
    out, lines = printed(Event(finished=response(agreement_score=2 / 3, groups=groups)))
    assert out == "right\n"
    assert lines[2:5] == ["agreement 0.67", "candidates 0, 1: Yes.", f"candidate 2: {'n' * 100} ..."]
    assert list(group_lines([])) == []


@pytest.mark.parametrize("outcome", CandidateOutcome.values())
def test_each_outcome_has_its_colour(outcome: CandidateOutcome.ValueType) -> None:
    """No outcome of the contract is forgotten; one that is not set has none."""
    word = enum_word(Candidate(outcome=outcome), "outcome")
    assert (word in COLOURS) == bool(outcome)
