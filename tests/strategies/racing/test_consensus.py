"""The rule `consensus` (R6)."""

from __future__ import annotations

import math

import pytest

from paceline_server.completion.race import AnswerGroup, RaceDecision
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.equivalence import Equivalence
from paceline_server.strategies.racing.rule import Agreement, Fail, Judge, JudgeTask, Select, Wait
from tests.strategies.racing.events import answers, fails, field_of, judge_says, played, race, time_is_up

MAJORITY = RaceDecision.MAJORITY
PLURALITY = RaceDecision.PLURALITY
JUDGED = Consensus(Equivalence.JUDGE, judge="p/judge")


def test_decides_as_soon_as_the_majority_is_there() -> None:
    """R6: two of three equal answers win, and the third is not waited for."""
    course = race(Consensus(), field_of(count=3), (1.0, answers(0, "Paris.")), (2.0, answers(2, "paris")))
    assert (course.at, course.winner) == (2.0, (0, MAJORITY))


def test_split_is_no_consensus() -> None:
    """R6, a defect of earlier racers: three different answers are no consensus, and none of them wins."""
    events = [(i + 1.0, answers(i, text)) for i, text in enumerate("abc")]
    course = race(Consensus(), field_of(count=3), *events)
    assert (course.at, course.step) == (3.0, Fail(no_consensus=True))


def test_fails_as_soon_as_no_group_can_be_large_enough() -> None:
    """R6: when nobody can reach the quorum any more, those who still run are not waited for."""
    events = [(1.0, answers(0, "a")), (2.0, answers(1, "b"))]
    split = race(Consensus(), field_of(count=4), *events, (3.0, answers(2, "c")))
    failed = race(Consensus(), field_of(count=4), *events, (3.0, fails(2)))
    assert (split.at, split.step) == (failed.at, failed.step) == (3.0, Fail(no_consensus=True))


def test_failed_candidates_count_as_asked() -> None:
    """R6, a defect of earlier racers: one answer of three asked is an agreement of a third, not of one."""
    field = played(field_of(count=3), (1.0, answers(1)), (2.0, fails(0)), (3.0, fails(2)))
    assert Consensus().decide(field, 3.0) == Fail(no_consensus=True)
    assert Consensus().agreement(field) == Agreement((AnswerGroup("yes", (1,)),), 1 / 3)


def test_all_failed_is_not_dissent() -> None:
    """R8, a defect of earlier racers: without any answer the race fails, and not for lack of consensus."""
    field = played(field_of(count=2), (1.0, fails(0)), (1.0, fails(1)))
    assert Consensus().decide(field, 1.0) == Fail()
    assert Consensus().agreement(field) == Agreement((), 0.0)


def test_without_answers_nothing_is_dissent() -> None:
    """R8: before anybody has answered a quorum out of reach ends nothing; who still runs says what it was."""
    failures = [(1.0, fails(0)), (2.0, fails(2))]
    failed = race(Consensus(), field_of(count=3), *failures, (3.0, fails(1)))
    answered = race(Consensus(), field_of(count=3), *failures, (3.0, answers(1)))
    assert (failed.at, failed.step) == (3.0, Fail())
    assert (answered.at, answered.step) == (3.0, Fail(no_consensus=True))


def test_whole_answers_are_compared() -> None:
    """R6, a defect of earlier racers: answers that differ after 256 characters are different."""
    reasoning = "so it follows " * 40
    events = [(1.0, answers(0, reasoning + "YES")), (2.0, answers(1, reasoning + "NO"))]
    course = race(Consensus(), field_of(count=2), *events)
    assert course.step == Fail(no_consensus=True)


def test_plurality_needs_a_quorum_that_permits_it() -> None:
    """R6, a defect of earlier racers: with a quorum of two the largest group of five wins as a plurality."""
    events = [(i + 1.0, answers(i, text)) for i, text in enumerate("abbcd")]
    course = race(Consensus(quorum=2), field_of(count=5), *events)
    assert (course.at, course.winner) == (5.0, (1, PLURALITY))


