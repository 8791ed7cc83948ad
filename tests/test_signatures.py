"""Through a whole gateway: what a provider has signed goes back to it, and to nobody else.

What is searched is all that reaches each provider's socket, for the signatures as they are, encoded once
more, and decoded.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from paceline.v1 import chain_pb2, completion_pb2
from tests.built import JSON_HEADERS, Built, built
from tests.faults.wires import WIRES
from tests.providers.replay import Exchange, ReplayServer, SeenRequest, replaying
from tests.rpc.gateway import ask, texts

FORMATS = tuple(WIRES)
MODELS = {"openai": "m", "anthropic": "claude-opus-5-5", "gemini": "gemini-3-pro-preview"}
CALL = {"city": "Paris"}


def _secret(name: str) -> str:
    """A signature as providers write them: base64 of bytes that mean something to them alone."""
    return b64encode(
        f"\xff\xfe\xfb{name} has signed this, and nobody else may see it".encode("latin-1")
    ).decode()


@dataclass(frozen=True)
class Signed:
    """An answer with signatures."""

    document: Mapping[str, Any]
    secrets: tuple[str, ...]


def _openai() -> Signed:
    text, encrypted = _secret("openai text"), _secret("openai encrypted")
    details = [
        {
            "type": "reasoning.text",
            "text": "Hm.",
            "signature": text,
            "format": "anthropic-claude-v1",
            "index": 0,
        },
        {"type": "reasoning.encrypted", "data": encrypted, "id": "rs_1", "index": 1},
    ]
    function = {"name": "weather", "arguments": json.dumps(CALL)}
    message = {
        "role": "assistant",
        "content": "Let me look.",
        "reasoning_details": details,
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return Signed({"model": "m", "choices": [choice]}, (text, encrypted))


def _anthropic() -> Signed:
    thought, redacted = _secret("anthropic thought"), _secret("anthropic redacted")
    content = [
        {"type": "thinking", "thinking": "Hm.", "signature": thought},
        {"type": "redacted_thinking", "data": redacted},
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": CALL},
    ]
    usage = {"input_tokens": 5, "output_tokens": 7}
    document = {
        "type": "message",
        "model": "m",
        "content": content,
        "stop_reason": "tool_use",
        "usage": usage,
    }
    return Signed(document, (thought, redacted))


def _gemini() -> Signed:
    thought, text, call = (_secret(f"gemini {part}") for part in ("thought", "text", "call"))
    parts = [
        {"text": "Hm.", "thought": True, "thoughtSignature": thought},
        {"text": "Let me look.", "thoughtSignature": text},
        {"functionCall": {"name": "weather", "args": CALL}, "thoughtSignature": call},
    ]
    candidate = {"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
    return Signed({"candidates": [candidate], "modelVersion": "m"}, (thought, text, call))


SIGNED = {"openai": _openai(), "anthropic": _anthropic(), "gemini": _gemini()}


@dataclass
class Place:
    """One provider: what it says next, in its format, and what has reached it."""

    wire: str
    next_answers: list[tuple[int, bytes]] = field(default_factory=list)
    server: ReplayServer = field(init=False)

    async def __call__(self, exchange: Exchange) -> None:
        """Say what is next, or else a plain answer."""
        status, body = self.next_answers.pop(0) if self.next_answers else (200, WIRES[self.wire].document)
        await exchange.head(status, JSON_HEADERS)
        await exchange.chunks(body)
        await exchange.end()

    def refuse(self) -> None:
        """Fail the next request, in a way that another target is asked."""
        refusal = WIRES[self.wire].refusals["overloaded"]
        self.next_answers.append((refusal.status, refusal.body))


@asynccontextmanager
async def _world(source: str, folder: Path) -> AsyncIterator[tuple[Built, Mapping[str, Place]]]:
    """A gateway with `home`, which signs, and a provider of each format under another name."""
    places = {"home": Place(source), **{wire: Place(wire) for wire in FORMATS}}
    lines = ["log: {level: error}", "attempts: {transient_retry_count: 0}", "providers:"]
    async with AsyncExitStack() as stack:
        for name, place in places.items():
            place.server = await stack.enter_async_context(replaying(place))
            base_url = WIRES[place.wire].base_url(place.server)
            lines.append(f"  {name}: {{format: {place.wire}, base_url: '{base_url}'}}")
        gate = await stack.enter_async_context(built(folder, "\n".join(lines) + "\n"))
        yield gate, places


def _spec(places: Mapping[str, Place], *names: str) -> str:
    return ",".join(f"{name}/{MODELS[places[name].wire]}" for name in names)


async def _follow_up(gate: Built, places: Mapping[str, Place], source: str) -> completion_pb2.Prompt:
    """What a caller asks next: everything so far as it came, the tool's result, and a question."""
    home = places["home"]
    home.next_answers.append((200, json.dumps(SIGNED[source].document).encode()))
    first = ask(_spec(places, "home"))
    answer = (await gate.chain.Chain(first)).completion.parts
    call = next(part.tool_call for part in answer if part.HasField("tool_call"))
    kept = [part.signature for part in answer if part.HasField("signature")]
    assert {signature.provider for signature in kept} == {"home"}
    said = completion_pb2.Part(text=completion_pb2.Text(text="It rains."))
    result = completion_pb2.ToolResult(tool_call_id=call.id, parts=[said])
    messages = [
        *first.prompt.messages,
        completion_pb2.Message(role=completion_pb2.ROLE_ASSISTANT, parts=answer),
        completion_pb2.Message(
            role=completion_pb2.ROLE_TOOL, parts=[completion_pb2.Part(tool_result=result)]
        ),
    ]
    home.server.requests.clear()
    return completion_pb2.Prompt(messages=messages)


