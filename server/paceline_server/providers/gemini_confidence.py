"""How sure a generateContent answer is, from the token probabilities that came with it (rule R5)."""

from __future__ import annotations

import math

from paceline_server.completion.answer import Confidence, ConfidenceSource
from paceline_server.providers.gemini_wire import Candidate, WireUsage
from paceline_server.providers.token_confidence import TokenMeter, text_of, tokens_of


class ConfidenceMeter:
    """Collects the probabilities of one answer's tokens; where none came, the average that was told."""

    __slots__ = ("_average", "_token_count", "_tokens")

    def __init__(self) -> None:
        self._average: float | None = None
        self._token_count = 0
        self._tokens = TokenMeter()

    def add(self, candidate: Candidate) -> None:
        """Take what a candidate, or a piece of one, tells."""
        if candidate.avg_logprobs is not None:
            self._average = candidate.avg_logprobs
        if candidate.logprobs_result is None:
            return
        chosen = candidate.logprobs_result.chosen_candidates or ()
        tokens = [(text_of(token.token), token.log_probability) for token in chosen]
        parts = (candidate.content and candidate.content.parts) or ()
        if any(part.thought for part in parts):
            tokens = tokens_of("".join(part.text or "" for part in parts if not part.thought), tokens)
        self._token_count += len(tokens)
        self._tokens.add(tokens)

    def confidence(self, usage: WireUsage | None) -> Confidence | None:
        """The confidence; None where nothing tells it, or not that of the answer alone.

        Of a model that thought unseen more tokens may have come than its answer has. An average then is over
        the tokens of the thoughts, too, but divided by those of the answer.
        """
        thought = usage is not None and bool(usage.thoughts_token_count)
        if self._token_count:
            mixed = thought and usage is not None and self._token_count > (usage.candidates_token_count or 0)
            return None if mixed else self._tokens.confidence()
        if self._average is None or thought or not math.isfinite(self._average):
            return None
        return Confidence(math.exp(min(self._average, 0.0)), ConfidenceSource.LOGPROBS)
