"""The log of calls: one line each with the fields that operators search by, and never a prompt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import structlog

from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import Attempt, AttemptOutcome
from paceline_server.completion.usage import NOTHING_USED, Usage, UsageState, total_usage
from paceline_server.providers.simulated_script import AfterScript, Cut
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.telemetry.calls import CallEnded, CallLog
from paceline_server.telemetry.log import Log, configure_log
from tests.rpc.gateway import ask, failure, gateway, read_stream
from tests.rpc.providers import Unprofiled

CANARY = "canary-4711"

FIELDS = {
    "event",
    "call_id",
    "method",
    "code",
    "reason",
    "latency_ms",
    "target",
    "attempt_count",
    "input_token_count",
    "output_token_count",
    "cost_nano_usd",
}


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """The lines of the log, as values."""
    kept: list[dict[str, Any]] = []

    def keep(_logger: object, _name: str, event: Any) -> str:
        kept.append(dict(event))
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    yield kept
    structlog.reset_defaults()


def attempt(outcome: AttemptOutcome, usage: Usage | None, model: str = "a") -> Attempt:
    """One attempt of a call."""
    return Attempt(0, Target("test", model), "", 1, 0.0, outcome, usage=usage)


def tell(code: str, reason: str, latency: float, *attempts: Attempt, log: Log | None = None) -> None:
    """Log a call that has ended so."""
    usage = total_usage(one.usage or NOTHING_USED for one in attempts)
    won = attempts[-1].target if attempts and code == "OK" else None
    CallLog(log).call_ended(CallEnded("id", "/a/b", code, reason, latency, attempts, usage, won))


def test_a_call_is_one_line_with_named_fields(lines: list[dict[str, Any]]) -> None:
    """S6: one line a call, with its id, its end, the target that it was answered by, and its bill."""
    attempts = (
        attempt(AttemptOutcome.FAILED, Usage(3, 4, cost_nano_usd=10, state=UsageState.ESTIMATED)),
        attempt(AttemptOutcome.SKIPPED, None, "b"),
        attempt(AttemptOutcome.SUCCEEDED, None, "loser"),
        attempt(AttemptOutcome.SUCCEEDED, Usage(30, 40, cost_nano_usd=100), "c"),
    )
    tell("OK", "", 1.23456, *attempts)
    (line,) = lines
    assert set(line) == FIELDS
    assert (line["call_id"], line["method"], line["code"], line["reason"]) == ("id", "/a/b", "OK", None)
    assert (line["latency_ms"], line["target"], line["attempt_count"]) == (1234.56, "test/c", 4)
    assert (line["input_token_count"], line["output_token_count"], line["cost_nano_usd"]) == (33, 44, 110)


def test_a_cost_that_is_not_known_is_not_zero(lines: list[dict[str, Any]]) -> None:
    """K4, Usage.cost_nano_usd: no known price is no cost, not a free call."""
    tell("OK", "", 0.0, attempt(AttemptOutcome.SUCCEEDED, Usage(1, 1)))
    assert lines[0]["cost_nano_usd"] is None


def test_a_call_without_attempts_is_a_line_too(lines: list[dict[str, Any]]) -> None:
    """S6: refusals are told like all others."""
    tell("UNAVAILABLE", "DRAINING", 0.0)
    (line,) = lines
    assert (line["reason"], line["target"], line["attempt_count"]) == ("DRAINING", None, 0)


async def test_each_rpc_is_one_line_whatever_becomes_of_it(lines: list[dict[str, Any]]) -> None:
    """S6: answers, failures, refusals, bugs and calls that are left are one line each."""
    log = CallLog()
    models = {"a": SimulatedModel(), "b": SimulatedModel(script=(Cut(2),), after_script=AfterScript.LAST)}
    async with gateway(models) as gate:
        await gate.chain.Chain(ask("test/a", CANARY))
        await read_stream(gate.chain.StreamChain(ask("test/a", CANARY)))
        await read_stream(gate.chain.StreamChain(ask("test/b", CANARY)))
        await failure(gate.chain.Chain(ask("nobody/x", CANARY)))
        for ended in gate.calls:
            log.call_ended(ended)
    assert [line["code"] for line in lines] == ["OK", "OK", lines[2]["code"], "NOT_FOUND"]
    assert lines[2]["reason"] in ("STREAM_BROKEN", "ALL_ATTEMPTS_FAILED")
    assert CANARY not in repr(lines)


@pytest.mark.parametrize("form", ["json", "text"])
async def test_a_bug_shows_its_traceback_without_prompts_and_keys(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """S6: never a secret or a prompt, not even in the local values of a traceback."""
    async with gateway(providers=[Unprofiled(ValueError("the cause"))]) as gate:
        await failure(gate.chain.Chain(ask("test/a", CANARY)))
        (bug,) = gate.bugs
    log = configure_log("info", form)
    CallLog().bug("the-id", "/a/b", bug)
    structlog.reset_defaults()
    log.close(10.0)
    told = capsys.readouterr().err
    assert "the cause" in told
    assert "ValueError" in told
    assert "providers.py" in told
    assert CANARY not in told


def test_lines_of_the_json_form_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    """S6: logs are structured: one JSON object a line, with level and time, by the processors or not."""
    log = configure_log("info", "json")
    ended = attempt(AttemptOutcome.SUCCEEDED, Usage(1, 1), "modèle\n")
    tell("OK", "", 0.5, ended, log=log)
    tell("OK", "", 0.5, ended)
    structlog.reset_defaults()
    log.close(10.0)
    straight, processed = map(json.loads, capsys.readouterr().err.splitlines())
    assert set(straight) == FIELDS | {"level", "timestamp"}
    for line in (straight, processed):
        assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() == timedelta(0)
    assert straight == processed


def test_half_a_character_fails_no_call(capsys: pytest.CaptureFixture[str]) -> None:
    """S6: half of a surrogate pair in a model's name is no reason to fail its call."""
    log = configure_log("info", "json")
    tell("OK", "", 0.5, attempt(AttemptOutcome.SUCCEEDED, None, "\ud83d"), log=log)
    structlog.reset_defaults()
    log.close(10.0)
    line = json.loads(capsys.readouterr().err)
    assert line["target"] == "test/\ud83d"
    assert datetime.fromisoformat(line["timestamp"]).utcoffset() == timedelta(0)


@pytest.mark.parametrize(("level", "form", "count"), [("warning", "json", 0), ("info", "text", 1)])
def test_level_and_form_hold_for_calls(
    level: str, form: str, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """log.level, log.format: calls are below the level warning, and are no JSON where people read."""
    log = configure_log(level, form)
    tell("OK", "", 0.5, log=log)
    structlog.reset_defaults()
    log.close(10.0)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == count
    assert all("code=OK" in line for line in told)
