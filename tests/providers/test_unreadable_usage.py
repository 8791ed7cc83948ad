"""Usage that cannot be read, in every wire format: the answer is as good as any other."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from paceline_server.completion.answer import Ending
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Part, Text
from paceline_server.completion.deltas import fold
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.usage import Usage
from paceline_server.providers.event_stream import AnswerReader
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.openai_answer import OpenAIReader
from paceline_server.providers.openai_failures import OPENAI_FAILURES
from tests.providers import anthropic_support, gemini_support


@dataclass(frozen=True)
class _Format:
    """One wire format: its reader, one event and one document with usage, and how it names the counts.

    Attributes:
        events: As data, with `USAGE` where the usage stands; they say "a".
        answer: The whole answer, likewise.
        cached: Usage of 5 and 7 tokens with a part that is to be filled in.
    """

    reader: Callable[[], AnswerReader]
    events: list[str]
    answer: str
    totals: tuple[str, str]
    cached: str


_FORMATS = {
    "openai": _Format(
        lambda: OpenAIReader("acme", FailureClassifier(OPENAI_FAILURES)),
        ['{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"usage":USAGE}'],
        '{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":USAGE}',
        ("prompt_tokens", "completion_tokens"),
        '{"prompt_tokens":5,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":ODD}}',
    ),
    "groq": _Format(
        lambda: OpenAIReader("acme", FailureClassifier(OPENAI_FAILURES)),
        ['{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"x_groq":{"usage":USAGE}}'],
        '{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"x_groq":{"usage":USAGE}}',
        ("prompt_tokens", "completion_tokens"),
        '{"prompt_tokens":5,"completion_tokens":7,"cost":ODD}',
    ),
    "anthropic": _Format(
        anthropic_support.a_reader,
        [
            '{"type":"message_start","message":{"model":"m","usage":USAGE}}',
            '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}',
            '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":USAGE}',
            '{"type":"message_stop"}',
        ],
        '{"content":[{"type":"text","text":"a"}],"stop_reason":"end_turn","usage":USAGE}',
        ("input_tokens", "output_tokens"),
        '{"input_tokens":5,"output_tokens":7,"cache_read_input_tokens":ODD}',
    ),
    "gemini": _Format(
        gemini_support.a_reader,
        ['{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],"usageMetadata":USAGE}'],
        '{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],"usageMetadata":USAGE}',
        ("promptTokenCount", "candidatesTokenCount"),
        '{"promptTokenCount":5,"candidatesTokenCount":7,"cachedContentTokenCount":ODD}',
    ),
}
_every_format = pytest.mark.parametrize("wire", _FORMATS.values(), ids=_FORMATS)
_UNREADABLE = ['"many"', '""', "12.5", "1e30", "1e400", "true", "[]", "[7]"]


def _ended(wire: _Format, usage: str) -> list[Ending]:
    """How the stream and the document end, both of which say what they have to."""
    endings = []
    for streamed in (True, False):
        reader = wire.reader()
        if streamed:
            for event in wire.events:
                reader.read_event(event.replace("USAGE", usage).encode(), b"")
        else:
            reader.read_document(wire.answer.replace("USAGE", usage).encode())
        reader.finish()
        assert fold(reader.take()) == (Part(Text("a")),)
        endings.append(reader.ending())
    return endings


@_every_format
@pytest.mark.parametrize("odd", _UNREADABLE)
def test_an_answer_whose_total_cannot_be_read_tells_no_usage(wire: _Format, odd: str) -> None:
    """A2, K4: the answer stands, and what it used is estimated, not counted in part."""
    for unreadable in wire.totals:
        counts = {total: odd if total == unreadable else "7" for total in wire.totals}
        usage = "{" + ",".join(f'"{total}":{count}' for total, count in counts.items()) + "}"
        assert [ending.usage for ending in _ended(wire, usage)] == [None, None]


@_every_format
@pytest.mark.parametrize("odd", [*_UNREADABLE, "null", "{}", '{"a":"b"}'])
def test_a_part_that_cannot_be_read_is_not_told(wire: _Format, odd: str) -> None:
    """K4: the totals are the provider's, whatever else it says."""
    for ending in _ended(wire, wire.cached.replace("ODD", odd)):
        assert ending.usage is not None
        assert (ending.usage.input_token_count, ending.usage.output_token_count) == (5, 7)


@_every_format
@pytest.mark.parametrize("usage", ["null", "{}", "[]", "5", '"none"', "false", '{"a":1e400}'])
def test_usage_that_is_none_is_no_usage(wire: _Format, usage: str) -> None:
    """A2, K4: whatever stands in the place of usage, the answer is read."""
    assert [ending.usage for ending in _ended(wire, usage)] == [None, None]


@_every_format
@pytest.mark.parametrize(("odd", "count"), [("12.0", 12), ('"12"', 12), ("-3", 0), ("1e3", 1000)])
def test_numbers_in_other_forms_are_read(wire: _Format, odd: str, count: int) -> None:
    """K4: a number is one however it is written, and nothing is below zero."""
    usage = "{" + ",".join(f'"{total}":{odd}' for total in wire.totals) + "}"
    assert [ending.usage for ending in _ended(wire, usage)] == [Usage(count, count)] * 2


@_every_format
def test_what_else_cannot_be_read_is_told_as_before(wire: _Format) -> None:
    """A2: an answer that is malformed besides its usage is malformed."""
    answer = json.loads(wire.answer.replace("USAGE", '"many"'))
    broken = json.dumps(dict.fromkeys(answer, 5) | {"choices": 5, "content": 5})
    with pytest.raises(AttemptFailure) as caught:
        wire.reader().read_document(broken.encode())
    assert caught.value.failure_class is FailureClass.MALFORMED_RESPONSE


@_every_format
def test_half_a_character_beside_it_is_mended_too(wire: _Format) -> None:
    """A2: one fault of an event does not hide another."""
    reader = wire.reader()
    for event in wire.events:
        halved = event.replace("USAGE", '"many"').replace('"a"', r'"a\ud83d"')
        reader.read_event(halved.encode(), b"")
    reader.finish()
    assert fold(reader.take()) == (Part(Text("a\ufffd")),)
    reader = wire.reader()
    reader.read_document(wire.answer.replace("USAGE", '"many"').replace('"a"', r'"a\ud83d"').encode())
    reader.finish()
    assert (fold(reader.take()), reader.ending().usage) == ((Part(Text("a\ufffd")),), None)
