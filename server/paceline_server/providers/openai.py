"""The adapter for OpenAI chat completions and all who speak that format.

It sends one request and reads one answer. Clocks, retries and health are the engines'; the format is
written in `openai_request` and read in `openai_stream` and `openai_answer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import httpx

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.deltas import fold
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.base import Answer, ProviderRequest
from paceline_server.providers.failures import FailureClassifier, FailureRule
from paceline_server.providers.http import (
    ERROR_PATIENCE,
    MAX_ANSWER_BYTES,
    ProviderResponse,
    RequestBody,
    send,
)
from paceline_server.providers.openai_answer import AnswerReader
from paceline_server.providers.openai_failures import OPENAI_FAILURES
from paceline_server.providers.openai_request import RequestWriter
from paceline_server.providers.openai_settings import OpenAISettings
from paceline_server.providers.openai_stream import FINISH_PATIENCE, OpenAIStream
from paceline_server.providers.profile import Profile
from paceline_server.providers.sse import MAX_EVENT_BYTES

_PATH = "/chat/completions"
_USER_AGENT = "paceline"
_OK_STATUSES = range(200, 300)

KEPT_PROFILE_COUNT = 1024
"""Profiles are asked for several times a call, and callers name the models."""


class OpenAIProvider:
    """One configured provider of the format; see `Provider` in `base`.

    Its key and the values of its configured headers are in no repr or message.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | Callable[[], str] = "",
        *,
        transport: httpx.AsyncBaseTransport,
        profile_of: Callable[[str], Profile],
        settings: OpenAISettings | None = None,
        rules: Sequence[FailureRule] = (),
        headers: Mapping[str, str] | None = None,
        key_header: str = "authorization",
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        max_event_bytes: int = MAX_EVENT_BYTES,
        error_patience: float = ERROR_PATIENCE,
        finish_patience: float = FINISH_PATIENCE,
    ) -> None:
        """Make one.

        Args:
            name: The name that specs use.
            base_url: What precedes `/chat/completions`; a query is kept.
            api_key: The key, or what gives it at each request; empty for servers without keys.
            transport: Carries the requests, and is closed with the provider.
            profile_of: Tells what is known of a model.
            settings: The vendor's dialect.
            rules: Failure rules that are tried before the format's own.
            headers: Sent with each request; their values are as secret as the key.
            key_header: "api-key" for Azure; in "authorization" the key is a bearer token.
            max_answer_bytes: The largest answer that is read: of a whole one its body, of a streamed one
                what it says, without the frames around every token.
            max_event_bytes: The largest event of a stream.
            error_patience: Seconds that the explanation of an error is waited for.
            finish_patience: Seconds that the end of a stream is waited for after its finish reason.

        Raises:
            ValueError: The URL is none.
        """
        self._name = name
        self._url = _endpoint(base_url)
        self._api_key = api_key
        self._transport = transport
        self._profile_of = lru_cache(KEPT_PROFILE_COUNT)(profile_of)
        self._writer = RequestWriter(name, settings or OpenAISettings())
        self._classifier = FailureClassifier(OPENAI_FAILURES, configured=rules, secrets=self._secrets)
        # "Token abc" is told as it is or without its scheme.
        values = (headers or {}).values()
        self._header_secrets = tuple({secret for value in values for secret in (value, value.split(" ")[-1])})
        self._key_header = key_header.lower()
        self._max_answer_bytes = max_answer_bytes
        self._max_event_bytes = max_event_bytes
        self._error_patience = error_patience
        self._finish_patience = finish_patience
        self._headers = [
            (b"host", self._url.netloc),
            (b"content-type", b"application/json"),
            (b"accept-encoding", b"identity"),
            (b"user-agent", _USER_AGENT.encode()),
            *((key.lower().encode("ascii"), value.encode("ascii")) for key, value in (headers or {}).items()),
        ]

    def __repr__(self) -> str:
        return f"OpenAIProvider({self._name!r}, {str(self._url)!r})"

    @property
    def name(self) -> str:
        """The name that specs use."""
        return self._name

    def profile(self, model: str) -> Profile:
        """What is known of one of its models."""
        return self._profile_of(model)

    async def complete(self, request: ProviderRequest) -> Answer:
        """Ask for a whole answer.

        Raises:
            AttemptFailure: No answer, or not a whole one.
        """
        response = await self._send(request, stream=False)
        reader = AnswerReader(self._name, self._classifier)
        reader.read(await response.read_rest(self._max_answer_bytes), whole=True)
        reader.finish()
        return Answer(fold(reader.take()), reader.ending())

    async def open(self, request: ProviderRequest) -> OpenAIStream:
        """Ask for a streamed answer and return when its headers have come.

        Raises:
            AttemptFailure: The provider refused or could not be reached.
        """
        response = await self._send(request, stream=True)
        return OpenAIStream(
            response,
            AnswerReader(self._name, self._classifier),
            max_event_bytes=self._max_event_bytes,
            max_answer_bytes=self._max_answer_bytes,
            finish_patience=self._finish_patience,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def _send(self, request: ProviderRequest, *, stream: bool) -> ProviderResponse:
        body = self._writer.body(request, stream=stream)
        headers = [
            *self._headers,
            (b"accept", b"text/event-stream" if stream else b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *self._key_headers(),
        ]
        message = httpx.Request("POST", self._url, headers=headers, stream=RequestBody(body))
        response = await send(self._transport, message)
        if response.status not in _OK_STATUSES:
            told = await response.read_error(self._error_patience)
            raise self._classifier.of_response(response.status, response.headers, told)
        return response

    def _key_headers(self) -> list[tuple[bytes, bytes]]:
        key = self._key()
        if not key:
            return []
        if not (key.isascii() and key.isprintable()):
            raise AttemptFailure(
                FailureClass.AUTHENTICATION,
                "the API key has characters that no header can hold",
                reached_provider=False,
            )
        value = f"Bearer {key}" if self._key_header == "authorization" else key
        return [(self._key_header.encode("ascii"), value.encode("ascii"))]

    def _key(self) -> str:
        key = self._api_key
        return (key if isinstance(key, str) else key()).strip()

    def _secrets(self) -> tuple[str, ...]:
        return (self._key(), *self._header_secrets)


def _endpoint(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ValueError("the base URL is no URL") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"the base URL {url.scheme!r}://{url.host!r} is not http or https with a host")
    if url.userinfo:
        raise ValueError("the base URL holds credentials; give them as the API key")
    return url.copy_with(path=url.path.rstrip("/") + _PATH)
