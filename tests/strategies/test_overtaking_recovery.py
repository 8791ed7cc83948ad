"""What becomes of answers that break where one overtakes another, and of models within models (C7, C5)."""

from __future__ import annotations

import asyncio

import pytest

from paceline_server.completion.attempt import AttemptEnded, AttemptOutcome, AttemptStarted
from paceline_server.completion.errors import ErrorReason
from paceline_server.providers.profile import Profile
from paceline_server.strategies.call import Recovery
from paceline_server.strategies.chain import Chain
from paceline_server.strategies.model import Model
from paceline_server.strategies.race import Candidate, Race
from paceline_server.strategies.racing.first import First
from tests.strategies.continuing import beginnings
from tests.strategies.overtaken import Lingering, overtaken, starts, tried, world_of
from tests.strategies.scripted import (
    USED,
    Break,
    Script,
    Wait,
    breaks,
    hangs,
    refuses,
    says,
    stalls,
    text,
)
from tests.strategies.world import World
from tests.virtual_time import virtual_time

PREFILLED = dict.fromkeys(("a/x", "b/y", "c/z"), Profile(accepts_prefill=True))
TOKEN = "abcd"


def late(*words: str, after: float = 1.0) -> Script:
    """Words, and then a failure, after a while."""
    return Script((Wait(after), *text(*words), Wait(1.0), Break()))


def race_of(world: World, *names: str) -> Race:
    """A race for the first content."""
    candidates = [Candidate(world.chain(name), name) for name in names]
    return Race(candidates, First(), world.surroundings)


def chain_of(world: World, *models: Model) -> Chain:
    """A chain of models."""
    return Chain(models, world.surroundings)


# An overtaker that breaks


@virtual_time
async def test_after_a_break_the_one_that_was_outrun_may_be_tried_again() -> None:
    """C5, C7: RESTART retracts once, and nothing is delivered or billed twice."""
    world = world_of(a=[hangs(), says("one ", "again")], b=late("two"))

    outcome = await overtaken(world, transient_retry_count=0)

    assert outcome.answer == "one again"
    assert outcome.client.delta_texts == ["two", "one ", "again"]
    assert outcome.client.discarded_count == 1
    assert tried(outcome) == ["a/x cancelled", "b/y failed", "a/x succeeded"]
    assert [one.try_number for one in sorted(outcome.attempts, key=lambda one: one.index)] == [1, 1, 2]


@pytest.mark.parametrize("gone_after", [0.0, 0.02, 9.0])
@virtual_time
async def test_without_recovery_a_break_is_the_end_however_long_the_loser_takes(gone_after: float) -> None:
    """C5, A6: what was delivered counts though the loser's connection is still closing."""
    world = world_of(a=hangs(), b=breaks("two"))
    world.providers["a"] = Lingering(gone_after)  # type: ignore[assignment]

    outcome = await overtaken(world, recovery=Recovery.NONE)

    assert outcome.reason is ErrorReason.STREAM_BROKEN
    assert outcome.client.delta_texts == ["two"]
    assert outcome.client.discarded_count == 0
    assert world.called == ["b/y"]
    await asyncio.sleep(gone_after)


@virtual_time
async def test_a_slow_reader_gets_all_that_an_overtaker_wrote_before_it_is_gone_on_with() -> None:
    """C5: what stands is known only once it is delivered, and the next goes on from the end of that."""
    words = Script((*text("one ", "two "), Wait(0.1), *text("three "), Break()))
    world = world_of(a=hangs(), b=[words, says("four")], profiles=PREFILLED)

    outcome = await overtaken(world, recovery=Recovery.CONTINUE, pause=5.0)

    assert outcome.answer == "one two three four"
    assert beginnings(world) == [None, None, "one two three"]


@virtual_time
async def test_an_early_break_of_an_overtaker_is_invisible_under_hold() -> None:
    """C5: HOLD holds what the overtaker says as it holds what any says."""
    world = world_of(a=hangs(), b=late(*[TOKEN] * 63), c=says("three"))

    outcome = await overtaken(world, recovery=Recovery.HOLD, transient_retry_count=0, overtake_after=4.0)

    assert outcome.client.delta_texts == ["three"]
    assert outcome.client.discarded_count == 0


