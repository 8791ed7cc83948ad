"""The simulated provider: it does exactly what it is told, each time, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paceline_server.completion.answer import Confidence, ConfidenceSource, FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import (
    Media,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from paceline_server.completion.deltas import Delta, ReasoningDelta, fold
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import GenerationConfig, Prompt, Tool, ToolChoice, ToolChoiceMode
from paceline_server.completion.usage import Price, UsageState
from paceline_server.providers.base import AnswerStream, Provider, ProviderRequest
from paceline_server.providers.simulated import SimulatedProvider
from paceline_server.providers.simulated_models import default_models, tiring_model
from paceline_server.providers.simulated_pace import Distribution, Exponential, Fixed, LogNormal, Uniform
from paceline_server.providers.simulated_script import (
    AfterScript,
    Cut,
    Fail,
    Filtered,
    Malformed,
    Ok,
    Slow,
    Stall,
    Step,
)
from paceline_server.providers.simulated_settings import SimulatedModel
from tests.virtual_time import now, virtual_time

PACED = SimulatedModel(answer="one two three four", first_content=Fixed(1.0), token_interval=Fixed(0.5))
RAGGED = SimulatedModel(
    answer="Answering {prompt}: " + "word " * 20,
    reasoning="Let me think about it first.",
    tool_calls=(("look_up", '{"city": "Ulm"}'), ("wait", "{}")),
    first_content=LogNormal(0.3, 0.5),
    token_interval=Exponential(0.05),
)
ERRATIC = SimulatedModel(failure_rate=0.2, cut_rate=0.2, rate_limit_rate=0.1, retry_after=3.0)


def provider_of(model: SimulatedModel, *, seed: int = 1) -> SimulatedProvider:
    """A provider that offers `model` as "m"."""
    return SimulatedProvider("sim", {"m": model}, seed=seed)


def request_of(text: str = "What is a gateway?", *, model: str = "m", **fields: object) -> ProviderRequest:
    """A request of one user message; `fields` are those of the prompt."""
    messages = (Message(Role.USER, (Part(Text(text)),)),)
    return ProviderRequest(model, Prompt(messages, **fields))  # type: ignore[arg-type]


def limited(count: int) -> GenerationConfig:
    """A config that allows so many output tokens."""
    return GenerationConfig(max_output_token_count=count)


async def reads_of(stream: AnswerStream) -> list[Sequence[Delta]]:
    """All reads of `stream` up to its end."""
    reads: list[Sequence[Delta]] = []
    while (read := await stream.read()) is not None:
        reads.append(read)

    await stream.aclose()
    return reads


async def outcome_of(provider: SimulatedProvider, request: ProviderRequest) -> str:
    """The whole answer or the failure, as text to compare."""
    try:
        answer = await provider.complete(request)
    except AttemptFailure as failure:
        return f"{failure} {failure.retry_after}"
    return f"{answer.parts} {answer.ending}"


async def refusal_of(provider: SimulatedProvider) -> AttemptFailure | None:
    """The failure of a unary call, if it fails."""
    try:
        await provider.complete(request_of())
    except AttemptFailure as failure:
        return failure
    return None


async def failure_of(stream: AnswerStream) -> AttemptFailure:
    """The failure of the next read."""
    with pytest.raises(AttemptFailure) as failure:
        await stream.read()
    return failure.value


def text_of(deltas: Sequence[Delta]) -> str:
    """The text of an answer that is text alone."""
    (part,) = fold(deltas)
    assert isinstance(part.kind, Text)
    return part.kind.text


# Determinism


@virtual_time
async def test_an_outcome_depends_on_the_number_of_the_call_and_not_on_interleaving() -> None:
    """The n-th call does the same alone, among others, and whatever other models are asked."""
    models = {"m": ERRATIC, "other": ERRATIC}
    alone = SimulatedProvider("sim", models, seed=7)
    expected = [await outcome_of(alone, request_of()) for _ in range(30)]
    crowded = SimulatedProvider("sim", models, seed=7)

    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[str]] = []
        for _ in range(30):
            group.create_task(outcome_of(crowded, request_of(model="other")))
            tasks.append(group.create_task(outcome_of(crowded, request_of())))

    assert [task.result() for task in tasks] == expected
    assert len(set(expected)) > 3


@virtual_time
async def test_seeds_and_models_fail_independently() -> None:
    """Another seed or another model's name gives other outcomes."""
    patterns: set[tuple[Step, ...]] = set()
    for seed in (1, 2):
        provider = SimulatedProvider("sim", {"m": ERRATIC, "n": ERRATIC}, seed=seed)
        for model in ("m", "n"):
            for _ in range(20):
                await outcome_of(provider, request_of(model=model))
            patterns.add(tuple(record.step for record in provider.log if record.model == model))

    assert len(patterns) == 4


