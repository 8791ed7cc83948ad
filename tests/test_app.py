"""The composition root: each setting of the server reaches what it is for, from a file to a real listener."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from paceline.v1 import completion_pb2, targets_pb2
from paceline_server.completion.answer import Target
from paceline_server.health.machine import HealthConfig, TargetState
from tests.built import answers, built, silent
from tests.clients.python.certificates import self_signed
from tests.providers.replay import answering, replaying
from tests.rpc.gateway import ask, failure, failure_of, read_stream

SIMULATED = """
providers:
  test:
    format: simulated
    targets:
      well: {answer: All is well.}
      failing: {script: [fail], after_script: last}
      stalling: {script: [stall], after_script: last}
"""
NO_RETRY = "attempts: {transient_retry_count: 0}\n"
FAILED = completion_pb2.ATTEMPT_OUTCOME_FAILED
SKIPPED = completion_pb2.ATTEMPT_OUTCOME_SKIPPED
SUCCEEDED = completion_pb2.ATTEMPT_OUTCOME_SUCCEEDED
CANCELLED = completion_pb2.ATTEMPT_OUTCOME_CANCELLED
TIMED_OUT = completion_pb2.ATTEMPT_OUTCOME_TIMED_OUT


def write_certificates(folder: Path) -> bytes:
    """Put a key and a certificate beside the configuration; gives the certificate."""
    key, certificate = self_signed("localhost")
    (folder / "key.pem").write_bytes(key)
    (folder / "certificate.pem").write_bytes(certificate)
    return certificate


async def test_the_address_is_the_configured_one(tmp_path: Path) -> None:
    """listen: the file says where calls are taken."""
    async with built(tmp_path, SIMULATED, listen="localhost:0") as gate:
        assert gate.address.startswith("localhost:")
        await gate.chain.Chain(ask("test/well"))


async def test_the_certificate_is_used(tmp_path: Path) -> None:
    """tls: with a certificate the listener speaks TLS, and nothing else."""
    certificate = write_certificates(tmp_path)
    tls = "tls: {certificate_file: certificate.pem, private_key_file: key.pem}\n"
    credentials = grpc.ssl_channel_credentials(certificate)
    async with built(tmp_path, tls + SIMULATED, credentials=credentials) as gate:
        await gate.chain.Chain(ask("test/well"), timeout=20)
        async with grpc.aio.insecure_channel(gate.address) as plain:
            with pytest.raises(grpc.aio.AioRpcError):
                await type(gate)(gate.gateway, gate.address, plain).chain.Chain(ask("test/well"), timeout=20)


async def test_the_authority_of_clients_is_used(tmp_path: Path) -> None:
    """tls.client_ca_file: a client without a certificate of it does not come in, another does."""
    certificate = write_certificates(tmp_path)
    client_key, client_certificate = self_signed("client")
    (tmp_path / "clients.pem").write_bytes(client_certificate)
    tls = "tls: {certificate_file: certificate.pem, private_key_file: key.pem, client_ca_file: clients.pem}\n"
    known = grpc.ssl_channel_credentials(certificate, client_key, client_certificate)
    async with built(tmp_path, tls + SIMULATED, credentials=known) as gate:
        await gate.chain.Chain(ask("test/well"), timeout=20)
    async with built(
        tmp_path, tls + SIMULATED, credentials=grpc.ssl_channel_credentials(certificate)
    ) as gate:
        told = await failure(gate.chain.Chain(ask("test/well"), timeout=20))
        assert told.code is grpc.StatusCode.UNAVAILABLE


async def reflected(channel: Any) -> list[str]:
    """The services that reflection names."""

    async def questions() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    return [
        service.name
        async for answer in stub.ServerReflectionInfo(questions())
        for service in answer.list_services_response.service
    ]


async def test_reflection_can_be_switched_off(tmp_path: Path) -> None:
    """reflection: on by default; off, nobody can ask for the contract."""
    async with built(tmp_path, SIMULATED) as gate:
        assert "paceline.v1.ChainService" in await reflected(gate.channel)
    async with built(tmp_path, "reflection: false\n" + SIMULATED) as gate:
        channel: Any = gate.channel
        # With one message sent at once: a refusal must not meet a client that still writes.
        call = channel.unary_unary("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_the_largest_message_is_as_configured(tmp_path: Path) -> None:
    """call.max_message_size: a larger request is refused by the transport, a smaller one is taken."""
    async with built(tmp_path, "call: {max_message_size: 64KiB}\n" + SIMULATED) as gate:
        told = await failure(gate.chain.Chain(ask("test/well", "x" * (64 << 10))))
        assert told.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        await gate.chain.Chain(ask("test/well", "x" * (63 << 10)))


async def test_the_longest_deadline_is_as_configured(tmp_path: Path) -> None:
    """call.maximum_deadline: the server itself ends a call that brings a longer one."""
    async with built(tmp_path, "call: {maximum_deadline: 100ms}\n" + SIMULATED) as gate:
        told = await failure(gate.chain.Chain(ask("test/stalling"), timeout=20))
        assert told.reason == "DEADLINE_EXCEEDED"


async def test_calls_without_a_model_go_to_the_default(tmp_path: Path) -> None:
    """default_model, models: an empty spec is the configured one, through its alias and its chain."""
    names = "default_model: main\nmodels: {main: {chain: [fast]}, fast: test/well}\n"
    async with built(tmp_path, names + SIMULATED) as gate:
        response = await gate.chain.Chain(ask(""))
        assert response.completion.target == completion_pb2.Target(provider="test", model="well")


async def test_names_and_targets_are_listed_as_configured(tmp_path: Path) -> None:
    """models, targets: lists show each name with its description, and every target of every format."""
    names = (
        "models:\n  a: {alias: test/well, description: The first.}\n"
        "  b: {chain: [a], display_name: The second.}\n  c: test/well\n"
    )
    other = "  other: {format: openai, base_url: 'http://127.0.0.1:9/v1', targets: {m: {}}}\n"
    async with built(tmp_path, names + SIMULATED + other) as gate:
        models = await gate.targets.ListModels(targets_pb2.ListModelsRequest())
        shown = [(model.name, model.kind, model.description) for model in models.models]
        alias, chain = targets_pb2.MODEL_KIND_ALIAS, targets_pb2.MODEL_KIND_CHAIN
        assert shown == [("a", alias, "The first."), ("b", chain, "The second."), ("c", alias, "")]
        targets = await gate.targets.ListTargets(targets_pb2.ListTargetsRequest())
        listed = {f"{status.target.provider}/{status.target.model}" for status in targets.targets}
        assert listed == {"test/well", "test/failing", "test/stalling", "other/m"}


async def test_the_time_to_connect_is_as_configured(tmp_path: Path) -> None:
    """attempts.connect_timeout: TLS that does not come about is over long before the call's deadline."""
    # The server takes the connection and waits for a request, which cannot come before TLS.
    async with replaying(silent) as server:
        provider = f"providers: {{p: {{format: openai, base_url: 'https://127.0.0.1:{server.port}/v1'}}}}\n"
        settings = "attempts: {connect_timeout: 50ms, transient_retry_count: 0}\n"
        # The default would outlast the whole call.
        deadline = "call: {maximum_deadline: 4s}\n"
        async with built(tmp_path, settings + deadline + provider) as gate:
            told = await failure(gate.chain.Chain(ask("p/m")))
            assert told.reason == "ALL_ATTEMPTS_FAILED"
            (attempt,) = told.call_failure.attempts
            assert attempt.failure_class == completion_pb2.FAILURE_CLASS_TIMEOUT


