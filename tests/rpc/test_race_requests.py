"""Requests for races that break what race.proto states: each is refused by field, all at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2

from paceline.v1 import completion_pb2, race_pb2
from paceline_server.completion.errors import InvalidRequest
from paceline_server.completion.prompt import GenerationConfig
from paceline_server.routing.catalog import Definition, ModelKind
from paceline_server.rpc.race_requests import decode_race_request
from paceline_server.strategies.call import Recovery
from paceline_server.strategies.racing.best import Best, Scorer
from paceline_server.strategies.racing.consensus import Consensus
from paceline_server.strategies.racing.equivalence import Equivalence
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.hedged import Hedged
from paceline_server.strategies.racing.limits import RaceLimits
from paceline_server.strategies.racing.quality import Quality
from paceline_server.strategies.racing.rule import Rule
from paceline_server.strategies.racing.spec import CandidateSpec, RaceSpec
from paceline_server.strategies.racing.weighted import Weighted
from tests.rpc.gateway import Failure, Gate, failure, gateway, read_stream, said

pytestmark = pytest.mark.usefixtures("listener")

A, B = {"model": "test/a"}, {"model": "test/b"}
STRANGE = b"\x7a\x00"
"""Field 15, a message: what a later version of the contract may add to a oneof."""


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    """A gateway with a chain and a race of two among its names."""
    pair = Definition(ModelKind.CHAIN, ("test/a", "test/b"))
    panel = RaceSpec((CandidateSpec("test/a"), CandidateSpec("test/b")), First())
    async with gateway(definitions={"pair": pair}, races={"panel": panel}) as running:
        yield running


def request(**fields: Any) -> race_pb2.RaceRequest:
    """A request from JSON, right but for what is given."""
    whole = json_format.ParseDict({"candidates": [A, B], **fields}, race_pb2.RaceRequest())
    if not whole.HasField("prompt"):
        whole.prompt.CopyFrom(said())
    return whole


async def refused(gate: Gate, wrong: race_pb2.RaceRequest, reason: str) -> Failure:
    """How a request is refused; unary and stream refuse alike, and nothing is called."""
    unary = await failure(gate.race.Race(wrong))
    streamed = await read_stream(gate.race.StreamRace(wrong))
    assert streamed.failure is not None
    assert not streamed.events
    assert unary.status == streamed.failure.status
    assert unary.reason == reason
    assert unary.trailers["paceline-call-id"]
    assert gate.simulated.call_count("a") == 0
    return unary


async def violated(gate: Gate, wrong: race_pb2.RaceRequest, reason: str = "INVALID_REQUEST") -> list[str]:
    """The fields that a refusal names."""
    told = await refused(gate, wrong, reason)
    assert told.code is grpc.StatusCode.INVALID_ARGUMENT
    bad = told.detail(error_details_pb2.BadRequest)
    assert bad is not None
    assert all(violation.description for violation in bad.field_violations)
    return [violation.field for violation in bad.field_violations]


def strategy(**kind: Any) -> dict[str, Any]:
    """A request's strategy."""
    return {"strategy": kind}


