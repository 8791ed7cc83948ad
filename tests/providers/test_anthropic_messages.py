"""What the Anthropic adapter makes of the messages of a prompt."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import (
    Kind,
    Media,
    Message,
    Part,
    ProviderSignature,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import Prompt
from paceline_server.providers.anthropic_request import RequestWriter
from paceline_server.providers.anthropic_settings import AnthropicSettings
from paceline_server.providers.base import ProviderRequest
from paceline_server.providers.profile import Profile
from tests.providers.anthropic_support import HELLO, message

_PNG = b"\x89PNG"


def _sent(*messages: Message) -> dict[str, Any]:
    writer = RequestWriter("acme", AnthropicSettings(), lambda _: Profile())
    sent: dict[str, Any] = json.loads(writer.body(ProviderRequest("m", Prompt(messages)), stream=False))
    return sent


def _content(*kinds: Kind) -> Any:
    return _sent(message(Role.USER, *kinds))["messages"][0]["content"]


def _refused(*messages: Message) -> AttemptFailure:
    with pytest.raises(AttemptFailure) as caught:
        _sent(*messages)
    assert not caught.value.reached_provider
    return caught.value


def _result(tool_call_id: str, text: str, *, failed: bool = False) -> ToolResult:
    return ToolResult(tool_call_id, (Part(Text(text)),), failed)


def test_what_the_system_says_stands_in_one_place() -> None:
    """A8: messages of the system are gathered in order, wherever they stand."""
    sent = _sent(message(Role.SYSTEM, Text("Be kind")), HELLO, message(Role.SYSTEM, Text("Be brief")), HELLO)
    assert [block["text"] for block in sent["system"]] == ["Be kind", "Be brief"]
    assert [said["role"] for said in sent["messages"]] == ["user"]
    assert _sent(message(Role.SYSTEM, Text("Be kind")), HELLO)["system"] == "Be kind"


def test_neighbours_of_one_role_are_one_message() -> None:
    """A8: roles alternate in this format."""
    sent = _sent(HELLO, HELLO, message(Role.ASSISTANT, Text("a")), message(Role.ASSISTANT, Text("b")), HELLO)
    assert [(said["role"], len(said["content"])) for said in sent["messages"]] == [
        ("user", 2),
        ("assistant", 2),
        ("user", 5),
    ]


def test_a_conversation_with_parallel_tools() -> None:
    """A8: calls have objects for arguments; all results come back in one message of the user, first."""
    sent = _sent(
        HELLO,
        message(
            Role.ASSISTANT, Text("I try"), ToolCall("c1", "add", '{"a": 1.50}'), ToolCall("c2", "now", "")
        ),
        message(Role.TOOL, _result("c1", "1.5")),
        message(Role.TOOL, _result("c2", "no clock", failed=True)),
        message(Role.USER, Text("Go on")),
    )
    assert sent["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I try"},
                {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1.5}},
                {"type": "tool_use", "id": "c2", "name": "now", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "1.5"},
                {"type": "tool_result", "tool_use_id": "c2", "content": "no clock", "is_error": True},
                {"type": "text", "text": "Go on"},
            ],
        },
    ]


def test_results_stand_before_what_is_said_beside_them() -> None:
    """A8: the API demands results at the head of their message."""
    content = _content(Text("See"), _result("c1", "1"))
    assert [block["type"] for block in content] == ["tool_result", "text"]


def test_a_result_holds_images_and_may_hold_nothing() -> None:
    """The contract of ToolResult: its parts are text or media, and none mean that nothing came back."""
    seen = ToolResult("c1", (Part(Text("Seen:")), Part(Media("image/png", _PNG))))
    silent = ToolResult("c2", (), failed=True)
    first, second = _content(seen, silent)
    assert [item["type"] for item in first["content"]] == ["text", "image"]
    assert second == {"type": "tool_result", "tool_use_id": "c2"}


@pytest.mark.parametrize("arguments", ["not json", "[1]", '"text"', '{"a":', "null"])
def test_arguments_that_are_no_object_name_their_call(arguments: str) -> None:
    """A8: the format takes objects only, and no other target is asked with a broken request."""
    failure = _refused(HELLO, message(Role.ASSISTANT, ToolCall("c9", "add", arguments)), HELLO)
    assert failure.failure_class is FailureClass.INVALID_REQUEST
    assert "'c9'" in failure.message


def test_ids_of_other_providers_are_rewritten_alike() -> None:
    """A8: after failover a call and its result still find each other, in characters that the API takes."""
    given = "functions.add:0"
    sent = _sent(
        HELLO,
        message(Role.ASSISTANT, ToolCall(given, "add", "{}"), ToolCall("functions.add:1", "add", "{}")),
        message(Role.TOOL, _result(given, "1")),
    )
    (first, second), (result,) = sent["messages"][1]["content"], sent["messages"][2]["content"]
    assert first["id"] == result["tool_use_id"] != second["id"]
    assert first["id"].replace("_", "").isalnum()


def test_thoughts_go_back_to_their_provider_only() -> None:
    """A8: a thought goes back with its signature, as it came; others' and unsigned ones are dropped."""
    thoughts = (
        Part(Reasoning("Mine"), ProviderSignature("acme", b"c2ln")),
        Part(Reasoning("", b"RW5j"), ProviderSignature("acme", b"redacted_thinking")),
        Part(Reasoning(""), ProviderSignature("acme", b"b25seQ")),
        Part(Reasoning("Theirs"), ProviderSignature("zulu", b"secret-of-zulu")),
        Part(Reasoning("Nobody's")),
        Part(Text("Yes"), ProviderSignature("zulu", b"secret-of-zulu")),
    )
    sent = _sent(HELLO, Message(Role.ASSISTANT, thoughts), HELLO)
    assert sent["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Mine", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "RW5j"},
        {"type": "thinking", "thinking": "", "signature": "b25seQ"},
        {"type": "text", "text": "Yes"},
    ]
    assert "zulu" not in json.dumps(sent)


