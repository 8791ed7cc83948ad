"""What is read of a generateContent answer: the fields that are used, typed, and nothing else.

Unknown fields are skipped without being built. Whole answers and chunks are one type. The meaning is
given in `gemini_answer`.
"""

from __future__ import annotations

from typing import Any

import msgspec

NOTHING = msgspec.Raw()


class FunctionCall(msgspec.Struct, gc=False):
    """A tool call, always whole; `args` is an object that is passed on as text."""

    name: str | None = None
    id: str | int | None = None
    args: msgspec.Raw = NOTHING


class Blob(msgspec.Struct, gc=False, rename="camel"):
    """Media as base64."""

    mime_type: str | None = None
    data: str | None = None


class FileData(msgspec.Struct, gc=False, rename="camel"):
    """Media by reference."""

    mime_type: str | None = None
    file_uri: str | None = None


class WirePart(msgspec.Struct, gc=False, rename="camel"):
    """One part. Those of the provider's own tools are kept as they are, for nobody else to read."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    executable_code: msgspec.Raw = NOTHING
    code_execution_result: msgspec.Raw = NOTHING
    tool_call: msgspec.Raw = NOTHING
    tool_response: msgspec.Raw = NOTHING


class Content(msgspec.Struct, gc=False):
    """The parts of a message, of which every chunk brings its own."""

    parts: list[WirePart] | None = None


class ChosenToken(msgspec.Struct, gc=False, rename="camel"):
    """How likely one token was; its text, which may be half a character, is read only where it counts."""

    token: msgspec.Raw = NOTHING
    log_probability: float | None = None


class LogprobsResult(msgspec.Struct, gc=False, rename="camel"):
    """The tokens' probabilities."""

    chosen_candidates: list[ChosenToken] | None = None


class Candidate(msgspec.Struct, gc=False, rename="camel"):
    """One of the answers that were asked for; enumerations are numbers where a server was asked for these."""

    index: int | None = None
    content: Content | None = None
    finish_reason: str | int | None = None
    finish_message: str | None = None
    avg_logprobs: float | None = None
    logprobs_result: LogprobsResult | None = None


class PromptFeedback(msgspec.Struct, gc=False, rename="camel"):
    """Why a prompt was not answered."""

    block_reason: str | int | None = None


class WireUsage(msgspec.Struct, gc=False, rename="camel"):
    """Token counts up to this chunk; what the thoughts and the provider's tools used stands apart."""

    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None


class Chunk(msgspec.Struct, gc=False, rename="camel"):
    """A chunk of a stream, or a whole answer. `error` in any of them is a failure."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: WireUsage | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None


decode_chunk = msgspec.json.Decoder(Chunk, strict=False).decode
"""Gives the chunk that some bytes are, or raises one of `NOT_JSON`; numbers may be written as strings."""

decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
"""Gives the members of an array, or raises one of `NOT_JSON`."""
