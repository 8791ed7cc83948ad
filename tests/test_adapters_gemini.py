"""From settings to the Gemini adapter: each one is seen by the provider, or in what its answer becomes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf.json_format import ParseDict

from paceline.v1 import chain_pb2, completion_pb2
from tests.built import JSON_HEADERS, Built, built, sent_body
from tests.providers.replay import ReplayServer, Script, answering, replaying
from tests.rpc.gateway import ask, failure

KEY = "AIza-0123456789"
ANSWER = {
    "candidates": [
        {
            "content": {"role": "model", "parts": [{"text": "All is well."}]},
            "finishReason": "STOP",
            "avgLogprobs": 0.0,
        }
    ],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 5, "totalTokenCount": 8},
    "modelVersion": "m",
}
ANSWERS = answering(json.dumps(ANSWER).encode(), headers=JSON_HEADERS)
TOOLS = {
    "messages": [
        {"role": "ROLE_USER", "parts": [{"text": {"text": "How warm is it?"}}]},
        {
            "role": "ROLE_ASSISTANT",
            "parts": [{"toolCall": {"id": "c-1", "name": "warmth", "argumentsJson": "{}"}}],
        },
        {
            "role": "ROLE_TOOL",
            "parts": [{"toolResult": {"toolCallId": "c-1", "parts": [{"text": {"text": "20"}}]}}],
        },
    ],
    "tools": [{"name": "warmth"}],
}


@asynccontextmanager
async def configured(
    folder: Path, settings: str, script: Script = ANSWERS, *, path: str = ""
) -> AsyncIterator[tuple[Built, ReplayServer]]:
    """A gateway whose provider `acme` has these settings, and the server that it calls."""
    async with replaying(script) as server:
        url = server.url.removesuffix("/v1") + path
        text = (
            "attempts: {transient_retry_count: 0}\n"
            f"providers: {{acme: {{base_url: '{url}', {settings}}}}}\n"
        )
        keys = {"KEY": KEY, "GEMINI_API_KEY": KEY, "GOOGLE_API_KEY": KEY}
        async with built(folder, text, environ=keys) as gate:
            yield gate, server


PATHS = [
    ("format: gemini", "", "/v1beta/models/m:generateContent"),
    ("format: gemini, api_version: v1", "", "/v1/models/m:generateContent"),
    ("vendor: vertex", "/v1/publishers/google", "/v1/publishers/google/models/m:generateContent"),
]


@pytest.mark.parametrize(("settings", "base_path", "path"), PATHS)
async def test_the_version_stands_in_the_path(
    tmp_path: Path, settings: str, base_path: str, path: str
) -> None:
    """base_url, api_version: AI Studio's by default, none where the base URL has it."""
    async with configured(tmp_path, settings, path=base_path) as (gate, server):
        await gate.chain.Chain(ask("acme/m"))
        assert server.requests[0].path == path


@pytest.mark.parametrize("settings", ["format: gemini, key: {env: KEY}", "vendor: gemini", "vendor: vertex"])
async def test_the_key_is_in_googles_header(tmp_path: Path, settings: str) -> None:
    """key: both of Google's services take it in a header of their own."""
    async with configured(tmp_path, settings) as (gate, server):
        await gate.chain.Chain(ask("acme/m"))
        headers = server.requests[0].headers
        assert (headers["x-goog-api-key"], headers.get("authorization")) == (KEY, None)


async def test_a_token_takes_the_place_of_the_key(tmp_path: Path) -> None:
    """headers: Vertex AI's tokens are sent instead of a key."""
    settings = "vendor: vertex, headers: {Authorization: {env: KEY}}"
    async with configured(tmp_path, settings) as (gate, server):
        await gate.chain.Chain(ask("acme/m"))
        headers = server.requests[0].headers
        assert (headers["authorization"], headers.get("x-goog-api-key")) == (KEY, None)


@pytest.mark.parametrize(
    ("settings", "sent"),
    [("format: gemini", True), ("format: gemini, sends_call_ids: false", False), ("vendor: vertex", False)],
)
async def test_ids_of_calls_are_sent_as_configured(tmp_path: Path, settings: str, *, sent: bool) -> None:
    """sends_call_ids: Vertex AI refuses to have them back."""
    request = ParseDict({"model": "acme/m", "prompt": TOOLS}, chain_pb2.ChainRequest())
    async with configured(tmp_path, settings) as (gate, server):
        await gate.chain.Chain(request)
        assert ('"c-1"' in json.dumps(sent_body(server))) is sent


@pytest.mark.parametrize("asked", [True, False])
async def test_probabilities_are_asked_for_as_configured(tmp_path: Path, *, asked: bool) -> None:
    """asks_logprobs: the confidence is taken from what comes back."""
    settings = f"format: gemini, asks_logprobs: {str(asked).lower()}"
    async with configured(tmp_path, settings) as (gate, server):
        await gate.chain.Chain(ask("acme/m"))
        assert ("responseLogprobs" in json.dumps(sent_body(server))) is asked


async def test_the_vendors_prices_and_habits_are_known(tmp_path: Path) -> None:
    """K4, A6: AI Studio and Vertex AI have Google's prices, and go on billing."""
    for vendor in ("gemini", "vertex"):
        async with configured(tmp_path, f"vendor: {vendor}") as (gate, _):
            known = gate.gateway.providers["acme"].profile("gemini-2.5-flash")
            assert known.bills_after_cancel
            assert known.media is not None
            answer = await gate.chain.Chain(ask("acme/gemini-2.5-flash"))
            assert answer.total_usage.cost_nano_usd > 0


async def test_rules_and_bounds_are_those_of_every_provider(tmp_path: Path) -> None:
    """classify, max_answer_size: what holds for one format holds for all."""
    refusal = json.dumps({"error": {"code": 418, "message": "No.", "status": "ODD"}}).encode()
    script = answering(refusal, status=418, headers=JSON_HEADERS)
    rule = "classify: [{code: odd, class: UNSUPPORTED}]"
    async with configured(tmp_path, f"format: gemini, {rule}", script) as (gate, _):
        told = await failure(gate.chain.Chain(ask("acme/m")))
        assert told.call_failure.attempts[0].failure_class == completion_pb2.FAILURE_CLASS_UNSUPPORTED
    async with configured(tmp_path, "format: gemini, max_answer_size: 64B") as (gate, _):
        told = await failure(gate.chain.Chain(ask("acme/m")))
        assert told.call_failure.attempts[0].failure_class == completion_pb2.FAILURE_CLASS_MALFORMED_RESPONSE
