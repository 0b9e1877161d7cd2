"""Signal quality of each lead: what a technician would see, with the number behind each word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.windows import STILL_MV, Windows
from cardioloom.records import LeadQuality

NOISE_SHARE = 0.06  # broadband noise SD above this share of the lead's amplitude
NOISE_MV = 0.15  # or above this, unless it is so much that the unit must be wrong
CALM_MV = 0.01  # never below this where the unit is plausible: every recorder has some, and a pause nothing else
IMPLAUSIBLE_NOISE_MV = 2.0
# Noise SD over the amplitude of the same window. Where there is nothing but noise it is 0.15 to 0.18 if the noise is
# white, 0.05 to 0.07 if it ends at 40 Hz; in the best lead of each of 396 real recordings it stays below 0.02.
WHITE_NOISE = 0.14
SUSPECT_NOISE = 0.05
CLIPPED_TOTAL_S = 0.04
WANDER_SHARE = 0.6  # slow movement of the baseline above this share of the lead's amplitude
WANDER_MV = 0.3  # and above this
IMPLAUSIBLE_MV = 20.0  # peak to peak; the tallest human QRS stay below 10 mV
TINY_MV = 0.05  # the largest lead below this: volts declared as millivolts, or no patient

FLAT_SHARE = 0.2  # of the recorded time; less is not called flat
LEAST_SHARE = 0.1  # of the recorded time; less of another problem is not worth a word
THROUGHOUT = 0.8  # of the recorded time; more counts as all of it

# What is left of a lead's score of 1 after each problem that lasts throughout.
REMAINS = {
    "missing": 0.0,
    "flat": 0.0,
    "clipped": 0.5,
    "noisy": 0.5,
    "wandering": 0.8,
    "mains hum 50 Hz": 0.8,
    "mains hum 60 Hz": 0.8,
    "implausible unit": 0.5,
    "breaks Einthoven's identity": 0.6,
}


@dataclass(frozen=True)
class LeadState:
    """What was found of one lead.

    Args:
        amplitude_mv: the usual height of its waves, mV; 0 where nothing was recorded.
        missing: share of the recording that was not recorded.
        problems: problem → share of the recorded time; 1 = throughout.
        lost: share of the recorded time with nothing but noise.
        tallest_mv: the height of its tallest waves, mV: of the only beat, where there is one only.
    """

    amplitude_mv: float
    missing: float
    problems: Mapping[str, float]
    lost: float
    tallest_mv: float = 0.0


def lead_states(seen: Windows) -> list[LeadState]:
    """The state of each lead of a recording, row by row."""
    noisy, lost = _noisy(seen), _nothing_but_noise(seen)
    return [_state(seen, row, noisy[row], lost[row]) for row in range(len(noisy))]


def judge(state: LeadState, extra: Mapping[str, float] | None = None) -> LeadQuality:
    """Problems in words and a score from 0 to 1; ``extra`` are problems found by comparing leads."""
    found = {**state.problems, **(extra or {})}
    score = 1.0 - state.missing
    for problem, share in found.items():
        score *= 1.0 - share * (1.0 - REMAINS[problem])
    if "noisy" in found:
        score *= 1.0 - state.lost
    return LeadQuality(round(score, 3), problem_words(state.missing, found))


def problem_words(missing: float, problems: Mapping[str, float]) -> tuple[str, ...]:
    """Each problem in words, with its share where that is not the whole."""
    words = [problem if share == 1 else f"{problem} ({share:.0%} of the time)" for problem, share in problems.items()]
    if 0 < missing < 1:
        words.append(f"gaps ({max(missing, 0.01):.0%} not recorded)")
    return tuple(words)


def suspect_noise(seen: Windows) -> NDArray[np.bool_]:
    """(window,) where the leads are so noisy for their height that there may be no heart in them."""
    moves = seen.moves
    mean = np.where(moves, _noise_ratio(seen), 0.0).sum(axis=0) / np.maximum(moves.sum(axis=0), 1)
    return mean > SUSPECT_NOISE


def all_noisy(seen: Windows) -> NDArray[np.bool_]:
    """(window,) suspect, and every lead that is recorded and moves is noisy."""
    return suspect_noise(seen) & (~seen.moves | _noisy(seen)).all(axis=0)


def _state(seen: Windows, row: int, noisy: NDArray[np.bool_], lost: NDArray[np.bool_]) -> LeadState:
    recorded, amplitude = seen.recorded_s[row], float(seen.usual_amplitude_mv[row])
    tallest, total = float(seen.amplitude_mv[row].max()), float(recorded.sum())
    missing = max(0.0, round(1.0 - total / float(np.sum(seen.end_s - seen.begin_s)), 9))
    if total == 0:
        return LeadState(0.0, 1.0, {"missing": 1.0}, 0.0)

    def share(where: NDArray[np.bool_]) -> float:
        return float(recorded[where].sum()) / total

    flat = float(seen.still_s[row].sum()) / total
    if flat > THROUGHOUT:
        return LeadState(amplitude, missing, {"flat": 1.0}, 0.0, tallest)
    clipped = seen.clipped_s[row] > 0 if seen.clipped_s[row].sum() >= CLIPPED_TOTAL_S else np.zeros_like(noisy)
    found = {
        "flat": flat if flat > FLAT_SHARE else 0.0,
        "clipped": share(clipped),
        "noisy": share(noisy),
        "wandering": share(seen.wander_mv[row] > max(WANDER_SHARE * amplitude, WANDER_MV)),
        "implausible unit": share(seen.amplitude_mv[row] > IMPLAUSIBLE_MV),
    }
    said = {problem: 1.0 if part > THROUGHOUT else part for problem, part in found.items() if part >= LEAST_SHARE}
    return LeadState(amplitude, missing, said, share(lost), tallest)


def _noisy(seen: Windows) -> NDArray[np.bool_]:
    """(lead, window)"""
    floor = CALM_MV if seen.amplitude_mv.max() >= TINY_MV else STILL_MV
    least = np.maximum(NOISE_SHARE * seen.usual_amplitude_mv, floor)[:, None]
    absolute = (seen.noise_mv > NOISE_MV) & (seen.noise_mv < IMPLAUSIBLE_NOISE_MV)
    return seen.judged & ((seen.noise_mv > least) | absolute)


def _noise_ratio(seen: Windows) -> NDArray[np.floating]:
    """(lead, window) noise SD over the amplitude of the same window."""
    return seen.noise_mv / np.maximum(seen.amplitude_mv, np.float32(STILL_MV))


def _nothing_but_noise(seen: Windows) -> NDArray[np.bool_]:
    """(lead, window)"""
    return _noisy(seen) & (_noise_ratio(seen) > WHITE_NOISE)
