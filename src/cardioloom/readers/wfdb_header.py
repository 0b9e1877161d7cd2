"""WFDB header files: text → values, by header(5) of the WFDB Applications Guide, with what real files do otherwise.

https://physionet.org/physiotools/wag/header-5.htm
"""

from __future__ import annotations

import math
import os
import re
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from cardioloom.errors import DamagedFileError
from cardioloom.readers.limits import MAX_FS_HZ, MAX_HEADER_BYTES, check_file, check_shape

MAX_PER_FRAME = 10_000  # samples of one signal in one frame

_FORMAT = re.compile(r"(\d{1,4})(?:x(\d{1,6}))?(?::(\d{1,9}))?(?:\+(\d{1,12}))?$")
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_GAIN = re.compile(rf"({_NUMBER})(?:\(([-+]?\d{{1,18}})(?:\.0*)?\))?(?:/(\S+))?$")
_MAX_COUNT = 1 << 33  # counts have 32 bits at most; baselines may lie somewhat outside
_INTEGER = re.compile(r"[-+]?\d{1,18}$")


class Signal(NamedTuple):
    """One signal line."""

    file: str
    format: str
    per_frame: int  # samples a frame
    skew: int  # frames
    offset: int  # bytes before the first sample
    gain: float | None  # counts a physical unit; None where the header gives none
    baseline: int  # the count of physical zero
    unit: str | None
    initial: int  # start of format 8's differences
    checksum: int | None
    name: str  # the description; "" where there is none


class Header(NamedTuple):
    """One header file; either ``signals`` or ``segments`` is filled."""

    file: str
    n_signals: int
    fs: float | None  # frames a second, Hz
    n_frames: int | None  # None where the header leaves it to the signal file's size
    start: datetime | None
    signals: tuple[Signal, ...]
    segments: tuple[tuple[str, int], ...]  # (record name or "~", frames)
    comments: tuple[str, ...]


def load_header(path: Path) -> Header:
    """Read and parse a header file.

    Raises:
        DamagedFileError: if it is empty, no text, or contradicts itself.
        LimitError: if it is too large or announces too much.
    """
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if not 0 < size <= MAX_HEADER_BYTES:
            check_file(path, MAX_HEADER_BYTES)
        data = file.read(size)
    if b"\0" in data:
        raise DamagedFileError(f"{path.name} is not a text file, so it is no WFDB header: export or copy it again")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # µV and names in the encodings of older devices
    return parse_header(text, path.name)


def parse_header(text: str, file: str) -> Header:
    """The values of a header's text.

    Args:
        text: the whole header.
        file: its name, for messages.

    Raises:
        DamagedFileError: if the text is no header or contradicts itself.
        LimitError: if it announces too many signals or samples.
    """
    lines, comments = [], []
    for raw in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        line = raw.strip()
        if line.startswith("#"):
            comments.append(line.lstrip(" \t#"))
        elif line:
            lines.append(line)
    if not lines:
        raise DamagedFileError(f"{file} holds no record line: export or copy it again")
    n_segments, n_signals, fs, n_frames, start = _record_line(lines[0], file)
    check_shape(file, n_signals, n_frames or 0)
    rows = lines[1:]
    if len(rows) != (n_signals if n_segments is None else n_segments):
        what = f"{n_signals} signals" if n_segments is None else f"{n_segments} segments"
        raise DamagedFileError(f"{file} announces {what} but describes {len(rows)}: export or copy it again")
    signals, segments = (), ()
    if n_segments is None:
        signals = tuple([_signal_line(row, file) for row in rows])
    else:
        segments = tuple([_segment_line(row, file) for row in rows])
    return Header(file, n_signals, fs, n_frames or None, start, signals, segments, tuple(comments))


def _record_line(line: str, file: str) -> tuple[int | None, int, float | None, int, datetime | None]:
    parts = line.split()
    # The name itself is not used: files get renamed, and some headers write it with .mat or .hea behind it.
    _, slash, n_segments = parts[0].partition("/")
    try:
        segments = int(n_segments) if slash else None
        n_signals = int(parts[1])
        fs = float(parts[2].partition("/")[0].partition("(")[0]) if len(parts) > 2 else None
        n_frames = int(parts[3]) if len(parts) > 3 else 0
    except (ValueError, IndexError) as error:
        raise DamagedFileError(
            f"{file} has no valid record line, got {line[:80]!r}: export or copy it again"
        ) from error
    if n_signals < 0 or n_frames < 0 or (segments is not None and segments < 1):
        raise DamagedFileError(f"{file} announces a negative number, got {line[:80]!r}: export or copy it again")
    if fs is not None and not 0 < fs <= MAX_FS_HZ:
        raise DamagedFileError(
            f"{file} states a sampling rate of {fs:g} Hz, which cannot be (above 0, up to {MAX_FS_HZ:g}): correct it"
        )
    return segments, n_signals, fs, n_frames, _start(parts[4:6])