async def test_providers_of_one_quota_are_benched_together(tmp_path: Path) -> None:
    """quota_identity: what one provider's empty quota benches is not called under the other's name."""
    refusing = answering(
        b'{"error": {"message": "no credit left", "code": "insufficient_quota"}}', status=429
    )
    async with replaying(refusing) as first, replaying(answers) as second, replaying(answers) as third:
        providers = "".join(
            f"  {name}: {{format: openai, base_url: '{server.url}', quota_identity: {identity}}}\n"
            for name, server, identity in (
                ("first", first, "team"),
                ("second", second, "team"),
                ("third", third, "other"),
            )
        )
        async with built(tmp_path, NO_RETRY + "providers:\n" + providers) as gate:
            response = await gate.chain.Chain(ask("first/m,second/m,third/m"))
            assert response.completion.target.provider == "third"
            assert [attempt.outcome for attempt in response.attempts][1] == SKIPPED
            again = await gate.chain.Chain(ask("second/m,third/m"))
            assert again.attempts[0].outcome == SKIPPED
            assert not second.requests


async def test_health_is_as_configured(tmp_path: Path) -> None:
    """health: every number reaches the registry, and the first failed call benches for as long as it says."""
    settings = (
        "health: {failure_threshold: 1, base: 2h, maximum: 3h, jitter: 0, provider_bench: 4h, ramp: 5h,"
        " ramp_shares: [0.5], probe_lease: 6h}\n"
    )
    async with built(tmp_path, NO_RETRY + settings + SIMULATED) as gate:
        health = gate.gateway.health
        hour = 3600.0
        assert health.config == HealthConfig(1, 2 * hour, 3 * hour, 0.0, 4 * hour, 5 * hour, (0.5,), 6 * hour)
        await failure(gate.chain.Chain(ask("test/failing")))
        assert health.record(Target("test", "failing")).state is TargetState.BENCHED


async def test_the_budget_of_retries_is_as_configured(tmp_path: Path) -> None:
    """retry_budget: where nothing is granted, the second target is not turned to."""
    nothing = "retry_budget: {share_of_calls: 0, per_second: 0}\n"
    for settings, answered in ((nothing, False), ("", True)):
        async with built(tmp_path, NO_RETRY + settings + SIMULATED) as gate:
            assert await is_answered(gate.chain.Chain(ask("test/failing,test/well"))) is answered


