"""`paceline race` asks and prints."""

from __future__ import annotations

import json
import signal
import subprocess

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo

from paceline.v1.completion_pb2 import RECOVERY_HOLD, ROLE_SYSTEM
from paceline.v1.errors_pb2 import CallFailure
from paceline.v1.race_pb2 import AnswerGroup
from tests.cli.conftest import Paceline, process
from tests.cli.race_messages import STARTED, race_stream, recovered_race, response, written
from tests.clients.python.fake_gateway import PATIENCE_SECONDS, FakeGateway, Refusal, Silence, serving


def test_the_answer_is_on_standard_output_alone(paceline: Paceline) -> None:
    """A pipe gets the final text and nothing else."""
    with serving(FakeGateway(race_events=recovered_race())) as address:
        result = paceline("race", "p/quick", "p/sure", "hello", "--address", address)
    assert (result.code, result.out) == (0, "right\n")
    assert "output of attempt 0 discarded" in result.err


def test_the_options_reach_the_gateway(paceline: Paceline) -> None:
    """What is asked on the command line is what the gateway is asked."""
    gateway = FakeGateway(race_events=race_stream())
    options = ["--system", "Be brief.", "--max-tokens", "7", "--recovery", "hold", "--timeout", "1m", "--all"]
    options += ["--strategy", "hedged", "--delay", "500ms", "--max-cost", "0.02", "--max-output-tokens", "90"]
    options += ["--decision-timeout", "5s"]
    with serving(gateway) as address:
        assert paceline("race", "a/b,c", "a/b,c", "d", "hello", "--address", address, *options).code == 0
    [request] = gateway.requests
    assert [one.model for one in request.candidates] == ["a/b,c", "a/b,c", "d"]
    assert request.prompt.messages[0].role == ROLE_SYSTEM
    assert request.prompt.config.max_output_token_count == 7
    assert request.recovery == RECOVERY_HOLD
    assert request.stream_all_candidates
    assert request.strategy.hedged.delay.ToMilliseconds() == 500
    assert request.limits.max_cost_nano_usd == 20_000_000
    assert request.limits.max_output_token_count == 90
    assert request.limits.decision_timeout.ToSeconds() == 5
    assert gateway.time_left == pytest.approx(60, abs=5)


def test_a_name_alone_is_that_of_a_race(paceline: Paceline) -> None:
    """One MODEL is a race of the configuration, unless it is written as a target or a chain."""
    gateway = FakeGateway(race_events=race_stream())
    with serving(gateway) as address:
        for spec in ("panel", "a/b", "a,b"):
            assert paceline("race", spec, "hello", "--address", address).code == 0
    asked = [(request.model, [one.model for one in request.candidates]) for request in gateway.requests]
    assert asked == [("panel", []), ("", ["a/b"]), ("", ["a,b"])]
    assert not any(request.HasField("strategy") or request.HasField("limits") for request in gateway.requests)


def test_a_whole_answer_may_be_asked_for(paceline: Paceline) -> None:
    """--unary gives the same answer, at once."""
    with serving(FakeGateway(race_answer=response())) as address:
        result = paceline("race", "a/b", "a/c", "hello", "--unary", "--address", address)
    assert (result.code, result.out) == (0, "right\n")
    assert "race of 2: candidate 1 (p/sure) won" in result.err


@pytest.mark.parametrize("mode", [[], ["--unary"]])
def test_json_is_one_object_a_line(paceline: Paceline, mode: list[str]) -> None:
    """Every event, or the whole answer, is a line of protobuf's JSON; nothing is mixed in."""
    gateway = FakeGateway(race_events=race_stream(), race_answer=response())
    with serving(gateway) as address:
        result = paceline("race", "panel", "hello", "--address", address, "--json", *mode)
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert len(lines) == (1 if mode else len(race_stream()))
    assert (lines[-1] if mode else lines[-1]["finished"])["callId"] == "c1"
    assert result.err == ""


def dissent() -> Refusal:
    """A consensus that was not reached."""
    groups = [
        AnswerGroup(preview="Yes.", candidate_indices=[0, 2]),
        AnswerGroup(preview="No.\n", candidate_indices=[1]),
    ]
    info = ErrorInfo(domain="paceline", reason="NO_CONSENSUS")
    return Refusal(
        grpc.StatusCode.FAILED_PRECONDITION,
        "they do not agree; the groups of answers are in the details",
        [info, CallFailure(groups=groups)],
    )


@pytest.mark.parametrize(
    "command", [("race", "a/b", "a/c"), ("race", "panel", "--unary"), ("chain", "panel")]
)
def test_dissent_is_told(paceline: Paceline, command: tuple[str, ...]) -> None:
    """R6: without a consensus there is no answer, and the groups are told with what to do."""
    with serving(FakeGateway(refusals=[dissent()])) as address:
        result = paceline(*command, "hello", "--address", address)
    assert (result.code, result.out) == (1, "")
    assert (
        "error: NO_CONSENSUS: they do not agree\n  candidates 0, 2: Yes.\n  candidate 1: No. \n" in result.err
    )
    assert "smaller quorum" in result.err


def test_dissent_is_told_to_programs(paceline: Paceline) -> None:
    """R6: with --json the groups can be read, too."""
    with serving(FakeGateway(refusals=[dissent()])) as address:
        result = paceline("race", "a/b", "a/c", "hello", "--json", "--address", address)
    assert result.code == 1
    assert json.loads(result.err)["error"]["groups"][0] == {"preview": "Yes.", "candidateIndices": [0, 2]}


