"""RaceService: decode, assemble the race, answer, encode."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator

from google.protobuf.message import Message

from paceline.v1 import completion_pb2, race_pb2
from paceline_server.completion.attempt import CallEvent
from paceline_server.completion.errors import CallFailed, InvalidRequest, Violation
from paceline_server.completion.race import CandidateEnded, RaceEvent
from paceline_server.rpc.encoding import encode_event
from paceline_server.rpc.race_encoding import encode_race_event, encode_race_response
from paceline_server.rpc.race_requests import RaceCall, decode_race_request
from paceline_server.rpc.race_strategies import above_the_race
from paceline_server.rpc.shell import Rpc
from paceline_server.strategies import engine
from paceline_server.strategies.assembly import Assembly
from paceline_server.strategies.call import Call
from paceline_server.strategies.race import Race
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.limits import NO_LIMITS
from paceline_server.strategies.racing.spec import RaceSpec
from paceline_server.strategies.verdict import deadline_exceeded


class RaceRpc:
    """The methods of RaceService."""

    def __init__(self, assembly: Assembly) -> None:
        """Let the models of `assembly` race."""
        self._assembly = assembly

    async def race(self, request: race_pb2.RaceRequest, rpc: Rpc) -> race_pb2.RaceResponse:
        """Answer when the winner's answer is complete."""
        call, race = self._open(request, rpc)
        completion = await engine.complete(call, race)
        rpc.served_by = completion.target
        return encode_race_response(call, completion)

    async def stream_race(self, request: race_pb2.RaceRequest, rpc: Rpc) -> None:
        """Answer as the winner writes."""
        call, race = self._open(request, rpc)

        def sink(event: CallEvent) -> Awaitable[None]:
            return rpc.write(encode_event(event, race_pb2.StreamRaceResponse()))

        ended: dict[int, race_pb2.Candidate] = {}

        def tell(event: RaceEvent) -> Awaitable[None]:
            message = encode_race_event(event)
            if isinstance(event, CandidateEnded):
                ended[event.candidate.index] = message.candidate_ended.candidate
            return rpc.write(message)

        started = completion_pb2.Started(call_id=call.call_id)
        if not await rpc.written_in_time(race_pb2.StreamRaceResponse(started=started)):
            raise deadline_exceeded()
        try:
            completion = await engine.stream_race(call, race, sink, tell)
        except CallFailed:
            await rpc.write_last(_last_words(call))
            raise
        rpc.served_by = completion.target
        finished = race_pb2.StreamRaceResponse(finished=encode_race_response(call, completion, ended))
        # Not read in time, it still waits to be read: a status that says otherwise would contradict it.
        await rpc.written_in_time(finished)

    def _open(self, request: race_pb2.RaceRequest, rpc: Rpc) -> tuple[Call, Race]:
        decoded = decode_race_request(request)
        race = self._race(decoded)
        call = Call(
            rpc.call_id,
            decoded.prompt,
            rpc.started_at,
            rpc.deadline,
            decoded.options,
            tells_all=decoded.tells_all,
        )
        rpc.call = call
        return call, race

    def _race(self, decoded: RaceCall) -> Race:
        if decoded.candidates:
            limits = decoded.limits or NO_LIMITS
            return self._assembly.race(RaceSpec(decoded.candidates, decoded.rule or First(), limits))
        race = self._assembly.race_named(decoded.name, decoded.rule, decoded.limits)
        _check_quorum(decoded, len(race.candidates))
        return race


def _check_quorum(decoded: RaceCall, candidate_count: int) -> None:
    """How many candidates a named race has is known only once it was looked up."""
    quorum = decoded.rule.quorum if isinstance(decoded.rule, Consensus) else None
    if quorum is not None and quorum > candidate_count:
        description = above_the_race(quorum, candidate_count)
        raise InvalidRequest([Violation("strategy.consensus.quorum", description)])


def _last_words(call: Call) -> Iterator[Message]:
    """Each end comes before the status, those of what the deadline cut off too."""
    for event in call.record.last_words():
        yield encode_event(event, race_pb2.StreamRaceResponse())
    race = call.record.race
    for candidate in () if race is None else race.untold():
        yield encode_race_event(CandidateEnded(candidate))