@given(seed=st.integers(), number=st.integers(1, 5), merge=st.booleans())
@virtual_time
async def test_a_stream_folds_to_the_unary_answer(seed: int, number: int, *, merge: bool) -> None:
    """The same call gives the same parts, ending and duration, streamed and whole."""
    model = SimulatedModel(
        answer=RAGGED.answer,
        reasoning=RAGGED.reasoning,
        tool_calls=RAGGED.tool_calls,
        first_content=RAGGED.first_content,
        token_interval=RAGGED.token_interval,
        merge=merge,
    )
    unary, streaming = provider_of(model, seed=seed), provider_of(model, seed=seed)
    for _ in range(number - 1):
        await unary.complete(request_of())
        await (await streaming.open(request_of())).aclose()

    began = now()
    answer = await unary.complete(request_of())
    unary_duration = now() - began
    began = now()
    stream = await streaming.open(request_of())
    deltas = [delta for read in await reads_of(stream) for delta in read]

    assert fold(deltas) == answer.parts
    assert stream.ending == answer.ending
    assert now() - began == pytest.approx(unary_duration)


# Pace


@virtual_time
async def test_tokens_come_at_their_pace() -> None:
    """The first content and each later token come when the distributions say."""
    stream = await provider_of(PACED).open(request_of())
    came: list[tuple[float, str]] = []
    while (read := await stream.read()) is not None:
        came.append((now(), text_of(read)))
    await stream.aclose()

    assert came == [(1.0, "one "), (1.5, "two "), (2.0, "three "), (2.5, "four")]


@virtual_time
async def test_what_came_while_nobody_read_is_one_delta() -> None:
    """A late reader gets all tokens that are due, merged, as from a socket."""
    stream = await provider_of(PACED).open(request_of())
    await asyncio.sleep(2.1)

    reads = await reads_of(stream)

    assert [text_of(read) for read in reads] == ["one two three ", "four"]
    assert [len(read) for read in reads] == [1, 1]


@virtual_time
async def test_without_intervals_the_answer_is_one_read() -> None:
    """A model of no interval sends its whole answer at once, one delta a part."""
    model = SimulatedModel(answer="one two", reasoning="a b c", first_content=Fixed(0.1))

    reads = await reads_of(await provider_of(model).open(request_of()))

    assert [[delta.part_index for delta in read] for read in reads] == [[0, 1]]


@virtual_time
async def test_unmerged_every_token_is_a_read_and_the_loop_breathes() -> None:
    """With `merge` off each token is a delta of its own, and other tasks run between them."""
    stream = await provider_of(SimulatedModel(answer="w " * 50, merge=False)).open(request_of())
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with asyncio.TaskGroup() as group:
        counter = group.create_task(count_turns())
        reads = await reads_of(stream)
        counter.cancel()

    assert [len(read) for read in reads] == [1] * 50
    assert turns >= 49


@pytest.mark.parametrize(
    ("distribution", "median"),
    [
        (Fixed(0.4), 0.4),
        (Uniform(0.2, 0.6), 0.4),
        (LogNormal(0.4, 0.7), 0.4),
        (Exponential(0.4), 0.4 * 0.6931),
    ],
    ids=repr,
)
@virtual_time
async def test_distributions_keep_their_median(distribution: Distribution, median: float) -> None:
    """Over many calls the first content comes at the median of its distribution."""
    provider = provider_of(SimulatedModel(answer="x", first_content=distribution), seed=3)
    latencies: list[float] = []
    for _ in range(1000):
        began = now()
        await provider.complete(request_of())
        latencies.append(now() - began)

    assert statistics.median(latencies) == pytest.approx(median, rel=0.15)


@pytest.mark.parametrize("distribution", [Uniform(1.0, 1.0), LogNormal(2.0, 0.0), Exponential(0.0)], ids=repr)
def test_distributions_without_width_are_fixed(distribution: Distribution) -> None:
    """The edge of each range is a valid setting."""
    samples = {round(distribution.sample(random.Random(seed)), 9) for seed in range(20)}

    assert len(samples) == 1


