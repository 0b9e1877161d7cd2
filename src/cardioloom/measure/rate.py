"""Heart rate and RR interval from R peaks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.records import Abstention, Measurement

MS = 1000.0


def rr_intervals_s(r_peaks_s: NDArray[np.float64], gaps_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intervals between successive R peaks, s, without those in which recording was interrupted.

    Args:
        r_peaks_s: (beat,) R peaks in s, ascending.
        gaps_s: (gap, 2) begin and end in s of the times in which no lead was recorded.
    """
    intervals = np.diff(r_peaks_s)
    if not len(intervals) or not len(gaps_s):
        return intervals
    # A gap lies inside an interval where it begins between the two peaks: peaks never lie in gaps.
    interrupted = np.searchsorted(gaps_s[:, 0], r_peaks_s[1:]) != np.searchsorted(gaps_s[:, 0], r_peaks_s[:-1])
    return intervals[~interrupted]


def measure_rate(
    r_peaks_s: NDArray[np.float64], gaps_s: NDArray[np.float64], unfit: str | None = None
) -> tuple[dict[str, Measurement], list[Abstention]]:
    """Heart rate (bpm) and RR interval (ms): means over the intervals, with the SD over single intervals.

    The rate is that of the mean interval, 60 / mean RR, so that it is the number of beats a minute;
    its SD is that of the instantaneous rates 60 / RR. ``unfit`` says why beats cannot be found at all.
    """
    rr = rr_intervals_s(r_peaks_s, gaps_s)
    if not len(rr):
        beats = {0: "no beat was", 1: "only one beat was"}.get(len(r_peaks_s), f"{len(r_peaks_s)} beats were")
        why = unfit or f"{beats} found with no uninterrupted interval between two beats"
        return {}, [Abstention("heart_rate", why), Abstention("rr_interval", why)]
    sd_rate = float(np.std(60.0 / rr, ddof=1)) if len(rr) > 1 else None
    sd_rr = float(np.std(rr, ddof=1)) * MS if len(rr) > 1 else None
    mean = float(np.mean(rr))
    return {
        "heart_rate": Measurement(60.0 / mean, "bpm", sd_rate, len(rr)),
        "rr_interval": Measurement(mean * MS, "ms", sd_rr, len(rr)),
    }, []
