"""Fitting prompts to targets."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

import pytest

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import (
    Media,
    Message,
    Part,
    ProviderSignature,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.prompt import Prompt, Tool
from paceline_server.providers.base import PromptFitter
from paceline_server.providers.fitting import TargetFitter
from paceline_server.providers.profile import MediaLimits, Profile
from tests.providers.pictures import PDF, noise, opened, photograph, prompt_of, stored

P = ParamSpec("P")
T = TypeVar("T")

_OURS = ProviderSignature("acme", b"ours")
_THEIRS = ProviderSignature("other", b"theirs")
_PNG = stored(photograph((120, 80)), "PNG")
_SMALL = Profile(
    media=MediaLimits(frozenset({"image/png", "image/jpeg"}), takes_uris=False, max_image_edge=50)
)


class _Gate(Executor):
    """One thread, which starts nothing before it is let."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1)
        self.opened = threading.Event()
        self.submissions = threading.Semaphore(0)
        self.starts = threading.Semaphore(0)
        self.start_count = 0
        self.finish_count = 0

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future = self._threads.submit(lambda: self._run(lambda: fn(*args, **kwargs)))
        self.submissions.release()
        return future

    def _run(self, call: Callable[[], T]) -> T:
        self.start_count += 1
        self.starts.release()
        assert self.opened.wait(60)
        try:
            return call()
        finally:
            self.finish_count += 1

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        self.opened.set()
        self._threads.shutdown(wait, cancel_futures=cancel_futures)


@pytest.fixture(name="fitter")
def _fitter() -> Iterator[TargetFitter]:
    fitter = TargetFitter()
    yield fitter
    fitter.close()


async def _failed(fitter: PromptFitter, prompt: Prompt, profile: Profile) -> AttemptFailure:
    with pytest.raises(AttemptFailure) as caught:
        await fitter.fitted(prompt, "acme", profile)
    assert not caught.value.reached_provider
    return caught.value


def _said(*parts: Part, role: Role = Role.ASSISTANT) -> Message:
    return Message(role, parts)


_QUESTION = _said(Part(Text("why?")), role=Role.USER)
_CALL = Part(ToolCall("1", "look", "{}"))


async def test_a_prompt_that_needs_nothing_is_the_same(fitter: TargetFitter) -> None:
    """A8: a prompt without files and foreign signatures is handed back as it is."""
    result = Part(ToolResult("1", (Part(Text("found"), _OURS),)))
    prompt = Prompt(
        (
            Message(Role.SYSTEM, ()),
            _QUESTION,
            _said(Part(Reasoning("hm"), _OURS), Part(Reasoning("hm")), _CALL),
            _said(result, role=Role.TOOL),
        )
    )
    assert await fitter.fitted(prompt, "acme", _SMALL) is prompt


async def test_a_prompt_whose_files_fit_is_the_same(fitter: TargetFitter) -> None:
    """A8: files that fit are left alone byte for byte, and so is all around them."""
    prompt = prompt_of(Media("image/png", _PNG), Media("application/pdf", PDF))
    assert await fitter.fitted(prompt, "acme", Profile()) is prompt


async def test_foreign_signatures_are_dropped(fitter: TargetFitter) -> None:
    """A8: what another provider has signed goes on unsigned, and its thoughts do not go on."""
    result = ToolResult("1", (Part(Text("found"), _THEIRS), Part(Text(""), _THEIRS)), failed=True)
    prompt = Prompt(
        (
            _QUESTION,
            _said(
                Part(Reasoning("theirs"), _THEIRS),
                Part(Reasoning("", b"hidden"), _THEIRS),
                Part(Reasoning("ours"), _OURS),
                Part(Text("so"), _THEIRS),
                Part(_CALL.kind, _THEIRS),
                Part(Text(""), _THEIRS),
                Part(Text("ours"), _OURS),
            ),
            _said(Part(result, _THEIRS), role=Role.TOOL),
        ),
        tools=(Tool("look"),),
    )
    fitted = await fitter.fitted(prompt, "acme", Profile())
    assert fitted == Prompt(
        (
            _QUESTION,
            _said(Part(Reasoning("ours"), _OURS), Part(Text("so")), _CALL, Part(Text("ours"), _OURS)),
            _said(Part(ToolResult("1", (Part(Text("found")),), failed=True)), role=Role.TOOL),
        ),
        tools=(Tool("look"),),
    )
    assert fitted.messages[0] is _QUESTION


