"""The walls of a simulated heart in the apical four-chamber plane, frame by frame.

Heart coordinates in mm: u across the long axis of the left ventricle (negative on the side of the septum), v along it
from the apex of its cavity (0) to the mitral annulus (L). The cavity is a stack of elliptic discs along v, as in the
method of discs (Lang et al. 2015, doi:10.1016/j.echo.2014.10.003), so its volume is that of the volume curve in every
frame. Each half ring of muscle keeps its volume: where the cavity shrinks the wall thickens. Where no source is named
a size is a rule of this simulator. Nothing here is a patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from cardioloom.simulator.anatomy import RV_LENGTH_MM, long_axis_shortening
from cardioloom.simulator.heart import Heart
from cardioloom.simulator.streams import stream

Floats = NDArray[np.floating]

STEPS = np.linspace(-0.25, 1.0, 51)  # share of the long axis from the apex (0) to the annulus (1)
WIDEST, BASE_WIDTH = 0.62, 0.86  # where the cavity is widest, and its width at the annulus over that
RV_BASE_MM = 33.0  # basal diameter of a right ventricle of 155 mL and 92 mm (Lang 2015: 33 ± 4 mm)
TRICUSPID_OFFSET_MM = 6.0  # the tricuspid annulus lies nearer to the apex
# Of each site of infarction what this plane shows: (side, from, to) as shares of the long axis (AHA segments).
SHOWN = {
    "anterior": (("septal", -0.3, 0.38), ("lateral", -0.3, 0.38)),
    "anteroseptal": (("septal", -0.3, 0.68), ("lateral", -0.3, 0.25)),
    "anterolateral": (("lateral", 0.1, 0.78),),
    "inferior": (("septal", 0.62, 1.1),),
    "inferolateral": (("lateral", 0.5, 1.1),),
    "posterior": (("lateral", 0.75, 1.1),),
}


@dataclass(frozen=True, eq=False)
class Walls:
    """Where the walls are; lengths in mm.

    Args:
        tables: (time, 5, step) half widths over `STEPS`: endocardium septal and lateral, epicardium septal and
            lateral, cavity of the right ventricle.
        rest: (5, step) the same at end-diastole.
        length, tricuspid: (time,) v of the mitral and of the tricuspid annulus.
        roof: v of the far wall of the atria.
        atria: (time, 4) centre u and half width of the left atrium, then of the right.
        right_wall: thickness of the right ventricle's free wall.
        shortened: (time,) 0 at end-diastole, 1 at end-systole.
        widening: width of the cavity in this plane over the one across it.
        scarred: (2, step) share of the wall that is scar, septal and lateral.
    """

    tables: NDArray[np.float32]
    rest: NDArray[np.float32]
    length: Floats
    tricuspid: Floats
    roof: float
    atria: Floats
    right_wall: float
    shortened: Floats
    widening: float
    scarred: Floats


def profile(steps: Floats) -> Floats:
    """(step,) half width of the cavity over its largest: half an ellipse, then narrowing to the annulus."""
    near = np.sqrt(np.clip(1 - (1 - steps / WIDEST) ** 2, 0, None))
    far = 1 - (1 - BASE_WIDTH) * ((steps - WIDEST) / (1 - WIDEST)) ** 2
    return np.where(steps < 0, 0.0, np.where(steps < WIDEST, near, far))


def walls(heart: Heart, lv_ml: Floats, rv_ml: Floats, phases: Floats, *, shown: float = 1.0) -> Walls:
    """The walls in each frame.

    Args:
        heart: the patient.
        lv_ml, rv_ml: (time,) volumes of the ventricles.
        phases: (time,) share of the beat since the R peak.
        shown: length of the long axis in the picture over its own; below 1 = foreshortened.
    """
    widening = 1 + 0.05 * float(np.clip(stream(heart.seed, heart.patient, "echo/shape").standard_normal(), -2.5, 2.5))
    shape = profile(STEPS)
    share, right_share = long_axis_shortening(heart)
    shortened = np.clip((heart.lv_edv_ml - lv_ml) / heart.stroke_volume_ml, 0, 1)
    length = heart.lv_length_mm * (1 - share * shortened)
    width = sqrt(heart.lv_edv_ml * 1000 * widening / (pi * heart.lv_length_mm * _integral(shape**2)))
    moving, scarred = _moving(heart)
    area = lv_ml * 1000 * widening / (pi * length * width**2)
    inner = width * shape * (1 - moving * _contraction(area, shape, moving)[:, None, None])  # (time, 2, step)
    shift = _septal_shift(heart, phases, shortened)[:, None] * np.sin(pi * np.clip(STEPS, 0, 1)) ** 0.5
    inner = np.clip(inner + np.stack([-shift, shift], 1), 0, None)
    resting = np.broadcast_to(width * shape, (2, len(STEPS)))
    outer = _outer(heart, width, widening, scarred)
    grown = np.sqrt(inner**2 + (outer**2 - resting**2) * (heart.lv_length_mm / length)[:, None, None])
    right = _right(rv_ml, length)
    tables = np.concatenate([inner, grown, right[:, None]], 1)
    rest = np.concatenate([resting, outer, _right(np.array([heart.rv_edv_ml]), np.array([heart.lv_length_mm]))])
    right_shortened = np.clip((heart.rv_edv_ml - rv_ml) / heart.stroke_volume_ml, 0, 1)
    tricuspid = heart.lv_length_mm - TRICUSPID_OFFSET_MM - RV_LENGTH_MM * right_share * right_shortened
    roof, atria = _atria(heart, length, shortened, tables)
    loaded = heart.diagnosis == "pulmonary_hypertension"
    return Walls(
        tables=tables.astype(np.float32),
        rest=rest.astype(np.float32),
        length=length * shown,
        tricuspid=np.minimum(tricuspid, length - 2) * shown,
        roof=roof * shown,
        atria=atria,
        right_wall=7.5 if loaded else 4.0,
        shortened=shortened,
        widening=widening,
        scarred=scarred,
    )


def longitudinal_strain(heart: Heart) -> float:
    """Global longitudinal strain of the endocardium in the four-chamber plane, % (negative = shortening).

    Length of the endocardial contour at end-systole over that at end-diastole, minus one (Voigt et al. 2015,
    doi:10.1016/j.echo.2014.11.003).
    """
    volumes = np.array([heart.lv_edv_ml, heart.lv_esv_ml])
    found = walls(heart, volumes, np.array([heart.rv_edv_ml, heart.rv_esv_ml]), np.array([0.0, 0.35]))
    lengths = []
    for table, length in zip(found.tables, found.length, strict=True):
        along = np.diff(STEPS * length)[STEPS[1:] > 0]
        lengths.append(sum(np.hypot(np.diff(side)[STEPS[1:] > 0], along).sum() for side in table[:2]))
    return 100 * (lengths[1] / lengths[0] - 1)


def _integral(values: Floats) -> float:
    inside = STEPS >= 0
    return float(np.trapezoid(values[inside], STEPS[inside]))


def _moving(heart: Heart) -> tuple[Floats, Floats]:
    """(2, step) how much each part of the wall contracts, 1 = fully; and how much of it is scar."""
    lost, scarred = np.zeros((2, len(STEPS))), np.zeros((2, len(STEPS)))
    for cause, depth in ((heart.scar, 1.0), (heart.ischaemia, 0.0)):
        if cause is None:
            continue
        severity = 0.0
        if heart.scar is not None and cause is heart.scar:
            severity = heart.scar.transmurality * min(1.0, 0.4 + heart.scar.extent / 0.3)
        elif heart.ischaemia is not None:
            severity = 0.8 * heart.ischaemia.severity
        for side, low, high in SHOWN[cause.site]:
            row = 0 if side == "septal" else 1
            edge = np.clip(np.minimum(STEPS - low, high - STEPS) / 0.12, 0, 1)
            lost[row] = np.maximum(lost[row], 0.85 * severity * edge)
            scarred[row] = np.maximum(scarred[row], depth * severity * edge)
    return 1 - lost, scarred


def _contraction(area: Floats, shape: Floats, moving: Floats) -> Floats:
    """(time,) the contraction q at which the discs hold the volume: the smaller root of A − 2Bq + Cq² = area."""
    mean = moving.mean(0)
    a, b, c = (_integral(shape**2 * mean**power) for power in range(3))
    return (b - np.sqrt(np.clip(b**2 - c * (a - area), 0, None))) / c


def _septal_shift(heart: Heart, phases: Floats, shortened: Floats) -> Floats:
    """(time,) mm by which the cavity is moved to the lateral side: it changes no disc's area.

    Left bundle branch block and right ventricular pacing: the septum contracts first (septal flash); a pressure load
    of the right ventricle pushes it over in systole.
    """
    shift = np.zeros(len(phases))
    if heart.electrics.conduction == "lbbb" or "pacemaker_lead" in heart.devices:
        shift += 2.6 * np.exp(-(((phases - 0.07) / 0.035) ** 2)) - 1.8 * np.exp(-(((phases - 0.25) / 0.10) ** 2))
    if heart.diagnosis == "pulmonary_hypertension":
        shift += 1.5 + 2.0 * shortened
    return shift


def _outer(heart: Heart, width: float, widening: float, scarred: Floats) -> Floats:
    """(2, step) half widths of the epicardium at end-diastole that enclose the heart's muscle."""
    inner, goal = width * profile(STEPS), heart.wall_volume_ml * 1000
    factor = np.array([[heart.septal_thickening], [1.0]]) * (1 - 0.35 * scarred)

    def epicardium(thickness: float) -> Floats:
        cap = 0.75 * thickness / heart.lv_length_mm
        around = profile((STEPS + cap) / (1 + cap)) * (width + thickness)
        return inner + (around - inner) * np.where(around > inner, factor, 0)

    def excess(thickness: float) -> float:
        rings = (epicardium(thickness) ** 2 - inner**2).mean(0)
        return pi / widening * heart.lv_length_mm * float(np.trapezoid(rings, STEPS)) - goal

    last, now = 4.0, 8.0
    before = excess(last)
    for _ in range(12):  # secant: a few steps, for the volume is nearly a parabola of the thickness
        error = excess(now)
        if abs(error) < 1e-3 * goal or error == before:
            break
        last, now, before = now, max(0.2, now - error * (now - last) / (error - before)), error
    return epicardium(now)


