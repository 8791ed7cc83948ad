"""From the vocabulary to the contract's messages: what the answers and events of all services are made of."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2

from paceline.v1 import chain_pb2, completion_pb2, race_pb2
from paceline_server.completion.answer import Completion, Target
from paceline_server.completion.attempt import (
    Attempt,
    AttemptEnded,
    AttemptOutcome,
    AttemptStarted,
    CallEvent,
    FailureClass,
)
from paceline_server.completion.content import Kind, Media, Part, Reasoning, Text, ToolCall, ToolResult
from paceline_server.completion.deltas import Delta, ReasoningDelta, TextDelta, ToolCallDelta
from paceline_server.completion.usage import Usage
from paceline_server.rpc import enums

StreamEvent = TypeVar("StreamEvent", chain_pb2.StreamChainResponse, race_pb2.StreamRaceResponse)

NANOS = 1_000_000_000
LONGEST_DURATION = 315_576_000_000.0
LATEST_TIMESTAMP = 253_402_300_799.0
"""What Duration and Timestamp can hold: a provider may ask for more, and that must not break the answer."""

FAILURE_CODE: dict[FailureClass, int] = {
    FailureClass.TRANSIENT: code_pb2.UNAVAILABLE,
    FailureClass.RATE_LIMITED: code_pb2.RESOURCE_EXHAUSTED,
    FailureClass.OVERLOADED: code_pb2.UNAVAILABLE,
    FailureClass.TIMEOUT: code_pb2.DEADLINE_EXCEEDED,
    FailureClass.AUTHENTICATION: code_pb2.UNAUTHENTICATED,
    FailureClass.QUOTA: code_pb2.RESOURCE_EXHAUSTED,
    FailureClass.MODEL_NOT_FOUND: code_pb2.NOT_FOUND,
    FailureClass.UNSUPPORTED: code_pb2.FAILED_PRECONDITION,
    FailureClass.CONTEXT_TOO_LONG: code_pb2.INVALID_ARGUMENT,
    FailureClass.CONTENT_FILTERED: code_pb2.INVALID_ARGUMENT,
    FailureClass.INVALID_REQUEST: code_pb2.INVALID_ARGUMENT,
    FailureClass.MALFORMED_RESPONSE: code_pb2.INTERNAL,
}
"""The code of an attempt's own status; it is informative, the call has its own."""


def encode_event(event: CallEvent, wire: StreamEvent) -> StreamEvent:
    """One event of a call, put into the empty `wire`."""
    if isinstance(event, Delta):
        write_delta(wire.delta, event)
    elif isinstance(event, AttemptStarted):
        write_attempt(wire.attempt_started.attempt, event.attempt)
    elif isinstance(event, AttemptEnded):
        write_attempt(wire.attempt_ended.attempt, event.attempt)
    else:
        wire.output_discarded.attempt_index = event.attempt_index
    return wire


def encode_target(target: Target) -> completion_pb2.Target:
    """A target."""
    return completion_pb2.Target(provider=target.provider, model=target.model)


def encode_usage(usage: Usage) -> completion_pb2.Usage:
    """A usage; parts that are not known stay unset."""
    wire = completion_pb2.Usage()
    write_usage(wire, usage)
    return wire


def encodable(text: str) -> str:
    """A provider's words without halves of surrogate pairs, which no message can carry."""
    return text.encode("utf-8", "replace").decode()


def cut(text: str, limit: int) -> str:
    """`text` in at most `limit` bytes of UTF-8, cut between characters."""
    text = encodable(text)
    encoded = text.encode()
    return text if len(encoded) <= limit else encoded[: limit - 3].decode("utf-8", "ignore") + "..."


def duration(seconds: float) -> Duration:
    """Seconds as a Duration."""
    whole, nanos = _parts_of(seconds)
    return Duration(seconds=whole, nanos=nanos)


def timestamp(epoch_seconds: float) -> Timestamp:
    """Seconds since the epoch as a Timestamp."""
    whole, nanos = divmod(round(min(epoch_seconds, LATEST_TIMESTAMP) * NANOS), NANOS)
    return Timestamp(seconds=whole, nanos=nanos)


# What follows writes messages in place, inside the one that holds them: setting a field there takes a
# third of the time of building a message and handing it over.


def write_delta(wire: completion_pb2.Delta, delta: Delta) -> None:
    """A delta: the only message that is made for every token."""
    wire.part_index = delta.part_index
    kind = delta.kind
    if isinstance(kind, TextDelta):
        wire.text.text = kind.text
    elif isinstance(kind, ReasoningDelta):
        wire.reasoning.text = kind.text
        wire.reasoning.redacted_data = kind.redacted_data
    elif isinstance(kind, ToolCallDelta):
        wire.tool_call.id = kind.id
        wire.tool_call.name = kind.name
        wire.tool_call.arguments_json_fragment = kind.arguments_json_fragment
    else:
        _write_media(wire.media, kind)
    if delta.signature is not None:
        wire.signature.provider = delta.signature.provider
        wire.signature.value = delta.signature.value


