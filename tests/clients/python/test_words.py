"""Messages are put into words that people read."""

from __future__ import annotations

import pytest

from paceline.v1.completion_pb2 import (
    ATTEMPT_OUTCOME_TIMED_OUT,
    FAILURE_CLASS_RATE_LIMITED,
    USAGE_STATE_ESTIMATED,
    USAGE_STATE_REPORTED,
    USAGE_STATE_UNKNOWN,
    Attempt,
    Started,
    Target,
    Usage,
)
from paceline_client.words import dollars, enum_word, one_line_json, parse_target, target_spec, usage_words


def test_an_enum_is_a_bare_word() -> None:
    """The prefix of the enum is for compilers only; unset has no word."""
    attempt = Attempt(failure_class=FAILURE_CLASS_RATE_LIMITED, outcome=ATTEMPT_OUTCOME_TIMED_OUT)
    assert enum_word(attempt, "failure_class") == "RATE_LIMITED"
    assert enum_word(attempt, "outcome") == "TIMED_OUT"
    assert enum_word(Attempt(), "outcome") == ""


def test_an_unknown_value_is_its_number() -> None:
    """A newer gateway may send values that this client has no word for."""
    attempt = Attempt.FromString(b"\x28\x63")
    assert enum_word(attempt, "outcome") == "99"


@pytest.mark.parametrize(
    ("spec", "target"),
    [
        ("p/m", Target(provider="p", model="m")),
        ("p/a/b", Target(provider="p", model="a/b")),
        ("p/", Target(provider="p")),
    ],
)
def test_a_target_is_written_as_in_specs(spec: str, target: Target) -> None:
    """The first slash parts provider and model; reading and writing are inverse."""
    assert parse_target(spec) == target
    assert target_spec(target) == spec


@pytest.mark.parametrize("spec", ["", "m", "/m"])
def test_a_target_needs_its_provider(spec: str) -> None:
    """A name is not a target."""
    with pytest.raises(ValueError, match="provider/model"):
        parse_target(spec)


@pytest.mark.parametrize(
    ("nano_usd", "words"),
    [
        (0, "$0.00"),
        (1, "$0.000000001"),
        (420_000, "$0.00042"),
        (25 * 10**8, "$2.50"),
        (10**13, "$10000.00"),
    ],
)
def test_dollars_are_exact(nano_usd: int, words: str) -> None:
    """Neither a tiny amount nor a large one is rounded."""
    assert dollars(nano_usd) == words


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        (Usage(input_token_count=3, output_token_count=4, cost_nano_usd=0, state=USAGE_STATE_REPORTED),
         "3 input + 4 output tokens, $0.00"),
        (Usage(output_token_count=4, cost_nano_usd=10**6, state=USAGE_STATE_ESTIMATED),
         "0 input + 4 output tokens, $0.001 (estimated)"),
        (Usage(output_token_count=4, state=USAGE_STATE_UNKNOWN),
         "0 input + 4 output tokens, no known price (incomplete)"),
        (Usage(state=USAGE_STATE_UNKNOWN), "usage unknown"),
    ],
)  # fmt: skip
def test_usage_says_how_far_it_can_be_trusted(usage: Usage, words: str) -> None:
    """An estimate is never shown as a measure, nor an unknown price as none."""
    assert usage_words(usage) == words


def test_json_is_one_line_with_the_names_of_protobuf() -> None:
    """Each message is one line of JSON in its standard form, in its own letters."""
    assert one_line_json(Started(call_id="ü\n")) == '{"callId": "ü\\n"}'
