"""Contours of the four-chamber view over a beat: ventricles, their muscle, atria and valves.

Places are along the left ventricle's axis from the base at end-diastole to the apex, and across it to the lateral wall,
in mm. The apex stays where it is; the plane of the valves moves towards it as the long axis shortens.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.prepare.median import compiled
from cardioloom.simulator.anatomy import Beat, wall_mm
from cardioloom.simulator.cine_paint import ANGLES, N_ANGLES
from cardioloom.simulator.cine_wall import ischaemic_share
from cardioloom.simulator.heart import Heart

SEPTUM, LATERAL = 210.0, 30.0  # walls that the view cuts, degrees in the short axis' picture (`cine_wall`)
ALONG = np.linspace(0.0, 1.0, 33)  # of a wall from the base to the apex
CIRCLE = np.linspace(0, 2 * pi, 72, endpoint=False)
LA_EMPTIES = 0.48  # share of the left atrium's volume that leaves it over the beat
RA_TO_LA = 0.95  # volumes
# Of an atrium's contour: (place, width, height); rad from the valve over the lateral side, shares of the radius.
LEFT_BUMPS = ((2.35, 0.20, 0.16), (3.95, 0.20, 0.16), (1.25, 0.24, 0.08))
RIGHT_BUMPS = ((3.55, 0.24, 0.13), (5.15, 0.30, 0.12))

Points = NDArray[np.float64]  # (time, point, 2) along, across


@dataclass(frozen=True)
class Chambers:
    """Closed contours (time, point, 2) along and across, mm.

    Args:
        endo, epi: left ventricle.
        right, right_wall: right ventricle, inner and outer side.
        left_atrium, right_atrium: inner sides.
        base: (time,) place of the valves' plane along the axis.
        hinges: (time, 3) places across: lateral hinge of the mitral valve, septum, lateral hinge of the tricuspid.
    """

    endo: Points
    epi: Points
    right: Points
    right_wall: Points
    left_atrium: Points
    right_atrium: Points
    base: NDArray[np.float64]
    hinges: NDArray[np.float64]


def chambers(heart: Heart, beat: Beat, random: np.random.Generator) -> Chambers:
    """The contours at each phase of a beat; `random` is the patient's own shape."""
    drawn = random.standard_normal(12)
    half = np.sqrt(beat.lv_mm2 / pi)
    wall = wall_mm(beat.lv_mm2, beat.muscle_mm2)
    able = np.array([1 - ischaemic_share(heart, SEPTUM), 1 - ischaemic_share(heart, LATERAL)]) + 1e-3
    inward = (half[0] - half)[:, None] * 2 * able / able.sum()
    sides = half[0] - inward  # (time, 2) septal, lateral
    moved = np.maximum(inward / half[0], 0)
    thin = (moved / np.maximum(moved.mean(axis=1, keepdims=True), 1e-3) - 1) * (wall - wall[0])[:, None]
    thick = np.maximum(wall[:, None] + np.where(beat.contracted[:, None] > 0.02, thin, 0.0), 0.5 * wall[:, None])
    thick = thick * np.array([heart.septal_thickening, 1.0])
    base = beat.lv_length_mm[0] - beat.lv_length_mm
    tip = beat.lv_length_mm[0]
    endo = _bullet(base, tip, sides, 0.30 + 0.03 * drawn[0])
    epi = _bullet(base, tip + 0.65 * wall.mean(), sides + thick, 0.28 + 0.03 * drawn[0])
    right, right_wall, hinge = _right(heart, beat, base, sides[:, 0] + thick[:, 0], drawn[1:5])
    left_atrium, right_atrium = _atria(heart, beat, base, sides, hinge, drawn[5:11])
    hinges = np.stack([0.82 * sides[:, 1], -0.82 * sides[:, 0] - 0.5 * thick[:, 0], hinge], axis=1)
    return Chambers(endo, epi, right, right_wall, left_atrium, right_atrium, base, hinges)


def _bullet(base: NDArray[np.float64], tip: float, sides: NDArray[np.float64], straight: float) -> Points:
    """From base (time,) to tip; half-widths (time, 2); `straight` is the share of its length without taper."""
    taper = np.sqrt(1 - (np.maximum(ALONG - straight, 0) / (1 - straight)) ** 2.3)
    width = taper * (1 - 0.16 * np.maximum(straight - ALONG, 0) / straight)
    along = base[:, None] + (tip - base)[:, None] * np.sin(ALONG * pi / 2)[None, :]
    width = np.interp(np.sin(ALONG * pi / 2), ALONG, width)
    septal = np.stack([along, -sides[:, :1] * width], axis=2)
    lateral = np.stack([along, sides[:, 1:] * width], axis=2)
    return np.concatenate([septal, lateral[:, ::-1]], axis=1)


