"""The course of a race follows from its events."""

from __future__ import annotations

import pytest

from paceline.v1.completion_pb2 import (
    ATTEMPT_OUTCOME_CANCELLED,
    ATTEMPT_OUTCOME_FAILED,
    ATTEMPT_OUTCOME_REJECTED,
    ATTEMPT_OUTCOME_SKIPPED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    ATTEMPT_OUTCOME_TIMED_OUT,
    AttemptOutcome,
    Delta,
    OutputDiscarded,
    ReasoningDelta,
)
from paceline.v1.race_pb2 import CANDIDATE_OUTCOME_LOST, CandidateDelta, StreamRaceResponse
from paceline_server.cli.race_course import Course
from tests.cli.race_messages import (
    LOSER,
    QUICK,
    SURE,
    WINNER,
    attempt_over,
    broken,
    called,
    candidate,
    entered,
    fared,
    race_stream,
    recovered_race,
    selected,
    taken_back_by,
    used,
    written,
    written_by,
)


def words(course: Course) -> list[str]:
    """What each candidate does."""
    return [course.word(course.entrants[index]) for index in sorted(course.entrants)]


def course_of(*events: StreamRaceResponse, models: tuple[str, ...] = ()) -> Course:
    """The course after `events`, of which each took a second."""
    course = Course(models)
    for second, event in enumerate(events):
        course.take(event, float(second))
    return course


def test_candidates_stand_there_before_they_start() -> None:
    """A hedge that may never start is shown as such; those of a named race appear as they start."""
    course = course_of(entered(0, "p/quick"), models=("p/quick", "p/sure"))
    assert words(course) == ["waiting", "not started"]
    assert course.entrants[1].seconds(9.0) is None
    assert words(course_of(entered(2, "p/late"))) == ["waiting"]


def test_a_race_from_its_start_to_its_end() -> None:
    """Each event changes what it tells, and the gateway's own figures come last."""
    seen: list[list[str]] = []
    course = Course(["p/quick", "p/sure"])
    for second, event in enumerate(race_stream()):
        course.take(event, float(second))
        if not seen or seen[-1] != words(course):
            seen.append(words(course))
    assert seen == [
        ["not started", "not started"],
        ["waiting", "not started"],
        ["waiting", "waiting"],
        ["waiting", "won"],
        ["cancelled", "won"],
    ]
    loser, winner = course.entrants[0], course.entrants[1]
    assert (winner.first_content, winner.duration, winner.token_count) == (0.3, 1.5, 4)
    assert (loser.first_content, loser.duration, loser.token_count) == (None, 1.5, 1)
    assert course.passages == [["ri", "ght"]]


def test_others_stream_beside_each_other() -> None:
    """With all candidates told, each grows on its own, thoughts included, and answers before the decision."""
    thought = Delta(reasoning=ReasoningDelta(text="hm, " * 4))
    course = course_of(
        entered(0, "p/quick"),
        entered(1, "p/sure"),
        StreamRaceResponse(candidate_delta=CandidateDelta(index=1, delta=thought)),
        written_by(1, "yes."),
        written_by(0, "no"),
        attempt_over(0, QUICK, "race[0]", outcome=ATTEMPT_OUTCOME_SUCCEEDED, usage=used(7, 1)),
    )
    assert words(course) == ["answered", "streaming"]
    quick, sure = course.entrants[0], course.entrants[1]
    assert (sure.character_count, sure.token_count, sure.latest, sure.first_content) == (20, 5, "yes.", 1.0)
    assert (quick.token_count, quick.duration) == (7, 5.0)


def test_what_comes_again_is_counted_once() -> None:
    """What a candidate wrote before it won comes again as the answer."""
    course = course_of(
        entered(0, "p/quick"),
        written_by(0, "eightlet"),
        selected(0),
        written("eight"),
        written("letters and more"),
    )
    winner = course.entrants[0]
    assert (winner.character_count, winner.token_count) == (8 + 16, 6)
    assert course.passages == [["eight", "letters and more"]]


def test_a_winner_that_breaks_is_followed_by_another() -> None:
    """R3: what the first wrote is void, and the second is the winner."""
    events = recovered_race()
    assert words(course_of(*events[:7])) == ["failed", "waiting"]
    course = course_of(*events[:-3])
    assert words(course) == ["failed", "won"]
    assert course.passages == [["wro", "ng"], ["right"]]
    assert course.entrants[0].character_count == 0
    assert words(course_of(*events)) == ["failed", "won"]


