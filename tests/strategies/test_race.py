"""How a race runs and ends: its clocks, its losers and its winner (R1 to R9, A6)."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Coroutine
from typing import Any

import pytest

from paceline_server.completion.answer import Completion, Target
from paceline_server.completion.attempt import CallEvent, FailureClass, OutputDiscarded
from paceline_server.completion.errors import ErrorReason
from paceline_server.completion.prompt import GenerationConfig
from paceline_server.completion.race import RaceDecision, RaceEvent, WinnerSelected
from paceline_server.strategies import engine
from paceline_server.strategies.call import Call, Sink, Turn
from paceline_server.strategies.heat import DRAIN_SECONDS
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.hedged import Hedged
from paceline_server.strategies.racing.limits import RaceLimits
from paceline_server.strategies.racing.quality import Quality
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.racing.weighted import Weighted
from tests.strategies.race_checks import check, check_left_behind
from tests.strategies.race_world import RaceWorld
from tests.strategies.scripted import Break, Deaf, End, Script, Wait, hangs, refuses, says, stalls, text
from tests.virtual_time import now, virtual_time

SECOND = RaceLimits(decision_timeout=1.0)
RULES: dict[str, Rule] = {
    "first": First(),
    "grace": First(grace=1.0),
    "hedged": Hedged(delay=0.0, max_hedge_count=2),
    "best": Best(),
    "agreement": Best(Scorer.AGREEMENT),
    "consensus": Consensus(quorum=1),
    "weighted": Weighted(),
    "quality": Quality(),
}
WHOLE = {name: rule for name, rule in RULES.items() if name not in ("first", "grace", "hedged")}


def deaf(seconds: float) -> Script:
    """Answers after so long, whatever is cancelled."""
    return Script((*text("deaf"), End()), (Deaf(seconds),))


def dies(after: float) -> Script:
    """Breaks off at its first word."""
    return Script((Wait(after), *text("dead"), Break()))


@pytest.mark.parametrize("streaming", [True, False])
@virtual_time
async def test_losers_end_when_the_race_is_decided(*, streaming: bool) -> None:
    """R2, A6, a defect of earlier racers: an answer does not wait for losers, who are closed at once."""
    world = RaceWorld({"a/x": says("one", first=0.02), "b/y": says("two", first=0.4), "c/z": hangs()})
    outcome = await world.run(world.race(First()), streaming=streaming)
    assert (outcome.answer, outcome.at) == ("one", 0.02)
    assert [call.ended_at for call in world.calls] == [0.02, 0.02, 0.02]
    assert outcome.outcomes == ["won", "cancelled", "cancelled"]


@virtual_time
async def test_losers_of_a_stream_end_long_before_the_winner_does() -> None:
    """R2, A6, a defect of earlier racers: losers are not kept until the winner's stream is closed."""
    world = RaceWorld({"a/x": says("one ", "two", first=1.0, every=10.0), "b/y": says("late", first=2.0)})
    outcome = await world.run(world.race(First()))
    assert (outcome.answer, outcome.at) == ("one two", 11.0)
    assert [call.ended_at for call in world.calls] == [11.0, 1.0]


@pytest.mark.parametrize("streaming", [True, False])
@virtual_time
async def test_who_ignores_cancellation_cannot_hold_the_race(*, streaming: bool) -> None:
    """R2, a defect of earlier racers: a loser that does not stop is left to itself, and billed until then."""
    world = RaceWorld({"a/x": says("one", first=0.02), "b/y": deaf(400.0)})
    outcome = await world.run(world.race(First()), streaming=streaming)
    assert outcome.answer == "one"
    assert outcome.at == pytest.approx(0.02 + DRAIN_SECONDS)
    assert outcome.outcomes == ["won", "cancelled"]
    check(world, outcome)
    await asyncio.sleep(400.0)
    check_left_behind(world, outcome)


@virtual_time
async def test_who_ignored_cancellation_does_nothing_afterwards() -> None:
    """R2, A4: it calls nobody else, books nothing and blames nobody, whatever comes of it."""
    late = Script((), (Deaf(3.0), *refuses().before_headers))
    world = RaceWorld({"a/x": says("one"), "b/y": late, "c/z": says("never")})
    outcome = await world.run(world.race(First(), "a/x", world.chain("b/y", "c/z")))
    booked = list(outcome.attempts)
    await asyncio.sleep(10.0)
    assert world.called == ["a/x", "b/y"]
    assert outcome.attempts == booked
    assert world.penalised == set()
    check_left_behind(world, outcome)


