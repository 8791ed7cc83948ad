"""Media from the caller to the provider, through a gateway as the composition root builds it."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from typing import Any

from google.rpc import error_details_pb2

from paceline.v1 import chain_pb2, completion_pb2
from tests.built import answers, built, sent_body
from tests.providers.pictures import opened, photograph, stored
from tests.providers.replay import ReplayServer, replaying
from tests.rpc.gateway import ask, failure

_PNG = stored(photograph((120, 80)), "PNG")
_SMALL = "{m: {media: {types: [image/jpeg, image/png], max_image_edge: 50}}}"
_NONE = "{m: {media: {types: []}}}"


def _provider(name: str, server: ReplayServer, targets: str) -> str:
    return f"  {name}: {{format: openai, base_url: '{server.url}', targets: {targets}}}\n"


def _see(model: str, **media: Any) -> chain_pb2.ChainRequest:
    part = completion_pb2.Part(media=completion_pb2.Media(**media))
    message = completion_pb2.Message(role=completion_pb2.ROLE_USER, parts=[part])
    return ask(model, prompt=completion_pb2.Prompt(messages=[message]))


async def test_an_image_is_fitted_to_its_target(tmp_path: Path) -> None:
    """A8: a target that takes no images is passed over, and the next gets an image that it takes."""
    async with replaying(answers) as blind, replaying(answers) as seeing:
        providers = _provider("blind", blind, _NONE) + _provider("seeing", seeing, _SMALL)
        async with built(tmp_path, "providers:\n" + providers) as gate:
            request = _see("blind/m,seeing/m", media_type="image/jpeg", data=_PNG)
            response = await gate.chain.Chain(request)
        assert response.attempts[0].failure_class == completion_pb2.FAILURE_CLASS_UNSUPPORTED
        assert not blind.requests
        (item,) = sent_body(seeing)["messages"][0]["content"]
    head, _, data = item["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert opened(b64decode(data)).size == (50, 33)


async def test_a_damaged_image_is_the_requests_fault(tmp_path: Path) -> None:
    """A8: a damaged image is sent to no target, and the caller is told where it is."""
    async with replaying(answers) as first, replaying(answers) as second:
        providers = _provider("first", first, _SMALL) + _provider("second", second, _SMALL)
        async with built(tmp_path, "providers:\n" + providers) as gate:
            told = await failure(gate.chain.Chain(_see("first/m,second/m", data=_PNG[:-30])))
        bad = told.detail(error_details_pb2.BadRequest)
        assert bad is not None
        assert told.reason == "INVALID_REQUEST"
        assert [violation.field for violation in bad.field_violations] == ["prompt.messages[0].parts[0]"]
        (attempt,) = told.call_failure.attempts
        assert attempt.failure_class == completion_pb2.FAILURE_CLASS_INVALID_REQUEST
        assert attempt.message == "messages[0].parts[0] ends before its end marker; send the whole file"
        assert not first.requests
        assert not second.requests
