"""The adapter that all HTTP wire formats share: it sends one request and reads one answer.

Addresses, headers, keys and error statuses are dealt with here; what a format's requests and answers
look like is its `WireFormat`. Clocks, retries and health are the engines'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Protocol, Required, TypedDict

import httpx

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.deltas import fold
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.estimate import prompt_character_count
from paceline_server.providers.base import Answer, Profile, ProviderRequest
from paceline_server.providers.body_encoding import BodyEncoder
from paceline_server.providers.event_stream import FINISH_PATIENCE, AnswerReader, EventStream
from paceline_server.providers.failures import FailureClassifier, FailureRule
from paceline_server.providers.http import (
    ERROR_PATIENCE,
    MAX_ANSWER_BYTES,
    ProviderResponse,
    RequestBody,
    send,
)
from paceline_server.providers.profile import KEPT_MODEL_COUNT
from paceline_server.providers.sse import MAX_EVENT_BYTES

_USER_AGENT = "paceline"
_OK_STATUSES = range(200, 300)


class WireFormat(Protocol):
    """What one wire format's requests and answers look like."""

    @property
    def failures(self) -> Sequence[FailureRule]:
        """The failure table (rule A3)."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """What every request says besides the usual."""
        ...

    @property
    def key_header(self) -> str:
        """The header that carries the key: bare, but a bearer token in "authorization"."""
        ...

    def path(self, model: str, *, stream: bool) -> str:
        """What follows the base URL, percent-encoded; a query may follow a question mark."""
        ...

    def body(self, request: ProviderRequest, *, stream: bool) -> bytes:
        """The whole body for `request`.

        Raises:
            AttemptFailure: UNSUPPORTED or INVALID_REQUEST; the provider was not reached.
        """
        ...

    def reader(self, classifier: FailureClassifier) -> AnswerReader:
        """A reader for one answer."""
        ...


class HttpOptions(TypedDict, total=False):
    """What may be given to every HTTP provider; see `HttpProvider`."""

    transport: Required[httpx.AsyncBaseTransport]
    profile_of: Required[Callable[[str], Profile]]
    rules: Sequence[FailureRule]
    headers: Mapping[str, str] | None
    max_answer_bytes: int
    max_event_bytes: int
    error_patience: float
    finish_patience: float


class HttpProvider:
    """One configured provider; see `Provider` in `base`.

    Its key and the values of its configured headers are in no repr or message.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | Callable[[], str],
        wire_format: WireFormat,
        *,
        transport: httpx.AsyncBaseTransport,
        profile_of: Callable[[str], Profile],
        rules: Sequence[FailureRule] = (),
        headers: Mapping[str, str] | None = None,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        max_event_bytes: int = MAX_EVENT_BYTES,
        error_patience: float = ERROR_PATIENCE,
        finish_patience: float = FINISH_PATIENCE,
    ) -> None:
        """Make one.

        Args:
            name: The name that specs use.
            base_url: What precedes the format's own path; a query is kept.
            api_key: The key, or what gives it at each request; empty for servers without keys.
            wire_format: What requests and answers look like.
            transport: Carries the requests, and is closed with the provider.
            profile_of: Tells what is known of a model.
            rules: Failure rules that are tried before the format's own.
            headers: Sent with each request; their values are as secret as the key.
            max_answer_bytes: The largest answer that is read: of a whole one its body, of a streamed one
                what it says, without the frames around every token.
            max_event_bytes: The largest event of a stream.
            error_patience: Seconds that the explanation of an error is waited for.
            finish_patience: Seconds that the end of a stream is waited for after its finish reason.

        Raises:
            ValueError: The URL is none.
        """
        self._name = name
        self._base = _base(base_url)
        self._url = lru_cache(KEPT_MODEL_COUNT)(self._url_of)
        self._api_key = api_key
        self._format = wire_format
        self._encoder = BodyEncoder()
        self._transport = transport
        self._profile_of = lru_cache(KEPT_MODEL_COUNT)(profile_of)
        self._classifier = FailureClassifier(wire_format.failures, configured=rules, secrets=self._secrets)
        given = headers or {}
        # "Token abc" is told as it is or without its scheme.
        told = {secret for value in given.values() for secret in (value, value.split(" ")[-1])}
        self._header_secrets = tuple(told)
        self._max_answer_bytes = max_answer_bytes
        self._error_patience = error_patience
        self._stream_of = partial(
            EventStream,
            max_event_bytes=max_event_bytes,
            max_answer_bytes=max_answer_bytes,
            finish_patience=finish_patience,
        )
        own = {
            "host": self._base.netloc.decode("ascii"),
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": _USER_AGENT,
            **wire_format.headers,
            **{key.lower(): value for key, value in given.items()},
        }
        self._headers = [(key.encode("ascii"), value.encode("ascii")) for key, value in own.items()]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r}, {str(self._base)!r})"

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
        reader = self._format.reader(self._classifier)
        reader.read_document(await response.read_rest(self._max_answer_bytes))
        reader.finish()
        return Answer(fold(reader.take()), reader.ending())

    async def open(self, request: ProviderRequest) -> EventStream:
        """Ask for a streamed answer and return when its headers have come.

        Raises:
            AttemptFailure: The provider refused or could not be reached.
        """
        response = await self._send(request, stream=True)
        return self._stream_of(response, self._format.reader(self._classifier))

    async def aclose(self) -> None:
        """Close all connections."""
        self._encoder.close()
        await self._transport.aclose()

    async def _send(self, request: ProviderRequest, *, stream: bool) -> ProviderResponse:
        body = await self._encoder.encoded(request.prompt, partial(self._format.body, request, stream=stream))
        headers = [
            *self._headers,
            (b"accept", b"text/event-stream" if stream else b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *self._key_headers(),
        ]
        url = self._url(request.model, stream)
        sent = httpx.Request("POST", url, headers=headers, stream=RequestBody(body))
        response = await send(self._transport, sent)
        if response.status not in _OK_STATUSES:
            told = await response.read_error(self._error_patience)
            count = prompt_character_count(request.prompt)
            raise self._classifier.of_response(response.status, response.headers, told, count)
        return response

    def _url_of(self, model: str, stream: bool) -> httpx.URL:  # noqa: FBT001 - a key of the cache
        path, _, query = self._format.path(model, stream=stream).partition("?")
        base_path, _, base_query = self._base.raw_path.partition(b"?")
        target = base_path.rstrip(b"/") + path.encode("ascii")
        queries = b"&".join(part for part in (base_query, query.encode("ascii")) if part)
        return self._base.copy_with(raw_path=target + b"?" + queries if queries else target)

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
        header = self._format.key_header.lower()
        value = f"Bearer {key}" if header == "authorization" else key
        return [(header.encode("ascii"), value.encode("ascii"))]

    def _key(self) -> str:
        return (self._api_key if isinstance(self._api_key, str) else self._api_key()).strip()

    def _secrets(self) -> tuple[str, ...]:
        return (self._key(), *self._header_secrets)


def _base(base_url: str) -> httpx.URL:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ValueError("the base URL is no URL") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError(f"the base URL {url.scheme!r}://{url.host!r} is not http or https with a host")
    if url.userinfo:
        raise ValueError("the base URL holds credentials; give them as the API key")
    return url