@pytest.mark.parametrize("name", WHOLE)
@virtual_time
async def test_the_race_itself_keeps_its_time(name: str) -> None:
    """R2, a defect of earlier racers: it decides on time though nobody heeds his cancellation."""
    world = RaceWorld({"a/x": deaf(30.0), "b/y": deaf(50.0)})
    outcome = await world.run(world.race(WHOLE[name], limits=SECOND), streaming=False)
    assert outcome.reason is ErrorReason.LIMIT_REACHED
    assert outcome.at == pytest.approx(1.0 + DRAIN_SECONDS)
    assert outcome.outcomes == ["timed_out", "timed_out"]
    await asyncio.sleep(60.0)
    check_left_behind(world, outcome)


@pytest.mark.parametrize("script", [hangs(), deaf(30.0), stalls("half")])
@pytest.mark.parametrize("name", RULES)
@virtual_time
async def test_time_up_is_one_error(name: str, script: Script) -> None:
    """R2, a defect of earlier racers: the same clock says the same, however candidates take their end."""
    world = RaceWorld({"a/x": script, "b/y": script})
    outcome = await world.run(world.race(RULES[name], limits=SECOND), streaming=False)
    assert outcome.reason is ErrorReason.LIMIT_REACHED
    assert outcome.at <= 1.0 + DRAIN_SECONDS
    await asyncio.sleep(60.0)


@pytest.mark.parametrize("name", RULES)
@virtual_time
async def test_time_up_selects_nobody_who_has_failed(name: str) -> None:
    """R2, R8, a defect of earlier racers: a quick failure beside a slow answer does not win on time."""
    world = RaceWorld({"a/x": refuses(), "b/y": says("good", first=5.0)})
    outcome = await world.run(
        world.race(RULES[name], limits=SECOND), streaming=False, transient_retry_count=0
    )
    assert outcome.completion is None
    assert outcome.summary.selected_index is None
    check(world, outcome)


@virtual_time
async def test_a_race_that_is_over_is_held_by_no_timer() -> None:
    """R2, A6, a defect of earlier racers: what it knew is free at once, and not when its clock would ring."""
    world = RaceWorld({"a/x": says("one"), "b/y": hangs()})
    limits = RaceLimits(decision_timeout=3600.0, candidate_timeout=1800.0)

    async def sink(_event: CallEvent) -> None:
        """Listen."""

    async def tell(_event: RaceEvent) -> None:
        """Listen."""

    known = weakref.ref(tell)
    await engine.stream_race(world.call(), world.race(First(grace=60.0), limits=limits), sink, tell)
    assert now() <= 60.0
    del tell
    gc.collect()
    assert known() is None


class Throws:
    """A model that fails before it is even awaited."""

    targets = (Target("t", "t"),)
    reasons_unseen = False

    def ready(self, call: Call) -> bool:
        """Always."""
        return True

    def can_continue(self, call: Call) -> bool:
        """Never."""
        return False

    def complete(self, call: Call, turn: Turn) -> Coroutine[Any, Any, Completion]:
        """Throw."""
        raise RuntimeError("sync")

    def stream(self, call: Call, sink: Sink, turn: Turn) -> Coroutine[Any, Any, Completion]:
        """Throw."""
        raise RuntimeError("sync")