# Content and usage


@virtual_time
async def test_usage_is_what_was_delivered() -> None:
    """The reported output equals the tokens read, and the reasoning is contained in it."""
    model = SimulatedModel(answer="a b c", reasoning="d e", merge=False, confidence=0.7)
    stream = await provider_of(model).open(request_of("x" * 41))

    deltas = [delta for read in await reads_of(stream) for delta in read]

    usage = stream.ending.usage
    assert usage is not None
    assert usage.output_token_count == len(deltas) == 5
    assert usage.reasoning_token_count == sum(isinstance(delta.kind, ReasoningDelta) for delta in deltas) == 2
    assert usage.input_token_count == 11
    assert usage.state is UsageState.REPORTED
    assert stream.ending.served_model == "m"
    assert stream.ending.confidence == Confidence(0.7, ConfidenceSource.REPORTED)


@given(limit=st.integers(0, 70))
@virtual_time
async def test_the_longest_answer_is_kept_to(limit: int) -> None:
    """No answer has more tokens than the prompt allows, and one that was shortened says so."""
    whole = await provider_of(RAGGED).complete(request_of())
    answer = await provider_of(RAGGED).complete(request_of(config=limited(limit)))

    assert whole.ending.usage is not None
    assert answer.ending.usage is not None
    whole_count = whole.ending.usage.output_token_count
    assert answer.ending.usage.output_token_count == min(limit, whole_count)
    shortened = answer.ending.finish_reason is FinishReason.LENGTH
    assert shortened == (limit < whole_count)


@virtual_time
async def test_the_answer_can_quote_the_prompt_and_hold_json() -> None:
    """`{prompt}` is the last user text; other braces are left alone."""
    model = SimulatedModel(answer='{"echo": "{prompt}"}')

    answer = await provider_of(model).complete(request_of("ping"))

    assert answer.parts == (Part(Text('{"echo": "ping"}')),)


@pytest.mark.parametrize("text", ["", " ", " leading", "trailing \n", "two  spaces\n\nand lines"])
@virtual_time
async def test_no_white_space_is_lost(text: str) -> None:
    """The tokens make exactly the text that was set, even none."""
    answer = await provider_of(SimulatedModel(answer=text)).complete(request_of())

    assert answer.parts == ((Part(Text(text)),) if text else ())
    assert answer.ending.finish_reason is FinishReason.STOP


@virtual_time
async def test_reasoning_text_and_tool_calls_are_parts_in_that_order() -> None:
    """Every kind of part arrives whole, and each tool call has an id of its own."""
    provider = provider_of(RAGGED)

    first, second = await provider.complete(request_of("x")), await provider.complete(request_of("x"))

    kinds = [part.kind for part in first.parts]
    calls = [kind for kind in kinds if isinstance(kind, ToolCall)]
    assert [type(kind) for kind in kinds] == [Reasoning, Text, ToolCall, ToolCall]
    assert [(call.name, call.arguments_json) for call in calls] == list(RAGGED.tool_calls)
    assert first.ending.finish_reason is FinishReason.TOOL_CALLS
    ids = [part.kind.id for part in first.parts + second.parts if isinstance(part.kind, ToolCall)]
    assert len(set(ids)) == 4


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(ToolChoiceMode.REQUIRED), ["first"]),
        (ToolChoice(ToolChoiceMode.NAMED, "second"), ["second"]),
        (ToolChoice(ToolChoiceMode.AUTO), []),
        (ToolChoice(ToolChoiceMode.NONE), []),
        (None, []),
    ],
)
@virtual_time
async def test_a_demanded_tool_is_called(choice: ToolChoice | None, expected: list[str]) -> None:
    """A model without tool calls of its own makes the one that the prompt demands, with no arguments."""
    request = request_of(tools=(Tool("first"), Tool("second")), tool_choice=choice)

    answer = await provider_of(SimulatedModel(answer="text")).complete(request)

    calls = [part.kind for part in answer.parts if isinstance(part.kind, ToolCall)]
    assert [call.name for call in calls] == expected
    assert all(call.arguments_json == "{}" for call in calls)
    assert len(answer.parts) == 1