def test_early_end_needs_a_certain_winner() -> None:
    """R6: a quorum that is reached does not decide while another group could catch up."""
    events = [(1.0, answers(0, "a")), (2.0, answers(1, "a")), (3.0, answers(2, "b"))]
    open_race = race(Consensus(quorum=2), field_of(count=5), *events)
    closed = race(Consensus(quorum=2), field_of(count=5), *events, (4.0, fails(3)), (5.0, answers(4, "c")))
    caught_up = [(4.0, answers(3, "b", confidence=0.9)), (5.0, answers(4, "b"))]
    overtaken = race(Consensus(quorum=2), field_of(count=5), *events, *caught_up)
    assert open_race.step == Wait()
    assert (closed.at, closed.winner) == (5.0, (0, PLURALITY))
    assert (overtaken.at, overtaken.winner) == (5.0, (3, MAJORITY))


def test_tied_groups_go_by_their_best_member() -> None:
    """R6: of groups of the same size that wins whose best member is surest, then fastest."""
    surer = [(1.0, answers(0, "a")), (2.0, answers(1, "b", confidence=0.1))]
    faster = [(1.0, answers(1, "b")), (2.0, answers(0, "a"))]
    rule = Consensus(quorum=1)
    assert race(rule, field_of(count=2), *surer).winner == (1, PLURALITY)
    assert race(rule, field_of(count=2), *faster).winner == (1, PLURALITY)


@pytest.mark.parametrize(
    ("confidences", "winner"), [((None, 0.0, math.nan), 1), ((0.2, 0.2, 0.1), 1), ((None, None, None), 2)]
)
def test_group_is_represented_by_its_surest_then_fastest(
    confidences: tuple[float | None, ...], winner: int
) -> None:
    """R6, a defect of earlier racers: the surest of the group wins, a missing confidence is last."""
    times = (3.0, 2.0, 1.0)
    order = sorted(zip(times, range(3), confidences, strict=True))
    events = [(at, answers(i, confidence=confidence)) for at, i, confidence in order]
    assert race(Consensus(quorum=3), field_of(count=3), *events).winner == (winner, MAJORITY)


@pytest.mark.parametrize(("minimum", "passes"), [(2 / 3, True), (0.67, False)])
def test_minimum_agreement_is_of_those_asked(minimum: float, *, passes: bool) -> None:
    """R6: the share of the largest group among those asked must reach the minimum."""
    events = [(1.0, answers(0)), (2.0, answers(1)), (3.0, fails(2))]
    course = race(Consensus(minimum_agreement=minimum), field_of(count=3), *events)
    assert course.step == (Select(0, MAJORITY) if passes else Fail(no_consensus=True))
    assert course.at == (2.0 if passes else 3.0)


def test_minimum_beyond_reach_fails_with_the_first_answer() -> None:
    """R6: a minimum that not even all could reach is not run for once there is an answer."""
    course = race(Consensus(minimum_agreement=1.1), field_of(count=2), (1.0, answers(0)))
    assert (course.at, course.step) == (1.0, Fail(no_consensus=True))


def test_time_up_still_needs_the_quorum() -> None:
    """R2: when time is up only whole answers count, and too few of them are no consensus."""
    short = race(Consensus(), field_of(count=3), (1.0, answers(0)), (2.0, time_is_up))
    none = race(Consensus(), field_of(count=3), (2.0, time_is_up))
    enough = race(
        Consensus(quorum=2), field_of(count=4), (1.0, answers(0)), (1.5, answers(1)), (2.0, time_is_up)
    )
    assert (short.step, none.step) == (Fail(no_consensus=True), Fail())
    assert enough.winner == (0, RaceDecision.DEADLINE)


def test_answers_far_apart_in_number_wait_for_certainty() -> None:
    """R6: a number close to both ends of a group could still take its best member's place."""
    rule = Consensus(Equivalence.NUMBER)
    close = race(rule, field_of(count=3), (1.0, answers(0, "1.0")), (2.0, answers(1, "1.0000009")))
    equal = race(rule, field_of(count=3), (1.0, answers(0, "1.0")), (2.0, answers(1, "It is 1")))
    assert close.step == Wait()
    assert equal.winner == (0, MAJORITY)


