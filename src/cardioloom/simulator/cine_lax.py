"""The scene of a four-chamber long axis: apex up and to the right, right heart to the left, atria below."""

from __future__ import annotations

from math import pi

import numpy as np
from numpy.typing import NDArray

from cardioloom.simulator.anatomy import Beat
from cardioloom.simulator.cine_body import around_long_axis
from cardioloom.simulator.cine_chambers import Chambers, about, chambers, hull, placed
from cardioloom.simulator.cine_ground import BLOOD, FAT, MUSCLE, ground, room
from cardioloom.simulator.cine_paint import ANGLES, KEEP, LV_CAVITY, LV_MUSCLE, RV_CAVITY, Group, Layer, Scene
from cardioloom.simulator.heart import Heart
from cardioloom.simulator.streams import stream
from cardioloom.simulator.volume_curve import beat_times

APEX = 0.98  # direction of the apex in the picture, rad
LEAFLET_SPOTS = 9


def long_axis_scene(
    heart: Heart, beat: Beat, size: int, spacing_mm: float, off_centre: tuple[float, float], turn: float
) -> Scene:
    """All that a four-chamber cine shows.

    Args:
        heart: whose.
        beat: its volumes and lengths, one value a frame.
        size, spacing_mm: of the picture.
        off_centre: of the heart's middle, mm.
        turn: of the slice, rad, this recording's.
    """
    random = stream(heart.seed, heart.patient, "cine/lax_4ch/body")
    parts = chambers(heart, beat, random)
    axis = APEX + turn + 0.12 * float(random.standard_normal())
    outline = np.concatenate([parts.epi, parts.right_wall, parts.left_atrium, parts.right_atrium], axis=1)
    ends = outline[0].min(axis=0), outline[0].max(axis=0)
    middle = placed(np.asarray([[0.5 * (ends[0] + ends[1])]]), (0.0, 0.0), axis)[0, 0]
    at = float(off_centre[0] - middle[0]), float(off_centre[1] - middle[1])
    where = ground(size, spacing_mm, off_centre, turn, random)
    centre = np.broadcast_to(np.asarray(off_centre), (len(beat.phases), 2))
    surface = hull(placed(outline[:, ::2], at, axis), centre)
    background, solid = around_long_axis(heart, where, surface[0], random)
    free = room(solid, spacing_mm, off_centre, 0.0)
    groups = _groups(heart, beat, parts, surface, free, centre, at, axis, random)
    return Scene(background, groups, _spots(heart, beat, parts, at, axis, random))


def _groups(
    heart: Heart,
    beat: Beat,
    parts: Chambers,
    surface: NDArray[np.float64],
    free: NDArray[np.float64],
    centre: NDArray[np.float64],
    at: tuple[float, float],
    axis: float,
    random: np.random.Generator,
) -> tuple[Group, ...]:
    """Fat, then the right heart, the left atrium, the left ventricle, each about its own middle."""
    drawn = random.standard_normal(6)
    steady = np.ones(len(beat.phases))
    inflow = BLOOD * (1 + 0.04 * np.sin(2 * pi * (beat.phases + 0.1 * drawn[0])))
    muscle, fatty = MUSCLE * (1 + 0.08 * drawn[1]) * steady, FAT * (0.8 + 0.06 * drawn[2]) * steady
    bmi = heart.weight_kg / (heart.height_cm / 100) ** 2
    much = float(np.clip(1 + 0.04 * (bmi - 26) + 0.3 * drawn[3], 0.3, 2.2))
    fat = surface + 0.8 + much * (0.8 + 0.7 * np.sin(2 * ANGLES + drawn[4]) * np.sin(3 * ANGLES + drawn[5]))
    pad = random.uniform(3, 14) * np.exp(-(((ANGLES - 1.6) / 0.5) ** 2))
    outer = np.maximum(np.minimum(fat + much * pad, free), fat - 1.0)

    def group(
        contour: NDArray[np.float64], *layers: tuple[NDArray[np.float64], float, NDArray[np.float64], int]
    ) -> Group:
        """Layers (contour, how much wider in mm, signal, label) about the middle of a contour."""
        places = placed(contour, at, axis)
        middle = places.mean(axis=1)
        drawn_layers = (
            Layer(about(placed(shape, at, axis), middle) + wider, value, label, 1.0)
            for shape, wider, value, label in layers
        )
        return Group(middle, tuple(drawn_layers))

    return (
        Group(
            centre,
            (
                Layer(outer, fatty, KEEP, 1.2),
                Layer(fat + 0.9, 0.15 * steady, KEEP, 1.0),
                Layer(fat, fatty, KEEP, 1.0),
            ),
        ),
        group(
            parts.right_atrium, (parts.right_atrium, 1.8, muscle, KEEP), (parts.right_atrium, 0.0, inflow * 0.96, KEEP)
        ),
        group(parts.left_atrium, (parts.left_atrium, 1.8, muscle, KEEP), (parts.left_atrium, 0.0, inflow * 0.97, KEEP)),
        group(parts.right, (parts.right_wall, 0.0, muscle, KEEP), (parts.right, 0.0, inflow, RV_CAVITY)),
        group(parts.endo, (parts.epi, 0.0, muscle, LV_MUSCLE), (parts.endo, 0.0, inflow, LV_CAVITY)),
    )


