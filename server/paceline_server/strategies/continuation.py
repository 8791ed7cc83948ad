"""Going on with an answer that broke off: what is asked for, and how its pieces are joined (rule C5).

A target that accepts a prefill is given the text so far as the beginning of its own answer, and is expected
to write what follows and nothing else. One that says the text again cannot be told from one whose answer
holds it twice, so that is delivered as it comes. Who goes on, and when, is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile

from paceline_server.completion.content import Message, Part, Reasoning, Role, Text
from paceline_server.completion.deltas import Delta, Fold, FoldError, ReasoningDelta, TextDelta
from paceline_server.completion.prompt import Prompt
from paceline_server.completion.usage import estimate_token_count


def prefilled(prompt: Prompt, text: str) -> Prompt:
    """`prompt` with `text` as the beginning of the answer.

    The answer may still have as many tokens as are left of the prompt's limit, by an estimate of `text`.
    """
    limit = prompt.config.max_output_token_count
    left = None if limit is None else max(1, limit - estimate_token_count(len(text)))
    return replace(
        prompt,
        messages=_with_beginning(prompt.messages, text),
        config=replace(prompt.config, max_output_token_count=left),
    )


class JoinedAnswer:
    """The answer as its caller has it, whoever wrote which piece of it."""

    __slots__ = ("_fold", "_index_of", "_opening", "_own_text_index", "_repeatable", "_text_index")

    def __init__(self) -> None:
        """Start with nothing."""
        self._fold = Fold()
        self.clear()

    def clear(self) -> None:
        """Forget all, as after `output_discarded`."""
        self._fold.clear()
        self._index_of: dict[int, int] | None = None
        self._opening = False
        self._own_text_index: int | None = None
        self._text_index: int | None = None
        self._repeatable = ""

    @property
    def text(self) -> str:
        """The text that another target can go on from, without white space at its end; empty if none can.

        Thoughts are their model's own and stay behind. A tool call, whole or not, can be no beginning.
        White space at the end is what some providers refuse.
        """
        parts = self._standing()
        if not all(isinstance(part.kind, Text | Reasoning) for part in parts):
            return ""
        return _text_of(parts).rstrip()

    def go_on(self) -> None:
        """What comes now is of a target that was given `text`, and goes on where that ends."""
        parts = self._standing()
        whole = _text_of(parts)
        last = max(index for index, part in enumerate(parts) if isinstance(part.kind, Text))
        self._index_of = {}
        self._opening = True
        self._own_text_index = None
        # A signature vouches for the text as its provider wrote it: what follows is a part of its own then.
        self._text_index = last if parts[last].signature is None else None
        self._repeatable = whole[len(whole.rstrip()) :]

    def take(self, delta: Delta) -> Delta | None:
        """Join a delta; gives it as the caller gets it, or None if nothing is left of it."""
        joined = delta if self._index_of is None else self._renumbered(delta, self._index_of)
        if joined is not None:
            self._fold.add(joined)
        return joined

    def parts(self) -> tuple[Part, ...]:
        """The parts of the joined answer."""
        return self._fold.parts()

    def _standing(self) -> tuple[Part, ...]:
        try:
            return self._fold.parts()
        except FoldError:
            # The attempt that broke had mixed its parts up, so there is nothing to go on from.
            return ()

    def _renumbered(self, delta: Delta, index_of: dict[int, int]) -> Delta | None:
        kind, signature = delta.kind, delta.signature
        if self._opening and not isinstance(kind, ReasoningDelta):
            self._opening = False
            if isinstance(kind, TextDelta):
                self._own_text_index = delta.part_index
                if self._text_index is not None:
                    index_of[delta.part_index] = self._text_index
        if delta.part_index == self._own_text_index and isinstance(kind, TextDelta):
            kind = TextDelta(self._without_repetition(kind.text))
            if self._text_index is not None:
                # It would vouch for words that its provider did not write.
                signature = None
            if not kind.text and signature is None:
                return None
        index = index_of.setdefault(delta.part_index, self._fold.part_count)
        return Delta(index, kind, signature)

    def _without_repetition(self, text: str) -> str:
        """`text` without the white space that was delivered before and could not be sent.

        Certain is only what is the same, character by character, from the first on.
        """
        if not self._repeatable:
            return text
        pairs = zip(text, self._repeatable, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        self._repeatable = self._repeatable[same:] if same == len(text) else ""
        return text[same:]


def _with_beginning(messages: tuple[Message, ...], text: str) -> tuple[Message, ...]:
    last = messages[-1] if messages else None
    if last is None or last.role is not Role.ASSISTANT:
        return (*messages, Message(Role.ASSISTANT, (Part(Text(text)),)))
    # The caller had begun the answer himself.
    end = last.parts[-1] if last.parts else None
    if end is not None and isinstance(end.kind, Text) and end.signature is None:
        parts = (*last.parts[:-1], Part(Text(end.kind.text + text)))
    else:
        parts = (*last.parts, Part(Text(text)))
    return (*messages[:-1], replace(last, parts=parts))


def _text_of(parts: tuple[Part, ...]) -> str:
    return "".join(part.kind.text for part in parts if isinstance(part.kind, Text))
