"""What the writers of requests share, whatever the wire format: JSON of callers, options, refusals.

A body is encoded once per call and dialect, and kept in the request. What stands in it is the
formats' to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Media, Part, Role
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import OWN_MEMBERS, Prompt
from paceline_server.providers.base import ProviderRequest
from paceline_server.providers.json_faults import NOT_JSON
from paceline_server.providers.media_types import shown

encode = msgspec.json.Encoder().encode
"""Encodes a body, or a piece of one."""


def shared_body(
    request: ProviderRequest, dialect: str, provider: str, fields: Callable[[Prompt], Mapping[str, Any]]
) -> bytes:
    """The members of a body that do not depend on the attempt, as one JSON object that is not empty.

    Args:
        request: Keeps what was encoded for its call.
        dialect: Names all besides the prompt that decides how the prompt is written.
        provider: Options and signatures are one provider's own; prompts without them are shared by all
            providers of the dialect.
        fields: Gives the members.

    Raises:
        AttemptFailure: As `fields` does.
    """
    prompt = request.prompt
    own = provider in prompt.provider_options_json or any(
        part.signature is not None for message in prompt.messages for part in message.parts
    )
    key = f"{dialect}/{provider}" if own else dialect
    encoded = request.bodies.get(key)
    if encoded is None:
        encoded = request.bodies[key] = encode(fields(prompt))
    return encoded


def provider_options(prompt: Prompt, provider: str) -> dict[str, msgspec.Raw]:
    """The members that the caller lays over the body for `provider`.

    Raises:
        AttemptFailure: INVALID_REQUEST; they are no JSON object, or set a member that is Paceline's own.
    """
    text = prompt.provider_options_json.get(provider)
    if not text:
        return {}
    options = json_object(text, f"the options for {provider!r}")
    reserved = [name for name in OWN_MEMBERS if name in options]
    if reserved:
        raise invalid(f"the options for {provider!r} may not set {reserved[0]!r}")
    return options


def raw_object(text: str, what: str) -> msgspec.Raw:
    """`text`, to be sent as it is.

    Raises:
        AttemptFailure: INVALID_REQUEST; it is no JSON object.
    """
    json_object(text, what)
    return msgspec.Raw(text.encode())


def json_object(text: str, what: str) -> dict[str, msgspec.Raw]:
    """The members of a JSON object.

    Raises:
        AttemptFailure: INVALID_REQUEST, naming `what`; it is none.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except NOT_JSON as error:
        raise invalid(f"{what} are no JSON object") from error


def plain_media_type(media: Media) -> str:
    """The media type in lower case and without parameters."""
    return media.media_type.partition(";")[0].strip().lower()


def misplaced(part: Part, role: Role) -> AttemptFailure:
    """UNSUPPORTED: the format has no such part in messages of `role`."""
    return unsupported(f"this provider's {role.value} messages cannot hold {type(part.kind).__name__}")


def untaken_media(media: Media) -> AttemptFailure:
    """UNSUPPORTED: the format has no place for media of this type, given in this way."""
    where = "by reference" if media.uri else "in the request"
    media_type = shown(plain_media_type(media) or "media of unknown type")
    return unsupported(
        f"this provider's format does not take {media_type} {where}; convert it, or ask a target that does"
    )


def unsupported(message: str) -> AttemptFailure:
    """The format cannot say what the prompt holds; another target's may."""
    return AttemptFailure(FailureClass.UNSUPPORTED, message, reached_provider=False)


def invalid(message: str) -> AttemptFailure:
    """The prompt is at fault, whatever the target."""
    return AttemptFailure(FailureClass.INVALID_REQUEST, message, reached_provider=False)
