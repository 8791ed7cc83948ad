"""Through a whole gateway, in every format: parts that cannot be sent, and what their sender is told (A8)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import grpc
import pytest
from google.rpc import error_details_pb2

from paceline.v1 import chain_pb2, completion_pb2, targets_pb2
from tests.built import JSON_HEADERS, Built, built
from tests.faults.wires import ANSWER, FORMATS, Wire
from tests.providers.pictures import PDF, claimed_png, photograph, stored
from tests.providers.replay import ReplayServer, answering, replaying
from tests.rpc.gateway import ask, failure, read_stream, texts

DAMAGED = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
UNTAKEN = (grpc.StatusCode.FAILED_PRECONDITION, "UNSUPPORTED_FEATURE")
WHERE = "messages[0].parts[1]"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def _docx() -> bytes:
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<document/>")
    return file.getvalue()


@dataclass(frozen=True)
class Bad:
    """A file that cannot be sent.

    Attributes:
        remedy: What its sender is told to do.
    """

    name: str
    data: bytes
    media_type: str
    told: tuple[grpc.StatusCode, str]
    remedy: str


BAD = (
    Bad("no-image", b"Dear reader, this is a letter.", "image/png", DAMAGED, "send the whole file"),
    Bad("cut-image", stored(photograph((64, 48)), "PNG")[:-30], "", DAMAGED, "send the whole file"),
    Bad("cut-pdf", PDF[:-8], "application/pdf", DAMAGED, "send the whole file"),
    Bad("docx-as-pdf", _docx(), "application/pdf", DAMAGED, "send the whole file"),
    Bad("40-megapixels", claimed_png(8000, 5000), "image/png", UNTAKEN, "send at most 36 megapixels"),
    Bad("3600-megapixels", claimed_png(60_000, 60_000), "image/png", UNTAKEN, "send at most 36 megapixels"),
    Bad("docx", _docx(), DOCX, UNTAKEN, "send one of application/pdf, image/jpeg, image/png"),
    Bad("docx-untyped", _docx(), "", UNTAKEN, "set its media_type"),
)


@asynccontextmanager
async def _gateway(wire: Wire, folder: Path) -> AsyncIterator[tuple[Built, ReplayServer]]:
    """A gateway with one target, `p/m`, which would answer."""
    media = "{types: [image/jpeg, image/png, application/pdf], max_image_edge: 500}"
    async with replaying(answering(wire.document, headers=JSON_HEADERS)) as server:
        base_url = wire.base_url(server)
        facts = f"format: {wire.name}, base_url: '{base_url}', targets: {{m: {{media: {media}}}}}"
        async with built(folder, f"log: {{level: error}}\nproviders: {{p: {{{facts}}}}}\n") as gate:
            yield gate, server


def _request(*messages: completion_pb2.Message) -> chain_pb2.ChainRequest:
    return ask("p/m", prompt=completion_pb2.Prompt(messages=messages))


def _text(text: str) -> completion_pb2.Part:
    return completion_pb2.Part(text=completion_pb2.Text(text=text))


def _message(role: completion_pb2.Role.ValueType, *parts: completion_pb2.Part) -> completion_pb2.Message:
    return completion_pb2.Message(role=role, parts=parts)


@FORMATS
@pytest.mark.parametrize("bad", BAD, ids=[bad.name for bad in BAD])
async def test_a_bad_file_is_sent_to_nobody_and_its_place_told(wire: Wire, bad: Bad, tmp_path: Path) -> None:
    """A8: unary and streamed alike the status says whose fault it is, and the words where and what to do."""
    media = completion_pb2.Part(media=completion_pb2.Media(media_type=bad.media_type, data=bad.data))
    request = _request(_message(completion_pb2.ROLE_USER, _text("What is this?"), media))
    async with _gateway(wire, tmp_path) as (gate, server):
        told = await failure(gate.chain.Chain(request))
        streamed = (await read_stream(gate.chain.StreamChain(request))).failure
        (target,) = (await gate.targets.ListTargets(targets_pb2.ListTargetsRequest())).targets
    assert streamed is not None
    for each in (told, streamed):
        assert (each.code, each.reason) == bad.told
        (attempt,) = each.call_failure.attempts
        assert WHERE in attempt.message
        assert bad.remedy in attempt.message
        assert WHERE in each.message
        assert bad.remedy in each.message
        assert _fields(each.detail(error_details_pb2.BadRequest)) == (
            [f"prompt.{WHERE}"] if bad.told == DAMAGED else []
        )
    assert not server.requests
    assert target.state == targets_pb2.TARGET_STATE_ACTIVE
    assert target.consecutive_failure_count == 0


def _fields(bad: error_details_pb2.BadRequest | None) -> Sequence[str]:
    return [] if bad is None else [violation.field for violation in bad.field_violations]


@FORMATS
async def test_a_result_without_its_call_is_refused_at_the_door(wire: Wire, tmp_path: Path) -> None:
    """A8: what answers nothing is told by its field, and no target is asked."""
    result = completion_pb2.ToolResult(tool_call_id="lost", parts=[_text("It rains.")])
    request = _request(
        _message(completion_pb2.ROLE_USER, _text("Rain?")),
        _message(completion_pb2.ROLE_TOOL, completion_pb2.Part(tool_result=result)),
    )
    async with _gateway(wire, tmp_path) as (gate, server):
        told = await failure(gate.chain.Chain(request))
    assert (told.code, told.reason) == DAMAGED
    assert _fields(told.detail(error_details_pb2.BadRequest)) == [
        "prompt.messages[1].parts[0].tool_result.tool_call_id"
    ]
    assert not server.requests


def _signed_thought() -> completion_pb2.Message:
    signature = completion_pb2.ProviderSignature(provider="elsewhere", value=b"c2VjcmV0")
    thought = completion_pb2.Reasoning(text="Hm, a riddle.")
    return _message(
        completion_pb2.ROLE_ASSISTANT, completion_pb2.Part(reasoning=thought, signature=signature)
    )


@FORMATS
async def test_what_another_provider_signed_is_left_out(wire: Wire, tmp_path: Path) -> None:
    """A8: neither the signature nor the thought that it is for is sent, and the call succeeds."""
    user = _message(completion_pb2.ROLE_USER, _text("Go on."))
    async with _gateway(wire, tmp_path) as (gate, server):
        response = await gate.chain.Chain(_request(user, _signed_thought(), user))
        (request,) = server.requests
    assert texts(response.completion.parts) == ANSWER
    assert b"c2VjcmV0" not in request.body
    assert b"riddle" not in request.body


@FORMATS
async def test_a_prompt_of_nothing_else_is_told_so(wire: Wire, tmp_path: Path) -> None:
    """A8: where nothing is left, no target can take the prompt, and the remedy is told."""
    async with _gateway(wire, tmp_path) as (gate, server):
        told = await failure(gate.chain.Chain(_request(_signed_thought())))
    assert (told.code, told.reason) == UNTAKEN
    (attempt,) = told.call_failure.attempts
    assert "add a message of the user" in attempt.message
    assert "add a message of the user" in told.message
    assert not server.requests
