"""From the vocabulary to the contract's messages."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, status_pb2

from paceline.v1 import chain_pb2, completion_pb2
from paceline_server.completion.answer import Completion, Target
from paceline_server.completion.attempt import Attempt, AttemptEnded, AttemptStarted, CallEvent, FailureClass
from paceline_server.completion.content import Kind, Media, Part, Reasoning, Text, ToolCall, ToolResult
from paceline_server.completion.deltas import Delta, ReasoningDelta, TextDelta, ToolCallDelta
from paceline_server.completion.usage import Usage
from paceline_server.rpc import enums

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


def encode_event(event: CallEvent) -> chain_pb2.StreamChainResponse:
    """One event of a streamed chain."""
    if isinstance(event, Delta):
        return chain_pb2.StreamChainResponse(delta=encode_delta(event))
    if isinstance(event, AttemptStarted):
        started = completion_pb2.AttemptStarted(attempt=encode_attempt(event.attempt))
        return chain_pb2.StreamChainResponse(attempt_started=started)
    if isinstance(event, AttemptEnded):
        ended = completion_pb2.AttemptEnded(attempt=encode_attempt(event.attempt))
        return chain_pb2.StreamChainResponse(attempt_ended=ended)
    discarded = completion_pb2.OutputDiscarded(attempt_index=event.attempt_index)
    return chain_pb2.StreamChainResponse(output_discarded=discarded)


def encode_delta(delta: Delta) -> completion_pb2.Delta:
    """One increment: the only message that is made for every token."""
    kind = delta.kind
    if isinstance(kind, TextDelta):
        wire = completion_pb2.Delta(
            part_index=delta.part_index, text=completion_pb2.TextDelta(text=kind.text)
        )
    elif isinstance(kind, ReasoningDelta):
        reasoning = completion_pb2.ReasoningDelta(text=kind.text, redacted_data=kind.redacted_data)
        wire = completion_pb2.Delta(part_index=delta.part_index, reasoning=reasoning)
    elif isinstance(kind, ToolCallDelta):
        call = completion_pb2.ToolCallDelta(
            id=kind.id, name=kind.name, arguments_json_fragment=kind.arguments_json_fragment
        )
        wire = completion_pb2.Delta(part_index=delta.part_index, tool_call=call)
    else:
        wire = completion_pb2.Delta(part_index=delta.part_index, media=_media(kind))
    if delta.signature is not None:
        wire.signature.provider = delta.signature.provider
        wire.signature.value = delta.signature.value
    return wire


def encode_response(
    call_id: str, completion: Completion, attempts: Iterable[Attempt], total: Usage
) -> chain_pb2.ChainResponse:
    """A whole answer, with how it came about."""
    return chain_pb2.ChainResponse(
        call_id=call_id,
        completion=encode_completion(completion),
        attempts=[encode_attempt(attempt) for attempt in attempts],
        total_usage=encode_usage(total),
    )


def encode_completion(completion: Completion) -> completion_pb2.Completion:
    """A completion."""
    wire = completion_pb2.Completion(
        parts=[_part(part) for part in completion.parts],
        finish_reason=enums.FINISH_REASON[completion.finish_reason],
        provider_reason=completion.provider_reason,
        target=encode_target(completion.target),
        served_model=completion.served_model,
        usage=encode_usage(completion.usage),
    )
    if completion.confidence is not None:
        wire.confidence.value = completion.confidence.value
        wire.confidence.source = enums.CONFIDENCE_SOURCE[completion.confidence.source]
    return wire


def encode_target(target: Target) -> completion_pb2.Target:
    """A target."""
    return completion_pb2.Target(provider=target.provider, model=target.model)


def encode_usage(usage: Usage) -> completion_pb2.Usage:
    """A usage; parts that are not known stay unset."""
    return completion_pb2.Usage(
        input_token_count=usage.input_token_count,
        cached_input_token_count=usage.cached_input_token_count,
        cache_write_token_count=usage.cache_write_token_count,
        output_token_count=usage.output_token_count,
        reasoning_token_count=usage.reasoning_token_count,
        cost_nano_usd=usage.cost_nano_usd,
        state=enums.USAGE_STATE[usage.state],
    )


def encode_attempt(attempt: Attempt) -> completion_pb2.Attempt:
    """An attempt, running or ended."""
    wire = completion_pb2.Attempt(
        index=attempt.index,
        target=encode_target(attempt.target),
        path=attempt.path,
        try_number=attempt.try_number,
        start_offset=duration(attempt.start_offset),
        benched=attempt.benched,
        billed_after_cancel=attempt.billed_after_cancel,
    )
    if attempt.outcome is None:
        return wire
    wire.outcome = enums.ATTEMPT_OUTCOME[attempt.outcome]
    wire.latency.CopyFrom(duration(attempt.latency))
    if attempt.first_content_latency is not None:
        wire.first_content_latency.CopyFrom(duration(attempt.first_content_latency))
    if attempt.usage is not None:
        wire.usage.CopyFrom(encode_usage(attempt.usage))
    if attempt.benched_until is not None:
        wire.benched_until_time.CopyFrom(timestamp(attempt.benched_until))
    if attempt.failure_class is not None:
        wire.failure_class = enums.FAILURE_CLASS[attempt.failure_class]
        code = FAILURE_CODE[attempt.failure_class]
        wire.status.CopyFrom(status_pb2.Status(code=code, message=encodable(attempt.message)))
    elif attempt.message:
        message = encodable(attempt.message)
        wire.status.CopyFrom(status_pb2.Status(code=code_pb2.UNAVAILABLE, message=message))
    return wire


def encodable(text: str) -> str:
    """A provider's words without halves of surrogate pairs, which no message can carry."""
    return text.encode("utf-8", "replace").decode()


def duration(seconds: float) -> Duration:
    """Seconds as a Duration."""
    whole, nanos = divmod(round(min(max(0.0, seconds), LONGEST_DURATION) * NANOS), NANOS)
    return Duration(seconds=whole, nanos=nanos)


def timestamp(epoch_seconds: float) -> Timestamp:
    """Seconds since the epoch as a Timestamp."""
    whole, nanos = divmod(round(min(epoch_seconds, LATEST_TIMESTAMP) * NANOS), NANOS)
    return Timestamp(seconds=whole, nanos=nanos)


def _part(part: Part) -> completion_pb2.Part:
    wire = _kind(part.kind)
    if part.signature is not None:
        wire.signature.provider = part.signature.provider
        wire.signature.value = part.signature.value
    return wire


def _kind(kind: Kind) -> completion_pb2.Part:
    match kind:
        case Text(text):
            return completion_pb2.Part(text=completion_pb2.Text(text=text))
        case Reasoning(text, redacted):
            return completion_pb2.Part(reasoning=completion_pb2.Reasoning(text=text, redacted_data=redacted))
        case ToolCall(identifier, name, arguments):
            call = completion_pb2.ToolCall(id=identifier, name=name, arguments_json=arguments)
            return completion_pb2.Part(tool_call=call)
        case Media():
            return completion_pb2.Part(media=_media(kind))
        case ToolResult(identifier, parts, failed):
            result = completion_pb2.ToolResult(
                tool_call_id=identifier, parts=[_part(inner) for inner in parts], failed=failed
            )
            return completion_pb2.Part(tool_result=result)


def _media(media: Media) -> completion_pb2.Media:
    if media.uri:
        return completion_pb2.Media(media_type=media.media_type, uri=media.uri)
    return completion_pb2.Media(media_type=media.media_type, data=media.data)