def _forms(secret: str) -> Sequence[bytes]:
    """A signature as it is, as its bytes, and in base64 at each alignment."""
    plain = secret.encode()
    shifted = [b64encode(b"x" * shift + plain)[4:-4] for shift in range(3)]
    url_safe = [urlsafe_b64encode(b"x" * shift + plain)[4:-4] for shift in range(3)]
    return [plain, plain.rstrip(b"="), b64decode(secret), *shifted, *url_safe]


def _all_of(request: SeenRequest) -> bytes:
    return json.dumps([request.path, dict(request.headers)]).encode() + request.body


def _check_home(place: Place, source: str) -> None:
    (request,) = place.server.requests
    for secret in SIGNED[source].secrets:
        assert request.body.count(secret.encode()) == 1


def _check_foreign(place: Place, source: str) -> None:
    (request,) = place.server.requests
    assert b"It rains." in request.body
    leaked = [
        secret for secret in SIGNED[source].secrets for form in _forms(secret) if form in _all_of(request)
    ]
    assert not leaked


@pytest.mark.parametrize("source", FORMATS)
async def test_a_signature_goes_home(source: str, tmp_path: Path) -> None:
    """A8: the provider that signed gets each signature back, once and byte by byte."""
    async with _world(source, tmp_path) as (gate, places):
        prompt = await _follow_up(gate, places, source)
        await gate.chain.Chain(ask(_spec(places, "home"), prompt=prompt))
        _check_home(places["home"], source)


@pytest.mark.parametrize("other", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
async def test_a_signature_reaches_no_other_provider(source: str, other: str, tmp_path: Path) -> None:
    """A8: another provider is sent the words and the calls without them, even one of the same format."""
    async with _world(source, tmp_path) as (gate, places):
        prompt = await _follow_up(gate, places, source)
        response = await gate.chain.Chain(ask(_spec(places, other), prompt=prompt))
        assert texts(response.completion.parts)
        _check_foreign(places[other], source)
        (request,) = places[other].server.requests
        assert b"Let me look." in request.body
        assert b"weather" in request.body


@pytest.mark.parametrize("other", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("home_is_first", [True, False], ids=["home-fails", "other-fails"])
async def test_a_chain_gives_each_target_its_own(
    source: str, other: str, tmp_path: Path, *, home_is_first: bool
) -> None:
    """A8, C5: on failover the prompt is fitted anew, so signatures neither follow it nor get lost."""
    order = ("home", other) if home_is_first else (other, "home")
    async with _world(source, tmp_path) as (gate, places):
        prompt = await _follow_up(gate, places, source)
        places[order[0]].refuse()
        request = chain_pb2.ChainRequest(model=_spec(places, *order), prompt=prompt)
        response = await gate.chain.Chain(request)
        assert len(response.attempts) == 2
        _check_home(places["home"], source)
        _check_foreign(places[other], source)
