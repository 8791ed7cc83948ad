"""An answer in increments, and the fold that makes the increments whole again.

The law of the stream: folding the deltas of an answer gives exactly its parts.
"""

from __future__ import annotations

from collections.abc import Iterable

from paceline_server.completion.content import Kind, Media, Part, ProviderSignature, Reasoning, Text, ToolCall
from paceline_server.completion.immutable import immutable


@immutable(frozen=True, slots=True)
class TextDelta:
    """More of a text part."""

    text: str


@immutable(frozen=True, slots=True)
class ReasoningDelta:
    """More of a reasoning part."""

    text: str = ""
    redacted_data: bytes = b""


@immutable(frozen=True, slots=True)
class ToolCallDelta:
    """More of a tool call: fragments of the id, the name and the arguments, to be concatenated."""

    id: str = ""
    name: str = ""
    arguments_json_fragment: str = ""


DeltaKind = TextDelta | ReasoningDelta | ToolCallDelta | Media


@immutable(frozen=True, slots=True)
class Delta:
    """One increment of part `part_index`.

    Indices first appear in ascending order from 0; deltas of different parts may interleave;
    a delta may hold several tokens. A media delta is a whole part. The values of a part's signatures are
    concatenated, too.
    """

    part_index: int
    kind: DeltaKind
    signature: ProviderSignature | None = None


class FoldError(ValueError):
    """The deltas break the grammar: an index out of order, or two kinds or two signers in one part."""


class Fold:
    """Collects deltas; `parts()` gives the whole. Adding costs one list append."""

    __slots__ = ("_deltas_of_part", "character_count")

    def __init__(self, deltas: Iterable[Delta] = ()) -> None:
        """Start with `deltas`."""
        self._deltas_of_part: list[list[Delta]] = []
        self.character_count = 0
        for delta in deltas:
            self.add(delta)

    def __bool__(self) -> bool:
        """Whether any delta was added since the start or the last `clear`."""
        return bool(self._deltas_of_part)

    @property
    def part_count(self) -> int:
        """How many parts have begun."""
        return len(self._deltas_of_part)

    def add(self, delta: Delta) -> None:
        """Take one more delta.

        Raises:
            FoldError: The index skips a part or is negative.
        """
        parts = self._deltas_of_part
        index = delta.part_index
        if index == len(parts):
            parts.append([delta])
        elif 0 <= index < len(parts):
            parts[index].append(delta)
        else:
            raise FoldError(f"part {index} starts where part {len(parts)} was due")
        self.character_count += character_count(delta.kind)

    def clear(self) -> None:
        """Forget all, as after `output_discarded`."""
        self._deltas_of_part.clear()
        self.character_count = 0

    def parts(self) -> tuple[Part, ...]:
        """The parts that the deltas make.

        Raises:
            FoldError: A part got deltas of two kinds, or signatures of two providers.
        """
        return tuple(_part(deltas) for deltas in self._deltas_of_part)


def fold(deltas: Iterable[Delta]) -> tuple[Part, ...]:
    """The parts that `deltas` make."""
    return Fold(deltas).parts()


def merge_adjacent(deltas: list[Delta]) -> list[Delta]:
    """`deltas` with neighbours of one part joined, so that what was read together is written together."""
    if len(deltas) < 2:  # noqa: PLR2004 - the usual case of a paced stream: nothing to join
        return deltas
    merged: list[Delta] = []
    run: list[Delta] = []
    for delta in deltas:
        if run and (delta.part_index != run[0].part_index or isinstance(delta.kind, Media)):
            merged.append(_joined(run))
            run = []
        run.append(delta)
    merged.append(_joined(run))
    return merged


def deltas_of(parts: Iterable[Part]) -> list[Delta]:
    """One delta a part: the shortest stream that folds to `parts`."""
    return [Delta(index, _delta_kind(part.kind), part.signature) for index, part in enumerate(parts)]


def character_count(kind: DeltaKind) -> int:
    """How much text a delta holds: what estimates of tokens are made from."""
    if isinstance(kind, TextDelta):
        return len(kind.text)
    if isinstance(kind, ReasoningDelta):
        return len(kind.text)
    if isinstance(kind, ToolCallDelta):
        return len(kind.name) + len(kind.arguments_json_fragment)
    return 0


def _joined(run: list[Delta]) -> Delta:
    if len(run) == 1:
        return run[0]
    kind = _whole(run)
    return Delta(run[0].part_index, _delta_kind(kind), _whole_signature(run))


def _part(deltas: list[Delta]) -> Part:
    return Part(_whole(deltas), _whole_signature(deltas))


def _whole_signature(deltas: list[Delta]) -> ProviderSignature | None:
    if len(deltas) == 1:
        return deltas[0].signature
    signatures = [delta.signature for delta in deltas if delta.signature is not None]
    if not signatures:
        return None
    provider = signatures[0].provider
    if any(signature.provider != provider for signature in signatures):
        # Joined they would be sent to the first provider, although half of them is another's.
        raise FoldError(f"part {deltas[0].part_index} is signed by two providers")
    return ProviderSignature(provider, b"".join(signature.value for signature in signatures))


def _whole(deltas: list[Delta]) -> Kind:
    first = deltas[0].kind
    if len(deltas) == 1 and isinstance(first, TextDelta):
        return Text(first.text)  # most answers that came at once are nothing else
    kinds = [delta.kind for delta in deltas]
    if any(type(kind) is not type(first) for kind in kinds):
        names = sorted({type(kind).__name__ for kind in kinds})
        raise FoldError(f"part {deltas[0].part_index} mixes {' and '.join(names)}")
    if isinstance(first, Media):
        if len(kinds) > 1:
            raise FoldError(f"part {deltas[0].part_index} is media and came twice")
        return first
    if isinstance(first, TextDelta):
        return Text("".join(kind.text for kind in kinds if isinstance(kind, TextDelta)))
    if isinstance(first, ReasoningDelta):
        thoughts = [kind for kind in kinds if isinstance(kind, ReasoningDelta)]
        return Reasoning(
            "".join(thought.text for thought in thoughts),
            b"".join(thought.redacted_data for thought in thoughts),
        )
    calls = [kind for kind in kinds if isinstance(kind, ToolCallDelta)]
    return ToolCall(
        "".join(call.id for call in calls),
        "".join(call.name for call in calls),
        "".join(call.arguments_json_fragment for call in calls),
    )


def _delta_kind(kind: Kind) -> DeltaKind:
    if isinstance(kind, Text):
        return TextDelta(kind.text)
    if isinstance(kind, Reasoning):
        return ReasoningDelta(kind.text, kind.redacted_data)
    if isinstance(kind, ToolCall):
        return ToolCallDelta(kind.id, kind.name, kind.arguments_json)
    if isinstance(kind, Media):
        return kind
    raise FoldError("a model does not answer with a tool result")
