"""Recorded Anthropic exchanges go through the adapter on real sockets, and come out as their bytes say."""

from __future__ import annotations

import json

import pytest

from paceline_server.completion.answer import FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Part, ProviderSignature, Reasoning, Text, ToolCall
from paceline_server.completion.usage import Usage
from paceline_server.providers.base import Answer
from tests.providers.anthropic_reading import Reading, message_recordings, read_slowly
from tests.providers.anthropic_support import a_request, connected
from tests.providers.corpus_driver import Format
from tests.providers.recordings_reader import (
    OWN_RECORDINGS,
    SEEDS,
    checked,
    print_counts,
    required_corpus,
)

_FINISH = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}


def _check_answer(name: str, reading: Reading, answer: Answer) -> None:
    parts, ending = answer.parts, answer.ending
    assert [part.kind.text for part in parts if isinstance(part.kind, Text)] == reading.texts(), name
    thoughts = [part for part in parts if isinstance(part.kind, Reasoning)]
    readable = [
        (part.kind.text, _signature(part))
        for part in thoughts
        if isinstance(part.kind, Reasoning) and not part.kind.redacted_data
    ]
    assert readable == reading.thoughts(), name
    encrypted = [
        part.kind.redacted_data.decode()
        for part in thoughts
        if isinstance(part.kind, Reasoning) and part.kind.redacted_data
    ]
    assert encrypted == reading.redacted(), name
    calls = [part.kind for part in parts if isinstance(part.kind, ToolCall)]
    assert [(call.id, call.name, json.loads(call.arguments_json)) for call in calls] == reading.calls(), name
    assert [_kind(part) for part in parts] == reading.kinds(), name
    assert reading.finish is not None
    assert ending.finish_reason is _FINISH[reading.finish], name
    assert ending.provider_reason == reading.finish, name
    assert ending.served_model == reading.model, name
    _check_usage(name, reading, ending.usage)


def _kind(part: Part) -> str:
    if isinstance(part.kind, Reasoning):
        return "redacted_thinking" if part.kind.redacted_data else "thinking"
    return "text" if isinstance(part.kind, Text) else "tool_use"


def _signature(part: Part) -> str:
    assert isinstance(part.signature, ProviderSignature)
    assert part.signature.provider == "acme"
    return part.signature.value.decode()


def _check_usage(name: str, reading: Reading, usage: Usage | None) -> None:
    told = reading.usage
    assert usage is not None, name
    written, read = told.get("cache_creation_input_tokens"), told.get("cache_read_input_tokens")
    assert usage.input_token_count == told["input_tokens"] + (written or 0) + (read or 0), name
    assert usage.cache_write_token_count == written, name
    assert usage.cached_input_token_count == read, name
    assert usage.output_token_count == told["output_tokens"], name
    details = told.get("output_tokens_details") or {}
    assert usage.reasoning_token_count == details.get("thinking_tokens"), name


FORMAT = Format(
    connected,
    a_request(),
    read_slowly,
    failed=lambda reading: bool(reading.error) or not reading.stopped,
    check=_check_answer,
    errors={(401, ""): FailureClass.AUTHENTICATION, (404, ""): FailureClass.MODEL_NOT_FOUND},
)


async def test_own_recordings_say_what_their_bytes_say() -> None:
    """A2, A3: an answer is what its bytes say, however the network cuts them."""
    counts = await checked(message_recordings(OWN_RECORDINGS), FORMAT.replayed)
    assert sum(counts.values()) >= 8


async def test_the_corpus_says_what_its_bytes_say(capsys: pytest.CaptureFixture[str]) -> None:
    """A2, A3: every recorded answer of the format is read as its bytes say, however cut."""
    counts = await checked(message_recordings(required_corpus()), FORMAT.replayed)
    print_counts(f"recorded messages of Anthropic, {len(SEEDS)} splits each", counts, capsys)
