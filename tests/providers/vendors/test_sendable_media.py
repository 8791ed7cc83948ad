"""What the configuration holds to be sendable is what the formats' writers can send."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from paceline_server.completion.content import Media, Message, Part, Role
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import Prompt
from paceline_server.providers import anthropic_request, gemini_request, openai_request
from paceline_server.providers.anthropic_settings import AnthropicSettings
from paceline_server.providers.base import ProviderRequest
from paceline_server.providers.gemini_settings import GeminiSettings
from paceline_server.providers.openai_settings import OpenAISettings
from paceline_server.providers.profile import Profile
from paceline_server.providers.vendors.known import VENDORS
from paceline_server.providers.vendors.media import SENDABLE, is_sendable

_OPENAI = openai_request.RequestWriter("acme", OpenAISettings(), lambda _: Profile())
_ANTHROPIC = anthropic_request.RequestWriter("acme", AnthropicSettings(), lambda _: Profile())
_GEMINI = gemini_request.RequestWriter("acme", GeminiSettings(), lambda _: Profile())
_WRITERS: dict[str, Callable[[ProviderRequest], bytes]] = {
    "openai": lambda request: _OPENAI.body(request, stream=False),
    "anthropic": lambda request: _ANTHROPIC.body(request, stream=False),
    "gemini": _GEMINI.body,
}
_TYPES = {
    *(media_type for types in SENDABLE.values() for media_type in types if "*" not in media_type),
    *("image/avif", "image/bmp", "audio/flac", "audio/ogg", "video/mp4", "text/csv", "application/zip"),
}


def _can_send(wire_format: str, media_type: str) -> bool:
    message = Message(Role.USER, (Part(Media(media_type, b"x")),))
    try:
        _WRITERS[wire_format](ProviderRequest("m", Prompt((message,))))
    except AttemptFailure:
        return False
    return True


@pytest.mark.parametrize("wire_format", _WRITERS)
def test_a_type_is_sendable_if_it_can_be_sent(wire_format: str) -> None:
    """S5, A8: the configuration refuses what a request would be refused for, and nothing else."""
    sent = {media_type for media_type in _TYPES if _can_send(wire_format, media_type)}
    assert sent == {media_type for media_type in _TYPES if is_sendable(media_type, wire_format)}


def test_vendors_are_known_to_take_only_what_can_be_sent_to_them() -> None:
    """A8: no file is fitted to a type that has no place in the request."""
    for vendor in VENDORS.values():
        known = (vendor.profile.media, *(models.media for models in vendor.models))
        types = {media_type for limits in known if limits for media_type in limits.media_types}
        assert {each for each in types if not is_sendable(each, vendor.wire_format)} == set(), vendor.name
