"""Decoding an answer that is one document, mended where it cannot be read as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from paceline_server.providers.answer_failures import unreadable
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.half_characters import mended
from paceline_server.providers.json_faults import NOT_JSON
from paceline_server.providers.unreadable_usage import UsageMender

_Document = TypeVar("_Document")


def decoded_document(
    data: bytes,
    decode: Callable[[bytes], _Document],
    usage: UsageMender,
    classifier: FailureClassifier,
    expected: str,
) -> _Document:
    """What `decode` makes of the whole answer.

    Raises:
        AttemptFailure: The data tell an error, or are no `expected`.
    """
    try:
        return decode(data)
    except NOT_JSON:
        whole = mended(data)
    try:
        return decode(usage.mended(whole) or whole)
    except NOT_JSON as error:
        raise unreadable(classifier, whole, expected) from error
