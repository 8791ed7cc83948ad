"""A continuation that its target refuses starts over, and is never what the caller is told (C5)."""

from __future__ import annotations

import pytest

from paceline_server.completion.answer import FinishReason
from paceline_server.completion.attempt import AttemptOutcome, FailureClass
from paceline_server.completion.errors import ErrorReason
from paceline_server.health.budget import BudgetConfig
from tests.strategies.continuing import beginnings, continued, world_of
from tests.strategies.fitter import Refuse, ScriptedFitter
from tests.strategies.scripted import (
    End,
    Script,
    breaks,
    refuses,
    says,
    text,
    unwritable,
)
from tests.virtual_time import virtual_time

REFUSALS = [
    FailureClass.INVALID_REQUEST,
    FailureClass.UNSUPPORTED,
    FailureClass.CONTEXT_TOO_LONG,
    FailureClass.CONTENT_FILTERED,
]


@pytest.mark.parametrize("failure_class", REFUSALS)
@pytest.mark.parametrize("advance", [False, True])
@virtual_time
async def test_a_refused_continuation_starts_over_on_the_same_target(
    failure_class: FailureClass, *, advance: bool
) -> None:
    """C5: the refusal is about the beginning, so the target may answer from the start."""
    refusal = refuses(failure_class, http_status=400)
    world = world_of({"a/x": breaks("one"), "b/y": [refusal, says("all")], "c/z": says("no")})

    outcome = await continued(world, advance_on_permanent=advance)

    assert outcome.tried == ["a/x failed", "b/y failed", "b/y succeeded"]
    assert beginnings(world) == [None, "one", None]
    assert outcome.client.discarded_count == 1
    assert world.penalised == {"a/x"}


@virtual_time
async def test_a_continuation_that_is_filtered_at_once_is_refused() -> None:
    """A2, C5: no word of its own came through, so it is no answer to what stands."""
    filtered = Script((End(FinishReason.CONTENT_FILTER),))
    world = world_of({"a/x": breaks("one"), "b/y": [filtered, says("all")]})

    outcome = await continued(world)

    assert outcome.answer == "all"


@virtual_time
async def test_a_continuation_that_is_filtered_later_is_an_answer_that_says_so() -> None:
    """A2, C5: filtered after some content."""
    filtered = Script((*text(" two"), End(FinishReason.CONTENT_FILTER)))
    world = world_of({"a/x": breaks("one"), "b/y": filtered})

    outcome = await continued(world)

    assert outcome.answer == "one two"
    assert outcome.completion is not None
    assert outcome.completion.finish_reason is FinishReason.CONTENT_FILTER


@pytest.mark.parametrize("failure_class", REFUSALS)
@virtual_time
async def test_a_refused_continuation_is_never_the_callers_error(failure_class: FailureClass) -> None:
    """C5: where nobody answers in the end, the caller is told what broke."""
    refusal = refuses(failure_class, http_status=400)
    world = world_of({"a/x": breaks("one"), "b/y": [refusal, refuses()]})

    outcome = await continued(world, transient_retry_count=0)

    assert outcome.reason is ErrorReason.STREAM_BROKEN
    assert outcome.error is not None
    assert outcome.error.metadata["target"] == "a/x"
    assert outcome.error.metadata["first_cause"] == "TRANSIENT"


@virtual_time
async def test_a_refused_continuation_without_budget_is_a_broken_stream() -> None:
    """C5, C6: starting over is an additional attempt, too."""
    refusal = refuses(FailureClass.INVALID_REQUEST)
    budget = BudgetConfig(0.0, 1e-9, 1.0)
    world = world_of({"a/x": breaks("one"), "b/y": [refusal, says("no")]}, budget=budget)
    world.budget.give_back()

    outcome = await continued(world)

    assert world.called == ["a/x", "b/y"]
    assert outcome.reason is ErrorReason.STREAM_BROKEN
    assert outcome.client.discarded_count == 0


@virtual_time
async def test_what_an_adapter_or_a_fitter_cannot_make_of_a_continuation_is_a_refusal() -> None:
    """C5, A8: the target is asked from the start, and no budget was used for what was not sent."""
    written = world_of({"a/x": breaks("one"), "b/y": [unwritable(), says("all")]})
    fitted = world_of(
        {"a/x": breaks("one"), "b/y": says("all")},
        fitter=ScriptedFitter({"b": Refuse(FailureClass.CONTEXT_TOO_LONG, only_continuations=True)}),
    )
    for world in (written, fitted):
        outcome = await continued(world)

        assert outcome.tried == ["a/x failed", "b/y rejected", "b/y succeeded"]
        assert outcome.call.record.started_count == 2
        assert outcome.answer == "all"


@virtual_time
async def test_a_prompt_that_does_not_fit_as_a_whole_is_rejected_once() -> None:
    """A8: that has nothing to do with going on, so the target is not asked from the start."""
    fitter = ScriptedFitter({"b": Refuse()})
    world = world_of({"a/x": breaks("one"), "b/y": says("no"), "c/z": says(" two")}, fitter=fitter)

    outcome = await continued(world)

    assert outcome.tried == ["a/x failed", "b/y rejected", "c/z succeeded"]
    assert outcome.answer == "one two"


@virtual_time
async def test_a_continuation_that_breaks_with_a_refusal_starts_over() -> None:
    """C5: though words of its own came first, it is no fault of the request's."""
    world = world_of(
        {
            "a/x": breaks("one"),
            "b/y": [breaks(" two", failure_class=FailureClass.INVALID_REQUEST), says("all")],
        }
    )

    outcome = await continued(world)

    assert outcome.answer == "all"
    assert outcome.client.discarded_count == 1


@virtual_time
async def test_a_target_that_refused_is_not_asked_to_go_on_again() -> None:
    """C5: its next answer that breaks is started over, as there is nobody else."""
    refusal = refuses(FailureClass.INVALID_REQUEST)
    world = world_of({"a/x": [breaks("one"), refusal, breaks("two"), says("all")]})

    outcome = await continued(world, transient_retry_count=3)

    assert beginnings(world) == [None, "one", None, None]
    assert outcome.answer == "all"
    assert outcome.client.discarded_count == 2


@virtual_time
async def test_the_retraction_names_who_wrote_last() -> None:
    """Stream rule 3: the attempt whose output is void, not one that was refused meanwhile."""
    refusal = refuses(FailureClass.INVALID_REQUEST)
    world = world_of({"a/x": breaks("one"), "b/y": breaks(" two"), "c/z": [refusal, says("all")]})

    outcome = await continued(world)

    (discarded,) = [event for event in outcome.client.events if hasattr(event, "attempt_index")]
    assert discarded.attempt_index == 1
    assert [attempt.outcome for attempt in outcome.attempts] == [
        *[AttemptOutcome.FAILED] * 3,
        AttemptOutcome.SUCCEEDED,
    ]
