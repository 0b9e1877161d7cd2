"""Integer samples as the recorder stored them, with what one count means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import RecordError


class IntegerSamples(Protocol):
    """What ``Counts.values`` must offer: a (lead, time) array, or a window on a file that acts like one."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...
    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[np.integer]: ...


@dataclass(frozen=True, eq=False)
class Counts:
    """Samples in counts: ``mV = (values - baseline) / gain``.

    Args:
        values: (lead, time) integers; an array, or a lazy window on a long file (sliced, never copied whole).
        gain: (lead,) counts per mV, finite and not zero.
        baseline: (lead,) the count that means 0 mV; may be fractional (EDF).
        invalid: (lead,) the count that means "not recorded", or None where a lead has no such count.

    Raises:
        RecordError: if shapes disagree, values are not integers, or a gain is zero or not finite.
    """

    values: IntegerSamples
    gain: NDArray[np.float64]  # (lead,)
    baseline: NDArray[np.float64]  # (lead,)
    invalid: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        gain = np.atleast_1d(np.asarray(self.gain, np.float64))
        baseline = np.atleast_1d(np.asarray(self.baseline, np.float64))
        if len(self.values.shape) != 2 or not np.issubdtype(self.values.dtype, np.integer):
            raise RecordError(
                f"counts must be integers of shape (lead, time), got {self.values.dtype} {self.values.shape}"
            )
        n_leads = self.values.shape[0]
        if gain.shape != (n_leads,) or baseline.shape != (n_leads,):
            raise RecordError(
                f"{n_leads} leads need as many gains and baselines, got {gain.shape} and {baseline.shape}"
            )
        if not (np.isfinite(gain).all() and np.isfinite(baseline).all() and (gain != 0).all()):
            raise RecordError(f"gains must be finite and not zero and baselines finite, got {gain} and {baseline}")
        if self.invalid and len(self.invalid) != n_leads:
            raise RecordError(f"{n_leads} leads need as many invalid counts, got {len(self.invalid)}")
        object.__setattr__(self, "gain", gain)
        object.__setattr__(self, "baseline", baseline)
        object.__setattr__(self, "invalid", tuple(self.invalid) or (None,) * n_leads)

    @property
    def size_mv(self) -> NDArray[np.float64]:
        """(lead,) the size of one count in mV."""
        return 1.0 / self.gain

    def millivolts(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Samples ``start:stop`` of every lead in mV, (lead, time); NaN = not recorded."""
        values = np.asarray(self.values[:, slice(start, stop)])
        signal = np.empty(values.shape, np.float32)
        for row, (count, out) in enumerate(zip(values, signal, strict=True)):
            # One lead at a time keeps the float64 intermediate in the cache.
            out[:] = (count - self.baseline[row]) / self.gain[row]
            if self.invalid[row] is not None:
                out[count == self.invalid[row]] = np.nan
        return signal

    def window(self, start: int, stop: int) -> Counts:
        """The same leads, samples ``start:stop`` only, read now if they lie in a file."""
        return Counts(np.asarray(self.values[:, start:stop]), self.gain, self.baseline, self.invalid)

    def take(self, rows: list[int]) -> Counts:
        """The given leads only, in the given order."""
        weights = np.zeros((len(rows), self.values.shape[0]), np.int64)
        weights[np.arange(len(rows)), rows] = 1
        invalid = tuple(self.invalid[row] for row in rows)
        return Counts(combined(self, weights, invalid), self.gain[rows], self.baseline[rows], invalid)


def combined(counts: Counts, weights: NDArray[np.int64], invalid: tuple[int | None, ...]) -> IntegerSamples:
    """Integer combinations of rows, at once for an array, slice by slice for a window on a long file.

    Args:
        counts: the rows.
        weights: (combination, lead) integers.
        invalid: (combination,) the count to write where a row that takes part was not recorded.
    """
    rows = CombinedRows(counts, weights, invalid)
    return rows[:, :] if isinstance(counts.values, np.ndarray) else rows


@dataclass(frozen=True, eq=False)
class CombinedRows:
    """A (lead, time) window whose rows are integer combinations of another's rows; read when sliced."""

    counts: Counts
    weights: NDArray[np.int64]  # (combination, lead)
    invalid: tuple[int | None, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(combination, time)."""
        return len(self.weights), self.counts.values.shape[1]

    @property
    def dtype(self) -> np.dtype:
        """That of the rows where they are only selected, wider where they are added."""
        own = np.dtype(self.counts.values.dtype)
        return own if np.abs(self.weights).sum(axis=1).max(initial=0) <= 1 else np.promote_types(own, np.int32)

    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[np.integer]:
        chosen, time = key
        values = np.asarray(self.counts.values[:, time])
        weights, marks = self.weights[chosen], self.invalid[chosen]
        result = np.empty((len(weights), values.shape[1]), self.dtype)
        for row, weight, mark in zip(result, weights, marks, strict=True):
            parts = np.flatnonzero(weight)
            if len(parts) == 1 and weight[parts[0]] == 1:
                row[:] = values[parts[0]]
                continue
            row[:] = sum(weight[part] * values[part].astype(np.int64) for part in parts)
            for part in parts:
                if self.counts.invalid[part] is not None and mark is not None:
                    row[values[part] == self.counts.invalid[part]] = mark
        return result
