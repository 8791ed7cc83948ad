"""Which tokens the confidence of an answer is taken from, and how (R5)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.completion.answer import Confidence, ConfidenceSource
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.openai_answer import OpenAIReader
from paceline_server.providers.openai_failures import OPENAI_FAILURES
from paceline_server.providers.token_confidence import Token, TokenMeter, tokens_of
from tests.providers.openai_reading import chat_recordings
from tests.providers.recordings_reader import required_corpus

SURE, UNSURE = math.log(1.0), math.log(0.5)


def metered(tokens: Sequence[Token]) -> float | None:
    """The confidence of an answer of these tokens."""
    meter = TokenMeter()
    meter.add(tokens)
    confidence = meter.confidence()
    if confidence is None:
        return None
    assert confidence.source is ConfidenceSource.LOGPROBS
    return confidence.value


def counted(*texts: str) -> list[str]:
    """Those tokens of an answer whose probability counts."""
    return [
        text
        for place, text in enumerate(texts)
        if metered([(each, UNSURE if at == place else SURE) for at, each in enumerate(texts)]) != 1.0
    ]


def openai_reader() -> OpenAIReader:
    """A reader of chat completions."""
    return OpenAIReader("acme", FailureClassifier(OPENAI_FAILURES))


def openai_confidence(*messages: tuple[dict[str, Any], list[tuple[str, float]]]) -> float | None:
    """The confidence of a streamed chat completion of these pieces, each with its tokens."""
    reader = openai_reader()
    for message, tokens in messages:
        content = [{"token": token, "logprob": value} for token, value in tokens]
        choice = {"delta": message, "logprobs": {"content": content}, "finish_reason": "stop"}
        reader.read_event(json.dumps({"choices": [choice]}).encode(), b"")
    reader.finish()
    confidence = reader.ending().confidence
    return None if confidence is None else confidence.value


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("Hello", "!", " How", " are", " you", "?", "\n"), ["Hello", " How", " are", " you"]),
        (
            ('{"', "city", '":', ' "', "Paris", '",', ' "', "n", '":', " ", "42", "}"),
            ["city", "Paris", "n", "42"],
        ),
        (("```", "json", "\n", "{", "1", "}", "\n", "```"), ["1"]),
        (("```python\n", "x", " =", " 1", "\n```\n", "done"), ["x", " 1", "done"]),
        (("so", " ```", "sh", " -x", "\nls", "\n", "```", "\n", "ok"), ["so", "\nls", "ok"]),
        (("- ", "**", "bold", "**", " |", " ~"), ["bold"]),
        (("東京", "。", "、", "👍", " €"), ["東京", "👍", " €"]),
        (("yes", "<|eot_id|>", "</s>", "<｜end▁of▁sentence｜>", ""), ["yes"]),  # noqa: RUF001
        (("!", " ", "?!", "\n"), ["!", "?!"]),
        (("+", "<|im_end|>"), ["+"]),
        (("\n", " ", "\u200b", ""), []),
    ],
)
def test_what_says_something_counts(texts: tuple[str, ...], expected: list[str]) -> None:
    """R5: words, numbers and signs count; layout does not, unless the answer is nothing but punctuation."""
    if expected:
        assert counted(*texts) == expected
    else:
        assert metered([(text, SURE) for text in texts]) is None


def test_the_mean_is_of_probabilities() -> None:
    """R5: the mean of the probabilities, not of their logarithms; what was all but impossible counts as 0."""
    assert metered([("a", math.log(0.5)), ("b", 0.0), (" ", -3.0)]) == pytest.approx(0.75)
    assert metered([("a", 0.0), ("b", -9999.0)]) == 0.5
    assert metered([("a", 0.0), ("b", -math.inf), (None, 0.0), (None, -1e308)]) == 0.5
    assert metered([("a", 1e-9)]) == 1.0


def test_what_is_not_told_is_not_counted() -> None:
    """R5: null and what is no number are not told; where nothing is told there is no confidence."""
    assert metered([("a", 0.0), ("b", None), ("c", math.nan), ("d", math.inf)]) == 1.0
    assert metered([("b", None), ("c", math.nan)]) is None
    assert metered([]) is None


def test_a_fence_whose_info_is_not_told_stays_a_fence() -> None:
    """R5: the end of a fence's line is found whether or not the probabilities of its tokens are told."""
    assert metered([("```", None), ("json", None), ("\n", None), ("a", UNSURE)]) == 0.5


@given(st.lists(st.tuples(st.none() | st.text(max_size=6), st.none() | st.floats())))
def test_a_confidence_is_from_0_to_1(tokens: list[Token]) -> None:
    """R5: whatever a provider tells, the confidence is from 0 to 1, or there is none."""
    confidence = metered(tokens)
    assert confidence is None or 0 <= confidence <= 1


