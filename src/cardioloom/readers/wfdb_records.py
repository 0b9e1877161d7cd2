"""WFDB records: a header → every channel that it describes, ECG or not, of one segment or of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, NotAnECGError
from cardioloom.readers import limits
from cardioloom.readers.limits import check_shape
from cardioloom.readers.wfdb_header import Header, Signal, load_header
from cardioloom.readers.wfdb_signals import SignalFile, beside, group_files
from cardioloom.readers.wfdb_windows import COMMON_GAIN, GAP, Piece, SegmentedWindow, Take, Window

DEFAULT_FS_HZ = 250.0  # header(5): where the header states no rate
DEFAULT_GAIN = 200.0  # counts a physical unit, header(5): where the gain is absent or 0 ("uncalibrated")


@dataclass(frozen=True, eq=False)
class Decoded:
    """Every channel of a record.

    Args:
        header: as parsed; for a record of segments its ``signals`` are those of the layout.
        n_frames: length of the record.
        takes: where a single segment's samples are, one a channel; empty for a record of segments.
        segments: the segments as (first frame, header, takes); empty for a single segment.
        files: every file that was looked at, the header first.
    """

    header: Header
    n_frames: int
    takes: tuple[Take, ...]
    segments: tuple[tuple[int, Header, tuple[Take, ...]], ...]
    files: tuple[Path, ...]

    @property
    def signals(self) -> tuple[Signal, ...]:
        """One a channel."""
        return self.header.signals

    @property
    def fs(self) -> float:
        """Frames a second, Hz; by the standard's default where the header states none."""
        return self.header.fs or DEFAULT_FS_HZ

    def window(self, channels: Sequence[int]) -> Window | SegmentedWindow:
        """Counts of the given channels, all of one number of samples a frame, (channel, time)."""
        if self.takes:
            return Window([self.takes[channel] for channel in channels], self.n_frames)
        per_frame = self.signals[channels[0]].per_frame
        pieces = []
        for first, header, takes in self.segments:
            names = [signal.name for signal in header.signals]
            found = [(row, at) for row, channel in enumerate(channels) if (at := self._place(channel, names)) >= 0]
            if found:
                own = [header.signals[at] for _, at in found]
                window = Window([takes[at] for _, at in found], header.n_frames or 0)
                gains = tuple(signal.gain or DEFAULT_GAIN for signal in own)
                baselines = tuple(signal.baseline for signal in own)
                pieces.append(Piece(first * per_frame, window, tuple(row for row, _ in found), gains, baselines))
        rescaled = [self._is_mixed(pieces, row) for row in range(len(channels))]
        return SegmentedWindow(pieces, (len(channels), self.n_frames * per_frame), rescaled)

    def _place(self, channel: int, names: list[str]) -> int:
        if not self.is_variable:
            return channel
        name = self.signals[channel].name
        return names.index(name) if name in names else -1

    @property
    def is_variable(self) -> bool:
        """True where the master's first segment is a layout: segments then differ in their signals."""
        return bool(self.header.segments) and self.header.segments[0][1] == 0

    @staticmethod
    def _is_mixed(pieces: list[Piece], row: int) -> bool:
        scales = set()
        for piece in pieces:
            if row in piece.rows:
                n = piece.rows.index(row)
                scales.add((piece.gain[n], piece.baseline[n]))
        return len(scales) > 1

    def scales(self, window: Window | SegmentedWindow, channels: Sequence[int]) -> list[tuple[float, int, int]]:
        """(counts a unit, baseline, count that means "not recorded") of each row of a window."""
        if isinstance(window, Window):
            own = [(self.signals[channel].gain or DEFAULT_GAIN, self.signals[channel].baseline) for channel in channels]
            return [(*scale, take.invalid) for scale, take in zip(own, window.takes, strict=True)]
        found: list[tuple[float, int, int]] = [(DEFAULT_GAIN, 0, GAP)] * len(channels)
        for piece in window.pieces:
            for row, gain, baseline in zip(piece.rows, piece.gain, piece.baseline, strict=True):
                found[row] = (COMMON_GAIN, 0, GAP) if window.rescaled[row] else (gain, baseline, GAP)
        return found

    def physical(self, channel: int) -> NDArray[np.float64]:
        """One channel in its own unit, (time,), NaN = not recorded: wfdb's ``e_p_signal[channel]``."""
        window = self.window([channel])
        if isinstance(window, SegmentedWindow):
            return window.physical(0)
        gain, baseline, invalid = self.scales(window, [channel])[0]
        counts = window[:, :][0]
        values = counts.astype(np.float64)
        values -= baseline
        values /= gain
        values[counts == invalid] = np.nan
        return values


