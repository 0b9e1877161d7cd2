"""What every refusal must be: one sentence."""

from __future__ import annotations


def is_one_sentence(error: BaseException) -> bool:
    """One line, no full stop before the end, and long enough to say what to do."""
    text = str(error)
    return "\n" not in text and ". " not in text and not text.endswith(".") and "\x1b" not in text and len(text) > 30
