"""Contours of the mid-ventricular short axis over a beat: left cavity, left muscle, right cavity.

Angles are counter-clockwise from the right of the picture, the septum to the left (seen from the apex). The cavities
have the areas of `anatomy.beat`. Each sector of the muscle keeps its mass: it thickens as its endocardium moves inwards
and as the long axis shortens, and where it does not move, in a scar, it does not thicken.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from cardioloom.simulator.anatomy import Beat
from cardioloom.simulator.cine_paint import ANGLES, N_ANGLES
from cardioloom.simulator.heart import Heart

ANTERIOR_INSERTION = 2 * pi / 3  # of the right ventricle's wall; the segments' angles are counted from it
# Middle of each site's arc, degrees from the anterior insertion over the septum: of the AHA segments 7 to 12 that it
# names (anterior −60–0, anteroseptal 0–60, inferoseptal 60–120, inferior 120–180, inferolateral 180–240,
# anterolateral 240–300; Cerqueira et al. 2002, doi:10.1161/hc0402.102975).
SITE_ANGLE = {
    "anterior": -10.0,
    "anteroseptal": 35.0,
    "anterolateral": -60.0,
    "inferior": 145.0,
    "inferolateral": 190.0,
    "posterior": 210.0,
}
ISCHAEMIC_HALF_WIDTH = 50.0  # degrees, of a wall that lacks blood now


@dataclass(frozen=True)
class Contours:
    """Radii about the left ventricle's centre, (time, N_ANGLES) mm.

    Args:
        endo, epi: of the left ventricle.
        right: of the right ventricle's free wall, inner side; equal to `epi` where there is no right ventricle.
        surface: of the whole heart's muscle.
    """

    endo: NDArray[np.float64]
    epi: NDArray[np.float64]
    right: NDArray[np.float64]
    surface: NDArray[np.float64]


def contours(heart: Heart, beat: Beat, random: np.random.Generator) -> Contours:
    """The contours at each phase of a beat.

    Args:
        heart: whose.
        beat: its areas.
        random: the patient's own shape; the same draws in the same order for every heart.
    """
    drawn = random.standard_normal(16)
    rough = sum(0.005 * _wave(order, random.standard_normal(2)) for order in range(6, 17))  # trabeculae
    smooth = 1 + 0.028 * _wave(2, drawn[:2]) + 0.018 * _wave(3, drawn[2:4])
    smooth = _scaled(smooth * (1 - 0.10 * _pressure(heart) * _arc(180.0, 70.0)), beat.lv_mm2[:1])[0]
    epi_0 = smooth + _wall(heart, smooth, beat.muscle_mm2[0], drawn[4:8])
    endo_0 = _scaled(smooth * (1 + rough), beat.lv_mm2[:1])[0]
    endo = _moving(heart, endo_0, beat, drawn[8:10])
    sector = (epi_0**2 - endo_0**2) * (beat.lv_length_mm[0] / beat.lv_length_mm)[:, None]
    epi = np.sqrt(endo**2 + sector)
    right, thickness = _right(heart, epi, beat, drawn[10:16])
    return Contours(endo, epi, right, np.maximum(epi, right + thickness))


def area_mm2(radius: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area within r(θ); (…, angle) → (…)."""
    return 0.5 * (radius**2).sum(axis=-1) * (2 * pi / N_ANGLES)


def _scaled(radius: NDArray[np.float64], mm2: NDArray[np.float64]) -> NDArray[np.float64]:
    """(time, angle): the contour scaled to these areas (time,)."""
    radius = np.broadcast_to(radius, (len(mm2), N_ANGLES))
    return radius * np.sqrt(mm2 / area_mm2(radius))[:, None]


