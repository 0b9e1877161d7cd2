"""Heart rate and RR interval from R peaks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.records import Abstention, Measurement

MS = 1000.0


NO_STRETCH = np.empty((0, 2))


def rr_intervals_s(r_peaks_s: NDArray[np.float64], gaps_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intervals between successive R peaks, s, without those that an interruption touches.

    Args:
        r_peaks_s: (beat,) R peaks in s, ascending.
        gaps_s: (gap, 2) begin and end in s of the interruptions, in any order; they may overlap.
    """
    intervals = every_rr_s(r_peaks_s, gaps_s)
    return intervals[np.isfinite(intervals)]


def every_rr_s(r_peaks_s: NDArray[np.float64], gaps_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """(beat - 1,) as `rr_intervals_s`, with NaN in the place of those that an interruption touches."""
    intervals = np.diff(r_peaks_s)
    if not len(intervals) or not len(gaps_s):
        return intervals
    begun = np.searchsorted(np.sort(gaps_s[:, 0]), r_peaks_s[1:], side="left")
    ended = np.searchsorted(np.sort(gaps_s[:, 1]), r_peaks_s[:-1], side="right")
    return np.where(begun == ended, intervals, np.nan)


def measure_rate(
    r_peaks_s: NDArray[np.float64],
    gaps_s: NDArray[np.float64],
    noise_s: NDArray[np.float64] = NO_STRETCH,
    *,
    unfit: str | None = None,
) -> tuple[dict[str, Measurement], list[Abstention]]:
    """Heart rate (bpm) and RR interval (ms): means over the intervals, with the SD over single intervals.

    The rate is that of the mean interval, 60 / mean RR, so that it is the number of beats a minute;
    its SD is that of the instantaneous rates 60 / RR.

    Args:
        r_peaks_s: (beat,) R peaks in s, ascending.
        gaps_s: (gap, 2) begin and end in s of the times in which no lead was recorded or moved.
        noise_s: (stretch, 2) begin and end in s of the times in which every lead is noise.
        unfit: why beats cannot be found at all, if so.
    """
    rr = rr_intervals_s(r_peaks_s, np.concatenate([gaps_s, noise_s]))
    if not len(rr):
        lost_in_noise = len(noise_s) > 0 and len(rr_intervals_s(r_peaks_s, gaps_s)) > 0
        why = unfit or ("no lead is clean enough" if lost_in_noise else _too_few(len(r_peaks_s)))
        return {}, [Abstention("heart_rate", why), Abstention("rr_interval", why)]
    sd_rate = float(np.std(60.0 / rr, ddof=1)) if len(rr) > 1 else None
    sd_rr = float(np.std(rr, ddof=1)) * MS if len(rr) > 1 else None
    mean = float(np.mean(rr))
    return {
        "heart_rate": Measurement(60.0 / mean, "bpm", sd_rate, len(rr)),
        "rr_interval": Measurement(mean * MS, "ms", sd_rr, len(rr)),
    }, []


def _too_few(n_beats: int) -> str:
    if n_beats == 0:
        return "no beat was found"
    if n_beats == 1:
        return "only one beat was found, and an interval needs two"
    return f"{n_beats} beats were found, but the recording is interrupted between each two of them"
