"""Blood that is not of one brightness: slow flow, mixing and dephasing, which come and go with the beat.

Smooth random fields in the picture, one that stays and two that turn with the phase; their size is a rule of this
simulator, set beside the blood of Sunnybrook (benchmarks/simulator_cine.py).
"""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.prepare.median import compiled
from cardioloom.simulator.cine_ground import mottled

KNOT_MM = 13.0
STEADY_SD, BEATING_SD = 0.07, 0.06  # shares of the signal of blood
BLOOD_FROM, BLOOD_AT = 0.60, 0.80  # signal from which a tissue is taken for blood in part, and wholly


def flowing(
    signal: NDArray[np.float32], phases: NDArray[np.float64], spacing_mm: float, random: np.random.Generator
) -> NDArray[np.float32]:
    """A signal (time, row, col) whose blood is uneven, in place.

    Args:
        signal: of `cine_paint.paint`; 1 = blood.
        phases: (time,) of the beat.
        spacing_mm: size of a pixel.
        random: of this recording.
    """
    places = (np.arange(signal.shape[1]) - (signal.shape[1] - 1) / 2) * spacing_mm
    fields = np.stack([mottled(random, places, places, KNOT_MM) for _ in range(3)])
    angle = 2 * pi * phases
    weights = np.stack([STEADY_SD + 0 * angle, BEATING_SD * np.cos(angle), BEATING_SD * np.sin(angle)], axis=1)
    run: Any = compiled(_uneven)
    run(signal, fields.astype(np.float32), weights.astype(np.float32))
    return signal


def _uneven(signal, fields, weights):
    """Blood times one plus the weighted sum (time, 3) of fields (3, row, col), in place. Compiled."""
    n_times, rows, columns = signal.shape
    start, rise, one = np.float32(BLOOD_FROM), np.float32(1 / (BLOOD_AT - BLOOD_FROM)), np.float32(1)
    for t in range(n_times):
        a, b, c = weights[t, 0], weights[t, 1], weights[t, 2]
        for row in range(rows):
            for column in range(columns):
                value = signal[t, row, column]
                if value > start:
                    share = min(one, (value - start) * rise)
                    change = a * fields[0, row, column] + b * fields[1, row, column] + c * fields[2, row, column]
                    signal[t, row, column] = value * (one + share * change)
