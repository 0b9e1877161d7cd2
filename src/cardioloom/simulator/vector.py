"""The heart vector of one patient: normal loops changed by causes, conduction and disease.

Every size in this file is a rule of this simulator, calibrated against real recordings (see `loops`) where healthy
people or bundle branch blocks are concerned; directions follow the textbook of each disease.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import exp

import numpy as np
from numpy.typing import NDArray

from cardioloom.simulator import loops
from cardioloom.simulator.heart import Heart
from cardioloom.simulator.injury import hurt
from cardioloom.simulator.loops import Loop
from cardioloom.simulator.streams import stream
from cardioloom.simulator.torso import FRONTAL, frontal_axis, rotation, turn_to_axis

VOLTAGE = 1.13  # single beats are higher than the median over people to which the loops were fitted
WOMEN_QRS, WOMEN_T, WOMEN_J = 0.90, 0.88, 0.5
T_FALLS = 0.004  # share a year from 60 on
PER_MASS, PER_FUNCTION_T = 0.16, 0.13  # logarithm of the gain for one SD of the cause
BACK_PER_VOLUME, ANGLE_PER_FUNCTION = 5.0, 9.0  # degrees
BACK_SD, SEPTUM_SD = 12.0, 0.20  # degrees; logarithm of the gain: of people alike in every cause
EARLY_PER_RIGHT, LATE_PER_RIGHT = (-0.035, 0.0, -0.065), (-0.085, 0.0, -0.040)  # mV a SD: R in V1, S in V6
LBBB_AXIS_DEG = 55.0  # at most: further to the right the block has another shape in I
ATRIUM_ML = 66.0
MOST_FIXED = 0.75  # of the frontal area of the loop that is turned to the axis
CHEST_GAIN_SD = 0.10
PVC_MS, PACED_MS = (128.0, 168.0), (140.0, 175.0)


@dataclass(frozen=True, eq=False)
class Form:
    """The ventricles' part of one kind of beat.

    Args:
        qrs_ms: duration.
        qrs: as shares of the QRS.
        t: as shares from the end of the QRS to the end of T.
        longer_qt_ms: than the patient's QT, because the QRS is wider.
    """

    qrs_ms: float
    qrs: Loop
    t: Loop
    longer_qt_ms: float = 0.0

    @property
    def r_peak_ms(self) -> float:
        """From QRS onset to the longest vector."""
        return self.qrs.peak() * self.qrs_ms


@dataclass(frozen=True, eq=False)
class HeartVector:
    """What the heart of one patient sends out.

    Args:
        p, early_p: of sinus and of premature atrial beats, as shares of the P wave.
        conducted: the form of every beat that comes down the normal way.
        ectopic: the form of premature beats of the ventricle.
        paced: the form of stimulated beats.
        chest_gain: of this patient's chest wall.
        fibrillation: (3,) mV of the f waves.
    """

    p: Loop
    early_p: Loop
    conducted: Form
    ectopic: Form
    paced: Form
    chest_gain: float
    fibrillation: NDArray[np.float64]

    def form(self, kind: str) -> Form:
        """Of a kind of beat of `rhythm.Beats`."""
        return {"pvc": self.ectopic, "paced": self.paced}.get(kind, self.conducted)


def heart_vector(heart: Heart) -> HeartVector:
    """The loops of one patient; the same at each recording."""
    random = stream(heart.seed, heart.patient, "ecg/loops")
    draws = random.standard_normal((8, 8))
    voltage = VOLTAGE * heart.electrics.voltage * (WOMEN_QRS if heart.sex == "F" else 1.0)
    form = _conducted(heart, draws, voltage)
    p = _p_wave(heart, draws[3])
    early = replace(p, vectors=rotation(2, -55) @ rotation(1, 25) @ p.vectors * 0.9)
    size = 0.05 * exp(0.35 * draws[4, 0])
    way = np.array([-0.45, 0.65, -0.62]) + 0.15 * draws[4, 1:4]
    pvc, paced = _ectopic(draws[5], voltage, PVC_MS), _ectopic(draws[6], voltage, PACED_MS, loops.PACED_FROM)
    if heart.electrics.conduction == "lbbb":  # what a heart with a lead is said to have is its paced QRS
        turn = rotation(2, turn_to_axis(paced.qrs.area, np.zeros(3), heart.electrics.qrs_axis_deg))
        paced = Form(heart.electrics.qrs_ms, paced.qrs.turned(turn), paced.t.turned(turn))
    return HeartVector(
        p=p,
        early_p=early,
        conducted=form,
        ectopic=_later(pvc, form),
        paced=_later(paced, form),
        chest_gain=exp(CHEST_GAIN_SD * draws[4, 4]),
        fibrillation=size * way / np.linalg.norm(way),
    )


def _later(form: Form, usual: Form) -> Form:
    """Three quarters of what its QRS is wider by, its QT is longer by."""
    return replace(form, longer_qt_ms=0.75 * (form.qrs_ms - usual.qrs_ms))


def _p_wave(heart: Heart, draws: NDArray[np.float64]) -> Loop:
    """A large left atrium adds to the second half, to the back; a loaded right one to the first."""
    left = float(np.clip(heart.la_volume_ml / ATRIUM_ML, 0.6, 2.2)) ** 0.6
    right = 1 + 0.06 * float(np.clip(heart.causes.right, -1, 6))
    extra = loops.loop((0.66, 0.15, np.array([0.0, 0.0, 0.05]) * (left - 1)))
    p = replace(loops.P, vectors=loops.P.vectors * [right, left]).plus(extra)
    usual = 0.8 + 0.2 * heart.electrics.voltage
    turned = p.turned(rotation(2, 10 * draws[0]) @ rotation(1, 8 * draws[1]))
    return turned.scaled(usual * exp(0.22 * draws[2]))


def _conducted(heart: Heart, draws: NDArray[np.float64], voltage: float) -> Form:
    e, causes = heart.electrics, heart.causes
    turned, fixed, t = _by_conduction(heart)
    axis = min(e.qrs_axis_deg, LBBB_AXIS_DEG) if e.conduction == "lbbb" else e.qrs_axis_deg
    gain = voltage * exp(PER_MASS * float(np.clip(causes.mass, -2.5, 5.0)))
    back = rotation(1, -BACK_PER_VOLUME * float(np.clip(causes.volume, -2.5, 4.0)) - BACK_SD * draws[7, 0])
    turned = _varied(turned, draws[:3]).turned(back).scaled(gain)
    fixed = fixed.scaled(gain * exp(SEPTUM_SD * draws[7, 4]))
    right = voltage * float(np.clip(causes.right, -1.5, 6.0))
    early, late = right * np.array(EARLY_PER_RIGHT), right * np.array(LATE_PER_RIGHT)
    fixed = fixed.plus(loops.loop((0.32, 0.10, early), (0.67, 0.11, late)))
    if heart.septal_thickening > 1.2 and e.conduction != "lbbb":  # deep narrow Q waves of a thick septum
        fixed = fixed.plus(loops.loop((0.20, 0.07, np.array([-0.45, -0.25, -0.30]) * (heart.septal_thickening - 1.1))))
    if e.conduction == "rbbb":  # what turns must outweigh what does not, or no turn gives the axis
        most = MOST_FIXED * np.linalg.norm(FRONTAL @ turned.area) / np.linalg.norm(FRONTAL @ fixed.area)
        fixed = replace(fixed, vectors=fixed.vectors * [[min(1.0, most)], [min(1.0, most)], [1.0]])
    qrs = fixed.plus(turned.turned(rotation(2, turn_to_axis(turned.area, fixed.area, axis))))
    t = _t_wave(heart, t, qrs, draws[7], voltage)
    qrs, t = hurt(heart, qrs, t)
    return Form(e.qrs_ms, qrs, t)


def _by_conduction(heart: Heart) -> tuple[Loop, Loop, Loop]:
    """What of the QRS follows the axis, what does not, and T."""
    e = heart.electrics
    if e.conduction == "lbbb":
        return loops.LBBB_QRS, loops.LBBB_SEPTUM, loops.LBBB_T
    # The left posterior fascicle is first where the axis is to the left, the anterior one where it is to the right.
    x, _, z = loops.SEPTUM.vectors[:, 0]
    septum = replace(loops.SEPTUM, vectors=np.array([[x], [0.10 - 0.14 * e.qrs_axis_deg / 60], [z]]))
    if e.conduction == "rbbb":
        share = loops.RBBB_SHARE
        return loops.QRS.squeezed(share), septum.squeezed(share).plus(loops.RBBB_LATE), loops.T.plus(loops.RBBB_T)
    return loops.QRS, septum, loops.T


def axis_of_rbbb(first_deg: float) -> float:
    """Frontal axis of the whole QRS in right bundle branch block, by that of its first part, for the usual loops."""
    first, late = loops.QRS.squeezed(loops.RBBB_SHARE).area, loops.RBBB_LATE.area
    return frontal_axis(rotation(2, turn_to_axis(first, np.zeros(3), first_deg)) @ first + late)


def _varied(qrs: Loop, draws: NDArray[np.float64]) -> Loop:
    """Every patient's own form: sizes, directions and times of the parts."""
    n = qrs.vectors.shape[1]
    length = np.linalg.norm(qrs.vectors, axis=0)
    vectors = qrs.vectors * np.exp(0.16 * draws[0, :1]) + 0.17 * length * _spread(draws, n)
    return replace(qrs, vectors=vectors, centre=qrs.centre + 0.012 * np.resize(draws[0, 1:], n))


