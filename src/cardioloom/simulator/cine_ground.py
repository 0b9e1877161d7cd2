"""Tissues that do not beat, drawn as depths inside smooth shapes: what short and long axis share.

Signals are those of balanced steady-state sequences, 1 = blood, fat below 0 (see `cine_paint`). Layout and sizes are
rules of this simulator, looked at beside real pictures; only the fat under the skin follows the patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, exp, pi, sin

import numpy as np
from numpy.typing import NDArray

from cardioloom.simulator.cine_paint import ANGLES
from cardioloom.simulator.heart import Heart

LUNG, MUSCLE, LIVER, SPLEEN, FAT, BLOOD, SKIN, BONE = 0.035, 0.30, 0.36, 0.42, -0.95, 1.0, 0.30, 0.38
KNOTS = 64  # of a random field on each side, before it repeats

Grid = NDArray[np.floating]


@dataclass(frozen=True)
class Ground:
    """The picture's pixels as places in the body, and the unevenness of its tissues; each (row, col).

    Args:
        x, y: to the right and up of the heart's middle, mm, the slice turned back.
        wavy, coarse, fine: smooth random fields of SD about 1, by the size of their knots.
    """

    x: Grid
    y: Grid
    wavy: Grid
    coarse: Grid
    fine: Grid


def ground(size: int, spacing_mm: float, at: tuple[float, float], turn: float, random: np.random.Generator) -> Ground:
    """The places of a picture.

    Args:
        size, spacing_mm: of the picture.
        at: the heart's middle, mm from the picture's.
        turn: of the slice, rad.
        random: of the body.
    """
    steps = (np.arange(size) - (size - 1) / 2) * spacing_mm
    across, up = steps - at[0], -steps - at[1]
    fields = (mottled(random, across, up, knot_mm) for knot_mm in (38.0, 20.0, 4.0))
    u, v = across.astype(np.float32)[None, :], up.astype(np.float32)[:, None]
    x, y = u * np.float32(cos(turn)) + v * np.float32(sin(turn)), v * np.float32(cos(turn)) - u * np.float32(sin(turn))
    return Ground(x, y, *fields)


def mottled(random: np.random.Generator, x: Grid, y: Grid, knot_mm: float) -> Grid:
    """A random field at (y, x), SD about 1: a cubic B-spline on knots this far apart, the same at every pixel size."""
    knots = random.standard_normal((KNOTS, KNOTS)).astype(np.float32)
    return 2.1 * (_spline(y / knot_mm) @ knots @ _spline(x / knot_mm).T)


def _spline(places: Grid) -> Grid:
    """Weights (place, knot) of a cubic B-spline."""
    first = np.floor(places)
    t, first = places - first, first.astype(int)
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    spread = np.zeros((len(places), KNOTS), np.float32)
    for k, weight in enumerate(weights):
        spread[np.arange(len(places)), (first + k) % KNOTS] += weight / 6
    return spread


def cover(picture: Grid, depth: Grid, signal: Grid | float, soft: float = 1.0) -> Grid:
    """The picture with a tissue where `depth` (mm inside it) is above 0, its edge `soft` mm to each side."""
    share = depth * np.float32(0.5 / soft)
    share += np.float32(0.5)
    np.minimum(np.maximum(share, 0, out=share), 1, out=share)
    share *= signal - picture
    share += picture
    return share


def disc(x: Grid, y: Grid, at: tuple[float, float], radius: float, aspect: float = 1.0, turn: float = 0.0) -> Grid:
    """Depth inside an ellipse (about), mm; its longer half-axis is `radius` times `aspect`."""
    dx, dy = x - np.float32(at[0]), y - np.float32(at[1])
    along = (dx * np.float32(cos(turn)) + dy * np.float32(sin(turn))) * np.float32(1 / aspect)
    across = dy * np.float32(cos(turn)) - dx * np.float32(sin(turn))
    return np.float32(radius) - np.sqrt(along * along + across * across)


def room(solid: Grid, spacing_mm: float, at: tuple[float, float], turn: float) -> NDArray[np.float64]:
    """How far the heart's fat may reach in each direction (angle,) until a depth map is above 0, mm."""
    steps = np.arange(8.0, 110.0, 1.5)
    size = solid.shape[0]
    column = np.rint((at[0] + steps * np.cos(ANGLES + turn)[:, None]) / spacing_mm + (size - 1) / 2).astype(int)
    row = np.rint((size - 1) / 2 - (at[1] + steps * np.sin(ANGLES + turn)[:, None]) / spacing_mm).astype(int)
    inside = (row >= 0) & (row < size) & (column >= 0) & (column < size)
    met = inside & (solid[row.clip(0, size - 1), column.clip(0, size - 1)] > 0)
    return np.where(met.any(axis=1), steps[met.argmax(axis=1)], 150.0)


