"""The real server behind the synchronous client of pytest-grpc, as an application without asyncio meets it.

The plugin's own server is synchronous; here `grpc_addr` starts ours on a loop in a thread and names
its port, and the plugin's channel and stub do the rest.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from paceline.v1 import chain_pb2, chain_pb2_grpc, completion_pb2
from paceline_server.providers.simulated_script import AfterScript, Fail, Ok
from paceline_server.providers.simulated_settings import SimulatedModel
from tests.rpc.gateway import Gate, ask, gateway

MODELS = {
    "ok": SimulatedModel(answer="All is well.", script=(Ok(),), after_script=AfterScript.LAST),
    "broken": SimulatedModel(script=(Fail(),), after_script=AfterScript.LAST),
}

Stub = chain_pb2_grpc.ChainServiceStub


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def grpc_addr(loop: asyncio.AbstractEventLoop, listener: str) -> Iterator[str]:
    """The address of the gateway, in the plugin's place for it."""
    context: AbstractAsyncContextManager[Gate] = gateway(MODELS)

    async def start() -> str:
        return (await context.__aenter__()).address

    async def stop() -> None:
        await context.__aexit__(None, None, None)

    yield asyncio.run_coroutine_threadsafe(start(), loop).result(20)
    asyncio.run_coroutine_threadsafe(stop(), loop).result(20)


@pytest.fixture(scope="module")
def grpc_server(grpc_addr: str) -> str:
    """The gateway runs already; the plugin must start no server of its own."""
    return grpc_addr


@pytest.fixture(scope="module")
def grpc_stub_cls() -> type[Stub]:
    """The client that the plugin makes."""
    return Stub


def test_a_unary_call_answers(grpc_stub: Stub) -> None:
    """ChainService.Chain answers when the answer is complete."""
    response, call = grpc_stub.Chain.with_call(ask("test/ok"), timeout=20)
    assert response.completion.parts[0].text.text == "All is well."
    assert response.completion.finish_reason == completion_pb2.FINISH_REASON_STOP
    assert ("paceline-call-id", response.call_id) in tuple(call.trailing_metadata())


def test_a_stream_tells_failover_and_answer(grpc_stub: Stub) -> None:
    """ChainService.StreamChain: `started` first, `finished` last, and the failover between in events."""
    events = list(grpc_stub.StreamChain(ask("test/broken,test/ok"), timeout=20))
    kinds = [event.WhichOneof("event") for event in events]
    assert (kinds[0], kinds[-1]) == ("started", "finished")
    outcomes = [event.attempt_ended.attempt.outcome for event in events if event.HasField("attempt_ended")]
    assert outcomes[0] == completion_pb2.ATTEMPT_OUTCOME_FAILED
    assert outcomes[-1] == completion_pb2.ATTEMPT_OUTCOME_SUCCEEDED
    text = "".join(event.delta.text.text for event in events)
    assert text == events[-1].finished.completion.parts[0].text.text


@pytest.mark.parametrize(
    ("request_", "reason", "code"),
    [
        (chain_pb2.ChainRequest(), "INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT),
        (ask("nobody/x"), "MODEL_NOT_FOUND", grpc.StatusCode.NOT_FOUND),
        (ask(""), "INVALID_SPEC", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_an_error_is_read_with_the_standard_tools(
    request_: chain_pb2.ChainRequest, reason: str, code: grpc.StatusCode, grpc_stub: Stub
) -> None:
    """Errors: grpc_status reads the details back, unary and streamed, with the call id beside them."""
    for call in (lambda: grpc_stub.Chain(request_), lambda: list(grpc_stub.StreamChain(request_))):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        error = caught.value
        assert isinstance(error, grpc.Call)
        status = rpc_status.from_call(error)
        assert status is not None
        info = error_details_pb2.ErrorInfo()
        assert status.details[0].Unpack(info)
        assert (info.reason, info.domain, error.code()) == (reason, "paceline", code)
        assert "paceline-call-id" in dict(error.trailing_metadata())


def test_a_client_that_leaves_a_stream_is_no_harm(grpc_stub: Stub) -> None:
    """A4: cancelling in the midst is the caller's right; the next call answers."""
    stream = grpc_stub.StreamChain(ask("test/ok"), timeout=20)
    next(iter(stream))
    stream.cancel()
    assert grpc_stub.Chain(ask("test/ok"), timeout=20).completion.parts
