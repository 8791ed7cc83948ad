"""What is read of a judge's words (R5, R6, R9)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.completion.answer import Completion, FinishReason, Target
from paceline_server.completion.content import Part, Reasoning, Text
from paceline_server.completion.prompt import Prompt
from paceline_server.completion.usage import Usage
from paceline_server.strategies.racing.field import Judgement
from paceline_server.strategies.racing.judge import JudgeQuestion
from paceline_server.strategies.racing.judge_answer import NOTHING_SAID, read_judgement
from paceline_server.strategies.racing.rule import JudgeTask

QUESTION = JudgeQuestion(Prompt(()), {"A": 5, "B": 0, "C": 2, "D": 9})


def judged(task: JudgeTask, *kinds: Text | Reasoning) -> Judgement:
    """What is read of a judge's answer."""
    parts = tuple(Part(kind) for kind in kinds)
    target = Target("a", "judge")
    answer = Completion(parts, FinishReason.STOP, "stop", target, "", Usage())
    return read_judgement(task, QUESTION, answer)


def scored(text: str) -> dict[int, float]:
    """The scores in a judge's words."""
    judgement = judged(JudgeTask.SCORE, Text(text))
    assert not judgement.groups
    return dict(judgement.scores)


def grouped(text: str) -> list[list[int]]:
    """The groups in a judge's words."""
    judgement = judged(JudgeTask.GROUP, Text(text))
    assert not judgement.scores
    return [list(group) for group in judgement.groups]


@pytest.mark.parametrize(
    "text",
    [
        '{"scores": {"A": 10, "B": 0, "C": 2.5}}',
        '```json\n{"scores": {"A": 10, "B": 0, "C": 2.5}}\n```',
        'I weighed them {carefully} [all]: {"scores": {"A": 10, "B": 0, "C": 2.5}} That is {final}.',
        '{"A": "10/10", "B": " 0 ", "C": "2.5"}',
        '[{"label": "a", "score": 10}, {"answer": "Answer B", "score": 0}, {"label": "C", "score": 2.5}]',
        '{"scores": {"A": {"score": 10, "why": "x"}, "answer_b": {"score": 0}, "C": {"score": 2.5}}}',
        'First {"scores": {"A": 1}}, on reflection {"scores": {"A": 10, "B": 0, "C": 2.5}} {"x": 1}',
    ],
)
def test_scores_are_found_in_every_usual_form(text: str) -> None:
    """R5: fences, words around the JSON, numbers as text and other usual forms are understood."""
    assert scored(text) == {5: 1.0, 0: 0.0, 2: 0.25}


NO_SCORES = (
    *(
        "11",
        "-0.5",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "9" * 5000,
        "null",
        "true",
        "[9]",
        '{"score":11}',
    ),
    *('{"points":5}', '"good"', '"9of10"', '"\\u0661"', '"11"', '"nan"', '"-1"', f'"{"9" * 5000}"'),
)


@pytest.mark.parametrize("value", NO_SCORES)
def test_what_is_no_score_is_missing(value: str) -> None:
    """R5: a score that is none, or out of range, is missing and not zero, and spoils no other."""
    assert scored(f'{{"scores": {{"A": {value}, "B": 5}}}}') == {0: 0.5}


def test_a_contradiction_is_missing() -> None:
    """R9: whoever gives one label two scores has given it none; the same score twice is one."""
    assert scored('{"scores": {"A": 3, "A": 9, "A": 3, "B": 5, "Answer B": 5, "C": 1, "c": 2}}') == {0: 0.5}


def test_unknown_labels_are_passed_over() -> None:
    """R9: a label that was not shown says nothing."""
    assert scored('{"scores": {"E": 9, "AB": 9, "": 9, "0": 9, "D": 9}}') == {9: 0.9}


@pytest.mark.parametrize(
    "text",
    [
        '{"groups": [["A", "C"], ["B", "D"]]}',
        'Thus:\n```\n[["d", "B"], ["Answer C", "A", "A", "E"]]\n```\n',
        '{"first": ["A", "C"], "second": ["B", "D"]}',
        '{"groups": [{"labels": ["A", "C"]}, {"labels": ["B", "D"], "why": "same"}]}',
        '{"groups": [["A", "C"], ["C", "A"], ["D", "B"], [], ["E"], "AB", 3]}',
    ],
)
def test_groups_are_found_in_every_usual_form(text: str) -> None:
    """R6: fences, words around the JSON, repetitions and other usual forms are understood."""
    assert grouped(text) == [[0, 9], [2, 5]]


