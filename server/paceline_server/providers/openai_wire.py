"""What is read of a chat-completions answer: the fields that are used, typed, and nothing else.

Unknown fields are skipped without being built. Whole answers and chunks are one type, because they
differ only in the name of the field that holds the message. The meaning is given in `openai_answer`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from paceline_server.providers.json_faults import NOT_JSON

NOTHING = msgspec.Raw()


class Function(msgspec.Struct, gc=False):
    """The function of a tool call; some servers give the arguments as an object instead of as text."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToolCallFragment(msgspec.Struct, gc=False):
    """A tool call or a piece of one, which belongs to the call of its index."""

    index: int | None = None
    id: str | int | None = None
    function: Function | None = None


class ContentItem(msgspec.Struct, gc=False):
    """One item where content is a list: text, or thinking that is itself a list of texts."""

    type: str | None = None
    text: str | None = None
    thinking: str | list[ContentItem] | None = None
    refusal: str | None = None


class ReasoningDetail(msgspec.Struct, gc=False, omit_defaults=True):
    """A thought with what its provider needs to recognise it; encrypted thoughts have `data` alone."""

    type: str = ""
    id: str | None = None
    format: str | None = None
    index: int | None = None
    text: str | None = None
    summary: str | None = None
    signature: str | None = None
    data: str | None = None


class Audio(msgspec.Struct, gc=False):
    """A spoken answer, of which only what was said is used."""

    transcript: str | None = None


class Message(msgspec.Struct, gc=False):
    """A message, whole or in part."""

    content: str | list[ContentItem] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[ReasoningDetail] | None = None
    tool_calls: list[ToolCallFragment] | None = None
    function_call: Function | None = None
    audio: Audio | None = None


class TokenLogprob(msgspec.Struct, gc=False):
    """How likely one token was; its text, which may be half a character, is read only where it counts."""

    token: msgspec.Raw = NOTHING
    logprob: float | None = None


class Logprobs(msgspec.Struct, gc=False):
    """The tokens' probabilities, in the present form and in the older one."""

    content: list[TokenLogprob] | None = None
    tokens: msgspec.Raw = NOTHING
    token_logprobs: list[float | None] | None = None


class FinishDetails(msgspec.Struct, gc=False):
    """Where the first models with vision put their finish reason."""

    type: str | None = None


class Choice(msgspec.Struct, gc=False):
    """One of the answers that were asked for."""

    index: int | None = None
    delta: Message | None = None
    message: Message | None = None
    logprobs: Logprobs | None = None
    finish_reason: str | None = None
    finish_details: FinishDetails | None = None


class PromptDetails(msgspec.Struct, gc=False):
    """Parts of the prompt's tokens."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    """Parts of the completion's tokens."""

    reasoning_tokens: int | None = None


class CostDetails(msgspec.Struct, gc=False):
    """Parts of a cost in USD."""

    upstream_inference_cost: float | None = None


class WireUsage(msgspec.Struct, gc=False):
    """Token counts; who counts cached tokens, and where, differs from vendor to vendor."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    num_cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: float | dict[str, Any] | None = None
    cost_details: CostDetails | None = None
    is_byok: bool | None = None


class GroqExtras(msgspec.Struct, gc=False):
    """Groq's own corner of a chunk."""

    usage: WireUsage | None = None


class Chunk(msgspec.Struct, gc=False):
    """A chunk of a stream, or a whole answer. `error` in any of them is a failure."""

    choices: list[Choice] | None = None
    usage: WireUsage | None = None
    model: str | None = None
    error: Any = None
    x_groq: GroqExtras | None = None


decode_chunk = msgspec.json.Decoder(Chunk, strict=False).decode
"""Gives the chunk that some bytes are, or raises one of `NOT_JSON`; numbers may be written as strings."""

_FIRST_EVENT, _LAST_EVENT_END, _BETWEEN_EVENTS = b"data: {", b"}\n\n", b"}\n\ndata: {"
_decode_chunks = msgspec.json.Decoder(list[Chunk], strict=False).decode


def decode_usual_events(data: bytes) -> tuple[list[Chunk], bytes]:
    """The chunks of the events that stand whole at the start of `data`, and what is left of it.

    They are decoded in one go, as one list. If one of them is not as usual (another form, an error, no
    choices), all are left to be read one by one.
    """
    end = data.rfind(_LAST_EVENT_END) + 1
    if not end or not data.startswith(_FIRST_EVENT):
        return [], data
    try:
        chunks = _decode_chunks(b"[%b]" % data[6:end].replace(_BETWEEN_EVENTS, b"},{"))
    except NOT_JSON:
        return [], data
    # No JSON has line ends inside its strings: where there are no others, each event was one chunk.
    if data.count(b"\n", 0, end + 2) != 2 * len(chunks) or data.find(b"\r", 0, end) >= 0:
        return [], data
    for chunk in chunks:
        if chunk.choices is None or chunk.error:
            return [], data
    return chunks, data[end + 2 :]
