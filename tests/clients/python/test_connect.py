"""Channels reach a gateway, and retry only what is safe."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2

from paceline.v1.chain_pb2 import ChainResponse, StreamChainResponse
from paceline_client.chain import chain, chain_request, stream_chain
from paceline_client.connect import channel_options, connect, is_loopback, service_config
from paceline_client.errors import CallFailed
from paceline_server.rpc.listeners import SHORTEST_PING_INTERVAL_MS
from tests.clients.python.certificates import self_signed
from tests.clients.python.fake_gateway import FakeGateway, Refusal, serving

REQUEST = chain_request("m", "hello")


def unavailable(pushback_ms: int = 1) -> Refusal:
    """A refusal that says how gRPC shall retry. gRPC 1.85 hangs on a pushback of 0 until the deadline."""
    info = error_details_pb2.ErrorInfo(domain="paceline", reason="OVERLOADED")
    trailers = [("grpc-retry-pushback-ms", str(pushback_ms))]
    return Refusal(grpc.StatusCode.UNAVAILABLE, details=[info], trailers=trailers)


async def test_a_refused_call_is_sent_again() -> None:
    """UNAVAILABLE before the first message is retried, when the server says."""
    gateway = FakeGateway(refusals=[unavailable()], answer=ChainResponse(call_id="c1"))
    with serving(gateway) as address:
        async with connect(address) as channel:
            assert (await chain(channel, REQUEST)).call_id == "c1"
    assert len(gateway.requests) == 2


@pytest.mark.parametrize(
    ("refusal", "retry"),
    [
        (unavailable(-1), True),
        (unavailable(), False),
        (Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED), True),
        (Refusal(grpc.StatusCode.ABORTED), True),
        (Refusal(grpc.StatusCode.INTERNAL), True),
    ],
)
async def test_other_failures_are_not_sent_again(refusal: Refusal, *, retry: bool) -> None:
    """A negative pushback, another code, or the caller's word: one try is all."""
    gateway = FakeGateway(refusals=[refusal])
    with serving(gateway) as address:
        async with connect(address, retry=retry) as channel:
            with pytest.raises(CallFailed):
                await chain(channel, REQUEST)
    assert len(gateway.requests) == 1


async def test_a_stream_that_has_begun_is_not_sent_again() -> None:
    """After the first message a retry would repeat what the caller has already read."""
    gateway = FakeGateway(events=[StreamChainResponse(), unavailable()])
    with serving(gateway) as address:
        async with connect(address) as channel, stream_chain(channel, REQUEST) as events:
            await anext(events)
            with pytest.raises(CallFailed):
                await anext(events)
    assert len(gateway.requests) == 1


async def test_retries_end() -> None:
    """A gateway that refuses every time is asked three times."""
    gateway = FakeGateway(refusals=[unavailable() for _ in range(9)])
    with serving(gateway) as address:
        async with connect(address) as channel:
            with pytest.raises(CallFailed, match="OVERLOADED"):
                await chain(channel, REQUEST)
    assert len(gateway.requests) == 3


async def test_tls_trusts_the_given_roots(tmp_path: Path) -> None:
    """A gateway behind TLS is reached by the roots of a file, and only so."""
    key, certificate = self_signed("localhost")
    roots = tmp_path / "roots.pem"
    roots.write_bytes(certificate)
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    with serving(FakeGateway(answer=ChainResponse(call_id="c1")), credentials=credentials) as address:
        named = address.replace("127.0.0.1", "localhost")
        async with connect(named, tls_roots=roots) as channel:
            assert (await chain(channel, REQUEST)).call_id == "c1"
        async with connect(named, tls=True) as channel:
            with pytest.raises(CallFailed) as caught:
                await chain(channel, REQUEST)
    assert caught.value.unreachable


async def test_long_answers_pass() -> None:
    """A message of 16 MiB, far above gRPC's own limit of 4, arrives."""
    with serving(FakeGateway(answer=ChainResponse(call_id="c" * 2**24))) as address:
        async with connect(address) as channel:
            assert len((await chain(channel, REQUEST)).call_id) == 2**24


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:50051", True),
        ("[::1]:50051", True),
        ("localhost:50051", True),
        ("ipv4:127.0.0.2:1", True),
        ("dns:///localhost:1", True),
        ("gateway.example:443", False),
        ("10.0.0.1:50051", False),
        ("unix:/run/paceline.sock", False),
    ],
)
def test_only_loopback_bypasses_a_proxy(address: str, *, loopback: bool) -> None:
    """A proxy of the environment cannot reach this machine's loopback, and serves for the rest."""
    assert is_loopback(address) is loopback
    assert (("grpc.enable_http_proxy", 0) in channel_options(address)) is loopback


def test_pings_are_as_rare_as_servers_demand() -> None:
    """S7: the server hangs up on a client that pings more often than it allows while a model thinks."""
    options = dict(channel_options("gateway.example:443"))
    assert int(options["grpc.keepalive_time_ms"]) > SHORTEST_PING_INTERVAL_MS


def test_the_service_config_retries_unavailable_alone() -> None:
    """Nothing that may have cost money is ever sent twice by gRPC itself."""
    [method_config] = json.loads(service_config())["methodConfig"]
    assert method_config["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