def test_who_is_not_named_stands_alone() -> None:
    """R6: an answer that the judge passed over agrees with nobody."""
    assert grouped('{"groups": [["A", "D"]]}') == [[0], [2], [5, 9]]


def test_who_is_in_two_groups_stands_alone() -> None:
    """R6: an answer cannot mean two things: it is in neither group, and does not join them to a majority."""
    assert grouped('{"groups": [["A", "B"], ["B", "C", "D"]]}') == [[0], [2, 9], [5]]


RUBBISH = (
    *("", "I cannot judge this.", "{", "{}", "[]", "null", "7", '"A"', '{"scores": {}}', '{"groups": []}'),
    *('{"scores": "A", "groups": "A"}', '{"scores": [7, 8], "groups": [7, 8]}', '{"scores": {"A": 9'),
    *(
        "[" * 50_000,
        "{" * 50_000,
        '{"A":' * 30_000,
        "[[]" * 30_000,
        '{"groups": [["E"]], "scores": {"E": 1}}',
    ),
)


@pytest.mark.parametrize("task", JudgeTask)
@pytest.mark.parametrize("text", RUBBISH)
def test_rubbish_is_no_judgement(task: JudgeTask, text: str) -> None:
    """R9: a judge who says nothing that can be read has not judged, so that the next rule decides."""
    assert judged(task, Text(text)) == NOTHING_SAID


def test_only_the_words_of_the_answer_count() -> None:
    """R9: what a judge thought on the way is not his judgement."""
    thought = Reasoning('{"scores": {"A": 9}}')
    assert judged(JudgeTask.SCORE, thought) == NOTHING_SAID
    assert judged(JudgeTask.SCORE, thought, Text('{"scores": {"A"'), Text(": 1}}")).scores == {5: 0.1}


LABELS = st.sampled_from(["A", "B", "C", "D", "E", "a", "Answer A", "AA", ""])
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["7", "7/10", "nan"]),
)
JSONS: st.SearchStrategy[Any] = st.recursive(
    VALUES | LABELS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(LABELS | st.sampled_from(["scores", "groups", "label", "score"]), inner, max_size=5)
    ),
)


@given(task=st.sampled_from(JudgeTask), value=JSONS, around=st.text(max_size=20))
def test_whatever_a_judge_says_comes_to_a_judgement(task: JudgeTask, value: Any, around: str) -> None:
    """R9: nothing that a judge says fails the race; scores are from 0 to 1, and groups divide the shown."""
    judgement = judged(task, Text(around + json.dumps(value) + around))

    assert all(math.isfinite(score) and 0 <= score <= 1 for score in judgement.scores.values())
    assert set(judgement.scores) <= set(QUESTION.indices.values())
    _check_groups(judgement.groups)


@given(
    task=st.sampled_from(JudgeTask),
    text=st.text(alphabet='{}[]":,ABscoregup0123456789.-\\ `\n', max_size=300),
)
def test_no_text_is_too_odd_to_be_read(task: JudgeTask, text: str) -> None:
    """R9: text that is nearly JSON raises nothing."""
    _check_groups(judged(task, Text(text)).groups)


@given(groups=st.permutations("ABCD").flatmap(lambda order: st.just([order[:2], order[2:3], order[3:]])))
def test_a_division_is_read_as_it_is(groups: Sequence[Sequence[str]]) -> None:
    """R6: what a careful judge says is taken as it is, in whatever order he says it."""
    expected = sorted(sorted(QUESTION.indices[label] for label in group) for group in groups)
    assert grouped(json.dumps({"groups": groups})) == expected


def _check_groups(groups: Sequence[Sequence[int]]) -> None:
    members = [index for group in groups for index in group]
    assert not members or sorted(members) == sorted(QUESTION.indices.values())
    assert all(groups)