@pytest.mark.parametrize("streaming", [True, False])
@virtual_time
async def test_one_bad_candidate_does_not_sink_the_race(*, streaming: bool) -> None:
    """R8, a defect of earlier racers: who throws at once is out, and the others run on."""
    world = RaceWorld({"a/x": says("one", first=1.0)})
    outcome = await world.run(world.race(First(), Throws(), "a/x"), streaming=streaming)
    assert outcome.answer == "one"
    assert world.open_count == 0


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("name", RULES)
@virtual_time
async def test_total_failure_is_the_same_for_every_strategy(name: str, *, streaming: bool) -> None:
    """R8, a defect of earlier racers: ALL_ATTEMPTS_FAILED with each reason in the record, and nobody won."""
    world = RaceWorld({"a/x": refuses(after=1.0), "b/y": refuses(FailureClass.OVERLOADED, after=2.0)})
    outcome = await world.run(world.race(RULES[name]), streaming=streaming, transient_retry_count=0)
    assert outcome.reason is ErrorReason.ALL_ATTEMPTS_FAILED
    assert outcome.outcomes == ["failed", "failed"]
    reasons = [(one.failure_class, one.message) for one in outcome.summary.candidates]
    assert reasons == [
        (FailureClass.TRANSIENT, "scripted transient"),
        (FailureClass.OVERLOADED, "scripted overloaded"),
    ]
    assert outcome.error is not None
    assert outcome.error.metadata["first_cause_message"] == "scripted transient"
    check(world, outcome)


@virtual_time
async def test_an_empty_answer_is_a_reason_of_its_own() -> None:
    """R3, R8: a race of empty answers says so, and not that nobody could be tried."""
    world = RaceWorld({"a/x": says(" "), "b/y": Script((Wait(1.0), End()))})
    outcome = await world.run(world.race(First()), streaming=False)
    assert outcome.reason is ErrorReason.ALL_ATTEMPTS_FAILED
    assert "its answer was empty" in str(outcome.error)


@virtual_time
async def test_answers_that_are_too_unsure_are_a_reason_of_their_own() -> None:
    """R3, R8: a race whose answers are all below the minimum confidence says so."""
    world = RaceWorld({"a/x": says("one"), "b/y": says("two")})
    outcome = await world.run(world.race(First(minimum_confidence=0.5)))
    assert outcome.reason is ErrorReason.ALL_ATTEMPTS_FAILED
    assert "minimum_confidence" in str(outcome.error)
    assert outcome.outcomes == ["lost", "lost"]


@virtual_time
async def test_candidates_out_of_time_have_reached_a_limit() -> None:
    """LIMIT_REACHED: where its own clock has ended every candidate, the limit is named."""
    world = RaceWorld({"a/x": hangs(), "b/y": hangs()})
    outcome = await world.run(world.race(First(), limits=RaceLimits(candidate_timeout=2.0)))
    assert outcome.reason is ErrorReason.LIMIT_REACHED
    assert outcome.error is not None
    assert outcome.error.metadata == {"limit": "candidate_timeout"}
    assert outcome.at == 2.0


@virtual_time
async def test_the_race_s_clock_never_cuts_the_winner() -> None:
    """R2, a defect of earlier racers: a stream goes on beyond the decision's time."""
    world = RaceWorld({"a/x": says(*"abcdefgh", every=5.0), "b/y": hangs()})
    outcome = await world.run(world.race(First(), limits=SECOND))
    assert (outcome.answer, outcome.at) == ("abcdefgh", 35.0)


@virtual_time
async def test_without_a_grace_nothing_is_waited_for() -> None:
    """R3, a defect of earlier racers: the first answer is given at once, and a grace ends with the last."""
    scripts = {"a/x": says("one", first=0.2), "b/y": says("two", first=0.5)}
    at = [
        (await world.run(world.race(rule), streaming=False)).at
        for rule in (First(), First(grace=10.0))
        for world in [RaceWorld(scripts)]
    ]
    assert at == [0.2, 0.7]


@virtual_time
async def test_headers_and_silence_win_nothing() -> None:
    """R3, a defect of earlier racers: who opens first and then stalls loses to the first content."""
    world = RaceWorld({"a/x": stalls(), "b/y": says("two", first=3.0)})
    outcome = await world.run(world.race(First()))
    assert (outcome.answer, outcome.at) == ("two", 3.0)
    assert outcome.summary.decision is RaceDecision.FIRST_CONTENT


@virtual_time
async def test_a_winner_that_breaks_is_replaced_and_has_not_won() -> None:
    """R3, a defect of earlier racers: who dies on its first word is failed over, and the win is another's."""
    world = RaceWorld({"a/x": dies(1.0), "b/y": [hangs(), says("two")]})
    outcome = await world.run(world.race(First()), transient_retry_count=0)
    assert outcome.answer == "two"
    assert outcome.outcomes == ["failed", "won"]
    assert [event.index for event in outcome.client.of_kind(WinnerSelected)] == [0, 1]
    assert len(outcome.client.of_kind(OutputDiscarded)) == 1
    assert [winner for winner, _ in world.scores.races] == [Target("b", "y")]
    check(world, outcome)


