"""Numbering the parts of an answer and joining its pieces: what the readers of all wire formats share.

All that was read at once is joined once, so that a token costs its decoding and one list append.
"""

from __future__ import annotations

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import ProviderSignature
from paceline_server.completion.deltas import (
    Delta,
    DeltaKind,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    merge_adjacent,
)
from paceline_server.completion.errors import AttemptFailure

MAX_PART_COUNT = 1024
"""An answer of more parts is built to keep its readers busy."""

NO_PART = -1
_OK = 200

RunKind = type[TextDelta | ReasoningDelta | ToolCallDelta]


class DeltaRuns:
    """Collects the pieces of one answer. Parts are numbered as they first appear.

    A run is what neighbouring pieces of one part make: it becomes one delta.
    """

    __slots__ = ("_deltas", "_run", "_run_kind", "_run_part", "part_count")

    def __init__(self) -> None:
        self.part_count = 0
        self._deltas: list[Delta] = []
        self._run: list[str] = []
        self._run_part = NO_PART
        self._run_kind: RunKind = TextDelta

    def new_part(self) -> int:
        """The index of the next part.

        Raises:
            AttemptFailure: MALFORMED_RESPONSE; there are too many.
        """
        part = self.part_count
        if part == MAX_PART_COUNT:
            raise AttemptFailure(
                FailureClass.MALFORMED_RESPONSE,
                f"the answer has more than {MAX_PART_COUNT} parts",
                http_status=_OK,
            )
        self.part_count += 1
        return part

    def extend(self, part: int, kind: RunKind, text: str) -> None:
        """Take more text of a part; of a tool call, more of its arguments."""
        if part != self._run_part:
            self._end_run()
            self._run_part = part
            self._run_kind = kind
        self._run.append(text)

    def put(self, part: int, kind: DeltaKind, signature: ProviderSignature | None = None) -> None:
        """Take a delta that is more than text."""
        self._end_run()
        self._deltas.append(Delta(part, kind, signature))

    def take(self) -> list[Delta]:
        """The deltas of what was taken since the last time, neighbours merged."""
        self._end_run()
        deltas, self._deltas = self._deltas, []
        return merge_adjacent(deltas)

    def _end_run(self) -> None:
        if not self._run:
            self._run_part = NO_PART
            return
        text = "".join(self._run)
        self._run.clear()
        kind: DeltaKind
        if self._run_kind is ToolCallDelta:
            kind = ToolCallDelta(arguments_json_fragment=text)
        elif self._run_kind is ReasoningDelta:
            kind = ReasoningDelta(text)
        else:
            kind = TextDelta(text)
        self._deltas.append(Delta(self._run_part, kind))
        self._run_part = NO_PART
