"""`paceline chain` asks and prints."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess

import click
import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from paceline.v1.completion_pb2 import RECOVERY_HOLD, ROLE_SYSTEM
from paceline_server.cli.answer import VOID
from tests.cli.conftest import Paceline, process
from tests.cli.messages import STARTED, recovered_stream, response, text_event
from tests.clients.python.fake_gateway import PATIENCE_SECONDS, FakeGateway, Refusal, Silence, serving


def test_the_answer_is_on_standard_output_alone(paceline: Paceline) -> None:
    """A pipe gets the final text and nothing else."""
    with serving(FakeGateway(events=recovered_stream())) as address:
        result = paceline("chain", "m", "hello", "--address", address)
    assert (result.code, result.out) == (0, "right\n")
    assert "output of attempt 0 discarded" in result.err


def test_the_options_reach_the_gateway(paceline: Paceline) -> None:
    """What is asked on the command line is what the gateway is asked."""
    gateway = FakeGateway(events=recovered_stream())
    options = ["--system", "Be brief.", "--max-tokens", "7", "--recovery", "hold", "--timeout", "1m"]
    with serving(gateway) as address:
        assert paceline("chain", "a/b,c", "hello", "--address", address, *options).code == 0
    [request] = gateway.requests
    assert request.model == "a/b,c"
    assert request.prompt.messages[0].role == ROLE_SYSTEM
    assert request.prompt.config.max_output_token_count == 7
    assert request.options.recovery == RECOVERY_HOLD
    assert gateway.time_left == pytest.approx(60, abs=5)


def test_the_address_may_come_from_the_environment(
    paceline: Paceline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PACELINE_ADDRESS saves the option."""
    with serving(FakeGateway(answer=response())) as address:
        monkeypatch.setenv("PACELINE_ADDRESS", address)
        result = paceline("chain", "m", "hello", "--unary")
    assert (result.code, result.out) == (0, "right\n")


@pytest.mark.parametrize("mode", [[], ["--unary"]])
def test_json_is_one_object_a_line(paceline: Paceline, mode: list[str]) -> None:
    """Every event, or the whole answer, is a line of protobuf's JSON; nothing is mixed in."""
    gateway = FakeGateway(events=recovered_stream(), answer=response())
    with serving(gateway) as address:
        result = paceline("chain", "m", "hello", "--address", address, "--json", *mode)
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert len(lines) == (1 if mode else len(recovered_stream()))
    assert (lines[-1] if mode else lines[-1]["finished"])["callId"] == "c1"
    assert result.err == ""


def test_a_failed_call_leaves_standard_output_empty(paceline: Paceline) -> None:
    """Half an answer is not handed on, and the exit code says so."""
    info = ErrorInfo(domain="paceline", reason="STREAM_BROKEN")
    broken = Refusal(grpc.StatusCode.ABORTED, "the stream broke", [info])
    with serving(FakeGateway(events=[STARTED, text_event("half"), broken])) as address:
        result = paceline("chain", "m", "hello", "--address", address)
    assert (result.code, result.out) == (1, "")
    assert "error: STREAM_BROKEN: the stream broke" in result.err
    assert "--recovery none" in result.err


def test_a_failure_as_json_is_an_object_too(paceline: Paceline) -> None:
    """With --json a failure can be read by a program."""
    with serving(FakeGateway(refusals=[Refusal(grpc.StatusCode.NOT_FOUND, "no such model")])) as address:
        result = paceline("chain", "m", "hello", "--address", address, "--json")
    assert result.code == 1
    assert json.loads(result.err)["error"] == {"code": "NOT_FOUND", "message": "no such model"}


def test_an_answer_without_its_end_is_a_failure(paceline: Paceline) -> None:
    """A stream that just stops is never taken for an answer."""
    with serving(FakeGateway(events=[STARTED, text_event("half")])) as address:
        result = paceline("chain", "m", "hello", "--address", address)
    assert (result.code, result.out) == (1, "")


def test_a_lost_connection_is_a_failed_call(paceline: Paceline) -> None:
    """A gateway that dies while it answers was there: the call failed, the address was right."""
    lost = Refusal(grpc.StatusCode.UNAVAILABLE, "Socket closed")
    with serving(FakeGateway(events=[STARTED, lost])) as address:
        result = paceline("chain", "m", "hello", "--address", address)
    assert result.code == 1
    assert "UNAVAILABLE: Socket closed" in result.err


def test_nobody_listening_exits_with_2(paceline: Paceline) -> None:
    """An unreachable gateway is told apart from a failed call, and says what to do."""
    with serving(FakeGateway()) as address:
        pass
    result = paceline("chain", "m", "hello", "--address", address)
    assert result.code == 2
    assert "start one with: paceline serve" in result.err


def test_the_prompt_may_come_from_standard_input() -> None:
    """A prompt of - is what comes through the pipe."""
    gateway = FakeGateway(events=recovered_stream())
    with (
        serving(gateway) as address,
        process("chain", "m", "-", "--address", address, stdin=subprocess.PIPE) as running,
    ):
        out, _ = running.communicate("a long\nletter", timeout=PATIENCE_SECONDS)
    assert out == "right\n"
    assert gateway.requests[0].prompt.messages[0].parts[0].text.text == "a long\nletter"


def test_a_terminal_shows_what_became_void() -> None:
    """On a real terminal the text comes as it is written, with a mark where it became void."""
    ours, theirs = pty.openpty()
    with (
        serving(FakeGateway(events=recovered_stream())) as address,
        process("chain", "m", "hello", "--address", address, stdout=theirs, stderr=theirs) as running,
    ):
        os.close(theirs)
        screen = click.unstyle(read_all(ours)).replace("\r\n", "\n")
        assert running.wait(PATIENCE_SECONDS) == 0
    assert f"wrong\nattempt 0 (p/sick) failed after 1.5 s, TRANSIENT: the stream broke\n{VOID}\n" in screen
    assert "\nright\n" in screen


def read_all(terminal: int) -> str:
    """What a program writes to a terminal until it ends."""
    pieces = []
    with os.fdopen(terminal, "rb", buffering=0) as reader:
        while True:
            try:
                piece = reader.read(4096)
            except OSError:
                # What Linux says when the last writer has gone.
                break
            if not piece:
                break
            pieces.append(piece)
    return b"".join(pieces).decode()


def test_an_interrupt_cancels_the_call() -> None:
    """Ctrl-C ends the call at the gateway too, without a traceback, with the code of shells."""
    gateway = FakeGateway(events=[STARTED, Silence()])
    with serving(gateway) as address, process("chain", "m", "hello", "--address", address) as running:
        assert gateway.silent.wait(PATIENCE_SECONDS)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE_SECONDS)
        assert gateway.left.wait(PATIENCE_SECONDS)
    assert (running.returncode, out) == (130, "")
    assert "Traceback" not in err
