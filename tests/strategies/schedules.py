"""Random schedules, and a reading of them: what a chain must do, by the rules and from its scripts alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.content import Part, Reasoning, Text
from paceline_server.completion.deltas import Delta, character_count, fold
from paceline_server.health.classes import CONSEQUENCES, Advance
from paceline_server.strategies.call import AttemptConfig, ChainOptions, Recovery
from paceline_server.strategies.target import REFUSALS
from tests.strategies.scripted import (
    PING,
    Break,
    End,
    Read,
    Script,
    Silence,
    Step,
    Wait,
    deltas_in,
    hangs,
    refuses,
    text,
    thought,
    tool_call,
    unwritable,
)

NAMES = ("a/w", "b/x", "a/y", "c/z")
"""Two targets of one provider, so that a provider's fault has something to bar."""

LONG = 3600.0


# What chance may play

failure_classes = st.sampled_from(FailureClass)
retry_afters = st.sampled_from([None, 0.0, 1.0, 5.0, 5.5, 90.0])
pauses = st.sampled_from([0.0, 0.0, 1.0, 14.0])


words = st.sampled_from(["a", "abcd", "abcd" * 10, "abcd" * 70])
spaced = st.lists(st.sampled_from(["a", " a", "a \n", " ", "\n", "a\n "]), min_size=1, max_size=4)
texts = st.one_of(st.builds(lambda word, count: [word] * count, words, st.integers(1, 5)), spaced)


@st.composite
def contents(draw: st.DrawFn, texts: st.SearchStrategy[list[str]] = texts) -> tuple[Step, ...]:
    """Reads of reasoning, text and interleaved tool calls, with pauses and pings that trip no clock."""
    thoughts = draw(st.integers(0, 1))
    reads = list(thought(*["hm"] * thoughts))
    reads += text(*draw(texts), part=thoughts)
    if draw(st.booleans()):
        first, second = (tool_call(thoughts + part, '{"a":', "1}") for part in (1, 2))
        pairs = zip(first, second, strict=True)
        reads += [Read((*pair,)) for pair in pairs]
    steps: list[Step] = []
    for read in reads[: draw(st.integers(1, len(reads)))]:
        steps += [read, Wait(draw(pauses)), PING]
    return tuple(steps)


failures = st.builds(Break, failure_classes.filter(lambda one: one is not FailureClass.TIMEOUT), retry_afters)
scripts = st.one_of(
    st.builds(lambda steps: Script((*steps, End())), contents()),
    st.builds(lambda steps, end: Script((*steps, end)), contents(), failures),
    st.builds(lambda steps: Script((*steps, Silence())), contents()),
    st.builds(lambda end: Script((), (Wait(0.5), end)), failures),
    st.builds(lambda end: Script((PING, end)), failures),
    st.just(hangs()),
    st.just(refuses()),
    st.builds(unwritable, st.sampled_from([FailureClass.UNSUPPORTED, FailureClass.INVALID_REQUEST])),
    st.just(Script((PING, Silence()))),
)
plays = st.lists(st.lists(scripts, min_size=1, max_size=3), min_size=1, max_size=4)
spaced_scripts = st.one_of(
    st.builds(lambda steps, end: Script((*steps, end)), contents(spaced), failures),
    st.builds(lambda steps: Script((*steps, End())), contents(spaced)),
)
breaking = st.lists(
    st.lists(st.one_of(spaced_scripts, scripts), min_size=1, max_size=3), min_size=2, max_size=4
)
"""Likely to break where something has been delivered, and to go on with white space."""

options = st.builds(
    ChainOptions,
    recovery=st.sampled_from(Recovery),
    hold_token_count=st.sampled_from([0, 1, 30, None]),
    transient_retry_count=st.sampled_from([0, None, None, 2]),
    advance_on_permanent=st.booleans(),
)


# What the rules say


@dataclass(slots=True)
class Expected:
    """What a chain must do with its scripts, from the rules alone.

    Attributes:
        parts: The answer; None for an error.
        writers: Which of the calls wrote the answer, in order.
    """

    called: list[str] = field(default_factory=list)
    parts: tuple[Part, ...] | None = None
    writers: list[int] = field(default_factory=list)
    broken: bool = False
    deadline: bool = False
    discarded_count: int = 0


@dataclass(slots=True)
class Visit:
    """A target's turn."""

    name: str
    plays: Sequence[Script]
    untried: int
    try_count: int = 0
    continues: bool = False
    refused: bool = False
    probing: bool = False


