"""How the Gemini adapter writes a conversation: turns, calls and their results, media, signatures."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import Prompt
from paceline_server.providers.gemini_request import RequestWriter
from paceline_server.providers.gemini_settings import GeminiSettings
from paceline_server.providers.profile import NOTHING_KNOWN
from tests.providers.gemini_support import HELLO, a_request, chunk, message, read_whole, signed

_NEWER = "gemini-3-flash-preview"
_UNCHECKED = "skip_thought_signature_validator"


def _sent(
    *messages: Message, model: str = "gemini-2.5-flash", settings: GeminiSettings | None = None
) -> dict[str, Any]:
    writer = RequestWriter("acme", settings or GeminiSettings(), lambda _: NOTHING_KNOWN)
    sent: dict[str, Any] = json.loads(writer.body(a_request(Prompt(messages), model)))
    return sent


def _contents(*messages: Message, **options: Any) -> list[dict[str, Any]]:
    contents: list[dict[str, Any]] = _sent(*messages, **options)["contents"]
    return contents


def _result(call_id: str, text: str, *, failed: bool = False) -> ToolResult:
    return ToolResult(call_id, (Part(Text(text)),), failed)


def test_instructions_move_to_the_head_and_turns_alternate() -> None:
    """The contract of Role: where a provider takes instructions only at the head they are moved there."""
    sent = _sent(
        message(Role.SYSTEM, Text("Be kind"), Text("")),
        HELLO,
        message(Role.USER, Text("Are you there?")),
        message(Role.ASSISTANT, Text("Yes")),
        message(Role.ASSISTANT, Text("!")),
        message(Role.SYSTEM, Text("Be brief")),
        message(Role.USER, Text("")),
    )
    assert sent["systemInstruction"] == {
        "parts": [{"text": "Be kind"}, {"text": ""}, {"text": "Be brief"}],
    }
    assert sent["contents"] == [
        {"role": "user", "parts": [{"text": "Hello"}, {"text": "Are you there?"}]},
        {"role": "model", "parts": [{"text": "Yes"}, {"text": "!"}]},
        {"role": "user", "parts": [{"text": ""}]},
    ]


def test_a_conversation_with_tools() -> None:
    """A8: results name the function of the call they answer; objects go as they are, and all else in one."""
    contents = _contents(
        HELLO,
        message(Role.ASSISTANT, ToolCall("c1", "add", '{"a": 1.0}'), ToolCall("c2", "now", "")),
        message(Role.TOOL, _result("c2", '{"hour": 1e2}'), _result("c1", "[1]")),
        message(Role.ASSISTANT, ToolCall("c1", "sub", "{}")),
        message(Role.TOOL, _result("c1", "disk full", failed=True)),
        message(Role.TOOL, _result("c2", '{"code":5}', failed=True), ToolResult("c2", ())),
        message(Role.USER, Text("Go on")),
    )
    assert contents[1]["parts"] == [
        {"functionCall": {"name": "add", "args": {"a": 1.0}, "id": "c1"}},
        {"functionCall": {"name": "now", "args": {}, "id": "c2"}},
    ]
    assert contents[2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"name": "now", "response": {"hour": 100.0}, "id": "c2"}},
            {"functionResponse": {"name": "add", "response": {"result": "[1]"}, "id": "c1"}},
        ],
    }
    assert contents[4]["parts"] == [
        {"functionResponse": {"name": "sub", "response": {"error": "disk full"}, "id": "c1"}},
        {"functionResponse": {"name": "now", "response": {"error": {"code": 5}}, "id": "c2"}},
        {"functionResponse": {"name": "now", "response": {"result": ""}, "id": "c2"}},
        {"text": "Go on"},
    ]


def test_numbers_of_arguments_and_results_are_not_written_anew() -> None:
    """A8: what the model and the tool have said goes back to the letter."""
    number = "12345678901234567890123456789.10"
    call = message(Role.ASSISTANT, ToolCall("c", "add", f'{{"a":{number}}}'))
    body = RequestWriter("acme", GeminiSettings(), lambda _: NOTHING_KNOWN).body(
        a_request(Prompt((HELLO, call, message(Role.TOOL, _result("c", f'{{"sum":{number}}}')))))
    )
    assert body.count(number.encode()) == 2


def test_a_result_of_no_call_is_the_requests_fault() -> None:
    """A3: its function has no name, so that no target of the format could be told."""
    with pytest.raises(AttemptFailure, match=r"'c9' answers no earlier call") as caught:
        _sent(HELLO, message(Role.TOOL, _result("c9", "x")))
    assert caught.value.failure_class is FailureClass.INVALID_REQUEST
    assert not caught.value.reached_provider


def test_ids_go_back_where_they_came_from() -> None:
    """A8: ids that Paceline made stay here, and Vertex AI takes none at all."""
    parts = read_whole(chunk({"functionCall": {"name": "now"}}, reason="STOP", responseId="r-1")).parts
    (kind,) = (part.kind for part in parts)
    assert kind == ToolCall("paceline_r-1_0", "now", "{}")
    made = (HELLO, Message(Role.ASSISTANT, parts), message(Role.TOOL, _result("paceline_r-1_0", "x")))
    given = (
        HELLO,
        message(Role.ASSISTANT, ToolCall("c1", "now", "")),
        message(Role.TOOL, _result("c1", "x")),
    )
    for contents in (_contents(*made), _contents(*given, settings=GeminiSettings(sends_call_ids=False))):
        assert contents[1]["parts"] == [{"functionCall": {"name": "now", "args": {}}}]
        assert contents[2]["parts"] == [
            {"functionResponse": {"name": "now", "response": {"result": "x"}}},
        ]


def test_media_go_by_value_or_by_reference() -> None:
    """A8: any type has a place, said or looked at."""
    (content,) = _contents(
        message(
            Role.USER,
            Text("Look"),
            Media("Image/PNG; q=1", b"\x89P\xff"),
            Media("video/mp4", uri="https://example.com/a.mp4"),
            Media("", uri="gs://bucket/a.pdf"),
            Media("", uri="data:image/gif;base64,R0lG"),
        )
    )
    assert content["parts"] == [
        {"text": "Look"},
        {"inlineData": {"mimeType": "image/png", "data": "iVD/"}},
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://example.com/a.mp4"}},
        {"fileData": {"fileUri": "gs://bucket/a.pdf"}},
        {"inlineData": {"mimeType": "image/gif", "data": "R0lG"}},
    ]


def test_tools_may_answer_with_media_where_the_model_takes_them() -> None:
    """A8: the third generation has a place for them beside the text of a result."""
    shot = ToolResult("c1", (Part(Text("done")), Part(Media("image/png", b"x"))))
    call = message(Role.ASSISTANT, ToolCall("c1", "shoot", ""))
    contents = _contents(HELLO, call, message(Role.TOOL, shot), model=_NEWER)
    assert contents[2]["parts"] == [
        {
            "functionResponse": {
                "name": "shoot",
                "response": {"result": "done"},
                "id": "c1",
                "parts": [{"inlineData": {"mimeType": "image/png", "data": "eA=="}}],
            }
        }
    ]
    with pytest.raises(AttemptFailure) as caught:
        _contents(HELLO, call, message(Role.TOOL, shot))
    assert caught.value.failure_class is FailureClass.UNSUPPORTED


_CALL = message(Role.ASSISTANT, ToolCall("c", "now", ""))


@pytest.mark.parametrize(
    "messages",
    [
        (message(Role.USER, Media("", b"x")),),
        (message(Role.USER, Media("", uri="data:image/png,x")),),
        (message(Role.USER, Reasoning("hm")),),
        (message(Role.SYSTEM, Media("image/png", b"x")), HELLO),
        (message(Role.TOOL, Text("x")),),
        (HELLO, message(Role.ASSISTANT, ToolCall("c", "now", "not json"))),
        (HELLO, message(Role.ASSISTANT, ToolCall("c", "now", "[1]"))),
        (HELLO, _CALL, message(Role.ASSISTANT, _result("c", "x"))),
        (HELLO, _CALL, message(Role.TOOL, ToolResult("c", (Part(Media("image/png", uri="x://y")),)))),
        (HELLO, _CALL, message(Role.TOOL, ToolResult("c", (Part(Reasoning("hm")),)))),
    ],
)
def test_what_the_format_cannot_say_is_unsupported(messages: tuple[Message, ...]) -> None:
    """A8: a misfit advances without penalty and is never dropped in silence."""
    with pytest.raises(AttemptFailure) as caught:
        _sent(*messages, model=_NEWER)
    assert caught.value.failure_class is FailureClass.UNSUPPORTED
    assert not caught.value.reached_provider


def test_what_came_signed_goes_back_as_it_came() -> None:
    """A8: on the same part, unchanged, also where a part is empty but for it or nobody else can read it."""
    answer: list[dict[str, Any]] = [
        {"text": "Hm.", "thought": True, "thoughtSignature": "dA=="},
        {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "ZQ=="},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK"}},
        {"text": "One "},
        {"text": "two", "thoughtSignature": "dHdv"},
        {"inlineData": {"mimeType": "image/png", "data": "eA=="}, "thoughtSignature": "aQ=="},
        {"functionCall": {"name": "add", "args": {"a": 1}, "id": "c1"}, "thoughtSignature": "Yw=="},
        {"functionCall": {"name": "add", "args": {"a": 2}, "id": "c2"}},
        {"text": "", "thoughtSignature": "ZW5k"},
    ]
    parts = read_whole(chunk(*answer, reason="STOP")).parts
    for model in ("gemini-2.5-flash", _NEWER):
        assert _contents(HELLO, Message(Role.ASSISTANT, parts), model=model)[1]["parts"] == answer


def test_what_others_have_signed_stays_with_them() -> None:
    """A8: another provider's signatures are dropped, with the thoughts that they are about."""
    message_of_another = Message(
        Role.ASSISTANT,
        (
            signed(Reasoning("theirs"), b"x", "other"),
            signed(Reasoning("", b"sealed"), b"x", "other"),
            Part(Reasoning("nobody's")),
            signed(Text(""), b"x", "other"),
            signed(Text("4"), b"x", "other"),
        ),
    )
    assert _contents(HELLO, message_of_another)[1:] == [{"role": "model", "parts": [{"text": "4"}]}]
    thoughts_alone = Message(Role.ASSISTANT, message_of_another.parts[:3])
    assert len(_contents(HELLO, thoughts_alone)) == 1


