"""Recorded Gemini exchanges go through the adapter on real sockets, and come out as their bytes say."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby

import pytest

from paceline_server.completion.answer import Ending, FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Part, Reasoning, Text, ToolCall
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.usage import Usage
from paceline_server.providers.base import Answer
from paceline_server.providers.gemini_parts import GENERATED_CALL
from tests.providers.corpus_driver import Format
from tests.providers.gemini_reading import Reading, gemini_recordings, read_slowly
from tests.providers.gemini_support import a_request, connected
from tests.providers.recordings_reader import (
    OWN_RECORDINGS,
    SEEDS,
    Recording,
    checked,
    print_counts,
    required_corpus,
)

_DELAYS = {"per-day": None, "per-minute": 34.4}
_FINISH: dict[str | int, FinishReason] = {
    "STOP": FinishReason.STOP,
    1: FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "SAFETY": FinishReason.CONTENT_FILTER,
}


def _check_parts(name: str, reading: Reading, parts: tuple[Part, ...]) -> None:
    kinds = [part.kind for part in parts]
    thoughts = [kind for kind in kinds if isinstance(kind, Reasoning)]
    assert "".join(kind.text for kind in kinds if isinstance(kind, Text)) == reading.text, name
    assert "".join(thought.text for thought in thoughts) == reading.reasoning, name
    assert [json.loads(each.redacted_data) for each in thoughts if each.redacted_data] == reading.own_tools
    # One part may be of several pieces of a kind.
    assert _runs(type(kind).__name__ for kind in kinds) == _runs(reading.kinds), name
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


def _runs(kinds: Iterable[str]) -> list[str]:
    return [kind for kind, _ in groupby(kinds)]


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


def _check_answer(name: str, reading: Reading, answer: Answer) -> None:
    _check_parts(name, reading, answer.parts)
    _check_ending(name, reading, answer.ending)


def _check_failure(recording: Recording, failure: AttemptFailure) -> None:
    for word, delay in _DELAYS.items():
        if word in recording.name:
            assert failure.retry_after == delay, recording.name
    if failure.failure_class is FailureClass.MALFORMED_RESPONSE:
        assert failure.message.startswith("Unexpected tool call")


FORMAT = Format(
    connected,
    a_request(),
    read_slowly,
    failed=lambda reading: reading.finish in (None, "UNEXPECTED_TOOL_CALL") and reading.blocked is None,
    check=_check_answer,
    errors={
        (200, "unexpected_tool_call"): FailureClass.MALFORMED_RESPONSE,
        (400, ""): FailureClass.INVALID_REQUEST,
        (404, ""): FailureClass.MODEL_NOT_FOUND,
    },
    check_failure=_check_failure,
    # Streams that were asked for as one array are recorded as unary; both ways of asking must do.
    unary_streams=True,
)


async def test_own_recordings_say_what_their_bytes_say() -> None:
    """A2, A3: an answer is what its bytes say, however the network cuts them."""
    counts = await checked(gemini_recordings(OWN_RECORDINGS), FORMAT.replayed)
    assert sum(counts.values()) >= 11


async def test_the_corpus_says_what_its_bytes_say(capsys: pytest.CaptureFixture[str]) -> None:
    """A2, A3: every recorded answer of AI Studio and Vertex AI is read as its bytes say, however cut."""
    counts = await checked(gemini_recordings(required_corpus()), FORMAT.replayed)
    print_counts(f"recorded answers of Gemini, {len(SEEDS)} splits each", counts, capsys)
