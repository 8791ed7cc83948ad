"""Tells a failed call on standard error: reason, sentence, what was tried, and what to do about it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import click

from paceline_client.errors import CallFailed, PacelineError
from paceline_client.messages import CallFailure
from paceline_client.words import enum_word, target_spec, usage_words
from paceline_server.cli.printable import one_line
from paceline_server.cli.race_words import group_lines
from paceline_server.cli.words import in_words

REMEDIES = {
    "INVALID_SPEC": "write provider/model, a name of the configuration, or several with commas between them",
    "MODEL_NOT_FOUND": "see the names with: paceline models, and the targets with: paceline targets",
    "UNSUPPORTED_FEATURE": "name a model that can do it, or ask for less",
    "CONTEXT_TOO_LONG": "shorten the prompt, or name a model with a larger window",
    "PROVIDER_REJECTED_REQUEST": "change the prompt; another model may take it",
    "OVERLOADED": "the gateway has too much to do",
    "DRAINING": "this gateway is shutting down; ask another, or this one after its restart",
    "NO_HEALTHY_TARGET": "see who is benched, and until when, with: paceline targets",
    "ALL_ATTEMPTS_FAILED": "see how the targets are with: paceline targets",
    "PROVIDER_MISCONFIGURED": "the gateway's operator must correct its key or account at the provider",
    "STREAM_BROKEN": "unless --recovery none was asked for, no other target was left: name more in the chain",
    "STATE_UNAVAILABLE": "the gateway cannot reach its shared state; its log says why",
    "NO_CONSENSUS": "ask for a smaller quorum, for another equivalence, or ask more models",
    "LIMIT_REACHED": "allow the race more, or give it models that need less",
    "INTERNAL": "give the id of the call to the gateway's operator, whose log says more",
    "UNIMPLEMENTED": "the gateway does not offer this; it may be older than this command",
    "DEADLINE_EXCEEDED": "give it more time, for a chain or a race with --timeout",
}
"""What to do, by reason; or by code, where the gateway itself gave no reason."""


_POINTER_TO_DETAILS = "; the groups of answers are in the details"
"""For those who read messages alone; here they stand in the next lines."""


def show_failure(
    error: PacelineError, address: str, *, tls: bool, with_attempts: bool = True, remedy: str = ""
) -> None:
    """Print a failure for people, with what to do about it: `remedy`, else what its reason suggests."""
    if not isinstance(error, CallFailed):
        lines = [str(error)]
    elif error.unreachable:
        lines = list(_unreachable(error, address, tls=tls))
    else:
        lines = list(_failed(error, remedy, with_attempts=with_attempts))
    click.echo(f"{click.style('error:', fg='red', bold=True)} {one_line(lines[0])}", err=True)
    for line in lines[1:]:
        click.echo(f"  {one_line(line)}", err=True)


def show_failure_as_json(error: PacelineError) -> None:
    """Print a failure as one JSON object."""
    click.echo(json.dumps({"error": _as_data(error)}, ensure_ascii=False), err=True)


def _unreachable(error: CallFailed, address: str, *, tls: bool) -> Iterator[str]:
    # gRPC tells the whole way to the cause, which comes last.
    cause = error.message.rpartition(": ")[2]
    # Some causes stand in brackets, which opened further ahead.
    if cause.count("]") > cause.count("["):
        cause = cause.removesuffix("]")
    yield f"no gateway answers at {address}: {cause}"
    yield "is the server running? start one with: paceline serve"
    yield "is it the right address? name another with --address"
    yield "does it speak TLS? " + ("leave out --tls if not" if tls else "then add --tls or --tls-ca FILE")


def _failed(error: CallFailed, remedy: str, *, with_attempts: bool) -> Iterator[str]:
    yield str(error).removesuffix(_POINTER_TO_DETAILS)
    for violation in error.violations:
        # Where there is one violation, the sentence of the status often is the same.
        if violation.description not in error.message:
            yield f"{violation.subject}: {violation.description}".removeprefix(": ")
    if error.call_failure is not None:
        yield from group_lines(error.call_failure.groups)
        if with_attempts:
            yield from _attempts(error.call_failure)
        yield f"cost so far: {usage_words(error.call_failure.total_usage)}"
    if error.call_id:
        yield f"call {error.call_id}"
    remedy = remedy or REMEDIES.get(error.reason or error.code.name, "")
    if remedy:
        yield remedy
    if error.retry_after:
        yield f"try again in {in_words(error.retry_after)}"


def _attempts(failure: CallFailure) -> Iterator[str]:
    for attempt in failure.attempts:
        words = [enum_word(attempt, "outcome"), enum_word(attempt, "failure_class"), attempt.message]
        yield f"tried {target_spec(attempt.target)}: {' '.join(word for word in words if word)}"
    if failure.omitted_attempt_count:
        yield f"and {failure.omitted_attempt_count} more"


def _as_data(error: PacelineError) -> dict[str, object]:
    if not isinstance(error, CallFailed):
        return {"message": str(error)}
    data: dict[str, object] = {
        "code": error.code.name,
        "reason": error.reason,
        "message": error.message,
        "callId": error.call_id,
        "metadata": dict(error.metadata),
        "violations": [
            {"subject": violation.subject, "description": violation.description}
            for violation in error.violations
        ],
        "retryAfterSeconds": _seconds(error.retry_after),
        "groups": [] if error.call_failure is None else _groups(error.call_failure),
    }
    return {key: value for key, value in data.items() if value not in ("", None, [], {})}


def _groups(failure: CallFailure) -> list[dict[str, object]]:
    return [
        {"preview": group.preview, "candidateIndices": list(group.candidate_indices)}
        for group in failure.groups
    ]


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
