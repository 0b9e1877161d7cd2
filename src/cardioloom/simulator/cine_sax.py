"""The scene of a mid-ventricular short axis: septum and right ventricle to the left, lateral wall to the right."""

from __future__ import annotations

from math import pi

import numpy as np
from numpy.typing import NDArray

from cardioloom.simulator.anatomy import Beat
from cardioloom.simulator.cine_body import CHEST_WALL, around_short_axis
from cardioloom.simulator.cine_ground import BLOOD, FAT, MUSCLE, ground, room
from cardioloom.simulator.cine_paint import ANGLES, KEEP, LV_CAVITY, LV_MUSCLE, RV_CAVITY, Group, Layer, Scene
from cardioloom.simulator.cine_wall import Contours, contours
from cardioloom.simulator.heart import Heart
from cardioloom.simulator.streams import stream

MESH, MESH_MM = 0.50, 1.8  # signal of trabeculae with blood between them, and their usual depth


def short_axis_scene(
    heart: Heart, beat: Beat, size: int, spacing_mm: float, off_centre: tuple[float, float], turn: float
) -> Scene:
    """All that a short-axis cine shows.

    Args:
        heart: whose.
        beat: its areas, one value a frame.
        size, spacing_mm: of the picture.
        off_centre: of the heart's middle, mm.
        turn: of the slice, rad, this recording's.
    """
    random = stream(heart.seed, heart.patient, "cine/sax/body")
    shape = contours(heart, beat, random)
    turn += 0.14 * float(random.standard_normal())
    middle = _middle(shape.surface[0], turn)
    at = (off_centre[0] - middle[0], off_centre[1] - middle[1])
    where = ground(size, spacing_mm, at, turn, random)
    reach = _reach(shape.surface[0], CHEST_WALL), _reach(shape.surface[0], 1.5 * pi)
    background, solid = around_short_axis(heart, where, reach, random)
    fat = _fat(heart, shape.surface, random)
    free = room(solid, spacing_mm, at, turn)
    centre = np.stack([at[0] - 1.5 * beat.contracted, at[1] + 1.0 * beat.contracted], axis=1)
    layers = _layers(beat, shape, fat, free, turn, random)
    return Scene(background, (Group(centre, layers),), _spots(beat, shape, centre, turn, random))


def _middle(surface: NDArray[np.float64], turn: float) -> tuple[float, float]:
    """Of the whole heart, from the middle of the left ventricle, mm."""
    weight = surface**2 / (surface**2).sum()
    out = 2 / 3 * surface * weight
    return float((out * np.cos(ANGLES + turn)).sum()), float((out * np.sin(ANGLES + turn)).sum())


def _reach(surface: NDArray[np.float64], towards: float) -> float:
    """How far the heart reaches in a direction (rad), mm."""
    return float((surface * np.cos(ANGLES - towards)).max())


def _turned(radius: NDArray[np.float64], turn: float) -> NDArray[np.float64]:
    """Contours (time, angle) turned counter-clockwise by an angle in rad."""
    places = (np.arange(len(ANGLES)) - turn / (2 * pi) * len(ANGLES)) % len(ANGLES)
    first = places.astype(int) % len(ANGLES)
    part = places - np.floor(places)
    return radius[:, first] * (1 - part) + radius[:, (first + 1) % len(ANGLES)] * part


