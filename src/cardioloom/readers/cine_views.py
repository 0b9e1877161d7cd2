"""Which view of the heart a cine shows, and which of its ends is the base: by words and by where it lies in the body.

Directions are those of DICOM (LPS): to the patient's left, to the back, to the head.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import MissingFactError, UsageError
from cardioloom.records.cine import CINE_VIEWS

# Base to apex, the mean of four short-axis stacks of the Sunnybrook Cardiac Data; hearts lie within some 30° of it.
HEART_AXIS = np.array([0.66, -0.66, -0.35]) / np.linalg.norm([0.66, -0.66, -0.35])
MIN_ALONG = 0.8  # cosine from which a plane's normal counts as the heart's axis: within 37°
WORDS = {
    "sax": r"\b(?:sax|sa|shax|short ?ax(?:is)?)\b",
    "lax_4ch": r"\b(?:4|four) ?ch\w*\b|\b4c\b|\bhla\b",
    "lax_2ch": r"\b(?:2|two) ?ch\w*\b|\b2c\b|\bvla\b",
    "lax_3ch": r"\b(?:3|three) ?ch\w*\b|\b3c\b",
}


def check_view(view: str | None) -> None:
    """Refuse a view that the caller names and that there is not.

    Raises:
        UsageError: listing the known.
    """
    if view is not None and view not in CINE_VIEWS:
        raise UsageError(f"view must be one of {', '.join(CINE_VIEWS)}, got {view!r}")


def settle_view(
    name: str, told: str | None, texts: Iterable[object], normal: NDArray | None, n_slices: int, notes: list[str]
) -> str:
    """The view: what the caller says, else the words, else the plane's place in the body, else many slices.

    Args:
        name: the file or series, for messages.
        told: what the caller says.
        texts: descriptions; they are looked through and not kept.
        normal: (3,) of the planes, None = not known.
        n_slices: of the cine.
        notes: is appended to where the view was concluded.

    Raises:
        MissingFactError: if none of these says it.
    """
    if told is not None:
        return told
    words = re.sub(r"[\W_]+", " ", " ".join(str(text or "") for text in texts).lower())
    said = [view for view, pattern in WORDS.items() if re.search(pattern, words)]
    if len(said) == 1:
        notes.append(f"the view {said[0]} was taken from its name")
        return said[0]
    if normal is not None and abs(float(normal @ HEART_AXIS)) >= MIN_ALONG:
        notes.append("the view sax was concluded from how its planes lie in the body")
        return "sax"
    if normal is None and n_slices >= 5:
        notes.append(f"the view sax was concluded from its {n_slices} parallel slices")
        return "sax"
    raise MissingFactError(f"{name} does not say which view it shows: give view= as one of {', '.join(CINE_VIEWS)}")


def towards_apex(normal: NDArray) -> NDArray:
    """The unit normal (3,) of short-axis planes, turned to point from the base to the apex."""
    return normal if float(normal @ HEART_AXIS) >= 0 else -normal
