"""The table from errors to statuses, and the cap on what travels with them."""

from __future__ import annotations

from dataclasses import replace

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from hypothesis import given
from hypothesis import strategies as st

from paceline.v1 import errors_pb2
from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import Attempt, AttemptOutcome, FailureClass
from paceline_server.completion.errors import (
    CallFailed,
    ErrorReason,
    InvalidRequest,
    InvalidSpec,
    ModelNotFound,
    PacelineError,
    Refused,
    Violation,
)
from paceline_server.completion.prompt import Prompt
from paceline_server.completion.race import AnswerGroup, RaceSummary
from paceline_server.completion.usage import Usage
from paceline_server.rpc.call_failure import PREVIEW_BYTES
from paceline_server.rpc.encoding import cut
from paceline_server.rpc.status import CODE, RichStatus, to_status
from paceline_server.strategies.call import Call
from tests.rpc.gateway import Failure
from tests.rpc.races import ToldRace

CATALOGUE = {
    "INVALID_REQUEST": "INVALID_ARGUMENT",
    "INVALID_SPEC": "INVALID_ARGUMENT",
    "MODEL_NOT_FOUND": "NOT_FOUND",
    "UNSUPPORTED_FEATURE": "FAILED_PRECONDITION",
    "CONTEXT_TOO_LONG": "INVALID_ARGUMENT",
    "PROVIDER_REJECTED_REQUEST": "INVALID_ARGUMENT",
    "CREDENTIALS_INVALID": "UNAUTHENTICATED",
    "NOT_ALLOWED": "PERMISSION_DENIED",
    "QUOTA_EXCEEDED": "RESOURCE_EXHAUSTED",
    "OVERLOADED": "UNAVAILABLE",
    "DRAINING": "UNAVAILABLE",
    "NO_HEALTHY_TARGET": "UNAVAILABLE",
    "ALL_ATTEMPTS_FAILED": "UNAVAILABLE",
    "NO_CONSENSUS": "FAILED_PRECONDITION",
    "PROVIDER_MISCONFIGURED": "FAILED_PRECONDITION",
    "STREAM_BROKEN": "ABORTED",
    "LIMIT_REACHED": "RESOURCE_EXHAUSTED",
    "IDEMPOTENCY_MISMATCH": "ALREADY_EXISTS",
    "STATE_UNAVAILABLE": "UNAVAILABLE",
    "INTERNAL": "INTERNAL",
    "UNIMPLEMENTED": "UNIMPLEMENTED",
    "NOT_FOUND": "NOT_FOUND",
    "DEADLINE_EXCEEDED": "DEADLINE_EXCEEDED",
    "CANCELLED": "CANCELLED",
}
"""The contract's table."""

MAXIMUM_DETAILS_BYTES = 4608


def read(status: RichStatus) -> Failure:
    """A status as a client reads it."""
    trailers = dict(status.trailing_metadata)
    raw = trailers["grpc-status-details-bin"]
    assert isinstance(raw, bytes)
    return Failure(status.code, status.details, trailers, status_pb2.Status.FromString(raw))