def _spots(
    heart: Heart,
    beat: Beat,
    parts: Chambers,
    at: tuple[float, float],
    axis: float,
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """Blood between the chambers where the valves are, leaflets, trabeculae: (spot, time, 5)."""
    times = beat_times(heart)
    ms = beat.phases * times.rr
    opens = np.clip((ms - times.filling_starts) / 40, 0, 1) * np.clip((times.rr - ms) / 30, 0, 1)
    half_closed = 1 - 0.45 * np.exp(-(((ms - 0.5 * (times.early_ends + times.kick_starts)) / 60) ** 2))
    opening = opens * np.where(times.kick_share > 0, half_closed, 1.0)
    lateral, septum, hinge = parts.hinges.T
    places, looks = [], []

    def add(along: NDArray[np.float64], across: NDArray[np.float64], size: float, value: float, opacity: float) -> None:
        places.append((along, across))
        looks.append((size, value, opacity))

    for one, other in ((lateral, septum), (hinge, septum)):
        gap = np.abs(one - other)
        for part in np.linspace(0.14, 0.86, 7):  # the orifice: blood to blood
            for depth in (-2.5, 1.0):
                add(parts.base + depth, one + (other - one) * part, float(0.07 * gap.mean() + 1.5), 0.97 * BLOOD, 1.0)
        for start, end in ((one, other), (other, one)):
            for part in np.linspace(0.0, 1.0, LEAFLET_SPOTS):  # each leaflet is half the orifice long
                swing = opening * 1.25
                reach = 0.5 * gap * part
                across = start + np.sign(end - start) * reach * np.cos(swing)
                add(parts.base + 1.0 + reach * np.sin(swing) + 1.5 * part * (1 - opening), across, 0.45, 0.35, 0.55)
    for _ in range(14):
        place = int(random.integers(4, 30)) if random.random() < 0.5 else int(random.integers(36, 62))
        edge = parts.endo[:, place]
        add(edge[:, 0], 0.93 * edge[:, 1], float(random.uniform(0.8, 1.8)), MUSCLE, float(random.uniform(0.3, 0.8)))
    for _ in range(10):
        edge = parts.right[:, int(random.integers(5, 31))]
        add(edge[:, 0], 0.94 * edge[:, 1], float(random.uniform(0.8, 2.0)), MUSCLE, float(random.uniform(0.3, 0.8)))
    spots = np.empty((len(looks), len(ms), 5))
    spots[..., :2] = placed(np.array(places).transpose(0, 2, 1), at, axis)
    spots[..., 2:] = np.array(looks)[:, None]
    return spots
