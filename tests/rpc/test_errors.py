"""The error catalogue end to end: what a client reads from a call that failed, and what it never reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from paceline.v1 import completion_pb2, errors_pb2
from paceline_client.connect import connect
from paceline_server.completion.answer import Target
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.simulated_script import AfterScript, Cut, Fail, Ok, Step
from paceline_server.providers.simulated_settings import SimulatedModel
from paceline_server.strategies.call import AttemptConfig
from tests.rpc.gateway import Failure, Gate, ask, failure, gateway, read_stream
from tests.rpc.providers import Raising, Unprofiled

pytestmark = pytest.mark.usefixtures("listener")


def scripted(*steps: Step) -> SimulatedModel:
    """A model that takes these steps, and the last for ever."""
    return SimulatedModel(script=steps, after_script=AfterScript.LAST)


def failing(failure_class: FailureClass, retry_after: float | None = None) -> SimulatedModel:
    """A model that always fails in one way."""
    return scripted(Fail(failure_class, retry_after=retry_after))


async def both_ways(gate: Gate, model: str, **fields: Any) -> list[Failure]:
    """The failures of the unary and of the streaming call."""
    streamed = await read_stream(gate.chain.StreamChain(ask(model, **fields)))
    assert streamed.failure is not None
    return [await failure(gate.chain.Chain(ask(model, **fields))), streamed.failure]


UNANIMOUS = [
    (FailureClass.UNSUPPORTED, "UNSUPPORTED_FEATURE", "FAILED_PRECONDITION"),
    (FailureClass.CONTEXT_TOO_LONG, "CONTEXT_TOO_LONG", "INVALID_ARGUMENT"),
    (FailureClass.MODEL_NOT_FOUND, "MODEL_NOT_FOUND", "NOT_FOUND"),
    (FailureClass.AUTHENTICATION, "PROVIDER_MISCONFIGURED", "FAILED_PRECONDITION"),
    (FailureClass.CONTENT_FILTERED, "PROVIDER_REJECTED_REQUEST", "INVALID_ARGUMENT"),
    (FailureClass.INVALID_REQUEST, "PROVIDER_REJECTED_REQUEST", "INVALID_ARGUMENT"),
    (FailureClass.TRANSIENT, "ALL_ATTEMPTS_FAILED", "UNAVAILABLE"),
    (FailureClass.OVERLOADED, "ALL_ATTEMPTS_FAILED", "UNAVAILABLE"),
    (FailureClass.RATE_LIMITED, "ALL_ATTEMPTS_FAILED", "UNAVAILABLE"),
    (FailureClass.MALFORMED_RESPONSE, "ALL_ATTEMPTS_FAILED", "UNAVAILABLE"),
    (FailureClass.TIMEOUT, "ALL_ATTEMPTS_FAILED", "UNAVAILABLE"),
    (FailureClass.QUOTA, "ALL_ATTEMPTS_FAILED", "UNAVAILABLE"),
]


def test_every_class_of_failure_has_its_row() -> None:
    """Errors, the table: no class of failure is left out of it."""
    assert {row[0] for row in UNANIMOUS} == set(FailureClass)


@pytest.mark.parametrize(("failure_class", "reason", "code"), UNANIMOUS)
async def test_a_failure_of_every_attempt_has_its_reason(
    failure_class: FailureClass, reason: str, code: str
) -> None:
    """Errors, the table: the class of all failures decides; a provider's 429 is never RESOURCE_EXHAUSTED."""
    for way in (0, 1):
        async with gateway({"a": failing(failure_class)}) as gate:
            call = gate.chain.Chain if way == 0 else gate.chain.StreamChain
            told = await failure(call(ask())) if way == 0 else (await read_stream(call(ask()))).failure
            assert told is not None
            assert (told.reason, told.code.name) == (reason, code)
            first = told.call_failure.attempts[0]
            assert (
                completion_pb2.FailureClass.Name(first.failure_class) == f"FAILURE_CLASS_{failure_class.name}"
            )
            assert first.target == completion_pb2.Target(provider="test", model="a")
            assert told.call_failure.call_id == told.trailers["paceline-call-id"] == gate.calls[-1].call_id


async def test_unsupported_names_the_target_that_could_not() -> None:
    """UNSUPPORTED_FEATURE, with PreconditionFailure."""
    async with gateway({"a": failing(FailureClass.UNSUPPORTED)}) as gate:
        for told in await both_ways(gate, "test/a"):
            detail = told.detail(error_details_pb2.PreconditionFailure)
            assert detail is not None
            assert [violation.subject for violation in detail.violations] == ["test/a"]


