"""The bytes that the mock upstream answers with, made once.

One unary answer, and streams of equal events; which one a request gets is decided by its model.
"""

from __future__ import annotations

import json
from enum import Enum

UNARY_BYTES = 712
EVENTS_PER_STREAM = 200
WORD = " token"

_ID = "chatcmpl-Bz8Qm3xT0kJv5wLr2nYc7HdPaE1fU"
_MODEL = "gpt-4o-mini-2024-07-18"
_FINGERPRINT = "fp_44added55e"
_CREATED = 1_780_000_000


class Model(Enum):
    """What can be asked for; the value is the model's name."""

    UNARY = "unary"
    BURST = "burst"
    PACED = "paced"
    STAMPED = "stamped"
    STALLED = "stalled"


def unary_response() -> bytes:
    """A whole answer of 712 bytes, with its head."""
    padding = UNARY_BYTES - len(_completion(""))
    body = _completion("word " * (padding // 5) + "." * (padding % 5))
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def stream_head() -> bytes:
    """The head of a streamed answer and its first event, which has no content yet."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + in_http_chunk(_event([_choice({"role": "assistant", "content": ""})]))


def token_event(text: str = WORD) -> bytes:
    """One event with content."""
    return _event([_choice({"content": text})])


def stream_tail() -> bytes:
    """What ends a streamed answer: finish reason, usage, terminal marker, end of the body."""
    usage = {"prompt_tokens": 24, "completion_tokens": EVENTS_PER_STREAM, "total_tokens": 224}
    events = _event([_choice({}, finish_reason="stop")]) + _event([], usage=usage) + b"data: [DONE]\n\n"
    return in_http_chunk(events) + b"0\r\n\r\n"


def in_http_chunk(data: bytes) -> bytes:
    """`data` as one chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def _completion(text: str) -> bytes:
    details = {"cached_tokens": 0, "audio_tokens": 0}
    message = {"role": "assistant", "content": text, "refusal": None}
    usage = {
        "prompt_tokens": 24,
        "completion_tokens": 42,
        "total_tokens": 66,
        "prompt_tokens_details": details,
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _json({"object": "chat.completion", **_common(), "choices": [choice], "usage": usage})


def _event(choices: list[dict[str, object]], **more: object) -> bytes:
    chunk = {"object": "chat.completion.chunk", **_common(), "choices": choices, "usage": None, **more}
    return b"data: " + _json(chunk) + b"\n\n"


def _choice(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, object]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _common() -> dict[str, object]:
    return {
        "id": _ID,
        "created": _CREATED,
        "model": _MODEL,
        "service_tier": "default",
        "system_fingerprint": _FINGERPRINT,
    }


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
