"""What a race is told as, field by field, and that no answer is too large for its reader."""

from __future__ import annotations

from dataclasses import replace

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from paceline.v1 import completion_pb2, race_pb2
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.deltas import Delta, TextDelta
from paceline_server.completion.race import (
    AnswerGroup,
    CandidateDelta,
    CandidateEnded,
    CandidateOutcome,
    CandidateOutputDiscarded,
    CandidateReport,
    CandidateStarted,
    RaceDecision,
    RaceEvent,
    RaceSummary,
    WinnerSelected,
)
from paceline_server.completion.usage import Usage
from paceline_server.rpc.chain_encoding import encode_chain_response
from paceline_server.rpc.encoding import cut
from paceline_server.rpc.race_encoding import (
    encode_group,
    encode_race_event,
    encode_race_response,
    leave_room,
    write_summary,
)
from tests.rpc.races import USAGE, answer, attempt, raced, report

USAGE_JSON = {
    "inputTokenCount": "3",
    "outputTokenCount": "5",
    "costNanoUsd": "11",
    "state": "USAGE_STATE_REPORTED",
}
COMPLETION_JSON = {
    "parts": [{"text": {"text": "Four."}}],
    "finishReason": "FINISH_REASON_STOP",
    "providerReason": "stop",
    "target": {"provider": "test", "model": "a"},
    "servedModel": "a-1",
    "usage": USAGE_JSON,
    "confidence": {"value": 0.75, "source": "CONFIDENCE_SOURCE_JUDGE"},
}
ATTEMPT_JSON = {
    "target": {"provider": "test", "model": "a"},
    "path": "race[0]",
    "tryNumber": 1,
    "outcome": "ATTEMPT_OUTCOME_SUCCEEDED",
    "startOffset": "0.250s",
    "latency": "0s",
    "usage": USAGE_JSON,
}
WINNER = CandidateReport(
    index=1,
    model="test/a,test/b",
    outcome=CandidateOutcome.WON,
    completion=answer(),
    attempts=(attempt(),),
    first_content_latency=0.5,
    latency=1.5,
    finish_rank=1,
    finished_first=True,
    usage=USAGE,
)
WINNER_JSON = {
    "index": 1,
    "model": "test/a,test/b",
    "outcome": "CANDIDATE_OUTCOME_WON",
    "completion": COMPLETION_JSON,
    "attempts": [ATTEMPT_JSON],
    "firstContentLatency": "0.500s",
    "latency": "1.500s",
    "finishRank": 1,
    "finishedFirst": True,
    "usage": USAGE_JSON,
}
SKIPPED = CandidateReport(
    index=0,
    model="test/b",
    outcome=CandidateOutcome.SKIPPED,
    failure_class=FailureClass.QUOTA,
    message="benched",
    skipped_until=1_800_000_000.5,
)
SKIPPED_JSON = {
    "model": "test/b",
    "outcome": "CANDIDATE_OUTCOME_SKIPPED",
    "status": {"code": code_pb2.RESOURCE_EXHAUSTED, "message": "benched"},
    "skippedUntilTime": "2027-01-15T08:00:00.500Z",
}
SUMMARY = RaceSummary(
    candidates=(SKIPPED, WINNER),
    selected_index=1,
    decision=RaceDecision.PLURALITY,
    agreement_score=0.5,
    groups=(AnswerGroup("Four.", (1,)),),
    responder_count=1,
    decision_latency=1.25,
    loser_usage=Usage(1, 2),
)
SUMMARY_JSON = {
    "selectedIndex": 1,
    "candidates": [SKIPPED_JSON, WINNER_JSON],
    "decision": "RACE_DECISION_PLURALITY",
    "agreementScore": 0.5,
    "groups": [{"preview": "Four.", "candidateIndices": [1]}],
    "distinctAnswerCount": 1,
    "responderCount": 1,
    "candidateCount": 2,
    "decisionLatency": "1.250s",
    "loserUsage": {"inputTokenCount": "1", "outputTokenCount": "2", "state": "USAGE_STATE_REPORTED"},
}


def as_json(wire: Message) -> dict[str, object]:
    """A message as its reader sees it, after its way over the wire."""
    return json_format.MessageToDict(type(wire).FromString(wire.SerializeToString()))


EVENTS: list[tuple[RaceEvent, dict[str, object]]] = [
    (CandidateStarted(2, "test/a"), {"candidateStarted": {"index": 2, "model": "test/a"}}),
    (
        WinnerSelected(2, RaceDecision.FIRST_CONTENT, 0.25),
        {
            "winnerSelected": {
                "index": 2,
                "decision": "RACE_DECISION_FIRST_CONTENT",
                "decisionLatency": "0.250s",
            }
        },
    ),
    (
        CandidateDelta(2, Delta(1, TextDelta("Hi"))),
        {"candidateDelta": {"index": 2, "delta": {"partIndex": 1, "text": {"text": "Hi"}}}},
    ),
    (CandidateOutputDiscarded(2), {"candidateOutputDiscarded": {"index": 2}}),
    (CandidateEnded(WINNER), {"candidateEnded": {"candidate": WINNER_JSON}}),
    (CandidateEnded(SKIPPED), {"candidateEnded": {"candidate": SKIPPED_JSON}}),
]