def _start(parts: list[str]) -> datetime | None:
    # Only the standard's own order, time then DD/MM/YYYY: "05-Feb-2020 11:39:16", as the Challenge
    # writes it, is the day on which those files were converted, not the day of the recording.
    if len(parts) != 2 or parts[1].count("/") != 2:
        return None
    try:
        day, month, year = (int(part) for part in parts[1].split("/"))
        *earlier, seconds = parts[0].split(":")
        clock = [0, 0, *(int(part) for part in earlier)]
        return datetime(year, month, day) + timedelta(hours=clock[-2], minutes=clock[-1], seconds=float(seconds))
    except (ValueError, OverflowError):
        return None  # an impossible date is a missing date


@lru_cache(maxsize=4096)
def format_fields(token: str) -> tuple[str, int, int, int] | None:
    """(format, samples a frame, skew in frames, offset in bytes) of ``16x1:0+24``; None where it is none."""
    match = _FORMAT.match(token)
    if match is None:
        return None
    kind, per_frame, skew, offset = match.groups()
    return str(int(kind)), int(per_frame or 1), int(skew or 0), int(offset or 0)


@lru_cache(maxsize=4096)
def gain_fields(token: str) -> tuple[float, int | None, str | None] | None:
    """(counts a unit, baseline, unit) of ``1000(0)/mV``, None for parts that are absent; None where it is none."""
    match = _GAIN.match(token)
    if match is None:
        return None
    gain, baseline, unit = match.groups()
    return float(gain), None if baseline is None else int(baseline), unit


def _signal_line(line: str, file: str) -> Signal:
    parts = line.split(None, 8)
    kind = format_fields(parts[1]) if len(parts) > 1 else None
    if kind is None or not 0 < kind[1] <= MAX_PER_FRAME:
        raise DamagedFileError(f"{file} has a signal line without a format, got {line[:80]!r}: export or copy it again")
    scale = gain_fields(parts[2]) if len(parts) > 2 else None
    try:
        numbers, name = [int(part) for part in parts[3:8]], parts[8]
        if scale is None:
            raise IndexError
    except (ValueError, IndexError):
        numbers, name = _short_line(line, file, scale is not None)
    gain, baseline, unit = scale or (None, None, None)
    if gain is not None and not math.isfinite(gain):
        raise DamagedFileError(f"{file} states a gain that is no number, got {line[:80]!r}: correct it")
    numbers += [None] * (5 - len(numbers))
    _, adc_zero, initial, checksum, _ = numbers
    if baseline is None:
        baseline = adc_zero or 0
    if not (-_MAX_COUNT < baseline < _MAX_COUNT and -_MAX_COUNT < (initial or 0) < _MAX_COUNT):
        raise DamagedFileError(f"{file} states a count beyond 32 bits, got {line[:80]!r}: correct it")
    return Signal(parts[0], *kind, gain, baseline, unit, initial or 0, checksum, name)


def _short_line(line: str, file: str, has_gain: bool) -> tuple[list[int | None], str]:
    # Optional fields are left out from the right; a description may follow early, as wfdb tolerates.
    n_known = 3 if has_gain else 2
    parts = line.split(None, n_known)
    rest = parts[n_known] if len(parts) > n_known else ""
    if not has_gain:
        if re.match(r"[-+.]?\d", rest):
            raise DamagedFileError(f"{file} has an unreadable gain, got {line[:80]!r}: correct it")
        return [], rest
    numbers: list[int | None] = []
    while rest and len(numbers) < 5 and _INTEGER.match(rest.split(None, 1)[0]):
        number, *tail = rest.split(None, 1)
        numbers.append(int(number))
        rest = tail[0] if tail else ""
    return numbers, rest


def _segment_line(line: str, file: str) -> tuple[str, int]:
    parts = line.split()
    if len(parts) < 2 or not re.fullmatch(r"\d{1,18}", parts[1]):
        raise DamagedFileError(
            f"{file} has a segment line without a length, got {line[:80]!r}: export or copy it again"
        )
    check_shape(file, 0, int(parts[1]))
    return parts[0], int(parts[1])
