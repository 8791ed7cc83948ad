"""How sure a generateContent answer is, from the token probabilities that came with it (rule R5)."""

from __future__ import annotations

import math

from paceline_server.completion.answer import Confidence, ConfidenceSource
from paceline_server.providers.gemini_wire import Candidate


class ConfidenceMeter:
    """Collects the probabilities of one answer's tokens; where none came, the average that was told."""

    __slots__ = ("_average", "_probability_sum", "_token_count")

    def __init__(self) -> None:
        self._average: float | None = None
        self._probability_sum = 0.0
        self._token_count = 0

    def add(self, candidate: Candidate) -> None:
        """Take what a candidate, or a piece of one, tells."""
        if candidate.avg_logprobs is not None:
            self._average = candidate.avg_logprobs
        if candidate.logprobs_result is None:
            return
        for token in candidate.logprobs_result.chosen_candidates or ():
            value = token.log_probability
            if value is not None and math.isfinite(value):
                self._probability_sum += math.exp(min(value, 0.0))
                self._token_count += 1

    def confidence(self, *, thought: bool) -> Confidence | None:
        """The confidence; None where nothing tells it, and where the model thought and only an average does.

        The average is over the tokens of the thoughts, too, but divided by those of the answer alone.
        """
        if self._token_count:
            return Confidence(self._probability_sum / self._token_count, ConfidenceSource.LOGPROBS)
        if self._average is None or thought or not math.isfinite(self._average):
            return None
        return Confidence(math.exp(min(self._average, 0.0)), ConfidenceSource.LOGPROBS)
