"""The exit codes that all commands share, and the end of their help, which tells them."""

from __future__ import annotations

OK = 0
FAILED = 1
UNUSABLE = 2
INTERRUPTED = 130

EXIT_CODES = (
    "Exit codes: 0 success; 1 the call failed; 2 wrong usage or configuration, or no gateway "
    "can be reached; 130 interrupted."
)


def epilog(*examples: str, exit_codes: str = EXIT_CODES) -> str:
    """The end of a help text: examples as they are typed, then the exit codes."""
    # The mark keeps click from filling the lines up.
    return "\n".join(["\b", "Examples:", *(f"  {example}" for example in examples), "", exit_codes])
