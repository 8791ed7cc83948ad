"""Putting the content blocks of an Anthropic message together: blocks and their deltas in, ours out.

Streamed and whole answers go the same way. Each block with content is a part of its own. What the
provider's own tools did stands in blocks that are skipped. How an answer ended is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from paceline_server.completion.content import ProviderSignature
from paceline_server.completion.deltas import ReasoningDelta, TextDelta, ToolCallDelta
from paceline_server.providers.answer_failures import malformed
from paceline_server.providers.anthropic_wire import (
    ContentBlock,
    Delta,
    decode_block,
    decode_text,
    decode_type,
)
from paceline_server.providers.delta_runs import MAX_PART_COUNT, DeltaRuns, RunKind
from paceline_server.providers.json_faults import NOT_JSON

REDACTED = b"redacted_thinking"
"""The signature of thoughts that came encrypted: their data are the proof, and only this provider's."""

_NOT_YET = -2
"""The part of a block before it says something: no run is of it."""

_READ_TYPES = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
_NO_ARGUMENTS = "{}"
_QUOTE = b'"'


@dataclass(slots=True)
class _Block:
    """A block that was started; without a kind it is skipped."""

    kind: RunKind | None = None
    part: int = _NOT_YET
    arguments: str = ""  # what a call has if no fragments come


class BlockAssembler(DeltaRuns):
    """Collects the content blocks of one answer.

    Whatever adds to it raises AttemptFailure, of class MALFORMED_RESPONSE, where blocks and pieces do
    not fit together or are too many.
    """

    __slots__ = ("_blocks", "_provider")

    def __init__(self, provider: str) -> None:
        """Make one; `provider` is named in signatures."""
        super().__init__()
        self._provider = provider
        self._blocks: dict[int, _Block] = {}

    def start(self, index: int, data: msgspec.Raw) -> None:
        """Take a block, whole or its beginning; it replaces an earlier one of the same index."""
        self.stop(index)
        block = self._new_block(index)
        try:
            if decode_type(data).type not in _READ_TYPES:
                return
            told = decode_block(data)
        except NOT_JSON as error:
            raise malformed("a content block cannot be read") from error
        if told.type == "tool_use":
            self._start_call(block, told)
        elif told.type == "text":
            block.kind = TextDelta
            self._extend(block, told.text)
        else:
            block.kind = ReasoningDelta
            self._extend(block, told.thinking)
            self._sign(block, told.signature)
            if told.data:
                signature = ProviderSignature(self._provider, REDACTED)
                self.put(self._part(block), ReasoningDelta(redacted_data=told.data.encode()), signature)

    def add(self, index: int, delta: Delta) -> None:
        """Take more of a block; text and thoughts may come without a start."""
        kind = delta.type
        if kind == "text_delta":
            block = self._block(index, TextDelta)
            if delta.text and block.part == self._run_part:
                # The usual case where much was read at once: the same text goes on.
                self._run.append(delta.text)
            else:
                self._extend(block, delta.text)
        elif kind == "input_json_delta":
            self._extend(self._block(index, ToolCallDelta), delta.partial_json)
        elif kind == "thinking_delta":
            self._extend(self._block(index, ReasoningDelta), delta.thinking)
        elif kind == "signature_delta":
            self._sign(self._block(index, ReasoningDelta), delta.signature)

    def stop(self, index: int) -> None:
        """Nothing more comes of a block."""
        block = self._blocks.get(index)
        if block is not None:
            self._end(block)

    def finish(self) -> None:
        """Nothing more comes at all."""
        for block in self._blocks.values():
            self._end(block)

    def _block(self, index: int, kind: RunKind) -> _Block:
        block = self._blocks.get(index)
        if block is None:
            if kind is ToolCallDelta:
                raise malformed("the arguments of a tool call came without the call")
            block = self._new_block(index, kind)
        elif block.kind is not kind and block.kind is not None:
            raise malformed("a content block mixes kinds")
        return block

    def _new_block(self, index: int, kind: RunKind | None = None) -> _Block:
        # Also those that are skipped, or say nothing, are held.
        if len(self._blocks) == MAX_PART_COUNT:
            raise malformed(f"the answer has more than {MAX_PART_COUNT} content blocks")
        block = self._blocks[index] = _Block(kind)
        return block

    def _part(self, block: _Block) -> int:
        # Only what has content is a part: models start texts that stay empty.
        if block.part == _NOT_YET:
            block.part = self.new_part()
        return block.part

    def _extend(self, block: _Block, text: str | None) -> None:
        if text and block.kind is not None:
            block.arguments = ""
            self.extend(self._part(block), block.kind, text)

    def _sign(self, block: _Block, signature: str | None) -> None:
        if signature and block.kind is not None:
            value = ProviderSignature(self._provider, signature.encode())
            self.put(self._part(block), ReasoningDelta(), value)

    def _start_call(self, block: _Block, told: ContentBlock) -> None:
        if not told.name:
            raise malformed("a tool call has no name")
        block.kind = ToolCallDelta
        block.arguments = _arguments(told.input)
        part = self._part(block)
        self.put(part, ToolCallDelta(told.id or f"call_{part}", told.name))

    def _end(self, block: _Block) -> None:
        if block.arguments:
            self._extend(block, block.arguments)


def _arguments(told: msgspec.Raw) -> str:
    # An empty object stands where fragments follow; some servers give all of it here, or as a text.
    data = bytes(told)
    if data in (b"", b"null"):
        return _NO_ARGUMENTS
    try:
        return (decode_text(data) if data.startswith(_QUOTE) else data.decode()) or _NO_ARGUMENTS
    except NOT_JSON as error:
        raise malformed("the arguments of a tool call cannot be read") from error
