"""The limits of a race over the wire: what forbids a start is told, and what there is is shared (R9)."""

from __future__ import annotations

from typing import Any

import pytest

from paceline_server.completion.answer import Target
from paceline_server.completion.usage import Price
from paceline_server.providers.base import AnswerStream, ProviderRequest
from paceline_server.providers.simulated import SimulatedProvider
from paceline_server.providers.simulated_script import Ok
from paceline_server.providers.simulated_settings import SimulatedModel
from tests.rpc.gateway import failure, gateway, read_stream
from tests.rpc.test_race_streams import candidates_ended, check_grammar, model, race

pytestmark = pytest.mark.usefixtures("listener", "no_errors_logged")

PRICED: dict[str, Any] = {"price": Price(1_000_000_000, 2_000_000_000)}


@pytest.mark.parametrize("unary", [True, False], ids=["unary", "streamed"])
async def test_a_limit_that_forbids_every_start_is_told(*, unary: bool) -> None:
    """R9, LIMIT_REACHED: RESOURCE_EXHAUSTED, nothing is called, and each candidate says why."""
    models = {"a": model(Ok(), **PRICED), "b": model(Ok(), **PRICED)}
    asked = race("test/a", "test/b", limits={"maxCostNanoUsd": 0})
    async with gateway(models) as gate:
        if unary:
            failed = await failure(gate.race.Race(asked))
        else:
            told = await read_stream(gate.race.StreamRace(asked))
            check_grammar(told, 2)
            assert told.failure is not None
            failed = told.failure
            assert all("max_cost_nano_usd" in one.status.message for one in candidates_ended(told))
        assert [gate.simulated.call_count(name) for name in ("a", "b")] == [0, 0]
    assert (failed.reason, failed.code.name) == ("LIMIT_REACHED", "RESOURCE_EXHAUSTED")


async def test_no_more_calls_are_made_than_allowed() -> None:
    """R9: `max_started_count` holds over candidates and retries; who came too late was skipped."""
    async with gateway({"a": model(Ok()), "b": model(Ok())}) as gate:
        told = await read_stream(
            gate.race.StreamRace(race("test/a", "test/b", limits={"maxStartedCount": 1}))
        )
        assert sum(gate.simulated.call_count(name) for name in ("a", "b")) == 1
    check_grammar(told, 2)
    outcomes = [candidate.outcome for candidate in told.finished.summary.candidates]
    assert sorted(outcomes) == [1, 6]


async def test_an_unknown_price_under_a_limit_of_money_is_refused() -> None:
    """R9: the priced candidate answers; the other is REJECTED, with what to do about it."""
    models = {"a": model(Ok()), "b": model(Ok(), **PRICED)}
    async with gateway(models) as gate:
        told = await read_stream(
            gate.race.StreamRace(race("test/a", "test/b", limits={"maxCostNanoUsd": 10**9}))
        )
        assert gate.simulated.call_count("a") == 0
    check_grammar(told, 2)
    refused, won = told.finished.summary.candidates
    assert (refused.outcome, won.outcome) == (7, 1)
    assert "price" in refused.status.message


class Held(SimulatedProvider):
    """Keeps how long the answers may be that it is asked for."""

    def __init__(self, models: dict[str, SimulatedModel]) -> None:
        """Answer as `test`."""
        super().__init__("test", models, seed=1)
        self.held_to: list[int | None] = []

    async def open(self, request: ProviderRequest) -> AnswerStream:
        """As simulated."""
        self.held_to.append(request.prompt.config.max_output_token_count)
        return await super().open(request)


async def test_candidates_that_start_together_share_the_tokens() -> None:
    """R9: three that set no maximum get a third each, enforced by the provider."""
    names = ("a", "b", "c")
    provider = Held({name: model(Ok(), answer="word " * 500) for name in names})
    specs = [str(Target("test", name)) for name in names]
    asked = race(*specs, limits={"maxOutputTokenCount": 300}, strategy={"weighted": {}})
    async with gateway(providers=[provider]) as gate:
        told = await read_stream(gate.race.StreamRace(asked))
    check_grammar(told, 3)
    assert provider.held_to == [100, 100, 100]
    assert told.finished.total_usage.output_token_count <= 300
