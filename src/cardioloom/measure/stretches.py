"""Stretches of a recording that show no heart: no lead moves, or all leads are noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.quality import TINY_MV, all_noisy
from cardioloom.measure.windows import WINDOW_S, Windows, runs
from cardioloom.records import Notice

DEAD_S = 1.0  # no electrode on a body is as still as this …
STILL_BETWEEN_BEATS = 0.05  # … unless the recording has no noise at all: this share of its life is still
DEAD_WITHOUT_NOISE_S = 5.0  # then only this long is no pause
# Mean likeness of beats: below 0.3 for what was found in noise; above 0.7 where noise hides no beat from `r_peaks`.
ALIKE = 0.6
NEAR_S = 5.0  # over the noisy beats from so long before to so long after the middle of a window
STEP_S = 0.2
TOUCHING_S = 0.15
SAID = 3  # stretches that a warning names one by one


def dead_stretches_s(seen: Windows) -> NDArray[np.float64]:
    """(stretch, 2) begin and end in s of the times in which no lead moves by 5 µV: a loose cable, not asystole.

    Asystole keeps the noise of electrodes and amplifier in at least one lead. None is found where the unit must be
    wrong, since then everything seems still.
    """
    if seen.usual_amplitude_mv.max() < TINY_MV:
        return np.empty((0, 2))
    stretches = _merged(seen.still_stretches_s.T)
    lengths = np.diff(stretches, axis=1)[:, 0]
    alive = float(np.sum(seen.end_s - seen.begin_s) - lengths.sum())
    quiet = float(seen.quiet_s.sum() - lengths.sum())
    least = DEAD_WITHOUT_NOISE_S if quiet > STILL_BETWEEN_BEATS * alive else DEAD_S
    return stretches[lengths >= least - 1e-6]


def noise_stretches_s(
    seen: Windows, r_peaks_s: NDArray[np.float64], likeness: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(stretch, 2) begin and end in s of the times in which every lead is nothing but noise.

    Args:
        seen: the windows of the whole recording.
        r_peaks_s: (beat,) R peaks in s, ascending.
        likeness: (beat,) how much each beat resembles the others: what tells a noisy heart from noise.
    """
    suspect = all_noisy(seen)
    if suspect.any():
        place = np.clip(np.searchsorted(seen.begin_s, r_peaks_s, side="right") - 1, 0, len(suspect) - 1)
        counted = suspect[place]
        times, total = r_peaks_s[counted], np.concatenate([[0.0], np.cumsum(likeness[counted])])
        middle = (seen.begin_s + seen.end_s) / 2
        first, last = (np.searchsorted(times, middle + side) for side in (-NEAR_S, NEAR_S))
        suspect &= total[last] - total[first] <= ALIKE * (last - first)
    noise = runs(suspect)
    return np.stack([seen.begin_s[noise[:, 0]], seen.end_s[noise[:, 1] - 1]], axis=1)


def interruptions_s(dead: NDArray[np.float64], noise: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Dead and noise stretches, (stretch, 2) s each, with the times to both sides in which beats are uncertain.

    The step to a dead stretch looks like a QRS; noise may begin and end unseen half a window away.
    """
    both_sides = np.array([-1.0, 1.0])
    return dead + STEP_S * both_sides, noise + WINDOW_S / 2 * both_sides


def inside(times_s: NDArray[np.float64], stretches: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(time,) whether each time lies in one of the stretches (stretch, 2), ascending."""
    begun, ended = (np.searchsorted(stretches[:, k], times_s, side="right") for k in (0, 1))
    return begun > ended


def without_qrs_s(
    r_peaks_s: NDArray[np.float64], interrupted_s: NDArray[np.float64], seconds: float
) -> NDArray[np.float64]:
    """(stretch, 2) begin and end in s of the times from beat to beat, and to the ends of the recording.

    An interruption ends a stretch and begins the next: what was not recorded is no part of a pause.

    Args:
        r_peaks_s: (beat,) s.
        interrupted_s: (interruption, 2) s, in any order; they may overlap and reach beyond the recording.
        seconds: duration of the recording.
    """
    beats = np.stack([r_peaks_s, r_peaks_s], axis=1)
    known = np.concatenate([[[0.0, 0.0]], beats, np.clip(interrupted_s, 0.0, seconds), [[seconds, seconds]]])
    known = known[np.argsort(known[:, 0], kind="stable")]
    free = np.stack([np.maximum.accumulate(known[:-1, 1]), known[1:, 0]], axis=1)
    return free[free[:, 1] > free[:, 0]]


def stretch_notices(dead: NDArray[np.float64], noise: NDArray[np.float64]) -> list[Notice]:
    """What the reader of a report must know of stretches that were left out of the heart rate."""
    notices = []
    if len(dead):
        text = f"Dead stretch{'es' * (len(dead) > 1)} {_spoken(dead)}: no lead moves there; left out of the heart rate."
        notices.append(Notice("dead_stretch", text))
    if len(noise):
        text = f"All leads are nothing but noise {_spoken(noise)}: what beats there is left out of the heart rate."
        notices.append(Notice("noise_stretch", text))
    return notices


def _merged(stretches: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stretches that touch, as they do where a recording is walked in blocks, as one."""
    if not len(stretches):
        return stretches
    apart = stretches[1:, 0] - stretches[:-1, 1] > TOUCHING_S
    return np.stack([stretches[np.r_[True, apart], 0], stretches[np.r_[apart, True], 1]], axis=1)


def _spoken(stretches: NDArray[np.float64]) -> str:
    parts = [f"from {begin:.1f} to {end:.1f} s" for begin, end in stretches[:SAID]]
    if len(stretches) > SAID:
        seconds = float(np.diff(stretches[SAID:], axis=1).sum())
        parts.append(f"{len(stretches) - SAID} more ({seconds:.1f} s)")
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
