"""How the front's threads share a processor with the one that Python runs in.

A thread that wakes is let in at once, before the one that has woken it: each message then costs two changes
of threads and a write to the socket of its own. Nothing is decided here but who goes first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def patient_threads() -> Iterator[None]:
    """Have the threads that are started within interrupt no other thread of this processor.

    They take what has gathered when that thread waits, gives way, or has had its share; on a processor that
    nobody uses they run at once. Where the operator has chosen how this process is scheduled, or the system
    has no such choice, nothing is changed.
    """
    if not _set_policy("SCHED_OTHER", "SCHED_BATCH"):
        yield
        return
    try:
        yield
    finally:
        _set_policy("SCHED_BATCH", "SCHED_OTHER")


def _set_policy(before: str, after: str) -> bool:
    """Put the calling thread, and those that it starts later, under another policy; tells whether it is."""
    try:
        if os.sched_getscheduler(0) != getattr(os, before):
            return False
        os.sched_setscheduler(0, getattr(os, after), os.sched_param(0))
    except (AttributeError, OSError):
        return False
    return True
