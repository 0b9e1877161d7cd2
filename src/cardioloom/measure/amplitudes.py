"""What one lead of the median beat shows: amplitudes, durations and areas of its waves, and ST levels."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.features import LeadWaves
from cardioloom.measure.median_beat import LEVEL_BACK_S, LEVEL_S

# A deflection counts from 20 µV and 6 ms on (CSE Working Party 1985, doi:10.1093/oxfordjournals.eurheartj.a061756),
# and from this share of the lead's QRS where the unit is not physical or the QRS is tall.
LEAST_MV, LEAST_MS, LEAST_SHARE = 0.02, 6.0, 0.02
NOTCH_SHARE, NOTCH_MV = 0.05, 0.03  # a notch is this deep: of the deflection and at least
ST_POINTS_S = {"j": 0.0, "j60": 0.06, "j80": 0.08}
ST_WIDTH_S = 0.004  # levels are means of this much to both sides


def lead_waves(
    beat: NDArray[np.float64], marks: Mapping[str, float], fs: float, *, least_mv: float = LEAST_MV
) -> LeadWaves | None:
    """Measure one lead of the median beat.

    Args:
        beat: (time,) mV.
        marks: global marks on it, samples; ``qrs_on`` and ``qrs_off`` are needed, P and T marks may be NaN.
        fs: sampling rate, Hz.
        least_mv: the smallest deflection that counts.

    Returns:
        None where the lead was not recorded or the QRS has no bounds.
    """
    on, off = marks.get("qrs_on", np.nan), marks.get("qrs_off", np.nan)
    if not (np.isfinite(on) and np.isfinite(off)) or not np.isfinite(beat).all() or off <= on:
        return None
    on, off = round(on), min(round(off), len(beat) - 1)
    stop = max(1, on - round(LEVEL_BACK_S * fs))
    level = float(np.mean(beat[max(0, stop - max(1, round(LEVEL_S * fs))) : stop]))
    wave = beat - level
    qrs = wave[on : off + 1]
    values = _deflections(qrs, fs, least_mv) | _p_and_t(wave, marks, fs)  # only what was found: the rest is 0 or None
    st = {name: at for name, s in ST_POINTS_S.items() if (at := _level_at(wave, off + s * fs, fs)) is not None}
    return LeadWaves(qrs_area=float(qrs.sum() / fs), st=st, notched=_is_notched(qrs, fs, least_mv), **values)


def _level_at(wave: NDArray[np.float64], at: float, fs: float) -> float | None:
    half = max(0, round(ST_WIDTH_S * fs))
    first, last = round(at) - half, round(at) + half + 1
    return float(wave[first:last].mean()) if first >= 0 and last <= len(wave) else None


def _deflections(qrs: NDArray[np.float64], fs: float, least_mv: float) -> dict[str, float]:
    """Q, R, S, R′, S′ and their durations; a QRS without positive deflection is a Q (QS)."""
    least = max(least_mv, LEAST_SHARE * float(np.ptp(qrs)))
    sign = np.sign(qrs)
    edges = np.concatenate([[0], np.flatnonzero(np.diff(sign)) + 1, [len(qrs)]])
    waves: list[tuple[int, int]] = []
    for first, last in pairwise(edges.tolist()):
        part = qrs[first:last]
        if np.abs(part).max() < least or 1000 * len(part) / fs < LEAST_MS:
            continue
        if waves and np.sign(qrs[waves[-1][0]]) == sign[first]:
            waves[-1] = (waves[-1][0], last)  # what lay between was too small to count
        else:
            waves.append((first, last))
    names = ["r", "s", "r_prime", "s_prime"]
    if waves and sign[waves[0][0]] < 0:
        names = ["q", *names]
    found: dict[str, float] = {}
    for name, (first, last) in zip(names, waves, strict=False):
        part = qrs[first:last]
        found[name] = float(part[np.abs(part).argmax()])
        if name != "s_prime":
            found[f"{name}_ms"] = 1000.0 * (last - first) / fs
        if name in ("r", "r_prime") and found[name] >= found["r"]:
            found["r_peak_ms"] = 1000.0 * (first + int(part.argmax())) / fs
    return found


def _is_notched(qrs: NDArray[np.float64], fs: float, least_mv: float) -> bool:
    """Whether the main deflection has two summits with a dip of its own sign between them."""
    main = qrs if qrs.max() >= -qrs.min() else -qrs
    top = float(main.max())
    deep = max(NOTCH_SHARE * top, min(NOTCH_MV, 10 * least_mv))
    summits = [k for k in range(1, len(main) - 1) if main[k - 1] < main[k] >= main[k + 1] and main[k] > 0.3 * top]
    least_gap = max(2, round(0.012 * fs))
    for first, second in ((a, b) for n, a in enumerate(summits) for b in summits[n + 1 :]):
        dip = float(main[first:second].min())
        if second - first >= least_gap and dip > 0 and min(main[first], main[second]) - dip >= deep:
            return True
    return False


def _p_and_t(wave: NDArray[np.float64], marks: Mapping[str, float], fs: float) -> dict[str, float]:
    found: dict[str, float] = {}
    part = _between(wave, marks.get("p_on", np.nan), marks.get("p_off", np.nan))
    if part is not None:
        part = part - np.linspace(part[0], part[-1], len(part))
        found |= {"p": float(part[np.abs(part).argmax()]), "p_area": float(part.sum() / fs)}
    part = _between(wave, marks.get("t_on", np.nan), marks.get("t_off", np.nan))
    if part is not None:
        found |= {"t": float(part[np.abs(part).argmax()]), "t_area": float(part.sum() / fs)}
    return found


def _between(wave: NDArray[np.float64], first: float, last: float) -> NDArray[np.float64] | None:
    if not (np.isfinite(first) and np.isfinite(last)):
        return None
    part = wave[max(0, round(first)) : round(last) + 1]
    return part if len(part) > 2 else None