@virtual_time
async def test_hold_counts_the_tokens_of_the_overtaker_alone() -> None:
    """C5: nothing of the slow one has been held, and the answer is delivered in one go."""
    world = world_of(a=[late(*[TOKEN] * 40), hangs()], b=late(*[TOKEN] * 40), c=says("three"))

    outcome = await overtaken(world, recovery=Recovery.HOLD, transient_retry_count=0)

    assert outcome.client.delta_texts == ["three"]


@virtual_time
async def test_an_overtakers_answer_can_be_gone_on_with() -> None:
    """C5: CONTINUE gives the next what the overtaker had written; the usage is that of both."""
    world = world_of(a=[hangs(), says(" one")], b=late("two"), profiles=PREFILLED)

    outcome = await overtaken(world, recovery=Recovery.CONTINUE, transient_retry_count=0)

    assert outcome.answer == "two one"
    assert outcome.client.discarded_count == 0
    assert beginnings(world) == [None, None, "two"]
    assert outcome.completion is not None
    broken = next(one for one in outcome.attempts if one.outcome is AttemptOutcome.FAILED)
    assert broken.usage is not None
    assert outcome.completion.usage.output_token_count == (
        broken.usage.output_token_count + USED.output_token_count
    )


@virtual_time
async def test_an_overtaker_goes_on_with_its_own_answer() -> None:
    """C5, C1: with nobody else left its retry continues what stands."""
    world = world_of(a=hangs(), b=[late("two"), says(" more")], profiles=PREFILLED)

    outcome = await overtaken(world, recovery=Recovery.CONTINUE)

    assert outcome.answer == "two more"
    assert tried(outcome) == ["a/x cancelled", "b/y failed", "b/y succeeded"]


@virtual_time
async def test_an_overtakers_retry_is_not_spared_while_the_outrun_one_is_left() -> None:
    """A1: the one that was outrun could still answer, so a retry that hangs is ended by its clock."""
    world = world_of(a=[hangs(), says("one")], b=[late("two"), hangs()])

    outcome = await overtaken(world)

    assert tried(outcome) == ["a/x cancelled", "b/y failed", "b/y timed_out", "a/x succeeded"]
    assert outcome.answer == "one"


@virtual_time
async def test_a_break_that_nobody_can_mend_names_the_overtaker() -> None:
    """C5: STREAM_BROKEN names who had written what the caller saw."""
    world = world_of(a=[hangs(), refuses()], b=late(TOKEN * 5))

    outcome = await overtaken(world, transient_retry_count=0)

    assert outcome.error is not None
    assert outcome.reason is ErrorReason.STREAM_BROKEN
    assert outcome.error.metadata["target"] == "b/y"
    assert outcome.error.metadata["tokens_seen"] == "5"


@virtual_time
async def test_after_a_stall_the_overtaker_is_replaced() -> None:
    """A1, C5: the gap clock watches the winner, and the next restarts the answer."""
    world = world_of(a=hangs(), b=stalls("two"), c=says("three"))

    outcome = await overtaken(world, overtake_after=5.0)

    assert tried(outcome)[:2] == ["a/x cancelled", "b/y timed_out"]
    assert outcome.answer == "three"
    assert outcome.client.discarded_count == 1


# Models within models

RECOVERIES = [Recovery.RESTART, Recovery.HOLD, Recovery.CONTINUE, Recovery.NONE]


@pytest.mark.parametrize("recovery", RECOVERIES)
@pytest.mark.parametrize("unary", [False, True])
@virtual_time
async def test_a_race_is_overtaken_as_a_whole(recovery: Recovery, *, unary: bool) -> None:
    """C7, R3: all its candidates are cancelled and billed when the next of the chain has content first."""
    world = world_of(a=hangs(), b=hangs(), c=says("three", first=1.0))
    chain = chain_of(world, race_of(world, "a/x", "b/y"), world.model("c/z"))

    outcome = await overtaken(world, model=chain, unary=unary, recovery=recovery)

    assert (outcome.answer, outcome.at) == ("three", 11.0)
    assert tried(outcome) == ["a/x cancelled", "b/y cancelled", "c/z succeeded"]
    assert world.penalised == set()