def test_a_failed_attempt_is_not_the_end() -> None:
    """A retry, or the next of a chain, goes on from there."""
    course = course_of(entered(0, "p/quick,p/sure"), broken(0, QUICK, "race[0]/chain[0]"))
    assert words(course) == ["failed"]
    course.take(called(1, SURE, "race[0]/chain[1]"), 3.0)
    assert words(course) == ["waiting"]
    assert course.entrants[0].seconds(4.0) == 4.0


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (ATTEMPT_OUTCOME_SKIPPED, "skipped"),
        (ATTEMPT_OUTCOME_REJECTED, "rejected"),
        (ATTEMPT_OUTCOME_TIMED_OUT, "timed out"),
        (ATTEMPT_OUTCOME_FAILED, "failed"),
    ],
)
def test_a_candidate_is_called_as_its_last_attempt_ended(
    outcome: AttemptOutcome.ValueType, word: str
) -> None:
    """R7: one that is benched is no failure, long before the gateway tells its end."""
    course = course_of(attempt_over(0, QUICK, "race[0]", outcome=outcome), models=("p/quick",))
    assert words(course) == [word]
    assert course.entrants[0].seconds(9.0) is None


def test_a_skipped_target_hides_no_failure() -> None:
    """A chain that failed once and then found its next target benched has failed."""
    course = course_of(
        entered(0, "p/quick,p/sure"),
        broken(0, QUICK, "race[0]/chain[0]"),
        attempt_over(1, SURE, "race[0]/chain[1]", outcome=ATTEMPT_OUTCOME_SKIPPED),
    )
    assert words(course) == ["failed"]


def test_the_time_stands_still_while_nothing_runs() -> None:
    """A candidate whose last attempt failed takes no more time, and one with another that runs does."""
    course = course_of(
        entered(0, "p/quick,p/sure"),
        called(0, QUICK, "race[0]/chain[0]"),
        called(1, SURE, "race[0]/chain[1]"),
        broken(0, QUICK, "race[0]/chain[0]"),
    )
    assert (words(course), course.entrants[0].seconds(9.0)) == (["waiting"], 9.0)
    course.take(broken(1, SURE, "race[0]/chain[1]"), 4.0)
    assert (words(course), course.entrants[0].seconds(9.0)) == (["failed"], 4.0)


def test_one_of_two_attempts_may_be_cancelled() -> None:
    """C7: an attempt that was overtaken is not the end of its candidate."""
    course = course_of(
        entered(0, "p/quick,p/sure"),
        written_by(0, "y"),
        attempt_over(0, QUICK, "race[0]/chain[0]", outcome=ATTEMPT_OUTCOME_CANCELLED),
    )
    assert words(course) == ["streaming"]


def test_void_text_of_others_is_taken_back() -> None:
    """What a candidate retracted is no progress."""
    course = course_of(entered(0, "p/quick"), written_by(0, "wrong"), taken_back_by(0))
    assert (course.entrants[0].character_count, course.entrants[0].latest) == (0, "")


@pytest.mark.parametrize(
    "event",
    [
        StreamRaceResponse(),
        called(9, SURE, "judge"),
        attempt_over(9, SURE, "judge", outcome=ATTEMPT_OUTCOME_SUCCEEDED),
        StreamRaceResponse(output_discarded=OutputDiscarded()),
    ],
)
def test_what_concerns_no_candidate_changes_none(event: StreamRaceResponse) -> None:
    """Judges are no candidates, and events of a newer gateway are passed over."""
    assert words(course_of(entered(0, "p/quick"), event)) == ["waiting"]


def test_the_told_end_is_final() -> None:
    """What the gateway told of an end is not changed by what comes late."""
    course = course_of(
        fared(LOSER),
        fared(WINNER),
        attempt_over(0, QUICK, "race[0]", outcome=ATTEMPT_OUTCOME_SUCCEEDED, usage=used(9, 9)),
        fared(candidate(2, "p/third", CANDIDATE_OUTCOME_LOST)),
    )
    assert words(course) == ["cancelled", "won", "lost"]
    assert course.entrants[0].token_count == 1
    assert course.entrants[2].usages == []