@virtual_time
async def test_the_demanded_tool_is_called_with_the_arguments_that_were_set() -> None:
    """Of a model's own tool calls, those that the prompt names are made; REQUIRED allows them all."""
    provider = provider_of(RAGGED)
    named = request_of(tools=(Tool("wait"),), tool_choice=ToolChoice(ToolChoiceMode.NAMED, "look_up"))
    required = request_of(tools=(Tool("wait"),), tool_choice=ToolChoice(ToolChoiceMode.REQUIRED))

    answers = [await provider.complete(request) for request in (named, required)]

    calls = [[part.kind.name for part in a.parts if isinstance(part.kind, ToolCall)] for a in answers]
    assert calls == [["look_up"], ["look_up", "wait"]]


@virtual_time
async def test_the_input_counts_all_text_of_the_prompt() -> None:
    """Tools, tool calls and their results are input too; media count nothing."""
    call = Message(Role.ASSISTANT, (Part(ToolCall("id", "abcd", "{}  ")),))
    result = Message(Role.TOOL, (Part(ToolResult("id", (Part(Text("x" * 8)),))),))
    picture = Message(Role.USER, (Part(Media("image/png", data=b"0" * 400)),))
    tools = (Tool("abcd", "abcd", "abcd"),)

    answer = await provider_of(PACED).complete(
        ProviderRequest("m", Prompt((call, result, picture), tools=tools))
    )

    assert answer.ending.usage is not None
    assert answer.ending.usage.input_token_count == (8 + 8 + 12) // 4


@virtual_time
async def test_forbidden_tools_are_not_called() -> None:
    """Tool choice NONE outranks the model's own tool calls."""
    request = request_of(tool_choice=ToolChoice(ToolChoiceMode.NONE))

    answer = await provider_of(RAGGED).complete(request)

    assert not any(isinstance(part.kind, ToolCall) for part in answer.parts)


@pytest.mark.parametrize(
    ("accepts_prefill", "expected"), [(True, "three four"), (False, "one two three four")]
)
@virtual_time
async def test_a_prefill_is_continued_where_it_is_accepted(*, accepts_prefill: bool, expected: str) -> None:
    """An assistant message at the end is continued, or else the answer begins anew."""
    model = SimulatedModel(answer="one two three four", accepts_prefill=accepts_prefill)
    asked = Message(Role.USER, (Part(Text("count")),))
    begun = Message(Role.ASSISTANT, (Part(Text("one two ")),))

    answer = await provider_of(model).complete(ProviderRequest("m", Prompt((asked, begun))))

    assert answer.parts == (Part(Text(expected)),)


# Faults


@virtual_time
async def test_a_script_is_taken_step_by_step() -> None:
    """Each call takes the next step, unary and streamed alike; afterwards the plan decides."""
    script = (Fail(FailureClass.OVERLOADED, retry_after=2.0), Cut(2), Ok(), Malformed())
    provider = provider_of(SimulatedModel(script=script, failure_rate=1.0))

    with pytest.raises(AttemptFailure) as overloaded:
        await provider.open(request_of())
    with pytest.raises(AttemptFailure):
        await provider.complete(request_of())
    await reads_of(await provider.open(request_of()))
    with pytest.raises(AttemptFailure):
        await provider.complete(request_of())
    with pytest.raises(AttemptFailure):
        await provider.complete(request_of())

    assert (overloaded.value.failure_class, overloaded.value.retry_after) == (FailureClass.OVERLOADED, 2.0)
    assert [record.number for record in provider.log] == [1, 2, 3, 4, 5]
    assert [record.step for record in provider.log] == [*script, Fail()]
    assert provider.call_count("m") == 5


@pytest.mark.parametrize(
    ("after_script", "expected"),
    [
        (AfterScript.REPEAT, [Fail(), Slow(2.0), Fail(), Slow(2.0), Fail()]),
        (AfterScript.LAST, [Fail(), Slow(2.0), Slow(2.0), Slow(2.0), Slow(2.0)]),
        (AfterScript.PLAN, [Fail(), Slow(2.0), Ok(), Ok(), Ok()]),
    ],
)
@virtual_time
async def test_after_the_script(after_script: AfterScript, expected: list[Step]) -> None:
    """A script that has run out repeats, keeps its last step or gives way to the plan."""
    provider = provider_of(SimulatedModel(script=(Fail(), Slow(2.0)), after_script=after_script))
    for _ in expected:
        await outcome_of(provider, request_of())

    assert [record.step for record in provider.log] == expected


