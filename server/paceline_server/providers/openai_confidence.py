"""How sure a chat-completions answer is, from the token probabilities that came with it (rule R5)."""

from __future__ import annotations

import msgspec

from paceline_server.completion.answer import Confidence
from paceline_server.providers.json_faults import NOT_JSON
from paceline_server.providers.openai_wire import Choice, Logprobs, Message
from paceline_server.providers.token_confidence import Token, TokenMeter, text_of, tokens_of


class ConfidenceMeter:
    """Collects the probabilities of one answer's tokens.

    Where a message holds thoughts, the tokens of its own text count and no others; those of thoughts that are
    told apart, as DeepSeek's `reasoning_content`, are not read at all.
    """

    __slots__ = ("_tokens",)

    def __init__(self) -> None:
        self._tokens = TokenMeter()

    def add(self, choice: Choice, logprobs: Logprobs) -> None:
        """Take what a choice, or a piece of one, tells."""
        tokens = _tokens(logprobs)
        message = choice.delta or choice.message
        if tokens and message is not None and _thinks(message):
            tokens = tokens_of(_text(message), tokens)
        self._tokens.add(tokens)

    def confidence(self) -> Confidence | None:
        """The confidence; None where nothing tells it."""
        return self._tokens.confidence()


def _tokens(logprobs: Logprobs) -> list[Token]:
    if logprobs.content:
        return [(text_of(token.token), token.logprob) for token in logprobs.content]
    values = logprobs.token_logprobs or []
    texts = _texts(logprobs)
    if len(texts) != len(values):
        texts = [None] * len(values)
    return list(zip(texts, values, strict=True))


def _texts(logprobs: Logprobs) -> list[str | None]:
    try:
        return msgspec.json.decode(logprobs.tokens, type=list[str | None])
    except NOT_JSON:
        return []


def _thinks(message: Message) -> bool:
    if message.reasoning_content or message.reasoning or message.reasoning_details:
        return True
    return isinstance(message.content, list) and any(item.thinking for item in message.content)


def _text(message: Message) -> str:
    if isinstance(message.content, list):
        return "".join(item.text or "" for item in message.content if not item.thinking)
    return message.content or ""
