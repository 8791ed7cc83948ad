"""Recorded exchanges go through the adapter on real sockets, and come out as their bytes say."""

from __future__ import annotations

import pytest

from paceline_server.completion.answer import FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Reasoning, Text, ToolCall
from paceline_server.completion.usage import Usage
from paceline_server.providers.base import Answer
from tests.providers.corpus_driver import Format
from tests.providers.openai_reading import Reading, chat_recordings, read_slowly
from tests.providers.openai_support import a_request, connected
from tests.providers.recordings_reader import (
    OWN_RECORDINGS,
    SEEDS,
    checked,
    print_counts,
    required_corpus,
)

_FINISH = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


def _check_answer(name: str, reading: Reading, answer: Answer) -> None:
    kinds, ending = [part.kind for part in answer.parts], answer.ending
    assert [type(kind) for kind in kinds] == reading.kinds, name
    thoughts = [kind for kind in kinds if isinstance(kind, Reasoning)]
    assert "".join(kind.text for kind in kinds if isinstance(kind, Text)) == reading.text, name
    assert "".join(thought.text for thought in thoughts) == reading.reasoning, name
    assert b"".join(thought.redacted_data for thought in thoughts).decode() == reading.redacted, name
    calls = [(kind.id, kind.name, kind.arguments_json) for kind in kinds if isinstance(kind, ToolCall)]
    assert calls == reading.tool_calls, name
    assert reading.finish is not None
    assert ending.finish_reason is _FINISH[reading.finish], name
    assert ending.provider_reason in {reading.finish, "refusal"}, name
    assert ending.served_model == reading.model, name
    _check_usage(name, reading, ending.usage)


def _check_usage(name: str, reading: Reading, usage: Usage | None) -> None:
    told = reading.usage
    if told is None:
        assert usage is None, name
        return
    assert usage is not None, name
    prompt_details = told.get("prompt_tokens_details") or {}
    cached = [
        prompt_details.get("cached_tokens"),
        told.get("prompt_cache_hit_tokens"),
        told.get("cached_tokens"),
        told.get("num_cached_tokens"),
    ]
    assert usage.input_token_count == told["prompt_tokens"], name
    assert usage.output_token_count == told["completion_tokens"], name
    assert usage.cached_input_token_count == next((count for count in cached if count is not None), None), (
        name
    )
    assert usage.cache_write_token_count == prompt_details.get("cache_write_tokens"), name
    reasoning = (told.get("completion_tokens_details") or {}).get("reasoning_tokens")
    if reasoning is not None:
        assert usage.reasoning_token_count == min(reasoning, told["completion_tokens"]), name


FORMAT = Format(
    connected,
    a_request(),
    read_slowly,
    failed=lambda reading: bool(reading.error) or reading.finish is None,
    check=_check_answer,
    errors={
        (400, "unsupported_value"): FailureClass.UNSUPPORTED,
        (400, "invalid_image_url"): FailureClass.INVALID_REQUEST,
        (400, "empty_array"): FailureClass.INVALID_REQUEST,
        (400, "maximum context length"): FailureClass.CONTEXT_TOO_LONG,
        (401, ""): FailureClass.AUTHENTICATION,
        (404, ""): FailureClass.MODEL_NOT_FOUND,
        (429, "rate limit"): FailureClass.RATE_LIMITED,
        (200, "responsibleaipolicyviolation"): FailureClass.CONTENT_FILTERED,
        (200, "token limit reached"): FailureClass.CONTEXT_TOO_LONG,
    },
)


async def test_own_recordings_say_what_their_bytes_say() -> None:
    """A2, A3: an answer is what its bytes say, however the network cuts them."""
    counts = await checked(chat_recordings(OWN_RECORDINGS), FORMAT.replayed)
    assert sum(counts.values()) >= 8


async def test_the_corpus_says_what_its_bytes_say(capsys: pytest.CaptureFixture[str]) -> None:
    """A2, A3: every recorded answer of every vendor of the format is read as its bytes say, however cut."""
    counts = await checked(chat_recordings(required_corpus()), FORMAT.replayed)
    print_counts(f"recorded chat completions, {len(SEEDS)} splits each", counts, capsys)
