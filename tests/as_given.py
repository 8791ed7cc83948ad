"""A fitter for tests that are about other things: every prompt fits as it is."""

from __future__ import annotations

from paceline_server.completion.prompt import Prompt
from paceline_server.providers.base import Profile


class AsGiven:
    """Leaves every prompt as it is; see `PromptFitter` in `providers.base`."""

    async def fitted(self, prompt: Prompt, provider: str, profile: Profile) -> Prompt:
        """The same object."""
        return prompt
