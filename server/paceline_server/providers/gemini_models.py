"""What the name of a Gemini model tells of how it is asked: its generation, and how its thinking is set.

Generations differ in their requests, which no setting of a provider could say, as one provider has them all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from paceline_server.completion.prompt import ReasoningEffort
from paceline_server.providers.profile import KEPT_MODEL_COUNT

_VERSION = re.compile(r"\bgemini-(\d{1,3})(?:\.(\d{1,3}))?\b")
_NEWEST = re.compile(r"\bgemini-(?:pro|flash|flash-lite)-latest\b")
_NO_CHOICE = re.compile(r"-(?:image|tts|live|native-audio)\b")
"""Models that think as they please, or not at all."""

_LEVELS_SINCE = (3, 0)
_BUDGETS_SINCE = (2, 5)
_LAST_MINIMAL = (3, 6)
"""From the version after it on, no model has the level "minimal"."""

_LEAST_BUDGET_OF_PRO = 128
_LARGEST_SHARE = 0.8
"""Of an answer's tokens: thoughts count among them, and would leave none to answer with."""

_BUDGETS: Mapping[ReasoningEffort, int] = {
    # The last three are what Google's own OpenAI endpoint makes of these words.
    ReasoningEffort.NONE: 0,
    ReasoningEffort.MINIMAL: 512,  # the least that all of these models take, but for none
    ReasoningEffort.LOW: 1024,
    ReasoningEffort.MEDIUM: 8192,
    ReasoningEffort.HIGH: 24576,
}


@dataclass(frozen=True, slots=True)
class ModelTraits:
    """What decides how one model is asked; models with the same traits get the same body.

    Attributes:
        generation: 2 for Gemini 2.5; 0 where the name tells none.
        least_budget: The least tokens of thought; None where thinking is not set by a budget.
        least_level: The least level of thought; empty where thinking is not set by a level.
        medium_level: What "medium" is called.
    """

    generation: int = 0
    least_budget: int | None = None
    least_level: str = ""
    medium_level: str = "medium"

    @property
    def checks_signatures(self) -> bool:
        """Whether the first call of each turn must bear a signature."""
        return self.generation >= _LEVELS_SINCE[0]

    @property
    def takes_media_results(self) -> bool:
        """Whether tools may answer with media."""
        return self.generation >= _LEVELS_SINCE[0]

    def thinking(self, effort: ReasoningEffort | None, max_tokens: int | None) -> dict[str, object]:
        """The thinking configuration for `effort`; empty where there is none to send.

        Args:
            effort: What is asked for.
            max_tokens: Those that thoughts and answer may have together; None where nobody has said it.
        """
        if effort is None:
            return {}
        thinking: dict[str, object] = {}
        if self.least_budget is not None:
            thinking["thinkingBudget"] = self._budget(effort, max_tokens, self.least_budget)
        elif self.least_level:
            thinking["thinkingLevel"] = self._level(effort)
        if thinking and effort is not ReasoningEffort.NONE and thinking.get("thinkingBudget") != 0:
            # Without its thoughts a model that thinks is silent for as long as it does.
            thinking["includeThoughts"] = True
        return thinking

    def _budget(self, effort: ReasoningEffort, max_tokens: int | None, least: int) -> int:
        budget = _BUDGETS[effort]
        if max_tokens is not None:
            budget = min(budget, int(max_tokens * _LARGEST_SHARE))
        return budget if budget >= _BUDGETS[ReasoningEffort.MINIMAL] else least

    def _level(self, effort: ReasoningEffort) -> str:
        if effort in (ReasoningEffort.NONE, ReasoningEffort.MINIMAL):
            return self.least_level
        return self.medium_level if effort is ReasoningEffort.MEDIUM else effort.value


@lru_cache(KEPT_MODEL_COUNT)
def traits_of(model: str) -> ModelTraits:
    """What the name `model` tells."""
    if _NEWEST.search(model):
        return ModelTraits(_LEVELS_SINCE[0], least_level="low")
    found = _VERSION.search(model)
    if found is None:
        return ModelTraits()
    version = (int(found[1]), int(found[2] or 0))
    is_pro = "-pro" in model
    if _NO_CHOICE.search(model) or version < _BUDGETS_SINCE:
        return ModelTraits(version[0])
    if version < _LEVELS_SINCE:
        return ModelTraits(version[0], least_budget=_LEAST_BUDGET_OF_PRO if is_pro else 0)
    return ModelTraits(
        version[0],
        least_level="low" if is_pro or version > _LAST_MINIMAL else "minimal",
        medium_level="high" if is_pro and version == _LEVELS_SINCE else "medium",
    )
