"""The log: structured lines on standard error.

One line a call, one a change of health, one a bug. Standard output stays free for what programs
read. Values are given by name; nothing here ever gets a prompt, an answer or a secret.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import msgspec
import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_log(level: str, form: str) -> None:
    """Set the log up for this process.

    Args:
        level: One of `LEVELS`: the least level that is written.
        form: "json" for one object a line, "text" for people.
    """
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if form == "json":
        # Tracebacks without locals: those hold prompts and keys.
        tracebacks = ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
        renderer: list[Any] = [tracebacks, structlog.processors.JSONRenderer(_to_json)]
        factory: Any = structlog.BytesLoggerFactory(sys.stderr.buffer)
    else:
        plain = structlog.dev.plain_traceback
        renderer = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
        factory = structlog.PrintLoggerFactory(sys.stderr)
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=factory,
        cache_logger_on_first_use=True,
    )


def log_health_change(
    scope: str, state: str, *, cause: str, until: float, reason: str, by_operator: bool
) -> None:
    """One line for a target or provider whose state has changed; `until` in seconds since the epoch."""
    structlog.get_logger("paceline.health").warning(
        "health",
        scope=scope,
        state=state,
        cause=cause or None,
        until=until or None,
        reason=reason or None,
        by_operator=by_operator,
    )


def log_lifecycle(event: str, **values: object) -> None:
    """One line for the process itself: started, draining, stopped."""
    structlog.get_logger("paceline").info(event, **values)


def _to_json(event: Any, **_options: object) -> bytes:
    return msgspec.json.encode(event, enc_hook=repr)
