"""The schema as a tree to walk: which setting a path leads to, and what kind of value it takes."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from paceline_server.settings.problem import SettingPath
from paceline_server.settings.section import Section
from paceline_server.settings.values import Kind


class Shape(NamedTuple):
    """What a setting takes.

    Attributes:
        type: Without annotations and without None.
        kind: Absent for sections and collections of them.
    """

    type: Any
    kind: Kind | None = None

    @property
    def section(self) -> type[Section] | None:
        """The section, if the setting is one."""
        return self.type if isinstance(self.type, type) and issubclass(self.type, Section) else None

    @property
    def alternatives(self) -> dict[str, type[Section]]:
        """The sections by format, where the setting's `format` chooses one."""
        if get_origin(self.type) not in {Union, types.UnionType}:
            return {}
        members = [member for member in get_args(self.type) if issubclass(member, Section)]
        return {get_args(member.model_fields["format"].annotation)[0]: member for member in members}

    @property
    def item(self) -> Shape | None:
        """What a mapping or list holds."""
        origin, arguments = get_origin(self.type), get_args(self.type)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return shape(arguments[1])
        return shape(arguments[0]) if origin is tuple else None

    def child(self, step: str | int) -> Shape:
        """What stands below; a shape of nothing if the schema knows no such setting."""
        if self.section:
            return next((below for key, below, _ in fields(self.section) if key == step), NOTHING)
        return self.item or NOTHING


NOTHING = Shape(None)


def shape(annotation: Any, metadata: tuple[Any, ...] = ()) -> Shape:
    """The shape of an annotated type; the outermost kind counts."""
    kinds = [_kinds(metadata)]
    while True:
        if get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            kinds.append(_kinds(tuple(more)))
        elif (optional := _without_none(annotation)) is not None:
            annotation = optional
        else:
            break
    kind = next((layer[-1] for layer in kinds if layer), None)
    if get_origin(annotation) is Literal and kind is None:
        choices = " or ".join(str(choice) for choice in get_args(annotation))
        kind = Kind(choices, choices)
    return Shape(annotation, kind)


def fields(section: type[Section]) -> list[tuple[str, Shape, FieldInfo]]:
    """Its settings as they are written: name, shape, and what else is known."""
    return [
        (info.alias or name, shape(info.annotation, tuple(info.metadata)), info)
        for name, info in section.model_fields.items()
    ]


def follow(root: type[Section], location: tuple[str | int, ...]) -> tuple[SettingPath, Shape]:
    """Where an error's location leads: the path as the configuration has it, and the shape there.

    A location also names the alternative that was chosen, and says "[key]" of a mapping's key.
    """
    path: list[str | int] = []
    here = Shape(root)
    for step in location:
        if step == "[key]":
            break
        if here.alternatives:
            here = Shape(here.alternatives.get(str(step)))
        else:
            path.append(step)
            here = here.child(step)
    return tuple(path), here


def _kinds(metadata: tuple[Any, ...]) -> list[Kind]:
    return [item for item in metadata if isinstance(item, Kind)]


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) not in {Union, types.UnionType}:
        return None
    members = [member for member in get_args(annotation) if member is not type(None)]
    return members[0] if len(members) == 1 else None
