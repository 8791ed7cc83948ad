"""Whatever comes over the wire, every format's adapter answers or fails, the same however it is cut."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline_server.completion.answer import Ending
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Part
from paceline_server.completion.deltas import Delta, fold
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.event_stream import AnswerReader, EventStream
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.http import ProviderResponse
from paceline_server.providers.openai_answer import OpenAIReader
from paceline_server.providers.openai_failures import OPENAI_FAILURES
from tests.providers import anthropic_support, gemini_support
from tests.providers.anthropic_reading import message_recordings
from tests.providers.gemini_reading import gemini_recordings
from tests.providers.openai_reading import chat_recordings
from tests.providers.recordings_reader import OWN_RECORDINGS, Recording
from tests.providers.replay import pieces

Outcome = tuple[tuple[Part, ...], Ending | tuple[FailureClass, str]]


@dataclass(frozen=True)
class _Format:
    """One wire format: how it is read, and what its answers are made of."""

    reader: Callable[[], AnswerReader]
    recordings: Sequence[Recording]
    names: str
    values: str
    frames: Sequence[str]

    @property
    def bodies(self) -> list[bytes]:
        """The bodies of the recorded answers."""
        return [recording.body for recording in self.recordings if recording.status == 200]

    def made_up(self) -> st.SearchStrategy[list[str]]:
        """Events of any shape, most of them within the format's own frames."""
        values = st.sampled_from(["", "x", "eA==", *self.values.split()])
        shapes = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | values,
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(self.names.split()), inner, max_size=4)
            ),
            max_leaves=12,
        )
        frames = st.sampled_from(["?", *self.frames])
        return st.lists(st.builds(lambda frame, shape: frame.replace("?", json.dumps(shape)), frames, shapes))


_FORMATS = {
    "openai": _Format(
        lambda: OpenAIReader("acme", FailureClassifier(OPENAI_FAILURES)),
        chat_recordings(OWN_RECORDINGS),
        "choices index delta content refusal reasoning reasoning_details type text thinking data signature "
        "tool_calls id function name arguments function_call finish_reason usage prompt_tokens cost error "
        "logprobs token logprob tokens token_logprobs",
        "stop error text thinking",
        [
            '{"choices":[{"delta":?}]}',
            '{"choices":[{"delta":{"content":"a","tool_calls":[?]}}]}',
            '{"choices":[?]}',
            '{"choices":[{"logprobs":{"content":[?],"tokens":?}}]}',
            '{"choices":[{"finish_reason":"stop"}],"usage":?}',
        ],
    ),
    "anthropic": _Format(
        anthropic_support.a_reader,
        message_recordings(OWN_RECORDINGS),
        "type index delta content_block message usage error text thinking signature partial_json id name "
        "input content stop_reason input_tokens",
        "text thinking tool_use text_delta input_json_delta signature_delta new end_turn message_stop",
        [
            '{"type":"message_start","message":?}',
            '{"type":"content_block_start","index":0,"content_block":?}',
            '{"type":"content_block_delta","index":0,"delta":?}',
            '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":?}',
            '{"type":"message_stop"}',
        ],
    ),
    "gemini": _Format(
        gemini_support.a_reader,
        gemini_recordings(OWN_RECORDINGS),
        "candidates content parts text thought thoughtSignature functionCall name args id inlineData data "
        "index finishReason promptFeedback blockReason usageMetadata promptTokenCount modelVersion error "
        "responseId executableCode avgLogprobs logprobsResult chosenCandidates token logProbability",
        "STOP SAFETY 1",
        [
            '{"candidates":[{"content":{"parts":[?]}}]}',
            '{"candidates":[?]}',
            '{"candidates":[{"finishReason":"STOP"}],"usageMetadata":?}',
        ],
    ),
}
_every_format = pytest.mark.parametrize("wire", _FORMATS.values(), ids=_FORMATS)
_SEEDS = st.integers(0, 2**16)


class _Body(httpx.AsyncByteStream):
    """A body that arrives in these pieces."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


async def _read(wire: _Format, chunks: Iterable[bytes]) -> Outcome:
    stream = EventStream(
        ProviderResponse(httpx.Response(200, stream=_Body(chunks))),
        wire.reader(),
        max_event_bytes=1 << 20,
        max_answer_bytes=1 << 20,
        finish_patience=60.0,
    )
    deltas: list[Delta] = []
    try:
        while (more := await stream.read()) is not None:
            deltas += more
    except AttemptFailure as failure:
        return fold(deltas), (failure.failure_class, failure.message)
    return fold(deltas), stream.ending


class _Reading:
    """Reads bodies on one event loop."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def outcome(self, wire: _Format, body: bytes, *seeds: int) -> Outcome:
        """What comes of `body`, which is the same whole, cut at random and a byte at a time."""
        whole = self._runner.run(_read(wire, [body]))
        for seed in seeds:
            assert self._runner.run(_read(wire, pieces(body, seed))) == whole
        assert self._runner.run(_read(wire, (body[place : place + 1] for place in range(len(body))))) == whole
        return whole


@pytest.fixture(scope="module")
def reading() -> Iterator[_Reading]:
    """What reads the bodies of this module."""
    with asyncio.Runner() as runner:
        yield _Reading(runner)


@_every_format
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_mutated_answer_is_the_same_answer_or_failure_however_it_is_cut(
    reading: _Reading, wire: _Format, data: st.DataObject
) -> None:
    """A2: whatever a provider sends, nothing but a failure comes of it, and the same from every network."""
    mutated = bytearray(data.draw(st.sampled_from(wire.bodies)))
    odd = st.sampled_from(
        [b'"', b"{}", b"null", b"\\ud83d", b"-1", b"[", b"\n", b"\r", b"\n\n", b"}\n\ndata: {"]
    )
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(mutated) - 1))
        mutated[place : place + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=3) | odd)
    reading.outcome(wire, bytes(mutated), data.draw(_SEEDS), data.draw(_SEEDS))


@_every_format
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_json_is_an_answer_or_a_failure(reading: _Reading, wire: _Format, data: st.DataObject) -> None:
    """A2: the format's own names in any shape crash nothing, on either way in."""
    events = data.draw(wire.made_up())
    reading.outcome(wire, "".join(f"data: {event}\n\n" for event in events).encode(), data.draw(_SEEDS))
    for document in events[:1]:
        reading.outcome(wire, document.encode(), data.draw(_SEEDS))


@_every_format
@settings(deadline=None)
@given(noise=st.binary(max_size=300), seed=_SEEDS)
def test_random_bytes_are_a_failure(reading: _Reading, wire: _Format, noise: bytes, seed: int) -> None:
    """A2: noise is neither an answer nor a crash, as an event or as a document."""
    for body in (noise, b"data: " + noise, b"data: {" + noise + b"}\n\n", b"{" + noise):
        assert not isinstance(reading.outcome(wire, body, seed)[1], Ending)


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"choices":[{"delta":{"content":"a"}}\n\ndata: {"finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[{"finish_reason":"stop"}]},{"choices":[]}\n\n',
        b'data: {\n"choices":[{"finish_reason":"stop"}]}\n\n',
        b'data: {"choices":[{"finish_reason":"stop"}]\r}\n\n',
    ],
)
def test_events_that_are_json_only_together_are_a_failure(reading: _Reading, body: bytes) -> None:
    """A2: what comes in one piece is no better than what comes in many."""
    assert not isinstance(reading.outcome(_FORMATS["openai"], body)[1], Ending)
