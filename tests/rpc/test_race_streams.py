"""The grammar of a race's stream, for every strategy, and what becomes of a race that fails or is left."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf import json_format

from paceline.v1 import completion_pb2, race_pb2
from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.prompt import GenerationConfig, Prompt
from paceline_server.providers.base import Answer, Profile, ProviderRequest
from paceline_server.providers.simulated import SimulatedProvider
from paceline_server.providers.simulated_script import (
    AfterScript,
    Cut,
    Fail,
    Filtered,
    Malformed,
    Ok,
    Stall,
    Step,
)
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.strategies.call import AttemptConfig
from paceline_server.strategies.racing.first import First
from paceline_server.strategies.racing.spec import CandidateSpec, RaceSpec
from tests.as_given import AsGiven
from tests.rpc.gateway import (
    Gate,
    Told,
    ask,
    failure,
    gateway,
    none_but,
    other_tasks,
    read_stream,
    said,
    texts,
)
from tests.rpc.grammar import check_attempts, fold, standing

pytestmark = pytest.mark.usefixtures("listener", "no_errors_logged")

CONFIG = AttemptConfig(first_content_timeout=0.01, gap_timeout=0.01, retry_backoff=1e-6, shortest_share=0.01)
ANSWER = "One two three, four five six. Seven eight nine."

OUTCOME = race_pb2.CandidateOutcome


def model(step: Step, answer: str = ANSWER, **settings: Any) -> SimulatedModel:
    """A model that takes one step for ever, token by token."""
    return SimulatedModel(
        answer=answer, script=(step,), after_script=AfterScript.LAST, merge=False, **settings
    )


def race(*specs: str, **fields: Any) -> race_pb2.RaceRequest:
    """A race of these models; further fields as JSON."""
    whole = {"candidates": [{"model": spec} for spec in specs], **fields}
    request = json_format.ParseDict(whole, race_pb2.RaceRequest())
    request.prompt.CopyFrom(said())
    return request


def candidates_ended(told: Told) -> list[race_pb2.Candidate]:
    """The candidates in the order in which their ends were told."""
    return [event.candidate_ended.candidate for event in told.events if event.HasField("candidate_ended")]


def check_candidates(told: Told, count: int) -> None:
    """Each candidate ends once, with an outcome, and starts at most once and before its end."""
    ended = [candidate.index for candidate in candidates_ended(told)]
    assert sorted(ended) == list(range(count))
    assert all(candidate.outcome for candidate in candidates_ended(told))
    started = [event.candidate_started.index for event in told.events if event.HasField("candidate_started")]
    assert len(set(started)) == len(started)
    for candidate in candidates_ended(told):
        never = candidate.outcome in (OUTCOME.CANDIDATE_OUTCOME_SKIPPED, OUTCOME.CANDIDATE_OUTCOME_REJECTED)
        assert never == (candidate.index not in started), candidate
        assert never != candidate.HasField("latency")


def check_deltas(told: Told) -> None:
    """The winner's deltas come after he was selected, and anew after each retraction."""
    selected = False
    for event in told.events:
        selected = selected or event.HasField("winner_selected")
        assert selected or not event.HasField("delta")


def check_finished(told: Told) -> None:
    """`finished` is what the stream has told, and its totals are the sums of their children."""
    finished = told.finished
    summary = finished.summary
    assert fold(standing(told)) == list(finished.completion.parts)
    assert finished.call_id == told.events[0].started.call_id
    assert list(summary.candidates) == sorted(candidates_ended(told), key=lambda one: one.index)
    last = [event.winner_selected for event in told.events if event.HasField("winner_selected")][-1]
    assert (summary.selected_index, summary.decision) == (last.index, last.decision)
    won = [one.index for one in summary.candidates if one.outcome == OUTCOME.CANDIDATE_OUTCOME_WON]
    assert won == [summary.selected_index]
    outputs = [one.usage.output_token_count for one in summary.candidates]
    assert finished.total_usage.output_token_count == sum(outputs)
    assert summary.loser_usage.output_token_count == sum(outputs) - outputs[summary.selected_index]


