"""What is told and kept of a race: each candidate's end, cost and place, and the scores (R9, R10, K4)."""

from __future__ import annotations

import pytest

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import AttemptEnded, AttemptOutcome, AttemptStarted, FailureClass
from paceline_server.completion.errors import ErrorReason
from paceline_server.completion.race import CandidateEnded, CandidateOutcome, CandidateStarted, RaceDecision
from paceline_server.completion.usage import Price, UsageState, total_usage
from paceline_server.providers.profile import Profile
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.limits import RaceLimits
from paceline_server.strategies.racing.quality import Quality
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.racing.weighted import Weighted
from tests.strategies.race_checks import check
from tests.strategies.race_world import RaceOutcome, RaceWorld
from tests.strategies.scripted import Script, hangs, refuses, says, stalls
from tests.virtual_time import virtual_time

PRICED = Profile(price=Price(1_000_000_000, 2_000_000_000))


def priced(scripts: dict[str, Script]) -> RaceWorld:
    """A world in which everything has its price."""
    return RaceWorld(scripts, profiles=dict.fromkeys(scripts, PRICED))


@virtual_time
async def test_every_end_has_its_own_name_and_its_real_time() -> None:
    """R10, a defect of earlier racers: failed, cancelled and timed out differ, and no latency is lost."""
    world = RaceWorld({"a/x": refuses(after=0.7), "b/y": hangs(), "c/z": says("three", first=3.0)})
    limits = RaceLimits(candidate_timeout=2.0)
    failed = await world.run(world.race(First(), limits=limits), transient_retry_count=0)
    others = RaceWorld({"a/x": says("one", first=1.5), "b/y": hangs()})
    won = await others.run(others.race(First()))
    assert failed.outcomes == ["failed", "timed_out", "timed_out"]
    assert [one.latency for one in failed.summary.candidates] == [0.7, 2.0, 2.0]
    assert failed.summary.candidates[0].failure_class is FailureClass.TRANSIENT
    assert won.outcomes == ["won", "cancelled"]
    assert [one.latency for one in won.summary.candidates] == [1.5, 1.5]


@virtual_time
async def test_who_finished_first_is_told_as_it_happened() -> None:
    """R10, a defect of earlier racers: neither a quick failure nor who was selected, but the first answer."""
    world = RaceWorld(
        {"a/x": refuses(after=0.005), "b/y": says("two", first=0.05), "c/z": says("three", first=0.1)}
    )
    race = world.race(Quality(), "a/x", "b/y", world.candidate("c/z", quality=0.9))
    outcome = await world.run(race, transient_retry_count=0)
    reports = outcome.summary.candidates
    assert outcome.outcomes == ["failed", "lost", "won"]
    assert [one.finish_rank for one in reports] == [0, 1, 2]
    assert [one.finished_first for one in reports] == [False, True, False]


@virtual_time
async def test_an_answer_in_no_time_is_the_first() -> None:
    """R10, a defect of earlier racers: a latency of 0 ms is one, and the quickest there is."""
    world = RaceWorld({"a/x": says("one", first=0.009), "b/y": says("two")})
    outcome = await world.run(world.race(Weighted()))
    assert [one.finish_rank for one in outcome.summary.candidates] == [2, 1]
    assert outcome.summary.candidates[1].latency == 0.0


@pytest.mark.parametrize("rule", [First(), Best(), Weighted()])
@virtual_time
async def test_nobody_is_first_or_selected_where_all_failed(rule: Rule) -> None:
    """R8, R10, a defect of earlier racers: not even the first of the list, and the race is in the record."""
    world = RaceWorld({"a/x": refuses(), "b/y": refuses()})
    outcome = await world.run(world.race(rule), transient_retry_count=0)
    summary = outcome.summary
    assert outcome.reason is ErrorReason.ALL_ATTEMPTS_FAILED
    assert (summary.selected_index, summary.decision, summary.responder_count) == (None, None, 0)
    assert not any(one.finished_first for one in summary.candidates)
    assert all(one.message for one in summary.candidates)


@virtual_time
async def test_the_same_model_twice_is_two_candidates() -> None:
    """R1, R10, a defect of earlier racers: one of them won and was first, the other was neither."""
    world = RaceWorld({"a/x": [says("one", first=2.0), says("two", first=1.0)]})
    outcome = await world.run(world.race(Weighted(), "a/x", "a/x"))
    reports = outcome.summary.candidates
    assert [one.outcome for one in reports] == [CandidateOutcome.LOST, CandidateOutcome.WON]
    assert [one.finished_first for one in reports] == [False, True]
    assert [attempt.index for one in reports for attempt in one.attempts] == [0, 1]
    check(world, outcome)


@virtual_time
async def test_every_candidate_is_told_with_all_that_it_did() -> None:
    """R10, a defect of earlier racers: its outcome, tries, target, tokens and reason, not only an error."""
    world = priced({"a/x": refuses(), "b/y": says("two", first=1.0)})
    outcome = await world.run(world.race(First(), world.chain("a/x", "b/y")))
    (report,) = outcome.summary.candidates
    tried = [(str(attempt.target), attempt.try_number, attempt.outcome) for attempt in report.attempts]
    assert tried == [
        ("a/x", 1, AttemptOutcome.FAILED),
        ("a/x", 2, AttemptOutcome.FAILED),
        ("b/y", 1, AttemptOutcome.SUCCEEDED),
    ]
    assert report.usage is not None
    assert report.usage.output_token_count == 3