def skin_fat_mm(heart: Heart, random: np.random.Generator) -> float:
    """Thickness of the fat under the skin of the chest, mm; rises with body mass index, more in women."""
    bmi = heart.weight_kg / (heart.height_cm / 100) ** 2
    more = 1.25 if heart.sex == "F" else 1.0
    return float(np.clip(more * 11 * exp(0.07 * (bmi - 26.0) + 0.35 * random.standard_normal()), 3.0, 45.0))


def lung(where: Ground, random: np.random.Generator) -> Grid:
    """Lung with its vessels: small and bright."""
    picture = LUNG * (1 + 0.3 * where.coarse) + 0.012 * where.fine
    for _ in range(18):
        at = (float(random.uniform(-40, 85)), float(random.uniform(-45, 85)))
        size, long = float(random.uniform(0.6, 1.7)), float(random.uniform(1, 3.5))
        depth = disc(where.x, where.y, at, size, long, float(random.uniform(0, pi)))
        picture = cover(picture, depth, float(random.uniform(0.12, 0.5)), 0.9)
    return picture


def chest_wall(
    heart: Heart, picture: Grid, where: Ground, reach: float, towards: float, random: np.random.Generator
) -> tuple[Grid, Grid]:
    """In front of the heart: muscle with ribs and streaks of fat, fat under the skin, air; and the depth inside it.

    Args:
        heart: whose.
        picture: to draw on.
        where: its places.
        reach: of the heart in the wall's direction, mm.
        towards: that direction, rad.
        random: of the body.
    """
    x, y, coarse, fine = where.x, where.y, where.coarse, where.fine
    out, along = x * cos(towards) + y * sin(towards), y * cos(towards) - x * sin(towards)
    out, along = out.astype(np.float32), along.astype(np.float32)
    gap = float(random.uniform(1, 9))
    out = out + np.where(along > 0, np.float32(1.25), np.float32(0.8)) * along**2 / np.float32(random.uniform(190, 330))
    depth = out - np.float32(reach + gap) + 1.8 * where.wavy
    wall = float(random.uniform(13, 23))
    picture = cover(picture, depth + 2.0, FAT * 0.7, 1.3)
    picture = cover(picture, depth, MUSCLE * (0.75 + 0.18 * coarse + 0.12 * fine), 1.4)
    place = float(random.uniform(-75, -40))
    for _ in range(5):  # ribs and cartilage, cut at one angle or another, between them streaks of fat
        at, turn = (reach + gap + float(random.uniform(0.36, 0.52)) * wall, place), float(random.normal(1.57, 0.25))
        size = float(random.uniform(0.2, 0.3)) * wall
        oval = disc(out, along, at, size, float(random.uniform(1.1, 2.3)), turn) + 1.2 * where.wavy
        picture = cover(picture, oval, float(random.uniform(0.08, 0.2)), 1.6)
        picture = cover(picture, oval - 2.0, -float(random.uniform(0.15, 0.6)) * (1 + 0.2 * fine), 1.6)
        beside = (reach + gap + float(random.uniform(0.3, 0.95)) * wall, place + float(random.uniform(10, 22)))
        size, long = float(random.uniform(0.5, 1.8)), float(random.uniform(3, 9))
        picture = cover(picture, disc(out, along, beside, size, long, turn) + 0.8 * where.wavy, FAT * 0.75, 1.4)
        place += float(random.uniform(24, 48))
    under = depth - wall + 2.2 * where.wavy + 0.8 * coarse
    picture = cover(picture, under, FAT * (1.0 + 0.07 * coarse + 0.04 * fine), 1.3)
    skin = skin_fat_mm(heart, random)
    picture = cover(picture, under - skin, SKIN, 0.9)
    return cover(picture, under - skin - 2.0, 0.0, 0.9), depth + 1.0


def back(picture: Grid, where: Ground, at: tuple[float, float], towards: float) -> Grid:
    """Behind the heart: the back of the chest with the spine, and the descending aorta at a place.

    Args:
        picture: to draw on.
        where: its places.
        at: of the aorta, mm.
        towards: direction of the back, rad.
    """
    x, y, coarse = where.x, where.y, where.coarse
    out = (x - at[0]) * cos(towards) + (y - at[1]) * sin(towards)
    chest = out.astype(np.float32) - 17 + 2.5 * where.wavy
    picture = cover(picture, chest, FAT * 0.8, 1.2)
    picture = cover(picture, chest - 4, MUSCLE * (1 + 0.15 * coarse + 0.05 * where.fine), 1.5)
    beside = towards - 0.9
    spine = disc(x, y, (at[0] + 26 * cos(beside), at[1] + 26 * sin(beside)), 17, 1.15) + 0.8 * where.wavy
    picture = cover(picture, spine, 0.12, 1.2)
    picture = cover(picture, spine - 1.5, BONE * (1 + 0.15 * coarse + 0.05 * where.fine), 1.2)
    return cover(cover(picture, disc(x, y, at, 12.8), 0.22), disc(x, y, at, 11.2), 0.85 * BLOOD)
