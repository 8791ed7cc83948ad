"""The decoder of server-sent events."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline_server.providers.sse import EventTooLargeError, SseDecoder, SseEvent

_TOKENS = st.sampled_from(
    [
        b"data: ",
        b"data:",
        b"data",
        b"event: ",
        b"event:",
        b": comment",
        b"id: 7",
        b"x",
        b" ",
        b"\n",
        b"\n\n",
        b"\r",
        b"\r\n",
        b"\r\n\r\n",
        b"\xef\xbb\xbf",
        "\u2028\u0085".encode(),
        b"\x0b\x0c",
    ]
)
_STREAMS = st.lists(_TOKENS, max_size=30).map(b"".join)


def _decoded(*chunks: bytes, max_event_bytes: int = 1000) -> list[SseEvent]:
    decoder = SseDecoder(max_event_bytes)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.end()


def _cut(stream: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(stream) + 1) for place in places)
    return [stream[start:end] for start, end in zip([0, *ends], [*ends, len(stream)], strict=True)]


@settings(deadline=None)
@given(_STREAMS, st.lists(st.integers(min_value=0), max_size=20))
def test_events_do_not_depend_on_how_the_stream_is_cut(stream: bytes, places: list[int]) -> None:
    """Wire rule 7: any split of the same bytes gives the same events."""
    assert _decoded(*_cut(stream, places)) == _decoded(stream)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=8), max_size=20))
def test_any_bytes_are_decoded_without_an_error(chunks: list[bytes]) -> None:
    """A2: what a provider sends may be nonsense, and is then no event."""
    assert all(isinstance(event, SseEvent) for event in _decoded(*chunks))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_at_lf_cr_and_crlf(end: bytes) -> None:
    """Wire rule 7: all three line ends separate lines and events."""
    stream = end.join([b"event: error", b"data: a", b"data: b", b"", b": ping", b"", b"data:c", b"", b""])
    assert _decoded(stream) == [SseEvent(b"a\nb", b"error"), SseEvent(b"c")]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"event: a\ndata: 1\n\nevent: b\ndata: 2\n\n", [SseEvent(b"1", b"a"), SseEvent(b"2", b"b")]),
        (b"event: a\ndata: 1\ndata: 2\n\ndata: 3\n\n", [SseEvent(b"1\n2", b"a"), SseEvent(b"3")]),
        (b"data: 1\nevent: a\ndata: 2\n\n", [SseEvent(b"1\n2", b"a")]),
        (b"event: a\nevent: b\ndata: 1\n\n", [SseEvent(b"1", b"b")]),
        (b"event: a\ndata: 1\rdata: 2\n\n", [SseEvent(b"1\n2", b"a")]),
        (b"event: a\ndata: 1\n\revent: b\ndata: 2", [SseEvent(b"1", b"a"), SseEvent(b"2", b"b")]),
        (b"event: a\ndata: 1\n", [SseEvent(b"1", b"a")]),
    ],
)
def test_a_named_event_is_the_same_whole_and_in_bytes(stream: bytes, events: list[SseEvent]) -> None:
    """Wire rule 7: what is decoded at once, because it usually looks so, is what its lines say."""
    assert _decoded(stream) == events
    assert _decoded(*(bytes([byte]) for byte in stream)) == events


def test_a_named_event_above_the_bound_is_refused() -> None:
    """A2: a name does not make an event larger than others may be."""
    with pytest.raises(EventTooLargeError):
        _decoded(b"event: a\ndata: " + b"x" * 1001 + b"\n\n")


@pytest.mark.parametrize(
    "stream",
    [
        b"data: a\n\ndata: b\n\n",
        b"data: a\ndata: b\n\ndata: c\n\n",
        b"event: e\ndata: a\n\ndata: b\n\n",
        b": ping\n\ndata: a\n\nid: 7\n\n",
        b"data: a\n\n\n\ndata: b\n",
        b"data:a\n\ndata: \n\n",
    ],
)
def test_streams_with_crlf_say_what_those_with_lf_say(stream: bytes) -> None:
    """Wire rule 7: the short way for Google's servers gives the same events, whole, in bytes and mixed."""
    crlf = stream.replace(b"\n", b"\r\n")
    events = _decoded(stream)
    assert _decoded(crlf) == events
    assert _decoded(*(bytes([byte]) for byte in crlf)) == events
    assert _decoded(crlf + stream) == _decoded(stream + stream)


def test_a_crlf_event_above_the_bound_is_refused() -> None:
    """A2: the short way has the same bound."""
    line = b"data: " + b"x" * 1001 + b"\r\n\r\n"
    with pytest.raises(EventTooLargeError):
        SseDecoder(1000).feed(line)
    assert SseDecoder(1010).feed(line) == [SseEvent(b"x" * 1001)]


def test_other_separators_stay_inside_a_line() -> None:
    """Wire rule 7: U+2028, U+2029, U+0085, VT and FF do not end a line."""
    text = "a\u2028b\u2029c\u0085d\x0be\x0cf".encode()
    assert _decoded(b"data: " + text + b"\n\n") == [SseEvent(text)]


def test_a_crlf_between_two_chunks_is_one_line_end() -> None:
    """Wire rule 7: CR at the end of one chunk and LF at the start of the next are one end."""
    assert _decoded(b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n") == [SseEvent(b"a\nb")]


def test_a_byte_order_mark_may_come_in_pieces() -> None:
    """Wire rule 7: a mark before the first line is no part of it, and one later is."""
    assert _decoded(b"\xef", b"\xbb", b"\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n") == [SseEvent(b"a")]


def test_comments_and_fields_without_meaning_give_nothing() -> None:
    """A1: pings and comments are no content."""
    assert _decoded(b": OPENROUTER PROCESSING\n\nid: 1\nretry: 5\n\nevent: ping\n\n") == []


def test_an_unfinished_event_is_given_at_the_end() -> None:
    """A2: the last event lacks only its blank line; whether it is whole, its data decide."""
    assert _decoded(b"data: [DO", b"NE]") == [SseEvent(b"[DONE]")]


@pytest.mark.parametrize(
    "stream",
    [
        b"data: " + b"x" * 1001 + b"\n\n",
        b"data: xxxxxxxx\n" * 120,
        b"data: " + b"x" * 1100,
        b": " + b"x" * 2000,
    ],
)
def test_an_event_above_the_bound_is_refused_as_soon_as_it_is_known(stream: bytes) -> None:
    """A2: an event is bounded, whole or in lines, finished or not, and so is what is kept of it."""
    with pytest.raises(EventTooLargeError):
        _decoded(*(stream[start : start + 50] for start in range(0, len(stream), 50)))


def test_the_bound_is_for_one_event_and_not_for_the_stream() -> None:
    """A2: a long stream of small events is no large event."""
    assert len(_decoded(b"data: " + b"x" * 500 + b"\n\n", *[b"data: " + b"x" * 500 + b"\n\n"] * 9)) == 10
