"""Settings and vendors as rows of a reference, by which the documentation is checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo

from paceline_server.providers.vendors.known import VENDORS
from paceline_server.settings.schema import Settings
from paceline_server.settings.section import Section
from paceline_server.settings.shape import Shape, fields


class Row(NamedTuple):
    """One setting.

    Attributes:
        group: The section, or the format of providers, that it belongs to; empty at the top.
        default: Empty where there is none, "required" where the setting must be given.
    """

    group: str
    name: str
    kind: str
    default: str
    meaning: str

    def __str__(self) -> str:
        """The row as a Markdown table has it."""
        default = f"`{self.default}`" if self.default not in {"", "required"} else self.default
        return f"| `{self.name}` | {self.kind} | {default} | {self.meaning} |"


class VendorRow(NamedTuple):
    """One vendor: what a provider gets that names it."""

    name: str
    title: str
    wire_format: str
    base_url: str
    key_variable: str
    bills_after_cancel: str
    accepts_prefill: str
    gives_logprobs: str

    def __str__(self) -> str:
        """The row as a Markdown table has it."""
        base_url = f"`{self.base_url}`" if self.base_url else "one for each customer"
        key = f"`{self.key_variable}`" if self.key_variable else "none"
        return (
            f"| `{self.name}` | {self.title} | {self.wire_format} | {base_url} | {key} "
            f"| {self.bills_after_cancel} | {self.accepts_prefill} | {self.gives_logprobs} |"
        )


def vendor_rows() -> list[VendorRow]:
    """All vendors by name."""
    return [
        VendorRow(
            vendor.name,
            vendor.title,
            vendor.wire_format,
            vendor.base_url,
            vendor.key_variable,
            vendor.said("bills_after_cancel"),
            vendor.said("accepts_prefill"),
            vendor.said("gives_logprobs"),
        )
        for _, vendor in sorted(VENDORS.items())
    ]


def rows() -> list[Row]:
    """All settings, in the order of the schema."""
    return list(_rows(Settings, "", ""))


def _rows(section: type[Section], prefix: str, group: str) -> Iterator[Row]:
    for key, below, info in fields(section):
        name = f"{prefix}{key}"
        if below.section is None or below.kind:
            yield Row(group, name, _kind(below), _default(section, key, info), info.description or "")
        yield from _below(below, name, group or key)


def _below(here: Shape, name: str, group: str) -> Iterator[Row]:
    if here.section:
        yield from _rows(here.section, f"{name}.", group)
    for wire_format, section in here.alternatives.items():
        yield from _rows(section, f"{name}.", wire_format)
    if item := here.item:
        yield from _below(item, f"{name}[]" if _is_list(here) else f"{name}.<name>", group)


def _kind(here: Shape) -> str:
    if here.kind:
        return here.kind.name
    if item := here.item:
        return f"list of {_kind(item)}" if _is_list(here) else f"{_kind(item)} by name"
    return "settings"


def _is_list(here: Shape) -> bool:
    return str(here.type).startswith("tuple")


def _default(section: type[Section], key: str, info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = _written_defaults(section).get(key)
    if value is None or value in ("", [], {}):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _written_defaults(section: type[Section]) -> dict[str, Any]:
    """The defaults as the configuration would write them."""
    return section.model_construct().model_dump(mode="json", by_alias=True)
