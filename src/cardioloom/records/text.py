"""Text from files that ends on terminals and pages: without the characters that steer them."""

from __future__ import annotations

import unicodedata

# Controls, formats (bidirectional overrides among them) and halves of characters. Zero-width (non-)joiners spell words.
_STEERING = frozenset({"Cc", "Cf", "Cs"})
_JOINERS = frozenset("\u200c\u200d")


def printable(text: str) -> str:
    """The text without control characters; line breaks and tabs become blanks, both ends are stripped.

    ``"V1\\x1b[2J"`` → ``"V1[2J"``.
    """
    if text.isprintable():
        return text.strip()
    kept = (
        " " if mark.isspace() else mark
        for mark in text
        if mark.isspace() or mark in _JOINERS or unicodedata.category(mark) not in _STEERING
    )
    return "".join(kept).strip()
