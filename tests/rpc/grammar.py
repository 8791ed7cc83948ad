"""What the contract says of every stream that ends with an answer, be it of a chain or of a race."""

from __future__ import annotations

from collections.abc import Iterable

from paceline.v1 import completion_pb2
from tests.rpc.gateway import Told


def fold(deltas: Iterable[completion_pb2.Delta]) -> list[completion_pb2.Part]:
    """What deltas come to, by the comment of Delta alone."""
    parts: list[completion_pb2.Part] = []
    for delta in deltas:
        assert 0 <= delta.part_index <= len(parts), "indices first appear in ascending order without gaps"
        if delta.part_index == len(parts):
            parts.append(completion_pb2.Part())
        part = parts[delta.part_index]
        kind = delta.WhichOneof("kind")
        assert part.WhichOneof("kind") in (None, kind), "one kind in all deltas of a part"
        if kind == "text":
            part.text.text += delta.text.text
        elif kind == "reasoning":
            part.reasoning.text += delta.reasoning.text
            part.reasoning.redacted_data += delta.reasoning.redacted_data
        elif kind == "tool_call":
            first = not part.HasField("tool_call")
            assert first == bool(delta.tool_call.id), "the id is in the first delta of the part alone"
            part.tool_call.id += delta.tool_call.id
            part.tool_call.name += delta.tool_call.name
            part.tool_call.arguments_json += delta.tool_call.arguments_json_fragment
    return parts


def standing(told: Told) -> list[completion_pb2.Delta]:
    """The deltas since the last retraction."""
    deltas: list[completion_pb2.Delta] = []
    for event in told.events:
        if event.HasField("output_discarded"):
            deltas.clear()
        elif event.HasField("delta"):
            deltas.append(event.delta)
    return deltas


def check_attempts(told: Told) -> None:
    """Each attempt that starts ends once; one that never started was skipped or rejected."""
    started = [
        event.attempt_started.attempt.index for event in told.events if event.HasField("attempt_started")
    ]
    ended = [event.attempt_ended.attempt for event in told.events if event.HasField("attempt_ended")]
    assert len(set(started)) == len(started)
    assert sorted(attempt.index for attempt in ended) == sorted({*started, *(one.index for one in ended)})
    without_start = {attempt.outcome for attempt in ended if attempt.index not in started}
    assert without_start <= {
        completion_pb2.ATTEMPT_OUTCOME_SKIPPED,
        completion_pb2.ATTEMPT_OUTCOME_REJECTED,
    }
