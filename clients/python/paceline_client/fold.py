"""Puts the deltas of a stream together again.

Holds the law of the contract: the deltas since the last `output_discarded`, folded, are the parts
of the answer. Knows no channel; whether the stream ended well is asked elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from paceline.v1.chain_pb2 import StreamChainResponse
from paceline.v1.completion_pb2 import Delta, Media, Part, ProviderSignature, Reasoning, Text, ToolCall
from paceline.v1.race_pb2 import StreamRaceResponse


class Fold:
    """The answer of a stream as far as it has come. Feed it every event in order."""

    def __init__(self) -> None:
        """Start with an empty answer."""
        self._parts: list[_GrowingPart] = []

    def __repr__(self) -> str:
        return f"<Fold parts={len(self._parts)} text={self.text!r}>"

    def add(self, event: StreamChainResponse | StreamRaceResponse) -> None:
        """Take in one event; those that carry no part of the answer, and unknown ones, change nothing."""
        match event.WhichOneof("event"):
            case "delta":
                self.add_delta(event.delta)
            case "output_discarded":
                self._parts.clear()
            case _:
                pass

    def add_delta(self, delta: Delta) -> None:
        """Append one increment.

        Raises:
            ValueError: It is for a part that cannot come yet, or changes the kind of its part.
        """
        index, count = delta.part_index, len(self._parts)
        if not 0 <= index <= count:
            raise ValueError(f"a delta is for part {index}, but only {count} parts have begun")
        if index == count:
            self._parts.append(_GrowingPart())
        self._parts[index].grow(delta)

    @property
    def parts(self) -> list[Part]:
        """The parts so far, as `Completion.parts` has them; the caller's own copies."""
        return [part.built() for part in self._parts]

    @property
    def text(self) -> str:
        """The texts of all text parts so far, one after the other."""
        return "".join(text for part in self._parts if part.kind == "text" for text in part.texts)


@dataclass(slots=True)
class _GrowingPart:
    """Pieces of a part; joined only when asked for, so that a long answer costs no more than its length."""

    kind: str | None = None
    texts: list[str] = field(default_factory=list)
    redacted: list[bytes] = field(default_factory=list)
    tool_call_id: str = ""
    tool_name: str = ""
    media: Media | None = None
    signature_provider: str = ""
    signature: list[bytes] = field(default_factory=list)

    def grow(self, delta: Delta) -> None:
        kind = delta.WhichOneof("kind")
        if kind is not None:
            if self.kind not in (None, kind):
                raise ValueError(f"part {delta.part_index} is {self.kind}, and a delta makes it {kind}")
            self.kind = kind
            self._grow_kind(delta)
        if delta.HasField("signature"):
            self.signature_provider = delta.signature.provider or self.signature_provider
            self.signature.append(delta.signature.value)

    def _grow_kind(self, delta: Delta) -> None:
        match self.kind:
            case "text":
                self.texts.append(delta.text.text)
            case "reasoning":
                self.texts.append(delta.reasoning.text)
                self.redacted.append(delta.reasoning.redacted_data)
            case "tool_call":
                self.tool_call_id = delta.tool_call.id or self.tool_call_id
                self.tool_name = delta.tool_call.name or self.tool_name
                self.texts.append(delta.tool_call.arguments_json_fragment)
            case _:
                self.media = delta.media

    def built(self) -> Part:
        text = "".join(self.texts)
        match self.kind:
            case "text":
                part = Part(text=Text(text=text))
            case "reasoning":
                part = Part(reasoning=Reasoning(text=text, redacted_data=b"".join(self.redacted)))
            case "tool_call":
                call = ToolCall(id=self.tool_call_id, name=self.tool_name, arguments_json=text)
                part = Part(tool_call=call)
            case _:
                part = Part(media=self.media)
        if self.signature_provider:
            value = b"".join(self.signature)
            part.signature.CopyFrom(ProviderSignature(provider=self.signature_provider, value=value))
        return part


def text_of(parts: Iterable[Part]) -> str:
    """The texts of all text parts, one after the other."""
    return "".join(part.text.text for part in parts if part.WhichOneof("kind") == "text")
