"""From settings to the Anthropic adapter: each one is seen by the provider, or in what its answer becomes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from paceline.v1 import completion_pb2
from tests.built import JSON_HEADERS, Built, built, sent_body
from tests.providers.replay import ReplayServer, Script, answering, replaying
from tests.rpc.gateway import ask, failure

SECRET = "sk-ant-0123456789"
ANSWER = {
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "All is well."}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 5},
}
ANSWERS = answering(json.dumps(ANSWER).encode(), headers=JSON_HEADERS)


@asynccontextmanager
async def configured(
    folder: Path, settings: str, script: Script = ANSWERS
) -> AsyncIterator[tuple[Built, ReplayServer]]:
    """A gateway whose provider `acme` has these settings, and the server that it calls."""
    async with replaying(script) as server:
        url = server.url.removesuffix("/v1")
        text = (
            "attempts: {transient_retry_count: 0}\n"
            f"providers: {{acme: {{format: anthropic, base_url: '{url}', {settings}}}}}\n"
        )
        async with built(folder, text, environ={"KEY": SECRET, "ANTHROPIC_API_KEY": SECRET}) as gate:
            yield gate, server


async def body_with(folder: Path, settings: str, model: str = "m") -> Mapping[str, Any]:
    """What the provider is sent for a request that asks for some effort."""
    request = ask(f"acme/{model}")
    request.prompt.config.reasoning_effort = completion_pb2.REASONING_EFFORT_LOW
    async with configured(folder, settings) as (gate, server):
        await gate.chain.Chain(request)
        return sent_body(server)


async def headers_with(folder: Path, settings: str) -> Mapping[str, str]:
    """The headers that the provider is sent."""
    async with configured(folder, settings) as (gate, server):
        await gate.chain.Chain(ask("acme/m"))
        (request,) = server.requests
        assert request.path == "/v1/messages"
        return request.headers


async def test_version_and_features_in_trial_are_headers(tmp_path: Path) -> None:
    """version, beta: Anthropic's own version by default, and no features in trial."""
    default = await headers_with(tmp_path, "")
    assert (default["anthropic-version"], default.get("anthropic-beta")) == ("2023-06-01", None)
    given = await headers_with(tmp_path, "version: '2026-01-01', beta: [one-1, two-2]")
    assert (given["anthropic-version"], given["anthropic-beta"]) == ("2026-01-01", "one-1,two-2")


@pytest.mark.parametrize(
    ("written", "header", "value"),
    [("", "x-api-key", SECRET), (", key_header: Authorization", "authorization", f"Bearer {SECRET}")],
)
async def test_the_key_is_in_its_header(tmp_path: Path, written: str, header: str, value: str) -> None:
    """key, key_header: bare in Anthropic's own, a bearer token in `authorization`."""
    headers = await headers_with(tmp_path, f"key: {{env: KEY}}{written}")
    assert headers[header] == value
    assert {"x-api-key", "authorization"} & headers.keys() == {header}


LENGTHS = [
    ("", "claude-sonnet-4-5", 8192),
    ("default_max_output_token_count: 99", "claude-sonnet-4-5", 99),
    ("targets: {m: {max_output_token_count: 77}}", "m", 77),
    ("vendor: anthropic", "claude-sonnet-4-5", 64_000),
    (
        "vendor: anthropic, targets: {claude-sonnet-4-5: {max_output_token_count: 77}}",
        "claude-sonnet-4-5",
        77,
    ),
]


@pytest.mark.parametrize(("settings", "model", "expected"), LENGTHS)
async def test_an_answer_without_a_bound_gets_one(
    tmp_path: Path, settings: str, model: str, expected: int
) -> None:
    """default_max_output_token_count: the model's longest answer where it is known, else the default."""
    assert (await body_with(tmp_path, settings, model))["max_tokens"] == expected


@pytest.mark.parametrize(
    ("control", "members"),
    [
        ("none", set()),
        ("budget", {"thinking"}),
        ("effort", {"thinking", "output_config"}),
        ("always", {"output_config"}),
    ],
)
async def test_thinking_is_told_as_configured(tmp_path: Path, control: str, members: set[str]) -> None:
    """thinking_control: servers of other models say how theirs are told."""
    body = await body_with(tmp_path, f"thinking_control: {control}")
    assert body.keys() & {"thinking", "output_config"} == members


async def test_the_vendors_prices_and_habits_are_known(tmp_path: Path) -> None:
    """K4, A6: who names the vendor has its prices; a server without one has no known price."""
    async with configured(tmp_path, "vendor: anthropic") as (gate, _):
        provider = gate.gateway.providers["acme"]
        known = provider.profile("claude-sonnet-4-5")
        assert (known.accepts_prefill, known.context_token_count) == (True, 200_000)
        answer = await gate.chain.Chain(ask("acme/claude-sonnet-4-5"))
        assert answer.total_usage.cost_nano_usd > 0
    async with configured(tmp_path, "") as (gate, _):
        answer = await gate.chain.Chain(ask("acme/claude-sonnet-4-5"))
        assert not answer.total_usage.HasField("cost_nano_usd")


async def test_rules_and_bounds_are_those_of_every_provider(tmp_path: Path) -> None:
    """classify, max_answer_size: what holds for one format holds for all."""
    refusal = json.dumps({"type": "error", "error": {"type": "odd_error", "message": "No."}}).encode()
    script = answering(refusal, status=418, headers=JSON_HEADERS)
    async with configured(tmp_path, "classify: [{code: odd_error, class: UNSUPPORTED}]", script) as (gate, _):
        told = await failure(gate.chain.Chain(ask("acme/m")))
        assert told.call_failure.attempts[0].failure_class == completion_pb2.FAILURE_CLASS_UNSUPPORTED
    async with configured(tmp_path, "max_answer_size: 64B") as (gate, _):
        told = await failure(gate.chain.Chain(ask("acme/m")))
        assert told.call_failure.attempts[0].failure_class == completion_pb2.FAILURE_CLASS_MALFORMED_RESPONSE
