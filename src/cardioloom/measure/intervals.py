"""Durations and intervals of the beats, QT corrected for rate, variability of the RR interval.

Each runs from a robust earliest onset to a robust latest end over leads: a quantile of the leads' marks, so that one
lead's stray mark moves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.over_leads import quantile
from cardioloom.records import Abstention, Measurement

EARLY, LATE = 0.25, 0.75  # quantiles over leads of onsets and of ends
LEAST_SHARE = 0.3  # what fewer of the dominant beats show is not the record's
FEWEST_INTERVALS = 3  # for a standard deviation of RR intervals
UNSTEADY_RR = 0.2  # interquartile range of the RR interval over its median; more is too much to correct QT for rate …
UNSTEADY_OF = 4  # … where there are at least so many intervals
UNSTEADY = "the RR interval varies too much to correct QT for rate"
CORRECTIONS = ("qtc_bazett", "qtc_fridericia", "qtc_framingham", "qtc_hodges")
NO_P, NO_T, NO_QRS = "no P wave was found", "no end of the T wave was found", "no QRS bounds were found"


def bounds(by_lead: Mapping[str, NDArray[np.float64]], enough: int) -> dict[str, NDArray[np.float64]]:
    """(beat,) samples of the robust earliest onset and latest end over leads of P, QRS and T."""
    return {mark: quantile(by_lead[mark], EARLY, enough) for mark in ("p_on", "qrs_on", "t_on")} | {
        mark: quantile(by_lead[mark], LATE, enough) for mark in ("p_off", "qrs_off", "t_off")
    }


def beat_intervals_ms(limits: Mapping[str, NDArray[np.float64]], fs: float) -> dict[str, NDArray[np.float64]]:
    """(beat,) ms: ``pr_interval``, ``p_duration``, ``qrs_duration``, ``qt_interval``; NaN where a bound is missing."""
    ms = 1000.0 / fs
    return {
        "pr_interval": ms * (limits["qrs_on"] - limits["p_on"]),
        "p_duration": ms * (limits["p_off"] - limits["p_on"]),
        "qrs_duration": ms * (limits["qrs_off"] - limits["qrs_on"]),
        "qt_interval": ms * (limits["t_off"] - limits["qrs_on"]),
    }


def measure_intervals(
    by_beat: Mapping[str, NDArray[np.float64]], dominant: NDArray[np.bool_]
) -> tuple[dict[str, Measurement], list[Abstention]]:
    """Median and SD over the dominant beats of each interval, ms."""
    measured, abstained = {}, []
    why = {"pr_interval": NO_P, "p_duration": NO_P, "qrs_duration": NO_QRS, "qt_interval": NO_T}
    for name, values in by_beat.items():
        known = values[dominant & np.isfinite(values)]
        if len(known) < LEAST_SHARE * dominant.sum() or not len(known):
            abstained.append(Abstention(name, why[name] if dominant.any() else "no beat was found"))
            continue
        sd = float(np.std(known, ddof=1)) if len(known) > 1 else None
        measured[name] = Measurement(float(np.median(known)), "ms", sd, len(known))
    return measured, abstained


def rr_before_qt(rr_s: NDArray[np.float64], dominant: NDArray[np.bool_]) -> float | str:
    """The RR interval, s, that QT is corrected with; or why it should not be.

    The median of the intervals that end and begin with a beat of the dominant shape, and of all intervals where there
    is no such one (bigeminy): the mean would hold the pause after which QT is no longer than before, since QT follows
    the rate of the last minutes. QT is not corrected where RR varies much, as in atrial fibrillation (AHA/ACCF/HRS
    2009, part IV, doi:10.1161/CIRCULATIONAHA.108.191096, which names no limit: `UNSTEADY_RR` is ours).

    Args:
        rr_s: (beat - 1,) with NaN where recording was interrupted.
        dominant: (beat,) which beats have the dominant shape.
    """
    known = np.isfinite(rr_s)
    usual = known & dominant[1:] & dominant[:-1] if len(rr_s) else known
    kept = rr_s[usual] if usual.any() else rr_s[known]
    if not len(kept):
        return "no RR interval was measured"
    # Where such intervals are not the most, they say little of how much RR varies.
    seen = kept if 2 * len(kept) > known.sum() else rr_s[known]
    low, middle, high = np.percentile(seen, (25, 50, 75))
    if len(seen) >= UNSTEADY_OF and high - low > UNSTEADY_RR * middle:
        return UNSTEADY
    return float(np.median(kept))


def corrected_qt(qt: Measurement, rr_s: float) -> tuple[dict[str, Measurement], list[Abstention]]:
    """QT corrected for rate, ms; a linear formula leaves no positive one at intervals far beyond its population's.

    Bazett 1920: QT/√RR. Fridericia 1920: QT/∛RR. Framingham (Sagie 1992, doi:10.1016/0002-9149(92)90562-D):
    QT + 154·(1 − RR). Hodges 1983: QT + 1.75·(rate − 60). RR in s, as `rr_before_qt` gives it.
    """
    values = {
        "qtc_bazett": qt.value / rr_s**0.5,
        "qtc_fridericia": qt.value / rr_s ** (1 / 3),
        "qtc_framingham": qt.value + 154.0 * (1 - rr_s),
        "qtc_hodges": qt.value + 1.75 * (60 / rr_s - 60),
    }
    why = f"at an RR interval of {rr_s:.1f} s the formula leaves no positive QT"
    return (
        {name: Measurement(value, "ms", None, qt.n) for name, value in values.items() if value > 0},
        [Abstention(name, why) for name, value in values.items() if value <= 0],
    )


def variability(
    rr_s: NDArray[np.float64], beat_class: NDArray[np.int64]
) -> tuple[dict[str, Measurement], list[Abstention]]:
    """SDNN and RMSSD, ms, of the intervals between two successive beats of the dominant shape.

    Task Force of the ESC and NASPE 1996, doi:10.1161/01.CIR.93.5.1043. Args: rr_s (beat - 1,) with NaN where
    recording was interrupted.
    """
    normal = (beat_class[1:] == 0) & (beat_class[:-1] == 0) & np.isfinite(rr_s)
    kept = 1000.0 * rr_s[normal]
    steps = 1000.0 * np.diff(rr_s)[normal[1:] & normal[:-1]]
    measured, abstained = {}, []
    for name, values in (("sdnn", kept), ("rmssd", steps)):
        if len(values) < FEWEST_INTERVALS:
            plural = ("s", "are") if len(values) != 1 else ("", "is")
            why = f"{len(values)} interval{plural[0]} between beats of the usual shape {plural[1]} too few"
            abstained.append(Abstention(name, why))
            continue
        value = float(np.std(values, ddof=1)) if name == "sdnn" else float(np.sqrt(np.mean(values**2)))
        measured[name] = Measurement(value, "ms", None, len(values))
    return measured, abstained
