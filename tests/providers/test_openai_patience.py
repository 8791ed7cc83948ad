"""How long the OpenAI adapter waits where nothing more is needed, to the virtual second."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Part, Text
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.openai import OpenAIProvider
from paceline_server.providers.profile import Profile
from tests.providers.openai_support import a_request, streamed
from tests.virtual_time import now, virtual_time

_PING = b": ping\n\n"


class _Paced(httpx.AsyncByteStream):
    """Pieces, each after its seconds; then nothing more, and no end."""

    def __init__(self, pieces: Sequence[tuple[float, bytes]]) -> None:
        self._pieces = pieces
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for seconds, piece in self._pieces:
            await asyncio.sleep(seconds)
            yield piece
        await asyncio.sleep(3600)

    async def aclose(self) -> None:
        self.closed = True


def _provider(status: int, body: _Paced) -> OpenAIProvider:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, stream=body))
    return OpenAIProvider("acme", "http://acme/v1", transport=transport, profile_of=lambda _: Profile())


def _event(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


@pytest.mark.parametrize(
    ("pieces", "text", "seconds"),
    [
        ([(0, _event("a", "stop"))], "a", 2.0),
        ([(0, _event("a")), (30, _event("", "stop"))], "a", 32.0),
        ([(0, _event("a", "stop")), *[(0.5, _PING)] * 100], "a", 2.0),
        ([(0, _event("a", "stop")), (1.5, _event("b", "stop")), (1.5, _event("c", "stop"))], "abc", 5.0),
    ],
)
@virtual_time
async def test_an_answer_ends_two_seconds_after_its_finish_reason(
    pieces: Sequence[tuple[float, bytes]], text: str, seconds: float
) -> None:
    """A2: the end is waited for, pings are nothing, and content starts the wait anew."""
    body = _Paced(pieces)
    answer = await streamed(_provider(200, body))
    assert (answer.parts, now(), body.closed) == ((Part(Text(text)),), seconds, True)


@virtual_time
async def test_an_explanation_is_waited_for_one_second() -> None:
    """A3: an error whose body drips without end is classed by what came in a second."""
    body = _Paced([(0.4, b"context "), (0.4, b"length"), (0.4, b"!")])
    with pytest.raises(AttemptFailure) as caught:
        await _provider(400, body).complete(a_request())
    assert (caught.value.failure_class, now(), body.closed) == (FailureClass.CONTEXT_TOO_LONG, 1.0, True)
