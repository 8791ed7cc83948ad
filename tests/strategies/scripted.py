"""A provider that plays scripts, one a call, on the loop's clock, and keeps the books of what was done to it.

Where the simulated provider draws its courses from settings, this one does exactly the reads, pauses and
failures that a test spells out, and can tell afterwards whether every stream was closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from paceline_server.completion.answer import Confidence, Ending, FinishReason
from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.deltas import (
    Delta,
    DeltaKind,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    character_count,
    fold,
)
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.usage import CHARACTERS_PER_TOKEN, Usage
from paceline_server.providers.base import Answer, AnswerStream, ProviderRequest
from paceline_server.providers.profile import Profile

USED = Usage(input_token_count=7, output_token_count=3)


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing comes for so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Read:
    """One read gives these deltas; none: a comment or a ping."""

    deltas: tuple[Delta, ...] = ()


@dataclass(frozen=True, slots=True)
class Break:
    """The provider fails."""

    failure_class: FailureClass = FailureClass.TRANSIENT
    retry_after: float | None = None
    http_status: int = 0
    reached_provider: bool = True
    blameless: bool = False

    def failure(self) -> AttemptFailure:
        """The failure, new each time: engines write into it."""
        return AttemptFailure(
            self.failure_class,
            f"scripted {self.failure_class.value}",
            http_status=self.http_status,
            retry_after=self.retry_after,
            reached_provider=self.reached_provider,
            blameless=self.blameless,
        )


@dataclass(frozen=True, slots=True)
class Silence:
    """Nothing comes any more, and nothing ends it."""


@dataclass(frozen=True, slots=True)
class Deaf:
    """Nothing comes for so many seconds, and no cancellation is heard in them."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Bug:
    """The adapter raises something that no adapter may raise."""

    error: Exception


@dataclass(frozen=True, slots=True)
class End:
    """The terminal marker."""

    finish_reason: FinishReason = FinishReason.STOP
    usage: Usage | None = USED
    confidence: Confidence | None = None


Step = Wait | Read | Break | Silence | Deaf | Bug | End

PING = Read()


@dataclass(frozen=True, slots=True)
class Script:
    """One call: what happens before the headers, and what the stream brings after them."""

    steps: tuple[Step, ...]
    before_headers: tuple[Step, ...] = ()


def text(*words: str, part: int = 0) -> tuple[Read, ...]:
    """One read a word."""
    return tuple(Read((Delta(part, TextDelta(word)),)) for word in words)


def says(*words: str, every: float = 0.0, first: float = 0.0) -> Script:
    """A whole answer of `words`: the first after `first` seconds, each other after `every`."""
    steps: list[Step] = [Wait(first)]
    for index, read in enumerate(text(*words)):
        if index:
            steps.append(Wait(every))
        steps.append(read)
    return Script((*steps, End()))


def refuses(
    failure_class: FailureClass = FailureClass.TRANSIENT,
    *,
    retry_after: float | None = None,
    http_status: int = 503,
    after: float = 0.0,
) -> Script:
    """A failure instead of headers."""
    return Script((), (Wait(after), Break(failure_class, retry_after, http_status)))


def unwritable(failure_class: FailureClass = FailureClass.UNSUPPORTED) -> Script:
    """The adapter finds that its format cannot say the prompt."""
    return Script((), (Break(failure_class, reached_provider=False),))


def breaks(*words: str, failure_class: FailureClass = FailureClass.TRANSIENT) -> Script:
    """`words`, and then a failure instead of the terminal marker."""
    return Script((*text(*words), Break(failure_class)))


def stalls(*words: str) -> Script:
    """`words`, and then silence."""
    return Script((*text(*words), Silence()))


def hangs() -> Script:
    """Not even headers."""
    return Script((), (Silence(),))


@dataclass(slots=True)
class Recorded:
    """One call as the provider saw it; times on the loop's clock."""

    target: str
    at: float
    unary: bool
    request: ProviderRequest
    ended_at: float | None = None
    closed: bool = False
    reached: bool = True


