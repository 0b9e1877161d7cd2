"""What the statements are judged on: every quantity of one ECG, measured once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.delineation import Marks
from cardioloom.records import Measurement


@dataclass(frozen=True)
class LeadWaves:
    """Amplitudes on the median beat of one lead, mV against the level at QRS onset; None where not measurable.

    ``q``, ``s`` and ``s_prime`` are negative or 0, ``r`` and ``r_prime`` positive or 0; ``st`` maps ``j``, ``j60``,
    ``j80`` to levels; ``qrs_area``, ``p_area`` and ``t_area`` are in mV·s; durations in ms. A QRS without positive
    deflection is a ``q`` (QS) with ``r`` = 0.
    """

    q: float = 0.0
    r: float = 0.0
    s: float = 0.0
    r_prime: float = 0.0
    s_prime: float = 0.0
    q_ms: float = 0.0
    r_ms: float = 0.0
    s_ms: float = 0.0
    r_prime_ms: float = 0.0
    r_peak_ms: float | None = None  # from QRS onset to the R peak (R′ if higher): intrinsicoid deflection
    qrs_area: float = 0.0
    p: float | None = None
    t: float | None = None  # signed, the phase of largest deflection
    t_area: float | None = None
    p_area: float | None = None
    st: Mapping[str, float] = field(default_factory=dict)
    notched: bool = False


@dataclass(frozen=True, eq=False)
class Features:
    """One ECG of any length that fits in memory (long ones: block by block).

    Args:
        fs: sampling rate, Hz.
        seconds: duration.
        leads: names, in the order of the signal.
        usable: names of the leads that were delineated.
        r_peaks_s: (beat,) s.
        rr_s: (beat - 1,) intervals in s; NaN where recording was interrupted.
        interrupted_s: (interruption, 2) begin and end in s of the times in which no beat could be seen.
        marks: of every beat, in samples.
        measurements: as in the report: heart_rate, rr_interval, pr_interval, qrs_duration, qt_interval, qtc_bazett …
        waves: lead → amplitudes on the median beat.
        median_beat: lead → (time,) mV, aligned at R; ``median_beat_r`` is the sample of R in it.
        beat_class: (beat,) 0 for the dominant QRS shape, 1, 2 … for others.
        qrs_ms: (beat,) QRS duration of each beat, ms.
        p_present: (beat,) whether a P wave was found before the beat.
        signal: (lead, time) mV, NaN = not recorded.
        is_physical: False where amplitudes are known not to be in millivolts.
        age, sex: where known.
        median_marks: mark → sample in the median beat, robust earliest onsets and latest ends over leads; NaN where
            too few of the dominant beats show it.
    """

    fs: float
    seconds: float
    leads: tuple[str, ...]
    usable: tuple[str, ...]
    r_peaks_s: NDArray[np.float64]
    rr_s: NDArray[np.float64]
    marks: Marks
    measurements: Mapping[str, Measurement]
    waves: Mapping[str, LeadWaves]
    median_beat: Mapping[str, NDArray[np.float64]]
    median_beat_r: int
    beat_class: NDArray[np.int64]
    qrs_ms: NDArray[np.float64]
    p_present: NDArray[np.bool_]
    signal: NDArray[np.float32]
    is_physical: bool = True
    age: float | None = None
    sex: str | None = None
    median_marks: Mapping[str, float] = field(default_factory=dict)
    interrupted_s: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))
