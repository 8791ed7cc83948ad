"""Recorded Gemini exchanges go through the adapter on real sockets, and come out as their bytes say."""

from __future__ import annotations

import json

import pytest

from paceline_server.completion.answer import Ending, FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Part, Reasoning, Text, ToolCall
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.usage import Usage
from paceline_server.providers.base import Answer
from paceline_server.providers.gemini import GeminiProvider
from paceline_server.providers.gemini_parts import GENERATED_CALL
from tests.providers.gemini_reading import Reading, gemini_recordings, read_slowly
from tests.providers.gemini_support import a_request, connected, streamed
from tests.providers.recordings_reader import (
    OWN_RECORDINGS,
    SEEDS,
    Recording,
    checked,
    print_counts,
    required_corpus,
)
from tests.providers.replay import answering

_WAITING = {FailureClass.TRANSIENT, FailureClass.RATE_LIMITED, FailureClass.OVERLOADED}
_JUDGED: dict[str, set[FailureClass]] = {
    "transient": _WAITING,
    "transient(retryDelay misleads on per-day quota)": {FailureClass.QUOTA},
    "transient(may be sticky until midnight)": {FailureClass.RATE_LIMITED},
    "permanent(quota)": {FailureClass.QUOTA},
    "permanent(config)": {FailureClass.AUTHENTICATION},
    "permanent(request)": {FailureClass.INVALID_REQUEST},
}
_RECORDED_ERRORS = {404: FailureClass.MODEL_NOT_FOUND, 400: FailureClass.INVALID_REQUEST}
_DELAYS = {"per-day": None, "per-minute": 34.4}
_FINISH: dict[str | int, FinishReason] = {
    "STOP": FinishReason.STOP,
    1: FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
}


async def _check(recording: Recording, seed: int) -> str:
    script = answering(recording.body, status=recording.status, headers=recording.headers, seed=seed)
    async with connected(script) as (provider, server):
        if recording.kind == "error":
            for ask in (provider.complete, provider.open):
                with pytest.raises(AttemptFailure) as caught:
                    await ask(a_request())
                _check_failure(recording, caught.value)
            return "failed"

        reading = read_slowly(recording)
        if reading.finish == "UNEXPECTED_TOOL_CALL":
            with pytest.raises(AttemptFailure) as caught:
                await _answer(provider, recording)
            assert caught.value.failure_class is FailureClass.MALFORMED_RESPONSE
            assert caught.value.message.startswith("Unexpected tool call")
            return "failed"
        if reading.finish is None and reading.blocked is None:
            with pytest.raises(AttemptFailure) as caught:
                await _answer(provider, recording)
            assert caught.value.failure_class is FailureClass.TRANSIENT
            return "failed"
        answer = await _answer(provider, recording)
        _check_parts(recording.name, reading, answer.parts)
        _check_ending(recording.name, reading, answer.ending)
        assert server.connection_count == 1
        return "answered"


async def _answer(provider: GeminiProvider, recording: Recording) -> Answer:
    # Streams that were asked for as one array are recorded as unary; both ways of asking must do.
    if recording.streamed:
        return await streamed(provider)
    answer = await provider.complete(a_request())
    assert await streamed(provider) == answer
    return answer


def _check_failure(recording: Recording, failure: AttemptFailure) -> None:
    judged = recording.expected_class()
    if judged is not None:
        assert failure.failure_class in _JUDGED[judged], recording.name
    else:
        assert failure.failure_class is _RECORDED_ERRORS[recording.status], recording.name
    assert failure.http_status == recording.status
    assert failure.reached_provider
    for word, delay in _DELAYS.items():
        if word in recording.name:
            assert failure.retry_after == delay, recording.name


def _check_parts(name: str, reading: Reading, parts: tuple[Part, ...]) -> None:
    kinds = [part.kind for part in parts]
    thoughts = [kind for kind in kinds if isinstance(kind, Reasoning)]
    assert "".join(kind.text for kind in kinds if isinstance(kind, Text)) == reading.text, name
    assert "".join(thought.text for thought in thoughts) == reading.reasoning, name
    assert [json.loads(each.redacted_data) for each in thoughts if each.redacted_data] == reading.own_tools
    calls = [kind for kind in kinds if isinstance(kind, ToolCall)]
    assert [(call.name, json.loads(call.arguments_json)) for call in calls] == [
        (called, arguments) for _, called, arguments in reading.calls
    ], name
    assert len({call.id for call in calls}) == len(calls)
    for call, (given, _, _) in zip(calls, reading.calls, strict=True):
        assert call.id == given if given else call.id.startswith(GENERATED_CALL), name
    signatures = [
        (type(part.kind).__name__, part.signature.value.decode())
        for part in parts
        if part.signature is not None and part.signature.value != b"-"
    ]
    assert signatures == reading.signatures, name
    assert {part.signature.provider for part in parts if part.signature is not None} <= {"acme"}


def _check_ending(name: str, reading: Reading, ending: Ending) -> None:
    if reading.finish is None:
        assert (ending.finish_reason, ending.provider_reason) == (
            FinishReason.CONTENT_FILTER,
            reading.blocked,
        )
    elif reading.calls:
        assert ending.finish_reason is FinishReason.TOOL_CALLS, name
    else:
        assert ending.finish_reason is _FINISH[reading.finish], name
    assert ending.served_model == reading.model, name
    _check_usage(name, reading.usage, ending.usage)


def _check_usage(name: str, told: dict[str, int], usage: Usage | None) -> None:
    if not told:
        assert usage is None, name
        return
    assert usage is not None, name
    assert usage.input_token_count == told["promptTokenCount"] + told.get("toolUsePromptTokenCount", 0), name
    output = told.get("candidatesTokenCount", 0) + told.get("thoughtsTokenCount", 0)
    assert usage.output_token_count == output, name
    assert usage.cached_input_token_count == told.get("cachedContentTokenCount"), name
    assert usage.reasoning_token_count == told.get("thoughtsTokenCount"), name


async def test_own_recordings_say_what_their_bytes_say() -> None:
    """A2, A3: an answer is what its bytes say, however the network cuts them."""
    counts = await checked(gemini_recordings(OWN_RECORDINGS), _check)
    assert sum(counts.values()) >= 11


async def test_the_corpus_says_what_its_bytes_say(capsys: pytest.CaptureFixture[str]) -> None:
    """A2, A3: every recorded answer of AI Studio and Vertex AI is read as its bytes say, however cut."""
    counts = await checked(gemini_recordings(required_corpus()), _check)
    print_counts(f"recorded answers of Gemini, {len(SEEDS)} splits each", counts, capsys)
