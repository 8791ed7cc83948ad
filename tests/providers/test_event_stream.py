"""A streamed answer whose events are read many at a time: the same as one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import httpx
import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Part, Text
from paceline_server.completion.deltas import Delta, fold
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.event_stream import EventStream
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.http import ProviderResponse
from paceline_server.providers.openai_answer import OpenAIReader
from paceline_server.providers.openai_failures import OPENAI_FAILURES

_MARK = b"\xef\xbb\xbf"
_END = b'data: {"choices":[{"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class _Body(httpx.AsyncByteStream):
    """A body that arrives in these pieces."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def _event(text: str) -> bytes:
    return b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n' % text.encode()


async def _read(*pieces: bytes, max_event_bytes: int = 200) -> tuple[Part, ...]:
    stream = EventStream(
        ProviderResponse(httpx.Response(200, stream=_Body(pieces))),
        OpenAIReader("acme", FailureClassifier(OPENAI_FAILURES)),
        max_event_bytes=max_event_bytes,
        max_answer_bytes=1 << 20,
        finish_patience=60.0,
    )
    deltas: list[Delta] = []
    while (more := await stream.read()) is not None:
        deltas += more
    return fold(deltas)


@pytest.mark.parametrize("before", [b"", _event("a")])
@pytest.mark.parametrize("after", [b"", _END])
async def test_an_event_above_the_bound_is_refused_in_one_piece(before: bytes, after: bytes) -> None:
    """A2: one event is bounded also where it arrives whole, first or among others."""
    with pytest.raises(AttemptFailure) as caught:
        await _read(before + _event("x" * 300) + after, _END)
    assert (caught.value.failure_class, "200" in caught.value.message) == (
        FailureClass.MALFORMED_RESPONSE,
        True,
    )


async def test_small_events_in_a_piece_above_the_bound_are_read() -> None:
    """A2: the bound is for one event, and not for what the network brings at a time."""
    assert await _read(_event("a") * 50 + _END) == (Part(Text("a" * 50)),)


@pytest.mark.parametrize("mark", [(_MARK,), (_MARK[:1], _MARK[1:2], _MARK[2:])])
async def test_a_byte_order_mark_is_dropped_at_the_very_start_only(mark: Sequence[bytes]) -> None:
    """Wire rule 7: later the same bytes belong to the name of a field, which then is none that is known."""
    first = (*mark[:-1], mark[-1] + _event("a"))
    later = (_event("b"), *mark[:-1], mark[-1] + _event("c"))
    assert await _read(*first, *later, _END) == (Part(Text("ab")),)
    assert await _read(*later, _END) == (Part(Text("b")),)
