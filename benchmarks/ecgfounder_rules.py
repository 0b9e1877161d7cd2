"""ECGFounder's input where the official code contradicts itself: how far other rules lead from ours, real recordings.

python benchmarks/ecgfounder_rules.py [--json OUT]

In standard deviations of the z-scored input: the first column is the mean over samples of the absolute difference, the
second its largest value; median and maximum over records.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import cardioloom
from cardioloom.errors import CardioloomError
from cardioloom.prepare import PRESETS, filters, prepare, select
from cardioloom.records import ECG, STANDARD_LEADS
from rows import parser, show

SHARED = Path(os.environ.get("CARDIOLOOM_SHARED", Path(__file__).resolve().parents[1].parent / "shared"))
Array = NDArray[np.float64]
PRESET = PRESETS["ecgfounder"]


def records() -> Iterator[ECG]:
    """Every 12-lead recording of at least 5 s in the shared folder."""
    from cardioloom.readers import find

    for file in find(SHARED / "data" / "ecg"):
        try:
            loaded = cardioloom.load(file)
        except CardioloomError:
            continue
        for ecg in loaded if isinstance(loaded, list) else [loaded]:
            if set(STANDARD_LEADS) <= set(ecg.leads) and ecg.seconds >= PRESET.shortest_seconds:
                yield ecg


def filtered(signal: Array, fs: float) -> Array:
    """The preset's steps at a rate."""
    for step in PRESET.steps:
        signal = step.run(signal[None], fs)[0]
    return signal


def millivolts(ecg: ECG) -> Array:
    """(12, time) without gaps."""
    return np.nan_to_num(select(ecg, STANDARD_LEADS))


def ours(ecg: ECG) -> Array:
    """The first window of the preset."""
    return prepare(ecg, PRESET).windows[0].astype(np.float64)


def as_if_500(ecg: ECG) -> Array:
    """dataset.py: filtered as if at 500 Hz, never resampled; the first 5000 samples, filled with zeros."""
    return fitted(filtered(millivolts(ecg), PRESET.fs))


def stretched(ecg: ECG) -> Array:
    """ptbxl_eval.py's resampling before dataset.py's filters: any duration becomes 5000 samples."""
    return filtered(filters.resample_official(millivolts(ecg), ecg.fs), PRESET.fs)


def unfiltered(ecg: ECG) -> Array:
    """ptbxl_eval.py: no filter; z-score of the whole, then any duration becomes 5000 samples."""
    signal = filters.zscore_record(millivolts(ecg)[None], epsilon=1e-8)[0]
    return filters.resample_official(signal, ecg.fs)


def whole_then_cut(ecg: ECG) -> Array:
    """Filters and z-score over the whole record, then the first 10 s."""
    resampled = (
        filters.resample_polyphase(millivolts(ecg), ecg.fs, PRESET.fs) if ecg.fs != PRESET.fs else millivolts(ecg)
    )
    return fitted(filtered(resampled, PRESET.fs))


def fitted(signal: Array) -> Array:
    """5000 samples: cut, or zeros at the end."""
    size = PRESET.window_samples
    return np.pad(signal[:, :size], ((0, 0), (0, max(0, size - signal.shape[1]))))


RULES: dict[str, Callable[[ECG], Array]] = {
    "filtered as if at 500 Hz, not resampled (dataset.py)": as_if_500,
    "stretched to 5000 samples, then filtered": stretched,
    "z-scored and stretched, not filtered (ptbxl_eval.py)": unfiltered,
    "filtered and z-scored over the whole record, then cut": whole_then_cut,
}


def kind(ecg: ECG) -> str:
    """The class of a record for which the rules differ in the same way."""
    rate = "500 Hz" if ecg.fs == PRESET.fs else "another rate"
    length = (
        "10 s" if abs(ecg.seconds - PRESET.window_seconds) < 0.01 else ("longer" if ecg.seconds > 10 else "shorter")
    )
    return f"{rate}, {length}"


def main() -> None:
    """Compare and print or write the rows."""
    arguments = parser(__doc__).parse_args()
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for ecg in records():
        ecg = replace(ecg, patient={})
        reference = ours(ecg)
        for rule, function in RULES.items():
            away = np.abs(function(ecg) - reference)
            found.setdefault((kind(ecg), rule), []).append((float(away.mean()), float(away.max())))
    rows = []
    for (group, rule), pairs in sorted(found.items()):
        mean, largest = np.array(pairs).T
        rows.append(
            {
                "bench": "ecgfounder_rules",
                "records": group,
                "n": len(pairs),
                "rule": rule,
                "mean_difference_median": float(np.median(mean)),
                "mean_difference_max": float(mean.max()),
                "largest_difference_median": float(np.median(largest)),
                "largest_difference_max": float(largest.max()),
            }
        )
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
