"""Text of others cannot steer a terminal."""

from __future__ import annotations

import io

import pytest

from paceline.v1.chain_pb2 import StreamChainResponse
from paceline.v1.completion_pb2 import Attempt, AttemptStarted, Target
from paceline_server.cli.answer import AnswerPrinter
from paceline_server.cli.printable import one_line, printable
from paceline_server.cli.table import print_table
from tests.cli.messages import response, text_event
from tests.cli.test_answer import Terminal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tof é 漢 👍🏽", "two\nlines\tof é 漢 👍🏽"),
        ("windows\r\nline", "windows\nline"),
        ("over\rwritten", "over\\x0dwritten"),
        ("\x1b[2J\x07\x00\x7f", "\\x1b[2J\\x07\\x00\\x7f"),
        ("\x9b31m\x85", "\\x9b31m\\x85"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    """Nothing that a terminal obeys gets through but line feeds and tabs, and nothing else is changed."""
    assert printable(text) == shown


def test_a_line_stays_one() -> None:
    """A name or a message cannot begin a line of its own."""
    assert one_line("a\nb\tc\rd\x1b") == "a b c d\\x1b"


def test_an_answer_cannot_steer_a_terminal() -> None:
    """What a model writes is shown, not obeyed."""
    screen = Terminal()
    AnswerPrinter(screen, io.StringIO()).event(text_event("\x1b]0;title\x07"))
    assert screen.getvalue() == "\\x1b]0;title\\x07"


def test_an_answer_is_left_alone_in_a_pipe() -> None:
    """Data stay what they are where no terminal is."""
    out = io.StringIO()
    AnswerPrinter(out, io.StringIO()).whole(response("\x1b[31mred\x1b[0m\r\n"))
    assert out.getvalue() == "\x1b[31mred\x1b[0m\r\n"


def test_names_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Names and messages in lines and tables are neutral, too."""
    err = Terminal()
    attempt = Attempt(target=Target(provider="p", model="\x1b[2Jm\nx"))
    AnswerPrinter(Terminal(), err).event(StreamChainResponse(attempt_started=AttemptStarted(attempt=attempt)))
    assert "attempt 0 (p/\\x1b[2Jm x) started" in err.getvalue()
    print_table(["NAME"], [["\x1b[2Jm"]])
    assert capsys.readouterr().out.splitlines()[1] == "\\x1b[2Jm"
