"""What the OpenAI reader makes of finish reasons and of tool calls that come in pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paceline_server.completion.answer import FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Part, Text, ToolCall
from paceline_server.completion.deltas import fold
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.usage import Usage
from paceline_server.providers.base import Answer
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.openai_answer import OpenAIReader
from paceline_server.providers.openai_failures import OPENAI_FAILURES


def _read(*choices: dict[str, Any]) -> Answer:
    reader = OpenAIReader("acme", FailureClassifier(OPENAI_FAILURES))
    for choice in choices:
        reader.read_event(json.dumps({"choices": [choice]}).encode(), b"")
    reader.finish()
    return Answer(fold(reader.take()), reader.ending())


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("stop", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("eos", FinishReason.STOP),
        ("eos_token", FinishReason.STOP),
        ("end_turn", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("max_tokens", FinishReason.LENGTH),
        ("model_length", FinishReason.LENGTH),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("function_call", FinishReason.TOOL_CALLS),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("sensitive", FinishReason.CONTENT_FILTER),
        ("new", FinishReason.OTHER),
        ("error", FailureClass.TRANSIENT),
        ("network_error", FailureClass.TRANSIENT),
        ("insufficient_system_resource", FailureClass.OVERLOADED),
    ],
)
def test_a_finish_reason_is_an_ending_or_a_failure(told: str, expected: FinishReason | FailureClass) -> None:
    """A2: each vendor's word is read as what it means and kept as told, and is a failure if it says so."""
    for choice in ({"finish_reason": told}, {"finish_details": {"type": told}}):
        if isinstance(expected, FinishReason):
            ending = _read({"delta": {"content": "x"}}, choice).ending
            assert (ending.finish_reason, ending.provider_reason) == (expected, told)
        else:
            with pytest.raises(AttemptFailure) as caught:
                _read({"delta": {"content": "x"}}, choice)
            assert (caught.value.failure_class, caught.value.provider_code) == (expected, told)


def test_a_call_whose_id_changes_between_its_pieces_is_one_call() -> None:
    """A2: some servers give each piece an id of its own; the first id and name count."""
    pieces = [
        {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}},
        {"index": 0, "id": "b", "function": {"arguments": ":"}},
        {"index": 0, "id": "c", "function": {"name": "", "arguments": "1}"}},
    ]
    answer = _read(*({"delta": {"tool_calls": [piece]}} for piece in pieces), {"finish_reason": "tool_calls"})
    assert [part.kind for part in answer.parts] == [ToolCall("a", "f", '{"x":1}')]


@pytest.mark.parametrize("choices", [b"[]", b"null"])
def test_usage_may_come_between_two_halves(choices: bytes) -> None:
    """A2, K4: a chunk that tells only usage is read, and tears no character apart."""
    reader = OpenAIReader("acme", FailureClassifier(OPENAI_FAILURES))
    reader.read_event(rb'{"choices":[{"delta":{"content":"a\ud83d"}}]}', b"")
    reader.read_event(b'{"choices":%b,"usage":{"prompt_tokens":5,"completion_tokens":7}}' % choices, b"")
    reader.read_event(rb'{"choices":[{"delta":{"content":"\ude00b"},"finish_reason":"stop"}]}', b"")
    reader.finish()
    assert fold(reader.take()) == (Part(Text("a\U0001f600b")),)
    assert reader.ending().usage == Usage(5, 7)
