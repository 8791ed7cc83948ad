"""Deltas become the answer again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline.v1.chain_pb2 import StreamChainResponse
from paceline.v1.completion_pb2 import (
    Delta,
    Media,
    OutputDiscarded,
    Part,
    ProviderSignature,
    Reasoning,
    ReasoningDelta,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from paceline.v1.race_pb2 import StreamRaceResponse
from paceline_client.fold import Fold, text_of


def text_delta(text: str, index: int = 0) -> Delta:
    """A piece of a text part."""
    return Delta(part_index=index, text=TextDelta(text=text))


def fold(*deltas: Delta) -> list[Part]:
    """The parts of `deltas`."""
    whole = Fold()
    for delta in deltas:
        whole.add(StreamChainResponse(delta=delta))
    return whole.parts


@given(st.lists(st.text(), min_size=1))
def test_text_is_appended(pieces: list[str]) -> None:
    """However a text is cut, its deltas fold to it."""
    assert fold(*(text_delta(piece) for piece in pieces)) == [Part(text=Text(text="".join(pieces)))]


def test_every_kind_of_part_folds() -> None:
    """Reasoning, text, tool calls and media come back whole, in the order of their indices."""
    image = Media(media_type="image/png", data=b"\x89")
    parts = fold(
        Delta(part_index=0, reasoning=ReasoningDelta(text="Hm", redacted_data=b"a")),
        Delta(part_index=0, reasoning=ReasoningDelta(text="m.", redacted_data=b"b")),
        text_delta("Look:", 1),
        Delta(part_index=2, media=image),
        Delta(part_index=3, tool_call=ToolCallDelta(id="c1", name="find")),
        Delta(part_index=3, tool_call=ToolCallDelta(arguments_json_fragment='{"a"')),
        Delta(part_index=3, tool_call=ToolCallDelta(arguments_json_fragment=":1}")),
    )
    assert parts == [
        Part(reasoning=Reasoning(text="Hmm.", redacted_data=b"ab")),
        Part(text=Text(text="Look:")),
        Part(media=image),
        Part(tool_call=ToolCall(id="c1", name="find", arguments_json='{"a":1}')),
    ]
    assert text_of(parts) == "Look:"


def test_parts_may_interleave() -> None:
    """Deltas of parallel tool calls find their own part."""
    parts = fold(
        Delta(part_index=0, tool_call=ToolCallDelta(id="a", name="f", arguments_json_fragment="{")),
        Delta(part_index=1, tool_call=ToolCallDelta(id="b", name="g", arguments_json_fragment="[")),
        Delta(part_index=0, tool_call=ToolCallDelta(arguments_json_fragment="}")),
        Delta(part_index=1, tool_call=ToolCallDelta(arguments_json_fragment="]")),
    )
    assert [part.tool_call.arguments_json for part in parts] == ["{}", "[]"]


def test_a_signature_is_appended() -> None:
    """The pieces of a signature become one, also where a delta brings nothing else."""
    parts = fold(
        text_delta("x"),
        Delta(part_index=0, signature=ProviderSignature(provider="p", value=b"1")),
        Delta(part_index=0, signature=ProviderSignature(provider="p", value=b"2")),
        Delta(part_index=1, signature=ProviderSignature(provider="p", value=b"3")),
    )
    assert parts == [
        Part(text=Text(text="x"), signature=ProviderSignature(provider="p", value=b"12")),
        Part(signature=ProviderSignature(provider="p", value=b"3")),
    ]


def test_discarded_output_is_void() -> None:
    """After `output_discarded` the answer starts again at part 0."""
    whole = Fold()
    whole.add(StreamChainResponse(delta=text_delta("wrong")))
    whole.add(StreamChainResponse(output_discarded=OutputDiscarded(attempt_index=0)))
    assert whole.parts == []
    whole.add(StreamChainResponse(delta=text_delta("right")))
    assert whole.text == "right"


def test_other_and_unknown_events_change_nothing() -> None:
    """A client ignores the events that it does not know."""
    whole = Fold()
    whole.add(StreamChainResponse(delta=text_delta("a")))
    for event in (StreamChainResponse(started=Started(call_id="c")), StreamChainResponse()):
        whole.add(event)
    assert repr(whole) == "<Fold parts=1 text='a'>"


def test_a_race_folds_the_winner_only() -> None:
    """In a race `delta` is the winner's; the deltas of other candidates are not the answer."""
    whole = Fold()
    whole.add(StreamRaceResponse(delta=text_delta("won")))
    loser = StreamRaceResponse()
    loser.candidate_delta.delta.CopyFrom(text_delta("lost"))
    whole.add(loser)
    assert whole.text == "won"


@pytest.mark.parametrize(
    "deltas",
    [
        [text_delta("a", 1)],
        [text_delta("a", -1)],
        [text_delta("a"), Delta(part_index=0, reasoning=ReasoningDelta(text="b"))],
    ],
)
def test_a_stream_that_breaks_the_law_is_refused(deltas: list[Delta]) -> None:
    """A gap in the indices, or another kind within a part, is no answer."""
    with pytest.raises(ValueError, match="part"):
        fold(*deltas)