HEDGED, CONSENSUS, FIRST = "strategy.hedged", "strategy.consensus", "strategy.first"

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"candidates": []}, "candidates"),
    ({"candidates": [A] * 17}, "candidates"),
    ({"model": "pair"}, "model"),
    ({"prompt": {}}, "prompt.messages"),
    ({"recovery": 42}, "recovery"),
    ({"context": {"taskType": "x" * 65}}, "context.task_type"),
    ({"candidates": [A, {**B, "config": {"temperature": 3}}]}, "candidates[1].config.temperature"),
    (
        {"candidates": [{**A, "config": {"maxOutputTokenCount": 0}}]},
        "candidates[0].config.max_output_token_count",
    ),
    ({"candidates": [{**A, "config": {"stopSequences": [""]}}]}, "candidates[0].config.stop_sequences"),
    ({"candidates": [{**A, "config": {"stopSequences": ["x"] * 17}}]}, "candidates[0].config.stop_sequences"),
    ({"candidates": [{**A, "config": {"reasoningEffort": 9}}]}, "candidates[0].config.reasoning_effort"),
    (strategy(first={"grace": "-0.001s"}), f"{FIRST}.grace"),
    (strategy(first={"grace": "86400.1s"}), f"{FIRST}.grace"),
    (strategy(first={"minimumConfidence": 1.1}), f"{FIRST}.minimum_confidence"),
    (strategy(first={"minimumConfidence": -0.1}), f"{FIRST}.minimum_confidence"),
    (strategy(first={"minimumConfidence": "NaN"}), f"{FIRST}.minimum_confidence"),
    (
        strategy(best={"scorer": {"judge": {"model": "test/a", "rubric": "é" * 4097}}}),
        "strategy.best.scorer.judge.rubric",
    ),
    (strategy(consensus={"equivalence": 99}), f"{CONSENSUS}.equivalence"),
    (strategy(consensus={"quorum": 0}), f"{CONSENSUS}.quorum"),
    (strategy(consensus={"quorum": 3}), f"{CONSENSUS}.quorum"),
    ({"candidates": [], "model": "panel", **strategy(consensus={"quorum": 3})}, f"{CONSENSUS}.quorum"),
    ({"candidates": [], "model": "panel", **strategy(consensus={"quorum": 17})}, f"{CONSENSUS}.quorum"),
    (strategy(consensus={"minimumAgreement": -0.5}), f"{CONSENSUS}.minimum_agreement"),
    (strategy(consensus={"minimumAgreement": 1.5}), f"{CONSENSUS}.minimum_agreement"),
    (strategy(consensus={"minimumAgreement": "Infinity"}), f"{CONSENSUS}.minimum_agreement"),
    (strategy(quality={"grace": "-1s"}), "strategy.quality.grace"),
    (strategy(hedged={"delay": "0s"}), f"{HEDGED}.delay"),
    (strategy(hedged={"delay": "-1s"}), f"{HEDGED}.delay"),
    (strategy(hedged={"quantile": 0}), f"{HEDGED}.quantile"),
    (strategy(hedged={"quantile": 1}), f"{HEDGED}.quantile"),
    (strategy(hedged={"quantile": "NaN"}), f"{HEDGED}.quantile"),
    (strategy(hedged={"minimumDelay": "-0.1s"}), f"{HEDGED}.minimum_delay"),
    (strategy(hedged={"minimumDelay": "2s", "maximumDelay": "1s"}), f"{HEDGED}.minimum_delay"),
    (strategy(hedged={"minimumDelay": "3s"}), f"{HEDGED}.minimum_delay"),
    (strategy(hedged={"maximumDelay": "0s"}), f"{HEDGED}.maximum_delay"),
    (strategy(hedged={"maxHedgeCount": -1}), f"{HEDGED}.max_hedge_count"),
    (strategy(hedged={"maxHedgeCount": 16}), f"{HEDGED}.max_hedge_count"),
    ({"limits": {"maxCostNanoUsd": -1}}, "limits.max_cost_nano_usd"),
    ({"limits": {"maxOutputTokenCount": 0}}, "limits.max_output_token_count"),
    ({"limits": {"maxStartedCount": 0}}, "limits.max_started_count"),
    ({"limits": {"decisionTimeout": "0s"}}, "limits.decision_timeout"),
    ({"limits": {"firstContentTimeout": "-1s"}}, "limits.first_content_timeout"),
    ({"limits": {"candidateTimeout": "86401s"}}, "limits.candidate_timeout"),
]