def write_completion(wire: completion_pb2.Completion, completion: Completion) -> None:
    """A whole answer."""
    for part in completion.parts:
        _write_part(wire.parts.add(), part)
    wire.finish_reason = enums.FINISH_REASON[completion.finish_reason]
    wire.provider_reason = completion.provider_reason
    wire.target.provider = completion.target.provider
    wire.target.model = completion.target.model
    wire.served_model = completion.served_model
    write_usage(wire.usage, completion.usage)
    if completion.confidence is not None:
        wire.confidence.value = completion.confidence.value
        wire.confidence.source = enums.CONFIDENCE_SOURCE[completion.confidence.source]


def write_usage(wire: completion_pb2.Usage, usage: Usage) -> None:
    """A usage; parts that are not known stay unset."""
    wire.input_token_count = usage.input_token_count
    wire.output_token_count = usage.output_token_count
    wire.state = enums.USAGE_STATE[usage.state]
    if usage.cached_input_token_count is not None:
        wire.cached_input_token_count = usage.cached_input_token_count
    if usage.cache_write_token_count is not None:
        wire.cache_write_token_count = usage.cache_write_token_count
    if usage.reasoning_token_count is not None:
        wire.reasoning_token_count = usage.reasoning_token_count
    if usage.cost_nano_usd is not None:
        wire.cost_nano_usd = usage.cost_nano_usd


def write_attempt(wire: completion_pb2.Attempt, attempt: Attempt) -> None:
    """An attempt, running or ended."""
    wire.index = attempt.index
    wire.target.provider = attempt.target.provider
    wire.target.model = attempt.target.model
    wire.path = attempt.path
    wire.try_number = attempt.try_number
    write_duration(wire.start_offset, attempt.start_offset)
    if attempt.outcome is not None:
        _write_outcome(wire, attempt, attempt.outcome)


def _write_outcome(wire: completion_pb2.Attempt, attempt: Attempt, outcome: AttemptOutcome) -> None:
    wire.outcome = enums.ATTEMPT_OUTCOME[outcome]
    wire.billed_after_cancel = attempt.billed_after_cancel
    write_duration(wire.latency, attempt.latency)
    if attempt.first_content_latency is not None:
        write_duration(wire.first_content_latency, attempt.first_content_latency)
    if attempt.usage is not None:
        write_usage(wire.usage, attempt.usage)
    if attempt.benched_until is not None:
        wire.benched = True
        wire.benched_until_time.CopyFrom(timestamp(attempt.benched_until))
    if attempt.failure_class is not None:
        wire.failure_class = enums.FAILURE_CLASS[attempt.failure_class]
        wire.status.code = FAILURE_CODE[attempt.failure_class]
        wire.status.message = encodable(attempt.message)
    elif attempt.message:
        wire.status.code = code_pb2.UNAVAILABLE
        wire.status.message = encodable(attempt.message)


def write_duration(wire: Duration, seconds: float) -> None:
    """Seconds."""
    whole, wire.nanos = _parts_of(seconds)
    if whole:
        wire.seconds = whole


def _parts_of(seconds: float) -> tuple[int, int]:
    # Every attempt and candidate is told with several.
    if not 0.0 <= seconds <= LONGEST_DURATION:
        seconds = min(max(0.0, seconds), LONGEST_DURATION)
    return divmod(round(seconds * NANOS), NANOS)


def _write_part(wire: completion_pb2.Part, part: Part) -> None:
    _write_kind(wire, part.kind)
    if part.signature is not None:
        wire.signature.provider = part.signature.provider
        wire.signature.value = part.signature.value


def _write_kind(wire: completion_pb2.Part, kind: Kind) -> None:
    match kind:
        case Text(text):
            wire.text.text = text
        case Reasoning(text, redacted):
            wire.reasoning.text = text
            wire.reasoning.redacted_data = redacted
        case ToolCall(identifier, name, arguments):
            wire.tool_call.id = identifier
            wire.tool_call.name = name
            wire.tool_call.arguments_json = arguments
        case Media():
            _write_media(wire.media, kind)
        case ToolResult(identifier, parts, failed):
            wire.tool_result.tool_call_id = identifier
            wire.tool_result.failed = failed
            for inner in parts:
                _write_part(wire.tool_result.parts.add(), inner)


def _write_media(wire: completion_pb2.Media, media: Media) -> None:
    wire.media_type = media.media_type
    if media.uri:
        wire.uri = media.uri
    else:
        wire.data = media.data
