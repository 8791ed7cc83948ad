"""From settings to the simulated provider: each one shows in what its calls do, on virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from paceline_server.adapters import make_provider, model_names
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Kind, Message, Part, Reasoning, Role, Text, ToolCall
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import Prompt
from paceline_server.completion.usage import Price
from paceline_server.configuration import load_checked
from paceline_server.providers.base import ProviderRequest
from paceline_server.providers.profile import Profile
from paceline_server.providers.simulated import SimulatedProvider
from paceline_server.providers.simulated_script import Cut, Fail, Filtered, Malformed, Ok, Slow, Stall, Step
from tests.virtual_time import now, run_virtual, virtual_time

USER = Message(Role.USER, (Part(Text("Hello")),))


def configured(folder: Path, target: str, provider: str = "") -> SimulatedProvider:
    """The provider `sim` with one target `m` of these settings."""
    path = folder / "paceline.yaml"
    path.write_text(
        f"providers: {{sim: {{format: simulated, {provider} targets: {{m: {{{target}}}}}}}}}\n",
        encoding="utf-8",
    )
    made = make_provider("sim", load_checked(path, {}).settings.providers["sim"], 5.0)
    assert isinstance(made, SimulatedProvider)
    return made


def request(*messages: Message) -> ProviderRequest:
    """A request for the target."""
    return ProviderRequest("m", Prompt(messages or (USER,)))


async def outcome(provider: SimulatedProvider) -> FailureClass | None:
    """How one call fails, or None if it is answered."""
    try:
        await provider.complete(request())
    except AttemptFailure as failure:
        return failure.failure_class
    return None


async def steps(provider: SimulatedProvider, count: int) -> list[Step]:
    """What so many streams were told to do; none is read."""
    for _ in range(count):
        try:
            stream = await provider.open(request())
        except AttemptFailure:
            continue
        await stream.aclose()
    return [record.step for record in provider.log]


def taken(provider: SimulatedProvider, count: int) -> list[Step]:
    """As `steps`, on a loop of its own."""
    return run_virtual(lambda: steps(provider, count))


def test_the_seed_is_as_configured(tmp_path: Path) -> None:
    """seed: the same one gives the same faults, another one others."""
    flaky = "failure_rate: 0.5"
    first, same, other = (taken(configured(tmp_path, flaky, f"seed: {seed},"), 40) for seed in (3, 3, 4))
    assert first == same != other


SCRIPT = (
    "[ok, {fail: {failure_class: QUOTA, retry_after: 2s, before_headers: false, after_seconds: 1s}},"
    " {cut: {after_tokens: 3}}, {stall: {after_tokens: 2}}, {slow: {first_content: 4s}},"
    " {malformed: {after_tokens: 1}}, {filtered: {after_tokens: 5}}]"
)
STEPS = [
    Ok(),
    Fail(FailureClass.QUOTA, 2.0, before_headers=False, after_seconds=1.0),
    Cut(3),
    Stall(2),
    Slow(4.0),
    Malformed(1),
    Filtered(5),
]


@pytest.mark.parametrize(
    ("after", "then"),
    [("repeat", [STEPS[0], STEPS[1]]), ("last", [STEPS[-1]] * 2), ("plan", [Fail()] * 2)],
)
def test_the_script_is_played_and_then_what_is_configured(
    tmp_path: Path, after: str, then: list[Step]
) -> None:
    """script, after_script: every step with its numbers, and afterwards the start, the last or the rates."""
    provider = configured(tmp_path, f"failure_rate: 1, script: {SCRIPT}, after_script: {after}")
    assert taken(provider, len(STEPS) + 2) == STEPS + then


RATES: list[tuple[str, type[Step]]] = [
    ("failure_rate: 1, failure_class: OVERLOADED", Fail),
    ("rate_limit_rate: 1, retry_after: 3s", Fail),
    ("cut_rate: 1", Cut),
    ("stall_rate: 1", Stall),
    ("", Ok),
]


@pytest.mark.parametrize(("rates", "kind"), RATES)
def test_the_rates_are_as_configured(tmp_path: Path, rates: str, kind: type[Step]) -> None:
    """failure_rate, cut_rate, stall_rate: with a rate of 1 every call has the fault, without any none."""
    assert {type(step) for step in taken(configured(tmp_path, rates), 20)} == {kind}


def test_the_class_of_failures_and_their_wait_are_as_configured(tmp_path: Path) -> None:
    """failure_class, retry_after: those of the file, at the rates of the file."""
    failing = configured(tmp_path, "failure_rate: 1, failure_class: OVERLOADED")
    assert taken(failing, 1) == [Fail(FailureClass.OVERLOADED)]
    limited = configured(tmp_path, "rate_limit_rate: 1, retry_after: 3s")
    assert taken(limited, 1) == [Fail(FailureClass.RATE_LIMITED, 3.0)]


@virtual_time
async def test_the_rate_of_calls_is_as_configured(tmp_path: Path) -> None:
    """max_calls_per_second: a second call in the same second is RATE_LIMITED."""
    provider = configured(tmp_path, "max_calls_per_second: 1")
    assert [await outcome(provider), await outcome(provider)] == [None, FailureClass.RATE_LIMITED]


CONTENT: list[tuple[str, list[Kind]]] = [
    ("answer: 'You said {prompt}'", [Text("You said Hello")]),
    ("answer: Yes, reasoning: Well then", [Reasoning("Well then"), Text("Yes")]),
    ("tool_calls: [{name: find, arguments: '{\"a\": 1}'}]", [ToolCall("call-1-0", "find", '{"a": 1}')]),
]


@pytest.mark.parametrize(("target", "kinds"), CONTENT)
@virtual_time
async def test_the_answer_is_as_configured(tmp_path: Path, target: str, kinds: list[Kind]) -> None:
    """answer, reasoning, tool_calls: what the model says is what the file says."""
    answer = await configured(tmp_path, target).complete(request())
    assert [part.kind for part in answer.parts] == kinds


@virtual_time
async def test_the_confidence_is_as_configured(tmp_path: Path) -> None:
    """confidence: what the model reports of itself."""
    for target, expected in (("confidence: 0.25", 0.25), ("", None)):
        answer = await configured(tmp_path, target).complete(request())
        assert (answer.ending.confidence and answer.ending.confidence.value) == expected


PACES: list[tuple[str, float]] = [
    ("4s", 4.0),
    ("{fixed: {seconds: 4s}}", 4.0),
    ("{uniform: {minimum: 4s, maximum: 4s}}", 4.0),
    ("{lognormal: {median: 4s, sigma: 0}}", 4.0),
]


@pytest.mark.parametrize(("pace", "seconds"), PACES)
@virtual_time
async def test_the_pace_is_as_configured(tmp_path: Path, pace: str, seconds: float) -> None:
    """first_content, token_interval: each form of a pace, for the first token and for those after it."""
    await configured(tmp_path, f"answer: one two three, first_content: {pace}").complete(request())
    assert now() == pytest.approx(seconds)
    await configured(tmp_path, f"answer: one two three, token_interval: {pace}").complete(request())
    assert now() == pytest.approx(3 * seconds)


@virtual_time
async def test_an_exponential_pace_has_the_configured_mean(tmp_path: Path) -> None:
    """first_content: drawn anew for each call, around the mean of the file."""
    provider = configured(tmp_path, "answer: one, first_content: {exponential: {mean: 100s}}")
    for _ in range(400):
        await provider.complete(request())
    assert now() / 400 == pytest.approx(100, rel=0.2)


@pytest.mark.parametrize(("merge", "read_count"), [("true", 1), ("false", 3)])
@virtual_time
async def test_tokens_are_merged_as_configured(tmp_path: Path, merge: str, read_count: int) -> None:
    """merge: tokens that are due together come in one read, or each by itself."""
    stream = await configured(tmp_path, f"answer: one two three, merge: {merge}").open(request())
    reads: list[Any] = []
    while (deltas := await stream.read()) is not None:
        reads.append(deltas)
    assert len(reads) == read_count


@virtual_time
async def test_a_prefill_is_continued_as_configured(tmp_path: Path) -> None:
    """accepts_prefill: an assistant's message at the end of the prompt is not said again."""
    begun = Message(Role.ASSISTANT, (Part(Text("one two ")),))
    for accepts, text in (("true", "three"), ("false", "one two three")):
        provider = configured(tmp_path, f"answer: one two three, accepts_prefill: {accepts}")
        answer = await provider.complete(request(USER, begun))
        assert answer.parts == (Part(Text(text)),)


def test_the_facts_of_a_target_reach_the_engines(tmp_path: Path) -> None:
    """price, reasons_unseen, bills_after_cancel, quality: the profile is that of the file."""
    price = "price: {input_usd_per_million: 1, output_usd_per_million: 2}"
    facts = f"{price}, reasons_unseen: true, accepts_prefill: true, bills_after_cancel: true, quality: 0.9"
    assert configured(tmp_path, facts).profile("m") == Profile(
        price=Price(10**9, 2 * 10**9, version="configuration"),
        reasons_unseen=True,
        accepts_prefill=True,
        bills_after_cancel=True,
        quality=0.9,
    )
    assert configured(tmp_path, "").profile("m") == Profile()


def test_without_targets_the_built_in_models_are_offered(tmp_path: Path) -> None:
    """targets: those that the documentation names."""
    settings = load_checked(None, {}).settings.providers["simulated"]
    assert set(model_names(settings)) == {"steady", "slow", "flaky", "broken", "tiring"}
    provider = make_provider("simulated", settings, 5.0)
    assert all(provider.profile(model) != Profile() for model in model_names(settings))
