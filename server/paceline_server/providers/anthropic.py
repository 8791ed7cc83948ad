"""The adapter for Anthropic Messages and all who speak that format.

The format is written in `anthropic_request` and read in `anthropic_answer`; sending is `http_provider`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Unpack

from paceline_server.providers.anthropic_answer import AnthropicReader
from paceline_server.providers.anthropic_failures import ANTHROPIC_FAILURES
from paceline_server.providers.anthropic_request import RequestWriter
from paceline_server.providers.anthropic_settings import AnthropicSettings
from paceline_server.providers.base import Profile, ProviderRequest
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.http_provider import HttpOptions, HttpProvider

_PATH = "/v1/messages"


class AnthropicFormat:
    """The format; see `WireFormat` in `http_provider`."""

    failures = ANTHROPIC_FAILURES

    def __init__(
        self,
        provider: str,
        settings: AnthropicSettings,
        key_header: str,
        profile_of: Callable[[str], Profile],
    ) -> None:
        """Speak the dialect of `settings` as `provider`, with its key in `key_header`."""
        self._provider = provider
        self._writer = RequestWriter(provider, settings, profile_of)
        self.key_header = key_header
        self.headers: Mapping[str, str] = {"anthropic-version": settings.version}
        if settings.betas:
            self.headers = {**self.headers, "anthropic-beta": ",".join(settings.betas)}

    def path(self, model: str, *, stream: bool) -> str:
        """The one path of the format: the model stands in the body."""
        return _PATH

    def body(self, request: ProviderRequest, *, stream: bool) -> bytes:
        """The whole body for `request`.

        Raises:
            AttemptFailure: UNSUPPORTED or INVALID_REQUEST; the provider was not reached.
        """
        return self._writer.body(request, stream=stream)

    def reader(self, classifier: FailureClassifier) -> AnthropicReader:
        """A reader for one answer."""
        return AnthropicReader(self._provider, classifier)


class AnthropicProvider(HttpProvider):
    """One configured provider of the format."""

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | Callable[[], str] = "",
        *,
        settings: AnthropicSettings | None = None,
        key_header: str = "x-api-key",
        **options: Unpack[HttpOptions],
    ) -> None:
        """Make one; for `options` see `HttpProvider`.

        Args:
            name: The name that specs use.
            base_url: What precedes `/v1/messages`; a query is kept.
            api_key: The key, or what gives it at each request; empty for servers without keys.
            settings: The server's dialect.
            key_header: Others who speak the format want the key in "authorization", as a bearer token.
            options: What all HTTP providers take.

        Raises:
            ValueError: The URL is none.
        """
        dialect = settings or AnthropicSettings()
        wire_format = AnthropicFormat(name, dialect, key_header, options["profile_of"])
        super().__init__(name, base_url, api_key, wire_format, **options)
