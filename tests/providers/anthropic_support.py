"""What the tests of the Anthropic adapter share: a provider on a replay server, and events to answer with."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from paceline_server.completion.content import Kind, Message, Part, Role, Text
from paceline_server.completion.deltas import fold
from paceline_server.completion.prompt import Prompt
from paceline_server.providers.anthropic import AnthropicProvider
from paceline_server.providers.anthropic_answer import AnthropicReader
from paceline_server.providers.anthropic_failures import ANTHROPIC_FAILURES
from paceline_server.providers.base import Answer, ProviderRequest
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.http_transport import AiohttpTransport
from paceline_server.providers.profile import Profile
from tests.providers.openai_support import drained
from tests.providers.replay import ReplayServer, Script, replaying

KEY = "sk-ant-test-0123456789abcdef"


def message(role: Role, *kinds: Kind) -> Message:
    """A message of parts without signatures."""
    return Message(role, tuple(Part(kind) for kind in kinds))


HELLO = message(Role.USER, Text("Hello"))
PROMPT = Prompt((HELLO,))


def a_request(prompt: Prompt = PROMPT, model: str = "claude-sonnet-4-5") -> ProviderRequest:
    """A request of its own call."""
    return ProviderRequest(model, prompt)


def provider_at(url: str, **options: Any) -> AnthropicProvider:
    """A provider that is called `acme`."""
    transport = AiohttpTransport()
    return AnthropicProvider("acme", url, KEY, transport=transport, profile_of=lambda _: Profile(), **options)


@asynccontextmanager
async def connected(script: Script, **options: Any) -> AsyncIterator[tuple[AnthropicProvider, ReplayServer]]:
    """A provider and the server that it calls."""
    async with replaying(script) as server:
        provider = provider_at(server.url.removesuffix("/v1"), **options)
        try:
            yield provider, server
        finally:
            await provider.aclose()


async def streamed(provider: AnthropicProvider) -> Answer:
    """A streamed answer, folded."""
    deltas, ending = await drained(await provider.open(a_request()))
    return Answer(fold(deltas), ending)


def event(kind: str, **members: Any) -> bytes:
    """One event as it goes over the wire."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def block_start(index: int, **block: Any) -> bytes:
    """The event that starts a block."""
    return event("content_block_start", index=index, content_block=block)


def block_delta(index: int, **delta: Any) -> bytes:
    """The event with more of a block."""
    return event("content_block_delta", index=index, delta=delta)


def text_delta(index: int, text: str) -> bytes:
    """The event with more of a text."""
    return block_delta(index, type="text_delta", text=text)


def block_stop(index: int) -> bytes:
    """The event that ends a block."""
    return event("content_block_stop", index=index)


START = event("message_start", message={"model": "claude-test", "content": [], "usage": {"input_tokens": 3}})


def ending(reason: str | None = "end_turn", usage: Mapping[str, Any] | None = None) -> bytes:
    """The events that end a message."""
    told = event("message_delta", delta={"stop_reason": reason}, usage=usage or {"output_tokens": 1})
    return told + event("message_stop")


def document(*content: Mapping[str, Any], reason: str | None = "end_turn", **members: Any) -> bytes:
    """A whole answer."""
    usage = {"input_tokens": 3, "output_tokens": 1}
    whole = {"type": "message", "model": "claude-test", "content": content, "stop_reason": reason}
    return json.dumps({**whole, "usage": usage, **members}).encode()


def a_reader(provider: str = "acme") -> AnthropicReader:
    """A reader without a connection."""
    return AnthropicReader(provider, FailureClassifier(ANTHROPIC_FAILURES))
