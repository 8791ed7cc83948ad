"""Answers that are odd and yet answers, and answers that are none, in each format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.faults.wires import Wire

MEBIBYTE = 1 << 20

Edit = Callable[[Any, int], Any]


def edited(event: bytes, edit: Edit, number: int) -> bytes:
    """One event, with its document edited; what has no document stays as it is."""
    head, mark, data = event.partition(b"data: ")
    body = data.strip()
    if not body.startswith(b"{"):
        return event
    return head + mark + json.dumps(edit(json.loads(body), number)).encode() + data[len(data.rstrip()) :]


def stream(wire: Wire, edit: Edit) -> list[bytes]:
    """A whole stream, each event edited."""
    events = [*wire.opening, *wire.contents, *wire.closing]
    return [edited(event, edit, number) for number, event in enumerate(events)]


def document(wire: Wire, edit: Edit) -> bytes:
    """A whole unary answer, edited."""
    return json.dumps(edit(json.loads(wire.document), 0)).encode()


def numbers_as_strings(value: Any, number: int) -> Any:
    """Every number is written as a string."""
    if isinstance(value, dict):
        return {key: numbers_as_strings(inner, number) for key, inner in value.items()}
    if isinstance(value, list):
        return [numbers_as_strings(inner, number) for inner in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def changing_ids(value: Any, number: int) -> Any:
    """Each event has an id of its own, under every name that a format has for it."""
    return {**value, "id": f"id-{number}", "responseId": f"id-{number}", "request_id": f"id-{number}"}


EMPTY_EVENTS: Mapping[str, Sequence[bytes]] = {
    "openai": [
        b'data: {"model":"m-1","choices":[]}\n\n',
        b'data: {"choices":[{"index":0,"delta":{}}]}\n\n',
        b'data: {"choices":[{"delta":{"content":null,"tool_calls":[]}}]}\n\n',
    ],
    "anthropic": [
        (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
            b'"delta":{"type":"text_delta","text":""}}\n\n'
        ),
        b'event: a_new_kind\ndata: {"type":"a_new_kind","index":0}\n\n',
    ],
    "gemini": [
        b'data: {"candidates":[],"modelVersion":"m-1"}\r\n\r\n',
        b'data: {"candidates":[{"index":0}]}\r\n\r\n',
        b'data: {"candidates":[{"content":{"role":"model","parts":[]}}]}\r\n\r\n',
    ],
}
"""Events with nothing in them, which providers send between others."""

EMPTY_ANSWERS: Mapping[str, bytes] = {
    "openai": b'{"choices":[]}',
    "anthropic": b'{"type":"message","role":"assistant","content":[]}',
    "gemini": b'{"candidates":[]}',
}
"""Whole answers without an answer."""


def _fragment(number: int, function: Mapping[str, str]) -> bytes:
    call = {"index": 0, "id": f"id-{number}", "type": "function", "function": function}
    choice = {"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}
    return b"data: " + json.dumps({"model": "m-1", "choices": [choice]}).encode() + b"\n\n"


CALL_FRAGMENTS = [
    _fragment(0, {"name": "weather", "arguments": ""}),
    *(
        _fragment(number, {"arguments": piece})
        for number, piece in enumerate(('{"city"', ':"Par', 'is"}'), start=1)
    ),
]
"""One call in the OpenAI format, each fragment with an id of its own."""