def test_calls_of_another_model_are_vouched_for_where_signatures_are_checked() -> None:
    """A8: a conversation begun elsewhere may go on with Gemini 3; the first call of a turn counts."""
    calls = (ToolCall("c1", "now", ""), ToolCall("c2", "now", ""))
    bare = message(Role.ASSISTANT, Text("Well"), *calls)
    parts = _contents(HELLO, bare, model=_NEWER)[1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [None, _UNCHECKED, None]
    parts = _contents(HELLO, bare)[1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [None, None, None]
    own = Message(Role.ASSISTANT, (signed(calls[0], b"b3du"), signed(calls[1], b"x", "other")))
    parts = _contents(HELLO, own, model=_NEWER)[1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["b3du", None]


@pytest.mark.parametrize(
    "part",
    [
        signed(Text("x"), b"\xff"),
        signed(Reasoning("", b"no object"), b"-"),
        signed(Reasoning("", b'{"a":1},"role":"x"'), b"-"),
    ],
)
def test_a_signature_that_this_provider_never_gave_is_refused(part: Part) -> None:
    """A3: what comes back changed is the request's fault, and cannot add members to the body."""
    with pytest.raises(AttemptFailure) as caught:
        _sent(HELLO, Message(Role.ASSISTANT, (part,)))
    assert caught.value.failure_class is FailureClass.INVALID_REQUEST


_SIGNED = st.fixed_dictionaries({}, optional={"thoughtSignature": st.sampled_from(["YQ==", "Yg=="])})
_PARTS = st.lists(
    st.builds(
        lambda part, signature: part | signature,
        st.fixed_dictionaries({"text": st.text(max_size=3)})
        | st.fixed_dictionaries(
            {"functionCall": st.fixed_dictionaries({"name": st.just("f"), "args": st.just({"a": [1, "é"]})})}
        )
        | st.fixed_dictionaries(
            {"inlineData": st.just({"mimeType": "image/png", "data": "eA=="})},
        )
        | st.fixed_dictionaries({"executableCode": st.just({"language": "PYTHON", "code": "1"})}),
        _SIGNED,
    ),
    max_size=6,
)


@settings(deadline=None)
@given(_PARTS)
def test_what_came_goes_back_as_it_came(parts: list[dict[str, Any]]) -> None:
    """A8: but for texts that join, and those that are empty and bear no signature."""
    answer = read_whole(chunk(*parts, reason="STOP"))
    prompt = Prompt((HELLO, Message(Role.ASSISTANT, answer.parts)))
    sent = json.loads(
        RequestWriter("acme", GeminiSettings(), lambda _: NOTHING_KNOWN).body(a_request(prompt))
    )
    expected: list[dict[str, Any]] = []
    for part in parts:
        unsigned = part.keys() == {"text"}
        if unsigned and expected and expected[-1].keys() == {"text"}:
            expected[-1] = {"text": expected[-1]["text"] + part["text"]}
        elif not unsigned or part["text"]:
            expected.append(part)
    assert [part for content in sent["contents"][1:] for part in content["parts"]] == expected