def check_grammar(told: Told, count: int) -> None:
    """Everything that the contract says of the stream of a race of so many candidates without a judge."""
    kinds = told.kinds()
    assert kinds[0] == "started"
    assert kinds.count("started") == 1
    assert kinds.count("finished") == (told.failure is None)
    check_attempts(told)
    check_candidates(told, count)
    check_deltas(told)
    fold(standing(told))
    if told.failure is None:
        assert kinds[-1] == "finished"
        check_finished(told)
    else:
        assert told.failure.reason
        assert told.failure.call_failure.call_id == told.events[0].started.call_id


STEPS: list[Step] = [
    Ok(),
    Fail(FailureClass.TRANSIENT),
    Fail(FailureClass.OVERLOADED, before_headers=False),
    Fail(FailureClass.INVALID_REQUEST),
    Cut(0),
    Cut(3),
    Cut(10_000),
    Malformed(12),
    Filtered(0),
    Filtered(7),
    Stall(0),
    Stall(0, before_headers=True),
    Stall(9),
]
STRATEGIES: list[dict[str, Any]] = [
    {"first": {}},
    {"first": {"grace": "0.001s"}},
    {"first": {"minimumConfidence": 0.5}},
    {"best": {}},
    {"best": {"scorer": {"agreement": {}}}},
    {"consensus": {}},
    {"consensus": {"quorum": 3}},
    {"weighted": {}},
    {"quality": {}},
    {"hedged": {"delay": "0.001s"}},
]
RECOVERIES = ["RECOVERY_NONE", "RECOVERY_HOLD", "RECOVERY_RESTART", "RECOVERY_CONTINUE"]


@pytest.mark.parametrize("step", STEPS, ids=str)
async def test_every_race_keeps_the_grammar(step: Step) -> None:
    """R3 to R8, the stream, rules 1 to 5: for every strategy, script and recovery."""
    models = {
        "a": model(step, confidence=0.9),
        "b": model(Ok(), confidence=0.7),
        "c": model(Ok(), "Ten.", confidence=0.8),
    }
    async with gateway(models, attempts=CONFIG, maximum_deadline=5.0) as gate:
        for number, (strategy, recovery) in enumerate(itertools.product(STRATEGIES, RECOVERIES)):
            everything = number % 3 == 0
            gate.health.unbench(Target("test", "a"))
            request = race(
                "test/a",
                "test/b",
                "test/c",
                strategy=strategy,
                recovery=recovery,
                streamAllCandidates=everything,
                limits={"decisionTimeout": "0.1s"},
            )
            told = await read_stream(gate.race.StreamRace(request))
            check_grammar(told, 3)
            if not everything:
                assert not {"candidate_delta", "candidate_output_discarded"} & set(told.kinds())
        assert not gate.bugs
        assert gate.simulated.open_stream_count == 0


async def test_all_candidates_are_streamed_on_request() -> None:
    """RaceRequest.stream_all_candidates: each candidate's own deltas come to its own answer."""
    models = {"a": model(Ok(), confidence=0.9), "b": model(Ok(), "Ten.", confidence=0.1)}
    async with gateway(models) as gate:
        request = race("test/a", "test/b", strategy={"best": {}}, streamAllCandidates=True)
        told = await read_stream(gate.race.StreamRace(request))
    check_grammar(told, 2)
    for candidate in told.finished.summary.candidates:
        own = [event.candidate_delta for event in told.events if event.HasField("candidate_delta")]
        deltas = [one.delta for one in own if one.index == candidate.index]
        assert fold(deltas) == list(candidate.completion.parts)


