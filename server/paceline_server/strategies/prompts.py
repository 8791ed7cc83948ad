"""The prompts of one call, as its targets take them: fitted once and encoded once (rule A8).

What fits a target is known to the fitter alone, and what a body holds to the adapters.
"""

from __future__ import annotations

from dataclasses import field

from paceline_server.completion.immutable import immutable
from paceline_server.completion.prompt import Prompt
from paceline_server.providers.base import Profile, PromptFitter
from paceline_server.strategies.continuation import prefilled


@immutable(frozen=True, slots=True, eq=False)
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

    __slots__ = ("_beginning", "_continuations", "_fits", "_sent")

    def __init__(self) -> None:
        """Start with none."""
        self._fits: dict[_Fit, tuple[Prompt, FittedPrompt]] = {}
        self._sent: dict[int, FittedPrompt] = {}
        self._beginning = ""
        self._continuations: dict[int, _Continuation] = {}

    async def fitted(
        self, prompt: Prompt, provider: str, profile: Profile, fitter: PromptFitter
    ) -> FittedPrompt:
        """`prompt` for a target of `provider`; targets that differ in nothing a fit depends on share it.

        Raises:
            AttemptFailure: The target cannot take it, or nobody can.
        """
        windows = (profile.context_token_count, profile.max_output_token_count)
        fit = (id(prompt), provider, profile.media, *windows)
        known = self._fits.get(fit)
        if known is None:
            made = await fitter.fitted(prompt, provider, profile)
            # Kept with the prompts that they stand for, or another's identity could be the same.
            known = (prompt, self._sent.setdefault(id(made), FittedPrompt(made)))
            self._fits[fit] = known
        return known[1]

    async def continued(
        self, fitted: FittedPrompt, text: str, provider: str, profile: Profile, fitter: PromptFitter
    ) -> FittedPrompt:
        """What asks to go on from `text`, for the target that `fitted` is for: its files are fitted already.

        Raises:
            AttemptFailure: The target cannot take it with its answer's beginning.
        """
        if text != self._beginning:
            # An answer only grows or starts over: the last beginning is not asked for again.
            self._beginning = text
            self._continuations.clear()
        known = self._continuations.get(id(fitted))
        if known is None:
            known = self._continuations[id(fitted)] = _Continuation(fitted, prefilled(fitted.prompt, text))
        return await known.prompts.fitted(known.prompt, provider, profile, fitter)


@immutable(frozen=True, slots=True, eq=False)
class _Continuation:
    whole: FittedPrompt
    prompt: Prompt
    prompts: Prompts = field(default_factory=Prompts)
