"""The grammar of a spec: how a caller writes which model is meant.

    spec    = element ("," element)*      two or more elements form a chain
    element = target | name
    target  = provider "/" model          the model is everything after the first "/", verbatim
    name    = a word without "/"          an alias or virtual model

Parsing only; what a name stands for is the catalog's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from paceline_server.completion.answer import Target
from paceline_server.completion.errors import InvalidSpec

MAXIMUM_SPEC_BYTES = 1024
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""What providers, aliases and virtual models may be called."""


@dataclass(frozen=True, slots=True)
class Name:
    """An alias or virtual model, not yet looked up."""

    name: str

    def __str__(self) -> str:
        """The name as a spec writes it."""
        return self.name


Element = Target | Name


def parse_spec(spec: str) -> tuple[Element, ...]:
    """The elements of a spec, in order.

    Raises:
        InvalidSpec: The spec is empty or too long, or an element is no target and no name.
    """
    if not spec.strip():
        raise InvalidSpec("the spec is empty; name a model, as in 'openai/gpt-4o-mini'")
    if len(spec.encode("utf-8", "surrogatepass")) > MAXIMUM_SPEC_BYTES:
        raise InvalidSpec(
            f"the spec is longer than {MAXIMUM_SPEC_BYTES} bytes; give the chain a name instead"
        )
    return tuple(_element(text.strip(), position) for position, text in enumerate(spec.split(",")))


def _element(text: str, position: int) -> Element:
    if not text:
        raise InvalidSpec(f"element {position + 1} is empty; remove the comma or name a model")
    provider, slash, model = text.partition("/")
    if not NAME.fullmatch(provider):
        what = "provider" if slash else "name"
        raise InvalidSpec(
            f"{text!r} has no valid {what}: use letters, digits, '.', '_', '-'; start with a letter or digit"
        )
    if not slash:
        return Name(provider)
    if not model:
        raise InvalidSpec(f"{text!r} names no model after the '/'")
    if not model.isprintable():
        raise InvalidSpec(f"the model in {text!r} holds characters that cannot be printed")
    return Target(provider, model)
