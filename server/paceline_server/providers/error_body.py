"""Reading error bodies: status, codes and sentence out of the many shapes that providers give them.

Shapes only, for all wire formats; what an error means is decided in `failures`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from paceline_server.providers.half_characters import mended
from paceline_server.providers.json_faults import NOT_JSON

_MAX_ERROR_CHARACTERS = 4_000
_MAX_DEPTH = 4
"""Levels of lists and objects in which an error's parts are looked for. What providers send has three;
deeper ones are built to exhaust whoever follows them, and are classed by their status alone."""

_MAX_ITEMS = 10
_STATUSES = range(400, 600)
_CODE_FIELDS = ("code", "type", "error_type", "error_code", "status", "reason")
_MESSAGE_FIELDS = ("message", "detail", "msg", "error_description", "title")


@dataclass(frozen=True, slots=True)
class ProviderError:
    """An error as its provider told it.

    Attributes:
        codes: The code first, then types and nested codes; words stand before bare numbers.
        detail: More words, such as those of the provider behind this one, or the quotas that were passed.
        status: The HTTP status that the body states; 0 if it states none.
        retry_delay: The delay that stands in a field of its own, as a duration such as "34.4s".
    """

    message: str = ""
    codes: tuple[str, ...] = ()
    detail: str = ""
    status: int = 0
    retry_delay: str = ""


def error_of_body(body: bytes) -> ProviderError:
    """The error of a body that is known to tell one; empty where the body is not JSON."""
    try:
        document = _decoded(body)
    except NOT_JSON:
        # A gateway's page of HTML has nothing that is worth repeating; a short plain sentence has.
        text = body.decode("utf-8", "replace").strip()
        return ProviderError(message="" if text.startswith("<") else text[:_MAX_ERROR_CHARACTERS])

    return error_of_document(document) or _error(document) or ProviderError()


def _decoded(body: bytes) -> object:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return msgspec.json.decode(mended(body))


def error_of_document(document: object) -> ProviderError | None:
    """The error that a JSON document tells; None if it tells none."""
    if isinstance(document, list):
        # Some gateways wrap their errors in an array.
        document = document[0] if document else None
    if not isinstance(document, Mapping):
        return None
    error = document.get("error")
    if error:
        return _nested(error, document)
    if document.get("object") == "error" or document.get("type") == "error":
        return _error(document)
    if "choices" not in document and "detail" in document:
        return _error(document)
    return None


def _nested(error: object, around: Mapping[object, object]) -> ProviderError:
    found = _error(error) or ProviderError()
    outer = _error({name: value for name, value in around.items() if name != "error"}) or ProviderError()
    return ProviderError(
        message=found.message or outer.message,
        codes=(*found.codes, *(code for code in outer.codes if code not in found.codes)),
        detail=found.detail,
        status=found.status or outer.status,
        retry_delay=found.retry_delay,
    )


def _error(error: object) -> ProviderError | None:
    if isinstance(error, str):
        return ProviderError(message=error[:_MAX_ERROR_CHARACTERS])
    if not isinstance(error, Mapping):
        return None
    message = next((text for text in map(_text, map(error.get, _MESSAGE_FIELDS)) if text), "")
    return ProviderError(
        message=message[:_MAX_ERROR_CHARACTERS],
        codes=tuple(sorted(dict.fromkeys((*_codes(error), *_typed(error))), key=str.isdecimal)),
        detail=(_behind(error) or _quotas(error))[:_MAX_ERROR_CHARACTERS],
        status=_status(error),
        retry_delay=next((text for item in _details(error) if (text := _text(item.get("retryDelay")))), ""),
    )


def _codes(error: Mapping[object, object], depth: int = 1) -> Iterator[str]:
    for name in _CODE_FIELDS:
        code = error.get(name)
        if isinstance(code, str) and code:
            yield code
        elif isinstance(code, int) and not isinstance(code, bool):
            yield str(code)
    if depth == _MAX_DEPTH:
        return
    for name in ("innererror", "details"):
        inner = error.get(name)
        if isinstance(inner, Mapping):
            yield from _codes(inner, depth + 1)
    for item in _details(error):
        reason = item.get("reason")
        if isinstance(reason, str) and reason:
            yield reason


def _typed(error: Mapping[object, object]) -> Iterator[str]:
    # OpenRouter's own word; the `provider_code` beside it is about its keys and money, not the caller's.
    metadata = error.get("metadata")
    error_type = metadata.get("error_type") if isinstance(metadata, Mapping) else None
    if isinstance(error_type, str) and error_type:
        yield error_type


def _details(error: Mapping[object, object]) -> list[Mapping[object, object]]:
    # Google's services explain their errors in a list of typed objects.
    details = error.get("details")
    if not isinstance(details, list):
        return []
    return [item for item in details[:_MAX_ITEMS] if isinstance(item, Mapping)]


def _quotas(error: Mapping[object, object]) -> str:
    quotas = []
    for item in _details(error):
        violations = item.get("violations")
        for violation in violations[:_MAX_ITEMS] if isinstance(violations, list) else ():
            if isinstance(violation, Mapping):
                names = ("quotaMetric", "quotaValue", "quotaId")
                metric, limit, quota = (_text(violation.get(name)) for name in names)
                quotas.append(f"{metric}, limit: {limit}, {quota}")
    return "; ".join(quotas)


def _status(error: Mapping[object, object]) -> int:
    for name in ("status_code", "code", "status", "raw_status_code"):
        status = error.get(name)
        if isinstance(status, str) and status.isascii() and status.isdecimal():
            status = int(status[:4])
        if isinstance(status, int) and status in _STATUSES:
            return status
    return 0


def _behind(error: Mapping[object, object]) -> str:
    # OpenRouter repeats what the provider behind it has said.
    metadata = error.get("metadata")
    return _text(metadata.get("raw")) if isinstance(metadata, Mapping) else ""


def _text(value: object, depth: int = 0) -> str:
    if isinstance(value, str):
        return value
    if depth == _MAX_DEPTH:
        return ""
    if isinstance(value, list):
        # The validation errors of FastAPI: [{"msg": ..., "loc": ...}].
        texts = (_text(item, depth + 1) for item in value[:_MAX_ITEMS])
        return "; ".join(text for text in texts if text)
    if isinstance(value, Mapping):
        return _text(value.get("message") or value.get("msg") or value.get("detail"), depth + 1)
    return ""
