"""The prompts of one call, as its targets take them: fitted once and encoded once (rule A8).

What fits a target is known to the fitter alone, and what a body holds to the adapters.
"""

from __future__ import annotations

from dataclasses import field, replace

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.immutable import immutable
from paceline_server.completion.prompt import Prompt
from paceline_server.providers.base import Profile, PromptFitter
from paceline_server.strategies.continuation import prefilled
from paceline_server.telemetry.log import log_bug


@immutable(frozen=True, slots=True, eq=False)
class FittedPrompt:
    """A prompt as it is sent.

    Attributes:
        bodies: Encoded request bodies, shared by the attempts that send this prompt and by no other
            (see `ProviderRequest.bodies`).
    """

    prompt: Prompt
    bodies: dict[str, bytes] = field(default_factory=dict)

    def held_to(self, max_output_token_count: int | None) -> FittedPrompt:
        """The same, but that its answer has at most so many tokens; None leaves it as it is."""
        config = self.prompt.config
        if max_output_token_count in (None, config.max_output_token_count):
            return self
        own = replace(config, max_output_token_count=max_output_token_count)
        return FittedPrompt(replace(self.prompt, config=own))


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
            made = await _fitted(prompt, provider, profile, fitter)
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


async def _fitted(prompt: Prompt, provider: str, profile: Profile, fitter: PromptFitter) -> Prompt:
    try:
        return await fitter.fitted(prompt, provider, profile)
    except AttemptFailure as failure:
        failure.reached_provider = False
        raise
    except Exception as error:
        # A bug of the fitter's costs this target and not the call: the next may take the prompt as it is.
        log_bug(error)
        raise AttemptFailure(
            FailureClass.UNSUPPORTED,
            "the prompt could not be made fit for the target",
            reached_provider=False,
        ) from error


@immutable(frozen=True, slots=True, eq=False)
class _Continuation:
    whole: FittedPrompt
    prompt: Prompt
    prompts: Prompts = field(default_factory=Prompts)
