"""What shows a test that a time has passed, without a clock of its own: a later call has run out of it."""

from __future__ import annotations

from google.protobuf import duration_pb2

from paceline.v1 import chain_pb2
from tests.rpc.gateway import Gate, ask, failure
from tests.rpc.test_race_streams import race

LATER = ("acme/later", "acme/later")
"""Models of which nothing is ever heard; each test plays them `silent`."""


async def decision_timeout_passes(gate: Gate, limit: str) -> None:
    """Race for as long, with those that are silent."""
    told = await failure(gate.race.Race(race(*LATER, limits={"decisionTimeout": limit})))
    assert told.reason == "LIMIT_REACHED"


async def candidate_timeout_passes(gate: Gate, limit: str) -> None:
    """Let candidates that are silent take as long."""
    told = await failure(gate.race.Race(race(*LATER, limits={"candidateTimeout": limit})))
    assert told.reason == "LIMIT_REACHED"


async def attempt_timeout_passes(gate: Gate, milliseconds: int) -> None:
    """Let an attempt that is silent take as long."""
    limit = duration_pb2.Duration(nanos=milliseconds * 1_000_000)
    options = chain_pb2.ChainOptions(attempt_timeout=limit, overtake_after=duration_pb2.Duration())
    await gate.chain.Chain(ask("acme/later,acme/at-once", options=options))
