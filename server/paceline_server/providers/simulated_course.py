"""Decides one call of a simulated model: which step it takes, and the course that follows from it.

Pure: everything follows from the model, the prompt, the seed and the number of the call, so
that neither the clock nor other calls can change an outcome. Playing the course is `simulated`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, repeat
from random import Random
from typing import assert_never

from paceline_server.completion.answer import Confidence, ConfidenceSource, Ending, FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.deltas import Delta, ReasoningDelta
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.estimate import prompt_character_count
from paceline_server.completion.prompt import Prompt
from paceline_server.completion.usage import Usage, estimate_token_count
from paceline_server.providers.simulated_answer import PlannedAnswer, planned_answer
from paceline_server.providers.simulated_pace import Fixed
from paceline_server.providers.simulated_script import (
    AfterScript,
    Cut,
    Fail,
    Filtered,
    Malformed,
    Ok,
    Slow,
    Stall,
    Step,
)
from paceline_server.providers.simulated_settings import SimulatedModel

_HTTP_STATUS = {
    FailureClass.TRANSIENT: 500,
    FailureClass.RATE_LIMITED: 429,
    FailureClass.OVERLOADED: 503,
    FailureClass.AUTHENTICATION: 401,
    FailureClass.QUOTA: 402,
    FailureClass.MODEL_NOT_FOUND: 404,
    FailureClass.UNSUPPORTED: 400,
    FailureClass.CONTEXT_TOO_LONG: 400,
    FailureClass.CONTENT_FILTERED: 400,
    FailureClass.INVALID_REQUEST: 400,
}


@dataclass(frozen=True, slots=True)
class Course:
    """What one call does, and when.

    Attributes:
        tokens: Those that come before the conclusion.
        token_due: Seconds from the call's start to each token; ascending.
        conclusion: The ending, the failure, or None for silence without end.
        conclusion_due: Seconds from the call's start to the conclusion.
        before_headers: Whether the conclusion keeps a stream from opening at all.
    """

    step: Step
    tokens: tuple[Delta, ...]
    token_due: tuple[float, ...]
    conclusion: Ending | AttemptFailure | None
    conclusion_due: float
    before_headers: bool


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a simulated model.

    Attributes:
        number: 1 for the model's first call.
    """

    seed: int
    model_name: str
    model: SimulatedModel
    number: int
    prompt: Prompt

    def course(self, *, refusal: Fail | None = None) -> Course:
        """The course; a `refusal` (for too many calls) takes the place of the step."""
        # A generator of its own for each call: interleaved calls cannot take each other's numbers.
        random = Random(f"{self.seed}/{self.model_name}/{self.number}")
        answer = planned_answer(self.model, self.prompt, self.number)
        step = refusal or _step(self.model, self.number, random, len(answer.tokens))
        if isinstance(step, Fail):
            return Course(step, (), (), _failure(step), step.after_seconds, step.before_headers)
        tokens = answer.tokens[: _delivered_count(step, len(answer.tokens))]
        first_due, token_due = self._due(step, random, len(tokens))
        return Course(
            step,
            tokens,
            token_due,
            self._conclusion(step, tokens, answer),
            token_due[-1] if token_due else first_due,
            isinstance(step, Stall) and step.before_headers,
        )

    def _due(self, step: Step, random: Random, token_count: int) -> tuple[float, tuple[float, ...]]:
        sampled = self.model.first_content.sample(random)
        first = step.first_content if isinstance(step, Slow) else sampled
        if token_count == 0:
            return first, ()
        interval = self.model.token_interval
        if isinstance(interval, Fixed):
            later = repeat(interval.seconds, token_count - 1)
            return first, tuple(accumulate(later, initial=first))
        samples = (interval.sample(random) for _ in range(token_count - 1))
        return first, tuple(accumulate(samples, initial=first))

    def _conclusion(
        self,
        step: Ok | Cut | Stall | Slow | Malformed | Filtered,
        tokens: Sequence[Delta],
        answer: PlannedAnswer,
    ) -> Ending | AttemptFailure | None:
        match step:
            case Ok() | Slow():
                return self._ending(tokens, answer.finish_reason)
            case Cut():
                message = f"the stream broke after {len(tokens)} tokens, without its terminal marker"
                return AttemptFailure(FailureClass.TRANSIENT, message)
            case Stall():
                return None
            case Malformed():
                message = f"after {len(tokens)} tokens came something that is no answer"
                return AttemptFailure(FailureClass.MALFORMED_RESPONSE, message, http_status=200)
            case Filtered():
                return self._ending(tokens, FinishReason.CONTENT_FILTER)
            case _:
                assert_never(step)

    def _ending(self, tokens: Sequence[Delta], finish_reason: FinishReason) -> Ending:
        confidence = self.model.confidence
        reasoning_count = sum(isinstance(token.kind, ReasoningDelta) for token in tokens)
        return Ending(
            finish_reason=finish_reason,
            provider_reason=finish_reason.value,
            served_model=self.model_name,
            usage=Usage(
                input_token_count=estimate_token_count(prompt_character_count(self.prompt)),
                output_token_count=len(tokens),
                reasoning_token_count=reasoning_count if self.model.reasoning else None,
            ),
            confidence=None if confidence is None else Confidence(confidence, ConfidenceSource.REPORTED),
        )


def _step(model: SimulatedModel, number: int, random: Random, token_count: int) -> Step:
    # Drawn on every call, scripted or not: a longer script must not change the pace of a call.
    share, place = random.random(), random.random()
    script = model.script
    if number <= len(script):
        return script[number - 1]
    if script and model.after_script is AfterScript.REPEAT:
        return script[(number - 1) % len(script)]
    if script and model.after_script is AfterScript.LAST:
        return script[-1]
    return _planned_step(model, share, max(1, int(place * token_count)))


def _planned_step(model: SimulatedModel, share: float, after_tokens: int) -> Step:
    # One draw against stacked shares, so that each rate is exactly its share of all calls.
    outcomes: tuple[tuple[float, Step], ...] = (
        (model.rate_limit_rate, Fail(FailureClass.RATE_LIMITED, model.retry_after)),
        (model.failure_rate, Fail(model.failure_class)),
        (model.cut_rate, Cut(after_tokens)),
        (model.stall_rate, Stall(after_tokens)),
    )
    bound = 0.0
    for rate, step in outcomes:
        bound += rate
        if share < bound:
            return step
    return Ok()


def _delivered_count(step: Step, token_count: int) -> int:
    if isinstance(step, Cut | Stall | Malformed | Filtered):
        return min(step.after_tokens, token_count)
    return token_count


def _failure(step: Fail) -> AttemptFailure:
    return AttemptFailure(
        step.failure_class,
        f"the simulated model was told to fail: {step.failure_class.value}",
        http_status=_HTTP_STATUS.get(step.failure_class, 0),
        provider_code=step.failure_class.value,
        retry_after=step.retry_after,
    )