class NeverFits(AsGiven):
    """A fitter that is still at work on the prompts of one provider when the race is over."""

    async def fitted(self, prompt: Prompt, provider: str, profile: Profile) -> Prompt:
        """As given, or never."""
        if provider == "other":
            await asyncio.Event().wait()
        return prompt


async def test_who_was_never_sent_was_skipped() -> None:
    """R10, CANDIDATE_OUTCOME_SKIPPED: a race decided before a candidate's turn has not cancelled him."""
    providers = [SimulatedProvider(name, {"a": model(Ok())}, seed=1) for name in ("test", "other")]
    request = race("test/a", "other/a")
    async with gateway(providers=providers, fitter=NeverFits()) as gate:
        told = await read_stream(gate.race.StreamRace(request))
        unary = await gate.race.Race(request)
    check_grammar(told, 2)
    for response in (told.finished, unary):
        skipped = response.summary.candidates[1]
        assert skipped.outcome == OUTCOME.CANDIDATE_OUTCOME_SKIPPED
        assert "before its turn" in skipped.status.message
        assert not skipped.HasField("latency")
        assert not skipped.HasField("usage")


async def test_a_unary_race_answers_as_the_stream_does() -> None:
    """StreamRace: `finished` is what Race would have returned."""
    models = {"a": model(Ok(), confidence=0.9), "b": model(Ok(), "Ten.", confidence=0.1)}
    request = race("test/a", "test/b", strategy={"best": {}})
    async with gateway(models) as gate:
        streamed = (await read_stream(gate.race.StreamRace(request))).finished
        unary = await gate.race.Race(request)
    assert unary.completion == streamed.completion
    assert unary.call_id != streamed.call_id
    assert unary.total_usage == streamed.total_usage
    for whole in (unary.summary, streamed.summary):
        whole.ClearField("decision_latency")
        for candidate in whole.candidates:
            for timed in ("first_content_latency", "latency", "attempts", "finish_rank", "finished_first"):
                candidate.ClearField(timed)
    assert unary.summary == streamed.summary


async def test_the_log_names_the_winner() -> None:
    """S6, R10: the target of a race's line is the winner's, though a loser answered, too."""
    models = {"a": model(Ok(), confidence=0.1), "b": model(Ok(), confidence=0.9)}
    async with gateway(models) as gate:
        request = race("test/a", "test/b", strategy={"best": {}})
        await gate.race.Race(request)
        await read_stream(gate.race.StreamRace(request))
        ended = await gate.book.ended(2)
    assert [one.target for one in ended] == [Target("test", "b")] * 2
    assert [len(one.attempts) for one in ended] == [2, 2]


async def test_a_consensus_that_fails_tells_the_dissent() -> None:
    """R6, NO_CONSENSUS: FAILED_PRECONDITION, with each group and what the losers cost."""
    models = {"a": model(Ok(), "Four."), "b": model(Ok(), "Five.")}
    request = race("test/a", "test/b", strategy={"consensus": {"quorum": 2}})
    async with gateway(models) as gate:
        unary = await failure(gate.race.Race(request))
        streamed = await read_stream(gate.race.StreamRace(request))
    check_grammar(streamed, 2)
    assert streamed.failure is not None
    for told in (unary, streamed.failure):
        assert (told.reason, told.code.name) == ("NO_CONSENSUS", "FAILED_PRECONDITION")
        failed = told.call_failure
        assert sorted(group.preview for group in failed.groups) == ["Five.", "Four."]
        assert len(failed.attempts) == 2
        assert failed.loser_usage == failed.total_usage
        assert failed.total_usage.output_token_count > 0


