"""Requests that break what the comments of the protos state: each is refused, by field, all at once."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from google.rpc import error_details_pb2

from paceline.v1 import chain_pb2, completion_pb2
from paceline_server.completion.errors import InvalidRequest
from paceline_server.rpc.requests import decode_chain_request
from tests.rpc.gateway import Gate, ask, failure, gateway, read_stream

pytestmark = pytest.mark.usefixtures("listener")

USER = {"role": "ROLE_USER", "parts": [{"text": {"text": "Hello"}}]}
TOOL = {"name": "find", "parametersJsonSchema": '{"type": "object"}'}


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    """A gateway with one model."""
    async with gateway() as running:
        yield running


def request(prompt: dict[str, Any] | None = None, **fields: Any) -> chain_pb2.ChainRequest:
    """A request from JSON, right but for what is given."""
    whole = {"messages": [USER], **(prompt or {})}
    return json_format.ParseDict({"model": "test/a", "prompt": whole, **fields}, chain_pb2.ChainRequest())


async def violated(gate: Gate, wrong: chain_pb2.ChainRequest) -> list[str]:
    """The fields that a refusal names; unary and stream refuse alike, and nothing is called."""
    unary = await failure(gate.chain.Chain(wrong))
    streamed = (await read_stream(gate.chain.StreamChain(wrong))).failure
    assert streamed is not None
    assert unary.status == streamed.status
    assert (unary.reason, unary.code) == ("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT)
    assert unary.trailers["paceline-call-id"]
    assert gate.simulated.call_count("a") == 0
    bad = unary.detail(error_details_pb2.BadRequest)
    assert bad is not None
    assert all(violation.description for violation in bad.field_violations)
    return [violation.field for violation in bad.field_violations]


def message(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    """A prompt of one message."""
    return {"messages": [{"role": role, "parts": list(parts)}]}


PART = "prompt.messages[0].parts[0]"
CALL = {"id": "1", "name": "find"}
CALLED = {"role": "ROLE_ASSISTANT", "parts": [{"toolCall": CALL}]}
RESULT = "prompt.messages[1].parts[0].tool_result"


def answered(role: str, result: dict[str, Any]) -> dict[str, Any]:
    """A prompt in which a result follows the call with the id 1."""
    return {"messages": [CALLED, {"role": role, "parts": [{"toolResult": result}]}]}


PROMPTS: list[tuple[dict[str, Any], str]] = [
    ({"messages": []}, "prompt.messages"),
    ({"messages": [{"role": "ROLE_USER"}]}, "prompt.messages[0].parts"),
    ({"messages": [{"parts": USER["parts"]}]}, "prompt.messages[0].role"),
    ({"messages": [USER, {"role": 77, "parts": USER["parts"]}]}, "prompt.messages[1].role"),
    (message("ROLE_USER", {}), f"{PART}.kind"),
    (message("ROLE_USER", {"media": {"mediaType": "image/png"}}), f"{PART}.media.source"),
    (message("ROLE_USER", {"media": {"data": ""}}), f"{PART}.media.source"),
    (message("ROLE_USER", {"media": {"uri": "picture.png"}}), f"{PART}.media.uri"),
    (message("ROLE_USER", {"toolCall": CALL}), f"{PART}.tool_call"),
    (message("ROLE_ASSISTANT", {"toolCall": {"name": "find"}}), f"{PART}.tool_call.id"),
    (message("ROLE_ASSISTANT", {"toolCall": {"id": "1"}}), f"{PART}.tool_call.name"),
    (
        message("ROLE_ASSISTANT", {"toolCall": {**CALL, "argumentsJson": "["}}),
        f"{PART}.tool_call.arguments_json",
    ),
    (
        message("ROLE_ASSISTANT", {"toolCall": {**CALL, "argumentsJson": "[]"}}),
        f"{PART}.tool_call.arguments_json",
    ),
    (answered("ROLE_USER", {"toolCallId": "1"}), RESULT),
    (answered("ROLE_TOOL", {"toolCallId": "2"}), f"{RESULT}.tool_call_id"),
    (message("ROLE_TOOL", {"toolResult": {"toolCallId": "1"}}), f"{PART}.tool_result.tool_call_id"),
    (message("ROLE_TOOL", {"toolResult": {}}), f"{PART}.tool_result.tool_call_id"),
    (message("ROLE_TOOL", {"text": {"text": "x"}}), PART),
    (
        answered("ROLE_TOOL", {"toolCallId": "1", "parts": [{"toolCall": CALL}]}),
        f"{RESULT}.parts[0]",
    ),
    (
        answered("ROLE_TOOL", {"toolCallId": "1", "parts": [{"text": {}}, {"media": {"uri": "x"}}]}),
        f"{RESULT}.parts[1].media.uri",
    ),
    (message("ROLE_USER", {"text": {"text": "x"}, "signature": {"provider": "p"}}), f"{PART}.signature"),
    (message("ROLE_USER", {"text": {"text": "x"}, "signature": {"value": "eA=="}}), f"{PART}.signature"),
    ({"tools": [{"name": ""}]}, "prompt.tools[0].name"),
    ({"tools": [{"name": "a b"}]}, "prompt.tools[0].name"),
    ({"tools": [{"name": "a" * 65}]}, "prompt.tools[0].name"),
    ({"tools": [{"name": "find\n"}]}, "prompt.tools[0].name"),
    ({"tools": [TOOL, TOOL]}, "prompt.tools[1].name"),
    ({"tools": [{"name": "a", "parametersJsonSchema": "{"}]}, "prompt.tools[0].parameters_json_schema"),
    ({"tools": [{"name": "a", "parametersJsonSchema": "[]"}]}, "prompt.tools[0].parameters_json_schema"),
    ({"tools": [{"name": "a", "parametersJsonSchema": "{}"}]}, "prompt.tools[0].parameters_json_schema"),
    (
        {"tools": [{"name": "a", "parametersJsonSchema": '{"type": "string"}'}]},
        "prompt.tools[0].parameters_json_schema",
    ),
    (
        {"tools": [{"name": "a", "parametersJsonSchema": '{"type": "object", "x": NaN}'}]},
        "prompt.tools[0].parameters_json_schema",
    ),
    (
        {"tools": [{"name": "a", "parametersJsonSchema": '{"a":' * 100_000}]},
        "prompt.tools[0].parameters_json_schema",
    ),
    ({"toolChoice": {"required": {}}}, "prompt.tool_choice"),
    ({"toolChoice": {"named": {"name": "find"}}}, "prompt.tool_choice"),
    ({"tools": [TOOL], "toolChoice": {"named": {"name": "fetch"}}}, "prompt.tool_choice.named.name"),
    ({"tools": [TOOL], "toolChoice": {"named": {}}}, "prompt.tool_choice.named.name"),
    ({"responseFormat": {"jsonSchema": {}}}, "prompt.response_format.json_schema.schema_json"),
    (
        {"responseFormat": {"jsonSchema": {"schemaJson": "true"}}},
        "prompt.response_format.json_schema.schema_json",
    ),
    (
        {"responseFormat": {"jsonSchema": {"name": "a b", "schemaJson": "{}"}}},
        "prompt.response_format.json_schema.name",
    ),
    ({"config": {"maxOutputTokenCount": 0}}, "prompt.config.max_output_token_count"),
    ({"config": {"maxOutputTokenCount": -5}}, "prompt.config.max_output_token_count"),
    ({"config": {"topK": 0}}, "prompt.config.top_k"),
    ({"config": {"stopSequences": ["x"] * 17}}, "prompt.config.stop_sequences"),
    ({"config": {"stopSequences": ["x", ""]}}, "prompt.config.stop_sequences"),
    ({"config": {"reasoningEffort": 99}}, "prompt.config.reasoning_effort"),
    ({"providerOptionsJson": {"test": "{"}}, "prompt.provider_options_json['test']"),
    ({"providerOptionsJson": {"test": "3"}}, "prompt.provider_options_json['test']"),
    ({"providerOptionsJson": {"test": '{"model": "x"}'}}, "prompt.provider_options_json['test']"),
    ({"providerOptionsJson": {"test": '{"stream": false}'}}, "prompt.provider_options_json['test']"),
    ({"providerOptionsJson": {"test": '{"x": -Infinity}'}}, "prompt.provider_options_json['test']"),
]


@pytest.mark.parametrize(
    ("prompt", "field"), PROMPTS, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_a_prompt_that_breaks_a_rule_is_refused_by_field(
    prompt: dict[str, Any], field: str, gate: Gate
) -> None:
    """completion.proto: what is required, which form it has; INVALID_REQUEST names the field."""
    assert await violated(gate, request(prompt)) == [field]


RANGES = [("temperature", 0, 2), ("frequency_penalty", -2, 2), ("presence_penalty", -2, 2), ("top_p", 0, 1)]


@pytest.mark.parametrize(("name", "low", "high"), RANGES)
async def test_a_setting_stays_in_its_range(name: str, low: float, high: float, gate: Gate) -> None:
    """GenerationConfig: each number has its range, and NaN and infinity are in none."""
    beyond = [math.nextafter(high, 9), math.nextafter(low, -9), math.nan, math.inf, -math.inf, -1e308]
    for value in [*beyond, *([0.0] if name == "top_p" else [])]:
        wrong = request()
        setattr(wrong.prompt.config, name, value)
        assert await violated(gate, wrong) == [f"prompt.config.{name}"], value


@pytest.mark.parametrize(("name", "low", "high"), RANGES)
async def test_the_ends_of_a_range_are_in_it(name: str, low: float, high: float, gate: Gate) -> None:
    """GenerationConfig: "from .. to" includes both ends; top_p is above 0."""
    for value in (math.nextafter(low, 9) if name == "top_p" else low, high):
        right = request()
        setattr(right.prompt.config, name, value)
        await gate.chain.Chain(right)


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"options": {"recovery": 42}}, "options.recovery"),
    ({"options": {"holdTokenCount": -1}}, "options.hold_token_count"),
    ({"options": {"holdTokenCount": 4097}}, "options.hold_token_count"),
    ({"options": {"transientRetryCount": -1}}, "options.transient_retry_count"),
    ({"options": {"transientRetryCount": 9}}, "options.transient_retry_count"),
    ({"options": {"firstContentTimeout": "0s"}}, "options.first_content_timeout"),
    ({"options": {"firstContentTimeout": "0.000999s"}}, "options.first_content_timeout"),
    ({"options": {"gapTimeout": "-1s"}}, "options.gap_timeout"),
    ({"options": {"attemptTimeout": "-0.5s"}}, "options.attempt_timeout"),
    ({"options": {"overtakeAfter": "-0.001s"}}, "options.overtake_after"),
    ({"options": {"overtakeAfter": "0.0005s"}}, "options.overtake_after"),
    ({"context": {"callerId": "é" * 64 + "x"}}, "context.caller_id"),
    ({"context": {"taskType": "x" * 65}}, "context.task_type"),
    ({"context": {"idempotencyKey": "x" * 129}}, "context.idempotency_key"),
    ({"context": {"complexity": 9}}, "context.complexity"),
    ({"context": {"prefer": -1}}, "context.prefer"),
    ({"context": {"requiredCapabilities": ["CAPABILITY_TOOLS", 0]}}, "context.required_capabilities[1]"),
    ({"context": {"requiredCapabilities": [99]}}, "context.required_capabilities[0]"),
    ({"context": {"labels": {str(index): "" for index in range(17)}}}, "context.labels"),
    ({"context": {"labels": {"": "x"}}}, "context.labels"),
    ({"context": {"labels": {"x" * 65: ""}}}, "context.labels"),
    ({"context": {"labels": {"x": "y" * 257}}}, "context.labels['x']"),
]


@pytest.mark.parametrize(
    ("fields", "field"), OPTIONS, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_options_and_context_stay_in_their_ranges(
    fields: dict[str, Any], field: str, gate: Gate
) -> None:
    """chain.proto, CallContext: ranges, sizes in bytes, known values; INVALID_REQUEST names the field."""
    assert await violated(gate, request(None, **fields)) == [field]


RIGHT: list[dict[str, Any]] = [
    {"options": {"holdTokenCount": 0, "transientRetryCount": 0, "overtakeAfter": "0s"}},
    {"options": {"holdTokenCount": 4096, "transientRetryCount": 8, "overtakeAfter": "0.001s"}},
    {"options": {"firstContentTimeout": "0.001s", "gapTimeout": "86400s", "attemptTimeout": "1s"}},
    {"context": {"callerId": "x" * 128, "taskType": "x" * 64, "idempotencyKey": "", "complexity": 3}},
    {"context": {"labels": {"x" * 64: "y" * 256, **{str(index): "" for index in range(15)}}}},
]


@pytest.mark.parametrize(
    "context", [{"idempotencyKey": "x" * 128}, {"requiredCapabilities": ["CAPABILITY_TOOLS"]}]
)
async def test_a_promise_that_is_not_kept_is_refused(context: dict[str, Any], gate: Gate) -> None:
    """ErrorReason.UNIMPLEMENTED: what this version does not do is refused, never passed over in silence."""
    told = await failure(gate.chain.Chain(request(None, context=context)))
    assert (told.reason, told.code) == ("UNIMPLEMENTED", grpc.StatusCode.UNIMPLEMENTED)


@pytest.mark.parametrize("fields", RIGHT)
async def test_what_just_fits_is_taken(fields: dict[str, Any], gate: Gate) -> None:
    """chain.proto, CallContext: the ends of the ranges are in them."""
    await gate.chain.Chain(request(None, **fields))


async def test_everything_that_a_message_may_be_is_taken(gate: Gate) -> None:
    """completion.proto: every kind of part, in the roles that may have it, tools and formats included."""
    conversation = [
        {"role": "ROLE_SYSTEM", "parts": [{"text": {"text": "Be brief."}}]},
        {"role": "ROLE_USER", "parts": [{"text": {}}, {"media": {"data": "eA=="}}]},
        {"role": "ROLE_USER", "parts": [{"media": {"uri": "https://host/x.png", "mediaType": "image/png"}}]},
        {
            "role": "ROLE_ASSISTANT",
            "parts": [
                {"reasoning": {"redactedData": "eA=="}},
                {"toolCall": {**CALL, "argumentsJson": '{"a": [1, null]}'}},
                {"signature": {"provider": "test", "value": "eA=="}},
            ],
        },
        {"role": "ROLE_TOOL", "parts": [{"toolResult": {"toolCallId": "1", "parts": [{"text": {}}]}}]},
    ]
    extras = {
        "tools": [TOOL, {"name": "x" * 64}],
        "toolChoice": {"named": {"name": "find"}},
        "responseFormat": {"jsonSchema": {"schemaJson": "{}"}},
        "providerOptionsJson": {"test": "{}", "absent": '{"deep": {"model": 1}}'},
    }
    await gate.chain.Chain(request({"messages": conversation, **extras}))


async def test_all_violations_are_told_at_once(gate: Gate) -> None:
    """INVALID_REQUEST: all violations are listed at once, prompt, options and context together."""
    wrong = request(
        {"messages": [], "config": {"topK": 0, "temperature": 3}},
        options={"gapTimeout": "-1s"},
        context={"taskType": "x" * 65},
    )
    assert set(await violated(gate, wrong)) == {
        "prompt.messages",
        "prompt.config.top_k",
        "prompt.config.temperature",
        "options.gap_timeout",
        "context.task_type",
    }


async def test_an_empty_request_is_refused(gate: Gate) -> None:
    """ChainRequest.prompt is required."""
    assert await violated(gate, chain_pb2.ChainRequest()) == ["prompt.messages"]


async def test_a_request_full_of_mistakes_makes_no_long_list(gate: Gate) -> None:
    """INVALID_REQUEST: after enough violations the request is not read further."""
    empty = completion_pb2.Prompt(messages=[completion_pb2.Message()] * 10_000)
    assert len(await violated(gate, chain_pb2.ChainRequest(model="test/a", prompt=empty))) == 32


def pieces(message_count: int, part_count: int = 1, result_part_count: int = 0) -> completion_pb2.Prompt:
    """A prompt of equal messages, whose last is of the role TOOL if there shall be parts of a result."""
    text = completion_pb2.Part(text=completion_pb2.Text(text="x"))
    user = completion_pb2.Message(role=completion_pb2.ROLE_USER, parts=[text] * part_count)
    prompt = completion_pb2.Prompt(messages=[user] * message_count)
    if result_part_count:
        result = completion_pb2.ToolResult(tool_call_id="1", parts=[text] * result_part_count)
        call = completion_pb2.Part(tool_call=completion_pb2.ToolCall(id="1", name="find"))
        tool = completion_pb2.Part(tool_result=result)
        prompt.messages.append(completion_pb2.Message(role=completion_pb2.ROLE_ASSISTANT, parts=[call]))
        prompt.messages.append(completion_pb2.Message(role=completion_pb2.ROLE_TOOL, parts=[tool]))
    return prompt


@pytest.mark.parametrize(
    ("prompt", "field"),
    [
        (pieces(1_000_000), "prompt.messages"),
        (pieces(5001), "prompt.messages"),
        (pieces(1, 10_000), "prompt.messages"),
        (pieces(1, 1, 9995), "prompt.messages"),
        (completion_pb2.Prompt(tools=[completion_pb2.Tool()] * 1001), "prompt.tools"),
        (
            completion_pb2.Prompt(provider_options_json={str(index): "" for index in range(101)}),
            "prompt.provider_options_json",
        ),
    ],
    ids=["messages", "both", "parts", "result parts", "tools", "options"],
)
async def test_a_prompt_of_too_many_pieces_is_refused_before_it_is_decoded(
    prompt: completion_pb2.Prompt, field: str, gate: Gate
) -> None:
    """Prompt.messages, Prompt.tools: their bounds. Nothing else is told, since nothing else was looked at."""
    wrong = chain_pb2.ChainRequest(model="test/a", prompt=prompt)
    wrong.prompt.config.temperature = 9
    assert await violated(gate, wrong) == [field]


@pytest.mark.parametrize("prompt", [pieces(5000), pieces(1, 9999), pieces(1, 1, 9994)])
def test_a_prompt_of_as_many_pieces_as_allowed_is_decoded(prompt: completion_pb2.Prompt) -> None:
    """Prompt.messages: 10,000 messages and parts together are not too many."""
    decoded = decode_chain_request(chain_pb2.ChainRequest(model="test/a", prompt=prompt))
    assert len(decoded.prompt.messages) == len(prompt.messages)


@pytest.mark.parametrize("name", ["labels", "required_capabilities"])
def test_of_too_many_entries_none_is_looked_at(name: str) -> None:
    """CallContext: labels and capabilities beyond their bounds are one violation, whatever they are."""
    wrong = request()
    if name == "labels":
        wrong.context.labels.update({"x" * 65 + str(index): "" for index in range(17)})
    else:
        wrong.context.required_capabilities.extend([completion_pb2.CAPABILITY_UNSPECIFIED] * 101)
    with pytest.raises(InvalidRequest) as refused:
        decode_chain_request(wrong)
    assert [violation.field for violation in refused.value.violations] == [f"context.{name}"]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("nothing", "MODEL_NOT_FOUND"),
        ("nobody/model", "MODEL_NOT_FOUND"),
        ("test/a,nobody/model", "MODEL_NOT_FOUND"),
        ("test/unheard-of", "MODEL_NOT_FOUND"),
        ("", "INVALID_SPEC"),
        (" ", "INVALID_SPEC"),
        (",", "INVALID_SPEC"),
        ("test/a,", "INVALID_SPEC"),
        ("test/", "INVALID_SPEC"),
        ("/a", "INVALID_SPEC"),
        ("test/" + "x" * 1020, "INVALID_SPEC"),
        (",".join(f"test/{index}" for index in range(65)), "INVALID_SPEC"),
    ],
)
async def test_a_model_that_cannot_be_used_is_refused(model: str, reason: str, gate: Gate) -> None:
    """INVALID_SPEC, with BadRequest on `model`; MODEL_NOT_FOUND, with ResourceInfo."""
    told = await failure(gate.chain.Chain(ask(model)))
    assert told.reason == reason
    if reason == "INVALID_SPEC":
        bad = told.detail(error_details_pb2.BadRequest)
        assert bad is not None
        assert [violation.field for violation in bad.field_violations] == ["model"]
    else:
        assert told.detail(error_details_pb2.ResourceInfo) is not None


async def test_an_empty_model_means_the_default() -> None:
    """ChainRequest.model: empty is the configured default."""
    async with gateway(default_model="test/a") as gate:
        response = await gate.chain.Chain(ask(""))
        assert response.completion.target == completion_pb2.Target(provider="test", model="a")