async def test_a_message_of_which_nothing_is_left_is_dropped(fitter: TargetFitter) -> None:
    """A8: a turn that was only another provider's thoughts is no turn here; an empty message stays."""
    empty = Message(Role.SYSTEM, ())
    prompt = Prompt((empty, _QUESTION, _said(Part(Reasoning("theirs"), _THEIRS)), _QUESTION))
    fitted = await fitter.fitted(prompt, "acme", Profile())
    assert fitted.messages == (empty, _QUESTION, _QUESTION)


async def test_a_prompt_of_which_nothing_is_left_is_a_misfit(fitter: TargetFitter) -> None:
    """A8: a prompt without messages is not sent; the provider that signed it may take it."""
    prompt = Prompt((_said(Part(Reasoning("theirs"), _THEIRS)),))
    failure = await _failed(fitter, prompt, Profile())
    assert failure.failure_class is FailureClass.UNSUPPORTED


async def test_images_are_refitted_wherever_they_are(fitter: TargetFitter) -> None:
    """A8: an image in a tool's result is brought within the limits as well, beside what stays as it is."""
    image = Media("image/jpeg", _PNG)
    result = Part(ToolResult("1", (Part(Text("seen")), Part(image))))
    prompt = Prompt((_QUESTION, _said(Part(image, _THEIRS), role=Role.USER), _said(result, role=Role.TOOL)))
    fitted = await fitter.fitted(prompt, "acme", _SMALL)
    first, second = fitted.messages[1].parts[0], fitted.messages[2].parts[0].kind
    assert first.signature is None
    assert isinstance(second, ToolResult)
    assert second.parts[0] is result.kind.parts[0]  # type: ignore[union-attr]
    for media in (first.kind, second.parts[1].kind):
        assert isinstance(media, Media)
        assert media.media_type == "image/png"
        assert opened(media.data).size == (50, 33)


async def test_fitting_is_deterministic(fitter: TargetFitter) -> None:
    """A8: the same prompt is fitted the same way again, so that it can be kept for the call."""
    prompt = prompt_of(*(Media("image/png", stored(noise("RGB", (99, size)), "PNG")) for size in (70, 80)))
    assert await fitter.fitted(prompt, "acme", _SMALL) == await fitter.fitted(prompt, "acme", _SMALL)


@pytest.mark.parametrize(
    ("media", "failure_class", "message"),
    [
        (
            Media("image/png", _PNG[:-9]),
            FailureClass.INVALID_REQUEST,
            "messages[1].parts[1] ends too early; send the whole file",
        ),
        (
            Media("application/pdf", PDF),
            FailureClass.UNSUPPORTED,
            (
                "messages[1].parts[1] is 'application/pdf', which this target does not take; "
                "send one of image/jpeg, image/png"
            ),
        ),
        (
            Media("image/png", uri="https://example.com/a.png"),
            FailureClass.UNSUPPORTED,
            "messages[1].parts[1] is given by uri, and this target fetches nothing; send the bytes as data",
        ),
    ],
)
async def test_a_failure_names_the_place_and_the_remedy(
    fitter: TargetFitter, media: Media, failure_class: FailureClass, message: str
) -> None:
    """A8: a misfit is the target's, a damaged file the request's; both say where and what to do."""
    prompt = Prompt((_QUESTION, _said(Part(Text("see")), Part(media), role=Role.USER)))
    failure = await _failed(fitter, prompt, _SMALL)
    assert (failure.failure_class, failure.message) == (failure_class, message)


async def test_the_place_counts_what_was_dropped(fitter: TargetFitter) -> None:
    """A8: the place is the one in the caller's prompt, also inside a tool's result."""
    broken = Part(Media("image/png", b"nothing"))
    prompt = Prompt(
        (
            _said(Part(Reasoning("theirs"), _THEIRS)),
            _said(_CALL, Part(ToolResult("1", (Part(Text("x")), broken))), role=Role.TOOL),
        )
    )
    failure = await _failed(fitter, prompt, _SMALL)
    assert failure.message.startswith("messages[1].parts[1].tool_result.parts[1] is declared as an image")