def _right(rv_ml: Floats, length: Floats) -> Floats:
    """(time, step) width of the right ventricle's cavity: a triangle with its tip short of the apex."""
    base = RV_BASE_MM * np.sqrt(rv_ml / 155 * 92 / length)
    rise = np.clip((STEPS - 0.10) / 0.72, 0, 1)
    return base[:, None] * (rise * (2 - rise)) ** 0.85 * (1 - 0.10 * np.clip((STEPS - 0.85) / 0.15, 0, 1))


def _atria(heart: Heart, length: Floats, shortened: Floats, tables: Floats) -> tuple[float, Floats]:
    """v of the atria's far wall, and (time, 4) centre and half width of the left and of the right atrium.

    The left atrium is largest at end-systole and gives off half of that, a quarter in atrial fibrillation. Towards the
    annulus its outline is flatter (a power of 4), so that its volume is π a² b (2/3 + 4/5) of its half axes.
    """
    emptied = 0.25 if heart.electrics.rhythm == "atrial_fibrillation" else 0.5
    left_ml = heart.la_volume_ml * (1 - emptied * (1 - shortened))
    right_ml = left_ml * (1.3 if heart.diagnosis == "pulmonary_hypertension" else 0.9)
    shortest = heart.lv_length_mm * (1 - long_axis_shortening(heart)[0])
    roof = float(shortest + 1.08 * (heart.la_volume_ml * 6000 / pi) ** (1 / 3))
    half = (roof - length) / 2
    left, right = (np.sqrt(ml * 1000 / (pi * half * (2 / 3 + 4 / 5))) for ml in (left_ml, right_ml))
    septum = -tables[:, 0, -1] - 2.0
    return roof, np.stack([septum + left, left, septum - 4.0 - right, right], 1)
