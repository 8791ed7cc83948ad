"""Providers for what simulated ones do not do: raise anything at all, or count how often they are read.

They keep to the protocol of `providers.base`, and nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NoReturn

from paceline_server.completion.answer import Ending, FinishReason
from paceline_server.completion.deltas import Delta, TextDelta
from paceline_server.providers.base import Answer, AnswerStream, ProviderRequest
from paceline_server.providers.profile import Profile


class Raising:
    """A provider that answers every call with the same exception."""

    def __init__(self, error: Exception, name: str = "test") -> None:
        """Raise `error`, whatever is asked."""
        self.name = name
        self.call_count = 0
        self._error = error

    def profile(self, model: str) -> Profile:
        """Nothing is known."""
        return Profile()

    async def complete(self, request: ProviderRequest) -> Answer:
        """Raise."""
        self._raise()

    async def open(self, request: ProviderRequest) -> AnswerStream:
        """Raise."""
        self._raise()

    async def aclose(self) -> None:
        """Nothing is open."""

    def _raise(self) -> NoReturn:
        self.call_count += 1
        raise self._error


class Unprofiled(Raising):
    """A provider that fails where no failure of the vocabulary is expected: when its facts are asked for."""

    def profile(self, model: str) -> Profile:
        """Raise."""
        self._raise()


class Flood:
    """A provider whose streams have so many deltas of so many characters, one a read, without a pause.

    Attributes:
        read_counts: How often each stream was read, by the order in which they were opened.
    """

    def __init__(self, delta_count: int, delta_length: int, name: str = "test") -> None:
        """Answer each call alike."""
        self.name = name
        self.read_counts: list[int] = []
        self.closed_count = 0
        self.delta = Delta(0, TextDelta("x" * delta_length))
        self.delta_count = delta_count

    def profile(self, model: str) -> Profile:
        """Nothing is known."""
        return Profile()

    async def complete(self, request: ProviderRequest) -> Answer:
        """Only streams are asked for."""
        raise NotImplementedError

    async def open(self, request: ProviderRequest) -> AnswerStream:
        """Open one more stream."""
        self.read_counts.append(0)
        return _FloodStream(self, len(self.read_counts) - 1)

    async def aclose(self) -> None:
        """Nothing is open."""


class _FloodStream:
    def __init__(self, flood: Flood, number: int) -> None:
        self._flood = flood
        self._number = number
        self.ending = Ending(FinishReason.STOP)

    async def read(self) -> Sequence[Delta] | None:
        flood = self._flood
        if flood.read_counts[self._number] == flood.delta_count:
            return None
        flood.read_counts[self._number] += 1
        return [flood.delta]

    async def aclose(self) -> None:
        self._flood.closed_count += 1


class Waiting:
    """A provider that takes every call and never answers.

    Attributes:
        entered: Released once for each call that has come.
        running_count: Calls that wait.
    """

    def __init__(self, name: str = "test") -> None:
        """Wait for ever."""
        self.name = name
        self.entered = asyncio.Semaphore(0)
        self.running_count = 0

    def profile(self, model: str) -> Profile:
        """Nothing is known."""
        return Profile()

    async def complete(self, request: ProviderRequest) -> Answer:
        """Wait."""
        await self._wait()
        raise AssertionError("nobody wakes it")

    async def open(self, request: ProviderRequest) -> AnswerStream:
        """Wait."""
        await self._wait()
        raise AssertionError("nobody wakes it")

    async def aclose(self) -> None:
        """Nothing is open."""

    async def _wait(self) -> None:
        self.running_count += 1
        self.entered.release()
        try:
            await asyncio.Event().wait()
        finally:
            self.running_count -= 1
