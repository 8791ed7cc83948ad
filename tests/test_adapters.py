"""From settings to the OpenAI adapter: each one is seen by the provider, or in what its answer becomes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from paceline.v1 import chain_pb2, completion_pb2
from paceline_server.providers.profile import Profile
from tests.built import JSON_HEADERS, Built, answers, built, document, sent_body, silent
from tests.providers.replay import Exchange, ReplayServer, Script, answering, replaying
from tests.rpc.gateway import ask, failure, read_stream

SECRET = "sk-secret-0123456789"
PROMPT = {
    "messages": [
        {"role": "ROLE_SYSTEM", "parts": [{"text": {"text": "Be brief."}}]},
        {"role": "ROLE_USER", "parts": [{"text": {"text": "Hello"}}]},
        {
            "role": "ROLE_ASSISTANT",
            "parts": [{"reasoning": {"text": "They greet."}}, {"text": {"text": "Hi"}}],
        },
        {"role": "ROLE_USER", "parts": [{"text": {"text": "Go on."}}]},
    ],
    "config": {"maxOutputTokenCount": 50, "seed": 7, "topK": 5, "cachePrompt": True},
}


@asynccontextmanager
async def configured(
    folder: Path, settings: str, script: Script = answers, *, clocks: str = "", **environ: str
) -> AsyncIterator[tuple[Built, ReplayServer]]:
    """A gateway whose provider `acme` has these settings, and the server that it calls."""
    async with replaying(script) as server:
        text = (
            f"attempts: {{transient_retry_count: 0{clocks}}}\n"
            f"providers: {{acme: {{format: openai, base_url: '{server.url}', {settings}}}}}\n"
        )
        async with built(folder, text, environ=environ) as gate:
            yield gate, server


def whole_request() -> chain_pb2.ChainRequest:
    """A request that asks for everything that vendors write differently."""
    return ParseDict({"model": "acme/m", "prompt": PROMPT}, chain_pb2.ChainRequest())


async def body_with(folder: Path, settings: str) -> Mapping[str, Any]:
    """What the provider is sent for the whole request."""
    async with configured(folder, settings) as (gate, server):
        await gate.chain.Chain(whole_request())
        return sent_body(server)


DIALECT: list[tuple[str, dict[str, Any]]] = [
    ("", {"max_completion_tokens": 50, "max_tokens": None}),
    ("max_output_field: max_tokens", {"max_completion_tokens": None, "max_tokens": 50}),
    ("", {"seed": 7, "random_seed": None}),
    ("seed_field: random_seed", {"seed": None, "random_seed": 7}),
    ("", {"top_k": None}),
    ("accepts_top_k: true", {"top_k": 5}),
    ("", {"logprobs": None}),
    ("asks_logprobs: true", {"logprobs": True}),
    ("prompt_cache: nothing", {"prompt_cache_key": None}),
    ("prompt_cache: marks", {"prompt_cache_key": None}),
]


@pytest.mark.parametrize(("settings", "fields"), DIALECT)
async def test_a_field_is_written_in_the_vendors_dialect(
    tmp_path: Path, settings: str, fields: dict[str, Any]
) -> None:
    """The dialect: the request's fields have the names that the file gives them."""
    body = await body_with(tmp_path, settings)
    assert {name: body.get(name) for name in fields} == fields


async def test_the_cache_is_hinted_at_as_configured(tmp_path: Path) -> None:
    """prompt_cache: a key by default, marks in the content, or nothing at all."""
    assert (await body_with(tmp_path, ""))["prompt_cache_key"]
    marks = [
        "cache_control" in json.dumps((await body_with(tmp_path, f"prompt_cache: {hint}"))["messages"])
        for hint in ("key", "marks", "nothing")
    ]
    assert marks == [False, True, False]


@pytest.mark.parametrize(
    ("settings", "role"), [("system_role: developer", "developer"), ("system_role: system", "system")]
)
async def test_the_role_of_the_system_is_as_configured(tmp_path: Path, settings: str, role: str) -> None:
    """system_role: some models know `developer` only."""
    assert (await body_with(tmp_path, settings))["messages"][0]["role"] == role