@given(after_tokens=st.integers(0, 6), merge=st.booleans())
@virtual_time
async def test_a_cut_never_yields_an_ending(after_tokens: int, *, merge: bool) -> None:
    """A broken stream gives its tokens, then fails; it has no ending and holds no connection."""
    model = SimulatedModel(answer="one two three four", merge=merge, script=(Cut(after_tokens),))
    provider = provider_of(model)
    stream = await provider.open(request_of())
    deltas: list[Delta] = []

    async def read_all() -> None:
        while (read := await stream.read()) is not None:
            deltas.extend(read)

    with pytest.raises(AttemptFailure) as failure:
        await read_all()

    assert failure.value.failure_class is FailureClass.TRANSIENT
    assert "".join(text_of([delta]) for delta in deltas) == "".join(
        ["one ", "two ", "three ", "four"][:after_tokens]
    )
    assert provider.open_stream_count == 0
    with pytest.raises(RuntimeError):
        _ = stream.ending


@pytest.mark.parametrize(
    ("step", "failure_class"),
    [
        (Cut(2), FailureClass.TRANSIENT),
        (Malformed(1), FailureClass.MALFORMED_RESPONSE),
        (Fail(FailureClass.QUOTA, before_headers=False, after_seconds=1.5), FailureClass.QUOTA),
    ],
)
@virtual_time
async def test_faults_after_the_headers_hit_streams_and_unary_calls_alike(
    step: Step, failure_class: FailureClass
) -> None:
    """A stream opens and then fails at the time and with the class of the unary call."""
    model = SimulatedModel(first_content=Fixed(1.0), token_interval=Fixed(0.5), script=(step, step))
    provider = provider_of(model)

    with pytest.raises(AttemptFailure) as unary:
        await provider.complete(request_of())
    duration = now()
    stream = await provider.open(request_of())
    with pytest.raises(AttemptFailure) as streamed:
        await reads_of(stream)

    assert unary.value.failure_class is streamed.value.failure_class is failure_class
    assert now() == 2 * duration


@virtual_time
async def test_an_answer_filtered_midway_ends_and_says_so() -> None:
    """After some content the filter makes a completion, not a failure."""
    model = SimulatedModel(answer="one two three", script=(Filtered(2),))

    answer = await provider_of(model).complete(request_of())

    assert answer.parts == (Part(Text("one two ")),)
    assert answer.ending.finish_reason is FinishReason.CONTENT_FILTER


@virtual_time
async def test_an_answer_filtered_before_any_content_tells_its_usage() -> None:
    """K4, A2: it ends as filtered and tells what it read, so that the engines can book it."""
    provider = provider_of(SimulatedModel(script=(Filtered(), Filtered())))

    answer = await provider.complete(request_of())
    stream = await provider.open(request_of())

    assert await reads_of(stream) == []
    for ending in (answer.ending, stream.ending):
        assert ending.finish_reason is FinishReason.CONTENT_FILTER
        assert ending.usage is not None
        assert ending.usage.input_token_count > ending.usage.output_token_count == 0
    assert answer.parts == ()


@pytest.mark.parametrize("step", [Stall(0, before_headers=True), Stall(0), Stall(2)], ids=repr)
@virtual_time
async def test_a_stall_lasts_until_it_is_cancelled_and_leaves_nothing(step: Stall) -> None:
    """Silence has no end of its own; cancelling it gives the connection back at once."""
    provider = provider_of(SimulatedModel(answer="one two three", script=(step, step)))

    async def stream_all() -> None:
        await reads_of(await provider.open(request_of()))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1000):
            await stream_all()
    assert provider.open_stream_count == 0

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1000):
            await provider.complete(request_of())
    assert provider.running_unary_call_count == 0
    assert now() == 2000


@given(patience=st.floats(0, 4))
@virtual_time
async def test_a_call_can_be_cancelled_at_any_time(patience: float) -> None:
    """Whenever a caller leaves, neither a stream nor a unary call stays behind."""
    provider = provider_of(PACED)

    async def ask(*, streamed: bool) -> None:
        if streamed:
            await reads_of(await provider.open(request_of()))
        else:
            await provider.complete(request_of())

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(streamed=streamed)) for streamed in (True, False)]
        await asyncio.sleep(patience)
        for task in tasks:
            task.cancel()

    assert (provider.open_stream_count, provider.running_unary_call_count) == (0, 0)