@pytest.mark.parametrize(
    ("fields", "field"), WRONG, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_a_request_that_breaks_a_rule_is_refused_by_field(
    fields: dict[str, Any], field: str, gate: Gate
) -> None:
    """R1, race.proto: what a race may be is judged before anything starts, and told by field."""
    assert await violated(gate, request(**fields)) == [field]


@pytest.mark.parametrize("path", ["strategy", "strategy.best.scorer", "strategy.hedged"])
async def test_a_kind_of_a_later_version_is_refused(path: str, gate: Gate) -> None:
    """R1: a strategy that this version does not know never passes for the default one."""
    wrong = request()
    wrong.strategy.SetInParent()
    message: Any = wrong
    for name in path.split("."):
        message = getattr(message, name)
    message.SetInParent()
    message.MergeFromString(STRANGE)
    assert await violated(gate, wrong) == [path]


SPECS: list[tuple[dict[str, Any], str]] = [
    ({"candidates": [A, B, {}]}, "candidates[2].model"),
    ({"candidates": [{"model": " "}]}, "candidates[0].model"),
    ({"candidates": [{"model": "test/a,"}]}, "candidates[0].model"),
    ({"candidates": [{"model": "test/" + "x" * 1020}]}, "candidates[0].model"),
    ({"candidates": [], "model": "test/a,"}, "model"),
    ({"candidates": [], "model": " "}, "model"),
    ({"candidates": [], "model": "pair"}, "model"),
    ({"candidates": [], "model": "test/a"}, "model"),
    (strategy(best={"scorer": {"judge": {}}}), "strategy.best.scorer.judge.model"),
    (strategy(best={"scorer": {"judge": {"model": "/a"}}}), "strategy.best.scorer.judge.model"),
    (strategy(consensus={"equivalence": "EQUIVALENCE_JUDGE"}), f"{CONSENSUS}.judge_model"),
    (strategy(consensus={"equivalence": "EQUIVALENCE_JUDGE", "judgeModel": "/"}), f"{CONSENSUS}.judge_model"),
]


@pytest.mark.parametrize(
    ("fields", "field"), SPECS, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_a_spec_that_cannot_be_used_is_refused_by_field(
    fields: dict[str, Any], field: str, gate: Gate
) -> None:
    """INVALID_SPEC: a candidate, a race or a judge that is empty or cannot be read, by its field."""
    assert await violated(gate, request(**fields), "INVALID_SPEC") == [field]


@pytest.mark.parametrize(
    "fields",
    [
        {"candidates": [A, {"model": "nobody/x"}]},
        {"candidates": [A, {"model": "nothing"}]},
        {"candidates": [], "model": "nothing"},
        strategy(best={"scorer": {"judge": {"model": "nothing"}}}),
    ],
)
async def test_a_model_that_is_not_configured_is_refused(fields: dict[str, Any], gate: Gate) -> None:
    """MODEL_NOT_FOUND, with ResourceInfo, before anything is called."""
    told = await refused(gate, request(**fields), "MODEL_NOT_FOUND")
    info = told.detail(error_details_pb2.ResourceInfo)
    assert info is not None
    assert info.resource_name in ("nobody", "nothing")


async def test_all_violations_are_told_at_once(gate: Gate) -> None:
    """INVALID_REQUEST: candidates, specs, prompt, strategy, limits and context together."""
    wrong = request(
        candidates=[{"config": {"topK": 0}}, B],
        prompt={"config": {"temperature": 3}},
        strategy={"consensus": {"quorum": 9, "equivalence": "EQUIVALENCE_JUDGE"}},
        limits={"maxStartedCount": 0, "decisionTimeout": "-1s"},
        recovery=42,
        context={"taskType": "x" * 65},
    )
    assert set(await violated(gate, wrong)) == {
        "candidates[0].model",
        "candidates[0].config.top_k",
        "prompt.messages",
        "prompt.config.temperature",
        "strategy.consensus.quorum",
        "strategy.consensus.judge_model",
        "limits.max_started_count",
        "limits.decision_timeout",
        "recovery",
        "context.task_type",
    }
    specs = request(candidates=[{}, {"model": "/"}])
    assert await violated(gate, specs, "INVALID_SPEC") == ["candidates[0].model", "candidates[1].model"]


@pytest.mark.parametrize("context", [{"idempotencyKey": "x"}, {"requiredCapabilities": ["CAPABILITY_TOOLS"]}])
async def test_a_promise_that_is_not_kept_is_refused(context: dict[str, Any], gate: Gate) -> None:
    """ErrorReason.UNIMPLEMENTED: what this version does not do is refused, never passed over in silence."""
    told = await refused(gate, request(context=context), "UNIMPLEMENTED")
    assert told.code is grpc.StatusCode.UNIMPLEMENTED


RULES: list[tuple[dict[str, Any], Rule]] = [
    ({}, First()),
    ({"first": {}}, First()),
    ({"first": {"grace": "0s", "minimumConfidence": 0}}, First(minimum_confidence=0)),
    ({"first": {"grace": "1.5s", "minimumConfidence": 1}}, First(grace=1.5, minimum_confidence=1)),
    ({"best": {}}, Best()),
    ({"best": {"scorer": {}}}, Best()),
    ({"best": {"scorer": {"logprobs": {}}}}, Best(Scorer.LOGPROBS)),
    ({"best": {"scorer": {"agreement": {}}}}, Best(Scorer.AGREEMENT)),
    (
        {"best": {"scorer": {"judge": {"model": "test/a", "rubric": "x" * 8192}}}},
        Best(Scorer.JUDGE, "test/a", "x" * 8192),
    ),
    ({"consensus": {}}, Consensus()),
    ({"consensus": {"equivalence": "EQUIVALENCE_JSON", "quorum": 2}}, Consensus(Equivalence.JSON, 2)),
    (
        {"consensus": {"equivalence": "EQUIVALENCE_JUDGE", "judgeModel": "test/a", "minimumAgreement": 0.5}},
        Consensus(Equivalence.JUDGE, None, 0.5, "test/a"),
    ),
    (
        {"consensus": {"equivalence": "EQUIVALENCE_NUMBER", "judgeModel": "/ignored"}},
        Consensus(Equivalence.NUMBER),
    ),
    ({"weighted": {}}, Weighted()),
    ({"quality": {}}, Quality()),
    ({"quality": {"grace": "0s"}}, Quality(0.0)),
    ({"hedged": {}}, Hedged()),
    ({"hedged": {"delay": "0.001s", "maxHedgeCount": 0}}, Hedged(delay=0.001, max_hedge_count=0)),
    (
        {"hedged": {"quantile": 0.5, "minimumDelay": "0s", "maximumDelay": "86400s", "maxHedgeCount": 15}},
        Hedged(quantile=0.5, minimum_delay=0.0, maximum_delay=86400.0, max_hedge_count=15),
    ),
    ({"hedged": {"minimumDelay": "2s"}}, Hedged(minimum_delay=2.0)),
]


@pytest.mark.parametrize(("wire", "rule"), RULES)
def test_each_strategy_becomes_its_rule(wire: dict[str, Any], rule: Rule) -> None:
    """RaceStrategy: every setting arrives, and what is unset is the default of the contract."""
    assert decode_race_request(request(strategy=wire)).rule == rule


def test_the_defaults_of_rules_are_those_of_the_contract() -> None:
    """race.proto: First, Hedged and Consensus name their defaults."""
    assert First() == First(0.0, None)
    assert Hedged() == Hedged(None, 0.95, 0.05, 2.0, 1)
    assert Consensus() == Consensus(Equivalence.NORMALIZED_TEXT, None, 0.0, "")
    assert Best() == Best(Scorer.LOGPROBS)


def test_what_a_request_leaves_out_is_left_to_the_race() -> None:
    """RaceRequest.strategy, limits: unset is that of the virtual model; its name is looked up later."""
    plain = decode_race_request(request(candidates=[], model="panel"))
    assert (plain.name, plain.candidates, plain.rule, plain.limits) == ("panel", (), None, None)
    assert plain.options.recovery is Recovery.RESTART
    assert not plain.tells_all


def test_a_request_arrives_whole() -> None:
    """RaceRequest: candidates with their settings and priorities, limits, recovery and what to stream."""
    decoded = decode_race_request(
        request(
            candidates=[{**A, "config": {"temperature": 0}, "priority": -3}, {**B, "priority": 2**31 - 1}, A],
            limits={
                "maxCostNanoUsd": 0,
                "maxOutputTokenCount": 1,
                "maxStartedCount": 2,
                "decisionTimeout": "0.001s",
                "firstContentTimeout": "2s",
                "candidateTimeout": "86400s",
            },
            recovery="RECOVERY_HOLD",
            streamAllCandidates=True,
        )
    )
    assert decoded.candidates == (
        CandidateSpec("test/a", GenerationConfig(temperature=0), -3),
        CandidateSpec("test/b", None, 2**31 - 1),
        CandidateSpec("test/a"),
    )
    assert decoded.limits == RaceLimits(0, 1, 2, 0.001, 2.0, 86400.0)
    assert decoded.options.recovery is Recovery.HOLD
    assert decoded.tells_all


def test_sixteen_candidates_are_allowed() -> None:
    """R1: 1 to 16 candidates, the same model as often as one likes."""
    decoded = decode_race_request(request(candidates=[A] * 16, strategy={"consensus": {"quorum": 16}}))
    assert len(decoded.candidates) == 16


def test_of_too_many_candidates_none_is_looked_at() -> None:
    """R1: a hostile list costs no more than its count, and the other fields are still judged."""
    wrong = request(candidates=[], strategy={"consensus": {"quorum": 17}})
    wrong.candidates.extend(
        [race_pb2.RaceCandidate(config=completion_pb2.GenerationConfig(top_k=0))] * 10_000
    )
    with pytest.raises(InvalidRequest, match="candidates: has more than 16 entries") as caught:
        decode_race_request(wrong)
    assert [one.field for one in caught.value.violations] == ["candidates", "strategy.consensus.quorum"]
