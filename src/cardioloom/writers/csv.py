"""CSV: ``time_s``, then a column a lead in mV; an empty cell is "not recorded"."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cardioloom.errors import WriteError
from cardioloom.records import ECG
from cardioloom.writers.atomic import replacing

BLOCK_SAMPLES = 1 << 16  # samples a lead that are turned into text at once


def write(ecg: ECG, path: Path) -> None:
    """Write the ECG as text.

    Each value is the shortest decimal that gives the same float32 again, each time the shortest that gives the same
    float64. Integer counts do not travel: prefer WFDB, DICOM or NPZ where they matter.

    Raises:
        WriteError: if a lead's name holds a character that separates cells.
    """
    path = Path(path)
    if wrong := [lead for lead in ecg.leads if set(lead) & set(',;"\t\r\n')]:
        raise WriteError(f"the lead name {wrong[0]!r} cannot be a CSV column: rename the lead")
    with replacing(path) as part, part.open("x", encoding="utf-8", newline="") as file:
        file.write(",".join(("time_s", *ecg.leads)) + "\n")
        for start in range(0, ecg.shape[1], BLOCK_SAMPLES):
            file.write("".join(_lines(ecg.window(start, start + BLOCK_SAMPLES), start)))


def _lines(block: ECG, start: int) -> Iterator[str]:
    """One line a sample."""
    columns = [_texts(row) for row in block.signal]
    for sample, values in enumerate(zip(*columns, strict=True), start):
        yield f"{sample / block.fs!r},{','.join(values)}\n"


def _texts(row: np.ndarray) -> list[str]:
    """The shortest decimals of float32 values; "" for NaN. Repeated values, the rule in counts, are formatted once."""
    values, at = np.unique(row, return_inverse=True)
    texts = ["" if np.isnan(value) else str(value) for value in values]
    return [texts[n] for n in at]