@pytest.mark.parametrize("running", [True, False], ids=["running", "waiting"])
async def test_a_cancelled_caller_leaves_and_blocks_no_one(running: bool) -> None:  # noqa: FBT001
    """A8: a caller leaves at once; its thread is free for the next one when it is done, and not before."""
    gate = _Gate()
    fitter = TargetFitter(gate)
    prompt = prompt_of(Media("image/png", _PNG))
    async with asyncio.TaskGroup() as tasks:
        before = tasks.create_task(fitter.fitted(prompt, "acme", _SMALL))
        await asyncio.to_thread(gate.starts.acquire)
        await asyncio.to_thread(gate.submissions.acquire)
        leaving = before
        if not running:
            leaving = tasks.create_task(fitter.fitted(prompt, "acme", _SMALL))
            await asyncio.to_thread(gate.submissions.acquire)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert leaving.cancelled()
        after = tasks.create_task(fitter.fitted(prompt, "acme", _SMALL))
        await asyncio.to_thread(gate.submissions.acquire)
        assert (gate.start_count, gate.finish_count) == (1, 0)
        gate.opened.set()
        fitted = await after
    assert fitted != prompt
    # What was still waiting when its caller left is never decoded.
    assert gate.start_count == gate.finish_count == 2
    fitter.close()


async def test_other_callers_are_served_while_images_are_decoded() -> None:
    """A8: judging a file, and any prompt without images, waits for no decoder."""
    gate = _Gate()
    fitter = TargetFitter(gate)
    async with asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(fitter.fitted(prompt_of(Media("image/png", _PNG)), "acme", _SMALL))
        await asyncio.to_thread(gate.starts.acquire)
        fits = prompt_of(Media("image/png", _PNG))
        assert await fitter.fitted(fits, "acme", Profile()) is fits
        assert not slow.done()
        gate.opened.set()
    fitter.close()


async def test_files_are_judged_in_no_threads_of_the_loop(fitter: TargetFitter) -> None:
    """A8: files to judge, however many and large, keep no one from looking up the name of a host."""
    ended = ThreadPoolExecutor(1)
    ended.shutdown()
    asyncio.get_running_loop().set_default_executor(ended)
    prompt = prompt_of(Media("application/pdf", PDF))
    assert await fitter.fitted(prompt, "acme", Profile()) is prompt


async def test_a_file_whose_caller_left_is_not_judged() -> None:
    """A8: a caller leaves at once; a file that waited for its turn is forgotten, and the next one has it."""
    gate = _Gate()
    fitter = TargetFitter(judging_threads=gate)
    prompt = prompt_of(Media("image/png", _PNG))
    async with asyncio.TaskGroup() as tasks:
        judged = tasks.create_task(fitter.fitted(prompt, "acme", _SMALL))
        await asyncio.to_thread(gate.starts.acquire)
        await asyncio.to_thread(gate.submissions.acquire)
        leaving = tasks.create_task(fitter.fitted(prompt, "acme", _SMALL))
        await asyncio.to_thread(gate.submissions.acquire)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert leaving.cancelled()
        after = tasks.create_task(fitter.fitted(prompt, "acme", _SMALL))
        await asyncio.to_thread(gate.submissions.acquire)
        assert not judged.done()
        gate.opened.set()
    assert await judged == await after != prompt
    assert gate.start_count == gate.finish_count == 2
    fitter.close()


async def test_many_images_of_one_call_take_one_thread_at_a_time() -> None:
    """A8: a call with many images takes its turn among the others with each of them."""
    gate = _Gate()
    fitter = TargetFitter(gate)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fitter.fitted(prompt_of(*[Media("image/png", _PNG)] * 5), "acme", _SMALL))
        await asyncio.to_thread(gate.starts.acquire)
        assert gate.submissions.acquire()
        assert not gate.submissions.acquire(blocking=False)
        gate.opened.set()
    assert gate.finish_count == 5
    fitter.close()
