"""Base URLs that would lead nowhere, by format: those that hold a part of the path that is added to them.

Only what is wrong on every server is refused: what a proxy's paths mean is its own affair.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from paceline_server.settings.secret import refusal
from paceline_server.settings.values import Url

_REQUEST_PATHS = ("/chat/completions", "/v1/messages", ":generateContent", ":streamGenerateContent")
_VERTEX = "aiplatform.googleapis.com"
_PUBLISHERS = "/publishers/"


def without_version(base_url: str, version: str) -> None:
    """Let a URL of the Gemini format pass that does not end in the version that is added to it.

    Raises:
        PydanticCustomError: It does, so the version would be there twice.
    """
    if version and _path(base_url).endswith(f"/{version}"):
        raise refusal(
            "the URL ends in the version, which is added to it",
            "leave it out of the URL, or write api_version: ''",
            below=("base_url",),
        )


def _before_request(base_url: str) -> str:
    path = _path(base_url)
    for own in _REQUEST_PATHS:
        if path.endswith(own):
            raise refusal(
                f"the URL ends in the path of a request, {own}", "write only what precedes that path"
            )
    return base_url


def _before_messages(base_url: str) -> str:
    if _path(base_url).endswith("/v1"):
        raise refusal(
            "the URL ends in /v1, which is added to it", "leave /v1 out: /v1/messages follows the URL"
        )
    return base_url


def _before_models(base_url: str) -> str:
    if _path(base_url).endswith("/models"):
        raise refusal("the URL ends in /models, which is added to it", "leave /models out")
    host = urlsplit(base_url).hostname or ""
    if host.endswith(_VERTEX) and _PUBLISHERS not in _path(base_url):
        raise refusal(
            "the URL of Vertex AI names no publisher",
            f"write all that precedes /models, as in https://{_VERTEX}"
            "/v1/projects/<project>/locations/global/publishers/google",
        )
    return base_url


def _path(base_url: str) -> str:
    return urlsplit(base_url).path.rstrip("/")


ChatUrl = Annotated[Url, AfterValidator(_before_request)]
MessagesUrl = Annotated[Url, AfterValidator(_before_request), AfterValidator(_before_messages)]
ModelsUrl = Annotated[Url, AfterValidator(_before_request), AfterValidator(_before_models)]
