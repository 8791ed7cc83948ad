"""What all parts of the schema share."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_serializer, model_validator

from paceline_server.settings.secret import refusal


class Section(BaseModel):
    """Settings that stand together below one key; one that is written without a value has its default."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_by_name=True, validate_by_alias=True
    )

    def plain(self, *, leave_out: AbstractSet[str] = frozenset()) -> dict[str, Any]:
        """The settings by name, durations in seconds, as constructors take them."""
        return {
            name: value.total_seconds() if isinstance(value, timedelta) else value
            for name, value in self
            if name not in leave_out
        }

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        known = {info.alias or name for name, info in cls.model_fields.items()}
        return {key: value for key, value in given.items() if value is not None or key not in known}


class Choice(Section):
    """Exactly one of several forms; each form is a field that is a section, or None if it was not chosen."""

    @property
    def kind(self) -> str:
        """Which form it is."""
        return next(name for name in type(self).model_fields if getattr(self, name) is not None)

    @property
    def form(self) -> Section:
        """The settings of that form."""
        form: Section = getattr(self, self.kind)
        return form

    @model_serializer
    def _written(self) -> Any:
        return {self.kind: self.form}

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        names = tuple(type(self).model_fields)
        if sum(getattr(self, name) is not None for name in names) != 1:
            raise refusal("exactly one form must be chosen", f"write one of {', '.join(names)}")
        return self


def from_word(forms: type[Choice], what: str) -> BeforeValidator:
    """Lets a form be written as its name alone; `what` says what the forms are."""

    def read(given: object) -> object:
        if not isinstance(given, str):
            return given
        if given not in forms.model_fields:
            raise refusal(f"there is no such {what}", f"write one of {', '.join(forms.model_fields)}")
        return {given: {}}

    return BeforeValidator(read)
