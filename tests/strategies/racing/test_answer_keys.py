"""What answers are compared by is computed once (R6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from paceline_server.completion.content import Part
from paceline_server.strategies.racing.answer_keys import AnswerKeys
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.equivalence import Equivalence
from paceline_server.strategies.racing.rule import Rule
from tests.strategies.racing.events import answers, completion, field_of, played


class Watched(tuple[Part, ...]):  # noqa: SLOT001 - a tuple takes no slots beside its items
    """Parts of an answer that count how often they are read."""

    read_count = 0

    def __iter__(self) -> Iterator[Part]:
        """Count."""
        self.read_count += 1
        return super().__iter__()


@pytest.mark.parametrize(
    "rule",
    [*map(Consensus, Equivalence), Best(Scorer.AGREEMENT)],
    ids=[*(one.value for one in Equivalence), "best"],
)
def test_an_answer_is_read_once_and_as_it_comes(rule: Rule) -> None:
    """R6: a rule that is asked again, or for its reports, reads no answer a second time."""
    field = played(field_of(count=8))
    watched = []
    for index in range(8):
        answers(index, str(index % 3))(field, 1.0 + index)
        answer = completion(str(index % 3))
        parts = Watched(answer.parts)
        watched.append(parts)
        field.entrants[index].completion = replace(answer, parts=parts)
        rule.decide(field, 1.0 + index)
        assert parts.read_count
    before = [parts.read_count for parts in watched]
    field.time_is_up = True
    rule.decide(field, 9.0)
    for entrant in field.entrants:
        rule.confidence(entrant, field)
    assert [parts.read_count for parts in watched] == before
    assert len(set(before)) == 1


def test_an_answer_that_takes_the_place_of_another_has_its_own_key() -> None:
    """R3: a candidate that answers anew is compared by what it says now."""
    keys = AnswerKeys()
    before = keys.of({0: completion("a")}, Equivalence.NORMALIZED_TEXT)
    after = keys.of({0: completion("b")}, Equivalence.NORMALIZED_TEXT)
    as_json = keys.of({0: completion("1")}, Equivalence.JSON)
    as_number = keys.of({0: completion("1")}, Equivalence.NUMBER)
    assert before != after
    assert (as_json, as_number) == ({0: "1"}, {0: 1.0})


def test_equal_keys_are_one_object() -> None:
    """R6: to compare equal answers again takes no look at what they hold."""
    texts = {index: completion("A long\tanswer.") for index in range(2)}
    first, second = AnswerKeys().of(texts, Equivalence.NORMALIZED_TEXT).values()
    assert first is second