@pytest.mark.parametrize("recovery", RECOVERIES)
@pytest.mark.parametrize("unary", [False, True])
@virtual_time
async def test_a_race_may_overtake(recovery: Recovery, *, unary: bool) -> None:
    """C7, R3: the race's losers end, and what they say of themselves voids nothing of the answer."""
    world = world_of(a=hangs(), b=hangs(), c=says("three ", "words", first=1.0, every=1.0))
    chain = chain_of(world, world.model("a/x"), race_of(world, "b/y", "c/z"))

    outcome = await overtaken(world, model=chain, unary=unary, recovery=recovery, raced=True)

    assert outcome.answer == "three words"
    assert outcome.client.discarded_count == 0
    assert tried(outcome) == ["a/x cancelled", "b/y cancelled", "c/z succeeded"]
    assert outcome.completion is not None
    assert outcome.completion.usage == next(
        one.usage for one in outcome.attempts if one.outcome is AttemptOutcome.SUCCEEDED
    )


@pytest.mark.parametrize("recovery", RECOVERIES)
@virtual_time
async def test_a_race_that_nobody_overtakes_answers_as_ever(recovery: Recovery) -> None:
    """C7, C5: a chain that could be overtaken delivers a race's answer whole, held back or not."""
    world = world_of(a=says("one ", "word", first=1.0, every=1.0), b=hangs(), c=says("no"))
    chain = chain_of(world, race_of(world, "a/x", "b/y"), world.model("c/z"))

    outcome = await overtaken(world, model=chain, recovery=recovery, raced=True)

    assert outcome.answer == "one word"
    assert tried(outcome) == ["a/x succeeded", "b/y cancelled"]
    assert outcome.completion is not None
    assert outcome.completion.usage.output_token_count == USED.output_token_count


@pytest.mark.parametrize(
    ("recovery", "texts"),
    [
        (Recovery.RESTART, ["half", "whole"]),
        (Recovery.CONTINUE, ["half", "whole"]),
        (Recovery.HOLD, ["whole"]),
    ],
)
@virtual_time
async def test_a_race_that_broke_is_replaced_by_the_next(recovery: Recovery, texts: list[str]) -> None:
    """C5, R3: its break is the chain's to mend once all its candidates have failed."""
    world = world_of(a=late("half"), b=refuses(), c=says("whole"))
    chain = chain_of(world, race_of(world, "a/x", "b/y"), world.model("c/z"))

    outcome = await overtaken(world, model=chain, recovery=recovery, transient_retry_count=0)

    assert outcome.client.delta_texts == texts
    assert outcome.client.discarded_count == len(texts) - 1
    assert outcome.answer == "whole"


@virtual_time
async def test_a_race_that_broke_is_gone_on_with_by_the_next() -> None:
    """C5, R3: what the race delivered stands, and its usage counts once."""
    world = world_of(a=late("half"), b=refuses(), c=says(" and more"), profiles=PREFILLED)
    chain = chain_of(world, race_of(world, "a/x", "b/y"), world.model("c/z"))

    outcome = await overtaken(world, model=chain, recovery=Recovery.CONTINUE, transient_retry_count=0)

    assert outcome.answer == "half and more"
    assert outcome.client.discarded_count == 0
    assert beginnings(world)[-1] == "half"
    assert outcome.completion is not None
    assert outcome.completion.usage.output_token_count == 1 + USED.output_token_count


@pytest.mark.parametrize("recovery", RECOVERIES)
@virtual_time
async def test_a_race_that_broke_for_good_is_a_broken_stream(recovery: Recovery) -> None:
    """C5: who saw a part of an answer is told that it broke, and of whom; under HOLD nobody saw any."""
    world = world_of(a=late(TOKEN), b=refuses(), c=refuses())
    chain = chain_of(world, race_of(world, "a/x", "b/y"), world.model("c/z"))

    outcome = await overtaken(world, model=chain, recovery=recovery, transient_retry_count=0)

    assert outcome.error is not None
    if recovery is Recovery.HOLD:
        assert outcome.reason is ErrorReason.ALL_ATTEMPTS_FAILED
        assert outcome.client.delta_texts == []
    else:
        assert outcome.reason is ErrorReason.STREAM_BROKEN
        assert outcome.error.metadata["target"] == "a/x"
    assert ("c/z" in world.called) == (recovery is not Recovery.NONE)


