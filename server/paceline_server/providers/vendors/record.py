"""The shape of what is known of a vendor. The facts are in the modules beside this one; nothing here acts.

A fact that no document or recording shows is not stated: what is None or empty here is unknown, and
the configuration may always say otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from paceline_server.providers.failures import FailureRule
from paceline_server.providers.profile import NOTHING_KNOWN, MediaLimits, Profile


@dataclass(frozen=True, slots=True)
class Models:
    """What is known of some of a vendor's models; None where they are like its others.

    Attributes:
        names: Patterns of names in lower case, in which `*` stands for any characters; one must match.
    """

    names: tuple[str, ...]
    context_token_count: int | None = None
    max_output_token_count: int | None = None
    media: MediaLimits | None = None
    reasons_unseen: bool | None = None
    accepts_prefill: bool | None = None
    bills_after_cancel: bool | None = None
    gives_logprobs: bool | None = None

    def over(self, profile: Profile) -> Profile:
        """`profile` with what is known here."""
        known = {name: getattr(self, name) for name in _FACTS}
        return replace(profile, **{name: value for name, value in known.items() if value is not None})


_FACTS = (
    "context_token_count",
    "max_output_token_count",
    "media",
    "reasons_unseen",
    "accepts_prefill",
    "bills_after_cancel",
    "gives_logprobs",
)


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor.

    Attributes:
        name: What the configuration calls it.
        title: What people call it.
        wire_format: The format that it speaks.
        base_url: What precedes the format's own path; empty where every customer has another.
        base_url_example: Shown to those who have to give one.
        key_variable: The environment variable that holds its key by custom; empty where no key is needed.
        settings: Settings of the configuration in which it differs from its format's defaults.
        rules: Failure rules that are tried before its format's own.
        price_list: The vendor's name in the price list; empty where none of its prices are kept.
        profile: What holds for all of its models.
        models: What holds for some of them; where more than one matches, the last one decides.
    """

    name: str
    title: str
    wire_format: str
    base_url: str = ""
    base_url_example: str = ""
    key_variable: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    rules: tuple[FailureRule, ...] = ()
    price_list: str = ""
    profile: Profile = NOTHING_KNOWN
    models: tuple[Models, ...] = ()

    def profile_of(self, model: str) -> Profile:
        """What is known of one of its models."""
        profile, name = self.profile, model.lower()
        for models in self.models:
            if any(fnmatchcase(name, pattern) for pattern in models.names):
                profile = models.over(profile)
        return profile

    def said(self, fact: str) -> str:
        """A fact that is true or false, for people: "yes", "no" or "some models"."""
        told = {getattr(models, fact) for models in self.models} - {None}
        everywhere: bool = getattr(self.profile, fact)
        if told - {everywhere}:
            return "some models"
        return "yes" if everywhere else "no"
