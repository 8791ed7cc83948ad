"""What a rule answers that asks no judge, seeks no consensus and scores no answer.

Rules that do so override that part of it. Who starts, and who wins, is each rule's own business.
"""

from __future__ import annotations

from paceline_server.completion.answer import Confidence
from paceline_server.strategies.racing.field import Entrant, Field
from paceline_server.strategies.racing.rule import Agreement
from paceline_server.strategies.racing.scoring import own_confidence


class PlainRule:
    """The part of a rule that most have in common."""

    __slots__ = ()

    @property
    def judge_model(self) -> str:
        """None is asked."""
        return ""

    @property
    def judge_rubric(self) -> str:
        """None is asked."""
        return ""

    def confidence(self, entrant: Entrant, field: Field) -> Confidence | None:
        """What came with the answer."""
        return own_confidence(entrant)

    def agreement(self, field: Field) -> Agreement | None:
        """None is sought."""
        return None
