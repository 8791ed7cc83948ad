"""The bare reference: a gRPC server over the same libraries, with no product between them.

It asks the upstream through aiohttp, decodes with msgspec, merges deltas that were read together, and
does the least work that gives a right answer: no checks, health, clocks, attempts or log. Run as
`python -m bench.reference LISTENER UPSTREAM_ADDRESS`; it prints where it listens.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any

import aiohttp
import grpc.aio
import msgspec
import uvloop
from yarl import URL

from paceline.v1 import chain_pb2, completion_pb2

SERVICE = "paceline.v1.ChainService"
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

    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        """Ask `upstream`, "host:port"."""
        self._url = URL(f"http://{upstream}/v1/chat/completions")
        self._session = session
        self._headers = {"content-type": "application/json", "authorization": "Bearer bench"}

    async def chain(
        self, request: chain_pb2.ChainRequest, _context: grpc.aio.ServicerContext[Any, Any]
    ) -> chain_pb2.ChainResponse:
        """Answer at once."""
        response = await self._send(request, stream=False)
        answer = _decode(await response.read())
        message = answer.choices[0].message
        assert message is not None
        return _response(request.model, message.content or "", answer.usage or Usage())

    async def stream_chain(
        self, request: chain_pb2.ChainRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """Answer as it is written: what was read together is written together."""
        started = completion_pb2.Started(call_id=CALL_ID)
        await context.write(chain_pb2.StreamChainResponse(started=started))
        body = (await self._send(request, stream=True)).content
        usage, tail, texts = Usage(), b"", []
        while piece := await body.readany():
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

    async def _send(self, request: chain_pb2.ChainRequest, *, stream: bool) -> aiohttp.ClientResponse:
        text = request.prompt.messages[0].parts[0].text.text
        _, _, model = request.model.partition("/")
        document = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}
        return await self._session.post(self._url, data=_encode(document), headers=self._headers)


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


async def _serve(listener: str, upstream: str) -> None:
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
    ) as session:
        server = _server(listener, Reference(upstream, session))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        print(f"reference listening on 127.0.0.1:{port}", flush=True)
        await asyncio.Event().wait()


def _server(listener: str, reference: Reference) -> grpc.aio.Server:
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
    # By its name, for the package is an extra that not every environment has.
    library = importlib.import_module("pygrpc_native.aio") if listener == "native" else grpc.aio
    server: grpc.aio.Server = library.server()
    # As generated code does: grpcio serves the one, the native listener the other.
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    server.add_registered_method_handlers(SERVICE, handlers)
    return server


if __name__ == "__main__":
    uvloop.run(_serve(*sys.argv[1:]))
