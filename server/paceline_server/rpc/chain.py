"""ChainService: decode, resolve, answer, encode."""

from __future__ import annotations

from collections.abc import Awaitable

from paceline.v1 import chain_pb2, completion_pb2
from paceline_server.completion.attempt import CallEvent
from paceline_server.completion.errors import CallFailed
from paceline_server.rpc.chain_encoding import encode_chain_response
from paceline_server.rpc.encoding import encode_event
from paceline_server.rpc.requests import decode_chain_request
from paceline_server.rpc.shell import Rpc
from paceline_server.strategies import engine
from paceline_server.strategies.assembly import Assembly
from paceline_server.strategies.call import Call
from paceline_server.strategies.model import Model
from paceline_server.strategies.verdict import deadline_exceeded


class ChainRpc:
    """The methods of ChainService."""

    def __init__(self, assembly: Assembly) -> None:
        """Answer with the models of `assembly`."""
        self._assembly = assembly

    async def chain(self, request: chain_pb2.ChainRequest, rpc: Rpc) -> chain_pb2.ChainResponse:
        """Answer when the answer is complete."""
        call, model = self._open(request, rpc)
        completion = await engine.complete(call, model)
        rpc.served_by = completion.target
        return encode_chain_response(call, completion)

    async def stream_chain(self, request: chain_pb2.ChainRequest, rpc: Rpc) -> None:
        """Answer as the model writes."""
        call, model = self._open(request, rpc)

        def sink(event: CallEvent) -> Awaitable[None]:
            return rpc.write(encode_event(event, chain_pb2.StreamChainResponse()))

        started = completion_pb2.Started(call_id=call.call_id)
        if not await rpc.written_in_time(chain_pb2.StreamChainResponse(started=started)):
            raise deadline_exceeded()
        try:
            completion = await engine.stream(call, model, sink)
        except CallFailed:
            # Each attempt's end comes before the status, that of those which the deadline cut off too.
            left = call.record.last_words()
            await rpc.write_last(encode_event(event, chain_pb2.StreamChainResponse()) for event in left)
            raise
        rpc.served_by = completion.target
        finished = chain_pb2.StreamChainResponse(finished=encode_chain_response(call, completion))
        # Not read in time, it still waits to be read: a status that says otherwise would contradict it.
        await rpc.written_in_time(finished)

    def _open(self, request: chain_pb2.ChainRequest, rpc: Rpc) -> tuple[Call, Model]:
        decoded = decode_chain_request(request)
        model = self._assembly.model(decoded.spec)
        call = Call(rpc.call_id, decoded.prompt, rpc.started_at, rpc.deadline, decoded.options)
        rpc.call = call
        return call, model
