"""Volume of both ventricles over one beat, timed by the electrical cycle; the same in cine, echo and report.

A rule of this simulator, from these parts: the pre-ejection period and its fall with heart rate follow Weissler 1968
(Circulation 37:149, regressions from memory: 131 − 0.4·HR ms); the ventricle is smallest at the end of the T wave;
filling is an early wave, a slow one and, where there is a P wave, the atrial kick, which grows with age.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cardioloom.simulator.heart import Heart

SLOW_SHARE = 0.07  # of the stroke volume, in diastasis
NARROW_QRS_MS = 100.0  # a wider one delays ejection


@dataclass(frozen=True)
class BeatTimes:
    """When things happen in a beat, in ms from the R peak, in the order of the fields.

    Args:
        ejection_starts: the aortic valve opens; before it the contraction is isovolumic.
        end_systole: smallest volume, near the end of the T wave.
        filling_starts: the mitral valve opens.
        early_ends: end of the early filling wave.
        kick_starts: the atrium contracts; equal to `kick_ends` where it does not.
        kick_ends: no later than the next R peak.
        rr: length of the beat.
        kick_share: of the stroke volume, that the atrial kick brings.
    """

    ejection_starts: float
    end_systole: float
    filling_starts: float
    early_ends: float
    kick_starts: float
    kick_ends: float
    rr: float
    kick_share: float


def beat_times(heart: Heart, *, late_ms: float = 0.0) -> BeatTimes:
    """Times of the beat that a heart of these intervals makes.

    Args:
        heart: its rate, QRS, QT, PR, rhythm and age.
        late_ms: how much later than the QRS this ventricle is reached (bundle branch block).
    """
    electrics = heart.electrics
    rr = 60000.0 / electrics.heart_rate_bpm
    half_qrs = 0.5 * electrics.qrs_ms  # from QRS onset to the R peak
    pre_ejection = max(60.0, 131.0 - 0.4 * electrics.heart_rate_bpm) + late_ms
    ejection_starts = max(0.02 * rr, pre_ejection - half_qrs)
    qt = electrics.qtc_ms * (rr / 1000.0) ** (1 / 3)
    end_systole = min(qt - half_qrs + 0.5 * late_ms, 0.62 * rr)
    end_systole = max(end_systole, ejection_starts + 0.2 * rr)
    filling_starts = end_systole + min(80.0, 0.09 * rr)
    early_ends = min(
        filling_starts + (150.0 if _is_stiff(heart) else 200.0), filling_starts + 0.6 * (rr - filling_starts)
    )
    kick_ends = rr - 0.25 * half_qrs
    share = kick_share(heart)
    after_p = rr - half_qrs - electrics.pr_ms + 60.0  # the P wave reaches the left atrium
    kick_starts = float(np.clip(after_p, early_ends - 0.3 * (rr - early_ends), rr - 0.12 * rr)) if share else kick_ends
    return BeatTimes(ejection_starts, end_systole, filling_starts, early_ends, kick_starts, kick_ends, rr, share)


def kick_share(heart: Heart) -> float:
    """Share of the stroke volume that the atrium's contraction brings; 0 where there is none in time with the QRS.

    It grows with age and where the muscle is thick; it is small where filling is restricted.
    """
    if heart.electrics.rhythm == "atrial_fibrillation" or heart.electrics.av_block == 3:
        return 0.0
    if _is_stiff(heart):
        return 0.08
    thick = 0.06 if heart.diagnosis == "hypertrophic_cardiomyopathy" else 0.0
    return float(np.clip(0.16 + 0.0035 * (heart.age_years - 30.0) + thick, 0.1, 0.42))


def contraction(heart: Heart, phases: ArrayLike, *, late_ms: float = 0.0) -> NDArray[np.float64]:
    """Share of the stroke volume that has left the ventricle: 0 at end-diastole, 1 at end-systole; shape of phases.

    Args:
        heart: whose beat.
        phases: of the cardiac cycle, 0 = R peak, 1 = the next; whole beats may be added.
        late_ms: see `beat_times`.
    """
    times = beat_times(heart, late_ms=late_ms)
    ms = np.mod(np.asarray(phases, np.float64), 1.0) * times.rr
    out = _rise((ms - times.ejection_starts) / (times.end_systole - times.ejection_starts), 0.82)
    early_share = 1.0 - times.kick_share - SLOW_SHARE
    early = _rise((ms - times.filling_starts) / (times.early_ends - times.filling_starts), 0.85)
    slow = _rise((ms - times.filling_starts) / (times.kick_ends - times.filling_starts), 1.0)
    kick = _rise((ms - times.kick_starts) / max(times.kick_ends - times.kick_starts, 1.0), 1.0)
    return np.clip(out - early_share * early - SLOW_SHARE * slow - times.kick_share * kick, 0.0, 1.0)


def volume_curve(heart: Heart, phases: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Volumes of the left and the right ventricle, mL; each of the shape of `phases`.

    Both eject the same stroke volume. The largest is EDV, at phase 0; the smallest is ESV, during the isovolumic
    relaxation, which at least one of 25 equally spaced phases meets.

    Args:
        heart: its volumes and intervals.
        phases: of the cardiac cycle, 0 = R peak = end-diastole, 1 = the next; whole beats may be added.
    """
    late_left, late_right = delays_ms(heart)
    left = heart.lv_edv_ml - heart.stroke_volume_ml * contraction(heart, phases, late_ms=late_left)
    right = heart.rv_edv_ml - heart.stroke_volume_ml * contraction(heart, phases, late_ms=late_right)
    return left, right


def delays_ms(heart: Heart) -> tuple[float, float]:
    """How late the left and the right ventricle contract, ms: the blocked side by half of what the QRS is too wide."""
    late = 0.5 * max(0.0, heart.electrics.qrs_ms - NARROW_QRS_MS)
    conduction = heart.electrics.conduction
    return (late if conduction == "lbbb" else 0.0), (late if conduction == "rbbb" else 0.0)


def _is_stiff(heart: Heart) -> bool:
    return heart.diagnosis == "restrictive_cardiomyopathy"


def _rise(x: NDArray[np.float64], skew: float) -> NDArray[np.float64]:
    """0 before 0, 1 after 1, smooth between; steepest before the middle for skew < 1."""
    x = np.clip(x, 0.0, 1.0) ** skew
    return x * x * (3.0 - 2.0 * x)
