"""Answers are printed live on a terminal, and held anywhere else."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import click
import pytest

from paceline.v1.chain_pb2 import ChainResponse, StreamChainResponse
from paceline.v1.completion_pb2 import (
    ATTEMPT_OUTCOME_SKIPPED,
    FINISH_REASON_LENGTH,
    Attempt,
    AttemptEnded,
    Part,
    ToolCall,
)
from paceline.v1.race_pb2 import RaceResponse
from paceline_server.cli.answer import VOID, AnswerPrinter
from tests.cli.messages import SICK, STARTED, recovered_stream, response, text_event
from tests.cli.race_messages import response as race_response

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def printed(out: io.StringIO, err: io.StringIO, *events: StreamChainResponse) -> tuple[str, str]:
    """What `events` leave on both streams, without colours."""
    printer = AnswerPrinter(out, err, lambda: NOW)
    for event in events:
        printer.event(event)
    return click.unstyle(out.getvalue()), click.unstyle(err.getvalue())


def test_a_pipe_gets_the_final_text_only() -> None:
    """Whoever reads a pipe never sees void text; the events are on standard error."""
    out, err = printed(io.StringIO(), io.StringIO(), *recovered_stream())
    assert out == "right\n"
    assert err.splitlines() == [
        "call c1",
        "attempt 0 (p/sick) started",
        "attempt 0 (p/sick) failed after 1.5 s, TRANSIENT: the stream broke",
        "output of attempt 0 discarded: the answer starts again",
        "attempt 1 (p/well) started",
        "attempt 1 (p/well) succeeded",
        "answered by p/well, STOP, in 2 attempts",
        "cost 3 input + 4 output tokens, $0.00005",
    ]


def test_a_pipe_gets_nothing_before_the_end() -> None:
    """Text that may yet become void is held."""
    out, _ = printed(io.StringIO(), io.StringIO(), *recovered_stream()[:-1])
    assert out == ""


def test_a_terminal_shows_text_as_it_comes_and_marks_what_is_void() -> None:
    """The void text is followed by a mark on a line of its own, then the answer starts again."""
    out, err = printed(Terminal(), io.StringIO(), *recovered_stream())
    assert out == f"wrong\n{VOID}\nright\n"
    assert "discarded" in err


def test_events_on_the_same_terminal_keep_their_lines() -> None:
    """An event never continues a line of text, and the void is not told twice."""
    screen = Terminal()
    printer = AnswerPrinter(screen, screen, lambda: NOW)
    for event in recovered_stream():
        printer.event(event)
    lines = click.unstyle(screen.getvalue()).splitlines()
    assert lines[2:6] == [
        "wrong",
        "attempt 0 (p/sick) failed after 1.5 s, TRANSIENT: the stream broke",
        VOID,
        "attempt 1 (p/well) started",
    ]
    assert lines[6:8] == ["right", "attempt 1 (p/well) succeeded"]


def test_colours_are_for_terminals() -> None:
    """A log file gets plain lines."""
    err = io.StringIO()
    AnswerPrinter(io.StringIO(), err).event(STARTED)
    assert err.getvalue() == "call c1\n"


def test_a_bench_says_when_it_ends() -> None:
    """A skipped attempt tells why, and how soon its target is back."""
    skipped = Attempt(target=SICK, try_number=2, outcome=ATTEMPT_OUTCOME_SKIPPED)
    skipped.benched_until_time.FromDatetime(NOW + timedelta(seconds=4))
    skipped.status.message = "benched"
    event = StreamChainResponse(attempt_ended=AttemptEnded(attempt=skipped))
    _, err = printed(io.StringIO(), io.StringIO(), event)
    assert err == "attempt 0 (p/sick, try 2) skipped, benched; benched, back in 4.0 s\n"


@pytest.mark.parametrize("out", [io.StringIO(), Terminal()])
def test_a_whole_answer_is_printed_with_its_attempts(out: io.StringIO) -> None:
    """A unary answer tells the same as a stream, only later."""
    err = io.StringIO()
    AnswerPrinter(out, err).whole(response("all\n"))
    assert out.getvalue() == "all\n"
    assert "attempt 0 (p/sick) failed" in err.getvalue()


def test_tool_calls_and_replays_are_told() -> None:
    """An answer without text is not silent, and a replay says that it costs nothing."""
    answer = ChainResponse(replayed=True)
    answer.completion.parts.append(Part(tool_call=ToolCall(name="find", arguments_json="{}")))
    out, err = printed(io.StringIO(), io.StringIO(), StreamChainResponse(finished=answer))
    assert out == ""
    assert "tool call find {}" in err
    assert "nothing is billed again" in err


@pytest.mark.parametrize(
    ("answer", "option"), [(response(), "or --max-tokens"), (race_response(), "--max-cost")]
)
def test_an_answer_that_was_cut_is_told(answer: ChainResponse | RaceResponse, option: str) -> None:
    """LENGTH is no failure, but nobody should take it for a whole answer; it is told what may have cut it."""
    answer.completion.finish_reason = FINISH_REASON_LENGTH
    err = io.StringIO()
    AnswerPrinter(io.StringIO(), err, lambda: NOW).answer(answer)
    answered, cut, *_ = err.getvalue().splitlines()
    assert "LENGTH" in answered
    assert cut.startswith("a token limit cut the answer")
    assert cut.endswith(option)


def test_an_open_line_is_ended() -> None:
    """After a failure the prompt of the shell stands on a line of its own."""
    out = Terminal()
    printer = AnswerPrinter(out, io.StringIO())
    printer.event(text_event("half"))
    printer.end_line()
    printer.end_line()
    assert out.getvalue() == "half\n"


def test_a_chain_tells_of_the_race_that_answered() -> None:
    """ChainResponse.race: who won, by which rule, and what of the cost the losers had."""
    answer = response()
    answer.race.MergeFrom(race_response().summary)
    _, err = printed(io.StringIO(), io.StringIO(), StreamChainResponse(finished=answer))
    assert err.splitlines() == [
        "answered by p/well, STOP, in 2 attempts",
        "race of 2: candidate 1 (p/sure) won, FIRST_CONTENT after 0.3 s",
        "cost 3 input + 4 output tokens, $0.00005",
        "of that for losers and judges 3 input + 1 output tokens, $0.00002",
    ]
