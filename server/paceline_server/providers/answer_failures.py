"""The failures that stand inside answers of status 200, told apart alike for all wire formats.

An error may have any shape, so it is looked for before an answer is called malformed. What an error
means is decided in `failures`.
"""

from __future__ import annotations

import msgspec

from paceline_server.completion.attempt import FailureClass
from paceline_server.completion.errors import AttemptFailure
from paceline_server.providers.failures import FailureClassifier
from paceline_server.providers.json_faults import NOT_JSON

_OK = 200
_UNPRINTABLE = "unprintable"
_MAX_REASON_CHARACTERS = 64


def malformed(message: str) -> AttemptFailure:
    """The failure of an answer that is not what the format says."""
    return AttemptFailure(FailureClass.MALFORMED_RESPONSE, message, http_status=_OK)


def told_reason(classifier: FailureClassifier, reason: str) -> str:
    """A reason that nobody knows, fit to be told; also what redaction leaves nothing of was a reason."""
    return classifier.told(reason, _MAX_REASON_CHARACTERS) or _UNPRINTABLE


def check_for_error(classifier: FailureClassifier, data: bytes, *, is_error: bool = False) -> None:
    """Look for an error in JSON that is not the usual answer.

    Raises:
        AttemptFailure: The data tell an error, which they do in any case if one `is_error`, or are not JSON.
    """
    if is_error:
        raise classifier.of_error(data)
    try:
        document: object = msgspec.json.decode(data)
    except NOT_JSON as error:
        raise malformed("the answer is not JSON") from error
    failure = classifier.of_document(document)
    if failure is not None:
        raise failure


def unreadable(
    classifier: FailureClassifier, data: bytes, expected: str, *, is_error: bool = False
) -> AttemptFailure:
    """The failure of data that are no `expected`: the error that they tell, or else a malformed answer."""
    try:
        check_for_error(classifier, data, is_error=is_error)
    except AttemptFailure as failure:
        return failure
    return malformed(f"the answer is no {expected}")
