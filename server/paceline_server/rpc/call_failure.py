"""What a failed call tells beside its reason: its attempts, its bill and, of a race, the dissent.

How much of it fits into a status is the business of `status`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from paceline.v1 import completion_pb2, errors_pb2
from paceline_server.completion.attempt import Attempt, AttemptOutcome
from paceline_server.completion.errors import ErrorReason
from paceline_server.completion.race import AnswerGroup
from paceline_server.rpc import enums
from paceline_server.rpc.encoding import cut, encode_target, encode_usage
from paceline_server.rpc.race_encoding import MAXIMUM_PREVIEW_BYTES, encode_group
from paceline_server.strategies.call import Call

MAXIMUM_MESSAGE_BYTES = 256
PREVIEW_BYTES = (MAXIMUM_PREVIEW_BYTES, 256, 128, 64, 32, 16)
"""How much of an answer is shown: the first of these with which there is room for the first attempt."""

Fits = Callable[[errors_pb2.CallFailure], bool]


def encode_call_failure(call: Call, reason: ErrorReason, fits: Fits) -> errors_pb2.CallFailure:
    """What the call came to, with as many attempts as fit, cut from the end."""
    attempts = call.record.attempts
    failure = errors_pb2.CallFailure(
        call_id=call.call_id,
        total_usage=encode_usage(call.record.total_usage()),
        omitted_attempt_count=len(attempts),
    )
    if call.record.race is not None:
        summary = call.record.race.summary()
        if summary.loser_usage is not None:
            failure.loser_usage.CopyFrom(encode_usage(summary.loser_usage))
        if reason is ErrorReason.NO_CONSENSUS:
            _add_groups(failure, summary.groups, attempts[:1], fits)
    for attempt in attempts:
        failure.attempts.append(_summary(attempt))
        failure.omitted_attempt_count -= 1
        if not fits(failure):
            del failure.attempts[-1]
            failure.omitted_attempt_count += 1
            break
    return failure


def _add_groups(
    failure: errors_pb2.CallFailure, groups: Sequence[AnswerGroup], first: Sequence[Attempt], fits: Fits
) -> None:
    for limit in PREVIEW_BYTES:
        whole = errors_pb2.CallFailure(attempts=map(_summary, first))
        whole.MergeFrom(failure)
        whole.groups.extend(encode_group(group, limit) for group in groups)
        if fits(whole):
            failure.groups.extend(whole.groups)
            return


def _summary(attempt: Attempt) -> errors_pb2.AttemptSummary:
    outcome = attempt.outcome or AttemptOutcome.CANCELLED
    failure_class = attempt.failure_class
    return errors_pb2.AttemptSummary(
        target=encode_target(attempt.target),
        outcome=enums.ATTEMPT_OUTCOME[outcome],
        failure_class=(
            completion_pb2.FAILURE_CLASS_UNSPECIFIED
            if failure_class is None
            else enums.FAILURE_CLASS[failure_class]
        ),
        message=cut(attempt.message, MAXIMUM_MESSAGE_BYTES),
    )