@virtual_time
async def test_losers_cost_what_they_have_cost() -> None:
    """R10, A6, a defect of earlier racers: a cancelled loser's cost is estimated, and in the total."""
    world = priced({"a/x": says("one", first=1.0), "b/y": stalls(*["word"] * 10)})
    race = world.race(Weighted(), limits=RaceLimits(decision_timeout=2.0))
    outcome = await world.run(race)
    summary = outcome.summary
    loser, total = summary.loser_usage, outcome.call.record.total_usage()
    assert outcome.outcomes == ["won", "timed_out"]
    assert loser is not None
    assert (loser.output_token_count, loser.state) == (10, UsageState.ESTIMATED)
    assert loser.cost_nano_usd == 5 * 1000 + 10 * 2000
    assert total.cost_nano_usd == loser.cost_nano_usd + 7 * 1000 + 3 * 2000


@virtual_time
async def test_a_race_says_how_it_was_decided() -> None:
    """R10, a defect of earlier racers: the reason, the time of it, the order and the losers' cost."""
    world = priced({"a/x": says("one", first=2.0), "b/y": says("two", first=1.0), "c/z": hangs()})
    outcome = await world.run(world.race(Weighted(), limits=RaceLimits(decision_timeout=4.0)))
    summary = outcome.summary
    assert summary.decision is RaceDecision.DEADLINE
    assert summary.decision_latency == 4.0
    assert summary.selected_index == 1
    assert [one.finish_rank for one in summary.candidates] == [2, 1, 0]
    assert summary.responder_count == 2
    assert summary.loser_usage is not None
    assert summary.loser_usage.cost_nano_usd


@virtual_time
async def test_who_lost_has_taken_part() -> None:
    """R3, R10, a defect of earlier racers: to lose counts as a race not won, so that nobody stays first."""
    world = RaceWorld({"a/x": says("one"), "b/y": says("two", first=1.0), "c/z": refuses()})
    target = {name: Target(*name.split("/")) for name in world.names}
    await world.run(world.race(Best()), transient_retry_count=0)
    await world.run(world.race(First()), transient_retry_count=0)
    won, lost = world.scores.races[1]
    assert won == target["a/x"]
    assert set(lost) >= {target["b/y"]}
    assert world.scores.win_rate(target["b/y"]) < world.scores.win_rate(target["a/x"])


@virtual_time
async def test_a_newcomer_can_beat_who_has_always_won() -> None:
    """R3, a defect of earlier racers: the unknown has the mean of all, so that its speed can win."""
    world = RaceWorld({"a/x": says("old", first=1.3), "a/y": says("new", first=0.2)})
    for _ in range(100):
        world.scores.raced(Target("a", "x"), [Target("b", "z")])
    outcome = await world.run(world.race(Weighted()))
    assert outcome.answer == "new"


@virtual_time
async def test_scores_are_of_targets_and_not_of_providers() -> None:
    """R3, P5, a defect of earlier racers: what one model of a provider won is not its neighbour's."""
    world = RaceWorld({"a/x": says("one"), "a/y": says("two", first=1.0)})
    for _ in range(20):
        await world.run(world.race(First()))
    assert world.scores.win_rate(Target("a", "x")) > 2 * world.scores.win_rate(Target("a", "y"))


@pytest.mark.parametrize("deadline", [True, False])
@virtual_time
async def test_a_race_that_its_caller_left_is_in_no_statistic(*, deadline: bool) -> None:
    """R10, A4: neither a win nor a loss, and nobody is penalised."""
    world = RaceWorld({"a/x": says("one", "two", every=9.0), "b/y": hangs()})
    if deadline:
        outcome = await world.run(world.race(First()), within=2.0)
    else:
        outcome = await world.run(world.race(First()), cancel_after=2.0)
    assert outcome.completion is None
    assert world.scores.races == []
    assert world.penalised == set()


@virtual_time
async def test_every_event_comes_once() -> None:
    """R10, a defect of earlier racers: one start and one end for each candidate, and for each attempt."""
    world = RaceWorld({"a/x": says("one", first=1.0), "b/y": refuses(), "c/z": hangs()})
    outcome = await world.run(world.race(First()))
    for kind, count in ((CandidateStarted, 3), (CandidateEnded, 3), (AttemptStarted, 4), (AttemptEnded, 4)):
        assert len(outcome.client.of_kind(kind)) == count, kind


@virtual_time
async def test_a_judge_is_counted_once_and_is_nobody_s_attempt() -> None:
    """R5, K4, a defect of earlier racers: children and whole are each counted once."""
    scores = says('{"scores": {"A": 2, "B": 9}}')
    world = priced({"a/x": says("one"), "b/y": says("two"), "j/judge": scores})
    rule = Best(Scorer.JUDGE, judge="j/judge")
    outcome = await world.run(world.race(rule, "a/x", "b/y", judge="j/judge"))
    summary = outcome.summary
    known = [one.usage for one in summary.candidates if one.usage is not None]
    assert [attempt.path for attempt in outcome.attempts] == ["race[0]", "race[1]", "judge"]
    assert summary.selected_index is not None
    winner = summary.candidates[summary.selected_index].usage
    assert winner is not None
    assert summary.loser_usage is not None
    assert total_usage([winner, summary.loser_usage]) == outcome.call.record.total_usage()
    assert total_usage(known).output_token_count + 3 == outcome.call.record.total_usage().output_token_count


@virtual_time
async def test_fan_out_is_bounded() -> None:
    """R9, a defect of earlier racers: beyond the most calls of providers no candidate starts, and says so."""
    names = [f"{provider}/x" for provider in "abcde"]
    world = RaceWorld({name: says(name, first=1.0) for name in names})
    limits = RaceLimits(max_started_count=2)
    outcome: RaceOutcome = await world.run(world.race(Weighted(), limits=limits))
    assert len(world.calls) == 2
    assert outcome.outcomes.count("skipped") == 3
    assert outcome.completion is not None
    check(world, outcome)