def test_media_have_a_place_each() -> None:
    """A8: images and documents go by their bytes or by reference, as recorded clients send them."""
    assert _content(
        Media("image/png", _PNG),
        Media("image/JPG; q=1", _PNG),
        Media("image/png", uri="https://a.example/b.png"),
        Media("image/png", uri="data:image/png;base64,iVBORw=="),
        Media("application/pdf", b"%PDF"),
        Media("application/pdf", uri="https://a.example/b.pdf"),
        Media("text/plain", "Grüße".encode()),
    ) == [
        _image({"type": "base64", "media_type": "image/png", "data": b64encode(_PNG).decode()}),
        _image({"type": "base64", "media_type": "image/jpeg", "data": b64encode(_PNG).decode()}),
        _image({"type": "url", "url": "https://a.example/b.png"}),
        _image({"type": "base64", "media_type": "image/png", "data": "iVBORw=="}),
        _document({"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}),
        _document({"type": "url", "url": "https://a.example/b.pdf"}),
        _document({"type": "text", "media_type": "text/plain", "data": "Grüße"}),
    ]


def _image(source: dict[str, str]) -> dict[str, Any]:
    return {"type": "image", "source": source}


def _document(source: dict[str, str]) -> dict[str, Any]:
    return {"type": "document", "source": source}


@pytest.mark.parametrize(
    "media",
    [
        Media("audio/wav", b"RIFF"),
        Media("image/tiff", b"II"),
        Media("", b"?"),
        Media("video/mp4", uri="https://a.example/b.mp4"),
        Media("text/plain", uri="https://a.example/b.txt"),
        Media("image/png", uri="gs://bucket/b.png"),
        Media("image/png", uri="data:image/png,%89PNG"),
    ],
)
def test_other_media_are_unsupported(media: Media) -> None:
    """A8: a misfit advances to another target and is never dropped."""
    failure = _refused(message(Role.USER, Text("See"), media))
    assert failure.failure_class is FailureClass.UNSUPPORTED


def test_a_text_that_is_none_is_the_requests_fault() -> None:
    """A8: a corrupt file is the request's fault."""
    failure = _refused(message(Role.USER, Media("text/plain", b"\xff\xfe")))
    assert failure.failure_class is FailureClass.INVALID_REQUEST


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        (Role.SYSTEM, Media("image/png", _PNG)),
        (Role.ASSISTANT, Media("image/png", _PNG)),
        (Role.USER, Reasoning("Hm")),
        (Role.USER, ToolCall("c1", "add", "{}")),
        (Role.ASSISTANT, _result("c1", "1")),
    ],
)
def test_what_has_no_place_is_unsupported(role: Role, kind: Kind) -> None:
    """A8: nothing of a prompt is dropped because it stands where the format has no place for it."""
    assert _refused(HELLO, message(role, kind), HELLO).failure_class is FailureClass.UNSUPPORTED


def test_what_says_nothing_is_left_out() -> None:
    """A8: the API refuses blank texts and empty messages, which say nothing to the model either."""
    sent = _sent(HELLO, message(Role.ASSISTANT, Text("")), message(Role.USER, Text(" \n"), Text("Well?")))
    assert sent["messages"] == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "Well?"}],
        }
    ]


@pytest.mark.parametrize("only", [message(Role.SYSTEM, Text("Be kind")), message(Role.USER, Text(" "))])
def test_a_prompt_needs_something_said(only: Message) -> None:
    """A8: the format has no request without a message, and the refusal says what to do."""
    failure = _refused(only)
    assert failure.failure_class is FailureClass.UNSUPPORTED
    assert "user" in failure.message


def test_an_answer_to_be_continued_ends_in_text() -> None:
    """C5: an answer that is to be continued can end neither in white space nor in a thought."""
    thought = Part(Reasoning("Hm"), ProviderSignature("acme", b"sig"))
    sent = _sent(HELLO, Message(Role.ASSISTANT, (thought, Part(Text("Once upon \n")), thought)))
    assert [block["type"] for block in sent["messages"][-1]["content"]] == ["thinking", "text"]
    assert sent["messages"][-1]["content"][-1]["text"] == "Once upon"
    assert _sent(HELLO, Message(Role.ASSISTANT, (thought,)))["messages"] == _sent(HELLO)["messages"]


def test_an_answer_that_ends_in_a_call_stays() -> None:
    """C5: only texts and thoughts at the end of an answer are touched."""
    sent = _sent(HELLO, message(Role.ASSISTANT, Text("a "), ToolCall("c1", "now", "")))
    assert [block.get("text", "call") for block in sent["messages"][1]["content"]] == ["a ", "call"]


def test_white_space_within_a_conversation_stays() -> None:
    """C5: only the very end is trimmed; what was said before stays as it was."""
    sent = _sent(HELLO, message(Role.ASSISTANT, Text("Yes. ")), HELLO)
    assert sent["messages"][1]["content"] == "Yes. "