@given(st.lists(st.tuples(st.text(max_size=6), st.floats(max_value=0))), st.integers(0, 9))
def test_it_does_not_matter_in_which_pieces_the_tokens_come(tokens: list[Token], cut: int) -> None:
    """R5: a streamed answer is as sure as the same whole one."""
    meter = TokenMeter()
    meter.add(tokens[:cut])
    meter.add(tokens[cut:])
    confidence = meter.confidence()
    assert (confidence and confidence.value) == metered(tokens)


@pytest.mark.parametrize(
    ("answer", "texts", "place"),
    [
        ("\n\n4", ("<think>", "2+2=", "4", "</think>", "\n\n", "4", "<|im_end|>"), 5),
        ("end", ("it ends", "end", "<|im_end|>"), 1),
        ("a b", ("thought a", " b"), 0),
        ("whole", ("whole",), 0),
        ("", ("thought",), 1),
        ("é", ("thought", "\\xc3", "\\xa9"), 3),
        ("x", (), 0),
    ],
)
def test_the_answer_is_told_apart_from_the_thoughts(answer: str, texts: tuple[str, ...], place: int) -> None:
    """R5: where thoughts and answer come in one list, the tokens that spell the answer are its own."""
    tokens: list[Token] = [(text, -1.0) for text in texts]
    assert tokens_of(answer, tokens) == [
        token for token in tokens[place:] if not str(token[0]).startswith("<|")
    ]


def test_thoughts_of_a_stream_do_not_count() -> None:
    """R5: tokens that come with thoughts are theirs, those that come with text or a call the answer's."""
    thought = ({"reasoning_content": "hm"}, [("hm", math.log(0.01))])
    call = {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}
    assert openai_confidence(thought, ({"content": "4"}, [("4", UNSURE)])) == 0.5
    assert openai_confidence(thought, (call, [("f", UNSURE)])) == 0.5
    assert openai_confidence(({"reasoning": "hm"}, [("hm", SURE)])) is None


def test_thoughts_of_a_whole_answer_do_not_count() -> None:
    """R5: of a message with thoughts the tokens of its text count, in every form that thoughts have."""
    tokens = [("hm", math.log(0.01)), ("4", UNSURE)]
    items = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "4"}]
    detail = {"type": "reasoning.text", "text": "hm"}
    for message in (
        {"reasoning": "hm", "content": "4"},
        {"content": items},
        {"reasoning_details": [detail], "content": "4"},
    ):
        assert openai_confidence((message, tokens)) == 0.5


def test_the_older_form_is_read_alike() -> None:
    """R5: tokens and probabilities in two lists say the same; without texts that fit all of them count."""
    told = {"token_logprobs": [None, UNSURE, SURE, SURE], "tokens": ["a", "b", ",", "c"]}
    for tokens, expected in ((told["tokens"], 0.75), (["a"], 2.5 / 3), (None, 2.5 / 3)):
        reader = openai_reader()
        choice = {
            "message": {"content": "ab,c"},
            "finish_reason": "stop",
            "logprobs": {**told, "tokens": tokens},
        }
        reader.read_document(json.dumps({"choices": [choice]}).encode())
        reader.finish()
        assert reader.ending().confidence == Confidence(expected, ConfidenceSource.LOGPROBS)


@pytest.mark.parametrize("token", ['"\\ud83d"', "7", '["a"]', "null"])
def test_a_token_that_cannot_be_read_spoils_nothing(token: str) -> None:
    """R5, A2: where the text of a token is half a character, or none, its probability still counts."""
    content = f'{{"token": {token}, "logprob": {UNSURE}}}'
    for logprobs in (f'{{"content": [{content}]}}', f'{{"tokens": [{token}], "token_logprobs": [{UNSURE}]}}'):
        reader = openai_reader()
        choice = f'{{"delta": {{"content": "a"}}, "finish_reason": "stop", "logprobs": {logprobs}}}'
        reader.read_event(f'{{"choices": [{choice}]}}'.encode(), b"")
        reader.finish()
        assert reader.ending().confidence == Confidence(0.5, ConfidenceSource.LOGPROBS)


def test_the_recorded_answers_with_token_probabilities() -> None:
    """R5: of what was recorded with token probabilities the confidence is the mean over its words."""
    found = 0
    for recording in chat_recordings(required_corpus()):
        if recording.kind == "error" or recording.streamed or b'"logprob":' not in recording.body:
            continue
        found += 1
        tokens = json.loads(recording.body)["choices"][0]["logprobs"]["content"]
        words = [math.exp(token["logprob"]) for token in tokens if token["token"].strip("!?., \n")]
        assert 0 < len(words) < len(tokens)
        reader = openai_reader()
        reader.read_document(recording.body)
        reader.finish()
        confidence = reader.ending().confidence
        assert confidence is not None
        assert confidence.value == pytest.approx(sum(words) / len(words))
    assert found
