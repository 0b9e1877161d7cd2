from __future__ import annotations

import numpy as np
import pytest

from cardioloom.errors import RecordError
from cardioloom.records.cine import Cine

GOOD = {
    "frames": np.zeros((3, 2, 8, 9), np.uint8),
    "spacing_mm": (8.0, 1.8, 1.8),
    "times_ms": np.array([0.0, 20.0, 40.0]),
    "view": "sax",
}


def test_a_cine_keeps_whole_numbers_and_makes_floats_single():
    assert Cine(**GOOD).frames.dtype == np.uint8
    assert Cine(**GOOD).shape == (3, 2, 8, 9)
    assert Cine(**GOOD | {"frames": np.ones((3, 2, 8, 9))}).frames.dtype == np.float32


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"frames": np.zeros((3, 8, 9), np.uint8)}, "shape"),
        ({"frames": np.zeros((3, 0, 8, 9), np.uint8)}, "shape"),
        ({"frames": np.zeros((3, 2, 8, 9), np.int16)}, "unsigned"),
        ({"frames": np.full((3, 2, 8, 9), np.nan)}, "finite"),
        ({"frames": np.full((3, 2, 8, 9), 1e300)}, "finite"),
        ({"times_ms": np.array([0.0, 20.0])}, "3 frames"),
        ({"times_ms": np.array([0.0, 20.0, 20.0])}, "rise"),
        ({"times_ms": np.array([0.0, np.nan, 20.0])}, "finite"),
        ({"spacing_mm": (8.0, 0.0, 1.8)}, "spacing"),
        ({"spacing_mm": (1.8, 1.8)}, "spacing"),
        ({"view": "axial"}, "sax"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object], says: str):
    with pytest.raises(RecordError, match=says):
        Cine(**GOOD | wrong)
