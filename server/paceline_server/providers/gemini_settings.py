"""How the servers of the Gemini generateContent format differ, as data. Nothing here acts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GeminiSettings:
    """A server's dialect; the defaults are those of the Gemini API of AI Studio.

    Attributes:
        api_version: Stands between the base URL and `/models/...`; empty where the base URL ends in what
            precedes `/models`, as Vertex AI's `.../v1/projects/P/locations/L/publishers/google`.
        sends_call_ids: Send calls and results of tools with their ids; False for Vertex AI, which gives
            ids and refuses to have them back.
        asks_logprobs: Ask for token probabilities, from which confidence is taken, in every call.
    """

    api_version: str = "v1beta"
    sends_call_ids: bool = True
    asks_logprobs: bool = False