@pytest.mark.parametrize(("event", "told"), EVENTS, ids=lambda value: type(value).__name__)
def test_each_event_of_a_race_is_told_as_the_contract_names_it(
    event: RaceEvent, told: dict[str, object]
) -> None:
    """StreamRaceResponse: one event a message, with all of its fields and no other."""
    assert as_json(encode_race_event(event)) == told


def test_an_answer_tells_how_its_race_went() -> None:
    """RaceResponse: the winner's answer, every candidate and the whole bill."""
    call = raced(SUMMARY, [attempt()])
    assert as_json(encode_race_response(call, answer())) == {
        "callId": "the-id",
        "completion": COMPLETION_JSON,
        "summary": SUMMARY_JSON,
        "totalUsage": USAGE_JSON,
    }


def test_a_chain_tells_of_the_race_in_it() -> None:
    """ChainResponse.race: set where a race was run, and only there."""
    call = raced(SUMMARY, [attempt()])
    assert as_json(encode_chain_response(call, answer()))["race"] == SUMMARY_JSON
    call.record.race = None
    assert not encode_chain_response(call, answer()).HasField("race")


def test_what_is_not_known_of_a_race_stays_unset() -> None:
    """RaceSummary, Candidate: unset differs from zero where the contract says so."""
    wire = race_pb2.RaceSummary()
    write_summary(wire, RaceSummary((CandidateReport(0, "test/a"),)))
    assert as_json(wire) == {"candidates": [{"model": "test/a"}], "candidateCount": 1}
    zero = RaceSummary((), selected_index=0, agreement_score=0.0, decision_latency=0.0)
    wire = race_pb2.RaceSummary()
    write_summary(wire, zero)
    assert as_json(wire) == {"selectedIndex": 0, "agreementScore": 0.0, "decisionLatency": "0s"}


@pytest.mark.parametrize("outcome", CandidateOutcome)
def test_who_gave_no_answer_has_a_status_and_no_other(outcome: CandidateOutcome) -> None:
    """Candidate.status: unset for who answered or was cancelled; else it is never OK."""
    ended = CandidateReport(0, "test/a", outcome, message="why \ud800")
    classed = replace(ended, failure_class=FailureClass.TIMEOUT)
    plain, timed_out = (
        encode_race_event(CandidateEnded(one)).candidate_ended.candidate for one in (ended, classed)
    )
    if outcome in {CandidateOutcome.WON, CandidateOutcome.LOST, CandidateOutcome.CANCELLED}:
        assert not plain.HasField("status")
        assert not timed_out.HasField("status")
    else:
        assert plain.status.code != code_pb2.OK
        assert plain.status.message == "why ?"
        assert timed_out.status.code == code_pb2.DEADLINE_EXCEEDED


@given(text=st.text(st.characters(exclude_categories=[])), times=st.integers(1, 400))
def test_a_preview_is_cut_between_characters(text: str, times: int) -> None:
    """AnswerGroup.preview: at most 512 bytes, whatever a model wrote."""
    group = encode_group(AnswerGroup(text * times, (0, 2)), 512)
    assert len(group.preview.encode()) <= 512
    assert group.preview == cut(text * times, 512)
    assert list(group.candidate_indices) == [0, 2]


def sized(*sizes: int) -> race_pb2.RaceResponse:
    """A response in which the candidate of index 1 won, and each wrote so many bytes."""
    outcomes = [CandidateOutcome.LOST, CandidateOutcome.WON, *[CandidateOutcome.LOST] * 14]
    reports = [report(index, outcomes[index], "x" * size) for index, size in enumerate(sizes)]
    call = raced(RaceSummary(tuple(reports), selected_index=1))
    return encode_race_response(call, answer("x" * sizes[1]))


def kept(wire: race_pb2.RaceResponse, limit: int) -> list[int]:
    """Whose answers are left within a limit."""
    leave_room(wire, wire.summary, limit)
    return [one.index for one in wire.summary.candidates if one.HasField("completion")]


def test_answers_are_left_out_where_all_are_too_large() -> None:
    """Candidate.completion: the winner's first, as it stands in the response, then the largest."""
    whole = sized(3000, 1000, 2000).ByteSize()
    assert kept(sized(3000, 1000, 2000), whole) == [0, 1, 2]
    assert kept(sized(3000, 1000, 2000), whole - 1) == [0, 2]
    assert kept(sized(3000, 1000, 2000), whole - 2000) == [2]
    assert kept(sized(3000, 1000, 2000), whole - 5000) == []
    wire = sized(3000, 1000, 2000)
    leave_room(wire, wire.summary, whole - 2000)
    assert wire.ByteSize() <= whole - 2000
    assert wire.completion.parts == [completion_pb2.Part(text=completion_pb2.Text(text="x" * 1000))]
    assert [one.outcome for one in wire.summary.candidates] == [2, 1, 2]


def test_a_response_stays_below_what_clients_accept() -> None:
    """RaceService: clients accept 32 MiB, and sixteen candidates may write more than that."""
    wire = sized(*[4 << 20] * 16)
    assert wire.ByteSize() <= 30 << 20
    assert len(wire.completion.parts[0].text.text) == 4 << 20
    assert sum(one.HasField("completion") for one in wire.summary.candidates) == 6
