"""What the tests of the Gemini adapter share: a provider on a replay server, and chunks to answer with."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from paceline_server.completion.content import Kind, Message, Part, ProviderSignature, Role, Text
from paceline_server.completion.deltas import Delta, fold
from paceline_server.completion.prompt import Prompt
from paceline_server.providers.base import Answer, ProviderRequest
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.gemini import GeminiProvider
from paceline_server.providers.gemini_answer import GeminiReader
from paceline_server.providers.gemini_failures import GEMINI_FAILURES
from paceline_server.providers.http_transport import AiohttpTransport
from paceline_server.providers.profile import Profile
from paceline_server.providers.sse import SseDecoder
from tests.providers.openai_support import drained
from tests.providers.replay import ReplayServer, Script, replaying

KEY = "AIzaTest0123456789abcdef"
MODEL = "gemini-2.5-flash"


def message(role: Role, *kinds: Kind) -> Message:
    """A message of parts without signatures."""
    return Message(role, tuple(Part(kind) for kind in kinds))


HELLO = message(Role.USER, Text("Hello"))
PROMPT = Prompt((HELLO,))


def signed(kind: Kind, value: bytes = b"c2ln", provider: str = "acme") -> Part:
    """A part with a signature."""
    return Part(kind, ProviderSignature(provider, value))


def a_request(prompt: Prompt = PROMPT, model: str = MODEL) -> ProviderRequest:
    """A request of its own call."""
    return ProviderRequest(model, prompt)


def provider_at(url: str, **options: Any) -> GeminiProvider:
    """A provider that is called `acme`."""
    transport = AiohttpTransport()
    return GeminiProvider("acme", url, KEY, transport=transport, profile_of=lambda _: Profile(), **options)


@asynccontextmanager
async def connected(
    script: Script, base: str = "", **options: Any
) -> AsyncIterator[tuple[GeminiProvider, ReplayServer]]:
    """A provider and the server that it calls; `base` is the path of its base URL."""
    async with replaying(script) as server:
        provider = provider_at(server.url.removesuffix("/v1") + base, **options)
        try:
            yield provider, server
        finally:
            await provider.aclose()


async def streamed(provider: GeminiProvider, model: str = MODEL) -> Answer:
    """A streamed answer, folded."""
    deltas, ending = await drained(await provider.open(a_request(model=model)))
    return Answer(fold(deltas), ending)


def chunk(*parts: Mapping[str, Any], reason: str | int | None = None, **members: Any) -> dict[str, Any]:
    """A chunk of a stream, or a whole answer."""
    candidate: dict[str, Any] = {"index": 0}
    if parts:
        candidate["content"] = {"role": "model", "parts": list(parts)}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "modelVersion": "gemini-test", **members}


def event(document: object) -> bytes:
    """An event as it goes over the wire."""
    return b"data: " + json.dumps(document).encode() + b"\r\n\r\n"


def sse(*chunks: object) -> bytes:
    """A stream of chunks."""
    return b"".join(event(each) for each in chunks)


FINISHED = chunk(reason="STOP")


def a_reader(provider: str = "acme") -> GeminiReader:
    """A reader without a connection."""
    return GeminiReader(provider, FailureClassifier(GEMINI_FAILURES))


def read_events(*pieces: bytes, provider: str = "acme") -> Answer:
    """What a stream says, cut into `pieces`, without a connection.

    Raises:
        AttemptFailure: It fails.
    """
    reader = a_reader(provider)
    decoder = SseDecoder()
    deltas: list[Delta] = []
    for events in (*map(decoder.feed, pieces), decoder.end()):
        for data, name in events:
            reader.read_event(data, name)
        deltas += reader.take()
    reader.finish()
    return Answer(fold([*deltas, *reader.take()]), reader.ending())


def read_whole(document: object, provider: str = "acme") -> Answer:
    """What a whole answer says, without a connection.

    Raises:
        AttemptFailure: It fails.
    """
    reader = a_reader(provider)
    reader.read_document(document if isinstance(document, bytes) else json.dumps(document).encode())
    reader.finish()
    return Answer(fold(reader.take()), reader.ending())


def kinds_of(parts: Sequence[Part]) -> list[Kind]:
    """What the parts are, without their signatures."""
    return [part.kind for part in parts]