@dataclass(slots=True)
class ScriptedProvider:
    """Plays the n-th script of a model at its n-th call; the last one is repeated.

    Attributes:
        journal: The calls to all providers that share it, in their order.
        obedient: Answers end where the request says that they must, and what they used is not told.
    """

    name: str
    scripts: Mapping[str, Sequence[Script]]
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    journal: list[Recorded] = field(default_factory=list)
    obedient: bool = False

    def profile(self, model: str) -> Profile:
        """The profile that the test gave, or an empty one."""
        return self.profiles.get(model, Profile())

    def count(self, model: str) -> int:
        """How often `model` was called."""
        return sum(call.target == f"{self.name}/{model}" for call in self.journal)

    @property
    def open_count(self) -> int:
        """How many calls hold their connection, those of the providers that share the journal included."""
        return sum(not call.closed for call in self.journal)

    async def complete(self, request: ProviderRequest) -> Answer:
        """Play the script to its end and give all at once."""
        script, recorded = self._begin(request, unary=True)
        stream = ScriptedStream(self._steps(script, request), recorded)
        try:
            await _play_all(script.before_headers)
            deltas: list[Delta] = []
            while (read := await stream.read()) is not None:
                deltas += read
        finally:
            await stream.aclose()
        return Answer(fold(deltas), stream.ending)

    async def open(self, request: ProviderRequest) -> AnswerStream:
        """Play what comes before the headers, and open the stream."""
        script, recorded = self._begin(request, unary=False)
        stream = ScriptedStream(self._steps(script, request), recorded)
        try:
            await _play_all(script.before_headers)
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def aclose(self) -> None:
        """Nothing is kept open between calls."""

    def _steps(self, script: Script, request: ProviderRequest) -> Sequence[Step]:
        if not self.obedient:
            return script.steps
        limit = request.prompt.config.max_output_token_count
        return _held_to(script.steps, None if limit is None else limit * CHARACTERS_PER_TOKEN)

    def _begin(self, request: ProviderRequest, *, unary: bool) -> tuple[Script, Recorded]:
        scripts = self.scripts[request.model]
        script = scripts[min(self.count(request.model), len(scripts) - 1)]
        now = asyncio.get_running_loop().time()
        recorded = Recorded(f"{self.name}/{request.model}", now, unary, request)
        self.journal.append(recorded)
        first = script.before_headers[:1]
        if first and isinstance(first[0], Break) and first[0].failure().rejected:
            # An adapter writes the request before it opens anything.
            recorded.reached, recorded.closed = False, True
            raise first[0].failure()
        return script, recorded


class ScriptedStream:
    """One answer on its way."""

    def __init__(self, steps: Sequence[Step], recorded: Recorded) -> None:
        """Play `steps`."""
        self._steps = list(steps)
        self._recorded = recorded
        self._ending: Ending | None = None

    @property
    def ending(self) -> Ending:
        """How it ended."""
        assert self._ending is not None, "asked for the ending of a stream that has not ended"
        return self._ending

    async def read(self) -> Sequence[Delta] | None:
        """Play up to the next read."""
        assert not self._recorded.closed, "read after close"
        while self._steps:
            step = self._steps.pop(0)
            if isinstance(step, Read):
                return step.deltas
            if isinstance(step, End):
                self._ending = _ending(step)
                return None
            await _play(step)
        raise AttemptFailure(FailureClass.MALFORMED_RESPONSE, "the stream ended without its terminal marker")

    async def aclose(self) -> None:
        """Close; idempotent."""
        if not self._recorded.closed:
            self._recorded.closed = True
            self._recorded.ended_at = asyncio.get_running_loop().time()
            # Closing a real connection may wait, and be cancelled then.
            await asyncio.sleep(0)


def _held_to(steps: Sequence[Step], character_limit: int | None) -> list[Step]:
    """The steps as far as so many characters go, without a word of what was used."""
    held: list[Step] = []
    count = 0
    for step in steps:
        if isinstance(step, Read):
            count += sum(character_count(delta.kind) for delta in step.deltas)
            if character_limit is not None and count > character_limit:
                return [*held, End(FinishReason.LENGTH, None)]
        held.append(End(step.finish_reason, None, step.confidence) if isinstance(step, End) else step)
    return held


def _ending(end: End) -> Ending:
    reason = end.finish_reason
    return Ending(reason, reason.value, usage=end.usage, confidence=end.confidence)


async def _play_all(steps: Sequence[Step]) -> None:
    for step in steps:
        await _play(step)


async def _play(step: Step) -> None:
    match step:
        case Wait(seconds):
            # A wait of nothing yields too: a real read may, and cancellation is tried at every yield.
            await asyncio.sleep(seconds)
        case Silence():
            await asyncio.get_running_loop().create_future()
        case Deaf(seconds):
            await _sleep_on(seconds)
        case Break():
            raise step.failure()
        case Bug(error):
            raise error
        case Read() | End():
            raise AssertionError("content cannot come before the headers")


async def _sleep_on(seconds: float) -> None:
    """What an adapter does that catches too much."""
    time = asyncio.get_running_loop().time
    ends_at = time() + seconds
    while time() < ends_at:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(ends_at - time())


def thought(*words: str, part: int = 0) -> tuple[Read, ...]:
    """One read of reasoning a word."""
    return tuple(Read((Delta(part, ReasoningDelta(word)),)) for word in words)


def deltas_in(script: Script) -> list[Delta]:
    """All deltas that a script would bring."""
    return [delta for step in script.steps if isinstance(step, Read) for delta in step.deltas]


def tool_call(part: int, *fragments: str) -> list[Delta]:
    """A tool call in fragments of its arguments."""
    kinds: list[DeltaKind] = [ToolCallDelta(f"id-{part}", "look_up")]
    kinds += [ToolCallDelta(arguments_json_fragment=fragment) for fragment in fragments]
    return [Delta(part, kind) for kind in kinds]
