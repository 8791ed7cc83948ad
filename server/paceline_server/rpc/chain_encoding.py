"""From the vocabulary to what ChainService answers."""

from __future__ import annotations

from paceline.v1 import chain_pb2
from paceline_server.completion.answer import Completion
from paceline_server.rpc.encoding import write_attempt, write_completion, write_usage
from paceline_server.rpc.race_encoding import leave_room, write_summary
from paceline_server.strategies.call import Call


def encode_chain_response(call: Call, completion: Completion) -> chain_pb2.ChainResponse:
    """A whole answer, with how it came about."""
    wire = chain_pb2.ChainResponse(call_id=call.call_id)
    write_completion(wire.completion, completion)
    record = call.record
    attempts = record.attempts
    if len(attempts) > 1:
        attempts = sorted(attempts, key=lambda attempt: attempt.index)
    for attempt in attempts:
        write_attempt(wire.attempts.add(), attempt)
    write_usage(wire.total_usage, record.total_usage())
    if record.race is not None:
        write_summary(wire.race, record.race.summary())
        leave_room(wire, wire.race)
    return wire