def _spread(draws: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return np.resize(draws[1:3].ravel(), (3, n))


def _t_wave(heart: Heart, t: Loop, qrs: Loop, draws: NDArray[np.float64], voltage: float) -> Loop:
    causes, is_woman = heart.causes, heart.sex == "F"
    function = float(np.clip(causes.function, -5.0, 2.5))
    gain = exp(PER_FUNCTION_T * function - T_FALLS * (heart.age_years - 60) + 0.24 * draws[1])
    gain *= (WOMEN_T if is_woman else 1.0) * (0.35 + 0.65 * voltage / VOLTAGE)
    turn = rotation(2, 8 * draws[2]) @ rotation(1, 11 * draws[3] - ANGLE_PER_FUNCTION * function)
    t = t.scaled(gain).turned(turn)
    early = t.vectors[:, :1] * (WOMEN_J if is_woman else 1.0)
    t = replace(t, vectors=np.concatenate([early, t.vectors[:, 1:]], axis=1))
    strain = np.zeros(3)
    if heart.electrics.conduction == "normal":
        way = qrs.area / max(1e-9, float(np.linalg.norm(qrs.area)))
        strain = -0.17 * max(0.0, min(causes.mass, 5.0) - 1.8) * way  # of a thick left ventricle
        strain = strain + 0.13 * max(0.0, min(causes.right, 6.0) - 1.5) * np.array([0.35, -0.2, 0.93])  # of the right
    return t.plus(loops.loop((0.30, 0.22, 0.22, 0.25 * strain), (0.68, 0.20, 0.13, strain)))


def _ectopic(
    draws: NDArray[np.float64], voltage: float, width_ms: tuple[float, float], focus: str | None = None
) -> Form:
    foci: Mapping[str, tuple[float, float, float]] = loops.FOCI
    # Four in ten come from the right outflow tract; a normal draw chooses, so that the stream stays one of one kind.
    names = list(foci)
    choice = int(np.searchsorted([-0.25, 0.20, 0.85], draws[0]))
    way = np.array(foci[focus or names[choice]]) + 0.13 * draws[1:4]
    share = float(np.clip(0.5 + 0.28 * draws[4], 0, 1))
    height = (1.1 + 0.8 * voltage) * exp(0.15 * draws[5]) * (0.6 if focus else 1.0)
    qrs, t = loops.ectopic(way, height, 0.9 * np.array([draws[6], draws[7], draws[6] - draws[7]]))
    return Form(width_ms[0] + (width_ms[1] - width_ms[0]) * share, qrs, t)