async def is_answered(call: Any) -> bool:
    """Whether a call ends in an answer; if not, then because no attempt gave one."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        reason = failure_of(error).reason
    else:
        return True
    assert reason == "ALL_ATTEMPTS_FAILED"
    return False


async def test_tries_are_as_configured(tmp_path: Path) -> None:
    """attempts: the number of retries and of additional attempts is that of the file."""
    # Retries wait their turn at once, and benches are kept away, so that only the numbers count.
    common = "health: {failure_threshold: 1000}\n" + SIMULATED
    for settings, count in (
        ("{transient_retry_count: 3, retry_backoff: 0}", 4),
        ("{transient_retry_count: 3, retry_backoff: 0, additional_attempts: 1}", 2),
    ):
        async with built(tmp_path, f"attempts: {settings}\n" + common) as gate:
            told = await failure(gate.chain.Chain(ask("test/failing")))
            outcomes = [attempt.outcome for attempt in told.call_failure.attempts]
            assert outcomes.count(FAILED) == count


async def test_the_clocks_of_attempts_are_as_configured(tmp_path: Path) -> None:
    """attempts.first_content_timeout: a silent target is given up when the file says."""
    async with built(tmp_path, "attempts: {first_content_timeout: 200ms}\n" + SIMULATED) as gate:
        told = await read_stream(gate.chain.StreamChain(ask("test/stalling,test/well")))
        first = told.finished.attempts[0]
        assert first.outcome == completion_pb2.ATTEMPT_OUTCOME_TIMED_OUT
        assert first.status.message == "no content within 0.2 s"


async def test_when_a_slow_target_is_overtaken_is_as_configured(tmp_path: Path) -> None:
    """attempts.overtake_after, C7: the next target starts beside a silent one when the file says."""
    async with built(tmp_path, "attempts: {overtake_after: 200ms}\n" + SIMULATED) as gate:
        finished = (await read_stream(gate.chain.StreamChain(ask("test/stalling,test/well")))).finished
        assert [attempt.outcome for attempt in finished.attempts] == [CANCELLED, SUCCEEDED]


async def test_a_request_says_itself_when_a_slow_target_is_overtaken(tmp_path: Path) -> None:
    """ChainOptions.overtake_after, C7: it outranks the file, for unary calls too, and 0 is never."""
    configured = "attempts: {overtake_after: 1ms, attempt_timeout: 300ms}\n"
    async with built(tmp_path, configured + SIMULATED) as gate:
        request = ask("test/stalling,test/well")
        request.options.overtake_after.FromMilliseconds(100)
        finished = await gate.chain.Chain(request)
        assert [attempt.outcome for attempt in finished.attempts] == [CANCELLED, SUCCEEDED]
        request.options.overtake_after.FromMilliseconds(0)
        finished = await gate.chain.Chain(request)
        assert [attempt.outcome for attempt in finished.attempts] == [TIMED_OUT, SUCCEEDED]


async def test_closing_closes_the_connections_to_providers(tmp_path: Path) -> None:
    """A6: a gateway that has stopped holds no connection to any provider."""
    async with replaying(answers) as server:
        provider = f"providers: {{p: {{format: openai, base_url: '{server.url}'}}}}\n"
        async with built(tmp_path, provider) as gate:
            await asyncio.gather(*(gate.chain.Chain(ask("p/m")) for _ in range(5)))
            assert server.open_count > 0
        await server.until(lambda: server.open_count == 0)


RACES = """
models:
  cheap: {chain: [groq/llama-3.3-70b, openai/gpt-4o-mini]}
  quick: {race: [cheap, anthropic/haiku], strategy: {hedged: {quantile: 0.95, max_hedges: 1}}}
  agree: {race: [openai/gpt-4o, anthropic/sonnet, google/gemini], strategy: {consensus: {quorum: 2}}}
providers:
  groq: {format: simulated}
  openai: {format: simulated}
  anthropic: {format: simulated}
  google: {format: simulated}
"""


async def test_configured_races_reach_the_contract_whole(tmp_path: Path) -> None:
    """models.<name>.race: what ListModels tells of a race is what the file says of it (R1)."""
    async with built(tmp_path, RACES) as gate:
        kinds = [targets_pb2.MODEL_KIND_RACE]
        listed = (await gate.targets.ListModels(targets_pb2.ListModelsRequest(kinds=kinds))).models
        agree, quick = (model.definition.race for model in listed)
        assert [model.name for model in listed] == ["agree", "quick"]
        assert [one.model for one in quick.candidates] == ["cheap", "anthropic/haiku"]
        assert (quick.strategy.hedged.quantile, quick.strategy.hedged.max_hedge_count) == (0.95, 1)
        assert agree.strategy.consensus.quorum == 2
