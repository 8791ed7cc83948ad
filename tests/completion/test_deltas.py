"""The law of the stream: folding the deltas of an answer gives exactly its parts (stream rule 4)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.completion.content import (
    Kind,
    Media,
    Part,
    ProviderSignature,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from paceline_server.completion.deltas import (
    Delta,
    DeltaKind,
    Fold,
    FoldError,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    character_count,
    deltas_of,
    fold,
    merge_adjacent,
)

signatures = st.none() | st.builds(ProviderSignature, st.just("p"), st.binary(max_size=6))
kinds: st.SearchStrategy[Kind] = st.one_of(
    st.builds(Text, st.text(max_size=20)),
    st.builds(Reasoning, st.text(max_size=20), st.binary(max_size=6)),
    st.builds(ToolCall, st.text(max_size=5), st.text(max_size=8), st.text(max_size=20)),
    st.builds(Media, st.just("image/png"), st.binary(max_size=6)),
)
parts_of_an_answer = st.lists(st.builds(Part, kinds, signatures), max_size=5)


def pieces(draw: st.DrawFn, whole: str) -> list[str]:
    """`whole` cut at random places; pieces may be empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    return [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def split(draw: st.DrawFn, kind: Kind) -> list[DeltaKind]:
    """The deltas of one part, cut at random places."""
    match kind:
        case Text(text):
            return [TextDelta(piece) for piece in pieces(draw, text)]
        case Reasoning(text, redacted):
            return [*(ReasoningDelta(piece) for piece in pieces(draw, text)), ReasoningDelta("", redacted)]
        case ToolCall(call_id, name, arguments):
            fragments = (ToolCallDelta("", "", piece) for piece in pieces(draw, arguments))
            return [
                ToolCallDelta(call_id),
                *(ToolCallDelta("", piece) for piece in pieces(draw, name)),
                *fragments,
            ]
        case Media():
            return [kind]
        case ToolResult():
            raise AssertionError("no model answers with a tool result")


@st.composite
def streams(draw: st.DrawFn) -> tuple[tuple[Part, ...], list[Delta]]:
    """Random parts, and deltas that make them: cut at random and interleaved, first indices ascending."""
    parts = draw(parts_of_an_answer)
    waiting: list[list[Delta]] = []
    for index, part in enumerate(parts):
        deltas = [Delta(index, kind) for kind in split(draw, part.kind)]
        if part.signature is not None:
            value = part.signature.value
            cut = draw(st.integers(0, len(value)))
            signed = draw(
                st.lists(st.integers(0, len(deltas) - 1), min_size=1, max_size=2, unique=True).map(sorted)
            )
            values = [value] if len(signed) == 1 else [value[:cut], value[cut:]]
            for at, piece in zip(signed, values, strict=True):
                deltas[at] = Delta(index, deltas[at].kind, ProviderSignature("p", piece))
        waiting.append(deltas)
    stream: list[Delta] = []
    started = 0
    while any(waiting):
        open_parts = [index for index in range(started) if waiting[index]]
        choices = [*open_parts, *([started] if started < len(parts) else [])]
        index = draw(st.sampled_from(choices))
        started = max(started, index + 1)
        stream.append(waiting[index].pop(0))
    return tuple(parts), stream


@given(stream=streams())
def test_folding_the_deltas_gives_the_parts(stream: tuple[tuple[Part, ...], list[Delta]]) -> None:
    """Stream rule 4: fold(deltas) == parts, however the parts were cut and interleaved."""
    parts, deltas = stream

    assert fold(deltas) == parts


@given(stream=streams(), data=st.data())
def test_merging_changes_nothing(stream: tuple[tuple[Part, ...], list[Delta]], data: st.DataObject) -> None:
    """Stream rule 4: what was read together may be written together, in reads of any length."""
    parts, deltas = stream
    cuts = sorted(data.draw(st.lists(st.integers(0, len(deltas)), max_size=4)))
    reads = [deltas[start:end] for start, end in zip([0, *cuts], [*cuts, len(deltas)], strict=True)]

    merged = [delta for read in reads for delta in merge_adjacent(read)]

    assert fold(merged) == parts
    assert len(merged) <= len(deltas)


@given(stream=streams())
def test_merging_leaves_no_neighbours_of_one_part(stream: tuple[tuple[Part, ...], list[Delta]]) -> None:
    """Stream rule 1: one event for what belongs together."""
    merged = merge_adjacent(stream[1])

    indices = [delta.part_index for delta in merged]
    assert all(left != right for left, right in pairwise(indices))
    assert merge_adjacent(merged) == merged


@given(parts=parts_of_an_answer)
def test_the_shortest_stream_folds_to_its_parts(parts: list[Part]) -> None:
    """Stream rule 4: a unary answer, told as deltas, is the same answer."""
    assert fold(deltas_of(parts)) == tuple(parts)


@given(stream=streams())
def test_the_count_of_characters_does_not_depend_on_the_cuts(
    stream: tuple[tuple[Part, ...], list[Delta]],
) -> None:
    """A6: estimates are made from what was seen, not from how it was cut."""
    parts, deltas = stream

    assert Fold(deltas).character_count == Fold(deltas_of(parts)).character_count
    assert Fold(deltas).character_count == sum(character_count(delta.kind) for delta in deltas)


@given(stream=streams(), again=streams())
def test_a_cleared_fold_is_a_new_one(
    stream: tuple[tuple[Part, ...], list[Delta]], again: tuple[tuple[Part, ...], list[Delta]]
) -> None:
    """Stream rule 3: after a retraction what follows starts at part 0."""
    folding = Fold(stream[1])
    folding.clear()
    assert not folding
    assert folding.character_count == 0

    for delta in again[1]:
        folding.add(delta)

    assert folding.parts() == again[0]
    assert bool(folding) == bool(again[1])


@pytest.mark.parametrize("indices", [[1], [-1], [0, 2], [0, 1, 3], [0, 0, -1]])
def test_a_part_that_skips_its_turn_is_refused(indices: list[int]) -> None:
    """Stream rule 4: indices first appear in ascending order from 0."""
    with pytest.raises(FoldError, match="starts where part"):
        fold([Delta(index, TextDelta("x")) for index in indices])


def test_a_refused_delta_leaves_the_fold_as_it_was() -> None:
    """Stream rule 4: a delta out of order is not half taken."""
    folding = Fold([Delta(0, TextDelta("x"))])

    with pytest.raises(FoldError):
        folding.add(Delta(2, TextDelta("y")))

    assert folding.parts() == (Part(Text("x")),)
    assert folding.character_count == 1


PICTURE = Media("image/png", b"x")


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (TextDelta("x"), ReasoningDelta("y"), "part 0 mixes ReasoningDelta and TextDelta"),
        (ToolCallDelta("i"), TextDelta("y"), "part 0 mixes TextDelta and ToolCallDelta"),
        (PICTURE, TextDelta("y"), "part 0 mixes Media and TextDelta"),
        (PICTURE, PICTURE, "part 0 is media and came twice"),
    ],
)
def test_a_part_is_of_one_kind(first: DeltaKind, second: DeltaKind, message: str) -> None:
    """Stream rule 4: a part of two kinds, or media in two pieces, is no part."""
    with pytest.raises(FoldError, match=message):
        fold([Delta(0, first), Delta(0, second)])


def test_a_part_is_signed_by_one_provider() -> None:
    """A8: signatures of two providers are no signature of either, wherever the deltas are joined."""
    deltas = [Delta(0, TextDelta("x"), ProviderSignature(provider, b"s")) for provider in ("p", "q")]

    with pytest.raises(FoldError, match="part 0 is signed by two providers"):
        fold(deltas)
    with pytest.raises(FoldError, match="part 0 is signed by two providers"):
        merge_adjacent(deltas)


def test_a_tool_result_is_no_answer() -> None:
    """Stream rule 4: models call tools, they do not answer for them."""
    with pytest.raises(FoldError, match="tool result"):
        deltas_of([Part(ToolResult("id", ()))])


def test_nothing_folds_to_nothing() -> None:
    """Stream rule 4: an answer without deltas has no parts, and an empty delta makes an empty part."""
    assert fold([]) == ()
    assert fold([Delta(0, TextDelta(""))]) == (Part(Text("")),)
    assert merge_adjacent([]) == []


def test_media_are_never_joined() -> None:
    """Stream rule 1: each media delta is a whole part, and it is the fold that finds one too many."""
    twice = [Delta(0, PICTURE), Delta(0, PICTURE)]

    assert merge_adjacent(twice) == twice
