"""The short way from a WFDB record to an array, for training and bulk work: one segment, format 16 or 212.

The plain way (`cardioloom.readers.wfdb`) checks and names more; both give the same numbers.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, UsageError
from cardioloom.readers.limits import MAX_HEADER_BYTES
from cardioloom.readers.told import millivolts_per
from cardioloom.readers.wfdb_header import format_fields, gain_fields
from cardioloom.readers.wfdb_records import DEFAULT_GAIN, decode
from cardioloom.readers.wfdb_signals import FORMATS, unpack_212

FAST_FORMATS = frozenset({"16", "212"})
# Frames whose scales are laid side by side, so that arithmetic runs along hundreds of values and not along a dozen.
_TILED_FRAMES = 50
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


class _Scales(NamedTuple):
    """What the counts of each signal mean, in shapes that are ready to compute with."""

    gain: NDArray[np.float64]  # (signal,) counts a unit
    baseline: NDArray[np.float64]  # (signal,)
    tiled_gain: NDArray[np.float64]  # (_TILED_FRAMES × signal,)
    units: tuple[str, ...]


def read_physical(path: str | Path, *, out: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """All signals of a record in the header's units, bit-equal to ``wfdb.rdsamp(record)[0]``.

    Args:
        path: the header (.hea).
        out: (time, signal), C-contiguous float64, is filled and returned where given.

    Returns:
        (time, signal); NaN = not recorded.

    Raises:
        DamagedFileError: if a file is absent, truncated or contradictory, or a gain is 0.
        UsageError: if ``out`` has another shape or type, or the record needs the plain way.
    """
    counts, kind, scales = _counts(path)
    out = _buffer(out, counts.shape, np.dtype(np.float64))
    low, high = int(counts.min(initial=0)), int(counts.max(initial=0))
    split = len(counts) - len(counts) % _TILED_FRAMES
    body, rest = counts[:split].reshape(-1, scales.tiled_gain.size), counts[split:]
    if scales.baseline.any():
        # Whole numbers either way; where the difference fits 16 bits it is several times as fast.
        least, most = scales.baseline.min(), scales.baseline.max()
        fits = min(least, low - most) >= -32768 and max(most, high - least) <= 32767
        baseline = np.tile(scales.baseline.astype(np.int16 if fits else np.float64), _TILED_FRAMES)
        body, rest = body - baseline, rest - baseline[: scales.baseline.size]
    np.divide(body, scales.tiled_gain, out=out[:split].reshape(body.shape))
    np.divide(rest, scales.gain, out=out[split:])
    invalid = FORMATS[kind][1]
    if low <= invalid:
        out[counts == invalid] = np.nan
    return out


def read_millivolts(path: str | Path, *, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """All signals of a record in mV, one row a signal: ``wfdb.rdsamp(record)[0].T`` as float32, bit-equal where in mV.

    Args:
        path: the header (.hea).
        out: (signal, time), C-contiguous float32, is filled and returned where given.

    Returns:
        (signal, time) mV; NaN = not recorded.

    Raises:
        DamagedFileError: if a file is absent, truncated or contradictory, or a gain is 0.
        UsageError: if ``out`` has another shape or type, a unit is no voltage, or the record needs the plain way.
    """
    counts, kind, scales = _counts(path)
    out = _buffer(out, counts.shape[::-1], np.dtype(np.float32))
    gain = (scales.gain / _factors(scales.units))[:, None]
    out[:] = counts.T
    invalid = FORMATS[kind][1]
    gaps = out == invalid if counts.min(initial=0) <= invalid else None
    gain32, baseline = gain.astype(np.float32), scales.baseline[:, None]
    # Quotients of float32 operands are the same float32 computed through float64 or directly
    # (53 bits are at least 2 × 24 + 2, Figueroa 1995); other gains go the long way.
    if (gain32 == gain).all() and abs(baseline).max() < 1 << 23:
        if scales.baseline.any():
            out -= baseline.astype(np.float32)
        out /= gain32
    else:
        out[:] = (out.astype(np.float64) - baseline) / gain
    if gaps is not None:
        out[gaps] = np.nan
    return out


@lru_cache(maxsize=64)
def _factors(units: tuple[str, ...]) -> NDArray[np.float64]:
    """(signal,) mV a unit."""
    factors = [millivolts_per(unit) for unit in units]
    if None in factors:
        unit = units[factors.index(None)]
        raise UsageError(f"the record has a signal in {unit}, which is no voltage: use read_physical")
    return np.array(factors, np.float64)


def _counts(path: str | Path) -> tuple[NDArray[np.integer], str, _Scales]:
    """((frame, signal) counts, format, scales)."""
    try:
        plain = _plain(os.fspath(path))
    except (OSError, ValueError, IndexError):
        plain = None  # the thorough way reads it, or says in a sentence what is wrong
    counts, kind, scales = plain or _thorough(Path(path))
    if not scales.gain.all():
        raise DamagedFileError(
            f"{Path(path).name} states a gain of 0 for a signal: write the counts per unit into the header"
        )
    return counts, kind, scales


def _plain(path: str) -> tuple[NDArray[np.integer], str, _Scales] | None:
    """The usual record (one signal file, one format, all fields of the header there), or None for any other."""
    text = _read(path, 0, None).decode()
    lines = [line for line in map(str.strip, text.split("\n")) if line and line[0] != "#"]
    _, n_signals, fs, length, *_ = lines[0].split(None, 5)
    rows = [line.split(None, 5) for line in lines[1:]]
    width, n_frames, file, token = int(n_signals), int(length), rows[0][0], rows[0][1]
    layout = format_fields(token)
    unusual = "/" in lines[0].split(None, 1)[0] or not float(fs) > 0 or n_frames < 1 or width != len(rows)
    outside = "/" in file or "\\" in file or ":" in file
    if unusual or outside or layout is None or layout[0] not in FAST_FORMATS or layout[1:3] != (1, 0):
        return None
    scale_tokens = []
    for name, kind, gain, bits, zero, _ in rows:
        if name != file or kind != token or not bits.isdigit():
            return None
        scale_tokens += (gain, zero)
    n_values = n_frames * width
    n_bytes = 2 * n_values if layout[0] == "16" else (3 * n_values + 1) // 2
    data = _read(os.path.join(os.path.dirname(path), file), layout[3], n_bytes)
    flat = np.frombuffer(data, "<i2") if layout[0] == "16" else unpack_212(data, n_values)
    return flat.reshape(n_frames, width), layout[0], _scales_of_tokens(tuple(scale_tokens))


def _read(path: str, offset: int, n_bytes: int | None) -> bytes:
    """``n_bytes`` of a file that is no link, or the whole of a header.

    Raises:
        OSError, ValueError: if that cannot be; the caller then goes the thorough way.
    """
    if not hasattr(os, "O_NOFOLLOW") and os.path.islink(path):
        raise ValueError("a link")
    handle = os.open(path, _OPEN_FLAGS)
    try:
        size = os.fstat(handle).st_size
        wanted = size if n_bytes is None else n_bytes
        if offset + wanted > size or (n_bytes is None and size > MAX_HEADER_BYTES):
            raise ValueError("too short, or too large a header")
        if offset:
            os.lseek(handle, offset, os.SEEK_SET)
        data = os.read(handle, wanted)
    finally:
        os.close(handle)
    if len(data) != wanted:
        raise ValueError("read in part")
    return data


@lru_cache(maxsize=8)
def _scales_of_tokens(tokens: tuple[str, ...]) -> _Scales:
    """Scales of signals whose header fields are gain(baseline)/unit, ADC zero, gain(baseline)/unit, …"""
    scales = []
    for token, zero in zip(tokens[::2], tokens[1::2], strict=True):
        fields = gain_fields(token)
        if fields is None:
            raise ValueError(token)
        gain, baseline, unit = fields
        scales.append((gain, int(zero) if baseline is None else baseline, unit or "mV"))
    return _scales(scales)


def _scales(scales: list[tuple[float, int, str]]) -> _Scales:
    gains, baselines, units = zip(*scales, strict=True)
    gain, baseline = np.array(gains, np.float64), np.array(baselines, np.float64)
    if not np.isfinite(gain).all():
        raise ValueError("a gain that is no number")
    return _Scales(gain, baseline, np.tile(gain, _TILED_FRAMES), units)


def _thorough(path: Path) -> tuple[NDArray[np.integer], str, _Scales]:
    record = decode(path)
    signals = record.signals
    formats = {signal.format for signal in signals}
    simple = all(signal.per_frame == 1 and not signal.skew for signal in signals)
    if not record.takes or not simple or len(formats) > 1 or not formats <= FAST_FORMATS:
        raise UsageError(
            f"{path.name} is not one segment in format 16 or 212 with one rate and no skew: use cardioloom.load"
        )
    stated = [DEFAULT_GAIN if signal.gain is None else signal.gain for signal in signals]
    units = [signal.unit or "mV" for signal in signals]
    scales = _scales(list(zip(stated, [signal.baseline for signal in signals], units, strict=True)))
    counts = record.window(range(len(signals)))[:, :]
    return np.ascontiguousarray(counts.T), formats.pop(), scales


def _buffer(out: NDArray | None, shape: tuple[int, ...], dtype: np.dtype) -> NDArray:
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
        raise UsageError(
            f"out must be a C-contiguous {dtype} array of shape {shape}, got {out.dtype} {out.shape}: use np.empty"
        )
    return out
