"""Errors on the terminal: one sentence; the traceback too with --debug."""

from __future__ import annotations

import logging
import sys

LOG = logging.getLogger("cardioloom")


def complain(error: Exception | str, code: int) -> int:
    """Print what went wrong on stderr, in one line unless it lists several items; returns ``code``."""
    text = str(error) if "\n  " in str(error) else " ".join(str(error).split())
    print(f"cardioloom: {text}", file=sys.stderr)
    if isinstance(error, Exception):
        LOG.debug("", exc_info=error)
    return code


def note(sentence: str) -> None:
    """Print on stderr what takes long, or is done again."""
    print(f"cardioloom: {sentence}", file=sys.stderr)