@dataclass(slots=True)
class Reading:
    """Reads scripts as a chain must; a unary call, which not `streams`, delivers nothing before its end.

    Attributes:
        prefilled: The targets that accept a prefill.
        standing: What the caller has.
    """

    names: Sequence[str]
    plays: Sequence[Sequence[Script]]
    options: ChainOptions
    streams: bool
    prefilled: frozenset[str] = frozenset()
    expected: Expected = field(default_factory=Expected)
    released: bool = False
    started_count: int = 0
    standing: tuple[Part, ...] = ()
    barred: set[str] = field(default_factory=set)
    left: list[int] = field(default_factory=list)

    def read(self) -> Expected:
        """Go through the targets head to tail, but first to those that go on."""
        self.released = self.options.recovery is not Recovery.HOLD or self.options.hold_token_count == 0
        assert AttemptConfig().transient_retry_count == 1
        assert AttemptConfig().hold_token_count == 64
        self.left = list(range(len(self.names)))
        while self.left:
            position = next(self._continuing(), self.left[0])
            self.left.remove(position)
            if self._is_open(position) and self._target(position):
                break
        return self.expected

    def _is_open(self, position: int) -> bool:
        return self.names[position].partition("/")[0] not in self.barred

    def _continuing(self) -> Iterator[int]:
        text = self._text()
        return (
            position
            for position in self.left
            if text and self.names[position] in self.prefilled and self._is_open(position)
        )

    def _text(self) -> str:
        known = all(isinstance(part.kind, Text | Reasoning) for part in self.standing)
        return (
            _text_of(self.standing).rstrip() if known and self.options.recovery is Recovery.CONTINUE else ""
        )

    def _target(self, position: int) -> bool:
        """One target with its retries; whether that was the end of the call."""
        visit = Visit(self.names[position], self.plays[position], sum(map(self._is_open, self.left)))
        while True:
            if self.started_count == 9:
                return True
            visit.continues = bool(self._text()) and visit.name in self.prefilled and not visit.refused
            script = self._start(visit)
            end = (*script.before_headers, *script.steps)[-1]
            content = deltas_in(script)
            if isinstance(end, End):
                self._answer(content, continues=visit.continues)
                return True
            if isinstance(end, Silence) and visit.untried == 0 and not (content and self.streams):
                self.expected.deadline = True
                return True
            failure = end if isinstance(end, Break) else Break(FailureClass.TIMEOUT)
            delivered = self._deliver(content, continues=visit.continues)
            if delivered and self.options.recovery is Recovery.NONE:
                return True
            goes_on = self._after(visit, failure)
            if goes_on is not None:
                return not goes_on

    def _start(self, visit: Visit) -> Script:
        expected = self.expected
        expected.called.append(visit.name)
        if self.standing and not visit.continues:
            expected.discarded_count += 1
            expected.writers.clear()
            self.standing = ()
        return visit.plays[min(expected.called.count(visit.name), len(visit.plays)) - 1]

    def _after(self, visit: Visit, failure: Break) -> bool | None:
        """After a failure: whether others are turned to; None for the same target once more."""
        sent = not failure.failure().rejected
        self.started_count += sent
        visit.try_count += sent
        if visit.continues and failure.failure_class in REFUSALS:
            visit.refused = True
            return None
        advance = CONSEQUENCES[failure.failure_class].advance
        if advance is Advance.ONLY_ON_REQUEST and not self.options.advance_on_permanent:
            return False
        if advance is Advance.OTHER_PROVIDER:
            self.barred.add(visit.name.partition("/")[0])
        if not self._worth_a_retry(visit, failure) or self._is_left_for_others(visit, failure):
            return True
        visit.probing = failure.failure_class is FailureClass.RATE_LIMITED
        return None

    def _is_left_for_others(self, visit: Visit, failure: Break) -> bool:
        """C5: what stands is for another to go on with, or else to replace, where there is one."""
        if not self.standing or visit.untried == 0:
            return False
        benched = failure.failure_class is FailureClass.RATE_LIMITED and (failure.retry_after or 0.0) > 0
        goes_on = bool(self._text()) and visit.name in self.prefilled and not visit.refused and not benched
        return not goes_on or any(True for _ in self._continuing())

    def _worth_a_retry(self, visit: Visit, failure: Break) -> bool:
        """A3, C1; a probe that failed has just benched its target."""
        consequence = CONSEQUENCES[failure.failure_class]
        retry_count = self.options.transient_retry_count
        known = failure.retry_after is not None
        return (
            consequence.retry
            and visit.try_count <= (1 if retry_count is None else retry_count)
            and not visit.probing
            and (known or not consequence.retry_needs_delay)
            and (failure.retry_after or 0.0) <= 5.0
        )

    def _answer(self, content: Sequence[Delta], *, continues: bool) -> None:
        parts = fold(content)
        self.expected.parts = joined(self.standing, parts) if continues else parts
        self.expected.writers.append(len(self.expected.called) - 1)

    def _deliver(self, content: Sequence[Delta], *, continues: bool) -> bool:
        if not self.streams or not content:
            return False
        tokens = -(-sum(character_count(delta.kind) for delta in content) // 4)
        mark = self.options.hold_token_count
        self.released = self.released or tokens >= (64 if mark is None else mark)
        if not self.released:
            return False
        before = self.standing
        self.standing = joined(before, fold(content)) if continues else fold(content)
        if self.standing == before:
            return False
        self.expected.broken = True
        self.expected.writers.append(len(self.expected.called) - 1)
        return True


def joined(standing: tuple[Part, ...], added: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts of an answer that another goes on with: its first words go on in the last text (C5)."""
    whole = _text_of(standing)
    space = whole[len(whole.rstrip()) :]
    parts = list(standing)
    last = max(index for index, part in enumerate(parts) if isinstance(part.kind, Text))
    first = next((index for index, part in enumerate(added) if not isinstance(part.kind, Reasoning)), None)
    for index, part in enumerate(added):
        if index == first and isinstance(part.kind, Text):
            lengths = range(len(space), -1, -1)
            again = next(length for length in lengths if part.kind.text.startswith(space[:length]))
            parts[last] = Part(Text(_text_of((parts[last],)) + part.kind.text[again:]))
        else:
            parts.append(part)
    return tuple(parts)


def _text_of(parts: tuple[Part, ...]) -> str:
    return "".join(part.kind.text for part in parts if isinstance(part.kind, Text))
