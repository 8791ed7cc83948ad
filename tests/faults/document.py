"""The fault matrix as a page of the documentation, made from what was seen."""

from __future__ import annotations

from collections.abc import Mapping

from tests.faults.faults import FAULTS, Fault
from tests.faults.matrix import Outcome, Row

HEAD = """\
# What a caller sees when a provider fails

Made by `make faults` from what was seen: each fault was played over real sockets against a whole gateway,
in the OpenAI, Anthropic and Gemini formats alike, and every format gave the same row. `make test` plays
them all again and compares this page with what it sees. Settings are the defaults (one retry, two
failures in a row bench); where the fault is one of time, the clocks were set to tenths of a second.

- **alone**: the target is the only one. What the call ends with: its status, the reason in `ErrorInfo`,
  and the attempts as they stand in `CallFailure` (or in the answer, if there is one).
- **requests**: how many reached the provider in that call.
- **benched**: after which call in a row the target, or its whole provider, is benched. A call counts at
  most once.
- **with another target**: the same fault at the head of a chain of two, whose second target is well.
  *Retracted* means that content had been delivered and `output_discarded` took it back before the second
  target's answer; with recovery `NONE` the call would end with `STREAM_BROKEN` instead.

A first-content or attempt clock never ends the last target that is left, so a silent provider that is
alone has the caller's whole deadline; nobody is penalised for that.

The faults bear the names that they have in the OpenAI format. Gemini says two of them otherwise: "401, key
refused" is its 400 with `API_KEY_INVALID`, and "400, content policy" is a 200 with `promptFeedback`.
"""


def page(streaming: Mapping[str, Row], unary: Mapping[str, Row]) -> str:
    """The page, from the rows by fault."""
    sections = [HEAD]
    for title, rows in (("Streaming calls", streaming), ("Unary calls", unary)):
        lines = [
            f"## {title}",
            "",
            "| fault | alone | requests | benched | with another target |",
            "|---|---|---|---|---|",
            *(_line(fault, rows[fault.name]) for fault in FAULTS),
        ]
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def _line(fault: Fault, row: Row) -> str:
    retracted = ", retracted" if row.with_other.discarded else ""
    cells = [
        fault.name,
        f"{_end(row.alone)}: {_attempts(row.alone)}",
        str(row.upstream_calls),
        _bench(row),
        f"{_end(row.with_other)}{retracted}: {_attempts(row.with_other)}",
    ]
    return f"| {' | '.join(cells)} |"


def _end(outcome: Outcome) -> str:
    if outcome.code == "OK":
        return "answered"
    return f"`{outcome.code}`" if outcome.code == outcome.reason else f"`{outcome.code}` `{outcome.reason}`"


def _attempts(outcome: Outcome) -> str:
    return ", ".join(attempt.lower().replace("_", " ") for attempt in outcome.attempts)


def _bench(row: Row) -> str:
    if not row.benched_after:
        return "nobody"
    whom = "provider" if row.by_provider else "target"
    return f"{whom}, after call {row.benched_after}"
