"""The rule `best`: all finish or time is up, and the answer of the highest confidence wins (R5)."""

from __future__ import annotations

import math
from enum import Enum
from typing import Any

from paceline_server.completion.answer import Confidence, ConfidenceSource
from paceline_server.completion.immutable import immutable
from paceline_server.completion.race import RaceDecision
from paceline_server.strategies.racing.all_at_once import AllAtOnce, best_answer
from paceline_server.strategies.racing.equivalence import Equivalence, grouped
from paceline_server.strategies.racing.field import Entrant, Field
from paceline_server.strategies.racing.rule import Judge, JudgeTask, Step
from paceline_server.strategies.racing.scoring import (
    confidence_key,
    cost_key,
    latency_key,
    own_confidence,
)


class Scorer(Enum):
    """Where the confidence of answers comes from.

    Attributes:
        LOGPROBS: The mean probability of the answer's tokens, else what its provider reported.
        JUDGE: The score of a judge model.
        AGREEMENT: The share of the other answers that are equivalent, by normalised text.
    """

    LOGPROBS = "logprobs"
    JUDGE = "judge"
    AGREEMENT = "agreement"


@immutable(frozen=True, slots=True)
class Best(AllAtOnce):
    """The highest confidence wins; among equals the cheaper, then the faster answer.

    Attributes:
        judge: The spec of the judge; with the scorer `JUDGE` only.
        rubric: What makes an answer good, for the judge; empty leaves that to him.
    """

    scorer: Scorer = Scorer.LOGPROBS
    judge: str = ""
    rubric: str = ""

    @property
    def judge_model(self) -> str:
        """The judge, where one scores."""
        return self.judge if self.scorer is Scorer.JUDGE else ""

    @property
    def judge_rubric(self) -> str:
        """What the caller finds good."""
        return self.rubric

    @property
    def asks_logprobs(self) -> bool:
        """Always: where another scorer fails they decide, and they can only be asked for beforehand."""
        return True

    def decide(self, field: Field, now: float) -> Step:
        """Wait for all, or until time is up; then ask the judge, if there is anything to compare."""
        judged = self.scorer is not Scorer.JUDGE or field.judgement is not None or len(field.answered) <= 1
        if not (judged or field.anyone_running or field.time_is_up):
            return Judge(JudgeTask.SCORE, tuple(sorted(field.completions)))
        confidences = self._confidences(field)

        def rank(entrant: Entrant) -> tuple[Any, ...]:
            return (
                confidence_key(confidences.get(entrant.index) or own_confidence(entrant)),
                cost_key(entrant),
                latency_key(entrant),
                -entrant.priority,
                entrant.index,
            )

        return best_answer(field, rank, RaceDecision.CONFIDENCE, judged=judged)

    def confidence(self, entrant: Entrant, field: Field) -> Confidence | None:
        """By the scorer; where it cannot score the answer, what came with it."""
        return self._confidences(field).get(entrant.index) or own_confidence(entrant)

    def _confidences(self, field: Field) -> dict[int, Confidence]:
        """Those that the scorer gives."""
        if self.scorer is Scorer.AGREEMENT:
            return _agreement(field)
        if self.scorer is Scorer.JUDGE and field.judgement is not None:
            return {
                index: Confidence(score, ConfidenceSource.JUDGE)
                for index, score in field.judgement.scores.items()
                if math.isfinite(score)
            }
        return {}


def _agreement(field: Field) -> dict[int, Confidence]:
    """The share of the others with an answer that gave an equivalent one; with no others there is none."""
    groups = grouped(field.keys.of(field.completions, Equivalence.NORMALIZED_TEXT))
    other_count = sum(map(len, groups)) - 1
    return {
        index: Confidence((len(group) - 1) / other_count, ConfidenceSource.AGREEMENT)
        for group in groups
        for index in group
        if other_count
    }
