"""What the tests of the OpenAI adapter share: a prompt, a provider on a replay server, a drained stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from paceline_server.completion.answer import Ending
from paceline_server.completion.content import Message, Part, Role, Text
from paceline_server.completion.deltas import Delta, fold
from paceline_server.completion.prompt import Prompt
from paceline_server.providers.base import Answer, AnswerStream, ProviderRequest
from paceline_server.providers.http_transport import AiohttpTransport
from paceline_server.providers.openai import OpenAIProvider
from paceline_server.providers.profile import Profile
from tests.providers.replay import ReplayServer, Script, replaying

KEY = "sk-test-0123456789abcdef"
PROMPT = Prompt((Message(Role.USER, (Part(Text("Hello")),)),))


def a_request(prompt: Prompt = PROMPT) -> ProviderRequest:
    """A request of its own call."""
    return ProviderRequest("gpt-test", prompt)


def provider_at(url: str, **options: Any) -> OpenAIProvider:
    """A provider that is called `acme`."""
    transport = AiohttpTransport()
    return OpenAIProvider("acme", url, KEY, transport=transport, profile_of=lambda _: Profile(), **options)


@asynccontextmanager
async def connected(script: Script, **options: Any) -> AsyncIterator[tuple[OpenAIProvider, ReplayServer]]:
    """A provider and the server that it calls."""
    async with replaying(script) as server:
        provider = provider_at(server.url, **options)
        try:
            yield provider, server
        finally:
            await provider.aclose()


async def drained(stream: AnswerStream) -> tuple[list[Delta], Ending]:
    """All deltas of a stream, and its ending."""
    deltas: list[Delta] = []
    try:
        while (more := await stream.read()) is not None:
            deltas.extend(more)
        return deltas, stream.ending
    finally:
        await stream.aclose()


async def streamed(provider: OpenAIProvider) -> Answer:
    """A streamed answer, folded."""
    deltas, ending = await drained(await provider.open(a_request()))
    return Answer(fold(deltas), ending)