async def test_a_rejected_request_has_the_words_of_the_provider() -> None:
    """PROVIDER_REJECTED_REQUEST: the metadata hold the provider's words."""
    async with gateway({"a": failing(FailureClass.INVALID_REQUEST), "b": scripted(Ok())}) as gate:
        for told in await both_ways(gate, "test/a,test/b"):
            info = told.detail(error_details_pb2.ErrorInfo)
            assert info is not None
            assert info.metadata["provider_message"].startswith("the simulated model was told to fail")
            assert info.metadata["target"] == "test/a"


async def test_all_attempts_failed_tells_the_first_cause_and_the_smallest_wait() -> None:
    """ALL_ATTEMPTS_FAILED: smallest Retry-After, number of attempts, first cause, pushback -1."""
    models = {"a": failing(FailureClass.RATE_LIMITED, 70.0), "b": failing(FailureClass.OVERLOADED, 20.0)}
    async with gateway(models) as gate:
        told = await failure(gate.chain.Chain(ask("test/a,test/b")))
        info = told.detail(error_details_pb2.ErrorInfo)
        retry = told.detail(error_details_pb2.RetryInfo)
        assert info is not None
        assert retry is not None
        assert told.reason == "ALL_ATTEMPTS_FAILED"
        assert info.metadata["first_cause"] == "RATE_LIMITED"
        assert info.metadata["first_cause_target"] == "test/a"
        assert info.metadata["attempt_count"] == str(len(told.call_failure.attempts)) == "2"
        assert retry.retry_delay.ToTimedelta().total_seconds() == 20
        told.check_pushback(-1)


async def test_no_client_retries_what_the_gateway_has_tried() -> None:
    """A7: gRPC's own retries leave a call alone whose attempts all failed; what was refused they repeat."""
    provider = Raising(AttemptFailure(FailureClass.TRANSIENT, "down"))
    async with gateway(providers=[provider]) as gate, connect(gate.address) as channel:
        stub = gate.chain_over(channel)
        told = await failure(stub.Chain(ask()))
        assert told.reason == "ALL_ATTEMPTS_FAILED"
        assert len(gate.calls) == 1
        gate.health.bench(Target("test", "a"), 0.2, "repairs")
        told = await failure(stub.Chain(ask()))
        assert told.reason == "ALL_ATTEMPTS_FAILED"
        assert {call.reason for call in gate.calls} == {"ALL_ATTEMPTS_FAILED", "NO_HEALTHY_TARGET"}


async def test_no_healthy_target_names_the_earliest_return() -> None:
    """NO_HEALTHY_TARGET: RetryInfo and pushback name the earliest return; nothing is called."""
    async with gateway({"a": SimulatedModel(), "b": SimulatedModel()}) as gate:
        gate.health.bench(Target("test", "a"), 9000.0, "repairs")
        gate.health.bench(Target("test", "b"), 4500.0, "repairs")
        for told in await both_ways(gate, "test/a,test/b"):
            retry = told.detail(error_details_pb2.RetryInfo)
            assert retry is not None
            assert (told.reason, told.code) == ("NO_HEALTHY_TARGET", grpc.StatusCode.UNAVAILABLE)
            wait = retry.retry_delay.ToTimedelta().total_seconds()
            assert 0 < wait <= 4500
            told.check_pushback(round(wait * 1000))
            outcomes = {attempt.outcome for attempt in told.call_failure.attempts}
            assert outcomes == {completion_pb2.ATTEMPT_OUTCOME_SKIPPED}
        assert gate.simulated.call_count("a") + gate.simulated.call_count("b") == 0


async def test_a_broken_stream_names_its_target_and_the_tokens_seen() -> None:
    """STREAM_BROKEN: ABORTED, the metadata hold the target and the number of tokens seen."""
    options = {"recovery": completion_pb2.RECOVERY_NONE}
    async with gateway({"a": scripted(Cut(5))}) as gate:
        streamed = await read_stream(gate.chain.StreamChain(ask(options=options)))
        assert streamed.failure is not None
        info = streamed.failure.detail(error_details_pb2.ErrorInfo)
        assert info is not None
        assert (info.reason, streamed.failure.code) == ("STREAM_BROKEN", grpc.StatusCode.ABORTED)
        assert info.metadata["target"] == "test/a"
        assert int(info.metadata["tokens_seen"]) > 0


