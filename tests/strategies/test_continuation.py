"""What is asked of a target that goes on with an answer, and how the pieces are joined (C5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.completion.content import (
    Media,
    Message,
    Part,
    ProviderSignature,
    Reasoning,
    Role,
    Text,
    ToolCall,
)
from paceline_server.completion.deltas import Delta, ReasoningDelta, TextDelta, ToolCallDelta, fold
from paceline_server.completion.prompt import GenerationConfig
from paceline_server.strategies.continuation import JoinedAnswer, prefilled
from tests.strategies.world import PROMPT

SIGNED = ProviderSignature("a", b"proof")


def words(*texts: str, part: int = 0) -> list[Delta]:
    """One delta a text."""
    return [Delta(part, TextDelta(text)) for text in texts]


def thoughts(*texts: str, part: int = 0) -> list[Delta]:
    """One delta a thought."""
    return [Delta(part, ReasoningDelta(text)) for text in texts]


def joined(first: list[Delta], *others: list[Delta]) -> tuple[JoinedAnswer, list[Delta]]:
    """The deltas of attempts that go on with one another, and what the caller gets of them."""
    answer = JoinedAnswer()
    given_out = [answer.take(delta) for delta in first]
    for deltas in others:
        answer.go_on()
        given_out += [answer.take(delta) for delta in deltas]
    told = [delta for delta in given_out if delta is not None]
    assert fold(told) == answer.parts()
    return answer, told


def text_of(answer: JoinedAnswer) -> str:
    """All text of an answer."""
    return "".join(part.kind.text for part in answer.parts() if isinstance(part.kind, Text))


# What can be gone on from


def test_the_text_alone_is_gone_on_from() -> None:
    """C5: thoughts are their model's own, and stay with their signature in the caller's answer only."""
    first = [*thoughts("let me ", "see"), Delta(0, ReasoningDelta(), SIGNED), *words("It ", "is", part=1)]

    answer, _ = joined(first, words(" so"))

    assert answer.text == "It is so"
    assert answer.parts() == (Part(Reasoning("let me see"), SIGNED), Part(Text("It is so")))


@pytest.mark.parametrize(
    "deltas",
    [
        [],
        thoughts("hm"),
        words(" \n"),
        [*words("so"), Delta(1, ToolCallDelta("id", "look_up"))],
        [*words("so"), Delta(1, ToolCallDelta("id", "look_up", "{}"))],
        [*words("so"), Delta(1, Media("image/png", b"png"))],
        [Delta(0, TextDelta("mixed")), Delta(0, ReasoningDelta("up"))],
    ],
    ids=["nothing", "thoughts", "white space", "part of a call", "a call", "media", "a mixture"],
)
def test_nothing_else_is_gone_on_from(deltas: list[Delta]) -> None:
    """C5: what no prefill can hold is started over."""
    answer = JoinedAnswer()
    for delta in deltas:
        answer.take(delta)

    assert answer.text == ""


def test_white_space_at_the_end_is_not_sent() -> None:
    """C5: some providers refuse a beginning that ends in white space."""
    assert joined(words("It is ", "so. \n\n"))[0].text == "It is so."


def test_what_was_discarded_is_not_gone_on_from() -> None:
    """C5: after a retraction the answer is empty, and what comes is taken as it comes."""
    answer, _ = joined(words("It is "), words("not"))
    answer.clear()

    assert answer.text == ""
    assert answer.take(Delta(0, TextDelta(" new"))) == Delta(0, TextDelta(" new"))


# How pieces are joined


def test_text_goes_on_in_the_part_where_it_broke_off() -> None:
    """C5: a word that was cut in two is one word again, in one part."""
    answer, told = joined([*thoughts("hm"), *words("gate", part=1)], words("wa", "y"))

    assert answer.parts() == (Part(Reasoning("hm")), Part(Text("gateway")))
    assert [delta.part_index for delta in told] == [0, 1, 1, 1]


def test_thoughts_of_who_goes_on_are_a_part_of_their_own() -> None:
    """C5: they come after what stands, and the text after them goes on where it broke off all the same."""
    answer, told = joined(words("It is"), [*thoughts("hm"), *words(" so", part=1)])

    assert answer.parts() == (Part(Text("It is so")), Part(Reasoning("hm")))
    assert [delta.part_index for delta in told] == [0, 1, 0]
    assert answer.text == "It is so"


def test_what_is_no_text_comes_after_what_stands() -> None:
    """C5: tool calls, interleaved ones too, and texts after them get the next indices, in their order."""
    calls = [Delta(1, ToolCallDelta("1", "f")), Delta(2, ToolCallDelta("2", "g"))]
    calls += [Delta(1, ToolCallDelta(arguments_json_fragment="{}")), *words("after", part=3)]

    answer, told = joined([*thoughts("hm"), *words("so", part=1)], [*words(" I look", part=0), *calls])

    assert [delta.part_index for delta in told] == [0, 1, 1, 2, 3, 2, 4]
    assert answer.parts()[1:] == (
        Part(Text("so I look")),
        Part(ToolCall("1", "f", "{}")),
        Part(ToolCall("2", "g", "")),
        Part(Text("after")),
    )


def test_a_text_after_a_tool_call_is_not_what_broke_off() -> None:
    """C5: who goes on with a tool call has ended the text; what is said after it is a part of its own."""
    answer, _ = joined(words("so"), [Delta(0, ToolCallDelta("1", "f", "{}")), *words("after", part=1)])

    assert answer.parts() == (Part(Text("so")), Part(ToolCall("1", "f", "{}")), Part(Text("after")))


def test_a_signed_text_is_not_written_on() -> None:
    """C5: a signature vouches for the text that its provider wrote, so what follows is a part of its own."""
    own = ProviderSignature("b", b"own")
    first = [Delta(0, TextDelta("It is "), SIGNED)]

    answer, _ = joined(first, [Delta(0, TextDelta(" so"), own)])

    assert answer.parts() == (Part(Text("It is "), SIGNED), Part(Text("so"), own))
    assert answer.text == "It is so"


def test_a_signature_of_half_a_text_is_not_that_of_the_whole() -> None:
    """C5: who goes on signs his own words only; on the joined part that would be no proof."""
    answer, told = joined(words("It is"), [*words(" so"), Delta(0, TextDelta(""), SIGNED)])

    assert answer.parts() == (Part(Text("It is so")),)
    assert len(told) == 2


def test_the_last_text_is_what_broke_off() -> None:
    """C5: of several texts the last is gone on with, and all of them are the beginning."""
    answer, _ = joined([*words("Well."), *thoughts("hm", part=1), *words(" It is", part=2)], words(" so"))

    assert answer.text == "Well. It is so"
    assert answer.parts() == (Part(Text("Well.")), Part(Reasoning("hm")), Part(Text(" It is so")))


def test_an_answer_may_be_gone_on_with_again_and_again() -> None:
    """C5: each goes on from all that stands, thoughts in between or not."""
    pieces = [words(" two"), thoughts("hm"), [*thoughts("hm"), *words(" three", part=1)], words(" four")]

    answer, _ = joined(words("one"), *pieces)

    assert text_of(answer) == "one two three four"
    assert answer.parts()[0] == Part(Text("one two three four"))


@pytest.mark.parametrize(
    ("delivered", "follows", "whole"),
    [
        ("It is", " so", "It is so"),
        ("It is ", "so", "It is so"),
        ("It is ", " so", "It is so"),
        ("It is\n\n", "\n\nso", "It is\n\nso"),
        ("It is\n\n", "\nso", "It is\n\nso"),
        ("It is\n", "\n\nso", "It is\n\nso"),
        ("It is\n", " so", "It is\n so"),
        ("It is \n", "\n so", "It is \n\n so"),
        ("It is ", " ", "It is "),
        ("It is", "", "It is"),
    ],
)
@pytest.mark.parametrize("cut", [False, True])
def test_white_space_between_is_there_once(delivered: str, follows: str, whole: str, *, cut: bool) -> None:
    """C5: what was delivered and not sent may come again; only what is the very same is dropped."""
    answer, _ = joined(words(delivered), words(*follows) if cut else words(follows))

    assert text_of(answer) == whole


pieces = st.lists(st.text("a \n", min_size=1, max_size=4), min_size=1, max_size=5)


@given(delivered=pieces, follows=st.lists(pieces, min_size=1, max_size=3))
def test_no_word_is_lost_or_doubled(delivered: list[str], follows: list[list[str]]) -> None:
    """Stream rule 4, C5: whatever the pieces, what is not white space is all there, once and in order."""
    if not "".join(delivered).strip():
        delivered = ["a", *delivered]

    answer, _ = joined(words(*delivered), *(words(*texts) for texts in follows))

    everything = "".join(delivered) + "".join(text for texts in follows for text in texts)
    whole = text_of(answer)
    assert "".join(whole.split()) == "".join(everything.split())
    assert len(whole) <= len(everything)


# What is asked


def test_the_beginning_is_the_assistants_last_message() -> None:
    """C5: the prompt as it was, and the text so far."""
    prompt = prefilled(PROMPT, "It is")

    assert prompt == replace(
        PROMPT, messages=(*PROMPT.messages, Message(Role.ASSISTANT, (Part(Text("It is")),)))
    )


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((Part(Text("Well, ")),), (Part(Text("Well, it is")),)),
        ((Part(Text("Well, "), SIGNED),), (Part(Text("Well, "), SIGNED), Part(Text("it is")))),
        ((Part(Reasoning("hm")),), (Part(Reasoning("hm")), Part(Text("it is")))),
        ((), (Part(Text("it is")),)),
    ],
)
def test_a_beginning_that_the_caller_made_is_kept(
    parts: tuple[Part, ...], expected: tuple[Part, ...]
) -> None:
    """C5: two messages of the assistant in a row are not one to every provider."""
    begun = replace(PROMPT, messages=(*PROMPT.messages, Message(Role.ASSISTANT, parts)))

    assert prefilled(begun, "it is").messages == (*PROMPT.messages, Message(Role.ASSISTANT, expected))


@pytest.mark.parametrize(("limit", "left"), [(None, None), (100, 90), (10, 1), (1, 1)])
def test_the_limit_of_the_answer_is_what_is_left_of_it(limit: int | None, left: int | None) -> None:
    """C5: the answer as a whole keeps to the caller's limit, by an estimate of what stands."""
    prompt = replace(PROMPT, config=GenerationConfig(max_output_token_count=limit))

    assert prefilled(prompt, "abcd" * 10).config.max_output_token_count == left
