"""What lost, ischaemic or inflamed myocardium does to the loops. Every size is a rule of this simulator.

Directions follow the leads that face each site (Thygesen et al. 2018, doi:10.1161/CIR.0000000000000617); an occlusion
shows tall T, then ST, then Q, then inverted T, as the same definition says.
"""

from __future__ import annotations

from math import exp

import numpy as np
from numpy.typing import NDArray

from cardioloom.simulator import loops
from cardioloom.simulator.heart import Heart, Ischaemia
from cardioloom.simulator.loops import Loop

# From the centre of the heart towards the site: x left, y feet, z back.
TOWARDS = {
    "anterior": (0.30, -0.17, -0.94),
    "anteroseptal": (-0.25, -0.12, -0.96),
    "anterolateral": (0.80, -0.28, -0.52),
    "inferior": (-0.10, 0.97, 0.22),
    "inferolateral": (0.55, 0.76, 0.34),
    "posterior": (-0.08, 0.15, 0.98),
}
APEX = (0.70, 0.52, -0.48)  # subendocardial ischaemia shows against this direction, whatever the site
PERICARDIUM = (0.60, 0.62, -0.42)
ST_MV, DEPRESSED_MV = 0.34, 0.20  # of a severity of 1
Q_MV, Q_LEAST_MV = 2.6, 0.18  # of a loss of the whole ventricle; of any scar


def hurt(heart: Heart, qrs: Loop, t: Loop) -> tuple[Loop, Loop]:
    """QRS and T of a heart with its scar, ischaemia or pericarditis; its own loops where it has none.

    Args:
        heart: whose.
        qrs, t: without them.
    """
    if heart.scar is not None:
        lost = heart.scar.extent * heart.scar.transmurality
        way = _unit(TOWARDS[heart.scar.site])
        qrs = _without(qrs, way, Q_MV * lost + Q_LEAST_MV)
        recent = 0.35 + 0.65 * exp(-heart.scar.months / 12)
        t = t.plus(loops.loop((0.70, 0.17, 0.12, -way * recent * (0.16 + 0.7 * lost))))
    if heart.ischaemia is not None:
        qrs, t = _ischaemic(heart.ischaemia, qrs, t)
    if heart.diagnosis == "pericarditis":
        way = _unit(PERICARDIUM)
        t = t.plus(_st(0.17 * way)).plus(loops.loop((0.68, 0.20, 0.13, 0.08 * way)))
    return qrs, t


def _ischaemic(now: Ischaemia, qrs: Loop, t: Loop) -> tuple[Loop, Loop]:
    site = _unit(TOWARDS[now.site])
    if not now.st_elevation:
        # A closed artery that raises no ST draws the depression towards its own site: behind the circumflex it is
        # deepest in V1–V4 (Meyers et al. 2021, doi:10.1161/JAHA.121.022866).
        way = -_unit(0.75 * _unit(APEX) + (-0.35 if now.occluded else 0.35) * site)
        size = DEPRESSED_MV * (0.45 + 0.55 * now.severity)
        t = t.scaled(1 - 0.35 * now.severity)
        return qrs, t.plus(_st(size * way)).plus(loops.loop((0.70, 0.18, 0.12, 0.9 * size * way)))
    strength = 0.40 + 0.60 * now.severity
    st = ST_MV * strength * (1 - 0.6 * (1 - exp(-now.hours / 24)))
    tall = 0.34 * strength * exp(-now.hours / 3)
    inverted = 0.30 * strength * (1 - exp(-now.hours / 12))
    lost = 0.55 * strength * (1 - exp(-now.hours / 7))
    qrs = _without(qrs, site, lost)
    wave = loops.loop((0.66, 0.20, 0.14, (tall + 0.25 * st) * site), (0.80, 0.13, 0.10, -inverted * site))
    return qrs, t.plus(_st(st * site)).plus(wave)


def _st(vector: NDArray[np.float64]) -> Loop:
    """An injury current: a step that hides in the end of the QRS and fades into T."""
    return loops.loop((0.02, 0.045, 0.46, vector))


def _without(qrs: Loop, way: NDArray[np.float64], size: float) -> Loop:
    """The forces towards a site are missing in the first half of the QRS: Q waves there, taller R opposite."""
    return qrs.plus(loops.loop((0.24, 0.095, -way * size), (0.43, 0.11, -0.8 * way * size)))


def _unit(vector: tuple[float, float, float] | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vector, np.float64) / np.linalg.norm(vector)
