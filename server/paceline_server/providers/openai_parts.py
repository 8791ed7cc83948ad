"""Putting the pieces of chat-completions messages together: wire messages in, merged deltas out.

Streamed and whole answers go the same way. How an answer ended is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from paceline_server.completion.content import ProviderSignature
from paceline_server.completion.deltas import ReasoningDelta, TextDelta, ToolCallDelta
from paceline_server.providers.delta_runs import DeltaRuns
from paceline_server.providers.openai_wire import (
    ContentItem,
    Function,
    Message,
    ReasoningDetail,
    ToolCallFragment,
)

_REASONING = "reasoning"
_FUNCTION_CALL = -1
"""The index of the one call of the legacy format."""

_NOT_YET = -3
"""The text part's index before there is one: no run is of it."""

_NEWCOMER = -2
"""The place of calls that came without an index: the last of them is the one that is continued."""


@dataclass(slots=True)
class _Call:
    part_index: int
    id: str = ""
    name: str = ""


class PartAssembler(DeltaRuns):
    """Collects the messages of one answer.

    Whatever adds to it raises AttemptFailure, of class MALFORMED_RESPONSE, where there are too many parts.
    """

    __slots__ = ("_call_of_index", "_calls", "_part_of", "_provider", "_text_part", "refused")

    def __init__(self, provider: str) -> None:
        """Make one; `provider` is named in signatures."""
        super().__init__()
        self.refused = False
        self._provider = provider
        self._part_of: dict[str, int] = {}
        self._text_part = _NOT_YET
        self._calls: list[_Call] = []
        self._call_of_index: dict[int, _Call] = {}

    def add(self, message: Message) -> None:
        """Take a message, or a piece of one."""
        if message.reasoning_details:
            for detail in message.reasoning_details:
                self._add_detail(detail)
        elif thought := message.reasoning_content or message.reasoning:
            self.extend(self._part(_REASONING), ReasoningDelta, thought)

        content = message.content
        if content and type(content) is str:
            self._extend_text(content)
        else:
            self._add_content(message)
        if message.refusal:
            self.refused = True
            self._extend_text(message.refusal)
        if message.tool_calls:
            for fragment in message.tool_calls:
                self._add_call(fragment)
        if message.function_call is not None:
            self._add_call(ToolCallFragment(_FUNCTION_CALL, None, message.function_call))

    def finish(self) -> None:
        """Give an id to the calls that came without one, so that a result can name its call."""
        for call in self._calls:
            if not call.id:
                call.id = f"call_{call.part_index}"
                self.put(call.part_index, ToolCallDelta(id=call.id))

    def _part(self, key: str) -> int:
        part = self._part_of.get(key)
        if part is None:
            part = self._part_of[key] = self.new_part()
        return part

    def _extend_text(self, text: str) -> None:
        part = self._text_part
        if part == self._run_part:
            # The usual case where much was read at once: the same text goes on.
            self._run.append(text)
            return
        if part == _NOT_YET:
            part = self._text_part = self.new_part()
        self.extend(part, TextDelta, text)

    def _add_content(self, message: Message) -> None:
        if isinstance(message.content, list):
            self._add_items(message.content)
        elif message.audio is not None and message.audio.transcript:
            self._extend_text(message.audio.transcript)

    def _add_items(self, items: list[ContentItem]) -> None:
        for item in items:
            if item.thinking:
                thinking = item.thinking
                thoughts = [thinking] if isinstance(thinking, str) else [each.text or "" for each in thinking]
                self.extend(self._part(_REASONING), ReasoningDelta, "".join(thoughts))
            elif item.refusal:
                self.refused = True
                self._extend_text(item.refusal)
            elif item.text:
                self._extend_text(item.text)

    def _add_detail(self, detail: ReasoningDetail) -> None:
        text = detail.text or detail.summary or ""
        if not (text or detail.signature or detail.data):
            return
        part = self._part(f"{detail.type}[{detail.index or 0}]")
        if not (detail.signature or detail.data):
            self.extend(part, ReasoningDelta, text)
            return

        # The signature carries all that must go back beside the thought itself; see `openai_request`.
        kept = msgspec.structs.replace(detail, text=None, summary=None, data=None)
        signature = ProviderSignature(self._provider, msgspec.json.encode(kept))
        self.put(part, ReasoningDelta(text, (detail.data or "").encode()), signature)

    def _add_call(self, fragment: ToolCallFragment) -> None:
        function = fragment.function or Function()
        name = function.name or ""
        given_id = "" if fragment.id is None else str(fragment.id)
        call = self._call(fragment.index, given_id, name)

        # Some servers repeat id and name in every fragment; the first ones count.
        new_id = given_id if not call.id else ""
        new_name = name if not call.name else ""
        if new_id or new_name:
            call.id += new_id
            call.name += new_name
            self.put(call.part_index, ToolCallDelta(new_id, new_name))
        arguments = function.arguments
        if arguments:
            text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
            self.extend(call.part_index, ToolCallDelta, text)

    def _call(self, index: int | None, given_id: str, name: str) -> _Call:
        place = _NEWCOMER if index is None else index
        call = self._call_of_index.get(place)
        if call is not None and not self._is_another(call, given_id, name, indexed=index is not None):
            return call

        call = _Call(self.new_part())
        self._calls.append(call)
        self._call_of_index[place] = call
        self.put(call.part_index, ToolCallDelta())
        return call

    def _is_another(self, call: _Call, given_id: str, name: str, *, indexed: bool) -> bool:
        # Some servers give each of several whole calls the index 0, or none at all.
        if given_id and call.id:
            return given_id != call.id and bool(name)
        return bool(name) and not indexed