def _right(
    heart: Heart,
    beat: Beat,
    base: NDArray[np.float64],
    septum: NDArray[np.float64],
    drawn: NDArray[np.float64],
) -> tuple[Points, Points, NDArray[np.float64]]:
    """Right ventricle, inner and outer side, and its lateral hinge across; it lies under the left one's septum."""
    wide = (0.80 + 0.04 * drawn[0]) * np.sqrt(beat.rv_mm2)
    tip = beat.lv_length_mm[0] * (0.84 + 0.03 * drawn[1])
    free = np.clip(1 - ALONG, 0, 1) ** (0.62 + 0.05 * drawn[2]) * (1 + 0.10 * np.sin(pi * ALONG))
    at_base = 0.93 + 0.07 * np.minimum(ALONG / 0.2, 1)
    along = base[:, None] + 2.0 + (tip - base)[:, None] * ALONG
    inside = -0.55 * septum[:, None] * (1 - 0.55 * ALONG**2)
    outer = -septum[:, None] * (1 - 0.5 * ALONG**2.5) - wide[:, None] * free * at_base
    inner_side, outer_side = np.stack([along, inside], axis=2), np.stack([along, outer], axis=2)
    thick = 3.0 + (3.0 if heart.diagnosis == "pulmonary_hypertension" else 0.0)
    wall = np.stack([along + 0.5 * thick * ALONG, outer - thick], axis=2)
    contour = np.concatenate([outer_side, inner_side[:, ::-1]], axis=1)
    return contour, np.concatenate([wall, inner_side[:, ::-1]], axis=1), outer[:, 0] + 1.0


def _atria(
    heart: Heart,
    beat: Beat,
    base: NDArray[np.float64],
    sides: NDArray[np.float64],
    hinge: NDArray[np.float64],
    drawn: NDArray[np.float64],
) -> tuple[Points, Points]:
    """Left and right atrium: largest at end-systole, behind the valves' plane.

    Neither is round: the left one is broader than deep, with a pulmonary vein at each far corner; the right one is
    deeper, with the appendage at its side and a caval vein.
    """
    filled = 1 - LA_EMPTIES * (1 - beat.contracted)
    contours = []
    for share, middle, shape, broad, bumps in (
        (1.0, 0.06 * (sides[:, 1] - sides[:, 0]) + 1.0, drawn[:3], 1.08, LEFT_BUMPS),
        (RA_TO_LA, None, drawn[3:], 0.95, RIGHT_BUMPS),
    ):
        radius = (3 * share * heart.la_volume_ml * 1000 * filled / (4 * pi)) ** (1 / 3)
        across = radius * (broad + 0.07 * shape[0])
        along = radius**2 / across * 1.03
        if middle is None:
            middle = np.minimum(0.62 * hinge, -across - 0.9 * sides[:, 0] + 6.0)
        bent = 1 + 0.06 * shape[1] * np.cos(2 * CIRCLE + shape[2]) + 0.05 * shape[2] * np.sin(3 * CIRCLE + shape[0])
        bent = bent + 0.05 * np.cos(3 * CIRCLE) - 0.03 * np.cos(4 * CIRCLE)
        for at, wide, high in bumps:
            bent = bent + high * (1 + 0.4 * shape[1]) * np.exp(-(((CIRCLE - at - 0.15 * shape[2]) / wide) ** 2))
        bent = bent / np.sqrt((bent**2).mean())  # of the area that it would have as an ellipse
        x = (base - 0.90 * along)[:, None] + along[:, None] * np.cos(CIRCLE) * bent
        y = middle[:, None] + across[:, None] * np.sin(CIRCLE) * bent
        contours.append(np.stack([x, y], axis=2))
    return contours[0], contours[1]


def about(points: Points, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """r(θ) (time, angle) of closed contours (time, point, 2) about centres (time, 2) that see all of them."""
    radius = np.full((len(points), N_ANGLES), 0.5)
    run: Any = compiled(_rays)
    run(np.ascontiguousarray(points - centre[:, None]), radius, np.cos(ANGLES), np.sin(ANGLES))
    return radius


def _rays(points, radius, cosine, sine):
    """Farthest meeting of each ray with the straight sides of closed contours about the origin, in place. Compiled."""
    n_times, n_points, _ = points.shape
    n_angles = radius.shape[1]
    step = 2 * np.pi / n_angles
    for t in range(n_times):
        for i in range(n_points):
            x, y = points[t, i]
            x2, y2 = points[t, (i + 1) % n_points]
            start = np.arctan2(y, x)
            turn = np.arctan2(y2, x2) - start
            turn = turn + 2 * np.pi if turn < -np.pi else (turn - 2 * np.pi if turn > np.pi else turn)
            first, last = min(start, start + turn), max(start, start + turn)
            cross = x * y2 - y * x2
            for place in range(int(np.ceil(first / step)), int(np.floor(last / step)) + 1):
                here = place + n_angles if place < 0 else place
                here = here - n_angles if here >= n_angles else here
                across = cosine[here] * (y2 - y) - sine[here] * (x2 - x)
                if abs(across) > 1e-9:
                    radius[t, here] = max(radius[t, here], cross / across)


def hull(points: Points, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """r(θ) (time, angle) of the convex hull of points (time, point, 2) about centres (time, 2) inside it."""
    directions = np.stack([np.cos(ANGLES), np.sin(ANGLES)])
    support = ((points - centre[:, None]) @ directions).max(axis=1)  # (time, angle)
    radius = np.full(support.shape, np.inf)
    for away in range(-N_ANGLES // 5, N_ANGLES // 5 + 1):  # of the tangent whose normal lies so many angles away
        np.minimum(radius, np.roll(support, away, axis=1) / np.cos(away * 2 * pi / N_ANGLES), out=radius)
    return radius


def placed(points: Points, at: tuple[float, float], axis: float) -> Points:
    """Points along and across (time, point, 2) → x to the right and y up in the picture; `axis` points to the apex."""
    along, across = points[..., 0], points[..., 1]
    x = at[0] + along * np.cos(axis) + across * np.sin(axis)
    return np.stack([x, at[1] + along * np.sin(axis) - across * np.cos(axis)], axis=-1)
