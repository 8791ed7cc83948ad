"""Whatever comes over the wire, the Gemini adapter answers or fails, the same however it is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paceline_server.completion.content import Message, Role
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import Prompt
from paceline_server.providers.base import Answer
from paceline_server.providers.gemini_request import RequestWriter
from paceline_server.providers.gemini_settings import GeminiSettings
from tests.providers.gemini_reading import gemini_recordings
from tests.providers.gemini_support import (
    FINISHED,
    HELLO,
    a_reader,
    a_request,
    chunk,
    read_events,
    read_whole,
    sse,
)
from tests.providers.recordings_reader import OWN_RECORDINGS
from tests.providers.replay import pieces

_RECORDINGS = [recording for recording in gemini_recordings(OWN_RECORDINGS) if recording.status == 200]
_STREAMS = [recording.body for recording in _RECORDINGS if recording.streamed]
_DOCUMENTS = [recording.body for recording in _RECORDINGS if not recording.streamed]


def _outcome(*events: bytes) -> Answer | tuple[object, str]:
    try:
        return read_events(*events)
    except AttemptFailure as failure:
        return failure.failure_class, failure.message


def _mutated(body: bytes, data: st.DataObject) -> bytes:
    mutated = bytearray(body)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(mutated) - 1))
        mutated[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    return bytes(mutated)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(_STREAMS), st.data())
def test_a_mutated_stream_is_the_same_answer_or_failure_however_it_is_cut(
    stream: bytes, data: st.DataObject
) -> None:
    """A2: whatever a provider sends, nothing but a failure comes of it, and the same from every network."""
    mutated = _mutated(stream, data)
    outcome = _outcome(mutated)
    for seed in data.draw(st.lists(st.integers(0, 2**16), min_size=1, max_size=3)):
        assert _outcome(*pieces(mutated, seed)) == outcome


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(_DOCUMENTS), st.data())
def test_a_mutated_document_is_an_answer_or_a_failure(document: bytes, data: st.DataObject) -> None:
    """A2: the same holds for whole answers."""
    try:
        answer = read_whole(_mutated(document, data))
    except AttemptFailure:
        return
    assert isinstance(answer, Answer)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_a_failure(noise: bytes) -> None:
    """A2: noise is neither an answer nor a crash, as an event or as a document."""
    with pytest.raises(AttemptFailure):
        a_reader().read_document(noise)
    with pytest.raises(AttemptFailure):
        read_events(b"data: " + noise)


_NAMES = st.sampled_from(
    [
        "candidates",
        "content",
        "parts",
        "text",
        "thought",
        "thoughtSignature",
        "functionCall",
        "name",
        "args",
        "id",
        "inlineData",
        "data",
        "index",
        "finishReason",
        "promptFeedback",
        "blockReason",
        "usageMetadata",
        "promptTokenCount",
        "modelVersion",
        "responseId",
        "error",
        "executableCode",
        "avgLogprobs",
    ]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "STOP", "x", "eA=="]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(_JSON)
def test_any_json_is_an_answer_or_a_failure(document: object) -> None:
    """A2: the format's own names in any shape crash nothing, on either way in."""
    told = {"candidates": [{"content": {"parts": [document]}}, document]}
    for body in (document, told, [told, document]):
        assert isinstance(_outcome(sse(body, FINISHED)), Answer | tuple)
        try:
            assert isinstance(read_whole(body), Answer)
        except AttemptFailure:
            continue


_SIGNED = st.fixed_dictionaries({}, optional={"thoughtSignature": st.sampled_from(["YQ==", "Yg=="])})
_PARTS = st.lists(
    st.builds(
        lambda part, signature: part | signature,
        st.fixed_dictionaries({"text": st.text(max_size=3)})
        | st.fixed_dictionaries(
            {"functionCall": st.fixed_dictionaries({"name": st.just("f"), "args": st.just({"a": [1, "é"]})})}
        )
        | st.fixed_dictionaries(
            {"inlineData": st.just({"mimeType": "image/png", "data": "eA=="})},
        )
        | st.fixed_dictionaries({"executableCode": st.just({"language": "PYTHON", "code": "1"})}),
        _SIGNED,
    ),
    max_size=6,
)


@settings(deadline=None)
@given(_PARTS)
def test_what_came_goes_back_as_it_came(parts: list[dict[str, Any]]) -> None:
    """A8: but for texts that join, and those that are empty and bear no signature."""
    answer = read_whole(chunk(*parts, reason="STOP"))
    prompt = Prompt((HELLO, Message(Role.ASSISTANT, answer.parts)))
    sent = json.loads(RequestWriter("acme", GeminiSettings()).body(a_request(prompt)))
    expected: list[dict[str, Any]] = []
    for part in parts:
        unsigned = part.keys() == {"text"}
        if unsigned and expected and expected[-1].keys() == {"text"}:
            expected[-1] = {"text": expected[-1]["text"] + part["text"]}
        elif not unsigned or part["text"]:
            expected.append(part)
    assert [part for content in sent["contents"][1:] for part in content["parts"]] == expected