async def test_a_judge_is_billed_and_is_no_candidate() -> None:
    """R5, RaceSummary.loser_usage: what a judge consumed is in the total; a candidate may judge, too."""
    models = {"a": model(Ok(), '{"scores": []}'), "b": model(Ok(), "Ten.")}
    strategy = {"best": {"scorer": {"judge": {"model": "test/a", "rubric": "Brevity."}}}}
    async with gateway(models) as gate:
        told = await read_stream(gate.race.StreamRace(race("test/a", "test/b", strategy=strategy)))
        assert [gate.simulated.call_count(name) for name in ("a", "b")] == [2, 1]
        assert not gate.bugs
    check_candidates(told, 2)
    finished = told.finished
    assert fold(standing(told)) == list(finished.completion.parts)
    ends = [event.attempt_ended.attempt for event in told.events if event.HasField("attempt_ended")]
    (judging,) = [attempt for attempt in ends if "judge" in attempt.path]
    assert judging.usage.output_token_count > 0
    assert all(judging not in candidate.attempts for candidate in finished.summary.candidates)
    total = sum(attempt.usage.output_token_count for attempt in ends)
    assert finished.total_usage.output_token_count == total
    winner = finished.summary.candidates[finished.summary.selected_index]
    assert finished.summary.loser_usage.output_token_count == total - winner.usage.output_token_count


async def test_a_race_that_must_decide_without_an_answer_has_reached_its_limit() -> None:
    """R2, LIMIT_REACHED: RESOURCE_EXHAUSTED, when `decision_timeout` passes and nobody has an answer."""
    limits = {"decisionTimeout": "0.02s"}
    async with gateway({"a": model(Stall(0)), "b": model(Stall(0))}) as gate:
        told = await read_stream(gate.race.StreamRace(race("test/a", "test/b", limits=limits)))
        unary = await failure(gate.race.Race(race("test/a", "test/b", limits=limits)))
    check_grammar(told, 2)
    assert told.failure is not None
    for failed in (told.failure, unary):
        assert (failed.reason, failed.code.name) == ("LIMIT_REACHED", "RESOURCE_EXHAUSTED")
        assert len(failed.call_failure.attempts) == 2


class Asked(SimulatedProvider):
    """Keeps the settings that it is asked with."""

    def __init__(self, models: Mapping[str, SimulatedModel]) -> None:
        """Answer as `test`."""
        super().__init__("test", models, seed=1)
        self.configs: list[GenerationConfig] = []

    async def complete(self, request: ProviderRequest) -> Answer:
        """As simulated."""
        self.configs.append(request.prompt.config)
        return await super().complete(request)


async def test_each_candidate_has_its_own_settings() -> None:
    """R1, RaceCandidate.config: what it sets replaces the prompt's, for this candidate alone."""
    request = race()
    for temperature in (0.0, 1.5):
        one = request.candidates.add(model="test/a")
        one.config.temperature = temperature
    request.candidates.add(model="test/a")
    request.prompt.config.temperature = 0.5
    request.prompt.config.top_k = 3
    request.strategy.weighted.SetInParent()
    provider = Asked({"a": model(Ok())})
    async with gateway(providers=[provider]) as gate:
        response = await gate.race.Race(request)
    assert [one.index for one in response.summary.candidates] == [0, 1, 2]
    settings = sorted((config.temperature, config.top_k) for config in provider.configs)
    assert settings == [(0.0, 3), (0.5, 3), (1.5, 3)]


async def test_a_race_that_fails_tells_every_cause_first() -> None:
    """R8, the stream, rule 2: all ends come before the status, which has each candidate's reason."""
    models = {"a": model(Fail(FailureClass.QUOTA)), "b": model(Fail(FailureClass.OVERLOADED))}
    async with gateway(models, attempts=CONFIG) as gate:
        told = await read_stream(gate.race.StreamRace(race("test/a", "test/b")))
    check_grammar(told, 2)
    assert told.failure is not None
    assert told.failure.reason == "ALL_ATTEMPTS_FAILED"
    classes = {attempt.failure_class for attempt in told.failure.call_failure.attempts}
    assert {completion_pb2.FAILURE_CLASS_QUOTA, completion_pb2.FAILURE_CLASS_OVERLOADED} <= classes
    assert all(one.status.code for one in candidates_ended(told))