@virtual_time
async def test_a_slow_step_delays_only_the_first_content() -> None:
    """The tokens that follow keep the model's pace."""
    model = SimulatedModel(answer="a b", token_interval=Fixed(0.5), script=(Slow(9.0),))

    await provider_of(model).complete(request_of())

    assert now() == 9.5


@virtual_time
async def test_the_plan_keeps_its_rates() -> None:
    """Each rate is its share of all calls, and faults in mid-answer come after the first token."""
    model = SimulatedModel(
        failure_rate=0.2, cut_rate=0.3, stall_rate=0.1, rate_limit_rate=0.1, retry_after=2.0
    )
    provider = provider_of(model, seed=5)
    for _ in range(2000):
        try:
            async with asyncio.timeout(1):
                await outcome_of(provider, request_of())
        except TimeoutError:
            continue

    steps = [record.step for record in provider.log]
    shares = {kind: sum(isinstance(step, kind) for step in steps) / 2000 for kind in (Fail, Cut, Stall, Ok)}
    assert shares == pytest.approx({Fail: 0.3, Cut: 0.3, Stall: 0.1, Ok: 0.3}, abs=0.04)
    assert steps.count(Fail(FailureClass.RATE_LIMITED, 2.0)) / 2000 == pytest.approx(0.1, abs=0.04)
    cuts = [step.after_tokens for step in steps if isinstance(step, Cut)]
    assert min(cuts) >= 1
    assert len(set(cuts)) > 20


@given(rate=st.integers(1, 50), pauses=st.lists(st.integers(0, 300), max_size=30))
@virtual_time
async def test_a_refused_call_is_let_in_once_it_waited_as_told(rate: int, pauses: list[int]) -> None:
    """The retry-after of a rate limit is right: who waits so long is admitted, who waits less is not."""
    provider = provider_of(SimulatedModel(answer="x", max_calls_per_second=rate / 10))

    for pause in pauses:
        await asyncio.sleep(pause / 100)
        refusal = await refusal_of(provider)
        if refusal is None:
            continue

        wait = refusal.retry_after
        assert refusal.failure_class is FailureClass.RATE_LIMITED
        assert wait is not None
        await asyncio.sleep(wait * 0.9)
        assert await refusal_of(provider) is not None
        await asyncio.sleep(wait * 0.1)
        assert await refusal_of(provider) is None


@virtual_time
async def test_the_rate_limit_admits_its_rate() -> None:
    """After the first second's worth, exactly the set number of calls a second gets through."""
    provider = provider_of(SimulatedModel(answer="x", max_calls_per_second=4))
    admitted = 0
    for _ in range(1000):
        outcome = await outcome_of(provider, request_of())
        admitted += not outcome.startswith("RATE_LIMITED")
        await asyncio.sleep(1 / 64)

    assert admitted == 4 + int(999 / 64 * 4)


@virtual_time
async def test_an_unknown_model_is_not_found_and_not_counted() -> None:
    """A model that is not offered fails with MODEL_NOT_FOUND, streamed and whole."""
    provider = provider_of(PACED)

    for ask in (provider.open, provider.complete):
        with pytest.raises(AttemptFailure) as failure:
            await ask(request_of(model="nobody"))
        assert failure.value.failure_class is FailureClass.MODEL_NOT_FOUND

    assert provider.call_count("nobody") == 0


@virtual_time
async def test_closing_is_idempotent_and_breaks_what_is_open() -> None:
    """Closing the provider ends even silence, and later calls fail without reaching it."""
    provider = provider_of(SimulatedModel(answer="one two", script=(Stall(1),)))
    stream = await provider.open(request_of())
    await stream.read()

    async with asyncio.TaskGroup() as group:
        read = group.create_task(failure_of(stream))
        await asyncio.sleep(0.5)
        await provider.aclose()
        await provider.aclose()
    await stream.aclose()
    await stream.aclose()

    assert read.result().failure_class is FailureClass.TRANSIENT
    assert provider.open_stream_count == 0
    with pytest.raises(AttemptFailure) as failure:
        await provider.complete(request_of())
    assert not failure.value.reached_provider


