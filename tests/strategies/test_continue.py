"""Recovery CONTINUE through a chain: who goes on, what he is sent, and what the caller sees (C5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paceline_server.completion.answer import Confidence, ConfidenceSource, FinishReason
from paceline_server.completion.attempt import AttemptEnded, AttemptStarted
from paceline_server.completion.content import Part, Reasoning, Text
from paceline_server.completion.deltas import Delta
from paceline_server.completion.errors import ErrorReason
from paceline_server.completion.prompt import ResponseFormat, ResponseFormatKind
from paceline_server.completion.usage import total_usage
from paceline_server.health.budget import BudgetConfig
from paceline_server.providers.simulated import SimulatedProvider
from paceline_server.providers.simulated_pace import Fixed
from paceline_server.providers.simulated_script import Cut
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.strategies.call import ChainOptions, Recovery
from paceline_server.strategies.chain import Chain
from tests.strategies.continuing import beginnings, continued, world_of
from tests.strategies.fitter import Rewrite, ScriptedFitter
from tests.strategies.scripted import (
    Break,
    End,
    Read,
    Script,
    breaks,
    refuses,
    says,
    stalls,
    text,
    thought,
    tool_call,
)
from tests.strategies.world import PROMPT, World
from tests.virtual_time import virtual_time

# Going on


@pytest.mark.parametrize("broken", [breaks("the ", "whole"), stalls("the ", "whole")])
@virtual_time
async def test_a_stream_that_breaks_goes_on_elsewhere(broken: Script) -> None:
    """C5, stream rules 3 and 4: nothing is discarded, and what follows goes on in the same part."""
    world = world_of({"a/x": broken, "b/y": says(" answer")}, "b/y")

    outcome = await continued(world)

    assert outcome.client.discarded_count == 0
    assert outcome.completion is not None
    assert outcome.completion.parts == (Part(Text("the whole answer")),)
    assert beginnings(world) == [None, "the whole"]
    kinds = [type(event) for event in outcome.client.events]
    assert kinds == [
        *(AttemptStarted, Delta, Delta, AttemptEnded),
        *(AttemptStarted, Delta, AttemptEnded),
    ]


@virtual_time
async def test_the_answer_names_who_finished_it_and_costs_what_its_writers_cost() -> None:
    """C5, K4: target and reason are the last one's, usage is all writers', confidence is nobody's."""
    sure = Confidence(0.9, ConfidenceSource.REPORTED)
    end = Script((*text(" answer"), End(FinishReason.LENGTH, confidence=sure)))
    world = world_of({"a/x": breaks("the whole"), "b/y": refuses(), "c/z": end})

    outcome = await continued(world, transient_retry_count=0)

    completion = outcome.completion
    assert completion is not None
    assert (str(completion.target), completion.finish_reason) == ("c/z", FinishReason.LENGTH)
    assert completion.confidence is None
    first, failed, last = outcome.attempts
    assert failed.usage is None
    assert first.usage is not None
    assert last.usage is not None
    assert completion.usage == total_usage([first.usage, last.usage])
    assert completion.usage == outcome.call.record.total_usage()


@virtual_time
async def test_an_answer_that_one_target_gave_keeps_its_confidence() -> None:
    """C5: only what is joined has none."""
    sure = Confidence(0.9, ConfidenceSource.REPORTED)
    world = world_of({"a/x": Script((*text("whole"), End(confidence=sure)))})

    outcome = await continued(world)

    assert outcome.completion is not None
    assert outcome.completion.confidence == sure


@virtual_time
async def test_who_goes_on_is_preferred_to_who_would_start_over() -> None:
    """C5: a target that accepts a prefill is turned to before those in between, which come after it."""
    scripts = {"a/x": breaks("one"), "b/y": says("all"), "c/z": refuses(), "d/w": says("none")}
    world = world_of(scripts, "a/x", "c/z")

    outcome = await continued(world, transient_retry_count=0)

    assert outcome.tried == ["a/x failed", "c/z failed", "b/y succeeded"]
    assert [attempt.path for attempt in outcome.attempts] == ["chain[0]", "chain[2]", "chain[1]"]
    assert outcome.client.discarded_count == 1
    assert outcome.answer == "all"


@virtual_time
async def test_the_same_target_goes_on_where_no_other_can() -> None:
    """C5, C1: its retry is a continuation, though another could start over."""
    world = world_of({"a/x": [breaks("one"), says(" two")], "b/y": says("all")}, "a/x")

    outcome = await continued(world)

    assert outcome.tried == ["a/x failed", "a/x succeeded"]
    assert outcome.answer == "one two"
    assert outcome.client.discarded_count == 0


