"""When two answers are the same (R6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.completion.answer import Completion
from paceline_server.completion.content import Media, Part, Reasoning
from paceline_server.strategies.racing.equivalence import (
    Equivalence,
    Key,
    answer_key,
    grouped,
    preview,
    sole_number,
)
from tests.strategies.racing.events import completion


def same(equivalence: Equivalence, one: Completion, other: Completion) -> bool:
    """Whether two answers come into one group."""
    return len(grouped({0: answer_key(one, equivalence), 1: answer_key(other, equivalence)})) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Yes.", "yes"),
        ("  The\tcapital\n is  Paris !", "the capital is paris"),
        ("ﬁne…", "FINE"),
        ("cafe\u0301", "CAFÉ"),
        ("STRASSE", "straße"),
        ("\uff14\uff12\uff05\u3002", "42%"),
        ("Да?!", "да"),
        ("東京。", "東京"),
        ("a\u0301\u0316", "a\u0316\u0301"),
    ],
)
def test_form_of_a_text_does_not_matter(one: str, other: str) -> None:
    """R6, a defect of earlier racers: forms of characters, case, space and closing punctuation are folded."""
    assert same(Equivalence.NORMALIZED_TEXT, completion(one), completion(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x" * 300 + "YES", "x" * 300 + "NO"),
        ("C#", "C"),
        ("42%", "42"),
        ("a b", "ab"),
        ("Hello, world", "Hello world"),
        ("?", "!"),
        ("(yes)", "yes"),
    ],
)
def test_different_texts_differ(one: str, other: str) -> None:
    """R6, a defect of earlier racers: the whole text counts, and signs that have a meaning."""
    assert not same(Equivalence.NORMALIZED_TEXT, completion(one), completion(other))


@pytest.mark.parametrize("equivalence", list(Equivalence))
def test_answers_without_content_stand_alone(equivalence: Equivalence) -> None:
    """R6, a defect of earlier racers: answers that say nothing do not agree with each other."""
    assert not same(equivalence, completion(), completion())
    assert not same(equivalence, completion(" \n"), completion(" \n"))


def test_text_is_not_all_of_an_answer() -> None:
    """R6: calls of tools and media are of the answer, reasoning is not."""
    lone = completion("", ("f", '{"a": 1}'))
    image = Part(Media("image/png", b"1"))
    thought = Part(Reasoning("hm"))
    text = completion("yes")
    thoughtful = _with(text, thought)
    assert same(Equivalence.NORMALIZED_TEXT, lone, completion("", ("f", '{"a":1.0}')))
    assert same(Equivalence.NORMALIZED_TEXT, completion("", ("f", "{")), completion("", ("f", "{")))
    assert not same(Equivalence.NORMALIZED_TEXT, lone, completion("", ("f", '{"a": 2}')))
    assert not same(Equivalence.NORMALIZED_TEXT, text, _with(text, image))
    assert same(Equivalence.NORMALIZED_TEXT, text, thoughtful)


def test_json_answers() -> None:
    """R6: JSON is compared by value; what is not JSON, or more than it, stands alone."""
    one, other = completion('{"a": 1, "b": 2}'), completion('{"b":2.0,"a":1}')
    assert same(Equivalence.JSON, one, other)
    assert not same(Equivalence.JSON, completion("yes"), completion("yes"))
    assert not same(Equivalence.JSON, completion("1", ("f", "")), completion("1", ("f", "")))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42.0),
        ("The answer is 42.", 42.0),
        ("It costs $1,234.50!", 1234.5),
        ("-7°C", -7.0),
        ("\u22127", -7.0),
        ("-$5", -5.0),
        ("GPT-5", 5.0),
        ("1.5e-3", 0.0015),
        (".5", 0.5),
        ("42km", 42.0),
        ("50 m²", 50.0),
        ("0.000", 0.0),
        ("1,000,000", 1e6),
        ("**3**", 3.0),
    ],
)
def test_sole_number_is_found(text: str, number: float) -> None:
    """R6: the one number of an answer counts, whatever words are around it."""
    assert sole_number(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "none",
        "NaN",
        "Infinity",
        "1 or 2",
        "10-5",
        "1/2",
        "5½",
        "10²",
        "2024-05-01",
        "1.2.3",
        "1,23",
        "1,000,00",
        "H2O weighs 18",
        "1e999",
        "-" + "9" * 400,
        "1e-999",
        "0." + "0" * 400 + "1",
    ],
)
def test_no_sole_number_stands_alone(text: str) -> None:
    """R6: an answer without exactly one number, or with one that cannot be compared, stands alone."""
    assert sole_number(text) is None
    assert not same(Equivalence.NUMBER, completion(text), completion(text))


def test_calls_are_compared_by_name_and_arguments() -> None:
    """R6: calls are the same by name and JSON arguments, in any order; text beside them does not count."""
    two = completion("", ("f", '{"a":1,"b":2}'), ("g", ""))
    turned = completion("Let me see", ("g", "{}"), ("f", '{"b":2,"a":1e0}'))
    assert same(Equivalence.TOOL_CALL, two, turned)
    assert not same(Equivalence.TOOL_CALL, two, completion("", ("f", '{"a":1,"b":2}')))
    assert not same(Equivalence.TOOL_CALL, completion("", ("f", "{}")), completion("", ("g", "{}")))
    assert not same(
        Equivalence.TOOL_CALL, completion("", ("f", "{}")), completion("", ("f", "{}"), ("f", "{}"))
    )


def test_calls_without_json_stand_alone() -> None:
    """R6: an answer without a call, or with arguments that are not JSON, stands alone."""
    broken = completion("", ("f", '{"a":'))
    assert not same(Equivalence.TOOL_CALL, broken, broken)
    assert not same(Equivalence.TOOL_CALL, completion("yes"), completion("yes"))


def test_close_numbers_are_the_same_though_closeness_is_not_transitive() -> None:
    """R6: any two of a group are within the tolerance; a chain of neighbours is not one group."""
    chain: dict[int, Key | None] = {0: 1.0, 1: 1 + 0.9e-6, 2: 1 + 1.7e-6}
    assert grouped(chain) == [(1, 2), (0,)]
    assert grouped({0: 1 + 1.7e-6, 1: 1 + 0.8e-6, 2: 1.0, 3: 1 + 1.7e-6}) == [(0, 1, 3), (2,)]
    assert grouped({0: 0.0, 1: 1e-300, 2: -0.0, 3: -1e-300}) == [(0, 2), (1,), (3,)]


def test_groups_are_told_the_largest_first() -> None:
    """R6, a defect of earlier racers: groups are ordered by size, then by their lowest index."""
    assert grouped({0: None, 1: "b", 2: "a", 3: "b", 4: "a", 5: None}) == [(1, 3), (2, 4), (0,), (5,)]


def test_preview_shows_calls_where_there_is_no_text() -> None:
    """R6: of an answer that only calls tools its calls are shown."""
    assert preview(completion("yes", ("f", "{}"))) == "yes"
    assert preview(completion("", ("f", '{"a":1}'), ("g", ""))) == 'f({"a":1})\ng()'


@given(
    values=st.lists(
        st.integers(0, 60).map(lambda step: 5.0 * (1 + step * 1e-7))
        | st.floats(allow_nan=False, allow_infinity=False),
        min_size=1,
        max_size=16,
    ),
    data=st.data(),
)
def test_number_groups_do_not_depend_on_order(values: list[float], data: st.DataObject) -> None:
    """R6: numbers are grouped alike in whatever order they come, and any two of a group are close."""
    order = data.draw(st.permutations(range(len(values))))
    groups = grouped(dict(enumerate(values)))
    turned = grouped({place: values[index] for place, index in enumerate(order)})
    as_values = [sorted(values[index] for index in group) for group in groups]
    assert sorted(as_values) == sorted(sorted(values[order[place]] for place in group) for group in turned)
    for group in as_values:
        assert abs(group[-1] - group[0]) <= 1e-6 * max(abs(group[0]), abs(group[-1]))


@given(text=st.text() | st.text("0123456789.,-+eE²½ $"))
def test_no_text_raises(text: str) -> None:
    """R6: a model may write anything, and only a finite number comes of it."""
    number = sole_number(text)
    assert number is None or abs(number) < float("inf")


@pytest.mark.parametrize("unit", ["word ", "1,234", "1,23", "x²", "٣", "—"])
def test_long_answers_cost_no_more_than_their_length(unit: str) -> None:
    """R6: looking for the number takes of no text the square of its length."""
    assert sole_number(unit * (2_000_000 // len(unit))) is None


def _with(answer: Completion, part: Part) -> Completion:
    return Completion(
        (part, *answer.parts), answer.finish_reason, "", answer.target, "", answer.usage, answer.confidence
    )
