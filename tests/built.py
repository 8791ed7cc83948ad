"""A gateway as the composition root builds it from a file, so that each setting is tested where it acts.

async with built(tmp_path, CONFIGURATION) as gate:
    await gate.chain.Chain(ask("first/m"))
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from paceline.v1 import chain_pb2_grpc, targets_pb2_grpc
from paceline_server.app import Gateway, build
from paceline_server.configuration import load_checked
from tests.providers.replay import Exchange, ReplayServer

STREAM_HEADERS = {"content-type": "text/event-stream"}
JSON_HEADERS = {"content-type": "application/json"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 5}


@dataclass
class Built:
    """A gateway that listens, and its clients."""

    gateway: Gateway
    address: str
    channel: grpc.aio.Channel

    @property
    def chain(self) -> Any:
        """The client of ChainService."""
        return chain_pb2_grpc.ChainServiceStub(self.channel)

    @property
    def targets(self) -> Any:
        """The client of TargetService."""
        return targets_pb2_grpc.TargetServiceStub(self.channel)


@asynccontextmanager
async def built(
    folder: Path,
    configuration: str,
    *,
    listen: str = "127.0.0.1:0",
    environ: Mapping[str, str] | None = None,
    credentials: grpc.ChannelCredentials | None = None,
) -> AsyncIterator[Built]:
    """A gateway of `configuration`, whose clients speak TLS if there are credentials."""
    path = folder / "paceline.yaml"
    path.write_text(f"listen: {listen}\n{configuration}", encoding="utf-8")
    gateway = build(load_checked(path, environ or {}).settings)
    address = await gateway.server.start()
    own = [("grpc.use_local_subchannel_pool", 1), ("grpc.ssl_target_name_override", "localhost")]
    channel = (
        grpc.aio.insecure_channel(address, own[:1])
        if credentials is None
        else grpc.aio.secure_channel(address, credentials, own)
    )
    try:
        async with channel:
            yield Built(gateway, address, channel)
    finally:
        await gateway.server.drain()
        await gateway.close()


def words(text: str = "All is well.") -> bytes:
    """A streamed answer of one delta, whole with its usage."""
    chunks: Sequence[Mapping[str, Any]] = (
        {"choices": [{"index": 0, "delta": {"content": text}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": USAGE},
    )
    lines = [json.dumps({"id": "1", "model": "m", **chunk}).encode() for chunk in chunks]
    return b"".join(b"data: %b\n\n" % line for line in [*lines, b"[DONE]"])


def document(text: str = "All is well.", **extra: Any) -> bytes:
    """A whole answer."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message, **extra}
    return json.dumps({"id": "1", "model": "m", "choices": [choice], "usage": USAGE}).encode()


async def answers(exchange: Exchange) -> None:
    """Answer well, streamed or whole, as it was asked."""
    streams = json.loads(exchange.request.body).get("stream", False)
    await exchange.head(200, STREAM_HEADERS if streams else JSON_HEADERS)
    await exchange.chunks(words() if streams else document())
    await exchange.end()


async def silent(exchange: Exchange) -> None:
    """Take the request, and never answer."""
    await exchange.until_closed()


def sent_body(server: ReplayServer) -> Mapping[str, Any]:
    """The body of the one request that the provider has seen."""
    (request,) = server.requests
    body: Mapping[str, Any] = json.loads(request.body)
    return body