def _fat(
    heart: Heart, surface: NDArray[np.float64], random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Outer contours (time, angle) of the fat on the heart and of the fat around it, mm; rise with body mass."""
    drawn = random.standard_normal(8)
    bmi = heart.weight_kg / (heart.height_cm / 100) ** 2
    much = float(np.clip(1 + 0.04 * (bmi - 26) + 0.3 * drawn[0], 0.3, 2.2))

    def bump(middle: float, wide: float) -> NDArray[np.float64]:
        return np.exp(-(((ANGLES - middle) / wide) ** 2))

    grooves = bump(1.95, 0.28) + 0.9 * bump(4.15, 0.28)
    uneven = 0.5 * (1 + np.sin(3 * ANGLES + drawn[2]) * np.sin(2 * ANGLES + drawn[3]))
    fat = 0.5 + much * (2.6 * grooves + (1.6 + drawn[4]) * bump(3.0 + 0.3 * drawn[1], 0.6) + 0.7 * uneven)
    moving = 0.85 * surface + 0.15 * surface[:1]
    front = random.uniform(1, 12) * bump(2.2 + 0.3 * drawn[5], 0.4)
    below = random.uniform(2, 14) * bump(3.9 + 0.15 * drawn[6], 0.35)
    outer = moving + 1.0 + much * (front + below + 2.5 * bump(5.3 + 0.3 * drawn[7], 0.3))
    return moving + np.maximum(fat, 0.3), outer


def _layers(
    beat: Beat,
    shape: Contours,
    fat: tuple[NDArray[np.float64], NDArray[np.float64]],
    free: NDArray[np.float64],
    turn: float,
    random: np.random.Generator,
) -> tuple[Layer, ...]:
    drawn = random.standard_normal(4)
    inner, outer = fat
    outer = np.maximum(np.minimum(outer, free), inner - 1.0)
    steady = np.ones(len(beat.phases))
    inflow = 1 + 0.05 * np.sin(2 * pi * (beat.phases + 0.1 * drawn[0]))  # fresh blood is a little brighter
    muscle, fatty = MUSCLE * (1 + 0.08 * drawn[1]), FAT * (0.8 + 0.06 * drawn[2])
    painted = (
        (outer, fatty * steady, KEEP, 1.2),
        (inner + 0.9, 0.15 * steady, KEEP, 1.0),  # pericardium
        (inner, fatty * steady, KEEP, 1.0),
        (shape.surface, muscle * 0.95 * steady, KEEP, 0.7),
        (shape.right, (1.0 + 0.03 * drawn[3]) * BLOOD * inflow, RV_CAVITY, 1.2),
        (shape.epi, muscle * steady, LV_MUSCLE, 0.8),
        (shape.endo, MESH * steady, LV_CAVITY, 0.8),
        (np.maximum(shape.endo - _mesh_mm(random), 2.0), BLOOD * inflow, LV_CAVITY, 1.3),
    )
    return tuple(Layer(_turned(radius, turn), value, label, soft) for radius, value, label, soft in painted)


def _mesh_mm(random: np.random.Generator) -> NDArray[np.float64]:
    """(angle,) how deep the trabeculae's mesh lines the left cavity: more on the free wall than on the septum."""
    drawn = random.standard_normal(5)
    uneven = sum(0.35 * drawn[n] * np.sin((n + 3) * ANGLES + 2 * drawn[n - 1]) for n in range(1, 5))
    return np.maximum(MESH_MM * np.exp(0.25 * drawn[0]) * (1 + 0.5 * np.cos(ANGLES - 0.3) + uneven), 0.2)


def _spots(
    beat: Beat,
    shape: Contours,
    centre: NDArray[np.float64],
    turn: float,
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """Papillary muscles, trabeculae of both ventricles: (spot, time, 5)."""
    big = np.sqrt(beat.lv_mm2[0] / 1900)
    thicker = np.sqrt(beat.lv_length_mm[0] / beat.lv_length_mm)
    spots = []

    def add(angle: float, inside: float, size: float, opacity: float, edge: NDArray[np.float64]) -> None:
        """A disc whose outer side lies `inside` mm from the contour `edge` (time, angle)."""
        twisted = angle + 0.07 * beat.contracted
        place = round(angle / (2 * pi) * len(ANGLES)) % len(ANGLES)
        radius = size * thicker
        out = np.maximum(edge[:, place] - inside - radius, 0.0)
        x, y = centre[:, 0] + out * np.cos(twisted + turn), centre[:, 1] + out * np.sin(twisted + turn)
        steady = np.ones(len(x))
        spots.append(np.stack([x, y, radius, MUSCLE * 1.05 * steady, opacity * steady], axis=1))

    for middle in (0.55, 4.95):  # anterolateral, posteromedial
        angle, size = middle + 0.13 * random.standard_normal(), big * (5.0 + 0.5 * random.standard_normal())
        for part in (-1.2, 0.0, 1.2):
            away, inside = part * random.uniform(0.08, 0.17), random.uniform(0.1, 2.8) * big
            add(angle + away, inside, max(1.4, size * random.uniform(0.5, 0.9)), 0.92, shape.endo)
    for _ in range(24):
        angle, size = float(random.vonmises(0.3, 0.8)), float(random.uniform(0.8, 2.0))
        add(angle, random.uniform(-1.2, 0.8), size, random.uniform(0.35, 0.9), shape.endo)
    for _ in range(9):  # of the right ventricle, along its free wall
        angle = random.uniform(2.25, 4.1)
        add(angle, random.uniform(-0.8, 2.5), random.uniform(0.9, 1.7), random.uniform(0.3, 0.75), shape.right)
    band, inward = random.uniform(3.2, 3.8), random.uniform(0.15, 0.5)
    depth = (shape.right - shape.epi)[:, round(band / (2 * pi) * len(ANGLES)) % len(ANGLES)]
    add(band, 0.0, random.uniform(1.6, 2.6), 0.85, shape.right - inward * depth[:, None])
    return np.stack(spots)
