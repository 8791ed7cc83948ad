"""The log: structured lines on standard error.

One line a call, one a change of health, one a bug. Logging never waits and never fails. Standard
output stays free for what programs read. Nothing here ever gets a prompt, an answer or a secret.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, TextIO, cast

import msgspec
import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

from paceline_server.telemetry.line_writer import LineWriter, Write

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@dataclass(frozen=True, slots=True)
class Log:
    """The log of this process, which whoever configured it closes at the end.

    Attributes:
        lines: Where the lines go, each with its end.
        takes_info_as_json: Whether a line of the level info may go there as JSON, without the processors,
            which cost several times what its encoding does.
    """

    lines: LineWriter
    takes_info_as_json: bool

    def close(self, timeout: float) -> None:
        """Write what is queued, for at most `timeout` seconds."""
        self.lines.close(timeout)


def configure_log(level: str, form: str) -> Log:
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
        renderer: list[Any] = [tracebacks, structlog.processors.JSONRenderer(to_json)]
    else:
        plain = structlog.dev.plain_traceback
        console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
        renderer = [console, _to_bytes]
    writer = LineWriter(_writing_to(sys.stderr))
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", writer)),
        cache_logger_on_first_use=True,
    )
    return Log(writer, form == "json" and LEVELS[level] <= logging.INFO)


def log_bug(error: Exception, **values: object) -> None:
    """One line for what should not have happened, with its traceback, for the operators alone."""
    structlog.get_logger("paceline").error("bug", exc_info=error, **values)


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


def log_caution(event: str, **values: object) -> None:
    """One line for what the operators have configured and may not have meant."""
    structlog.get_logger("paceline").warning(event, **values)


def to_json(event: Any, **_options: object) -> bytes:
    """An event as one JSON object."""
    try:
        return msgspec.json.encode(event, enc_hook=repr)
    except UnicodeEncodeError:
        # Half a surrogate pair in somebody's words; a log line must not fail a call.
        return json.dumps(event, default=_as_text).encode()


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)


def _to_bytes(_logger: object, _name: str, line: str) -> bytes:
    return line.encode("utf-8", "replace")


def _writing_to(stream: TextIO) -> Write:
    """The plainest way to write: without buffers whose locks a blocked thread would hold at the end."""
    try:
        descriptor = stream.fileno()
    except OSError:
        return stream.buffer.write
    return lambda data: os.write(descriptor, data)
