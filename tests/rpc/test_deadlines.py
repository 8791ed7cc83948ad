"""The time of a whole call: the client's deadline, or the configured maximum."""

from __future__ import annotations

import grpc
import pytest

from paceline.v1 import completion_pb2
from paceline_server.completion.attempt import AttemptOutcome
from paceline_server.providers.simulated_script import AfterScript, Stall
from paceline_server.providers.simulated_settings import SimulatedModel
from tests.rpc.gateway import Failure, Gate, ask, failure, gateway, read_stream

pytestmark = pytest.mark.usefixtures("listener", "no_errors_logged")

STALLING = {"a": SimulatedModel(script=(Stall(3),), after_script=AfterScript.LAST, merge=False)}


def nobody_is_penalised(gate: Gate) -> None:
    """No target has a failure, a bench or a probe."""
    for record in gate.health.snapshot().values():
        assert (record.failures, record.rounds, record.state.name) == (0, 0, "ACTIVE")


def check_told(told: Failure | None) -> None:
    """What a caller learns whose call took too long."""
    assert told is not None
    assert (told.reason, told.code) == ("DEADLINE_EXCEEDED", grpc.StatusCode.DEADLINE_EXCEEDED)
    (attempt,) = told.call_failure.attempts
    assert attempt.outcome == completion_pb2.ATTEMPT_OUTCOME_CANCELLED
    assert told.call_failure.total_usage.input_token_count > 0


async def test_without_a_deadline_the_configured_maximum_ends_the_call() -> None:
    """S1: none given means the configured maximum; the status has CallFailure, and nobody is penalised."""
    async with gateway(STALLING, maximum_deadline=0.2) as gate:
        check_told(await failure(gate.chain.Chain(ask())))
        streamed = await read_stream(gate.chain.StreamChain(ask()))
        check_told(streamed.failure)
        # All `attempt_ended` come before a status that is not OK, that of the attempt which was cut off too.
        assert streamed.kinds()[-2:] == ["delta", "attempt_ended"]
        nobody_is_penalised(gate)
        assert gate.simulated.open_stream_count == gate.simulated.running_unary_call_count == 0


async def test_a_longer_deadline_is_cut_to_the_maximum() -> None:
    """S1: the configured maximum holds for callers who ask for more, too."""
    async with gateway(STALLING, maximum_deadline=0.2) as gate:
        check_told(await failure(gate.chain.Chain(ask(), timeout=100)))


@pytest.mark.parametrize("unary", [True, False])
async def test_the_deadline_of_a_client_penalises_nobody(*, unary: bool) -> None:
    """A4: the caller's own deadline penalises nobody, and the attempt that it ends is booked."""
    async with gateway(STALLING) as gate:
        if unary:
            told: Failure | None = await failure(gate.chain.Chain(ask(), timeout=0.2))
        else:
            told = (await read_stream(gate.chain.StreamChain(ask(), timeout=0.2))).failure
        assert told is not None
        assert told.code is grpc.StatusCode.DEADLINE_EXCEEDED
        (ended,) = await gate.book.ended(1)
        (attempt,) = ended.attempts
        assert attempt.outcome is AttemptOutcome.CANCELLED
        assert ended.code in ("CANCELLED", "DEADLINE_EXCEEDED")
        nobody_is_penalised(gate)
        assert gate.simulated.open_stream_count == gate.simulated.running_unary_call_count == 0
