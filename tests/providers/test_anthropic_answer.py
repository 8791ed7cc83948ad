"""What the Anthropic reader makes of odd events: tolerated or malformed, and never a crash."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from paceline_server.completion.answer import Ending
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Part, Reasoning, Text, ToolCall
from paceline_server.completion.deltas import Delta, fold
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.sse import SseDecoder
from tests.providers.anthropic_support import (
    START,
    a_reader,
    block_delta,
    block_start,
    block_stop,
    document,
    ending,
    event,
    text_delta,
)

Outcome = tuple[tuple[Part, ...], Ending | None, str]


def _read(pieces: Sequence[bytes]) -> Outcome:
    """The parts, the ending, and the class of what went wrong."""
    reader, decoder, deltas = a_reader(), SseDecoder(), list[Delta]()
    try:
        for piece in pieces:
            if any(reader.read_event(data, name) for data, name in decoder.feed(piece)):
                break
            deltas += reader.take()
        reader.finish()
        deltas += reader.take()
        return fold(deltas), reader.ending(), ""
    except AttemptFailure as failure:
        deltas += reader.take()
        return fold(deltas), None, failure.failure_class.name


def _parts(*events: bytes) -> tuple[Part, ...]:
    parts, told, failure = _read([START, *events, ending()])
    assert told is not None, failure
    return parts


def _malformed(*events: bytes) -> None:
    assert _read([START, *events, ending()])[2] == FailureClass.MALFORMED_RESPONSE.name


_CALL = block_start(0, type="tool_use", id="c1", name="now", input={})


def _fragment(index: int, text: str | None) -> bytes:
    return block_delta(index, type="input_json_delta", partial_json=text)


@pytest.mark.parametrize(
    ("events", "arguments"),
    [
        ([_CALL, block_stop(0)], "{}"),
        ([_CALL, _fragment(0, ""), _fragment(0, None), block_stop(0)], "{}"),
        ([_CALL], "{}"),
        ([_CALL, _fragment(0, '{"a"'), _fragment(0, ":1}"), block_stop(0)], '{"a":1}'),
        ([_CALL, _fragment(0, "not json"), block_stop(0), block_stop(0)], "not json"),
        ([block_start(0, type="tool_use", id="c1", name="now", input={"a": 1.50})], '{"a": 1.5}'),
        ([block_start(0, type="tool_use", id="c1", name="now", input='{"a": 1}')], '{"a": 1}'),
        ([block_start(0, type="tool_use", id="c1", name="now", input=None)], "{}"),
        ([block_start(0, type="tool_use", id="c1", name="now")], "{}"),
        (
            [block_start(0, type="tool_use", id="c1", name="now", input={"a": 1}), _fragment(0, "{}")],
            "{}",
        ),
    ],
)
def test_arguments_are_what_the_model_wrote(events: Sequence[bytes], arguments: str) -> None:
    """The contract of ToolCall: fragments make the text; a call without any has an empty object."""
    assert _parts(*events) == (Part(ToolCall("c1", "now", arguments)),)


def test_a_call_without_an_id_gets_one() -> None:
    """The contract of ToolCall: Paceline makes an id where the provider gives none."""
    (part,) = _parts(block_start(0, type="tool_use", name="now", input={}))
    assert part.kind == ToolCall("call_0", "now", "{}")


def test_an_index_that_comes_again_is_another_block() -> None:
    """A2: a server that counts wrongly loses nothing of what it said."""
    calls = [block_start(0, type="tool_use", id=name, name=name, input={}) for name in "ab"]
    assert [part.kind for part in _parts(*calls)] == [ToolCall("a", "a", "{}"), ToolCall("b", "b", "{}")]


def test_blocks_may_come_out_of_order_and_interleave() -> None:
    """A2: parts are numbered as they first say something, whatever the provider's indices."""
    start = [block_start(index, type="text", text="") for index in (7, 2)]
    parts = _parts(*start, text_delta(2, "a"), text_delta(7, "b"), text_delta(2, "c"), text_delta(7, "d"))
    assert parts == (Part(Text("ac")), Part(Text("bd")))


def test_text_and_thoughts_need_no_start() -> None:
    """A2: what can be understood is not lost for a missing event."""
    thought = block_delta(0, type="thinking_delta", thinking="Hm")
    assert [part.kind for part in _parts(thought, text_delta(1, "Hi"))] == [Reasoning("Hm"), Text("Hi")]


def test_the_start_of_a_block_may_hold_all_of_it() -> None:
    """A2: servers that do not stream give whole blocks."""
    parts = _parts(
        block_start(0, type="thinking", thinking="Hm", signature="s"), block_start(1, type="text", text="Hi")
    )
    assert [part.kind for part in parts] == [Reasoning("Hm"), Text("Hi")]
    assert parts[0].signature is not None