async def test_an_unknown_model_is_named() -> None:
    """MODEL_NOT_FOUND, with ResourceInfo, and without a CallFailure: nothing was admitted."""
    async with gateway() as gate:
        for told in await both_ways(gate, "quick"):
            detail = told.detail(error_details_pb2.ResourceInfo)
            assert detail is not None
            assert detail.resource_name == "quick"
            assert told.detail(errors_pb2.CallFailure) is None


SECRET = "sk-0123456789-secret"


async def test_a_bug_shows_nothing_of_the_exception() -> None:
    """INTERNAL, with RequestInfo: no text of an exception is shown, in no part of the status."""
    async with gateway(providers=[Unprofiled(ValueError(SECRET))]) as gate:
        for told in await both_ways(gate, "test/a"):
            request = told.detail(error_details_pb2.RequestInfo)
            assert request is not None
            assert (told.reason, told.code) == ("INTERNAL", grpc.StatusCode.INTERNAL)
            assert request.request_id == told.trailers["paceline-call-id"]
            assert "secret" not in told.message + repr(told.status) + repr(told.trailers)
            assert "ValueError" not in told.message + repr(told.status)
        assert [str(bug) for bug in gate.bugs] == [SECRET, SECRET]


async def test_an_adapters_bug_costs_an_attempt_and_shows_nothing_of_the_exception() -> None:
    """A2, C2: what an adapter may not raise is a malformed answer; the next target has its turn."""
    providers = [
        Raising(ValueError(SECRET)),
        Raising(AttemptFailure(FailureClass.TRANSIENT, "down"), "other"),
    ]
    async with gateway(providers=providers) as gate:
        for told in await both_ways(gate, "test/a,other/b"):
            assert told.reason == "ALL_ATTEMPTS_FAILED"
            classes = [attempt.failure_class for attempt in told.call_failure.attempts]
            assert completion_pb2.FAILURE_CLASS_MALFORMED_RESPONSE in classes
            assert completion_pb2.FAILURE_CLASS_TRANSIENT in classes
            assert "secret" not in told.message + repr(told.status) + repr(told.trailers)


@pytest.mark.parametrize("seconds", [1e12, 1e300])
async def test_an_absurd_wait_of_a_provider_is_no_bug_of_ours(seconds: float) -> None:
    """INTERNAL means a bug: a Retry-After beyond all time is clamped in the status and in the events."""
    async with gateway({"a": failing(FailureClass.RATE_LIMITED, seconds)}) as gate:
        streamed = await read_stream(gate.chain.StreamChain(ask()))
        assert streamed.failure is not None
        assert streamed.failure.reason == "ALL_ATTEMPTS_FAILED"
        assert not gate.bugs


async def test_half_a_character_of_a_provider_is_no_bug_of_ours() -> None:
    """INTERNAL means a bug: half a surrogate pair in a provider's words keeps nothing from the caller."""
    error = AttemptFailure(FailureClass.INVALID_REQUEST, "no \ud83d", provider_code="\udc00")
    async with gateway(providers=[Raising(error)]) as gate:
        for told in await both_ways(gate, "test/a"):
            assert told.reason == "PROVIDER_REJECTED_REQUEST"
        assert not gate.bugs


async def test_the_largest_details_pass_the_transport_every_time() -> None:
    """CallFailure is cut so that details pass gRPC reliably; larger ones are refused at random."""
    error = AttemptFailure(FailureClass.UNSUPPORTED, "因" * 4000, provider_code="因" * 4000)
    attempts = AttemptConfig(additional_attempts=100)
    async with gateway(providers=[Raising(error)], attempts=attempts) as gate:
        model = ",".join(f"test/{'m' * 8}{index}" for index in range(60))
        for _ in range(50):
            for told in await both_ways(gate, model):
                assert told.code is grpc.StatusCode.FAILED_PRECONDITION
                shown = told.call_failure
                assert shown.attempts
                assert len(shown.attempts) + shown.omitted_attempt_count == 60


async def trailers(call: Any) -> Sequence[str]:
    """The keys of the trailing metadata."""
    return [key for key, _ in await call.trailing_metadata()]


async def test_every_answer_has_the_call_id() -> None:
    """Errors: the call id travels in the trailing metadata, of answers too, and is that of the log."""
    async with gateway() as gate:
        unary = gate.chain.Chain(ask())
        response = await unary
        metadata = dict(await unary.trailing_metadata())
        assert metadata["paceline-call-id"] == response.call_id == gate.calls[0].call_id
        stream = gate.chain.StreamChain(ask())
        told = await read_stream(stream)
        metadata = dict(await stream.trailing_metadata())
        assert metadata["paceline-call-id"] == told.finished.call_id == told.events[0].started.call_id
        assert len({call.call_id for call in gate.calls}) == 2
