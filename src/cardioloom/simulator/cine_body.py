"""What lies around the heart in the two views and does not beat: lung, chest wall, liver, stomach, aorta, spine."""

from __future__ import annotations

from math import pi

import numpy as np
from numpy.typing import NDArray

from cardioloom.simulator.cine_ground import (
    FAT,
    LIVER,
    MUSCLE,
    SPLEEN,
    Grid,
    Ground,
    back,
    chest_wall,
    cover,
    disc,
    lung,
)
from cardioloom.simulator.cine_paint import ANGLES
from cardioloom.simulator.heart import Heart

CHEST_WALL = 2.25  # direction of the front of the chest in a short axis, rad


def around_short_axis(
    heart: Heart, where: Ground, reach: tuple[float, float], random: np.random.Generator
) -> tuple[Grid, Grid]:
    """The surroundings (row, col) of a short axis, and the depth (row, col) inside what stops the heart, mm.

    Args:
        heart: whose.
        where: places from the middle of the left ventricle.
        reach: of the heart towards the chest wall and towards the diaphragm, mm.
        random: of the body.
    """
    picture = lung(where, random)
    out = float(random.uniform(26, 46))
    picture = back(picture, where, (reach[1] + out, -reach[1] - out * 0.35), -0.9)
    picture, belly = _belly(picture, where, reach[1], random)
    towards = CHEST_WALL + float(random.normal(0, 0.14))
    picture, wall = chest_wall(heart, picture, where, reach[0], towards, random)
    return picture, np.maximum(belly, wall)


def _belly(picture: Grid, where: Ground, reach: float, random: np.random.Generator) -> tuple[Grid, Grid]:
    """Below the diaphragm: liver to the left, stomach in the middle, spleen to the right; and the depth below it."""
    x, y, wavy, coarse, fine = where.x, where.y, where.wavy, where.coarse, where.fine
    gap, tilt = float(random.uniform(-0.5, 3.5)), float(random.normal(-0.08, 0.09))
    dome, top = float(random.uniform(0.002, 0.006)), float(random.uniform(-10, 25))
    low = -reach - gap
    depth = np.float32(low) - y + tilt * x - dome * (x + top) ** 2 + 2.6 * wavy
    picture = cover(picture, depth, MUSCLE * 0.8, 1.2)
    picture = cover(picture, depth - 1.8, FAT * (0.75 + 0.15 * coarse + 0.05 * fine), 1.2)
    bowel = np.minimum(depth - 5, 6 * coarse + 3 * wavy - 1)
    picture = cover(picture, bowel, MUSCLE * (1 + 0.25 * fine), 1.8)
    edge, slope = float(random.uniform(-10, 45)), float(random.uniform(0.5, 3.0))  # where the liver ends
    liver = np.minimum(depth - 2.2 - 0.8 * np.abs(coarse), (edge - x - slope * depth) / np.hypot(1, slope) + 3.0 * wavy)
    width, high = float(random.uniform(19, 32)), float(random.uniform(14, 22))
    middle = (edge + 0.75 * width, low - high - float(random.uniform(1, 5)))
    spleen = disc(x, y, (middle[0] + width + 9, middle[1] + 4), 19, 1.25, float(random.normal(0.9, 0.3))) + 3 * wavy
    picture = cover(picture, np.minimum(spleen, depth - 2.5), SPLEEN * (1 + 0.06 * coarse + 0.03 * fine), 1.1)
    stomach = disc(x, y, middle, high, width / high, float(random.normal(-0.15, 0.25))) + 4.0 * wavy
    stomach = np.minimum(stomach, depth - 3.2)
    picture = cover(picture, stomach, 0.33 + 0.05 * coarse + 0.03 * fine, 1.1)
    filled, folds = float(random.uniform(0.06, 0.75)), float(random.uniform(0.4, 1.8))
    inside = stomach - 4.5 - folds * fine - 1.5 * coarse
    picture = cover(picture, inside, filled * (1 + 0.2 * coarse + 0.2 * fine), 1.8)
    picture = cover(picture, liver, LIVER * (1 + 0.08 * coarse + 0.03 * fine), 1.1)
    for _ in range(9):
        at = (float(random.uniform(-75, edge - 4)), low - float(random.uniform(7, 45)))
        size, long = float(random.uniform(0.8, 2.2)), float(random.uniform(1, 5.5))
        vessel = disc(x, y, at, size, long, float(random.uniform(0, pi))) + 0.3 * fine
        picture = cover(picture, np.minimum(vessel, liver - 2), float(random.uniform(0.42, 0.7)), 1.4)
    return picture, depth


def around_long_axis(
    heart: Heart, where: Ground, surface: NDArray[np.float64], random: np.random.Generator
) -> tuple[Grid, Grid]:
    """The surroundings (row, col) of a four-chamber view, and the depth (row, col) inside what stops the heart, mm.

    Args:
        heart: whose.
        where: places from the heart's middle.
        surface: (angle,) of the heart about it, mm.
        random: of the body.
    """

    def reach(towards: float) -> float:
        return float((surface * np.cos(ANGLES - towards)).max())

    picture = lung(where, random)
    front = 1.85 + float(random.normal(0, 0.12))
    behind = -1.85 + float(random.normal(0, 0.1))
    out = reach(behind) + float(random.uniform(11, 18))
    aside = float(random.uniform(-4, 12))
    aorta = (out * np.cos(behind) - aside * np.sin(behind), out * np.sin(behind) + aside * np.cos(behind))
    picture = back(picture, where, (float(aorta[0]), float(aorta[1])), behind)
    return chest_wall(heart, picture, where, reach(front), front, random)
