"""The bare reference: Paceline's libraries and messages, with no product between them.

A grpcio server that asks the upstream through the product's own transport and does the least work
that gives a right answer: no checks, no health, no clocks, no attempts, no log. Run as
`python -m bench.reference UPSTREAM_ADDRESS`; it prints where it listens.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc.aio
import httpx
import msgspec
import uvloop

from paceline.v1 import chain_pb2, completion_pb2
from paceline_server.providers.http import ArrivingBody, RequestBody
from paceline_server.providers.http_transport import AiohttpTransport

CALL_ID = "0" * 32
_EVENT_END = b"\n\n"
_DATA = b"data: "
_DONE = b"[DONE]"


class Text(msgspec.Struct, gc=False):
    """A message or a piece of one."""

    content: str | None = None


class Choice(msgspec.Struct, gc=False):
    """One answer."""

    delta: Text | None = None
    message: Text | None = None
    finish_reason: str | None = None


class Usage(msgspec.Struct, gc=False):
    """Token counts."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Chunk(msgspec.Struct, gc=False):
    """A chunk, or a whole answer."""

    choices: list[Choice]
    usage: Usage | None = None


_decode = msgspec.json.Decoder(Chunk).decode
_encode = msgspec.json.Encoder().encode


class Reference:
    """The two methods of ChainService."""

    def __init__(self, upstream: str) -> None:
        """Ask `upstream`, "host:port"."""
        self._url = httpx.URL(f"http://{upstream}/v1/chat/completions")
        self._transport = AiohttpTransport()
        self._headers = [
            (b"host", upstream.encode()),
            (b"content-type", b"application/json"),
            (b"authorization", b"Bearer bench"),
        ]

    async def chain(
        self, request: chain_pb2.ChainRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> chain_pb2.ChainResponse:
        """Answer at once."""
        body = await self._send(request, stream=False)
        chunks = []
        while piece := await body.read():
            chunks.append(piece)
        answer = _decode(b"".join(chunks))
        message = answer.choices[0].message
        assert message is not None
        return _response(request.model, message.content or "", answer.usage or Usage())

    async def stream_chain(
        self, request: chain_pb2.ChainRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """Answer as it is written: what was read together is written together."""
        started = completion_pb2.Started(call_id=CALL_ID)
        await context.write(chain_pb2.StreamChainResponse(started=started))
        body = await self._send(request, stream=True)
        usage, tail, texts = Usage(), b"", []
        while piece := await body.read():
            *events, tail = (tail + piece).split(_EVENT_END)
            merged = []
            for event in events:
                data = event.removeprefix(_DATA)
                if data == _DONE:
                    break
                chunk = _decode(data)
                usage = chunk.usage or usage
                if chunk.choices and (delta := chunk.choices[0].delta) and delta.content:
                    merged.append(delta.content)
            if merged:
                text = "".join(merged)
                texts.append(text)
                delta_text = completion_pb2.TextDelta(text=text)
                await context.write(
                    chain_pb2.StreamChainResponse(delta=completion_pb2.Delta(text=delta_text))
                )
        response = _response(request.model, "".join(texts), usage)
        await context.write(chain_pb2.StreamChainResponse(finished=response))

    async def _send(self, request: chain_pb2.ChainRequest, *, stream: bool) -> ArrivingBody:
        text = request.prompt.messages[0].parts[0].text.text
        _, _, model = request.model.partition("/")
        document = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}
        content = _encode(document)
        headers = [*self._headers, (b"content-length", b"%d" % len(content))]
        message = httpx.Request("POST", self._url, headers=headers, stream=RequestBody(content))
        response = await self._transport.handle_async_request(message)
        assert isinstance(response.stream, ArrivingBody)
        return response.stream


def _response(spec: str, text: str, usage: Usage) -> chain_pb2.ChainResponse:
    provider, _, model = spec.partition("/")
    completion = completion_pb2.Completion(
        parts=[completion_pb2.Part(text=completion_pb2.Text(text=text))],
        finish_reason=completion_pb2.FINISH_REASON_STOP,
        target=completion_pb2.Target(provider=provider, model=model),
        usage=completion_pb2.Usage(
            input_token_count=usage.prompt_tokens, output_token_count=usage.completion_tokens
        ),
    )
    return chain_pb2.ChainResponse(call_id=CALL_ID, completion=completion)


async def _serve(upstream: str) -> None:
    reference = Reference(upstream)
    handlers = {
        "Chain": grpc.unary_unary_rpc_method_handler(
            reference.chain,
            chain_pb2.ChainRequest.FromString,
            chain_pb2.ChainResponse.SerializeToString,
        ),
        "StreamChain": grpc.unary_stream_rpc_method_handler(
            reference.stream_chain,
            chain_pb2.ChainRequest.FromString,
            chain_pb2.StreamChainResponse.SerializeToString,
        ),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("paceline.v1.ChainService", handlers)]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"reference listening on 127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
