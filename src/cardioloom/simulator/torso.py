"""From the heart vector to the leads: Dower's matrix, where the electrodes lie, the frontal axis.

Matrix: Dower, Machado & Osborne 1980 (Clin Cardiol 3:87), the one that Edenbrandt & Pahlm 1988 (J Electrocardiol
21:361) inverted.
"""

from __future__ import annotations

from math import atan2, cos, degrees, hypot, radians, sin, sqrt

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

CHEST = np.array(  # V1–V6 × x (left), y (feet), z (back)
    [
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)
LIMB = np.array([[0.632, -0.235, 0.059], [0.235, 1.066, -0.132]])  # I, II

# The atria lie behind and to the right of the ventricles, for which the matrix was made: fitted to the median P wave of
# the same normal recordings as the loops.
ATRIAL_CHEST = np.array([1.00, 0.60, 0.52, 0.50, 0.64, 0.88])  # share of each chest lead's row
ATRIAL_LIMB = np.array([[0.92, -0.10, 0.0], [0.235, 1.066, -0.132]])

# I, II, V1–V6 from the potentials of RA, LA, LL, V1–V6.
FROM_ELECTRODES = np.zeros((8, 9))
FROM_ELECTRODES[0, :3] = -1, 1, 0
FROM_ELECTRODES[1, :3] = -1, 0, 1
FROM_ELECTRODES[2:, :3] = -1 / 3
FROM_ELECTRODES[2:, 3:] = np.eye(6)

# Rules of this simulator. A step along the chest is the way from one electrode to the next, about 4 cm; electrodes are
# commonly 2–3 cm from their place (Kania et al. 2014, Med Biol Eng Comput 52:109; the sizes here are ours).
STEP_SD, COMMON_STEP_SD = 0.16, 0.10
HEIGHT_SD, COMMON_HEIGHT_SD = 0.06, 0.06  # of the y coefficient
CHEST_GAIN_SD = 0.05


def rotation(axis: int, degrees: float) -> Matrix:
    """(3, 3) rotation about x (0), y (1) or z (2); positive turns y to z, z to x, x to y."""
    angle = radians(degrees)
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = cos(angle)
    matrix[a, b], matrix[b, a] = -sin(angle), sin(angle)
    return matrix


def lead_matrices(random: np.random.Generator, chest_gain: float = 1.0) -> tuple[Matrix, Matrix]:
    """I, II, V1–V6 × heart vector, of the ventricles and of the atria, for one placement of the electrodes.

    Args:
        random: the recording's stream; its placement error comes from it.
        chest_gain: of the patient's chest wall.

    Returns:
        (8, 3) each.
    """
    draws = random.standard_normal((4, 6))
    at = np.arange(6) + COMMON_STEP_SD * draws[3, 0] + STEP_SD * draws[0]
    at = np.clip(at, 0, 5)
    chest = np.stack([np.interp(at, np.arange(6), column) for column in CHEST.T], axis=1)
    chest[:, 1] += HEIGHT_SD * draws[1] + COMMON_HEIGHT_SD * draws[3, 1]
    chest *= (chest_gain * np.exp(CHEST_GAIN_SD * draws[2]))[:, None]
    return np.concatenate([LIMB, chest]), np.concatenate([ATRIAL_LIMB, chest * ATRIAL_CHEST[:, None]])


FRONTAL = np.array([LIMB[0], (2 * LIMB[1] - LIMB[0]) / sqrt(3)])  # (2, 3): of I, and downwards in Einthoven's triangle


def frontal_axis(area: NDArray[np.float64]) -> float:
    """The axis in degrees that the limb leads show of a vector's net area (3,)."""
    across, down = FRONTAL @ area
    return degrees(atan2(down, across))


def turn_to_axis(area: NDArray[np.float64], fixed: NDArray[np.float64], axis_deg: float) -> float:
    """By how many degrees one of two vectors must turn about z for the limb leads to show a frontal axis of their sum.

    In Einthoven's triangle the axis is that of (I, (2 II − I)/√3); Dower's limb leads mix in z, and so the turn is not
    the difference of two angles.

    Args:
        area: (3,) net area of what is turned.
        fixed: (3,) net area of what is not.
        axis_deg: wanted.
    """
    across = np.array([-sin(radians(axis_deg)), cos(radians(axis_deg))]) @ FRONTAL  # must not be seen
    along = np.array([cos(radians(axis_deg)), sin(radians(axis_deg))]) @ FRONTAL
    # across · (R(turn) area + fixed) = a cos(turn) + b sin(turn) + c = 0
    a = across[0] * area[0] + across[1] * area[1]
    b = across[1] * area[0] - across[0] * area[1]
    c = across[2] * area[2] + across @ fixed
    size = hypot(a, b)
    if size == 0:
        return 0.0
    middle, half = np.arctan2(b, a), np.arccos(np.clip(-c / size, -1, 1))
    turns = np.degrees([middle + half, middle - half])
    seen = [along @ (rotation(2, turn) @ area + fixed) for turn in turns]
    best = float(turns[int(np.argmax(seen))])
    return (best + 180) % 360 - 180
