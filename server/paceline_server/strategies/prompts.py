"""The prompts of one call, as its targets take them: fitted once and encoded once (rule A8).

What fits a target is known to the fitter alone, and what a body holds to the adapters.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from paceline_server.completion.prompt import Prompt
from paceline_server.providers.base import Profile, PromptFitter
from paceline_server.strategies.continuation import prefilled


@dataclass(frozen=True, slots=True, eq=False)
class FittedPrompt:
    """A prompt as it is sent.

    Attributes:
        bodies: Encoded request bodies, shared by the attempts that send this prompt and by no other
            (see `ProviderRequest.bodies`).
    """

    prompt: Prompt
    bodies: dict[str, bytes] = field(default_factory=dict)


_Fit = tuple[int, str, object, int | None, int | None]
"""What a fit depends on; prompts are told apart by identity, for they may hold megabytes."""


class Prompts:
    """What has been fitted for one call so far."""

    __slots__ = ("_continuation", "_fits", "_sent")

    def __init__(self) -> None:
        """Start with none."""
        self._fits: dict[_Fit, tuple[Prompt, FittedPrompt]] = {}
        self._sent: dict[int, FittedPrompt] = {}
        self._continuation: _Continuation | None = None

    async def fitted(
        self, prompt: Prompt, continues: str, provider: str, profile: Profile, fitter: PromptFitter
    ) -> FittedPrompt:
        """`prompt` for a target of `provider`; targets that differ in nothing a fit depends on share it.

        Args:
            continues: The beginning of the answer, to be gone on from; empty for a whole answer.

        Raises:
            AttemptFailure: The target cannot take it, or nobody can.
        """
        if continues:
            now = self._continuation
            if now is None or now.text != continues:
                # An answer only grows or starts over: the last beginning is not asked for again.
                now = self._continuation = _Continuation(continues, prefilled(prompt, continues))
            return await now.prompts.fitted(now.prompt, "", provider, profile, fitter)
        windows = (profile.context_token_count, profile.max_output_token_count)
        fit = (id(prompt), provider, profile.media, *windows)
        known = self._fits.get(fit)
        if known is None:
            made = await fitter.fitted(prompt, provider, profile)
            # Kept with the prompts that they stand for, or another's identity could be the same.
            known = (prompt, self._sent.setdefault(id(made), FittedPrompt(made)))
            self._fits[fit] = known
        return known[1]


@dataclass(frozen=True, slots=True, eq=False)
class _Continuation:
    text: str
    prompt: Prompt
    prompts: Prompts = field(default_factory=Prompts)
