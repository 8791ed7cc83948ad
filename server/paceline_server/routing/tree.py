"""What a spec comes to once its names are expanded: a tree of targets, chains and races.

Values only. A chain in a chain is one chain, so that a chain holds only targets and races, each once;
who makes the trees sees to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field

from paceline_server.completion.answer import Target
from paceline_server.completion.immutable import immutable


@immutable(frozen=True, slots=True)
class RaceNode:
    """A race of the configuration; in one catalog its name says which.

    Attributes:
        candidates: In the order of their indices, the same one perhaps twice.
        judge: Whom its rule may ask about the answers; None if it asks nobody.
        target_count: As `target_count` counts them.
    """

    name: str
    candidates: tuple[Node, ...] = field(compare=False)
    judge: Node | None = field(compare=False)
    target_count: int = field(compare=False)


@immutable(frozen=True, slots=True)
class ChainNode:
    """Models that are tried head to tail."""

    elements: tuple[Element, ...]


Element = Target | RaceNode
"""What a chain is made of."""

Node = Element | ChainNode
"""A chain of one is its only element."""


def elements_of(node: Node) -> tuple[Element, ...]:
    """What a node adds to the chain that it stands in."""
    return node.elements if isinstance(node, ChainNode) else (node,)


def node_of(elements: Iterable[Element]) -> Node:
    """The node of a chain of `elements`; of repeated ones the first is kept."""
    unique = tuple(dict.fromkeys(elements))
    return unique[0] if len(unique) == 1 else ChainNode(unique)


def target_count(nodes: Iterable[Node | None]) -> int:
    """How many targets there are below `nodes`: each as often as a race has it, judges included."""
    return sum(
        element.target_count if isinstance(element, RaceNode) else 1
        for node in nodes
        if node is not None
        for element in elements_of(node)
    )


def answering(node: Node) -> tuple[Target, ...]:
    """The targets whose answer may be that of `node`, in order, each once."""
    return tuple(dict.fromkeys(_below(node, judges=False)))


def reachable(node: Node) -> tuple[Target, ...]:
    """The targets that a call of `node` may call, judges included, in order, each once."""
    return tuple(dict.fromkeys(_below(node, judges=True)))


def _below(node: Node, *, judges: bool) -> Iterator[Target]:
    for element in elements_of(node):
        if isinstance(element, Target):
            yield element
            continue
        for candidate in element.candidates:
            yield from _below(candidate, judges=judges)
        if judges and element.judge is not None:
            yield from _below(element.judge, judges=judges)
