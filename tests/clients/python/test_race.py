"""Races are asked for whole or as the winner writes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, get_args

import grpc
import pytest

from paceline.v1.completion_pb2 import (
    RECOVERY_NONE,
    RECOVERY_UNSPECIFIED,
    ROLE_SYSTEM,
    ROLE_USER,
    Delta,
    GenerationConfig,
    OutputDiscarded,
    Started,
    TextDelta,
)
from paceline.v1.race_pb2 import (
    CandidateDelta,
    CandidateEnded,
    Consensus,
    RaceCandidate,
    RaceLimits,
    RaceResponse,
    RaceStrategy,
    StreamRaceResponse,
    WinnerSelected,
)
from paceline_client.connect import connect
from paceline_client.errors import CallFailed, UnfinishedStream
from paceline_client.fold import Fold
from paceline_client.prompt import RecoveryName
from paceline_client.race import (
    EquivalenceName,
    StrategyName,
    equivalence_value,
    race,
    race_request,
    stream_race,
)
from tests.clients.python.fake_gateway import FakeGateway, Refusal, serving

REQUEST = race_request(["test/a", "test/b"], "hello")


def written(text: str) -> Delta:
    """An increment of text."""
    return Delta(text=TextDelta(text=text))


STARTED = StreamRaceResponse(started=Started(call_id="c1"))
ENDED = StreamRaceResponse(candidate_ended=CandidateEnded())
FINISHED = StreamRaceResponse(finished=RaceResponse(call_id="c1"))
EVENTS = [
    STARTED,
    StreamRaceResponse(candidate_delta=CandidateDelta(index=1, delta=written("Not this"))),
    StreamRaceResponse(winner_selected=WinnerSelected(index=0)),
    StreamRaceResponse(delta=written("Hm, ")),
    StreamRaceResponse(output_discarded=OutputDiscarded()),
    StreamRaceResponse(winner_selected=WinnerSelected(index=1)),
    StreamRaceResponse(delta=written("Fo")),
    StreamRaceResponse(candidate_delta=CandidateDelta(index=0, delta=written("Nor this"))),
    StreamRaceResponse(delta=written("ur.")),
    ENDED,
    FINISHED,
]


def test_a_request_lists_candidates_or_names_a_race() -> None:
    """RaceRequest: exactly one of `candidates` and `model`; what is not given stays unset."""
    assert [one.model for one in REQUEST.candidates] == ["test/a", "test/b"]
    assert not REQUEST.model
    named = race_request("panel", "hello")
    assert (named.model, list(named.candidates)) == ("panel", [])
    assert not named.HasField("strategy")
    assert not named.HasField("limits")
    assert named.recovery == RECOVERY_UNSPECIFIED


def test_a_request_says_all_that_it_is_told() -> None:
    """RaceRequest: settings of a candidate, the strategy, the limits, and what is to be streamed."""
    own = RaceCandidate(model="test/a", config=GenerationConfig(temperature=1.0), priority=3)
    full = race_request(
        ["test/b", own],
        "hello",
        strategy=RaceStrategy(consensus=Consensus(quorum=2)),
        limits=RaceLimits(max_started_count=4),
        system="Be brief.",
        recovery="none",
        max_output_token_count=7,
        stream_all_candidates=True,
    )
    assert [message.role for message in full.prompt.messages] == [ROLE_SYSTEM, ROLE_USER]
    assert list(full.candidates) == [RaceCandidate(model="test/b"), own]
    assert full.strategy.consensus.quorum == 2
    assert full.limits.max_started_count == 4
    assert full.recovery == RECOVERY_NONE
    assert full.prompt.config.max_output_token_count == 7
    assert full.stream_all_candidates


@pytest.mark.parametrize("name", get_args(StrategyName))
def test_a_strategy_goes_by_its_name(name: StrategyName) -> None:
    """RaceStrategy: a kind with its defaults needs no message."""
    assert race_request(["test/a"], "hello", strategy=name).strategy.WhichOneof("kind") == name


def test_each_strategy_has_a_name() -> None:
    """RaceStrategy: none of the contract's kinds is forgotten."""
    assert {field.name for field in RaceStrategy.DESCRIPTOR.fields} == set(get_args(StrategyName))


@pytest.mark.parametrize(
    ("made", "wrong", "choices"),
    [
        (lambda name: race_request(["test/a"], "hello", strategy=name), "frist", StrategyName),
        (lambda name: race_request(["test/a"], "hello", recovery=name), "restrat", RecoveryName),
        (equivalence_value, "jsno", EquivalenceName),
        (equivalence_value, "JSON", EquivalenceName),
    ],
)
def test_a_name_that_is_none_is_told_with_those_there_are(made: Any, wrong: str, choices: Any) -> None:
    """A typing error is a ValueError that says what may be written instead."""
    with pytest.raises(ValueError, match=f"'{wrong}' is no .*{', '.join(get_args(choices))}"):
        made(wrong)


async def test_a_whole_answer_comes_within_its_time() -> None:
    """The time limit travels as the deadline of the call."""
    gateway = FakeGateway(race_answer=RaceResponse(call_id="c1"))
    with serving(gateway) as address:
        async with connect(address) as channel:
            assert (await race(channel, REQUEST, time_limit=timedelta(seconds=60))).call_id == "c1"
    assert gateway.time_left == pytest.approx(60, abs=5)
    assert gateway.requests == [REQUEST]


async def test_a_stream_folds_to_the_winners_answer() -> None:
    """The stream, rule 4: only the winner's deltas since the last retraction are the answer."""
    whole = Fold()
    seen = []
    with serving(FakeGateway(race_events=EVENTS)) as address:
        async with connect(address) as channel, stream_race(channel, REQUEST) as events:
            async for event in events:
                whole.add(event)
                seen.append(event)
    assert seen == EVENTS
    assert whole.text == "Four."


async def test_a_stream_without_its_end_is_no_success() -> None:
    """A truncated answer is never taken for a whole one, though the status is OK."""
    with serving(FakeGateway(race_events=EVENTS[:-1])) as address:
        async with connect(address) as channel, stream_race(channel, REQUEST) as events:
            with pytest.raises(UnfinishedStream):
                async for _ in events:
                    pass


async def test_a_race_that_fails_says_why() -> None:
    """The failure of the call comes after its events, typed; of a unary call likewise."""
    refused = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "they do not agree")
    gateway = FakeGateway(race_events=[STARTED, ENDED, refused])
    with serving(gateway) as address:
        async with connect(address) as channel:
            async with stream_race(channel, REQUEST) as events:
                assert [await anext(events), await anext(events)] == [STARTED, ENDED]
                with pytest.raises(CallFailed, match="they do not agree"):
                    await anext(events)
            gateway.refusals.append(refused)
            with pytest.raises(CallFailed, match="they do not agree"):
                await race(channel, REQUEST)