def _wave(order: int, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    return drawn[0] * np.cos(order * ANGLES) + drawn[1] * np.sin(order * ANGLES)


def _arc(middle: float, half_width: float) -> NDArray[np.float64]:
    """1 in the middle of an arc (degrees of the picture), 0 outside, smooth edges of a third of its width."""
    away = np.abs((np.degrees(ANGLES) - middle + 180.0) % 360.0 - 180.0)
    x = np.clip((half_width * 1.2 - away) / (half_width * 0.5), 0.0, 1.0)
    return x * x * (3 - 2 * x)


def site_arc(site: str, half_width: float) -> NDArray[np.float64]:
    """The arc of a coronary site: 1 in it, 0 outside; (angle,)."""
    return _arc(np.degrees(ANTERIOR_INSERTION) + SITE_ANGLE[site], half_width)


def ischaemic_share(heart: Heart, middle: float) -> float:
    """Share of its motion that the wall at an angle of the picture (degrees) has lost to scar and ischaemia."""
    return float(np.interp(np.radians(middle % 360.0), ANGLES, _lost(heart), period=2 * pi))


def _lost(heart: Heart) -> NDArray[np.float64]:
    """Share of its motion that each sector has lost; (angle,)."""
    lost = np.zeros(N_ANGLES)
    if heart.scar:
        share = min(1.0, 0.2 + 0.85 * heart.scar.transmurality)
        lost = np.maximum(lost, share * site_arc(heart.scar.site, _scar_half_width(heart)))
    if heart.ischaemia:
        share = 0.85 * heart.ischaemia.severity
        lost = np.maximum(lost, share * site_arc(heart.ischaemia.site, ISCHAEMIC_HALF_WIDTH))
    return lost


def _pressure(heart: Heart) -> float:
    """How much the right ventricle presses the septum flat, 0–1."""
    if heart.diagnosis != "pulmonary_hypertension":
        return 0.0
    return float(np.clip(heart.causes.right / 4.0, 0.2, 1.0))


def _scar_half_width(heart: Heart) -> float:
    return float(np.clip(260.0 * heart.scar.extent, 18.0, 110.0)) if heart.scar else 0.0


def _wall(heart: Heart, endo: NDArray[np.float64], mm2: float, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Thickness at end-diastole (angle,), mm, of this area in all."""
    shape = 1 + 0.05 * _wave(1, drawn[:2]) + 0.035 * _wave(2, drawn[2:])
    shape = np.maximum(shape, 0.6) * (1 + (heart.septal_thickening - 1) * _arc(180.0, 55.0))
    if heart.scar:
        old = min(1.0, heart.scar.months / 6.0)
        thinner = 0.5 * heart.scar.transmurality * old
        shape = shape * (1 - thinner * site_arc(heart.scar.site, _scar_half_width(heart)))
    step = 2 * pi / N_ANGLES
    half_square, linear = 0.5 * (shape**2).sum() * step, (endo * shape).sum() * step
    return shape * (np.sqrt(linear**2 + 4 * half_square * mm2) - linear) / (2 * half_square)


def _moving(heart: Heart, endo_0: NDArray[np.float64], beat: Beat, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """The endocardium (time, angle): the wall moves where it can, as far as the cavity's area demands."""
    able = np.maximum((1 + 0.08 * _wave(1, drawn)) * (1 - _lost(heart)), 0.0)
    # ½ ∫ r₀² (1 − able·m)² dθ = area, solved for m at each time
    square = endo_0**2 * (pi / N_ANGLES)
    a, b = (square * able**2).sum(), 2 * (square * able).sum()
    m = (b - np.sqrt(np.maximum(b**2 - 4 * a * (square.sum() - beat.lv_mm2), 0.0))) / (2 * a)
    inward = np.minimum(m[:, None] * able, 0.75)
    flat = 0.06 * _pressure(heart) * beat.contracted[:, None] * _arc(180.0, 60.0)
    radius = endo_0 * (1 - inward - flat) - _flash_mm(heart, beat) * np.cos(ANGLES - pi)
    return _scaled(radius, beat.lv_mm2)


def _flash_mm(heart: Heart, beat: Beat) -> NDArray[np.float64]:
    """Left bundle branch block: the septum beats early, then is pushed out by the late lateral wall; (time, 1) mm."""
    if heart.electrics.conduction != "lbbb":
        return np.zeros((len(beat.phases), 1))
    ms = beat.phases * 60000.0 / heart.electrics.heart_rate_bpm
    early, late = np.exp(-(((ms - 45) / 35) ** 2)), np.exp(-(((ms - 230) / 90) ** 2))
    start = np.exp(-((45 / 35) ** 2)) * np.exp(-((ms / 30) ** 2))  # none at the R peak itself
    return (2.6 * (early - start) - 1.8 * late)[:, None]


def _right(
    heart: Heart, epi: NDArray[np.float64], beat: Beat, drawn: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Inner side and thickness of the right ventricle's free wall, (time, angle) mm.

    A crescent on the septum: its wall leaves the left ventricle in front, turns at the acute margin, comes back below.
    """
    wider = float(np.clip(beat.rv_mm2[0] / area_mm2(epi[0]) - 0.65, -0.3, 0.6))
    start = ANTERIOR_INSERTION - np.radians(11 + 20 * wider + 4 * drawn[0])
    end = np.radians(249 + 18 * wider + 5 * drawn[1])
    u = (ANGLES - start) / (end - start)
    corner = float(np.clip(0.58 + 0.09 * drawn[2], 0.4, 0.75))
    front, below = np.clip(u / corner, 0, 1), np.clip((1 - u) / (1 - corner), 0, 1)
    bulge = np.minimum(front**0.85, below**0.7) + 0.10 * drawn[3] * np.sin(pi * np.clip(u, 0, 1)) ** 2 * (front - 0.5)
    bulge = _smoothed(np.maximum(bulge + 0.02 * np.sin(9 * u + drawn[4]) * (bulge > 0), 0.0), 7.0)
    bulge = np.maximum(bulge - 0.04, 0.0)
    step = 2 * pi / N_ANGLES
    half_square, linear = 0.5 * (bulge**2).sum() * step, (epi * bulge).sum(axis=1) * step
    out = (np.sqrt(linear**2 + 4 * half_square * beat.rv_mm2) - linear) / (2 * half_square)
    thick = 2.8 + 0.3 * drawn[5] + 3.0 * _pressure(heart)
    thickness = thick * np.clip(bulge * 5, 0.0, 1.0) * (1 + 0.25 * beat.contracted)[:, None]
    return epi + out[:, None] * bulge, thickness


def _smoothed(values: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Values (angle,) smoothed round the circle by a Gaussian of this SD."""
    order = np.fft.rfftfreq(N_ANGLES, 1 / N_ANGLES)
    return np.fft.irfft(np.fft.rfft(values) * np.exp(-0.5 * (order * np.radians(degrees)) ** 2), N_ANGLES)
