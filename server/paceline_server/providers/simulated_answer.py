"""What a simulated model says to a prompt: its tokens, and why it ends after them.

Knows no time and no faults; `simulated_course` lays those over the tokens. Response formats
and stop sequences are ignored: an `answer` in the settings can have any form a test needs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from paceline_server.completion.answer import FinishReason
from paceline_server.completion.content import Message, Role, Text
from paceline_server.completion.deltas import Delta, DeltaKind, ReasoningDelta, TextDelta, ToolCallDelta
from paceline_server.completion.prompt import Prompt, ToolChoiceMode
from paceline_server.completion.usage import CHARACTERS_PER_TOKEN
from paceline_server.providers.simulated_settings import SimulatedModel

DEFAULT_ANSWER = (
    "A gateway stands between a service and the models that it asks. It keeps the time, tries "
    "another model when one is slow or down, and hands on each word as soon as it arrives. "
    "The caller sees one answer and one bill, whatever happened on the way to them. "
    "This text comes from a simulated model, which needs no key and leaves nothing to pay."
)

_PROMPT_PLACE = "{prompt}"
_WORD = re.compile(r"\s*\S+\s*|\s+")


@dataclass(frozen=True, slots=True)
class PlannedAnswer:
    """The tokens of an undisturbed answer, one delta each, and why it ends after them."""

    tokens: tuple[Delta, ...]
    finish_reason: FinishReason


def planned_answer(model: SimulatedModel, prompt: Prompt, call_number: int) -> PlannedAnswer:
    """What `model` says to `prompt`; `call_number` makes the ids of its tool calls unique."""
    tool_calls, forced = _tool_calls(model, prompt)
    parts: list[list[DeltaKind]] = []
    prefill = _prefill(prompt) if model.accepts_prefill else ""
    if model.reasoning and not prefill:
        parts.append([ReasoningDelta(word) for word in _words(model.reasoning)])
    text = "" if forced else _text(model, prompt, prefill)
    if text:
        parts.append([TextDelta(word) for word in _words(text)])
    parts.extend(
        _tool_call_tokens(f"call-{call_number}-{index}", name, arguments_json)
        for index, (name, arguments_json) in enumerate(tool_calls)
    )
    tokens = tuple(Delta(index, kind) for index, kinds in enumerate(parts) for kind in kinds)
    limit = prompt.config.max_output_token_count
    if limit is not None and len(tokens) > limit:
        return PlannedAnswer(tokens[:limit], FinishReason.LENGTH)
    return PlannedAnswer(tokens, FinishReason.TOOL_CALLS if tool_calls else FinishReason.STOP)


def _tool_calls(model: SimulatedModel, prompt: Prompt) -> tuple[tuple[tuple[str, str], ...], bool]:
    """The calls to make, and whether the prompt forced a call that the model did not have."""
    choice = prompt.tool_choice
    if choice is None or choice.mode is ToolChoiceMode.AUTO:
        return model.tool_calls, False
    if choice.mode is ToolChoiceMode.NONE:
        return (), False
    if choice.mode is ToolChoiceMode.NAMED:
        named = tuple(call for call in model.tool_calls if call[0] == choice.name)
        return (named, False) if named else (((choice.name, "{}"),), True)
    if model.tool_calls or not prompt.tools:
        return model.tool_calls, False
    return ((prompt.tools[0].name, "{}"),), True


def _text(model: SimulatedModel, prompt: Prompt, prefill: str) -> str:
    answer = model.answer
    if answer is None:
        answer = "" if model.tool_calls else DEFAULT_ANSWER
    # Not str.format: an answer may be JSON, whose braces are its own.
    whole = answer.replace(_PROMPT_PLACE, _last_user_text(prompt)) if _PROMPT_PLACE in answer else answer
    return whole.removeprefix(prefill)


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _tool_call_tokens(call_id: str, name: str, arguments_json: str) -> list[DeltaKind]:
    # Cut without regard to JSON, as providers do.
    starts = range(0, len(arguments_json), CHARACTERS_PER_TOKEN)
    fragments = [arguments_json[start : start + CHARACTERS_PER_TOKEN] for start in starts]
    head = ToolCallDelta(id=call_id, name=name)
    return [head, *(ToolCallDelta(arguments_json_fragment=fragment) for fragment in fragments)]


def _prefill(prompt: Prompt) -> str:
    last = prompt.messages[-1] if prompt.messages else None
    return _text_of(last) if last is not None and last.role is Role.ASSISTANT else ""


def _last_user_text(prompt: Prompt) -> str:
    users = (message for message in reversed(prompt.messages) if message.role is Role.USER)
    last = next(users, None)
    return "" if last is None else _text_of(last)


def _text_of(message: Message) -> str:
    return "".join(part.kind.text for part in message.parts if isinstance(part.kind, Text))