def test_every_reason_stands_on_both_sides_and_has_the_code_of_the_contract() -> None:
    """Errors, the table: each reason of errors.proto, its gRPC code, and none beside them."""
    prefix = "ERROR_REASON_"
    on_the_wire = {name.removeprefix(prefix) for name in errors_pb2.ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118 - it is no dict
    assert on_the_wire == {reason.value for reason in ErrorReason} == set(CATALOGUE)
    assert {reason.value: code.name for reason, code in CODE.items()} == CATALOGUE


@pytest.mark.parametrize("reason", ErrorReason, ids=lambda reason: str(reason.value))
def test_every_status_has_error_info_and_the_call_id(reason: ErrorReason) -> None:
    """Errors: each status has ErrorInfo of the domain paceline, and the call id as paceline-call-id."""
    told = read(to_status(PacelineError(reason, "why"), "the-id"))
    info = told.detail(error_details_pb2.ErrorInfo)
    assert info is not None
    assert (info.reason, info.domain) == (reason.value, "paceline")
    assert told.trailers["paceline-call-id"] == "the-id"
    assert told.status.code == told.code.value[0]
    assert told.message == told.status.message == "why"


DETAILS: list[tuple[PacelineError, type[Message]]] = [
    (InvalidRequest([Violation("a", "b")]), error_details_pb2.BadRequest),
    (InvalidSpec("empty"), error_details_pb2.BadRequest),
    (ModelNotFound("x", "nowhere"), error_details_pb2.ResourceInfo),
    (PacelineError(ErrorReason.NOT_FOUND, "gone"), error_details_pb2.ResourceInfo),
    (CallFailed(ErrorReason.UNSUPPORTED_FEATURE, "no"), error_details_pb2.PreconditionFailure),
    (Refused(ErrorReason.OVERLOADED, "busy", retry_after=1.5), error_details_pb2.RetryInfo),
    (Refused(ErrorReason.DRAINING, "going", retry_after=1.5), error_details_pb2.RetryInfo),
    (CallFailed(ErrorReason.NO_HEALTHY_TARGET, "ill", retry_after=1.5), error_details_pb2.RetryInfo),
    (CallFailed(ErrorReason.ALL_ATTEMPTS_FAILED, "all", retry_after=1.5), error_details_pb2.RetryInfo),
    (PacelineError(ErrorReason.INTERNAL, "a bug"), error_details_pb2.RequestInfo),
]


@pytest.mark.parametrize(("error", "detail"), DETAILS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_reason_brings_its_detail(error: PacelineError, detail: type[Message]) -> None:
    """Errors, the table: the details beside ErrorInfo."""
    assert read(to_status(error, "the-id")).detail(detail) is not None


@pytest.mark.parametrize(
    ("reason", "retry_after", "pushback"),
    [
        (ErrorReason.ALL_ATTEMPTS_FAILED, None, "-1"),
        (ErrorReason.ALL_ATTEMPTS_FAILED, 2.0, "-1"),
        (ErrorReason.DRAINING, 1.0, "1000"),
        (ErrorReason.OVERLOADED, 0.25, "250"),
        (ErrorReason.NO_HEALTHY_TARGET, 12.3456, "12346"),
        (ErrorReason.NO_HEALTHY_TARGET, 1e300, "86400000"),
        (ErrorReason.QUOTA_EXCEEDED, 3.0, None),
        (ErrorReason.STREAM_BROKEN, None, None),
        (ErrorReason.INVALID_REQUEST, None, None),
    ],
)
def test_pushback_says_when_a_client_may_come_again(
    reason: ErrorReason, retry_after: float | None, pushback: str | None
) -> None:
    """Errors, the table: grpc-retry-pushback-ms, in milliseconds, -1 where the gateway has tried it all."""
    told = read(to_status(PacelineError(reason, "why", retry_after=retry_after), "the-id"))
    assert told.trailers.get("grpc-retry-pushback-ms") == pushback


@pytest.mark.parametrize("seconds", [0.0, 1e-12, 1e20, 1e300, float("inf"), -3.0])
def test_no_wait_that_a_provider_asks_for_breaks_the_status(seconds: float) -> None:
    """INTERNAL means a bug of ours: an absurd Retry-After is clamped to what RetryInfo can hold."""
    told = read(to_status(CallFailed(ErrorReason.ALL_ATTEMPTS_FAILED, "all", retry_after=seconds), "the-id"))
    info = told.detail(error_details_pb2.RetryInfo)
    assert info is not None
    assert 0 <= info.retry_delay.ToTimedelta().total_seconds() <= 315_576_000_000


# Real words, the longest characters, and half a surrogate pair, as a provider's JSON may bring it.
WORDS = st.text(st.characters(exclude_categories=[]), max_size=20).flatmap(
    lambda text: st.integers(0, 400).map(lambda times: text * times)
)
TARGETS = st.builds(
    Target,
    st.integers(1, 128).map(lambda length: "p" * length),
    st.integers(1, 890).map(lambda length: "模" * (length // 3 + 1)),
)
ATTEMPTS = st.builds(
    Attempt,
    index=st.integers(0, 200),
    target=TARGETS,
    path=st.just("chain[0]"),
    try_number=st.integers(1, 9),
    start_offset=st.floats(0, 300),
    outcome=st.sampled_from([*AttemptOutcome, None]),
    failure_class=st.sampled_from([*FailureClass, None]),
    message=WORDS,
    usage=st.none() | st.builds(Usage, st.integers(0, 10**6), st.integers(0, 10**6)),
)
KEYS = st.sampled_from(
    ["target", "tokens_seen", "attempt_count", "first_cause", "first_cause_message", "first_cause_target"]
)
ERRORS = st.builds(
    CallFailed,
    st.sampled_from(ErrorReason),
    WORDS,
    retry_after=st.none() | st.floats(0, 1e9),
    metadata=st.dictionaries(KEYS, WORDS, max_size=6),
)


def failed_call(attempts: list[Attempt]) -> Call:
    """A call after its attempts."""
    call = Call("the-id", Prompt(()), 0.0, 0.0)
    call.record.attempts += [replace(attempt, index=index) for index, attempt in enumerate(attempts)]
    return call


@given(error=ERRORS, attempts=st.lists(ATTEMPTS, max_size=64))
def test_a_failed_call_tells_what_fits_into_6_kib(error: CallFailed, attempts: list[Attempt]) -> None:
    """CallFailure: all details stay below 4.5 KiB, first cause first, cut from the end, and counted."""
    call = failed_call(attempts)
    told = read(to_status(error, "the-id", call))
    assert sum(detail.ByteSize() for detail in told.status.details) <= MAXIMUM_DETAILS_BYTES
    assert told.reason == error.reason.value
    failure = told.call_failure
    assert failure.call_id == "the-id"
    assert len(failure.attempts) + failure.omitted_attempt_count == len(attempts)
    assert [attempt.target.model for attempt in failure.attempts] == [
        attempt.target.model for attempt in attempts[: len(failure.attempts)]
    ]
    assert failure.attempts or not attempts, "the first cause is kept"
    assert all(len(attempt.message.encode()) <= 256 for attempt in failure.attempts)
    assert failure.total_usage.input_token_count == call.record.total_usage().input_token_count


GROUPS = st.lists(WORDS, max_size=16).map(
    lambda texts: tuple(AnswerGroup(text, (index,)) for index, text in enumerate(texts))
)


DISSENT = st.builds(
    CallFailed,
    st.just(ErrorReason.NO_CONSENSUS),
    WORDS,
    metadata=st.dictionaries(KEYS, WORDS, max_size=6),
)


@given(error=ERRORS | DISSENT, attempts=st.lists(ATTEMPTS, max_size=64), groups=GROUPS)
def test_a_failed_race_tells_its_losers_and_its_dissent(
    error: CallFailed, attempts: list[Attempt], groups: tuple[AnswerGroup, ...]
) -> None:
    """R6, CallFailure.groups: every group of a failed consensus, beside the first cause, within the cap."""
    call = failed_call(attempts)
    call.record.race = ToldRace(RaceSummary((), groups=groups, loser_usage=Usage(7, 9)))
    told = read(to_status(error, "the-id", call))
    assert sum(detail.ByteSize() for detail in told.status.details) <= MAXIMUM_DETAILS_BYTES
    failure = told.call_failure
    assert (failure.loser_usage.input_token_count, failure.loser_usage.output_token_count) == (7, 9)
    assert failure.attempts or not attempts, "the first cause is kept"
    assert len(failure.attempts) + failure.omitted_attempt_count == len(attempts)
    expected = groups if error.reason is ErrorReason.NO_CONSENSUS else ()
    assert [tuple(group.candidate_indices) for group in failure.groups] == [
        group.candidate_indices for group in expected
    ]
    for group, whole in zip(failure.groups, expected, strict=True):
        assert group.preview in {cut(whole.text, limit) for limit in PREVIEW_BYTES}


def test_a_short_dissent_is_told_in_full() -> None:
    """R6, CallFailure.groups: previews are shorter than 512 bytes only if need be."""
    groups = tuple(AnswerGroup(letter * 600, (index,)) for index, letter in enumerate("abc"))
    call = failed_call([])
    call.record.race = ToldRace(RaceSummary((), groups=groups))
    told = read(to_status(CallFailed(ErrorReason.NO_CONSENSUS, "no"), "the-id", call))
    assert [group.preview for group in told.call_failure.groups] == [cut(one.text, 512) for one in groups]
    assert not told.call_failure.HasField("loser_usage")


@given(violations=st.lists(st.builds(Violation, WORDS, WORDS), min_size=1, max_size=40))
def test_a_bad_request_tells_what_fits_into_6_kib(violations: list[Violation]) -> None:
    """INVALID_REQUEST lists the violations, the first always, within the cap."""
    told = read(to_status(InvalidRequest(violations), "the-id"))
    assert sum(detail.ByteSize() for detail in told.status.details) <= MAXIMUM_DETAILS_BYTES
    assert told.reason == "INVALID_REQUEST"
    listed = told.detail(error_details_pb2.BadRequest)
    assert listed is not None
    assert 1 <= len(listed.field_violations) <= len(violations)


def test_short_violations_are_all_told() -> None:
    """INVALID_REQUEST: all violations at once, as many as a request can have."""
    violations = [
        Violation(f"prompt.messages[{index}].role", "is not set; say who speaks") for index in range(32)
    ]
    listed = read(to_status(InvalidRequest(violations), "the-id")).detail(error_details_pb2.BadRequest)
    assert listed is not None
    assert [violation.field for violation in listed.field_violations] == [one.field for one in violations]


@given(text=WORDS, limit=st.integers(3, 600))
def test_a_text_is_cut_between_characters(text: str, limit: int) -> None:
    """AttemptSummary.message: cut at a character boundary; what cannot be encoded does not survive."""
    assert len(cut(text, limit).encode()) <= limit


def test_the_code_of_a_status_is_told_twice_alike() -> None:
    """google.rpc.Status: its code is the code of the RPC."""
    assert read(to_status(InvalidSpec("x"), "id")).code is grpc.StatusCode.INVALID_ARGUMENT
