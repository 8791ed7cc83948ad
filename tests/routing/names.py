"""Catalogs over the providers `p` and `q`, and trees as one line."""

from __future__ import annotations

from collections.abc import Mapping

from paceline_server.routing.catalog import Catalog, Definition, ModelKind
from paceline_server.routing.tree import ChainNode, Node, RaceNode


def alias(spec: str) -> Definition:
    """A spec under another name."""
    return Definition(ModelKind.ALIAS, (spec,))


def chain(*specs: str) -> Definition:
    """An ordered list of specs."""
    return Definition(ModelKind.CHAIN, specs)


def race(*specs: str, judge: str = "") -> Definition:
    """Specs side by side."""
    return Definition(ModelKind.RACE, specs, judge=judge)


def catalog(
    listed: Mapping[str, Definition] | None = None, /, *, default_model: str = "", **named: Definition
) -> Catalog:
    """A catalog over the providers `p` and `q`."""
    return Catalog({**(listed or {}), **named}, frozenset({"p", "q"}), (), default_model)


def shown(node: Node) -> str:
    """A tree: targets as they are written, chains in brackets, races as their name and candidates."""
    if isinstance(node, ChainNode):
        return f"[{' '.join(map(shown, node.elements))}]"
    if isinstance(node, RaceNode):
        judge = f" ?{shown(node.judge)}" if node.judge else ""
        return f"{node.name}({' '.join(map(shown, node.candidates))}{judge})"
    return str(node)
