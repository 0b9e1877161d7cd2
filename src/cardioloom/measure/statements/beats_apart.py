"""Which beats do not belong to the basic rhythm: premature by time, or of another and wider shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.features import Features
from cardioloom.measure.order import middle

NEIGHBOURS = 4  # intervals on each side that make the local RR interval
EARLY = 0.84  # of the local interval: a beat that comes sooner is premature
EARLY_STEP = 0.88  # and of the interval before it, so that a rhythm that speeds up is none
RETURN = 0.95  # of the local interval: what follows a premature beat is at least as long
VENTRICULAR_EARLY = 0.93  # a beat of another shape needs less haste
WIDER_MS = 50.0  # than the dominant QRS
WIDE_MS, VERY_WIDE_MS = 120.0, 160.0
FULL_PAUSE = 0.93  # mean of the intervals before and after, of the local one: less resets the sinus node …
INTERPOLATED = 0.56  # … but for a beat between two sinus beats
COMPENSATED = 1.12  # of the local interval: a pause


@dataclass(frozen=True, eq=False)
class Ectopy:
    """(beat,) masks, and the RR interval before each beat as a share of the local one (NaN where unknown)."""

    supraventricular: NDArray[np.bool_]
    ventricular: NDArray[np.bool_]
    haste: NDArray[np.float64]

    @property
    def any(self) -> NDArray[np.bool_]:
        """(beat,) either of them."""
        return self.supraventricular | self.ventricular


def find_ectopy(features: Features) -> Ectopy:
    """Premature beats of the dominant shape, and beats of another, wider shape.

    A supraventricular premature beat comes early and is followed by a return to the rhythm (or another early beat). A
    ventricular one has another shape and is wider than the dominant beats, and comes early or is followed by a pause.
    """
    n_beats = len(features.r_peaks_s)
    none = np.zeros(n_beats, bool)
    if n_beats < 4:
        return Ectopy(none, none.copy(), np.full(n_beats, np.nan))
    local = _local_rr(features.rr_s)
    haste = np.concatenate([[np.nan], features.rr_s / local])
    after = np.concatenate([features.rr_s / local, [np.nan]])
    ventricular = _ventricular(features, haste, after)
    early = _early(features.rr_s, haste, after)
    return Ectopy(early & ~ventricular, ventricular, haste)


def _local_rr(rr: NDArray[np.float64]) -> NDArray[np.float64]:
    """(interval,) s: the median of the intervals round each, itself left out."""
    local = np.full(len(rr), np.nan)
    for i in range(len(rr)):
        around = np.concatenate([rr[max(0, i - NEIGHBOURS) : i], rr[i + 1 : i + 1 + NEIGHBOURS]])
        around = around[np.isfinite(around)]
        if len(around):
            local[i] = middle(around)
    return local


def _ventricular(features: Features, haste: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(beat,) of another shape, wide, and either early or before a pause.

    A beat that is early and resets the rhythm is an aberrantly conducted supraventricular one, unless very wide.
    """
    other = features.beat_class != 0
    dominant = features.qrs_ms[~other]
    dominant = dominant[np.isfinite(dominant)]
    usual = float(np.median(dominant)) if len(dominant) else np.nan
    width = features.qrs_ms
    early = haste < VENTRICULAR_EARLY
    # A width that was not measured is not held against a beat that is clearly early.
    wide = np.where(np.isnan(width), haste < EARLY, (width >= WIDE_MS) & ~(width < usual + WIDER_MS))
    timed = early | (after > COMPENSATED)
    pace = (haste + after) / 2
    resets = (pace < FULL_PAUSE) & (pace > INTERPOLATED) & (width < VERY_WIDE_MS)
    return other & wide & timed & ~resets


def _early(rr: NDArray[np.float64], haste: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(beat,) early against the local interval and the one before, then a return or another early beat."""
    nan = np.array([np.nan])
    step = np.concatenate([nan, nan, rr[1:] / rr[:-1]])  # the interval before a beat over the one before that
    next_haste = np.concatenate([haste[1:], nan])
    # What is unknown at the ends is not held against a beat.
    returns = (after >= RETURN) | (next_haste < EARLY) | np.isnan(after)
    return (haste < EARLY) & ~(step >= EARLY_STEP) & returns
