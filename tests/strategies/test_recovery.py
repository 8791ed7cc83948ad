"""What a caller sees of a stream that breaks: nothing, a retraction, or the end (C5)."""

from __future__ import annotations

import pytest

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import (
    Attempt,
    AttemptEnded,
    AttemptOutcome,
    AttemptStarted,
    CallEvent,
    FailureClass,
    OutputDiscarded,
)
from paceline_server.completion.deltas import Delta, TextDelta
from paceline_server.completion.errors import ErrorReason
from paceline_server.strategies.call import Recovery
from paceline_server.strategies.chain import Chain
from paceline_server.strategies.delivery import Delivery
from tests.strategies.scripted import (
    Break,
    End,
    Read,
    Script,
    Silence,
    breaks,
    deltas_in,
    refuses,
    says,
    stalls,
    text,
    thought,
    tool_call,
)
from tests.strategies.world import World
from tests.virtual_time import virtual_time

TOKEN = "abcd"
"""Four characters: what estimates take for one token."""

WHOLE = says("the ", "whole ", "answer")


# RESTART


@pytest.mark.parametrize("recovery", [Recovery.RESTART, Recovery.CONTINUE])
@pytest.mark.parametrize("end", [Break(), Silence(), Break(FailureClass.MALFORMED_RESPONSE)])
@virtual_time
async def test_a_break_after_content_is_retracted_and_starts_over(
    recovery: Recovery, end: Break | Silence
) -> None:
    """C5: `output_discarded` with the broken attempt, then the next target from part 0."""
    world = World({"a/x": Script((*text("half "), end)), "b/y": WHOLE})

    outcome = await world.stream(recovery=recovery)

    assert outcome.answer == "the whole answer"
    assert outcome.client.of_kind(OutputDiscarded) == [OutputDiscarded(0)]
    assert world.called == ["a/x", "b/y"], "another target is left, so the broken one is not asked again"


@virtual_time
async def test_the_retraction_comes_before_the_next_attempts_start() -> None:
    """C5, stream rule 3: the broken attempt ends, its output is void, and then the next one starts."""
    world = World({"a/x": breaks("half"), "b/y": says("whole")})

    outcome = await world.stream()

    kinds = [type(event) for event in outcome.client.events]
    assert kinds == [
        AttemptStarted,
        Delta,
        AttemptEnded,
        OutputDiscarded,
        AttemptStarted,
        Delta,
        AttemptEnded,
    ]


@virtual_time
async def test_a_break_restarts_on_the_same_target_where_it_is_alone() -> None:
    """C5, C1: with no other target left the retry is the restart."""
    world = World({"a/x": [breaks("half"), WHOLE]})

    outcome = await world.stream()

    assert outcome.answer == "the whole answer"
    assert outcome.client.discarded_count == 1


@virtual_time
async def test_every_break_is_retracted_however_many_there_are() -> None:
    """C5: three broken targets are three retractions."""
    world = World({"a/x": breaks("a"), "b/y": breaks("b", "c"), "c/z": breaks("d"), "d/w": WHOLE})

    outcome = await world.stream()

    assert outcome.client.of_kind(OutputDiscarded) == [OutputDiscarded(index) for index in range(3)]
    assert outcome.answer == "the whole answer"


@virtual_time
async def test_a_break_that_nobody_can_mend_is_stream_broken() -> None:
    """C5: STREAM_BROKEN names the target and what had been seen of it."""
    world = World({"a/x": breaks(TOKEN * 5), "b/y": refuses()})

    outcome = await world.stream(transient_retry_count=0)

    assert outcome.reason is ErrorReason.STREAM_BROKEN
    assert outcome.error is not None
    assert outcome.error.metadata["target"] == "a/x"
    assert outcome.error.metadata["tokens_seen"] == "5"
    assert outcome.error.metadata["first_cause"] == "TRANSIENT"
    assert outcome.client.discarded_count == 1, "the next attempt had started on a clean slate"


@virtual_time
async def test_failover_before_content_is_invisible_but_for_its_events() -> None:
    """C5: until the first content is delivered nothing is retracted."""
    world = World({"a/x": refuses(), "b/y": WHOLE})

    outcome = await world.stream()

    assert outcome.client.discarded_count == 0
    assert outcome.answer == "the whole answer"


# NONE


@pytest.mark.parametrize("script", [breaks("half"), stalls("half")])
@virtual_time
async def test_without_recovery_a_break_after_content_is_the_end(script: Script) -> None:
    """C5: NONE ends with STREAM_BROKEN, and nobody else is asked."""
    world = World({"a/x": script, "b/y": WHOLE})

    outcome = await world.stream(recovery=Recovery.NONE)

    assert outcome.reason is ErrorReason.STREAM_BROKEN
    assert world.called == ["a/x"]
    assert outcome.client.discarded_count == 0


@virtual_time
async def test_without_recovery_failover_before_content_goes_on() -> None:
    """C5: NONE is about breaks; before the first content every failure is invisible."""
    world = World({"a/x": refuses(), "b/y": stalls(), "c/z": WHOLE})

    outcome = await world.stream(recovery=Recovery.NONE)

    assert outcome.answer == "the whole answer"


# HOLD