@virtual_time
async def test_who_replaces_a_winner_has_a_clock_too() -> None:
    """R2: a candidate in the place of a broken winner is not waited for beyond a candidate's time."""
    world = RaceWorld({"a/x": dies(1.0), "b/y": hangs(), "c/z": [hangs(), says("three")]})
    limits = RaceLimits(candidate_timeout=2.0)
    outcome = await world.run(world.race(First(), limits=limits), transient_retry_count=0)
    assert (outcome.answer, outcome.at) == ("three", 3.0)
    assert outcome.outcomes == ["failed", "timed_out", "won"]


@virtual_time
async def test_what_was_passed_over_is_held_to_the_race_too() -> None:
    """R2, R6, C3: the last resort of benched candidates is bound by the rule and by the race's clock."""
    world = RaceWorld({"a/x": says("one", first=5.0), "b/y": says("one")})
    for name in world.names:
        world.bench(name)
    late = await world.run(world.race(First(), "a/x", limits=SECOND))
    alone = await world.run(world.race(Consensus()))
    assert late.reason is ErrorReason.LIMIT_REACHED
    assert late.at == 1.0
    assert alone.reason is ErrorReason.NO_CONSENSUS


@virtual_time
async def test_each_candidate_is_asked_with_what_was_set_for_it() -> None:
    """R1, a defect of earlier racers: its own settings replace the prompt's, and what is not set does not."""
    world = RaceWorld({"a/x": says("one"), "a/y": says("two")})
    call = world.call()
    own = world.candidate("a/x", config=GenerationConfig(max_output_token_count=9))
    call.prompt = type(call.prompt)(call.prompt.messages, config=GenerationConfig(temperature=0.5))
    await world.run(world.race(First(), own, "a/y"), call=call)
    configs = {one.target: one.request.prompt.config for one in world.calls}
    assert configs["a/x"].max_output_token_count == 9
    assert configs["a/y"].max_output_token_count is None
    assert {config.temperature for config in configs.values()} == {0.5}


@virtual_time
async def test_two_models_of_one_provider_both_run() -> None:
    """R1, a defect of earlier racers: candidates are told apart by their index, not by their provider."""
    world = RaceWorld({"a/x": says("one", first=2.0), "a/y": says("two", first=1.0)})
    outcome = await world.run(world.race(First()))
    assert sorted(world.called) == ["a/x", "a/y"]
    assert outcome.answer == "two"
    assert outcome.outcomes == ["cancelled", "won"]


@virtual_time
async def test_who_is_known_to_be_sick_is_not_called() -> None:
    """R4, C1, a defect of earlier racers: a benched candidate is passed over, and says until when."""
    world = RaceWorld({"a/x": says("one"), "b/y": says("two")})
    world.bench("a/x")
    outcome = await world.run(world.race(First()))
    skipped = outcome.summary.candidates[0]
    assert world.called == ["b/y"]
    assert outcome.outcomes == ["skipped", "won"]
    assert skipped.skipped_until is not None
    assert "benched" in skipped.message


@virtual_time
async def test_nobody_starts_in_a_race_that_is_left() -> None:
    """A6, R4: that a caller leaves is no failure that the next candidate would start after."""
    world = RaceWorld({"a/x": hangs(), "b/y": says("two")})
    outcome = await world.run(world.race(Hedged(delay=5.0)), cancel_after=1.0)
    assert world.called == ["a/x"]
    check(world, outcome)
    check_left_behind(world, outcome)


@pytest.mark.parametrize("streaming", [True, False])
@virtual_time
async def test_nothing_is_left_open_though_the_caller_does_nothing(*, streaming: bool) -> None:
    """A6, a defect of earlier racers: the end of the answer releases all there is, without being asked to."""
    world = RaceWorld({"a/x": says("one"), "b/y": says("two", first=1.0), "c/z": stalls("three")})
    limits = RaceLimits(decision_timeout=9.0)
    outcome = await world.run(world.race(Weighted(), limits=limits), streaming=streaming)
    assert outcome.outcomes == ["won", "lost", "timed_out"]
    assert world.open_count == 0