def test_judge_groups_once_all_have_ended() -> None:
    """R6: a judge sees all answers, however early they agree in text."""
    events = [(1.0, answers(0)), (2.0, answers(1)), (3.0, answers(2))]
    course = race(JUDGED, field_of(count=3), *events)
    assert (course.at, course.step) == (3.0, Judge(JudgeTask.GROUP, (0, 1, 2)))


def test_judge_is_not_asked_in_vain() -> None:
    """R9: no judge is paid where no grouping of the answers could reach the quorum."""
    course = race(
        JUDGED, field_of(count=5), (1.0, answers(0)), (1.0, answers(1)), *[(2.0, fails(i)) for i in (2, 3, 4)]
    )
    alone = race(
        Consensus(Equivalence.JUDGE, quorum=1), field_of(count=2), (1.0, answers(0)), (2.0, fails(1))
    )
    assert course.step == Fail(no_consensus=True)
    assert alone.winner == (0, RaceDecision.ONLY_SURVIVOR)


def test_judges_groups_decide() -> None:
    """R6: what the judge says is the same counts as the same, and whom he does not name stands alone."""
    field = played(field_of(count=4), *[(i + 1.0, answers(i, text)) for i, text in enumerate("abcd")])
    judge_says(groups=[(3, 1, 9), (1, 0, 3)])(field, 5.0)
    assert Consensus(Equivalence.JUDGE, quorum=2).decide(field, 5.0) == Select(1, PLURALITY)
    groups = (AnswerGroup("b", (1, 3)), AnswerGroup("a", (0,)), AnswerGroup("c", (2,)))
    assert JUDGED.agreement(field) == Agreement(groups, 0.5)


def test_judge_may_find_no_consensus() -> None:
    """R6: answers of the same words that the judge holds apart are no consensus."""
    field = played(field_of(count=2), (1.0, answers(0)), (2.0, answers(1)))
    judge_says(groups=[(0,), (1,)])(field, 3.0)
    assert JUDGED.decide(field, 3.0) == Fail(no_consensus=True)


def test_nobody_can_join_an_answer_that_stands_alone() -> None:
    """R6: answers that are no JSON are never of one group, so that one more answer is not waited for."""
    events = [(1.0, answers(0, "a")), (2.0, answers(1, "a"))]
    course = race(Consensus(Equivalence.JSON), field_of(count=3), *events)
    assert (course.at, course.step) == (2.0, Fail(no_consensus=True))


@pytest.mark.parametrize("groups", [(), ((),), ((8, 9),)])
def test_failed_judge_leaves_it_to_the_text(groups: tuple[tuple[int, ...], ...]) -> None:
    """R9: a judge that fails or names nobody degrades to normalised text."""
    field = played(
        field_of(count=3), *[(i + 1.0, answers(i, text)) for i, text in enumerate(("a", "A.", "b"))]
    )
    judge_says(groups=groups)(field, 4.0)
    assert JUDGED.decide(field, 4.0) == Select(0, MAJORITY)


def test_time_up_before_the_judge() -> None:
    """R2: when time is up no judge is asked, and the text decides."""
    field = played(field_of(count=2), (1.0, answers(0)), (1.0, answers(1)), (1.0, time_is_up))
    assert JUDGED.decide(field, 1.0) == Select(0, RaceDecision.DEADLINE)


def test_dissent_is_told_in_order() -> None:
    """R6, a defect of earlier racers: groups are told largest first, then by index, whoever wins."""
    texts = ("c", "a", "B", "b!", "A")
    field = played(field_of(count=6), *[(i + 1.0, answers(i, text)) for i, text in enumerate(texts)])
    agreement = Consensus().agreement(field)
    assert [group.candidate_indices for group in agreement.groups] == [(1, 4), (2, 3), (0,)]
    assert [group.text for group in agreement.groups] == ["a", "B", "c"]
    assert agreement.score == 2 / 6


def test_judge_is_named_only_where_one_is_asked() -> None:
    """R6: the judge is that of the equivalence JUDGE; with another he is ignored."""
    assert (JUDGED.judge_model, Consensus(judge="p/judge").judge_model) == ("p/judge", "")
