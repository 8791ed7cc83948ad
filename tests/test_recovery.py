"""Recovery through the whole gateway: a recorded stream, cut at every offset, over real sockets.

The first target's provider sends a recording up to the cut and drops the connection; the second's
answers whole. The caller's own fold of the deltas is what counts.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest

from paceline.v1 import chain_pb2, chain_pb2_grpc, completion_pb2
from paceline_server.app import build
from paceline_server.configuration import load_checked
from tests.providers.replay import Exchange, ReplayServer, replaying

RECORDINGS = Path(__file__).parent / "providers" / "recordings"
CONFIGURATION = """
listen: 127.0.0.1:0
log: {level: error}
attempts: {transient_retry_count: 0}
health: {failure_threshold: 1000000000}
retry_budget: {share_of_calls: 1, per_second: 1000000, burst: 1000000}
providers:
  first: {format: openai, base_url: "%s"}
  second: {format: openai, base_url: "%s", targets: {m: {accepts_prefill: true}}}
"""


class CutScript:
    """Answers with `body` up to `cut` bytes and then drops the connection; whole if `cut` is the length."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.cut = len(body)

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        await exchange.head(200, {"content-type": "text/event-stream"})
        if self.cut:
            await exchange.chunks(self.body[: self.cut])
        if self.cut < len(self.body):
            # Gracefully: what was sent arrives, and only then the connection ends.
            exchange.writer.close()
            await exchange.until_closed()
        else:
            await exchange.end()


class ContinuingScript:
    """Answers whole; a beginning of `text` that it is given it continues."""

    def __init__(self, body: bytes, text: str) -> None:
        self.body = body
        self.text = text
        self.continued_count = 0

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        last = json.loads(exchange.request.body)["messages"][-1]
        body = self.body
        if last["role"] == "assistant":
            assert last["content"] == last["content"].rstrip()
            assert self.text.startswith(last["content"])
            self.continued_count += 1
            body = _said(self.text.removeprefix(last["content"]))
        await exchange.head(200, {"content-type": "text/event-stream"})
        await exchange.chunks(body)
        await exchange.end()


def _said(text: str) -> bytes:
    """The chunks of a short answer."""
    choices: list[dict[str, object]] = [
        {"index": 0, "delta": {"content": text}},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
    events = [json.dumps({"choices": [choice]}) for choice in choices]
    return "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"]).encode()


class CallerFold:
    """What a client holds: the deltas since the last retraction, part by part."""

    def __init__(self) -> None:
        self.parts: list[completion_pb2.Part] = []
        self.discarded_count = 0

    def take(self, event: chain_pb2.StreamChainResponse) -> None:
        """Honour one event."""
        match event.WhichOneof("event"):
            case "output_discarded":
                self.parts.clear()
                self.discarded_count += 1
            case "delta":
                self._add(event.delta)
            case _:
                return

    def _add(self, delta: completion_pb2.Delta) -> None:
        assert delta.part_index <= len(self.parts)
        if delta.part_index == len(self.parts):
            self.parts.append(completion_pb2.Part())
        part = self.parts[delta.part_index]
        match delta.WhichOneof("kind"):
            case "text":
                part.text.text += delta.text.text
            case "reasoning":
                part.reasoning.text += delta.reasoning.text
            case "tool_call":
                part.tool_call.id += delta.tool_call.id
                part.tool_call.name += delta.tool_call.name
                part.tool_call.arguments_json += delta.tool_call.arguments_json_fragment
            case kind:
                raise AssertionError(f"unexpected {kind}")


@asynccontextmanager
async def gateway(
    tmp_path: Path, first: ReplayServer, second: ReplayServer
) -> AsyncIterator[chain_pb2_grpc.ChainServiceAsyncStub]:
    """A gateway in front of the two providers, and a client of it."""
    path = tmp_path / "paceline.yaml"
    path.write_text(CONFIGURATION % (first.url, second.url), encoding="utf-8")
    built = build(load_checked(path, {}).settings)
    address = await built.server.start()
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            yield chain_pb2_grpc.ChainServiceStub(channel)
    finally:
        await built.server.drain()
        await built.close()


