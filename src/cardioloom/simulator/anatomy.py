"""Shape of a simulated heart: what lengths and mid-ventricular areas its volumes and its mass have over a beat.

A ventricle is a bullet: V = 5/6 · A · L with A the area of the mid-ventricular slice and L the long axis (Wyatt 1980,
Circulation 61:1119). Three things are hidden from the slice, so that it cannot tell everything: the length, the share
of the ejection that is shortening of the long axis, and how much the slice resembles the rest of its ventricle
(`Hidden`). Their spreads are constants of this simulator, chosen so that the best possible estimates from the slice
reach the aims of benchmarks/simulator_ceilings.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, pi

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cardioloom.simulator.heart import Heart
from cardioloom.simulator.streams import stream
from cardioloom.simulator.volume_curve import contraction, delays_ms

BULLET = 5 / 6
LONGITUDINAL = (0.155, 0.045)  # long-axis shortening of a ventricle that ejects 0.58: mean, SD of what is hidden
RV_LONGITUDINAL = 0.24  # of the right ventricle, at 0.56
RV_LENGTH_MM = 84.0  # of a right ventricle of 155 mL
# SDs of the logarithms of what is hidden from the slice
SHAPE_SD = 0.025  # area of the slice for this volume and length
EVENNESS_SD = 0.17  # contraction of the slice against that of the whole ventricle
MASS_EVENNESS_SD = 0.075  # muscle of the slice against that of the whole ventricle
RV_SHAPE_SD = 0.12


@dataclass(frozen=True)
class Hidden:
    """What of one heart's shape no mid-ventricular slice tells; standardised, drawn once a patient.

    Args:
        shape: area of the slice for its volume and length.
        evenness: contraction of the slice against that of the whole ventricle.
        mass: muscle of the slice against that of the whole ventricle.
        right: area of the right ventricle's slice for its volume.
        right_length: of the right ventricle.
        right_evenness: contraction of its slice against that of the whole right ventricle.
    """

    shape: float
    evenness: float
    mass: float
    right: float
    right_length: float
    right_evenness: float


@dataclass(frozen=True)
class Beat:
    """One beat of a heart, and of its mid-ventricular slice; each array has one value a phase.

    Args:
        phases: of the cardiac cycle, 0 = R peak.
        contracted: share of the stroke volume that has left the left ventricle, 0–1.
        lv_ml, rv_ml: volumes.
        lv_length_mm, rv_length_mm: long axes, base to apex.
        lv_mm2, muscle_mm2, rv_mm2: areas of the slice: left cavity with its papillary muscles, left muscle without
            them, right cavity.
    """

    phases: NDArray[np.float64]
    contracted: NDArray[np.float64]
    lv_ml: NDArray[np.float64]
    rv_ml: NDArray[np.float64]
    lv_length_mm: NDArray[np.float64]
    rv_length_mm: NDArray[np.float64]
    lv_mm2: NDArray[np.float64]
    muscle_mm2: NDArray[np.float64]
    rv_mm2: NDArray[np.float64]


def hidden(heart: Heart) -> Hidden:
    """What the slice does not tell of this patient; the same at every date."""
    drawn = np.clip(stream(heart.seed, heart.patient, "anatomy").standard_normal(6), -2.5, 2.5)
    return Hidden(*(float(value) for value in drawn))


def long_axis_shortening(heart: Heart) -> tuple[float, float]:
    """Share by which the long axes of the left and the right ventricle shorten; they follow the ejection fractions."""
    mean, sd = LONGITUDINAL
    left = mean * heart.lv_ef / 0.58 + sd * heart.longitudinal * min(1.0, heart.lv_ef / 0.4)
    right = RV_LONGITUDINAL * heart.rv_ef / 0.56
    return float(np.clip(left, 0.02, 0.30)), float(np.clip(right, 0.02, 0.35))


def beat(heart: Heart, phases: ArrayLike) -> Beat:
    """Volumes, lengths and areas of the mid-ventricular slice at these phases of the cycle.

    Args:
        heart: whose beat.
        phases: (phase,) of the cardiac cycle, 0 = R peak.
    """
    phases = np.asarray(phases, np.float64)
    unseen = hidden(heart)
    late_left, late_right = delays_ms(heart)
    left, right = contraction(heart, phases, late_ms=late_left), contraction(heart, phases, late_ms=late_right)
    lv_ml = heart.lv_edv_ml - heart.stroke_volume_ml * left
    rv_ml = heart.rv_edv_ml - heart.stroke_volume_ml * right
    shortening, rv_shortening = long_axis_shortening(heart)
    lv_length = heart.lv_length_mm * (1 - shortening * left)
    rv_length_0 = RV_LENGTH_MM * (heart.rv_edv_ml / 155) ** (1 / 3) * exp(0.5 * RV_SHAPE_SD * unseen.right_length)
    rv_length = rv_length_0 * (1 - rv_shortening * right)
    shape, rv_shape = exp(SHAPE_SD * unseen.shape), exp(0.87 * RV_SHAPE_SD * unseen.right)
    lv_ends = _ends(shape, unseen.evenness, heart.lv_ef, heart.lv_edv_ml, heart.lv_length_mm, shortening)
    rv_ends = _ends(rv_shape / 1.12, unseen.right_evenness, heart.rv_ef, heart.rv_edv_ml, rv_length_0, rv_shortening)
    return Beat(
        phases=phases,
        contracted=left,
        lv_ml=lv_ml,
        rv_ml=rv_ml,
        lv_length_mm=lv_length,
        rv_length_mm=rv_length,
        lv_mm2=lv_ends[0] - (lv_ends[0] - lv_ends[1]) * left,
        muscle_mm2=_muscle_mm2(heart, unseen, shape) * heart.lv_length_mm / lv_length,
        rv_mm2=rv_ends[0] - (rv_ends[0] - rv_ends[1]) * right,
    )


def _ends(
    shape: float, unevenness: float, ef: float, edv_ml: float, length_mm: float, shortening: float
) -> tuple[float, float]:
    """Areas of a ventricle's slice at end-diastole and end-systole, mm².

    Between them the area follows the volume's own course in time, so that the course tells no more than the two.
    """
    start = shape * 1000 * edv_ml / (BULLET * length_mm)
    uneven = exp(EVENNESS_SD * unevenness * min(1.0, ef / 0.5) ** 2)
    return start, start * min(0.97, uneven * (1 - ef) / (1 - shortening))


def _muscle_mm2(heart: Heart, unseen: Hidden, shape: float) -> float:
    """Area of muscle in the slice at end-diastole; it grows as the long axis shortens, for its mass stays.

    The epicardium is a bullet too, longer than the cavity by 0.8 of the wall at its side.
    """
    cavity = shape * 1000 * heart.lv_edv_ml / (BULLET * heart.lv_length_mm)
    whole = 1000 * (heart.lv_edv_ml + heart.wall_volume_ml)
    radius, wall = (cavity / pi) ** 0.5, 6.0
    for _ in range(20):  # fixed point: the wall at which the bullet of the epicardium holds cavity and muscle
        wall = (shape * whole / (BULLET * pi * (heart.lv_length_mm + 0.8 * wall))) ** 0.5 - radius
    return pi * ((radius + wall) ** 2 - radius**2) * exp(MASS_EVENNESS_SD * unseen.mass)


def wall_mm(cavity_mm2: ArrayLike, muscle_mm2: ArrayLike) -> NDArray[np.float64]:
    """Mean thickness of a ring of muscle around a cavity, mm."""
    cavity, muscle = np.asarray(cavity_mm2, np.float64), np.asarray(muscle_mm2, np.float64)
    return np.sqrt((cavity + muscle) / pi) - np.sqrt(cavity / pi)
