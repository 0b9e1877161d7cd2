"""NumPy's NPZ: ``signal`` (lead, time) float32 mV, ``leads``, ``fs``, and the recorder's integers beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardioloom.records import ECG
from cardioloom.writers.atomic import replacing


def write(ecg: ECG, path: Path) -> None:
    """Write the ECG as named arrays without Python objects.

    Always ``signal``, ``leads``, ``fs``; with counts also ``counts``, ``gain`` (counts per mV), ``baseline`` and
    ``invalid`` (NaN = none); where known ``derived``, ``age``, ``sex``, ``start`` (ISO 8601), ``device``, ``stated``.
    """
    arrays: dict[str, NDArray] = {
        "signal": ecg.signal,
        "leads": np.array(ecg.leads),
        "fs": np.array(ecg.fs),
    }
    if ecg.counts is not None:
        invalid = [np.nan if count is None else count for count in ecg.counts.invalid]
        arrays["counts"] = np.asarray(ecg.counts.values[:, :])
        arrays |= {"gain": ecg.counts.gain, "baseline": ecg.counts.baseline, "invalid": np.array(invalid, np.float64)}
    for name, texts in (("derived", ecg.derived), ("stated", ecg.stated)):
        if texts:
            arrays[name] = np.array(texts)
    for name in ("age", "sex"):
        if name in ecg.patient:
            arrays[name] = np.array(ecg.patient[name])
    if ecg.start is not None:
        arrays["start"] = np.array(ecg.start.isoformat())
    if ecg.device is not None:
        arrays["device"] = np.array(ecg.device)
    with replacing(Path(path)) as part, part.open("xb") as file:
        np.savez(file, allow_pickle=False, **arrays)