@virtual_time
async def test_another_that_can_goes_on_at_once() -> None:
    """C5: no retry is waited for while another target could go on."""
    world = world_of({"a/x": [breaks("one"), says("no")], "b/y": says(" two")})

    outcome = await continued(world)

    assert outcome.tried == ["a/x failed", "b/y succeeded"]
    assert outcome.at == 0.0


@virtual_time
async def test_a_continuation_that_breaks_is_gone_on_with_from_further_on() -> None:
    """C5: each beginning is all that stands."""
    world = world_of({"a/x": breaks("one"), "b/y": breaks(" two"), "c/z": [breaks(" three"), says(" four")]})

    outcome = await continued(world)

    assert beginnings(world) == [None, "one", "one two", "one two three"]
    assert outcome.answer == "one two three four"
    assert outcome.client.discarded_count == 0
    assert outcome.completion is not None
    assert outcome.completion.usage == outcome.call.record.total_usage()


@virtual_time
async def test_continuations_stay_within_the_calls_budget() -> None:
    """A7: each is an additional attempt, of which there are eight."""
    world = world_of({"a/x": breaks("word ")})

    outcome = await continued(world, transient_retry_count=100)

    assert len(world.calls) == 9
    assert outcome.reason is ErrorReason.STREAM_BROKEN
    assert outcome.error is not None
    assert outcome.error.metadata["tokens_seen"] == "12"


@virtual_time
async def test_continuations_stay_within_the_fleets_budget() -> None:
    """C6: without an additional attempt the stream is broken."""
    world = world_of({"a/x": breaks("one"), "b/y": says(" two")}, budget=BudgetConfig(0.0, 0.0, 0.0))

    outcome = await continued(world)

    assert outcome.reason is ErrorReason.STREAM_BROKEN
    assert world.called == ["a/x"]


@virtual_time
async def test_a_continuation_that_says_nothing_ends_the_answer() -> None:
    """C5, A2: all had been said, and only the terminal marker was missing."""
    world = world_of({"a/x": breaks("all"), "b/y": Script((End(),))})

    outcome = await continued(world)

    assert outcome.answer == "all"


@virtual_time
async def test_a_break_before_any_content_is_an_ordinary_failover() -> None:
    """C5: there is nothing to go on from."""
    world = world_of({"a/x": stalls(), "b/y": says("all")})

    outcome = await continued(world)

    assert beginnings(world) == [None, None]
    assert outcome.answer == "all"


@virtual_time
async def test_a_benched_target_does_not_go_on() -> None:
    """C1, C5: who may not be called cannot be preferred."""
    world = world_of({"a/x": breaks("one"), "b/y": says("all"), "c/z": says("no")}, "c/z")
    world.bench("c/z")

    outcome = await continued(world)

    assert outcome.tried == ["a/x failed", "b/y succeeded"]


@virtual_time
async def test_the_same_beginning_is_encoded_once() -> None:
    """C5, A8: bodies belong to one prompt: shared by who is sent the same beginning, and by nobody else."""
    world = world_of({"a/x": breaks("one"), "b/y": refuses(), "c/z": refuses()})

    await continued(world)

    bodies = [id(call.request.bodies) for call in world.calls]
    assert beginnings(world) == [None, "one", "one", "one"]
    assert [bodies.index(one) for one in bodies] == [0, 1, 1, 1]


@virtual_time
async def test_what_was_fitted_once_is_not_fitted_for_a_continuation_again() -> None:
    """A8, C5: a continuation is made of the fitted prompt, whose images need no second decoding."""
    fitter = ScriptedFitter({"a": Rewrite()})
    world = world_of({"a/x": breaks("one"), "a/y": says(" two")}, fitter=fitter)

    await continued(world)

    last = world.calls[1].request.prompt.messages
    assert last[:-1] == world.calls[0].request.prompt.messages
    assert fitter.asked == ["a", "a"]


@virtual_time
async def test_thoughts_and_their_signature_are_not_sent() -> None:
    """C5: the next target is given the text; the caller keeps the thoughts of the first."""
    broken = Script((*thought("let me see"), *text("It is", part=1), Break()))
    world = world_of({"a/x": broken, "b/y": Script((*thought("hm"), *text(" so", part=1), End()))})

    outcome = await continued(world)

    assert beginnings(world) == [None, "It is"]
    assert outcome.completion is not None
    assert outcome.completion.parts == (
        Part(Reasoning("let me see")),
        Part(Text("It is so")),
        Part(Reasoning("hm")),
    )


