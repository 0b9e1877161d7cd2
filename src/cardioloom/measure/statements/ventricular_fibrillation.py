"""Ventricular fibrillation: a coarse wave without QRS complexes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.statements.case import NOT_PHYSICAL, Case, Verdict, unknown

LEAKAGE = 0.4  # below: the lead is nearly one sine wave
PER_MIN = (150.0, 500.0)
LEAST_MV = 0.2
ONE_SHAPE = 0.6  # of the beats: a rhythm that has QRS complexes of one shape does not fibrillate
MOST = 0.5  # of the leads


def leakage(row: NDArray[np.float64], fs: float) -> tuple[float, float]:
    """Share of a lead that a filter cancels badly whose zero is at its mean frequency, and that rate, 1/min.

    0 for a sine wave, 1 for an ECG with narrow complexes. Kuo & Dillman 1978, Computers in Cardiology.
    """
    row = row - row.mean()
    step = np.diff(row)
    moved = float(np.abs(step).sum())
    if moved <= 0:
        return 1.0, 0.0
    half = int(np.floor(np.pi * np.abs(row).sum() / moved + 0.5))  # half of the mean period, samples
    if half < 1 or len(row) <= half:
        return 1.0, 0.0
    late, early = row[half:], row[:-half]
    return float(np.abs(late + early).sum() / (np.abs(late) + np.abs(early)).sum()), 60.0 * fs / (2 * half)


def fibrillation(case: Case) -> Verdict:
    """Most leads nearly one sine wave of 150 to 500 a minute, and no QRS shape that repeats itself."""
    f = case.features
    rows = f.signal[[n for n, lead in enumerate(f.leads) if lead in f.usable]]
    if not len(rows):
        return unknown("no usable lead")
    if not f.is_physical:
        return unknown(NOT_PHYSICAL)
    found = []
    for smooth in _slow(np.nan_to_num(rows.astype(np.float64)), f.fs):
        share, per_min = leakage(smooth, f.fs)
        if share < LEAKAGE and PER_MIN[0] <= per_min <= PER_MIN[1] and np.ptp(smooth) >= LEAST_MV:
            found.append(per_min)
    dominant = float((f.beat_class == 0).mean()) if len(f.beat_class) else 0.0
    present = len(found) >= MOST * len(rows) and dominant < ONE_SHAPE
    words = f"{len(found)} of {len(rows)} leads are nearly one wave"
    words += f" of {np.median(found):.0f}/min" if found else ""
    words += f", {dominant:.0%} of the detected beats have one shape"
    return Verdict(present, words, case.whole if present else ())


def _slow(rows: NDArray[np.float64], fs: float) -> NDArray[np.float64]:
    """The rows (lead, time) between 1 and 30 Hz."""
    spectrum = np.fft.rfft(rows, axis=1)
    hz = np.fft.rfftfreq(rows.shape[1], 1 / fs)
    spectrum[:, (hz < 1.0) | (hz > 30.0)] = 0.0
    return np.fft.irfft(spectrum, rows.shape[1], axis=1)
