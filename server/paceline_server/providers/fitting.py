"""Making a prompt one that a certain target can take (rule A8).

So far every prompt is sent as it was given, and what it does not fit says so.
"""

from __future__ import annotations

from paceline_server.completion.prompt import Prompt
from paceline_server.providers.base import Profile


class AsGiven:
    """Leaves every prompt as it is; see `PromptFitter` in `base`."""

    async def fitted(self, prompt: Prompt, provider: str, profile: Profile) -> Prompt:
        """The same object."""
        return prompt