@virtual_time
async def test_the_simulated_provider_goes_on_with_itself() -> None:
    """C5: a stream that is cut at any token is whole in the end, white space at the cut included."""
    whole = "one two\n\nthree four five"
    for cut in range(1, 6):
        world = World({"a/x": says("unused")})
        model = SimulatedModel(
            answer=whole, script=(Cut(cut),), accepts_prefill=True, token_interval=Fixed(0.1), merge=False
        )
        provider = SimulatedProvider("a", {"x": model}, seed=1)

        outcome = await continued(world, Chain([world.model("a/x", provider)], world.surroundings))

        assert outcome.answer == whole
        assert outcome.client.discarded_count == 0


# Starting over


@pytest.mark.parametrize(
    "broken",
    [
        Script((*thought("hm"), Break())),
        Script((Read(tuple(tool_call(0, "{"))), Break())),
        Script((*text("so"), Read(tuple(tool_call(1, "{}"))), Break())),
        breaks(" \n"),
    ],
    ids=["thoughts", "part of a call", "a call", "white space"],
)
@virtual_time
async def test_what_cannot_be_gone_on_from_is_started_over(broken: Script) -> None:
    """C5: `output_discarded`, and the next target from part 0."""
    world = world_of({"a/x": broken, "b/y": says("all")})

    outcome = await continued(world)

    assert beginnings(world) == [None, None]
    assert outcome.client.discarded_count == 1
    assert outcome.answer == "all"


@pytest.mark.parametrize("kind", ResponseFormatKind)
@virtual_time
async def test_an_answer_in_an_enforced_form_is_started_over(kind: ResponseFormatKind) -> None:
    """C5: where the form is enforced, who goes on would begin it anew inside what stands."""
    world = world_of({"a/x": breaks('{"a":'), "b/y": says(" 1}")})
    call = world.call(ChainOptions(recovery=Recovery.CONTINUE))
    call.prompt = replace(PROMPT, response_format=ResponseFormat(kind, schema_json="{}"))

    outcome = await world.stream(call=call)

    joined = kind is ResponseFormatKind.TEXT
    assert outcome.answer == ('{"a": 1}' if joined else " 1}")
    assert outcome.client.discarded_count == (0 if joined else 1)


@pytest.mark.parametrize("recovery", [Recovery.RESTART, Recovery.HOLD])
@virtual_time
async def test_other_recoveries_start_over_though_targets_could_go_on(recovery: Recovery) -> None:
    """C5: HOLD behaves as RESTART after its first tokens, and neither asks for a continuation."""
    world = world_of({"a/x": breaks("abcd" * 70), "b/y": says("all")})

    outcome = await world.stream(recovery=recovery)

    assert beginnings(world) == [None, None]
    assert outcome.client.discarded_count == 1


@virtual_time
async def test_a_unary_call_starts_over_silently() -> None:
    """C5: it has delivered nothing, so there is nothing to go on from."""
    world = world_of({"a/x": breaks("half"), "b/y": says("all")})

    outcome = await world.complete(recovery=Recovery.CONTINUE)

    assert outcome.answer == "all"
    assert set(beginnings(world)) == {None}


@virtual_time
async def test_after_starting_over_the_new_answer_is_gone_on_with() -> None:
    """C5: what was discarded is forgotten; the new answer stands, and its writers alone are billed."""
    old = Script((*thought("old"), Break()))
    world = world_of({"a/x": old, "b/y": breaks("new"), "c/z": says(" end")})

    outcome = await continued(world)

    assert beginnings(world) == [None, None, "new"]
    assert outcome.client.discarded_count == 1
    assert outcome.completion is not None
    assert outcome.completion.parts == (Part(Text("new end")),)
    writers = [attempt.usage for attempt in outcome.attempts[1:] if attempt.usage is not None]
    assert outcome.completion.usage == total_usage(writers)


# Chains in chains


@virtual_time
async def test_chains_in_chains_join_once() -> None:
    """C5: an inner chain goes on with what an outer one delivered, and the answer is joined at the top."""
    scripts = {"a/x": breaks("one"), "b/y": says("no"), "c/z": breaks(" two"), "d/w": says(" three")}
    world = world_of(scripts, "c/z", "d/w")
    inner = world.chain("b/y", "c/z", "d/w")

    outcome = await continued(world, Chain([world.model("a/x"), inner], world.surroundings))

    assert outcome.tried == ["a/x failed", "c/z failed", "d/w succeeded"]
    assert outcome.answer == "one two three"
