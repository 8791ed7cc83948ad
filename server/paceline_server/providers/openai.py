"""The adapter for OpenAI chat completions and all who speak that format.

The format is written in `openai_request` and read in `openai_answer`; sending is `http_provider`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Unpack

from paceline_server.providers.base import ProviderRequest
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.http_provider import HttpOptions, HttpProvider
from paceline_server.providers.openai_answer import OpenAIReader
from paceline_server.providers.openai_failures import OPENAI_FAILURES
from paceline_server.providers.openai_request import RequestWriter
from paceline_server.providers.openai_settings import OpenAISettings
from paceline_server.providers.profile import Profile

_PATH = "/chat/completions"


class OpenAIFormat:
    """The format; see `WireFormat` in `http_provider`."""

    failures = OPENAI_FAILURES
    headers: Mapping[str, str] = {}

    def __init__(
        self,
        provider: str,
        settings: OpenAISettings,
        key_header: str,
        profile_of: Callable[[str], Profile],
    ) -> None:
        """Speak the dialect of `settings` as `provider`, with its key in `key_header`."""
        self._provider = provider
        self._writer = RequestWriter(provider, settings, profile_of)
        self.key_header = key_header

    def path(self, model: str, *, stream: bool) -> str:
        """The one path of the format: the model stands in the body."""
        return _PATH

    def body(self, request: ProviderRequest, *, stream: bool) -> bytes:
        """The whole body for `request`.

        Raises:
            AttemptFailure: UNSUPPORTED or INVALID_REQUEST; the provider was not reached.
        """
        return self._writer.body(request, stream=stream)

    def reader(self, classifier: FailureClassifier) -> OpenAIReader:
        """A reader for one answer."""
        return OpenAIReader(self._provider, classifier)


class OpenAIProvider(HttpProvider):
    """One configured provider of the format."""

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | Callable[[], str] = "",
        *,
        settings: OpenAISettings | None = None,
        key_header: str = "authorization",
        **options: Unpack[HttpOptions],
    ) -> None:
        """Make one; for `options` see `HttpProvider`.

        Args:
            name: The name that specs use.
            base_url: What precedes `/chat/completions`; a query is kept.
            api_key: The key, or what gives it at each request; empty for servers without keys.
            settings: The vendor's dialect.
            key_header: "api-key" for Azure; in "authorization" the key is a bearer token.
            options: What all HTTP providers take.

        Raises:
            ValueError: The URL is none.
        """
        dialect = settings or OpenAISettings()
        wire_format = OpenAIFormat(name, dialect, key_header, options["profile_of"])
        super().__init__(name, base_url, api_key, wire_format, **options)
