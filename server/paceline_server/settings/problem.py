"""What is wrong with a configuration, where, and how to mend it.

A problem never repeats a value of the configuration: a secret may stand where it does not belong. It
names the place, which shows the value to whoever may read it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

SettingPath = tuple[str | int, ...]
"""Where a setting stands: keys, and positions in lists."""


class Place(NamedTuple):
    """A line of a file, or with line 0 the name of an environment variable or of a whole file."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """As compilers write it, so that editors can jump there."""
        source = self.source if self.source.isprintable() else repr(self.source)
        return f"{source}:{self.line}:{self.column}" if self.line else source


class Finding(NamedTuple):
    """A problem that does not know its place yet; with `at_key` it is about the setting's name."""

    path: SettingPath
    message: str
    remedy: str
    at_key: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; `path` is empty where no single setting is meant."""

    place: Place
    # Its raw keys may be anything, as `shown` says.
    path: SettingPath = field(repr=False)
    message: str
    remedy: str

    def __str__(self) -> str:
        """One line."""
        setting = f"{written(self.path)}: " if self.path else ""
        return f"{self.place}: {setting}{self.message}. Remedy: {self.remedy}."


class ConfigurationError(Exception):
    """The configuration cannot be used; all that is wrong with it is listed, one problem a line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Make one of at least one problem: those of the file by line, then those of the environment."""
        unique = dict.fromkeys(problems)
        self.problems = tuple(sorted(unique, key=lambda problem: (not problem.place.line, problem.place)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def written(path: SettingPath) -> str:
    """A path as people write it: models.cheap.chain[1]; what could break the line is escaped."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{shown(step)}" if text else shown(step)
    return text


def shown(key: str) -> str:
    """A key for people: quoted and cut where it is more than a name; left out where it looks like a secret.

    A secret that stands where a name belongs is a value in the wrong place, too.
    """
    if _SECRET.match(key[: 2 * _LONGEST_KEY]):
        return HIDDEN_KEY
    if not _NAME.fullmatch(key):
        return repr(key if len(key) <= _SHOWN_OF_NO_NAME else f"{key[:_SHOWN_OF_NO_NAME]}...")
    return repr(key) if "." in key else key


def told_of(value: str, message: str) -> str:
    """A message that may repeat `value`, or names: what looks like a secret is left out of it."""
    if any(map(_hides, _WORD.findall(value))):
        return "this looks like a secret, and means nothing here"
    return _WORD.sub(lambda found: HIDDEN_KEY if _hides(found[0]) else found[0], message)


def _hides(word: str) -> bool:
    # In a spec the secret may stand after the provider, too.
    return any(_SECRET.match(part) for part in (word, *word.split("/")))


HIDDEN_KEY = "(a name that looks like a secret)"

_LONGEST_KEY = 64
_SHOWN_OF_NO_NAME = 12
_NAME = re.compile(rf"[\w.-]{{1,{_LONGEST_KEY}}}")
_WORD = re.compile(r"(?:Bearer |Basic )?[^\s'\",]+")
_SECRET = re.compile(
    # The beginnings that issuers give to their keys, or many characters in a row with digits among them.
    r"(sk|SK)[-_]|gsk_|xai-|hf_|ghp_|github_pat_|AIza|AKIA|eyJ|Bearer |Basic "
    r"|.*(?=[A-Za-z+/=]*[0-9])[A-Za-z0-9+/=]{20}",
    re.DOTALL,
)
