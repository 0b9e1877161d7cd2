"""Windows on WFDB files: (lead, time) counts that are decoded when they are sliced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardioloom.readers.wfdb_signals import FORMATS, SignalFile

# Gaps of a record of several segments; no format stores a valid sample of this count.
GAP = -(1 << 31)
# Where segments differ in gain or baseline: counts a physical unit into which all are converted, so that one
# count (a billionth) is below what float32 resolves from 0.01 units upwards.
COMMON_GAIN = 1e9


@dataclass(frozen=True)
class Take:
    """Where the samples of one channel lie: in which columns of whose frames."""

    file: SignalFile
    column: int
    per_frame: int
    skew: int = 0

    @property
    def invalid(self) -> int:
        return FORMATS[self.file.format][1]


class Window:
    """Channels of one rate of a single segment, as integers that are read when sliced.

    Args:
        takes: one a row.
        n_frames: of the record.
    """

    def __init__(self, takes: Sequence[Take], n_frames: int):
        self.takes = tuple(takes)
        self.per_frame = self.takes[0].per_frame
        self.shape = (len(self.takes), n_frames * self.per_frame)
        self.dtype = np.result_type(*(take.file.dtype for take in self.takes))

    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[np.integer]:
        rows, times = key
        start, stop, step = times.indices(self.shape[1])
        takes, k = self.takes[rows], self.per_frame
        if not takes or stop <= start:
            return np.empty((len(takes), len(range(start, stop, step))), self.dtype)
        first, last = start // k, -(-stop // k)
        counts = self._decoded(takes, first, last)
        return counts[:, start - first * k : stop - first * k : step]

    def _decoded(self, takes: tuple[Take, ...], first: int, last: int) -> NDArray[np.integer]:
        k, n_frames = self.per_frame, last - first
        counts: NDArray[np.integer] = np.empty((len(takes), n_frames * k), self.dtype)
        for file in dict.fromkeys(take.file for take in takes):
            rows = [row for row, take in enumerate(takes) if take.file is file]
            # A skewed signal's samples lie so many frames later in the file.
            reach = max(takes[row].skew for row in rows)
            frames = file.frames(first, min(last + reach, file.n_frames))
            if len(rows) == len(takes) == file.width and not reach and self._in_order(takes):
                np.copyto(counts, frames.T)
                continue
            for row in rows:
                take = takes[row]
                own = frames[take.skew : take.skew + n_frames, take.column : take.column + k].reshape(-1)
                counts[row, : own.size] = own
                counts[row, own.size :] = take.invalid
        return counts

    @staticmethod
    def _in_order(takes: tuple[Take, ...]) -> bool:
        return all(take.column == row for row, take in enumerate(takes))


@dataclass(frozen=True, eq=False)
class Piece:
    """One segment: what its window's rows are in the whole record, and the scale that their counts have there."""

    start: int  # sample of the whole record
    window: Window
    rows: tuple[int, ...]
    gain: tuple[float, ...]
    baseline: tuple[int, ...]

    def overlap(self, start: int, stop: int) -> tuple[int, int]:
        """The samples of ``start:stop`` that this segment has; empty where the first is not below the second."""
        return max(start, self.start), min(stop, self.start + self.window.shape[1])


class SegmentedWindow:
    """Channels of one rate of a record of several segments; `GAP` where a segment does not have a channel.

    Args:
        pieces: the segments.
        shape: (channels, samples of the whole record).
        rescaled: one a row: True where its segments differ in scale and are converted to `COMMON_GAIN`.
    """

    def __init__(self, pieces: Sequence[Piece], shape: tuple[int, int], rescaled: Sequence[bool]):
        self.pieces = tuple(pieces)
        self.rescaled = tuple(rescaled)
        self.shape = shape
        self.dtype = np.dtype(np.int64 if any(rescaled) else np.int32)

    def __getitem__(self, key: tuple[slice, slice], /) -> NDArray[np.integer]:
        rows, times = key
        start, stop, step = times.indices(self.shape[1])
        counts = np.full((self.shape[0], max(stop - start, 0)), GAP, self.dtype)
        for piece in self.pieces:
            first, last = piece.overlap(start, stop)
            if first < last:
                self._fill(counts[:, first - start : last - start], piece, first, last)
        return counts[rows, ::step]

    def _fill(self, target: NDArray[np.integer], piece: Piece, first: int, last: int) -> None:
        own = piece.window[:, first - piece.start : last - piece.start]
        for n, row in enumerate(piece.rows):
            values = own[n]
            gone = values == piece.window.takes[n].invalid
            if self.rescaled[row]:
                physical = (values.astype(np.float64) - piece.baseline[n]) / piece.gain[n]
                values = np.rint(physical * COMMON_GAIN).astype(np.int64)
            target[row] = values
            target[row][gone] = GAP

    def physical(self, row: int) -> NDArray[np.float64]:
        """One channel in the unit of its header, (time,), exact where segments differ in scale; NaN = not recorded."""
        out = np.full(self.shape[1], np.nan)
        for piece in self.pieces:
            if row not in piece.rows:
                continue
            n = piece.rows.index(row)
            values = piece.window[n : n + 1, :][0]
            part = out[piece.start : piece.start + len(values)]
            part[:] = (values - float(piece.baseline[n])) / piece.gain[n]
            part[values == piece.window.takes[n].invalid] = np.nan
        return out
