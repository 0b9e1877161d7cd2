"""NumPy's NPZ: ``signal`` (lead, time) float32 mV, ``leads``, ``fs``, and the recorder's integers beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import WriteError
from cardioloom.records import ECG
from cardioloom.writers.atomic import replacing

MAX_BYTES = 2 << 30


def write(ecg: ECG, path: Path) -> None:
    """Write the ECG as named arrays without Python objects.

    Always ``signal``, ``leads``, ``fs``; with counts also ``counts``, ``gain`` (counts per mV), ``baseline`` and
    ``invalid`` (NaN = none); where known ``derived``, ``age``, ``sex``, ``start`` (ISO 8601), ``device``, ``measured``
    (names) with ``measured_values``, ``stated``, ``notes``. The record is held in memory as a whole.

    Raises:
        WriteError: if the arrays exceed 2 GiB, the most that is read back.
    """
    itemsize = 4 + (ecg.counts.values.dtype.itemsize if ecg.counts else 0)
    if (n_bytes := itemsize * ecg.shape[0] * ecg.shape[1]) > MAX_BYTES:
        raise WriteError(f"{path.name} would hold {n_bytes} bytes, more than the {MAX_BYTES} of NPZ here: write WFDB")
    arrays: dict[str, NDArray] = {
        "signal": ecg.signal,
        "leads": np.array(ecg.leads),
        "fs": np.array(ecg.fs),
    }
    if ecg.counts is not None:
        invalid = [np.nan if count is None else count for count in ecg.counts.invalid]
        arrays["counts"] = np.asarray(ecg.counts.values[:, :])
        arrays |= {"gain": ecg.counts.gain, "baseline": ecg.counts.baseline, "invalid": np.array(invalid, np.float64)}
    for name, texts in (
        ("derived", ecg.derived),
        ("stated", ecg.stated),
        ("notes", ecg.notes),
        ("measured", tuple(ecg.measured)),
    ):
        if texts:
            arrays[name] = np.array(texts)
    if ecg.measured:
        arrays["measured_values"] = np.array([*ecg.measured.values()], np.float64)
    for name in ("age", "sex"):
        if name in ecg.patient:
            arrays[name] = np.array(ecg.patient[name])
    if ecg.start is not None:
        arrays["start"] = np.array(ecg.start.isoformat())
    if ecg.device is not None:
        arrays["device"] = np.array(ecg.device)
    with replacing(Path(path)) as part, part.open("xb") as file:
        np.savez(file, allow_pickle=False, **arrays)
