"""How many pieces a request may have: judged first, so that nothing is decoded of one that has too many.

A decoded piece costs a hundred times its bytes, and the whole request is decoded in one go.
"""

from __future__ import annotations

from collections.abc import Sized

from paceline.v1 import completion_pb2
from paceline_server.rpc.violations import Violations

MAXIMUM_PIECE_COUNT = 10_000
"""Messages, their parts, and the parts of tool results, together."""

SMALLEST_PIECE_BYTES = 2
"""On the wire: its field's number, and its size."""

MAXIMUM_TOOL_COUNT = 1000
MAXIMUM_PROVIDER_OPTIONS_COUNT = 100
MAXIMUM_STOP_SEQUENCE_COUNT = 16


def check_prompt_bounds(wire: completion_pb2.Prompt, path: str, violations: Violations) -> None:
    """Refuse a prompt of too many pieces at once.

    Raises:
        InvalidRequest: There are too many of something; nothing else was looked at.
    """
    if _has_too_many_pieces(wire):
        violations.add(
            f"{path}.messages",
            f"has more than {MAXIMUM_PIECE_COUNT} messages and parts together; join texts, or leave out "
            "the oldest turns",
        )
    check_count(wire.tools, MAXIMUM_TOOL_COUNT, f"{path}.tools", violations)
    check_count(
        wire.config.stop_sequences,
        MAXIMUM_STOP_SEQUENCE_COUNT,
        f"{path}.config.stop_sequences",
        violations,
    )
    check_count(
        wire.provider_options_json,
        MAXIMUM_PROVIDER_OPTIONS_COUNT,
        f"{path}.provider_options_json",
        violations,
    )
    violations.check()


def check_count(entries: Sized, limit: int, path: str, violations: Violations) -> bool:
    """Whether there are few enough entries to look at each; if not, that is a violation."""
    if len(entries) > limit:
        violations.add(path, f"has more than {limit} entries")
        return False
    return True


def _has_too_many_pieces(wire: completion_pb2.Prompt) -> bool:
    """Stops counting as soon as it is certain, and does not begin where there is no room for so many."""
    if wire.ByteSize() <= MAXIMUM_PIECE_COUNT * SMALLEST_PIECE_BYTES:
        return False
    count = len(wire.messages)
    if count > MAXIMUM_PIECE_COUNT:
        return True
    for message in wire.messages:
        count += len(message.parts)
        if count > MAXIMUM_PIECE_COUNT:
            return True
        count += sum(len(part.tool_result.parts) for part in message.parts if part.HasField("tool_result"))
    return count > MAXIMUM_PIECE_COUNT
