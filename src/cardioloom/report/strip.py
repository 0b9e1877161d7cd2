"""The part of an ECG that a page shows, and how its samples travel inside the page."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardioloom.records import ECG, STANDARD_LEADS
from cardioloom.report.words import duration

MAX_SECONDS = 60.0
MAX_LEADS = 16
MAX_EMBEDDED = 400_000  # samples over all leads; int16 in base64: 1.1 MB
GAIN = 10.0  # mm/mV
PLAUSIBLE_MV = 10.0  # an ECG on the skin stays below
SHIFT_MV = 1.0  # a constant offset beyond this, and beyond half the trace's reach, pushes it into its neighbours
STEP_MV = 0.0005
MISSING = -32768


@dataclass(frozen=True, eq=False)
class Strip:
    """What is drawn: (lead, time) mV around each lead's baseline, NaN = not recorded, standard leads first.

    ``up`` and ``down`` (lead,): how far each trace reaches above and below its baseline, mV, rare spikes left out.
    """

    signal: NDArray[np.float32]
    fs: float
    leads: tuple[str, ...]
    derived: tuple[str, ...]
    up: NDArray[np.float64]
    down: NDArray[np.float64]
    gain: float
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Duration shown, s."""
        return self.signal.shape[1] / self.fs


def strip_of(ecg: ECG) -> Strip:
    """The first 60 s of at most 16 leads, offsets removed and the gain lowered only where the paper needs it.

    Whatever was left out or changed for the drawing stands in ``notes``.
    """
    notes = []
    if ecg.seconds > MAX_SECONDS + 0.5 / ecg.fs:
        notes.append(f"First {MAX_SECONDS:.0f} s of {duration(ecg.seconds)} shown.")
        ecg = ecg.window(0, round(MAX_SECONDS * ecg.fs))
    ranks = {lead: rank for rank, lead in enumerate(STANDARD_LEADS)}
    leads = tuple(sorted(ecg.leads, key=lambda lead: ranks.get(lead, len(ranks))))
    if len(leads) > MAX_LEADS:
        notes.append(f"First {MAX_LEADS} of {len(leads)} leads shown.")
        leads = leads[:MAX_LEADS]
    shown = ecg.select(leads)
    signal = np.array(shown.signal, np.float32)
    shifted = _remove_offsets(signal, leads)
    if shifted:
        notes.append(f"Constant offset removed for the drawing: {', '.join(shifted)}.")
    up, down = _extents(signal)
    gain = _gain(up, down)
    if gain != GAIN:
        largest = float(np.maximum(up, down).max())
        notes.append(
            f"Amplitudes reach {largest:,.0f} mV, which no ECG has (is the unit right?): "
            f"drawn at gain {gain:g} mm/mV instead of {GAIN:g}."
        )
    return Strip(signal, ecg.fs, leads, shown.derived, up, down, gain, tuple(notes))


def _remove_offsets(signal: NDArray[np.float32], leads: tuple[str, ...]) -> list[str]:
    """Subtract large medians in place; say which."""
    shifted = []
    if not np.isnan(signal).any() and np.abs(np.median(signal, axis=1)).max(initial=0.0) <= SHIFT_MV:
        return []
    for row, lead in zip(signal, leads, strict=True):
        recorded = row[~np.isnan(row)]
        if not recorded.size:
            continue
        median = float(np.median(recorded))
        if abs(median) <= SHIFT_MV:
            continue
        reach = float(np.percentile(np.abs(recorded - median), 99.9))
        if abs(median) > reach / 2:
            row -= median
            shifted.append(f"{lead} {median:+,.1f} mV".replace("-", "−"))
    return shifted


def _extents(signal: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not np.isnan(signal).any():
        low, high = np.percentile(signal, (0.1, 99.9), axis=1).astype(np.float64)
        return np.maximum(high, 0.0), 0.0 - np.minimum(low, 0.0)  # 0, not −0, where nothing reaches below
    up, down = np.zeros(len(signal)), np.zeros(len(signal))
    for row, samples in enumerate(signal):
        recorded = samples[~np.isnan(samples)]
        if recorded.size:
            low, high = np.percentile(recorded, (0.1, 99.9))
            up[row], down[row] = max(0.0, float(high)), max(0.0, -float(low))
    return up, down


def _gain(up: NDArray[np.float64], down: NDArray[np.float64]) -> float:
    """10 mm/mV, or the largest of 5, 2, 1, 0.5 … that keeps an implausibly large trace within 20 mm of its baseline."""
    largest = float(np.maximum(up, down).max())
    if largest <= PLAUSIBLE_MV:
        return GAIN
    wanted = 20.0 / largest
    power = 10.0 ** math.floor(math.log10(wanted))
    return min(GAIN, next(step for step in (5 * power, 2 * power, power) if step <= wanted * (1 + 1e-9)))


def extremes(samples: NDArray[np.floating], bucket: int) -> NDArray[np.intp]:
    """Indices of the smallest and largest sample of every bucket, so that thinning out loses no peak.

    Args:
        samples: (time,); a bucket with NaN in it is kept whole, so that gaps stay where they are.
        bucket: samples a bucket; up to 2 keeps everything.

    Returns:
        (kept,) increasing indices; the first and last sample are always among them.
    """
    if bucket <= 2 or len(samples) <= bucket:
        return np.arange(len(samples))
    whole = len(samples) // bucket * bucket
    blocks = samples[:whole].reshape(-1, bucket)
    kept = np.zeros(len(samples), bool)
    starts = np.arange(0, whole, bucket)
    kept[starts + blocks.argmin(axis=1)] = True
    kept[starts + blocks.argmax(axis=1)] = True
    kept[:whole].reshape(-1, bucket)[np.isnan(blocks).any(axis=1)] = True
    kept[whole:] = True
    kept[[0, -1]] = True
    return np.flatnonzero(kept)


def embedded(strip: Strip) -> dict[str, object]:
    """The samples for the page's script: int16 little-endian in base64, one text a lead.

    Returns:
        ``fs`` Hz, ``step`` mV a count, ``missing`` the count for "not recorded", ``samples`` by lead. Beyond 400,000
        samples each bucket travels as its smallest and largest sample in the order of time.
    """
    signal, fs = strip.signal, strip.fs
    if signal.size > MAX_EMBEDDED:
        bucket = max(3, math.ceil(2 * signal.size / MAX_EMBEDDED))
        signal, fs = np.stack([_pairs(row, bucket) for row in signal]), 2 * fs / bucket
    largest = float(np.nanmax(np.abs(signal))) if not np.isnan(signal).all() else 0.0
    step = max(STEP_MV, largest / 32_000)
    counts = np.where(np.isnan(signal), MISSING, np.rint(np.nan_to_num(signal) / step)).astype("<i2")
    samples = [base64.b64encode(row.tobytes()).decode("ascii") for row in counts]
    return {"fs": fs, "step": step, "missing": MISSING, "samples": samples}


def _pairs(row: NDArray[np.float32], bucket: int) -> NDArray[np.float32]:
    """Each bucket's smallest and largest sample in the order of time; NaN where the bucket has a gap."""
    whole = len(row) // bucket * bucket
    blocks = row[:whole].reshape(-1, bucket)
    order = np.sort(np.stack([blocks.argmin(axis=1), blocks.argmax(axis=1)]), axis=0)
    pairs = np.take_along_axis(blocks, order.T, axis=1)
    pairs[np.isnan(blocks).any(axis=1)] = np.nan
    return pairs.reshape(-1)
