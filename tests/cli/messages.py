"""Messages that several tests of the command line send."""

from __future__ import annotations

from datetime import timedelta

from google.rpc.status_pb2 import Status

from paceline.v1.chain_pb2 import ChainResponse, StreamChainResponse
from paceline.v1.completion_pb2 import (
    ATTEMPT_OUTCOME_FAILED,
    ATTEMPT_OUTCOME_SUCCEEDED,
    FAILURE_CLASS_TRANSIENT,
    FINISH_REASON_STOP,
    USAGE_STATE_REPORTED,
    Attempt,
    AttemptEnded,
    AttemptStarted,
    Completion,
    Delta,
    OutputDiscarded,
    Part,
    Started,
    Target,
    TextDelta,
    Usage,
)

SICK = Target(provider="p", model="sick")
WELL = Target(provider="p", model="well")
USAGE = Usage(input_token_count=3, output_token_count=4, cost_nano_usd=50_000, state=USAGE_STATE_REPORTED)

STARTED = StreamChainResponse(started=Started(call_id="c1"))


def text_event(text: str) -> StreamChainResponse:
    """The answer grows by `text`."""
    return StreamChainResponse(delta=Delta(text=TextDelta(text=text)))


def failed_attempt() -> Attempt:
    """An attempt of the sick target that broke."""
    attempt = Attempt(
        target=SICK,
        try_number=1,
        outcome=ATTEMPT_OUTCOME_FAILED,
        failure_class=FAILURE_CLASS_TRANSIENT,
        status=Status(message="the stream broke"),
    )
    attempt.latency.FromTimedelta(timedelta(seconds=1.5))
    return attempt


def good_attempt() -> Attempt:
    """An attempt of the well target that answered."""
    return Attempt(index=1, target=WELL, try_number=1, outcome=ATTEMPT_OUTCOME_SUCCEEDED)


def response(text: str = "right") -> ChainResponse:
    """A whole answer after a failed attempt."""
    part = Part()
    part.text.text = text
    completion = Completion(parts=[part], finish_reason=FINISH_REASON_STOP, target=WELL, usage=USAGE)
    return ChainResponse(
        call_id="c1",
        completion=completion,
        attempts=[failed_attempt(), good_attempt()],
        total_usage=USAGE,
    )


def recovered_stream() -> list[StreamChainResponse]:
    """A stream whose first attempt broke after some text, and whose second answered."""
    return [
        STARTED,
        StreamChainResponse(attempt_started=AttemptStarted(attempt=Attempt(target=SICK, try_number=1))),
        text_event("wro"),
        text_event("ng"),
        StreamChainResponse(attempt_ended=AttemptEnded(attempt=failed_attempt())),
        StreamChainResponse(output_discarded=OutputDiscarded(attempt_index=0)),
        StreamChainResponse(
            attempt_started=AttemptStarted(attempt=Attempt(index=1, target=WELL, try_number=1))
        ),
        StreamChainResponse(),
        text_event("right"),
        StreamChainResponse(attempt_ended=AttemptEnded(attempt=good_attempt())),
        StreamChainResponse(finished=response()),
    ]
