"""From the vocabulary to what RaceService tells: events, candidates, the summary, the answer."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from google.protobuf.message import Message
from google.rpc import code_pb2

from paceline.v1 import race_pb2
from paceline_server.completion.answer import Completion
from paceline_server.completion.race import (
    AnswerGroup,
    CandidateDelta,
    CandidateEnded,
    CandidateOutcome,
    CandidateReport,
    CandidateStarted,
    RaceEvent,
    RaceSummary,
    WinnerSelected,
)
from paceline_server.rpc import enums
from paceline_server.rpc.encoding import (
    FAILURE_CODE,
    cut,
    encodable,
    timestamp,
    write_attempt,
    write_completion,
    write_delta,
    write_duration,
    write_usage,
)
from paceline_server.strategies.call import Call

MAXIMUM_PREVIEW_BYTES = 512
MAXIMUM_RESPONSE_BYTES = 30 << 20
"""Clients accept 32 MiB; sixteen long answers may be more, which must not cost the caller all of them."""

Candidates = Mapping[int, race_pb2.Candidate]
"""By their indices."""

NONE_ENDED: Candidates = MappingProxyType({})

UNANSWERED_CODE: dict[CandidateOutcome, int] = {
    CandidateOutcome.TIMED_OUT: code_pb2.DEADLINE_EXCEEDED,
    CandidateOutcome.FAILED: code_pb2.UNAVAILABLE,
    CandidateOutcome.SKIPPED: code_pb2.UNAVAILABLE,
    CandidateOutcome.REJECTED: code_pb2.FAILED_PRECONDITION,
}
"""The code of a candidate's own status where its failure has no class; the others have no status."""


def encode_race_event(event: RaceEvent) -> race_pb2.StreamRaceResponse:
    """One event that only races have."""
    wire = race_pb2.StreamRaceResponse()
    if isinstance(event, CandidateDelta):
        wire.candidate_delta.index = event.index
        write_delta(wire.candidate_delta.delta, event.delta)
    elif isinstance(event, CandidateStarted):
        wire.candidate_started.index = event.index
        wire.candidate_started.model = event.model
    elif isinstance(event, CandidateEnded):
        _write_candidate(wire.candidate_ended.candidate, event.candidate)
    elif isinstance(event, WinnerSelected):
        wire.winner_selected.index = event.index
        wire.winner_selected.decision = enums.RACE_DECISION[event.decision]
        write_duration(wire.winner_selected.decision_latency, event.decision_latency)
    else:
        wire.candidate_output_discarded.index = event.index
    return wire


def encode_race_response(
    call: Call, completion: Completion, ended: Candidates = NONE_ENDED
) -> race_pb2.RaceResponse:
    """The winner's answer, with how the race went; `ended` are candidates as their ends were told."""
    wire = race_pb2.RaceResponse(call_id=call.call_id)
    write_completion(wire.completion, completion)
    write_usage(wire.total_usage, call.record.total_usage())
    if call.record.race is not None:
        write_summary(wire.summary, call.record.race.summary(), ended)
        leave_room(wire, wire.summary)
    return wire


def write_summary(wire: race_pb2.RaceSummary, summary: RaceSummary, ended: Candidates = NONE_ENDED) -> None:
    """How a race went; what is not known stays unset. A candidate whose end was told is told the same."""
    for candidate in summary.candidates:
        told = ended.get(candidate.index)
        if told is None:
            _write_candidate(wire.candidates.add(), candidate)
        else:
            wire.candidates.add().CopyFrom(told)
    wire.groups.extend(encode_group(group, MAXIMUM_PREVIEW_BYTES) for group in summary.groups)
    wire.distinct_answer_count = len(summary.groups)
    wire.responder_count = summary.responder_count
    wire.candidate_count = len(summary.candidates)
    if summary.selected_index is not None:
        wire.selected_index = summary.selected_index
    if summary.decision is not None:
        wire.decision = enums.RACE_DECISION[summary.decision]
    if summary.agreement_score is not None:
        wire.agreement_score = summary.agreement_score
    if summary.decision_latency is not None:
        write_duration(wire.decision_latency, summary.decision_latency)
    if summary.loser_usage is not None:
        write_usage(wire.loser_usage, summary.loser_usage)


def encode_group(group: AnswerGroup, preview_bytes: int) -> race_pb2.AnswerGroup:
    """A group of equivalent answers; of one of them the start, in at most so many bytes."""
    return race_pb2.AnswerGroup(
        preview=cut(group.text, preview_bytes), candidate_indices=group.candidate_indices
    )


def leave_room(wire: Message, summary: race_pb2.RaceSummary, limit: int = MAXIMUM_RESPONSE_BYTES) -> None:
    """Leave answers of candidates out of `wire`, which holds `summary`, until it is no larger than `limit`.

    The winner's goes first, as it stands in the response itself, then the largest.
    """
    size = wire.ByteSize()
    if size <= limit:
        return

    def dispensable(candidate: race_pb2.Candidate) -> tuple[bool, int]:
        won = candidate.outcome == race_pb2.CANDIDATE_OUTCOME_WON
        return won, candidate.completion.ByteSize()

    for candidate in sorted(summary.candidates, key=dispensable, reverse=True):
        size -= candidate.completion.ByteSize()
        candidate.ClearField("completion")
        if size <= limit:
            return


def _write_candidate(wire: race_pb2.Candidate, report: CandidateReport) -> None:
    """A candidate, running or ended."""
    wire.index = report.index
    wire.model = report.model
    if report.outcome is not None:
        wire.outcome = enums.CANDIDATE_OUTCOME[report.outcome]
    if report.completion is not None:
        write_completion(wire.completion, report.completion)
    for attempt in report.attempts:
        write_attempt(wire.attempts.add(), attempt)
    if report.first_content_latency is not None:
        write_duration(wire.first_content_latency, report.first_content_latency)
    if report.latency is not None:
        write_duration(wire.latency, report.latency)
    wire.finish_rank = report.finish_rank
    wire.finished_first = report.finished_first
    if report.usage is not None:
        write_usage(wire.usage, report.usage)
    if report.skipped_until is not None:
        wire.skipped_until_time.CopyFrom(timestamp(report.skipped_until))
    if report.outcome in UNANSWERED_CODE:
        _write_status(wire, report, UNANSWERED_CODE[report.outcome])


def _write_status(wire: race_pb2.Candidate, report: CandidateReport, unclassed: int) -> None:
    wire.status.code = unclassed if report.failure_class is None else FAILURE_CODE[report.failure_class]
    wire.status.message = encodable(report.message)
