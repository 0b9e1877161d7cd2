"""The samples of a DICOM waveform: 16-bit integers, made a block at a time, and what one of them means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardioloom.records import ECG, Counts
from cardioloom.writers import scales

INT16 = np.iinfo(np.int16)
MAX_ROUNDED = INT16.max - 1  # rounded leads leave both ends free for "not recorded"


@dataclass(frozen=True)
class Scale:
    """``µV = count × size + offset`` of a lead, both as decimal strings; the recorder's own counts where exact."""

    size: str
    offset: str
    is_exact: bool


def scale_leads(ecg: ECG) -> tuple[list[Scale], int | None]:
    """One scale a lead, and the count that means "not recorded" (None where all was).

    The recorder's counts are kept where they fit 16 bits. Other leads are stored at a usual gain where all of their
    values are whole, else rounded to the finest step with which 16 bits span the largest.
    """
    if ecg.counts is not None:
        return _of_counts(ecg.counts)
    rows = [row[~np.isnan(row)].astype(np.float64) for row in ecg.signal]
    has_gaps = any(row.size < ecg.shape[1] for row in rows)
    return [_of_floats(row) for row in rows], int(INT16.min) if has_gaps else None


def stored_blocks(ecg: ECG, leads: list[Scale], padding: int | None) -> Iterator[bytes]:
    """The samples as they are stored, sample after sample, in blocks."""
    size = max(scales.BLOCK_VALUES // len(leads), 1)
    gap = INT16.min if padding is None else padding
    for start in range(0, ecg.shape[1], size):
        block = ecg.window(start, start + size)
        stored = np.empty(block.shape[::-1], "<i2")
        for row, lead in enumerate(leads):
            stored[:, row] = _stored(block, row, lead, gap)
        yield stored.tobytes()


def _of_counts(counts: Counts) -> tuple[list[Scale], int | None]:
    from pydicom.valuerep import format_number_as_ds

    found = scales.extents(counts)
    fits = [INT16.min <= lead.low and lead.high <= INT16.max for lead in found]
    padding = None
    if any(lead.has_gaps for lead in found):
        ends = {end for lead, fit in zip(found, fits, strict=True) if fit for end in (lead.low, lead.high)}
        padding = int(INT16.max if INT16.min in ends and INT16.max not in ends else INT16.min)
        fits = [fit and padding not in (lead.low, lead.high) for lead, fit in zip(found, fits, strict=True)]
    leads = []
    for lead, fit, gain, baseline in zip(found, fits, counts.gain.tolist(), counts.baseline.tolist(), strict=True):
        if fit:
            leads.append(Scale(format_number_as_ds(1e3 / gain), format_number_as_ds(-1e3 * baseline / gain), True))
        else:
            leads.append(_finest(max(abs((lead.low - baseline) / gain), abs((lead.high - baseline) / gain))))
    return leads, padding


def _of_floats(values: NDArray[np.float64]) -> Scale:
    from pydicom.valuerep import format_number_as_ds

    gain = scales.usual_gain(values, MAX_ROUNDED)
    if gain is not None:
        return Scale(format_number_as_ds(1e3 / gain), "0", False)
    return _finest(float(np.abs(values).max(initial=0.0)))


def _finest(largest_mv: float) -> Scale:
    from pydicom.valuerep import format_number_as_ds

    # Rounded up to what a decimal string holds, so that the largest value stays within 16 bits.
    step = float(f"{1e3 * largest_mv / MAX_ROUNDED * (1 + 1e-9):.10g}")
    return Scale(format_number_as_ds(step or 1.0), "0", False)


def _stored(block: ECG, row: int, lead: Scale, gap: int) -> NDArray[np.integer]:
    counts = block.counts
    if counts is None:
        signal = block.signal[row].astype(np.float64)
        gaps = np.isnan(signal)
    else:
        values, invalid = np.asarray(counts.values[row : row + 1, :])[0], counts.invalid[row]
        gaps = np.zeros(values.shape, bool) if invalid is None else values == invalid
        if lead.is_exact:
            return np.where(gaps, gap, values)
        signal = (values - counts.baseline[row]) / counts.gain[row]
    return np.where(gaps, gap, np.rint(np.where(gaps, 0.0, signal) * 1e3 / float(lead.size)))
