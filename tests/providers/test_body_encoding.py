"""Where request bodies are encoded: the event loop is kept from large files, and small ones from threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Kind, Media, Message, Part, Role, Text, ToolResult
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import Prompt
from paceline_server.providers.base import ProviderRequest
from paceline_server.providers.body_encoding import LARGE_MEDIA_BYTES, BodyEncoder
from paceline_server.providers.http_provider import HttpProvider
from paceline_server.providers.http_transport import AiohttpTransport
from paceline_server.providers.openai import OpenAIFormat
from paceline_server.providers.openai_settings import OpenAISettings
from paceline_server.providers.profile import Profile
from tests.providers.replay import answering, replaying

_HALF = Media("application/pdf", b"x" * (LARGE_MEDIA_BYTES // 2))
_ANSWER = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'


def _prompt(*kinds: Kind) -> Prompt:
    return Prompt((Message(Role.USER, tuple(Part(kind) for kind in kinds)),))


class _Threads(Executor):
    """Threads that do nothing until told."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[..., Any]]] = []

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        assert not args
        assert not kwargs
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self.waiting.append((future, work))
        return future

    def work(self) -> None:
        """Do what waits."""
        for future, work in self.waiting:
            try:
                future.set_result(work())
            except AttemptFailure as failure:
                future.set_exception(failure)


def _refuse() -> bytes:
    raise AttemptFailure(FailureClass.UNSUPPORTED, "no", reached_provider=False)


@pytest.mark.parametrize(
    ("kinds", "large"),
    [
        ((Text("x" * LARGE_MEDIA_BYTES), _HALF), False),
        ((_HALF, _HALF), True),
        ((Media("image/png", uri="data:" + "x" * LARGE_MEDIA_BYTES),), True),
        ((_HALF, ToolResult("c", (Part(_HALF),))), True),
    ],
)
async def test_only_large_media_are_encoded_in_threads(kinds: tuple[Kind, ...], large: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """C7: one call's large file keeps no other call waiting, and a small one waits for no thread."""
    threads = _Threads()
    async with asyncio.TaskGroup() as tasks:
        body = tasks.create_task(BodyEncoder(threads).encoded(_prompt(*kinds), lambda: b"body"))
        await asyncio.sleep(0)
        assert (len(threads.waiting), body.done()) == ((1, False) if large else (0, True))
        threads.work()
    assert body.result() == b"body"


async def test_what_cannot_be_encoded_fails_the_attempt() -> None:
    """A8: a refusal is the same wherever it is found."""
    threads = _Threads()
    asyncio.get_running_loop().call_soon(threads.work)
    with pytest.raises(AttemptFailure) as caught:
        await BodyEncoder(threads).encoded(_prompt(_HALF, _HALF), _refuse)
    assert caught.value.failure_class is FailureClass.UNSUPPORTED


@pytest.mark.parametrize("encode", [lambda: b"body", _refuse])
async def test_a_cancelled_caller_leaves_at_once(encode: Callable[[], bytes]) -> None:
    """A6: nobody waits for a body that nobody wants, however its encoding ends."""
    threads = _Threads()
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    body = asyncio.ensure_future(BodyEncoder(threads).encoded(_prompt(_HALF, _HALF), encode))
    await asyncio.sleep(0)
    body.cancel()
    with pytest.raises(asyncio.CancelledError):
        await body
    threads.work()
    await asyncio.sleep(0)
    assert not faults


async def test_a_provider_sends_what_its_threads_have_encoded() -> None:
    """A8: a large file arrives whole, encoded beside the event loop; a closed provider starts no thread."""
    seen: list[bool] = []

    class _Watched(OpenAIFormat):
        def body(self, request: ProviderRequest, *, stream: bool) -> bytes:
            seen.append(threading.current_thread() is threading.main_thread())
            return super().body(request, stream=stream)

    async with replaying(answering(_ANSWER)) as server:
        wire_format = _Watched("acme", OpenAISettings(), "authorization", lambda _: Profile())
        provider = HttpProvider(
            "acme", server.url, "", wire_format, transport=AiohttpTransport(), profile_of=lambda _: Profile()
        )
        for kinds in ((_HALF,), (_HALF, _HALF)):
            await provider.complete(ProviderRequest("m", _prompt(*kinds)))
        small, large = (len(request.body) for request in server.requests)
        await provider.aclose()
        with pytest.raises(AttemptFailure):
            await provider.complete(ProviderRequest("m", _prompt(_HALF, _HALF)))
    assert seen == [True, False, True]
    assert large > LARGE_MEDIA_BYTES * 4 // 3 > small
