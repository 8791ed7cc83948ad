"""How each wire format says an answer, a piece of one, and everything that can go wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.providers.replay import ReplayServer

TEXTS = ("Riders ", "take turns ", "at the front.")
ANSWER = "".join(TEXTS)


@dataclass(frozen=True)
class Refusal:
    """An answer that is an error."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Wire:
    """One format.

    Attributes:
        opening: Events that precede the first content of a stream.
        contents: One event for each of `TEXTS`.
        closing: Events that end a stream, the terminal marker among them.
        document: A whole unary answer.
        unfinished: The same without its terminal marker.
        keep_alive: What the provider sends to show that it is still there.
        error_event: An error inside a stream of status 200.
        error_document: An error that is a whole answer of status 200.
        blocked: How the provider refuses a prompt for its content.
        refusals: Other errors, by what they mean.
    """

    name: str
    opening: Sequence[bytes]
    contents: Sequence[bytes]
    closing: Sequence[bytes]
    document: bytes
    unfinished: bytes
    keep_alive: bytes
    error_event: bytes
    error_document: bytes
    blocked: Refusal
    refusals: Mapping[str, Refusal]

    def base_url(self, server: ReplayServer) -> str:
        """What precedes the format's own path in a URL of `server`."""
        return server.url if self.name == "openai" else server.url.removesuffix("/v1")


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _event(value: Any, name: str = "") -> bytes:
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + _json(value) + b"\n\n"


def _refusal(status: int, body: Any, **headers: str) -> Refusal:
    told = {"content-type": "application/json", **{key.replace("_", "-"): headers[key] for key in headers}}
    return Refusal(status, _json(body), told)


def _openai() -> Wire:
    def chunk(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        return _event({"model": "m-1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    usage = {"prompt_tokens": 5, "completion_tokens": 7}

    def document(finish: str | None) -> bytes:
        message = {"role": "assistant", "content": ANSWER}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return _json({"model": "m-1", "choices": [choice], "usage": usage})

    def error(message: str, kind: str, code: str | None) -> Mapping[str, Any]:
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    limited = error("Rate limit reached for requests", "requests", "rate_limit_exceeded")
    server_error = error("The server had an error", "server_error", None)
    return Wire(
        name="openai",
        opening=[chunk({"role": "assistant", "content": ""})],
        contents=[chunk({"content": text}) for text in TEXTS],
        closing=[
            chunk({}, "stop"),
            _event({"model": "m-1", "choices": [], "usage": usage}),
            b"data: [DONE]\n\n",
        ],
        document=document("stop"),
        unfinished=document(None),
        keep_alive=b": keep-alive\n\n",
        error_event=_event(server_error),
        error_document=_json(server_error),
        blocked=_refusal(400, error("Your request was rejected", "invalid_request_error", "content_filter")),
        refusals={
            "limited": _refusal(429, limited),
            "limited for 30 s": _refusal(429, limited, retry_after="30"),
            "quota": _refusal(
                429, error("You exceeded your quota", "insufficient_quota", "insufficient_quota")
            ),
            "server error": _refusal(500, server_error),
            "overloaded": _refusal(503, error("Overloaded", "server_error", "server_is_overloaded")),
            "context": _refusal(
                400,
                error(
                    "This model's maximum context length is 8 tokens",
                    "invalid_request_error",
                    "context_length_exceeded",
                ),
            ),
            "model": _refusal(
                404, error("The model `m` does not exist", "invalid_request_error", "model_not_found")
            ),
            "key": _refusal(
                401, error("Incorrect API key provided", "invalid_request_error", "invalid_api_key")
            ),
        },
    )


def _anthropic() -> Wire:
    usage = {"input_tokens": 5, "output_tokens": 7}

    def event(kind: str, **fields: Any) -> bytes:
        return _event({"type": kind, **fields}, kind)

    def message(stop_reason: str | None) -> Mapping[str, Any]:
        content = [{"type": "text", "text": ANSWER}]
        return {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "model": "m-1",
            "content": content,
            "stop_reason": stop_reason,
            "usage": usage,
        }

    def error(kind: str, text: str) -> Mapping[str, Any]:
        return {"type": "error", "error": {"type": kind, "message": text}}

    limited = error("rate_limit_error", "This request would exceed your rate limit")
    server_error = error("api_error", "Internal server error")
    spent = error("rate_limit_error", "You have reached your specified API usage limits")
    spent["error"]["details"] = {"error_code": "enforced_spend_limit_reached"}
    return Wire(
        name="anthropic",
        opening=[
            event("message_start", message={**message(None), "content": []}),
            event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        ],
        contents=[
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
            for text in TEXTS
        ],
        closing=[
            event("content_block_stop", index=0),
            event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 7}),
            event("message_stop"),
        ],
        document=_json(message("end_turn")),
        unfinished=_json(message(None)),
        keep_alive=event("ping"),
        error_event=_event(server_error, "error"),
        error_document=_json(server_error),
        blocked=_refusal(400, error("invalid_request_error", "Output blocked by content filtering policy")),
        refusals={
            "limited": _refusal(429, limited),
            "limited for 30 s": _refusal(429, limited, retry_after="30"),
            "quota": _refusal(429, spent),
            "server error": _refusal(500, server_error),
            "overloaded": _refusal(503, error("overloaded_error", "Overloaded")),
            "context": _refusal(
                400, error("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum")
            ),
            "model": _refusal(404, error("not_found_error", "model: m")),
            "key": _refusal(401, error("authentication_error", "invalid x-api-key")),
        },
    )


def _gemini() -> Wire:
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 7, "totalTokenCount": 12}

    def answer(text: str, finish: str | None) -> Mapping[str, Any]:
        candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": [{"text": text}]}}
        if finish:
            candidate["finishReason"] = finish
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m-1"}

    def error(code: int, status: str, text: str, *details: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"error": {"code": code, "message": text, "status": status, "details": list(details)}}

    retry_info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30s"}
    per_day = {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
    }
    bad_key = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    server_error = error(500, "INTERNAL", "An internal error has occurred")
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": usage}
    events = [_event(answer(text, None)).replace(b"\n", b"\r\n") for text in TEXTS]
    return Wire(
        name="gemini",
        opening=[],
        contents=events,
        closing=[_event(answer("", "STOP")).replace(b"\n", b"\r\n")],
        document=_json(answer(ANSWER, "STOP")),
        unfinished=_json(answer(ANSWER, None)),
        keep_alive=b": keep-alive\r\n\r\n",
        error_event=_event(server_error).replace(b"\n", b"\r\n"),
        error_document=_json(server_error),
        blocked=Refusal(200, _json(blocked), {"content-type": "application/json"}),
        refusals={
            "limited": _refusal(429, error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted")),
            "limited for 30 s": _refusal(
                429, error(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted", retry_info)
            ),
            "quota": _refusal(
                429, error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", per_day)
            ),
            "server error": _refusal(500, server_error),
            "overloaded": _refusal(503, error(503, "UNAVAILABLE", "The model is overloaded")),
            "context": _refusal(
                400,
                error(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum of 8"),
            ),
            "model": _refusal(404, error(404, "NOT_FOUND", "models/m is not found for API version v1beta")),
            "key": _refusal(400, error(400, "INVALID_ARGUMENT", "API key not valid", bad_key)),
        },
    )


WIRES: Mapping[str, Wire] = {wire.name: wire for wire in (_openai(), _anthropic(), _gemini())}

FORMATS = pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES.keys())
"""A test is of each format."""