async def test_thoughts_go_back_in_the_content_as_configured(tmp_path: Path) -> None:
    """reasoning_field: some vendors have thoughts and answer in one list."""
    content = (await body_with(tmp_path, "reasoning_field: content"))["messages"][2]["content"]
    assert [item["type"] for item in content] == ["thinking", "text"]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", None])
async def test_thoughts_go_back_as_configured(tmp_path: Path, field: str | None) -> None:
    """reasoning_field: thoughts go back in the vendor's field, and in none where it wants none back."""
    body = await body_with(tmp_path, f"reasoning_field: {field}" if field else "")
    answer = body["messages"][2]
    thoughts = {name: answer.get(name) for name in ("reasoning_content", "reasoning")}
    assert thoughts == {
        name: "They greet." if name == field else None for name in ("reasoning_content", "reasoning")
    }


@pytest.mark.parametrize("asked", [True, False])
async def test_the_usage_of_streams_is_asked_for_as_configured(tmp_path: Path, *, asked: bool) -> None:
    """asks_stream_usage: some servers refuse the question."""
    async with configured(tmp_path, f"asks_stream_usage: {str(asked).lower()}") as (gate, server):
        async for _ in gate.chain.StreamChain(whole_request()):
            pass
        body = sent_body(server)
    assert body["stream"] is True
    assert ("stream_options" in body) is asked


async def test_the_confidence_comes_from_the_probabilities_that_were_asked_for(tmp_path: Path) -> None:
    """asks_logprobs: what comes back is the confidence of the answer."""
    script = answering(
        document(logprobs={"content": [{"token": "All", "logprob": 0.0}]}), headers=JSON_HEADERS
    )
    async with configured(tmp_path, "asks_logprobs: true", script) as (gate, _):
        response = await gate.chain.Chain(whole_request())
        assert response.completion.confidence.value == 1.0


async def test_headers_and_key_are_sent(tmp_path: Path) -> None:
    """headers, key: both go with each request, from the environment and from the file alike."""
    settings = "key: {env: KEY}, headers: {X-Team: blue, X-Token: {env: TOKEN}}"
    async with configured(tmp_path, settings, KEY=SECRET, TOKEN="t-1") as (gate, server):
        await gate.chain.Chain(ask("acme/m"))
        headers = server.requests[0].headers
        assert headers["authorization"] == f"Bearer {SECRET}"
        assert (headers["x-team"], headers["x-token"]) == ("blue", "t-1")
        assert SECRET not in repr(gate.gateway.providers["acme"])


async def test_without_a_key_none_is_sent(tmp_path: Path) -> None:
    """key: servers without keys are called without one."""
    async with configured(tmp_path, "") as (gate, server):
        await gate.chain.Chain(ask("acme/m"))
        assert "authorization" not in server.requests[0].headers


async def test_the_url_is_the_configured_one(tmp_path: Path) -> None:
    """base_url: what precedes the format's own path."""
    async with configured(tmp_path, "") as (gate, server):
        await gate.chain.Chain(ask("acme/m"))
        assert server.requests[0].path == "/v1/chat/completions"


def refusing(status: int, code: str, message: str) -> Script:
    """A provider that refuses everything in these words."""
    error = {"error": {"message": message, "code": code}}
    return answering(json.dumps(error).encode(), status=status, headers=JSON_HEADERS)


RULES = [
    ("{status: 418, class: UNSUPPORTED}", "UNSUPPORTED"),
    ("{status: 419, class: UNSUPPORTED}", "TRANSIENT"),
    ("{code: Odd_Code, class: CONTEXT_TOO_LONG}", "CONTEXT_TOO_LONG"),
    ("{code: other_code, class: CONTEXT_TOO_LONG}", "TRANSIENT"),
    ("{pattern: 'kettle|jug', class: QUOTA}", "QUOTA"),
    ("{pattern: 'teacup', class: QUOTA}", "TRANSIENT"),
    ("{status: 418, pattern: 'teacup', class: QUOTA}", "TRANSIENT"),
    ("{status: 418, class: QUOTA}, {code: odd_code, class: UNSUPPORTED}", "QUOTA"),
]