async def test_ends_that_the_deadline_cut_off_are_told() -> None:
    """R2, the stream, rule 2: a race that nobody has answered tells each end before its status."""
    models = {"a": model(Stall(0)), "b": model(Stall(0, before_headers=True))}
    async with gateway(models, maximum_deadline=0.3) as gate:
        told = await read_stream(gate.race.StreamRace(race("test/a", "test/b")))
        assert gate.simulated.open_stream_count == 0
    check_grammar(told, 2)
    assert told.failure is not None


async def test_a_winner_cut_off_by_the_deadline_is_told() -> None:
    """S1, the stream, rule 2: the deadline ends a winner that streams, and his end is told first."""
    async with gateway({"a": model(Stall(3)), "b": model(Stall(0))}, maximum_deadline=0.3) as gate:
        told = await read_stream(gate.race.StreamRace(race("test/a", "test/b")))
    check_grammar(told, 2)
    assert told.failure is not None
    assert told.failure.reason == "DEADLINE_EXCEEDED"
    assert "delta" in told.kinds()


@pytest.mark.parametrize(
    ("spec", "models"),
    [
        ("panel", ["test/a", "test/b"]),
        ("panel,test/c", ["test/a", "test/b"]),
        ("broken,panel", ["test/a", "test/b"]),
        ("broken,test/b", ["test/c"]),
        ("nested", ["test/c", "panel"]),
        ("test/b", None),
    ],
)
async def test_a_chain_tells_of_the_race_that_it_held(spec: str, models: list[str] | None) -> None:
    """ChainResponse.race: the one that gave the answer, whole; StreamChain tells no events of races."""
    offered = {"a": model(Stall(0)), "b": model(Ok()), "c": model(Fail(FailureClass.MODEL_NOT_FOUND))}
    races = {
        "panel": RaceSpec((CandidateSpec("test/a"), CandidateSpec("test/b")), First()),
        "broken": RaceSpec((CandidateSpec("test/c"),), First()),
        "nested": RaceSpec((CandidateSpec("test/c"), CandidateSpec("panel")), First()),
    }
    async with gateway(offered, races=races) as gate:
        unary = await gate.chain.Chain(ask(spec))
        streamed = await read_stream(gate.chain.StreamChain(ask(spec)))
        assert not gate.bugs
    assert set(streamed.kinds()) <= {"started", "attempt_started", "attempt_ended", "delta", "finished"}
    for response in (unary, streamed.finished):
        assert texts(response.completion.parts) == ANSWER
        assert response.HasField("race") == (models is not None)
        assert [one.model for one in response.race.candidates] == (models or [])
        assert response.race.HasField("selected_index") == (spec != "test/b" and "broken,test" not in spec)


async def read_until(call: Any, kind: str) -> None:
    """Read a stream until an event of a kind has come."""
    while not (await call.read()).HasField(kind):
        pass


@pytest.mark.parametrize("kind", ["started", "attempt_started", "winner_selected", "delta"])
async def test_a_client_that_vanishes_leaves_nothing(kind: str) -> None:
    """A4, A6: in every phase all candidates are cancelled, the cost is booked, and nobody is penalised."""
    before = other_tasks()
    async with gateway({"a": model(Stall(2)), "b": model(Stall(0))}) as gate:
        call = gate.race.StreamRace(race("test/a", "test/b"))
        await read_until(call, kind)
        call.cancel()
        await nothing_is_left(gate)
    await none_but(before)


async def nothing_is_left(gate: Gate) -> None:
    """One line was told of the call, and nothing runs for it."""
    (ended,) = await gate.book.ended(1)
    assert (ended.code, ended.target) == ("CANCELLED", None)
    assert gate.simulated.open_stream_count == 0
    assert gate.server.in_flight_count == 0
    assert not gate.bugs
    assert not any(record.failures for record in gate.health.snapshot().values())