def test_a_failed_race_leaves_standard_output_empty(paceline: Paceline) -> None:
    """Half an answer is not handed on, and the exit code says so."""
    lost = Refusal(
        grpc.StatusCode.ABORTED, "it broke", [ErrorInfo(domain="paceline", reason="STREAM_BROKEN")]
    )
    with serving(FakeGateway(race_events=[STARTED, written("half"), lost])) as address:
        result = paceline("race", "a/b", "a/c", "hello", "--address", address)
    assert (result.code, result.out) == (1, "")
    assert "error: STREAM_BROKEN: it broke" in result.err


def refused(reason: str, message: str, field: str = "") -> Refusal:
    """A refusal with its reason, and the field that it is about."""
    details: list[Message] = [ErrorInfo(domain="paceline", reason=reason)]
    if field:
        details.append(BadRequest(field_violations=[BadRequest.FieldViolation(field=field, description="x")]))
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, message, details)


@pytest.mark.parametrize("mode", [[], ["--unary"]])
@pytest.mark.parametrize(
    ("models", "refusal", "remedy"),
    [
        (
            ["demo"],
            refused("INVALID_SPEC", "'demo' is a chain", "model"),
            "use: paceline chain demo, or name",
        ),
        (["a/b"], refused("INVALID_SPEC", "unreadable", "model"), "write provider/model"),
        (
            ["demo"],
            refused("INVALID_SPEC", "unreadable", "strategy.best.scorer.judge.model"),
            "provider/model",
        ),
        (["a/b"], refused("LIMIT_REACHED", "limits.max_cost_nano_usd leaves too little"), "--max-cost, or"),
        (["a/b"], refused("LIMIT_REACHED", "raise limits.decision_timeout"), "with --decision-timeout, or"),
        (
            ["a/b"],
            refused("LIMIT_REACHED", "limits.max_started_count leaves none"),
            "allow the race more, or",
        ),
    ],
)
def test_a_remedy_speaks_of_what_was_typed(
    paceline: Paceline, models: list[str], refusal: Refusal, remedy: str, mode: list[str]
) -> None:
    """The gateway names fields of its contract; what to do names options and commands."""
    with serving(FakeGateway(refusals=[refusal])) as address:
        result = paceline("race", *models, "hello", "--address", address, *mode)
    assert result.code == 1
    assert remedy in result.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("prompt", "hinted"),
    [("a/c", True), ("and/or?", True), ("a/c or b/d?", False), ("hello", False), ("/", False)],
)
def test_a_forgotten_prompt_is_hinted_at(paceline: Paceline, prompt: str, *, hinted: bool) -> None:
    """A last model in the place of the prompt is asked all the same, as a prompt may look so, but told."""
    gateway = FakeGateway(race_events=race_stream())
    with serving(gateway) as address:
        result = paceline("race", "a/b", prompt, "--address", address)
        told = paceline("race", "a/b", prompt, "--address", address, "--json")
    assert (result.code, result.out, told.err) == (0, "right\n", "")
    assert (f"the prompt is '{prompt}'; was it meant as a model?" in result.err) == hinted


def test_nobody_listening_exits_with_2(paceline: Paceline) -> None:
    """An unreachable gateway is told apart from a failed call."""
    with serving(FakeGateway()) as address:
        pass
    assert paceline("race", "a/b", "a/c", "hello", "--address", address).code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["hello"],
        ["a/b", " "],
        ["a/b"] * 17 + ["hello"],
        ["a/b", "a/c", "hello", "--strategy", "slowest"],
        ["a/b", "a/c", "hello", "--quorum", "2"],
        ["a/b", "a/c", "hello", "--strategy", "consensus", "--quorum", "3"],
        ["a/b", "a/c", "hello", "--max-cost", "much"],
    ],
)
def test_wrong_usage_exits_with_2(paceline: Paceline, arguments: list[str]) -> None:
    """A command line that makes no sense asks nobody."""
    gateway = FakeGateway(race_events=race_stream())
    with serving(gateway) as address:
        result = paceline("race", *arguments, "--address", address)
    assert (result.code, result.out, gateway.requests) == (2, "", [])


def test_the_prompt_may_come_from_standard_input() -> None:
    """A prompt of - is what comes through the pipe."""
    gateway = FakeGateway(race_events=race_stream())
    with (
        serving(gateway) as address,
        process("race", "a/b", "a/c", "-", "--address", address, stdin=subprocess.PIPE) as running,
    ):
        out, _ = running.communicate("a long\nletter", timeout=PATIENCE_SECONDS)
    assert out == "right\n"
    assert gateway.requests[0].prompt.messages[0].parts[0].text.text == "a long\nletter"


def test_an_interrupt_cancels_the_race() -> None:
    """Ctrl-C ends the call at the gateway too, without a traceback, with the code of shells."""
    gateway = FakeGateway(race_events=[STARTED, Silence()])
    with serving(gateway) as address, process("race", "panel", "hello", "--address", address) as running:
        assert gateway.silent.wait(PATIENCE_SECONDS)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE_SECONDS)
        assert gateway.left.wait(PATIENCE_SECONDS)
    assert (running.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert err.endswith("interrupted\n")
