"""From what went wrong to the one error that the caller is told (C3 to C5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure, ErrorReason, InvalidPrompt, Violation
from paceline_server.health.registry import Held
from paceline_server.rpc.status import MAXIMUM_SENTENCE_BYTES, to_status
from paceline_server.strategies.model import Broken, Setback, Unanswered
from paceline_server.strategies.verdict import deadline_exceeded, verdict

X, Y = Target("a", "x"), Target("b", "y")
NOW = 1_000_000.0
EVERY = sorted(FailureClass, key=lambda one: one.name)
REQUEST_FAULTS = {FailureClass.CONTENT_FILTERED, FailureClass.INVALID_REQUEST}
UNANIMOUS = {
    FailureClass.UNSUPPORTED: ErrorReason.UNSUPPORTED_FEATURE,
    FailureClass.CONTEXT_TOO_LONG: ErrorReason.CONTEXT_TOO_LONG,
    FailureClass.MODEL_NOT_FOUND: ErrorReason.MODEL_NOT_FOUND,
    FailureClass.AUTHENTICATION: ErrorReason.PROVIDER_MISCONFIGURED,
}


def failed(
    failure_class: FailureClass, target: Target = X, retry_after: float | None = None
) -> AttemptFailure:
    """An attempt that failed."""
    message = f"{target} said no"
    return AttemptFailure(failure_class, message, provider_code="no", retry_after=retry_after, target=target)


def held(cause: FailureClass | None, target: Target = Y, until: float = NOW + 5.0) -> Held:
    """A target that was passed over."""
    return Held(target, target, until, cause, "benched")


@pytest.mark.parametrize("failure_class", EVERY)
def test_one_class_throughout_is_the_answer(failure_class: FailureClass) -> None:
    """C4: where all failed alike the caller is told what that means; the provider's 429 is never his own."""
    error = verdict(Unanswered([failed(failure_class), failed(failure_class, Y)]), NOW)

    if failure_class in REQUEST_FAULTS:
        assert error.reason is ErrorReason.PROVIDER_REJECTED_REQUEST
    else:
        assert error.reason is UNANIMOUS.get(failure_class, ErrorReason.ALL_ATTEMPTS_FAILED)


@pytest.mark.parametrize("failure_class", UNANIMOUS)
def test_what_the_sender_can_change_is_quoted(failure_class: FailureClass) -> None:
    """C4, A8: of what the prompt needs the first failure's own words are told, and of nothing else."""
    error = verdict(Unanswered([failed(failure_class), failed(failure_class, Y)]), NOW)

    of_the_prompt = failure_class in (FailureClass.UNSUPPORTED, FailureClass.CONTEXT_TOO_LONG)
    assert error.message.endswith("; the first cause: a/x said no") == of_the_prompt
    assert ("said no" in error.message) == of_the_prompt
    assert error.metadata["first_cause_message"] == "a/x said no"


@pytest.mark.parametrize("words", ["", "a" * 2000])
def test_a_first_cause_without_words_or_with_too_many_leaves_the_sentence_whole(words: str) -> None:
    """C4: the sentence and its remedy come before the quotation, which the status cuts if need be."""
    error = verdict(Unanswered([replace(failed(FailureClass.CONTEXT_TOO_LONG), message=words)]), NOW)
    sentence = to_status(error, "id").details

    assert sentence.startswith("the prompt is longer than the context window")
    assert "; shorten it" in sentence
    assert ("the first cause" in sentence) == bool(words)
    assert len(sentence) <= MAXIMUM_SENTENCE_BYTES


@pytest.mark.parametrize("failure_class", [one for one in EVERY if one not in REQUEST_FAULTS])
def test_a_mixture_is_all_attempts_failed(failure_class: FailureClass) -> None:
    """C4: the first cause leads, whatever came later."""
    other = FailureClass.TIMEOUT if failure_class is FailureClass.TRANSIENT else FailureClass.TRANSIENT

    error = verdict(Unanswered([failed(other), failed(failure_class, Y)]), NOW)

    assert error.reason is ErrorReason.ALL_ATTEMPTS_FAILED
    assert error.metadata == {
        "attempt_count": "2",
        "first_cause": other.name,
        "first_cause_message": "a/x said no",
        "first_cause_target": "a/x",
    }
    assert f"{other.name}: a/x said no" in error.message


@pytest.mark.parametrize("cause", [FailureClass.AUTHENTICATION, FailureClass.TRANSIENT, None])
def test_a_target_held_for_the_same_cause_agrees(cause: FailureClass | None) -> None:
    """C4: only where what was passed over was held for that cause, too."""
    error = verdict(Unanswered([failed(FailureClass.AUTHENTICATION), held(cause)]), NOW)

    agrees = cause is FailureClass.AUTHENTICATION
    assert (error.reason is ErrorReason.PROVIDER_MISCONFIGURED) == agrees
    assert (error.reason is ErrorReason.ALL_ATTEMPTS_FAILED) == (not agrees)
    assert error.metadata["attempt_count"] == "1"


