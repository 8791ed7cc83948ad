"""Where request bodies are encoded: small ones at once, those with large files in threads.

Other calls go on while a large file becomes base64 and JSON. What stands in a body is the formats' to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor

from paceline_server.completion.content import Media, Part, ToolResult
from paceline_server.completion.prompt import Prompt

LARGE_MEDIA_BYTES = 256 * 1024
"""Media of a prompt, in all, from which on a thread costs less than what it saves the others."""

ENCODING_THREAD_COUNT = 2
"""Bodies that are encoded at a time. Not in the threads of the event loop, which look up names of hosts."""


class BodyEncoder:
    """Encodes the bodies of one provider's requests.

    A cancelled caller leaves at once. A body that is being encoded then is so to its end, and is nobody's.
    """

    def __init__(self, threads: Executor | None = None) -> None:
        """Encode in `threads`, which it then owns; by default its own, of which none starts unneeded."""
        self._threads = threads or ThreadPoolExecutor(
            ENCODING_THREAD_COUNT, thread_name_prefix="paceline-bodies"
        )
        self._closed = False

    async def encoded(self, prompt: Prompt, encode: Callable[[], bytes]) -> bytes:
        """What `encode` gives for `prompt`; whatever it raises is raised here."""
        if self._closed or _media_size(prompt) < LARGE_MEDIA_BYTES:
            return encode()
        return await asyncio.get_running_loop().run_in_executor(self._threads, encode)

    def close(self) -> None:
        """Let the threads end once those who wait for them are served."""
        self._closed = True
        self._threads.shutdown(wait=False)


def _media_size(prompt: Prompt) -> int:
    return sum(_size(message.parts) for message in prompt.messages)


def _size(parts: Iterable[Part]) -> int:
    size = 0
    for part in parts:
        kind = part.kind
        if isinstance(kind, Media):
            size += len(kind.data) + len(kind.uri)
        elif isinstance(kind, ToolResult):
            size += _size(kind.parts)
    return size
