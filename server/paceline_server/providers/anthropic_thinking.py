"""Translating how much a model should think into what that model of the Anthropic format understands.

Claude 4.6 and later take an effort, earlier ones since 3.7 a budget of tokens. Where a model may not be
told to think (up to 4.7 beside a forced tool; with a budget also where the answer may be too short for it,
before a prefilled answer, and within a turn whose thoughts are not at hand), the setting is left out, as the
contract says of targets that cannot set their effort. Models since 4.7 leave the text of their thoughts out,
unless they are asked for it, so whoever asks for an effort asks for the text too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from paceline_server.completion.prompt import Prompt, ReasoningEffort, ToolChoiceMode
from paceline_server.providers.anthropic_messages import THOUGHTS
from paceline_server.providers.anthropic_settings import ThinkingControl

MIN_BUDGET = 1024
"""The least budget that the API takes; it must be below the most tokens of the answer."""

_MAX_BUDGET = 32_000
"""Above it models hardly use their budgets, and streams without an event get long."""

_SHARES: Mapping[ReasoningEffort, float] = {
    ReasoningEffort.MINIMAL: 0.0,
    ReasoningEffort.LOW: 0.2,
    ReasoningEffort.MEDIUM: 0.5,
    ReasoningEffort.HIGH: 0.8,
}
_EFFORTS: Mapping[ReasoningEffort, str] = {
    ReasoningEffort.NONE: "low",
    ReasoningEffort.MINIMAL: "low",
    ReasoningEffort.LOW: "low",
    ReasoningEffort.MEDIUM: "medium",
    ReasoningEffort.HIGH: "high",
}
_NAME = re.compile(
    r"claude-(?:(?P<family>[a-z]+)-)?(?P<major>\d{1,2})(?:[.-](?P<minor>\d{1,2}))?(?!\d)", re.IGNORECASE
)
_ALWAYS = re.compile(r"claude-(?:fable|mythos)", re.IGNORECASE)
_FIRST_WITH_BUDGET = (3, 7)
_FIRST_WITH_EFFORT = (4, 6)
_FIRST_WITH_HIDDEN_THOUGHT = (4, 7)
_FIRST_WITH_FORCED_TOOLS = (4, 8)
_FIRST_THAT_ALWAYS_THINK: Mapping[str, tuple[int, int]] = {"opus": (5, 5), "sonnet": (5, 5)}
_FORCED = frozenset({ToolChoiceMode.REQUIRED, ToolChoiceMode.NAMED})


def thinking_control(model: str) -> ThinkingControl:
    """How `model` is told how long to think; names without a version are of the latest.

    Models of others understand the older form, if any.
    """
    if _ALWAYS.search(model):
        return ThinkingControl.ALWAYS
    found = _NAME.search(model)
    if found is None:
        return ThinkingControl.EFFORT if "claude" in model.lower() else ThinkingControl.BUDGET
    version = _version(found)
    if version < _FIRST_WITH_BUDGET:
        return ThinkingControl.NONE
    if version < _FIRST_WITH_EFFORT:
        return ThinkingControl.BUDGET
    always = _FIRST_THAT_ALWAYS_THINK.get((found["family"] or "").lower())
    return ThinkingControl.EFFORT if always is None or version < always else ThinkingControl.ALWAYS


def hides_thoughts(model: str) -> bool:
    """Whether `model` leaves the text of its thoughts out unless it is asked for it; only Claude does."""
    if _ALWAYS.search(model):
        return True
    found = _NAME.search(model)
    return "claude" in model.lower() if found is None else _version(found) >= _FIRST_WITH_HIDDEN_THOUGHT


def thinks_before_forced_tools(model: str) -> bool:
    """Whether `model` may be told to think and to use a tool at once; those before 4.8 refuse it."""
    if _ALWAYS.search(model):
        return True
    found = _NAME.search(model)
    return "claude" in model.lower() if found is None else _version(found) >= _FIRST_WITH_FORCED_TOOLS


def thinking_members(
    control: ThinkingControl,
    prompt: Prompt,
    messages: Sequence[Mapping[str, Any]],
    max_tokens: int,
    *,
    hidden: bool,
    before_forced: bool,
) -> dict[str, Any]:
    """The members `thinking` and `output_config` that say the effort that `prompt` asks for.

    Args:
        control: What the model understands.
        prompt: Of the request.
        messages: Those of the prompt, as lists of blocks; the roles alternate.
        max_tokens: As it is sent.
        hidden: The model leaves the text of its thoughts out unless it is asked for it.
        before_forced: It may think before it calls a tool that it must call.
    """
    effort = prompt.config.reasoning_effort
    if effort is None or control is ThinkingControl.NONE:
        return {}
    thinking = {"type": "adaptive", "display": "summarized"} if hidden else {"type": "adaptive"}
    if control is ThinkingControl.ALWAYS:
        asked = {"thinking": thinking} if hidden and effort is not ReasoningEffort.NONE else {}
        return {**asked, "output_config": {"effort": _EFFORTS[effort]}}
    if effort is ReasoningEffort.NONE:
        return {"thinking": {"type": "disabled"}}
    if _is_forced(prompt) and not before_forced:
        return {}
    if control is ThinkingControl.EFFORT:
        return {"thinking": thinking, "output_config": {"effort": _EFFORTS[effort]}}
    if max_tokens <= MIN_BUDGET or not _may_have_budget(messages):
        return {}
    budget = min(max(int(max_tokens * _SHARES[effort]), MIN_BUDGET), _MAX_BUDGET)
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _version(found: re.Match[str]) -> tuple[int, int]:
    return int(found["major"]), int(found["minor"] or 0)


def _is_forced(prompt: Prompt) -> bool:
    return prompt.tool_choice is not None and prompt.tool_choice.mode in _FORCED


def _may_have_budget(messages: Sequence[Mapping[str, Any]]) -> bool:
    if messages[-1]["role"] == "assistant":
        return False
    # A turn goes on with the results of its calls, and must have begun with a thought.
    goes_on = len(messages) > 1 and messages[-1]["content"][0]["type"] == "tool_result"
    return not goes_on or messages[-2]["content"][0]["type"] in THOUGHTS
