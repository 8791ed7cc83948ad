"""What a provider's error means: which class of failure, how long to wait, which words to repeat.

Decided from status, code and message together, by rules in order: first those of the configuration,
then the table of the wire format. Nothing is decided here about what to do with a failure.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.completion.usage import estimate_token_count
from paceline_server.providers.error_body import ProviderError, error_of_body, error_of_document
from paceline_server.providers.redaction import redacted, shortened
from paceline_server.providers.retry_delay import retry_delay

_MAX_MATCHED_CHARACTERS = 2_000
_MAX_CODE_CHARACTERS = 64
_KEPT_WORD_COUNT = 256
"""Names of models and the like, which come again with every answer."""

_OK = 200
_UNTIL_OPERATORS_ACT = frozenset({FailureClass.QUOTA, FailureClass.AUTHENTICATION})
"""No reset of a rate limit ends these; providers send its headers with them all the same."""


@dataclass(frozen=True, slots=True)
class FailureRule:
    """If status, code and pattern all match (what is empty matches all), it is `failure_class`.

    Attributes:
        statuses: HTTP statuses; an error inside a 200 has the status that it states itself, or 200.
        codes: The provider's codes or types, in lower case; one of the error's must be among them.
        pattern: Searched in the message, letters of either case alike.
        exceeded: The pattern's first group is a number of tokens, and only larger requests match.
        trusts_words: Whether a delay that the body tells is advice; one in the headers always is.
    """

    failure_class: FailureClass
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    pattern: str = ""
    exceeded: bool = False
    trusts_words: bool = True
    _compiled: re.Pattern[str] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        """Compile the pattern.

        Raises:
            ValueError: It is no regular expression.
        """
        if self.pattern:
            try:
                compiled = re.compile(self.pattern, re.IGNORECASE)
            except re.error as error:
                raise ValueError(f"{self.pattern!r} is no regular expression: {error}") from error
            object.__setattr__(self, "_compiled", compiled)

    def matches(self, status: int, codes: Sequence[str], message: str, token_count: int) -> bool:
        """Whether this rule decides."""
        if self.statuses and status not in self.statuses:
            return False
        if self.codes and not self.codes.intersection(codes):
            return False
        if self._compiled is None:
            return True
        found = self._compiled.search(message)
        return found is not None and not (self.exceeded and token_count <= int(found[1]))


def rule(
    failure_class: FailureClass,
    *,
    status: Iterable[int] = (),
    code: Iterable[str] = (),
    pattern: str = "",
    exceeded: bool = False,
    trusts_words: bool = True,
) -> FailureRule:
    """A rule, written short."""
    codes = frozenset(text.lower() for text in code)
    return FailureRule(failure_class, frozenset(status), codes, pattern, exceeded, trusts_words)


_UNKNOWN = FailureRule(FailureClass.TRANSIENT)


class FailureClassifier:
    """Turns a provider's errors into attempt failures. What no rule knows is TRANSIENT."""

    def __init__(
        self,
        table: Sequence[FailureRule],
        *,
        configured: Sequence[FailureRule] = (),
        secrets: Callable[[], Iterable[str]] = tuple,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Make one.

        Args:
            table: The rules of the wire format.
            configured: Rules that are tried before it.
            secrets: Texts that no message may repeat, asked for at each failure.
            now: Seconds since the epoch.
        """
        self._rules = (*configured, *table)
        self._secrets = secrets
        self._now = now

    def told(self, text: str, character_count: int) -> str:
        """A provider's word for something else, fit to be told: redacted, on one line, and cut."""
        return _told(text, tuple(self._secrets()), character_count)

    def of_response(
        self, status: int, headers: Mapping[str, str], body: bytes, character_count: int = 0
    ) -> AttemptFailure:
        """The failure that an answer with an error status is, to a prompt of so many characters."""
        error = error_of_body(body)
        return self._failure(error, status, headers, estimate_token_count(character_count))

    def of_document(self, document: object) -> AttemptFailure | None:
        """The failure that a JSON document inside an answer of status 200 tells; None if it tells none."""
        error = error_of_document(document)
        return None if error is None else self._failure(error, _OK, {})

    def of_error(self, data: bytes) -> AttemptFailure:
        """The failure of an error event inside an answer of status 200, whatever its data are."""
        return self._failure(error_of_body(data), _OK, {})

    def _failure(
        self, error: ProviderError, http_status: int, headers: Mapping[str, str], token_count: int = 0
    ) -> AttemptFailure:
        status = http_status if http_status != _OK else error.status or _OK
        searched = f"{error.message} {error.detail}"[:_MAX_MATCHED_CHARACTERS]
        codes = [code.lower() for code in error.codes]
        decided = next(
            (found for found in self._rules if found.matches(status, codes, searched, token_count)), _UNKNOWN
        )
        failure_class = decided.failure_class
        secrets = tuple(self._secrets())
        said = redacted(error.message or error.detail, secrets)
        return AttemptFailure(
            failure_class,
            said
            or (f"the provider answered with status {status}" if status != _OK else "the provider failed"),
            http_status=http_status,
            provider_code=shortened(redacted(error.codes[0], secrets), _MAX_CODE_CHARACTERS)
            if error.codes
            else "",
            retry_after=retry_delay(
                status,
                headers,
                searched if decided.trusts_words else "",
                stated=error.retry_delay if decided.trusts_words else "",
                now=self._now(),
                reads_resets=failure_class not in _UNTIL_OPERATORS_ACT,
            ),
        )


@lru_cache(_KEPT_WORD_COUNT)
def _told(text: str, secrets: tuple[str, ...], character_count: int) -> str:
    return shortened(redacted(text, secrets), character_count)
