"""Wave marks as a report lists them: seconds from the start, beat by beat, in their natural order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cardioloom.measure.delineation import MARKS


def times(
    samples: Mapping[str, NDArray[np.float64]], fs: float, offset: float, *, has_p: bool
) -> list[dict[str, float]]:
    """Marks of every beat in s, one mapping a beat; marks that are not there are absent.

    Args:
        samples: mark → (beat,) samples of a part of the recording, NaN where there is none.
        fs: sampling rate, Hz.
        offset: begin of the part, s.
        has_p: False where no bump is a P wave.
    """
    seconds = [(samples[mark] / fs + offset).tolist() for mark in MARKS]
    return [
        _in_order({mark: round(s, 4) for mark, s in zip(MARKS, beat, strict=True) if s == s}, has_p=has_p)
        for beat in zip(*seconds, strict=True)
    ]


def _in_order(at: dict[str, float], *, has_p: bool) -> dict[str, float]:
    """Marks of one beat in s, in their natural order; what contradicts it is left out."""
    qrs_on, qrs_off = at.get("qrs_on", -np.inf), at.get("qrs_off", np.inf)
    if "r_peak" in at:
        # The R peak over leads may lie outside the median onset and end of a very wide QRS.
        at["r_peak"] = min(max(at["r_peak"], qrs_on), qrs_off)
    if "p_off" in at and qrs_on > -np.inf:
        at["p_off"] = min(at["p_off"], qrs_on)
    for first, middle, last in (("p_on", "p_peak", "p_off"), ("t_on", "t_peak", "t_off")):
        begin, stop = at.get(first, -np.inf), at.get(last, np.inf)
        is_out = (begin >= stop) or (first == "p_on" and not has_p) or (first == "t_on" and stop <= qrs_off < np.inf)
        for mark in (first, middle, last) if is_out else ():
            at.pop(mark, None)
        if middle in at and not begin < at[middle] < stop:
            del at[middle]
    if at.get("t_on", np.inf) < qrs_off < np.inf:
        del at["t_on"]
    return {mark: at[mark] for mark in MARKS if mark in at}
