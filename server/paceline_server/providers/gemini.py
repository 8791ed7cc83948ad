"""The adapter for Google's Gemini: AI Studio's generateContent format, which Vertex AI speaks, too.

The format is written in `gemini_request` and read in `gemini_answer`; sending is `http_provider`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Unpack
from urllib.parse import quote

from paceline_server.providers.base import ProviderRequest
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.gemini_answer import GeminiReader
from paceline_server.providers.gemini_failures import GEMINI_FAILURES
from paceline_server.providers.gemini_request import RequestWriter
from paceline_server.providers.gemini_settings import GeminiSettings
from paceline_server.providers.http import MAX_ANSWER_BYTES
from paceline_server.providers.http_provider import HttpOptions, HttpProvider
from paceline_server.providers.profile import Profile

_RESOURCE = "models/"


class GeminiFormat:
    """The format; see `WireFormat` in `http_provider`."""

    failures = GEMINI_FAILURES
    headers: Mapping[str, str] = {}
    key_header = "x-goog-api-key"  # Vertex AI's tokens come with the configured headers instead

    def __init__(self, provider: str, settings: GeminiSettings, profile_of: Callable[[str], Profile]) -> None:
        """Speak the dialect of `settings` as `provider`."""
        self._provider = provider
        self._writer = RequestWriter(provider, settings, profile_of)
        self._models = f"/{settings.api_version}/{_RESOURCE}" if settings.api_version else f"/{_RESOURCE}"

    def path(self, model: str, *, stream: bool) -> str:
        """The path to the model, in which no name of a model can be more than one segment.

        Lists of models name them with the resource before, as in "models/gemini-2.5-flash"; both forms do.
        """
        segment = quote(model.removeprefix(_RESOURCE), safe="")
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"{self._models}{segment}:{method}"

    def body(self, request: ProviderRequest, *, stream: bool) -> bytes:
        """The whole body for `request`.

        Raises:
            AttemptFailure: UNSUPPORTED or INVALID_REQUEST; the provider was not reached.
        """
        return self._writer.body(request)

    def reader(self, classifier: FailureClassifier) -> GeminiReader:
        """A reader for one answer."""
        return GeminiReader(self._provider, classifier)


class GeminiProvider(HttpProvider):
    """One configured provider of the format."""

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: str | Callable[[], str] = "",
        *,
        settings: GeminiSettings | None = None,
        **options: Unpack[HttpOptions],
    ) -> None:
        """Make one; for `options` see `HttpProvider`.

        Args:
            name: The name that specs use.
            base_url: What precedes `/v1beta/models/...`, or what `settings` puts there; a query is kept.
            api_key: The key, or what gives it at each request; empty where the headers hold a token.
            settings: The server's dialect.
            options: What all HTTP providers take; an event may be as large as a whole answer unless they say
                otherwise, as a picture is one.

        Raises:
            ValueError: The URL is none.
        """
        wire_format = GeminiFormat(name, settings or GeminiSettings(), options["profile_of"])
        options.setdefault("max_event_bytes", options.get("max_answer_bytes", MAX_ANSWER_BYTES))
        super().__init__(name, base_url, api_key, wire_format, **options)