@virtual_time
async def test_a_closed_stream_gives_no_more() -> None:
    """Closing a stream breaks the read under way, and reads after it, but not the provider."""
    provider = provider_of(PACED)
    stream = await provider.open(request_of())

    async with asyncio.TaskGroup() as group:
        under_way = group.create_task(failure_of(stream))
        await asyncio.sleep(0.5)
        await stream.aclose()
    later = await failure_of(stream)

    assert under_way.result().failure_class is later.failure_class is FailureClass.TRANSIENT
    assert provider.open_stream_count == 0
    await provider.complete(request_of())


@virtual_time
async def test_a_stream_is_open_until_it_is_closed() -> None:
    """A reader that forgets to close a stream it has read to its end is found out by the count."""
    provider = provider_of(PACED)
    stream = await provider.open(request_of())
    while await stream.read() is not None:
        assert provider.open_stream_count == 1
    assert await stream.read() is None
    assert provider.open_stream_count == 1

    await stream.aclose()

    assert provider.open_stream_count == 0


@virtual_time
async def test_an_injected_clock_and_sleep_are_the_only_time() -> None:
    """With both injected, the event loop's own clock plays no part."""
    seconds = 100.0

    async def sleep(duration: float) -> None:
        nonlocal seconds
        seconds += duration

    provider = SimulatedProvider("sim", {"m": PACED}, seed=1, clock=lambda: seconds, sleep=sleep)

    reads = await reads_of(await provider.open(request_of()))

    assert len(reads) == 4
    assert seconds == 102.5
    assert now() == 0


# Settings


def test_a_profile_tells_what_the_model_is_set_to() -> None:
    """Price and habits of a model reach the engines; an unknown model has none."""
    price = Price(1, 2)
    provider = provider_of(
        SimulatedModel(
            price=price, reasons_unseen=True, accepts_prefill=True, bills_after_cancel=True, quality=0.9
        )
    )

    profile = provider.profile("m")

    assert profile.price is price
    assert profile.reasons_unseen
    assert profile.accepts_prefill
    assert profile.bills_after_cancel
    assert profile.quality == 0.9
    assert provider.profile("nobody").price is None


@pytest.mark.parametrize(
    "settings",
    [
        lambda: SimulatedModel(failure_rate=0.6, cut_rate=0.6),
        lambda: SimulatedModel(cut_rate=-0.1),
        lambda: SimulatedModel(confidence=1.1),
        lambda: SimulatedModel(quality=-0.1),
        lambda: SimulatedModel(max_calls_per_second=0),
        lambda: SimulatedModel(retry_after=-1),
        lambda: Fixed(-1),
        lambda: Fixed(float("nan")),
        lambda: Uniform(2, 1),
        lambda: LogNormal(0, 1),
        lambda: LogNormal(1, -1),
        lambda: Exponential(float("inf")),
        lambda: Cut(-1),
        lambda: Stall(1, before_headers=True),
        lambda: Slow(-1),
    ],
)
def test_settings_out_of_range_are_refused(settings: object) -> None:
    """A model that could not be played is refused when it is made."""
    assert callable(settings)
    with pytest.raises(ValueError, match=r"must|above|needs"):
        settings()


@virtual_time
async def test_the_default_models_are_true_to_their_names() -> None:
    """Steady and slow always answer, broken never, flaky now and then; all have a price."""
    models = default_models()
    provider = SimulatedProvider("sim", models, seed=1)
    failures: dict[str, int] = dict.fromkeys(models, 0)
    for name in models:
        for _ in range(200):
            outcome = await outcome_of(provider, request_of(model=name))
            failures[name] += outcome.startswith("TRANSIENT")

    assert (failures["steady"], failures["slow"], failures["broken"]) == (0, 0, 200)
    assert 40 < failures["flaky"] < 120
    assert all(provider.profile(name).price for name in models)


@virtual_time
async def test_a_tiring_model_breaks_twice_and_is_then_well() -> None:
    """The model of the failover demo breaks after twelve tokens, twice."""
    provider = provider_of(tiring_model())

    outcomes = [await outcome_of(provider, request_of()) for _ in range(4)]

    assert ["after 12 tokens" in outcome for outcome in outcomes] == [True, True, False, False]
    assert outcomes[2] == outcomes[3]


def test_it_is_a_provider() -> None:
    """The simulated provider satisfies the protocol that engines are written against."""
    provider: Provider = provider_of(PACED)

    assert provider.name == "sim"
    assert repr(provider) == "<SimulatedProvider 'sim' models=['m'] seed=1>"