def decode(header_path: Path, header: Header | None = None) -> Decoded:
    """Every channel of the record whose header this is; samples are read when asked for.

    Raises:
        DamagedFileError: if the header, or a file that it needs, is absent, truncated or contradictory.
        LimitError: if the record is larger than this library accepts.
        NotAnECGError: if the record has no signals at all.
    """
    header = header or load_header(header_path)
    if header.segments:
        return _segmented(header_path, header)
    signals = tuple(signal for signal in header.signals if signal.format != "0")
    if not signals:
        raise NotAnECGError(f"{header_path.name} describes no stored signal: name the header of a recording")
    files = group_files(header_path, signals, header.n_frames)
    n_frames = header.n_frames or min(file.n_frames for file in files)
    if header.n_frames is None:
        files = [replace(file, n_frames=n_frames) for file in files]
    longest = max(signal.per_frame for signal in signals) * n_frames
    check_shape(header_path.name, len(signals), longest, in_memory=any(file.format == "8" for file in files))
    paths = (header_path, *(file.path for file in files))
    plain = header._replace(signals=signals, n_frames=n_frames)
    return Decoded(plain, n_frames, _takes(signals, files), (), paths)


def _takes(signals: tuple[Signal, ...], files: list[SignalFile]) -> tuple[Take, ...]:
    by_name = {file.signals[0].file: file for file in files}
    column = dict.fromkeys(by_name, 0)
    takes = []
    for signal in signals:
        takes.append(Take(by_name[signal.file], column[signal.file], signal.per_frame, signal.skew))
        column[signal.file] += signal.per_frame
    return tuple(takes)


def _segmented(master: Path, header: Header) -> Decoded:
    total = sum(length for _, length in header.segments)
    if header.n_frames not in (None, total):
        raise DamagedFileError(
            f"{master.name} announces {header.n_frames} samples but its segments have {total}: copy it again"
        )
    check_shape(master.name, header.n_signals, total)
    known: dict[str, tuple[Header, tuple[Take, ...], tuple[Path, ...]]] = {}
    segments, layout, first = [], None, 0
    files = [master]
    for n, (name, length) in enumerate(header.segments):
        if name != "~":
            if name not in known:
                known[name] = _segment(master, header, name, length, is_layout=n == 0 and length == 0)
            own, takes, paths = known[name]
            files += [path for path in paths if path not in files]
            layout = layout or own
            if length:
                segments.append((first, own, takes))
        first += length
    if layout is None or not segments:
        raise NotAnECGError(f"{master.name} consists of gaps only, without one sample: name another record")
    _check_layout(master, header, layout, [own for _, own, _ in segments])
    plain = header._replace(signals=layout.signals, n_frames=total, fs=header.fs or layout.fs)
    return Decoded(plain, total, (), tuple(segments), tuple(files))


def _segment(
    master: Path, header: Header, name: str, length: int, *, is_layout: bool
) -> tuple[Header, tuple[Take, ...], tuple[Path, ...]]:
    path = beside(master, f"{name}.hea")
    if not path.is_file():
        raise DamagedFileError(f"{master.name} needs its segment {path.name}, which is not beside it: copy all of them")
    own = load_header(path)
    if own.segments:
        raise DamagedFileError(f"{master.name} has a segment {path.name} that has segments itself: name that record")
    if header.fs is not None and own.fs not in (None, header.fs):
        raise DamagedFileError(
            f"{path.name} states {own.fs:g} Hz but {master.name} {header.fs:g} Hz: correct the wrong one"
        )
    if is_layout:
        return own, (), (path,)
    decoded = decode(path, own)
    if decoded.n_frames != length:
        raise DamagedFileError(
            f"{path.name} has {decoded.n_frames} samples but {master.name} announces {length}: copy both again"
        )
    return decoded.header, decoded.takes, (path, *decoded.files[1:])


def _check_layout(master: Path, header: Header, layout: Header, segments: list[Header]) -> None:
    by_name = header.segments[0][1] == 0
    if len(layout.signals) != header.n_signals:
        raise DamagedFileError(
            f"{master.name} announces {header.n_signals} signals but {layout.file} has {len(layout.signals)}: copy both"
        )
    rates = {signal.name: signal.per_frame for signal in layout.signals}
    units = {signal.name: (signal.unit or "mV").lower() for signal in layout.signals}
    for own in segments:
        if not by_name and len(own.signals) != header.n_signals:
            raise DamagedFileError(
                f"{own.file} has {len(own.signals)} signals but {master.name} announces {header.n_signals}: copy both"
            )
        for n, signal in enumerate(own.signals):
            name = signal.name if by_name else layout.signals[n].name
            unit = (signal.unit or "mV").lower()
            if rates.get(name, signal.per_frame) != signal.per_frame or units.get(name, unit) != unit:
                raise DamagedFileError(
                    f"{own.file} gives the signal {signal.name!r} another unit or rate than {layout.file} does: "
                    "convert that segment by itself"
                )


def is_long(record: Decoded) -> bool:
    """True where the samples stay on the files, as windows, rather than being decoded at once."""
    return record.n_frames * sum(signal.per_frame for signal in record.signals) > limits.LAZY_VALUES
