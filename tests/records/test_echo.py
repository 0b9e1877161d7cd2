"""An echocardiogram refuses what cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from cardioloom.errors import RecordError
from cardioloom.records.echo import Echo

FRAMES = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)


def test_facts():
    echo = Echo(FRAMES, 50, "a4c", (0.5, 0.4), "probe\x1b[2J", notes=("a\nb",))
    assert (echo.n_frames, echo.size, echo.colour, echo.seconds) == (4, (5, 6), False, 0.08)
    assert echo.times_ms.tolist() == [0, 20, 40, 60]
    assert echo.device == "probe[2J"
    assert echo.notes == ("a b",)
    assert echo.grey() is echo.frames


def test_one_channel_is_grey():
    assert Echo(FRAMES[..., None], 50).frames.shape == (4, 5, 6)


def test_grey_of_colour_is_its_luma():
    colour = np.zeros((1, 1, 3, 3), np.uint8)
    colour[0, 0] = np.eye(3) * 200
    assert Echo(colour, 25).grey()[0, 0].tolist() == [60, 117, 23]
    even = np.repeat(FRAMES[..., None], 3, 3)
    assert (Echo(even, 25).grey() == FRAMES).all()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"frames": FRAMES.astype(float)}, "uint8 of shape"),
        ({"frames": FRAMES[0]}, "uint8 of shape"),
        ({"frames": FRAMES[:0]}, "at least one frame"),
        ({"frames": np.zeros((2, 3, 4, 2), np.uint8)}, "one channel"),
        ({"fps": 0}, "frame rate"),
        ({"fps": float("nan")}, "frame rate"),
        ({"pixel_mm": (0.0, 1.0)}, "size of a pixel"),
        ({"pixel_mm": (1.0,)}, "size of a pixel"),
    ],
)
def test_what_cannot_be_is_refused(wrong, says):
    with pytest.raises(RecordError, match=says):
        Echo(**({"frames": FRAMES, "fps": 50.0} | wrong))