@pytest.mark.parametrize("token_count", [1, 32, 63])
@virtual_time
async def test_hold_makes_a_break_within_the_first_64_tokens_invisible(token_count: int) -> None:
    """C5: nothing of the broken attempt is delivered, so nothing is retracted."""
    world = World({"a/x": breaks(*[TOKEN] * token_count), "b/y": WHOLE})

    outcome = await world.stream(recovery=Recovery.HOLD)

    assert outcome.client.discarded_count == 0
    assert outcome.client.delta_texts == ["the ", "whole ", "answer"]


@pytest.mark.parametrize("token_count", [64, 65, 200])
@virtual_time
async def test_hold_behaves_as_restart_once_64_tokens_have_come(token_count: int) -> None:
    """C5: what was held is delivered, and a later break retracts it; then nothing is held any more."""
    world = World({"a/x": breaks(*[TOKEN] * token_count), "b/y": breaks("x"), "c/z": WHOLE})

    outcome = await world.stream(recovery=Recovery.HOLD)

    assert outcome.client.of_kind(OutputDiscarded) == [OutputDiscarded(0), OutputDiscarded(1)]
    assert len(outcome.client.delta_texts) == token_count + 1 + 3
    assert outcome.answer == "the whole answer"


@virtual_time
async def test_hold_delivers_a_short_answer_whole() -> None:
    """C5: an answer below the mark is delivered at its end, before its attempt's end is told."""
    world = World({"a/x": WHOLE})

    outcome = await world.stream(recovery=Recovery.HOLD)

    assert outcome.answer == "the whole answer"
    assert [type(event) for event in outcome.client.events] == [AttemptStarted, *[Delta] * 3, AttemptEnded]


@virtual_time
async def test_the_callers_mark_counts_and_0_holds_nothing() -> None:
    """C5: `hold_token_count` of the call; 0 is RESTART from the first delta."""
    held = World({"a/x": breaks(TOKEN, TOKEN), "b/y": WHOLE})
    released = World({"a/x": breaks(TOKEN, TOKEN), "b/y": WHOLE})
    unheld = World({"a/x": breaks(TOKEN), "b/y": WHOLE})

    counts = [
        (await world.stream(recovery=Recovery.HOLD, hold_token_count=mark)).client.discarded_count
        for world, mark in ((held, 3), (released, 2), (unheld, 0))
    ]

    assert counts == [0, 1, 1]


@virtual_time
async def test_an_early_break_under_hold_that_nobody_can_mend_is_no_broken_stream() -> None:
    """C5: the caller saw nothing, so he is told of exhaustion."""
    world = World({"a/x": breaks("half"), "b/y": refuses()})

    outcome = await world.stream(recovery=Recovery.HOLD)

    assert outcome.reason is ErrorReason.ALL_ATTEMPTS_FAILED
    assert outcome.client.delta_texts == []


@virtual_time
async def test_hold_keeps_parts_and_their_order() -> None:
    """C5, stream rule 4: reasoning, text and interleaved tool calls come out of the hold as they went in."""
    first, second = tool_call(2, '{"a":', "1}"), tool_call(3, '{"b":', "2}")
    interleaved = [delta for pair in zip(first, second, strict=True) for delta in pair]
    script = Script((*thought("hm"), *text("so", part=1), Read(tuple(interleaved)), End()))
    world = World({"a/x": script})

    outcome = await world.stream(recovery=Recovery.HOLD)

    assert [event for event in outcome.client.events if isinstance(event, Delta)] == deltas_in(script)
    assert outcome.completion is not None
    assert len(outcome.completion.parts) == 4


@virtual_time
async def test_chains_in_chains_hold_and_retract_once() -> None:
    """C5: a break in an inner chain is retracted once, and held back once."""
    for recovery in (Recovery.RESTART, Recovery.HOLD):
        long = breaks(*[TOKEN] * 70)
        world = World({"a/x": long, "b/y": breaks(*[TOKEN] * 3), "c/z": WHOLE})

        outcome = await world.stream(
            Chain([world.chain("a/x", "b/y"), world.model("c/z")], world.surroundings), recovery=recovery
        )

        assert outcome.answer == "the whole answer"
        assert outcome.client.discarded_count == 2


# Delivery alone


def started(index: int) -> AttemptStarted:
    """An attempt that starts."""
    return AttemptStarted(Attempt(index, Target("a", "x"), "", 1, 0.0))


def ended(index: int, outcome: AttemptOutcome) -> AttemptEnded:
    """An attempt that ended."""
    return AttemptEnded(Attempt(index, Target("a", "x"), "", 1, 0.0, outcome))


@virtual_time
async def test_a_retraction_from_below_voids_what_is_held_back() -> None:
    """C5: a model inside may retract its own output; what was held of it must never be delivered."""
    seen: list[CallEvent] = []

    async def sink(event: CallEvent) -> None:
        seen.append(event)

    delivery = Delivery(sink, Recovery.HOLD, 64)
    void, good = Delta(0, TextDelta("void")), Delta(0, TextDelta("good"))
    for event in (started(0), void, OutputDiscarded(0), good, ended(0, AttemptOutcome.SUCCEEDED)):
        await delivery(event)

    assert seen == [started(0), good, ended(0, AttemptOutcome.SUCCEEDED)]
