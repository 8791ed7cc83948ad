"""Recorded exchanges go through the adapter on real sockets, and come out as their bytes say."""

from __future__ import annotations

import pytest

from paceline_server.completion.answer import Ending, FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Part, Reasoning, Text, ToolCall
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.usage import Usage
from paceline_server.providers.openai import OpenAIProvider
from tests.providers.openai_reading import Reading, chat_recordings, read_slowly
from tests.providers.openai_support import a_request, connected, streamed
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
    "transient(long)": {FailureClass.RATE_LIMITED},
    "permanent(request)": {FailureClass.INVALID_REQUEST, FailureClass.CONTEXT_TOO_LONG},
    "permanent(context)": {FailureClass.CONTEXT_TOO_LONG},
    "permanent(quota)": {FailureClass.QUOTA},
    "permanent(model)": {FailureClass.MODEL_NOT_FOUND},
    "ambiguous": {*_WAITING, FailureClass.QUOTA},
}
_RECORDED_ERRORS: dict[tuple[int, str], FailureClass] = {
    (400, "unsupported_value"): FailureClass.UNSUPPORTED,
    (400, "invalid_image_url"): FailureClass.INVALID_REQUEST,
    (400, "empty_array"): FailureClass.INVALID_REQUEST,
    (400, "maximum context length"): FailureClass.CONTEXT_TOO_LONG,
    (401, ""): FailureClass.AUTHENTICATION,
    (404, ""): FailureClass.MODEL_NOT_FOUND,
    (429, "rate limit"): FailureClass.RATE_LIMITED,
}
_FINISH = {
    "stop": FinishReason.STOP,
    "eos": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
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
        if reading.error or reading.finish is None:
            with pytest.raises(AttemptFailure) as caught:
                await _answer(provider, recording)
            _check_failure(recording, caught.value)
            return "failed"
        parts, ending = await _answer(provider, recording)
        _check_answer(recording.name, reading, parts, ending)
        assert server.connection_count == 1
        return "answered"


async def _answer(provider: OpenAIProvider, recording: Recording) -> tuple[tuple[Part, ...], Ending]:
    answer = await (streamed(provider) if recording.streamed else provider.complete(a_request()))
    return answer.parts, answer.ending


def _check_failure(recording: Recording, failure: AttemptFailure) -> None:
    judged = recording.expected_class()
    said = recording.body.decode("utf-8", "replace").lower()
    if judged is not None:
        assert failure.failure_class in _JUDGED[judged], recording.name
    elif recording.kind == "error":
        expected = {
            expected
            for (status, word), expected in _RECORDED_ERRORS.items()
            if status == recording.status and word in said
        }
        assert expected == {failure.failure_class}, recording.name
    elif "responsibleaipolicyviolation" in said:
        assert failure.failure_class is FailureClass.CONTENT_FILTERED, recording.name
    elif "token limit reached" in said:
        assert failure.failure_class is FailureClass.CONTEXT_TOO_LONG, recording.name
    else:
        assert failure.failure_class is FailureClass.TRANSIENT, recording.name
    assert failure.http_status == recording.status
    assert failure.reached_provider


def _check_answer(name: str, reading: Reading, parts: tuple[Part, ...], ending: Ending) -> None:
    kinds = [part.kind for part in parts]
    thoughts = [kind for kind in kinds if isinstance(kind, Reasoning)]
    assert "".join(kind.text for kind in kinds if isinstance(kind, Text)) == reading.text, name
    assert "".join(thought.text for thought in thoughts) == reading.reasoning, name
    assert b"".join(thought.redacted_data for thought in thoughts).decode() == reading.redacted, name
    calls = [(kind.id, kind.name, kind.arguments_json) for kind in kinds if isinstance(kind, ToolCall)]
    assert calls == reading.tool_calls, name
    assert reading.finish is not None
    assert ending.finish_reason is _FINISH[reading.finish], name
    assert ending.provider_reason in {reading.finish, "refusal"}, name
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


async def test_own_recordings_say_what_their_bytes_say() -> None:
    """A2, A3: an answer is what its bytes say, however the network cuts them."""
    counts = await checked(chat_recordings(OWN_RECORDINGS), _check)
    assert sum(counts.values()) >= 8


async def test_the_corpus_says_what_its_bytes_say(capsys: pytest.CaptureFixture[str]) -> None:
    """A2, A3: every recorded answer of every vendor of the format is read as its bytes say, however cut."""
    counts = await checked(chat_recordings(required_corpus()), _check)
    print_counts(f"recorded chat completions, {len(SEEDS)} splits each", counts, capsys)
