"""The electrocardiogram."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import RecordError
from cardioloom.records.counts import Counts, combined
from cardioloom.records.leads import CHEST_LEADS, DERIVABLE_LEADS, FROM_I_AND_II, STANDARD_LEADS, derive
from cardioloom.records.text import printable


@dataclass(frozen=True)
class Source:
    """Where a record came from.

    Args:
        file: the file it was opened by.
        format: name of that file's format.
        files: every file it was read from.
        record: the recording's own name, where the file holds many.
    """

    file: Path
    format: str
    files: tuple[Path, ...] = ()
    record: str | None = None


@dataclass(frozen=True, eq=False)
class ECG:
    """An electrocardiogram as it was recorded. Its texts are kept without control characters.

    Args:
        samples: (lead, time) mV as floats, NaN = not recorded; or `Counts`, the recorder's integers.
        leads: one name a lead; the standard twelve by their standard names, any other by its own.
        fs: sampling rate, Hz.
        derived: names of the leads that were computed from others.
        start: when the recording began, if known.
        device: what recorded it, if known.
        source: the file it came from, if any.
        patient: what the file says of its patient: ``age`` (years), ``sex`` ("M" or "F").
        measured: values the device measured, by name, with the unit in the name (``"qrs_duration_ms"``).
        stated: sentences the device or a reader stated.
        notes: what was assumed, left out or odd when the file was read; they become warnings of the report.

    Raises:
        RecordError: if the values contradict each other (shapes, names, rate, infinite samples).
    """

    samples: NDArray[np.floating] | Counts
    leads: tuple[str, ...]
    fs: float
    derived: tuple[str, ...] = ()
    start: datetime | None = None
    device: str | None = None
    source: Source | None = None
    patient: Mapping[str, float | str] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)
    stated: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.samples, Counts):
            object.__setattr__(self, "samples", _checked(self.samples))
        for name in ("leads", "derived", "stated", "notes"):
            object.__setattr__(self, name, tuple(map(printable, getattr(self, name))))
        object.__setattr__(self, "device", printable(self.device) or None if self.device else None)
        object.__setattr__(self, "measured", {printable(name): value for name, value in self.measured.items()})
        object.__setattr__(self, "fs", float(self.fs))
        n_leads, n_samples = self.shape
        if n_leads < 1 or n_samples < 1:
            raise RecordError(f"an ECG needs at least one lead and one sample, got shape {self.shape}")
        if len(self.leads) != n_leads:
            raise RecordError(f"{n_leads} leads need as many names, got {len(self.leads)}: {', '.join(self.leads)}")
        if len(set(self.leads)) != n_leads:
            raise RecordError(f"lead names must differ from each other, got {', '.join(self.leads)}")
        if not (np.isfinite(self.fs) and self.fs > 0):
            raise RecordError(f"the sampling rate must be a positive number of Hz, got {self.fs}")
        if unknown := set(self.derived) - set(self.leads):
            raise RecordError(f"derived leads must be among the leads, got {', '.join(sorted(unknown))}")

    @property
    def shape(self) -> tuple[int, int]:
        """(number of leads, number of samples)."""
        rows = self.samples.values if isinstance(self.samples, Counts) else self.samples
        return rows.shape[0], rows.shape[1]

    @property
    def counts(self) -> Counts | None:
        """The recorder's integers where the file had them."""
        return self.samples if isinstance(self.samples, Counts) else None

    @cached_property
    def signal(self) -> NDArray[np.float32]:
        """(lead, time) mV, NaN = not recorded. Long recordings: prefer `blocks`, this reads everything."""
        signal = self.samples.millivolts() if isinstance(self.samples, Counts) else self.samples
        return np.asarray(signal, np.float32)

    @property
    def seconds(self) -> float:
        """Duration, s."""
        return self.shape[1] / self.fs

    def window(self, start: int, stop: int) -> ECG:
        """Samples ``start:stop`` as an ECG of their own; only they are read from a long file."""
        n_samples = self.shape[1]
        start, stop, _ = slice(start, stop).indices(n_samples)
        if isinstance(self.samples, Counts):
            return replace(self, samples=self.samples.window(start, stop))
        return replace(self, samples=self.samples[:, start:stop])

    def blocks(self, seconds: float, overlap: float = 0.0) -> Iterator[tuple[float, ECG]]:
        """Walk the recording in bounded memory.

        Args:
            seconds: length of a block; the last may be shorter.
            overlap: how much of the previous block each block repeats at its beginning, s.

        Yields:
            (offset in s of the block's first sample, the block).
        """
        size, back = max(1, round(seconds * self.fs)), round(overlap * self.fs)
        if back >= size:
            raise RecordError(f"the overlap must be shorter than the block, got {overlap} s of {seconds} s")
        n_samples = self.shape[1]
        for start in range(0, n_samples, size - back):
            if start > 0 and start + back >= n_samples:
                return  # nothing new is left: the previous block held it
            yield start / self.fs, self.window(start, min(start + size, n_samples))

    def select(self, leads: Sequence[str]) -> ECG:
        """The given leads only, in the given order.

        Raises:
            RecordError: if one of them is not in this record.
        """
        if missing := [lead for lead in leads if lead not in self.leads]:
            raise RecordError(f"this ECG has leads {', '.join(self.leads)}, not {', '.join(missing)}")
        rows = [self.leads.index(lead) for lead in leads]
        samples = self.samples.take(rows) if isinstance(self.samples, Counts) else self.samples[rows]
        derived = tuple(lead for lead in self.derived if lead in leads)
        return replace(self, samples=samples, leads=tuple(leads), derived=derived)

    def with_derived_leads(self) -> ECG:
        """III, aVR, aVL and aVF added where only I, II and V1–V6 are stored; otherwise this ECG itself."""
        has_eight = {"I", "II", *CHEST_LEADS} <= set(self.leads)
        if not has_eight or set(DERIVABLE_LEADS) & set(self.leads):
            return self
        own = [lead for lead in self.leads if lead not in STANDARD_LEADS]
        leads = (*STANDARD_LEADS, *own)
        samples = _derived_counts(self, leads) if isinstance(self.samples, Counts) else None
        if samples is None:
            signal = dict(zip(self.leads, self.signal, strict=True))
            signal |= {lead: derive(lead, signal["I"], signal["II"]) for lead in DERIVABLE_LEADS}
            samples = np.stack([signal[lead] for lead in leads])
        return replace(self, samples=samples, leads=leads, derived=DERIVABLE_LEADS)