@pytest.mark.parametrize("failure_class", [one for one in EVERY if one in REQUEST_FAULTS])
def test_a_request_that_was_refused_is_told_in_the_providers_words(failure_class: FailureClass) -> None:
    """C4: the request's own fault, whatever failed before it."""
    setbacks: list[Setback] = [failed(FailureClass.TRANSIENT), held(None), failed(failure_class, Y)]

    error = verdict(Unanswered(setbacks, final=True), NOW)

    assert error.reason is ErrorReason.PROVIDER_REJECTED_REQUEST
    assert error.metadata == {
        "target": "b/y",
        "provider_message": "b/y said no",
        "provider_code": "no",
        "failure_class": failure_class.name,
    }


def test_a_request_fault_that_was_advanced_past_does_not_speak_for_the_others() -> None:
    """C4: with `advance_on_permanent` the last word is that of the last target."""
    error = verdict(
        Unanswered([failed(FailureClass.INVALID_REQUEST), failed(FailureClass.OVERLOADED, Y)]), NOW
    )

    assert error.reason is ErrorReason.ALL_ATTEMPTS_FAILED
    assert error.metadata["first_cause"] == "INVALID_REQUEST"


def test_the_smallest_retry_after_is_the_callers() -> None:
    """C4, contract: when it is worth coming back at the earliest."""
    setbacks = [
        failed(FailureClass.OVERLOADED),
        failed(FailureClass.RATE_LIMITED, X, 30.0),
        failed(FailureClass.RATE_LIMITED, Y, 12.0),
    ]

    assert verdict(Unanswered(setbacks), NOW).retry_after == 12.0
    assert verdict(Unanswered(setbacks[:1]), NOW).retry_after is None


def test_nothing_tried_names_the_earliest_return() -> None:
    """C3: NO_HEALTHY_TARGET with the time of return; a target passed over twice is one target."""
    setbacks = [held(None, X, NOW + 9.0), held(None, Y, NOW + 4.0), held(None, Y, NOW + 5.0)]

    error = verdict(Unanswered(setbacks), NOW)

    assert error.reason is ErrorReason.NO_HEALTHY_TARGET
    assert error.retry_after == 4.0
    assert error.metadata == {"target": "b/y", "held_count": "2"}


def test_a_return_that_has_come_meanwhile_is_now() -> None:
    """C3: no caller is told to come back in the past."""
    assert verdict(Unanswered([held(None, X, NOW - 3.0)]), NOW).retry_after == 0.0


def test_without_any_setback_no_attempt_was_made() -> None:
    """C4: an error all the same, with a reason of the catalogue."""
    assert verdict(Unanswered([]), NOW).reason is ErrorReason.ALL_ATTEMPTS_FAILED


@pytest.mark.parametrize("later", EVERY)
def test_a_broken_stream_is_broken_whatever_came_later(later: FailureClass) -> None:
    """C5: content was delivered and nothing could replace it."""
    broken = Broken(X, 17, 0, ())

    error = verdict(Unanswered([failed(FailureClass.TIMEOUT), failed(later, Y)], broken=broken), NOW)

    assert error.reason is ErrorReason.STREAM_BROKEN
    assert error.metadata["target"] == "a/x"
    assert error.metadata["tokens_seen"] == "17"
    assert error.metadata["first_cause"] == "TIMEOUT"


def test_the_deadline_is_its_own_reason() -> None:
    """A4: nobody failed, time did."""
    assert deadline_exceeded().reason is ErrorReason.DEADLINE_EXCEEDED


def test_nothing_sent_needs_something_that_could_have_been_sent_to() -> None:
    """C3, A8: nothing at all is not "all benched", and what a target cannot take was not sent to it."""
    misfit = replace(failed(FailureClass.UNSUPPORTED), reached_provider=False)
    unconnected = replace(failed(FailureClass.TRANSIENT), reached_provider=False)

    assert Unanswered([held(None)]).nothing_sent
    assert Unanswered([held(None), misfit]).nothing_sent
    assert not Unanswered([]).nothing_sent
    assert not Unanswered([held(None), unconnected]).nothing_sent


@pytest.mark.parametrize("failure_class", [FailureClass.UNSUPPORTED, FailureClass.CONTEXT_TOO_LONG])
def test_a_misfit_beside_benched_targets_is_no_healthy_target(failure_class: FailureClass) -> None:
    """C3, A8: those that can take the prompt are all benched, so the caller is told when one returns."""
    misfit = replace(failed(failure_class), reached_provider=False)

    error = verdict(Unanswered([misfit, held(FailureClass.TRANSIENT)]), NOW)

    assert error.reason is ErrorReason.NO_HEALTHY_TARGET
    assert error.retry_after == 5.0


def test_what_the_gateway_found_in_the_request_is_not_put_in_a_providers_mouth() -> None:
    """A8: a request that was never sent was not refused by its target."""
    found = replace(
        failed(FailureClass.INVALID_REQUEST),
        message="messages[0].parts[1] ends too early",
        reached_provider=False,
        field="messages[0].parts[1]",
    )

    error = verdict(Unanswered([found], final=True), NOW)

    assert isinstance(error, InvalidPrompt)
    assert error.reason is ErrorReason.INVALID_REQUEST
    assert error.violations == (Violation("prompt.messages[0].parts[1]", "ends too early"),)