@pytest.mark.parametrize(
    "events",
    [
        [_fragment(0, "{}")],
        [_CALL, text_delta(0, "Hi")],
        [block_start(0, type="text", text=""), _fragment(0, "{}")],
        [block_start(0, type="text", text=""), block_delta(0, type="signature_delta", signature="s")],
        [block_start(0, type="tool_use", id="c1", input={})],
        [event("content_block_start", index=0)],
        [event("content_block_start", index="zero", content_block={"type": "text"})],
        [block_start(0, type="text", text=5)],
        [block_delta(0, type="text_delta", text=["Hi"])],
        [b"data: {\n\n"],
        [b"data: 5\n\n"],
        [b"data: {}\n\ndata: \xff\n\n"],
        [_CALL.replace(b'"input": {}', b'"input": {"a": "\xff"}')],
        [b"data: " + b"[" * 100_000 + b"\n\n"],
    ],
)
def test_what_does_not_fit_together_is_malformed(events: Sequence[bytes]) -> None:
    """A2: an answer that contradicts itself is a failure of the provider, never a crash."""
    _malformed(*events)


@pytest.mark.parametrize(
    "extra",
    [
        event("ping"),
        b"event: ping\ndata: nothing\n\n",
        b": comment\n\n",
        b'data: {"type": "ping"}\n\n',
        event("something_new", delta="text", index=[1]),
        b'event: something_new\ndata: {"delta": 5}\n\n',
        block_delta(0, type="something_delta", text={"a": 1}),
        block_delta(0, type="citations_delta", citation={"cited_text": "x"}),
        block_start(1, type="something_new", text={"a": 1}, id=7),
        block_start(1, type="server_tool_use", id="s", name="web_search", input={}) + _fragment(1, '{"q":1}'),
        block_start(1, type="web_search_tool_result", content=[]) + text_delta(1, "of a skipped block"),
        block_stop(9),
        event("content_block_delta", index=0),
        event("message_delta", delta={"stop_reason": None}, usage=None),
        event("content_block_delta", index="0", delta={"type": "text_delta", "text": ""}),
    ],
)
def test_what_is_unknown_is_ignored(extra: bytes) -> None:
    """A2: the provider may send what was not known when this was written."""
    assert _parts(block_start(0, type="text", text=""), extra, text_delta(0, "Hi"), extra) == (
        Part(Text("Hi")),
    )


def test_unknown_blocks_of_a_document_are_skipped() -> None:
    """A2: whole answers are read as streams are."""
    reader = a_reader()
    reader.read_document(b" \n" + document({"type": "new", "text": 5}, {"type": "text", "text": "Hi"}))
    reader.finish()
    assert fold(reader.take()) == (Part(Text("Hi")),)


def test_an_answer_may_be_empty() -> None:
    """A2: a model may end without a word, which is for the engines to judge."""
    parts, told, _ = _read([START, ending()])
    assert parts == ()
    assert told is not None


def test_the_word_null_is_a_word() -> None:
    """A2: numbers may be texts, but no text is taken for anything else."""
    assert _parts(text_delta(0, "null"), text_delta(0, " true")) == (Part(Text("null true")),)


def test_an_answer_of_too_many_blocks_is_refused() -> None:
    """A2: an answer that is built to keep its readers busy is malformed."""
    for block in ({"type": "text", "text": "x"}, {"type": "text", "text": ""}, {"type": "server_tool_use"}):
        _malformed(*(block_start(index, **block) for index in range(1025)))


@pytest.mark.parametrize("split", [True, False])
def test_halves_of_characters_are_mended(*, split: bool) -> None:
    """A2: a character that was cut between two events is whole again; a half alone is marked as unknown."""
    first = text_delta(0, "a").replace(b'"a"', b'"a\\ud83d"')
    second = text_delta(0, "b").replace(b'"b"', b'"\\ude00b"')
    between = event("ping") if split else b""
    assert _parts(first, between, second) == (Part(Text("a\U0001f600b")),)
    assert _parts(first, text_delta(0, "b")) == (Part(Text("a\ufffdb")),)
    assert _parts(first) == (Part(Text("a\ufffd")),)


def test_a_half_at_the_very_end_is_told_as_unknown() -> None:
    """A2: what a broken answer has said is delivered, to its last half of a character."""
    parts, told, failure = _read([START, text_delta(0, "a").replace(b'"a"', b'"a\\ud83d"')])
    assert (parts, told, failure) == ((Part(Text("a\ufffd")),), None, FailureClass.TRANSIENT.name)


def test_a_half_in_a_document_is_mended() -> None:
    """A2: whole answers of servers that cut their text at tokens are answers, too."""
    reader = a_reader()
    reader.read_document(document({"type": "text", "text": "a"}).replace(b'"a"', b'"a\\ud83d"'))
    assert fold(reader.take()) == (Part(Text("a\ufffd")),)


@pytest.mark.parametrize(
    "data",
    [
        b"event: error\ndata: the server is overloaded\n\n",
        b'event: error\ndata: {"message": "overloaded"}\n\n',
        b'data: {"type": "error", "error": "overloaded"}\n\n',
        b'data: {"type": "content_block_delta", "delta": 5, "error": {"message": "overloaded"}}\n\n',
        b'data: {"error": {"type": "overloaded_error", "message": "\\ud83d"}}\n\n',
    ],
)
def test_an_error_is_found_whatever_its_shape(data: bytes) -> None:
    """A3: an error is looked for before an event is called malformed."""
    assert _read([START, data])[2] == FailureClass.OVERLOADED.name