@pytest.mark.parametrize("recovery", [Recovery.RESTART, Recovery.CONTINUE])
@virtual_time
async def test_a_race_restarts_within_itself(recovery: Recovery) -> None:
    """R3, C5: the winner broke, another candidate takes its place, and the caller sees one retraction."""
    world = world_of(a=late("half"), b=[says("no", first=9.0), says("whole")], c=says("no"))
    chain = chain_of(world, race_of(world, "a/x", "b/y"), world.model("c/z"))

    outcome = await overtaken(world, model=chain, recovery=recovery, transient_retry_count=0)

    assert outcome.answer == "whole"
    assert outcome.client.delta_texts == ["half", "whole"]
    assert tried(outcome) == ["a/x failed", "b/y cancelled", "b/y succeeded"]


@virtual_time
async def test_a_race_continues_within_itself() -> None:
    """R3, C5: what one candidate wrote another goes on with, joined once, and billed once."""
    profiles = PREFILLED
    world = world_of(
        a=late("half "), b=[says("no", first=9.0), says("  more")], c=says("no"), profiles=profiles
    )
    chain = chain_of(world, race_of(world, "a/x", "b/y"), world.model("c/z"))

    outcome = await overtaken(world, model=chain, recovery=Recovery.CONTINUE, transient_retry_count=0)

    assert outcome.answer == "half  more"
    assert outcome.client.discarded_count == 0
    assert outcome.completion is not None
    assert outcome.completion.usage.output_token_count == 2 + USED.output_token_count


@pytest.mark.parametrize("unary", [False, True])
@virtual_time
async def test_a_candidate_overtakes_within_its_own_chain(*, unary: bool) -> None:
    """C7, R3: a slow head of a candidate is overtaken while the other candidates run."""
    world = world_of(a=hangs(), b=says("two", first=1.0), c=hangs())
    candidates = [Candidate(world.chain("a/x", "b/y"), "a/x,b/y"), Candidate(world.chain("c/z"), "c/z")]
    race = Race(candidates, First(), world.surroundings)

    outcome = await overtaken(world, model=race, unary=unary)

    assert sorted(starts(world)) == [("a/x", 0.0), ("b/y", 10.0), ("c/z", 0.0)]
    assert outcome.answer == "two"
    assert sorted(tried(outcome)) == ["a/x cancelled", "b/y succeeded", "c/z cancelled"]
    assert outcome.call.record.additional_count == 1


@virtual_time
async def test_what_ends_before_its_start_was_told_is_told_in_its_order() -> None:
    """C7, stream rule 1: the race that is to overtake is cancelled at the moment at which it starts."""
    world = world_of(a=says("one", first=10.0), b=hangs())
    chain = chain_of(world, world.model("a/x"), race_of(world, "b/y"))

    outcome = await overtaken(world, model=chain, raced=True)

    assert outcome.answer == "one"
    told = [event for event in outcome.client.events if isinstance(event, AttemptStarted | AttemptEnded)]
    assert [(type(event), event.attempt.index) for event in told if event.attempt.target.provider == "b"] == [
        (AttemptStarted, 1),
        (AttemptEnded, 1),
    ]


@pytest.mark.parametrize("recovery", RECOVERIES)
@virtual_time
async def test_chains_in_chains_overtake_within_each_other(recovery: Recovery) -> None:
    """C7: the tail of the inner chain and the next of the outer start beside the slow head; one answers."""
    world = world_of(a=hangs(), b=hangs(), c=says("three ", "words", first=1.0))
    chain = chain_of(world, world.chain("a/x", "b/y"), world.model("c/z"))

    outcome = await overtaken(world, model=chain, recovery=recovery)

    assert outcome.answer == "three words"
    assert sorted(tried(outcome)) == ["a/x cancelled", "b/y cancelled", "c/z succeeded"]
