"""Signal quality of each lead: what a technician would see, with the number behind each word."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardioloom.records import ECG, LeadQuality

# Amplitudes are robust: from the 0.2nd to the 99.8th percentile, so that one spike does not hide a flat lead.
PERCENTILES = (0.2, 99.8)
FLAT_MV = 0.005  # less than the 5 µV that IEC 60601-2-25 lets a recorder ignore
FLAT_WINDOW_S = 1.0
FLAT_SHARE = 0.2  # of the recording
CLIPPED_RUN_S = 0.008  # as long as this at the very same extreme value …
CLIPPED_TOTAL_S = 0.04  # … and as long as this in all
NOISE_SHARE = 0.06  # broadband noise SD above this share of the lead's amplitude
NOISE_MV = 0.15  # or above this, unless it is so much that the unit must be wrong
IMPLAUSIBLE_NOISE_MV = 2.0
WANDER_SHARE = 0.6  # slow movement of the baseline above this share of the lead's amplitude
WANDER_MV = 0.3  # and above this
WANDER_WINDOW_S = 1.2  # longer than one beat at 60 bpm, so that QRS and T average out
IMPLAUSIBLE_MV = 20.0  # peak to peak; the tallest human QRS stay below 10 mV

# What is left of a lead's score of 1 after each problem.
REMAINS = {
    "missing": 0.0,
    "flat": 0.0,
    "partly flat": 0.5,
    "clipped": 0.5,
    "noisy": 0.5,
    "wandering": 0.8,
    "implausible unit": 0.5,
    "breaks Einthoven's identity": 0.6,
}


@dataclass(frozen=True)
class LeadState:
    """What was measured of one lead: amplitude mV, noise SD mV, wander mV, shares of the recording from 0 to 1."""

    amplitude_mv: float
    noise_mv: float
    wander_mv: float
    missing: float
    flat: float
    clipped_s: float


def lead_states(ecg: ECG) -> dict[str, LeadState]:
    """The state of each lead of a recording that fits in memory."""
    return {lead: _state(row, ecg.fs) for lead, row in zip(ecg.leads, ecg.signal, strict=True)}


def judge(state: LeadState, extra: tuple[str, ...] = ()) -> LeadQuality:
    """Problems in words and a score from 0 to 1; ``extra`` are problems found by comparing leads."""
    problems = (*_problems(state), *extra)
    score = 1.0 - state.missing
    for problem in problems:
        score *= REMAINS[problem]
    return LeadQuality(round(score, 3), problems)


def _problems(state: LeadState) -> list[str]:
    if state.missing == 1.0:
        return ["missing"]
    if state.flat > 1 - FLAT_SHARE:
        return ["flat"]
    amplitude, noise = state.amplitude_mv, state.noise_mv
    found = {
        "partly flat": state.flat > FLAT_SHARE,
        "clipped": state.clipped_s >= CLIPPED_TOTAL_S,
        "noisy": noise > max(NOISE_SHARE * amplitude, FLAT_MV) or NOISE_MV < noise < IMPLAUSIBLE_NOISE_MV,
        "wandering": state.wander_mv > max(WANDER_SHARE * amplitude, WANDER_MV),
        "implausible unit": amplitude > IMPLAUSIBLE_MV,
    }
    return [problem for problem, is_so in found.items() if is_so]


def _state(row: NDArray[np.float32], fs: float) -> LeadState:
    recorded = np.isfinite(row)
    missing = 1.0 - float(recorded.mean())
    if missing == 1.0:
        return LeadState(0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    signal = row[recorded].astype(np.float64)
    slow = _moving_mean(signal, max(1, round(WANDER_WINDOW_S * fs)))
    low, high = np.percentile(signal - slow, PERCENTILES)
    return LeadState(
        amplitude_mv=float(high - low),
        noise_mv=_noise(signal, fs),
        wander_mv=float(np.ptp(slow)),
        missing=missing,
        flat=_flat_share(signal, fs),
        clipped_s=_clipped_seconds(signal, fs),
    )


def _moving_mean(signal: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Mean over ``width`` samples round each one, over fewer at the ends."""
    total = np.concatenate([[0.0], np.cumsum(signal)])
    index = np.arange(len(signal))
    first, last = np.maximum(index - width // 2, 0), np.minimum(index + (width + 1) // 2, len(signal))
    return (total[last] - total[first]) / (last - first)


def _noise(signal: NDArray[np.float64], fs: float) -> float:
    """SD of the broadband noise, mV, from the median absolute deviation of what is faster than about 20 ms.

    The median over the recording ignores the QRS, which fills a tenth of it.
    """
    width = max(3, 2 * round(0.01 * fs) + 1)
    if len(signal) <= width:
        return 0.0
    fast = signal - _moving_mean(signal, width)
    return float(1.4826 * np.median(np.abs(fast - np.median(fast))))


def _flat_share(signal: NDArray[np.float64], fs: float) -> float:
    """Share of the windows of a second in which the lead moves by less than 5 µV."""
    width = min(len(signal), max(1, round(FLAT_WINDOW_S * fs)))
    windows = signal[: len(signal) // width * width].reshape(-1, width)
    return float(np.mean(np.ptp(windows, axis=1) < FLAT_MV))


def _clipped_seconds(signal: NDArray[np.float64], fs: float) -> float:
    """Seconds spent in runs at the very extreme value, s; 0 where that extreme is near the baseline."""
    run = max(4, round(CLIPPED_RUN_S * fs))
    middle, total = np.median(signal), 0
    spread = 1.4826 * np.median(np.abs(signal - middle))
    for extreme in (signal.min(), signal.max()):
        if abs(extreme - middle) <= max(5 * spread, FLAT_MV):
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[0], (signal == extreme).astype(np.int8), [0]])))
        lengths = edges[1::2] - edges[::2]
        total += int(lengths[lengths >= run].sum())
    return total / fs