@pytest.mark.parametrize(("rules", "failure_class"), RULES)
async def test_an_error_has_the_class_that_the_rules_give_it(
    tmp_path: Path, rules: str, failure_class: str
) -> None:
    """classify: status, code and pattern must all match, the first rule wins, and else the built-in."""
    script = refusing(418, "odd_code", "I am a Kettle")
    async with configured(tmp_path, f"classify: [{rules}]", script) as (gate, _):
        told = await failure(gate.chain.Chain(ask("acme/m")))
        found = told.call_failure.attempts[0].failure_class
        assert completion_pb2.FailureClass.Name(found) == f"FAILURE_CLASS_{failure_class}"


async def test_the_largest_answer_is_as_configured(tmp_path: Path) -> None:
    """max_answer_size: a larger answer is MALFORMED_RESPONSE, a smaller one is taken."""
    script = answering(document("x" * 3000), headers=JSON_HEADERS)
    async with configured(tmp_path, "max_answer_size: 2KiB", script) as (gate, _):
        told = await failure(gate.chain.Chain(ask("acme/m")))
        (attempt,) = told.call_failure.attempts
        assert attempt.failure_class == completion_pb2.FAILURE_CLASS_MALFORMED_RESPONSE
    async with configured(tmp_path, "max_answer_size: 4KiB", script) as (gate, _):
        await gate.chain.Chain(ask("acme/m"))


FACTS = (
    "targets: {m: {price: {input_usd_per_million: 1, output_usd_per_million: 2,"
    " cached_input_usd_per_million: 0.5, cache_write_usd_per_million: 4},"
    " reasons_unseen: true, accepts_prefill: true, bills_after_cancel: true, quality: 0.9}}"
)


async def test_the_bill_is_at_the_configured_price(tmp_path: Path) -> None:
    """targets, price: three input tokens at 1 USD and five output tokens at 2 USD a million, in 1e-9 USD."""
    async with configured(tmp_path, FACTS) as (gate, _):
        response = await gate.chain.Chain(ask("acme/m"))
        assert response.total_usage.cost_nano_usd == 3 * 1000 + 5 * 2000
        other = await gate.chain.Chain(ask("acme/other"))
        assert not other.total_usage.HasField("cost_nano_usd")


async def test_the_facts_of_a_target_reach_the_engines(tmp_path: Path) -> None:
    """targets: what is known of a model is its profile; of others nothing is known but the quota."""
    async with configured(tmp_path, FACTS + ", quota_identity: team") as (gate, _):
        provider = gate.gateway.providers["acme"]
        found = provider.profile("m")
        assert found.price is not None
        assert found.price.cached_input_nano_usd == 500_000_000
        assert found.price.cache_write_nano_usd == 4_000_000_000
        assert found == Profile(
            price=found.price,
            reasons_unseen=True,
            accepts_prefill=True,
            bills_after_cancel=True,
            quality=0.9,
            quota_identity="team",
        )
        assert provider.profile("other") == Profile(quota_identity="team")


async def test_a_model_that_reasons_unseen_has_the_other_clock(tmp_path: Path) -> None:
    """reasons_unseen: the silence of such a target is measured by the clock that is meant for it."""

    async def thinking(exchange: Exchange) -> None:
        await (silent if b'"model":"m"' in exchange.request.body else answers)(exchange)

    clocks = ", first_content_timeout: 1h, reasoning_first_content_timeout: 200ms"
    async with configured(tmp_path, FACTS, thinking, clocks=clocks) as (gate, _):
        told = await read_stream(gate.chain.StreamChain(ask("acme/m,acme/other")))
        assert told.finished.attempts[0].status.message == "no content within 0.2 s"
