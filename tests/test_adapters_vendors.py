"""From a vendor to the adapter: what is known of it is seen by the provider, and in what calls cost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from paceline.v1 import completion_pb2, targets_pb2
from paceline_server.adapters import make_provider
from paceline_server.configuration import load_checked
from paceline_server.providers.prices import PriceList, list_version
from tests.built import JSON_HEADERS, Built, answers, built, sent_body
from tests.providers.replay import ReplayServer, Script, answering, replaying
from tests.rpc.gateway import ask, failure

GROQ_MODEL = "llama-3.3-70b-versatile"
KEYS = {
    "GROQ_API_KEY": "gsk-1",
    "MISTRAL_API_KEY": "m-1",
    "AZURE_OPENAI_API_KEY": "az-1",
    "XAI_API_KEY": "x-1",
}


@asynccontextmanager
async def called(
    folder: Path, settings: str, script: Script = answers, *, path: str = "/v1"
) -> AsyncIterator[tuple[Built, ReplayServer]]:
    """A gateway whose provider `acme` has these settings, and the server in the vendor's place."""
    async with replaying(script) as server:
        url = server.url.removesuffix("/v1") + path
        text = (
            "attempts: {transient_retry_count: 0}\n"
            f"providers: {{acme: {{base_url: '{url}', {settings}}}}}\n"
        )
        async with built(folder, text, environ=KEYS) as gate:
            yield gate, server


async def test_a_vendor_is_spoken_to_in_its_dialect(tmp_path: Path) -> None:
    """vendor: the fields of the request are those that this vendor knows."""
    request = ask("acme/mistral-small-latest")
    request.prompt.config.max_output_token_count = 9
    request.prompt.config.seed = 7
    request.prompt.config.cache_prompt = True
    async with called(tmp_path, "vendor: mistral, prompt_cache: nothing") as (gate, server):
        await gate.chain.Chain(request)
        body = sent_body(server)
        assert (body["max_tokens"], body["random_seed"]) == (9, 7)
        assert body.keys() == {"model", "messages", "max_tokens", "random_seed"}
        assert server.requests[0].headers["authorization"] == "Bearer m-1"


async def test_azure_has_its_own_header_and_a_version_in_its_url(tmp_path: Path) -> None:
    """vendor: Azure's key is bare in a header of its own, and the query of the URL is kept."""
    path = "/openai/deployments/d?api-version=2024-10-21"
    async with called(tmp_path, "vendor: azure", path=path) as (gate, server):
        await gate.chain.Chain(ask("acme/d"))
        (request,) = server.requests
        assert request.path == "/openai/deployments/d/chat/completions?api-version=2024-10-21"
        assert request.headers["api-key"] == "az-1"
        assert "authorization" not in request.headers


async def test_a_known_model_has_the_price_of_the_list(tmp_path: Path) -> None:
    """K4: three input and five output tokens cost what the list says, and the target names the list."""
    async with called(tmp_path, f"vendor: groq, targets: {{{GROQ_MODEL}: {{}}}}") as (gate, _):
        response = await gate.chain.Chain(ask(f"acme/{GROQ_MODEL}"))
        price = PriceList("groq").find(GROQ_MODEL).price
        assert price is not None
        expected = (3 * price.input_nano_usd + 5 * price.output_nano_usd) // 10**6
        assert response.total_usage.cost_nano_usd == expected > 0
        (target,) = (await gate.targets.ListTargets(targets_pb2.ListTargetsRequest())).targets
        assert target.price.version == list_version()


async def test_a_provider_by_environment_alone_has_prices() -> None:
    """K4: a vendor's own URL is enough to know what its models cost, and what else is known of them."""
    environ = {
        "PACELINE_PROVIDER_OPENAI": "openai+https://api.openai.com/v1",
        "PACELINE_PROVIDER_OPENAI_KEY": "sk-1",
    }
    provider = make_provider("openai", load_checked(None, environ).settings.providers["openai"], 5.0)
    try:
        profile = provider.profile("gpt-5-mini")
        assert profile.price is not None
        assert (profile.price.version, profile.media is not None) == (list_version(), True)
        assert profile.reasons_unseen
    finally:
        await provider.aclose()


async def test_the_configured_price_wins_over_the_list(tmp_path: Path) -> None:
    """targets, price: what is written is what calls cost, and says where it comes from."""
    price = "price: {input_usd_per_million: 1000, output_usd_per_million: 0}"
    async with called(tmp_path, f"vendor: groq, targets: {{{GROQ_MODEL}: {{{price}}}}}") as (gate, _):
        response = await gate.chain.Chain(ask(f"acme/{GROQ_MODEL}"))
        assert response.total_usage.cost_nano_usd == 3 * 10**6
        (target,) = (await gate.targets.ListTargets(targets_pb2.ListTargetsRequest())).targets
        assert target.price.version == "configuration"


@pytest.mark.parametrize(("settings", "model"), [("vendor: groq", "no-such"), ("vendor: ollama", "llama3")])
async def test_an_unknown_price_is_unset(tmp_path: Path, settings: str, model: str) -> None:
    """K4: of a model that no list has, and of a server of one's own, no cost is known."""
    async with called(tmp_path, settings) as (gate, _):
        response = await gate.chain.Chain(ask(f"acme/{model}"))
        assert not response.total_usage.HasField("cost_nano_usd")


async def test_what_is_known_of_a_model_reaches_the_engines(tmp_path: Path) -> None:
    """A6, A8: habits and limits are the vendor's, windows the list's, and what is written wins."""
    async with called(
        tmp_path, f"vendor: groq, targets: {{{GROQ_MODEL}: {{bills_after_cancel: false}}}}"
    ) as (
        gate,
        _,
    ):
        provider = gate.gateway.providers["acme"]
        other, written = provider.profile("openai/gpt-oss-120b"), provider.profile(GROQ_MODEL)
        assert (other.bills_after_cancel, written.bills_after_cancel) == (True, False)
        assert (other.accepts_prefill, written.accepts_prefill) == (False, True)
        assert other.context_token_count == PriceList("groq").find("openai/gpt-oss-120b").context_token_count
        assert other.media is not None


@pytest.mark.parametrize(
    ("written", "failure_class"),
    [("", "QUOTA"), (", classify: [{status: 403, class: UNSUPPORTED}]", "UNSUPPORTED")],
)
async def test_the_vendors_rules_come_after_those_that_are_written(
    tmp_path: Path, written: str, failure_class: str
) -> None:
    """A3: a vendor's own errors have their class, unless the configuration says otherwise."""
    refusal = json.dumps({"code": "x", "error": "Your team has used all its credits"}).encode()
    script = answering(refusal, status=403, headers=JSON_HEADERS)
    async with called(tmp_path, f"vendor: xai{written}", script) as (gate, _):
        told = await failure(gate.chain.Chain(ask("acme/grok-4")))
        found = told.call_failure.attempts[0].failure_class
        assert completion_pb2.FailureClass.Name(found) == f"FAILURE_CLASS_{failure_class}"
