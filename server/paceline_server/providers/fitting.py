"""Fitting a prompt to a target (rule A8): foreign signatures go, files are brought within its limits.

What needs nothing of that is handed back as it is, for the price of one walk. Files are judged, and images
written anew, in threads; how, is the business of `media_fitting`.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Media, Message, Part, Reasoning, Text, ToolResult
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import Prompt
from paceline_server.providers.media_faults import DamagedMedia, MediaMisfit
from paceline_server.providers.media_fitting import Refitting, judged
from paceline_server.providers.profile import MediaLimits, Profile

REFITTING_THREAD_COUNT = 2
"""Images that are decoded at a time: a burst of them waits, and takes neither all memory nor all CPUs."""

JUDGING_THREAD_COUNT = 2
"""Files that are judged at a time. Not in the threads that decode, whose work takes far longer, nor in those
of the event loop, which look up the names of hosts."""


class TargetFitter:
    """Fits prompts to targets; it remembers nothing of them.

    A cancelled caller leaves at once. A file that is being judged or decoded then is so to its end, and its
    thread is free for another only after that; one that waits for a thread is forgotten.
    """

    def __init__(self, threads: Executor | None = None, judging_threads: Executor | None = None) -> None:
        """Decode in `threads` and judge in `judging_threads`, which it then owns.

        By default both are its own, of which none starts unneeded.
        """
        # A call has at most one image in here, so that one with many keeps no other waiting for all of them.
        self._threads = threads or ThreadPoolExecutor(
            REFITTING_THREAD_COUNT, thread_name_prefix="paceline-images"
        )
        self._judging_threads = judging_threads or ThreadPoolExecutor(
            JUDGING_THREAD_COUNT, thread_name_prefix="paceline-files"
        )

    def close(self) -> None:
        """Let the threads end. Nothing can be fitted afterwards but what holds no files."""
        self._judging_threads.shutdown(wait=False, cancel_futures=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def fitted(self, prompt: Prompt, provider: str, profile: Profile) -> Prompt:
        """`prompt` for a target of `provider`; the same object if it fits as it is.

        Raises:
            AttemptFailure: UNSUPPORTED for a misfit, which another target may take; INVALID_REQUEST for
                a file that is damaged, which none will.
        """
        if not _needs_fitting(prompt, provider):
            return prompt
        messages = []
        for index, message in enumerate(prompt.messages):
            own = await self._message(message, f"messages[{index}]", provider, profile.media)
            if own is not None:
                messages.append(own)
        if not messages:
            raise AttemptFailure(
                FailureClass.UNSUPPORTED,
                "the prompt holds nothing but what other providers have signed; add a message of the user",
                reached_provider=False,
            )
        return prompt if messages == list(prompt.messages) else replace(prompt, messages=tuple(messages))

    async def _message(
        self, message: Message, where: str, provider: str, limits: MediaLimits | None
    ) -> Message | None:
        """None if nothing of it is this provider's: no format needs a message that says nothing."""
        parts = await self._parts(message.parts, where, provider, limits)
        if parts is message.parts:
            return message
        return replace(message, parts=parts) if parts else None

    async def _parts(
        self, parts: tuple[Part, ...], where: str, provider: str, limits: MediaLimits | None
    ) -> tuple[Part, ...]:
        """`parts`, the same object if all of them stay as they are."""
        own_parts = []
        changed = False
        for index, part in enumerate(parts):
            own = await self._part(part, f"{where}.parts[{index}]", provider, limits)
            changed = changed or own is not part
            if own is not None:
                own_parts.append(own)
        return tuple(own_parts) if changed else parts

    async def _part(self, part: Part, where: str, provider: str, limits: MediaLimits | None) -> Part | None:
        """None for a part that is another provider's alone."""
        kind = part.kind
        signature = part.signature
        if signature is not None and signature.provider != provider:
            # Thoughts are of use to the one who signed them; of an empty text the signature was all.
            if isinstance(kind, Reasoning) or kind == _NOTHING:
                return None
            signature = None
        if isinstance(kind, Media):
            kind = await self._media(kind, where, limits)
        elif isinstance(kind, ToolResult):
            parts = await self._parts(kind.parts, f"{where}.tool_result", provider, limits)
            kind = kind if parts is kind.parts else replace(kind, parts=parts)
        return part if kind is part.kind and signature is part.signature else Part(kind, signature)

    async def _media(self, media: Media, where: str, limits: MediaLimits | None) -> Media:
        loop = asyncio.get_running_loop()
        try:
            verdict = await loop.run_in_executor(self._judging_threads, judged, media, limits)
            if isinstance(verdict, Refitting):
                return await loop.run_in_executor(self._threads, verdict.done)
        except DamagedMedia as error:
            raise _failure(FailureClass.INVALID_REQUEST, where, f"{error}; send the whole file") from error
        except MediaMisfit as error:
            raise _failure(FailureClass.UNSUPPORTED, where, str(error)) from error
        return verdict


_NOTHING = Text("")


def _needs_fitting(prompt: Prompt, provider: str) -> bool:
    for message in prompt.messages:  # noqa: SIM110 - every call comes here, and any() would make a generator
        if _parts_need_fitting(message.parts, provider):
            return True
    return False


def _parts_need_fitting(parts: tuple[Part, ...], provider: str) -> bool:
    for part in parts:
        signature = part.signature
        if signature is not None and signature.provider != provider:
            return True
        kind = part.kind
        if isinstance(kind, Media):
            return True
        if isinstance(kind, ToolResult) and _parts_need_fitting(kind.parts, provider):
            return True
    return False


def _failure(failure_class: FailureClass, where: str, said: str) -> AttemptFailure:
    return AttemptFailure(failure_class, f"{where} {said}", reached_provider=False, field=where)