def a_request(recovery: completion_pb2.Recovery.ValueType) -> chain_pb2.ChainRequest:
    """A chain of the two targets."""
    user = completion_pb2.Message(
        role=completion_pb2.ROLE_USER,
        parts=[completion_pb2.Part(text=completion_pb2.Text(text="Hello"))],
    )
    return chain_pb2.ChainRequest(
        model="first/m,second/m",
        prompt=completion_pb2.Prompt(messages=[user]),
        options=chain_pb2.ChainOptions(recovery=recovery, hold_token_count=4),
    )


@pytest.mark.parametrize("recording", ["stream-text", "stream-parallel-tools", "stream-reasoning"])
@pytest.mark.parametrize("recovery", ["RECOVERY_NONE", "RECOVERY_HOLD", "RECOVERY_RESTART"])
async def test_a_cut_anywhere_gives_the_whole_answer_or_an_error(
    tmp_path: Path, recording: str, recovery: str
) -> None:
    """C5, A2: wherever a stream is cut, the folded deltas equal `finished`, and never a truncated answer."""
    body = (RECORDINGS / recording / "response.body").read_bytes()
    cut, whole = CutScript(body), CutScript(body)
    request = a_request(completion_pb2.Recovery.Value(recovery))
    async with replaying(cut) as first, replaying(whole) as second, gateway(tmp_path, first, second) as stub:
        complete = await _streamed(stub, request)
        assert complete is not None
        broken_count = 0
        for offset in range(len(body)):
            cut.cut = offset
            parts = await _streamed(stub, request)
            if parts is None:
                broken_count += 1
                assert recovery == "RECOVERY_NONE"
            else:
                assert parts == complete
    # With NONE a cut after the first words must be told; with the others it never reaches the caller.
    assert (broken_count > 0) == (recovery == "RECOVERY_NONE")


@pytest.mark.parametrize("recording", ["stream-text", "stream-parallel-tools", "stream-reasoning"])
async def test_a_cut_anywhere_goes_on_where_the_stream_broke(tmp_path: Path, recording: str) -> None:
    """C5: wherever a stream is cut, CONTINUE gives the whole text; only what is no text is retracted."""
    body = (RECORDINGS / recording / "response.body").read_bytes()
    cut, whole = CutScript(body), ContinuingScript(body, "")
    request = a_request(completion_pb2.RECOVERY_CONTINUE)
    discarded_count = 0
    async with replaying(cut) as first, replaying(whole) as second, gateway(tmp_path, first, second) as stub:
        complete = await _streamed(stub, request)
        assert complete is not None
        whole.text = _text_of(complete)
        for offset in range(len(body)):
            cut.cut = offset
            fold = CallerFold()
            parts = await _streamed(stub, request, fold)
            assert parts is not None
            assert _text_of(parts) == whole.text
            discarded_count += fold.discarded_count
    assert (whole.continued_count > 0) == bool(whole.text)
    assert (discarded_count > 0) == (recording != "stream-text")


def _text_of(parts: list[completion_pb2.Part]) -> str:
    return "".join(part.text.text for part in parts)


async def _streamed(
    stub: chain_pb2_grpc.ChainServiceAsyncStub,
    request: chain_pb2.ChainRequest,
    fold: CallerFold | None = None,
) -> list[completion_pb2.Part] | None:
    """The parts of one call; None if it ended with STREAM_BROKEN."""
    fold = fold or CallerFold()
    finished: chain_pb2.ChainResponse | None = None
    try:
        async for event in stub.StreamChain(request, timeout=20):
            assert finished is None, "nothing may follow `finished`"
            fold.take(event)
            if event.HasField("finished"):
                finished = event.finished
    except grpc.aio.AioRpcError as error:
        if finished is not None or error.code() is not grpc.StatusCode.ABORTED:
            raise
        return None
    assert finished is not None, "a stream that ends with OK has sent `finished`"
    assert list(finished.completion.parts) == fold.parts
    return fold.parts