def _checked(samples: NDArray[np.floating]) -> NDArray[np.float32]:
    samples = np.asarray(samples)
    if samples.ndim != 2 or not np.issubdtype(samples.dtype, np.floating):
        raise RecordError(f"the signal must be floats of shape (lead, time), got {samples.dtype} {samples.shape}")
    with np.errstate(over="ignore"):
        signal = samples.astype(np.float32, copy=False)
    if np.isinf(signal).any():
        raise RecordError("the signal holds infinite values: mark what was not recorded as NaN")
    return signal


def _derived_counts(ecg: ECG, leads: tuple[str, ...]) -> Counts | None:
    """Counts of the twelve leads; exact, because half a count becomes the size of the derived leads' count."""
    counts = ecg.counts
    if counts is None:
        return None
    one, two = ecg.leads.index("I"), ecg.leads.index("II")
    if counts.gain[one] != counts.gain[two]:
        return None
    weights = np.zeros((len(leads), len(ecg.leads)), np.int64)
    scale = np.ones(len(leads))
    invalid: list[int | None] = []
    for row, lead in enumerate(leads):
        if lead in DERIVABLE_LEADS:
            weights[row, [one, two]] = [round(2 * weight) for weight in FROM_I_AND_II[lead]]
            scale[row] = 2
            invalid.append(int(np.iinfo(np.int32).min))
        else:
            weights[row, ecg.leads.index(lead)] = 1
            invalid.append(counts.invalid[ecg.leads.index(lead)])
    return Counts(
        values=combined(counts, weights, tuple(invalid)),
        gain=scale * np.where(scale == 2, counts.gain[one], np.abs(weights) @ counts.gain),
        baseline=weights @ counts.baseline,
        invalid=tuple(invalid),
    )
