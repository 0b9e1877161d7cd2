"""Fewer bytes for an ECG, none lost: differences along time, the bytes sorted by weight, Zstandard.

Differences of neighbouring samples are small, so that after zigzag coding (0, −1, 1, −2 … → 0, 1, 2, 3 …) nearly every
high byte is 0; all low bytes come first, then all high ones. 16-bit arithmetic wraps round, both ways alike.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError

LEVEL = 1  # higher ones take longer and save less than a percent


def pack(counts: NDArray[np.int16]) -> bytes:
    """(lead, time) as bytes, with a checksum of the samples in the last four."""
    import pyarrow as pa

    counts = np.ascontiguousarray(counts, "<i2")
    steps = counts.copy()
    np.subtract(counts[:, 1:], counts[:, :-1], out=steps[:, 1:])
    zigzag = ((steps << 1) ^ (steps >> 15)).view(np.uint8)
    planes = np.concatenate([zigzag.reshape(-1, 2)[:, 0], zigzag.reshape(-1, 2)[:, 1]])
    packed: bytes = pa.Codec("zstd", LEVEL).compress(planes.tobytes(), asbytes=True)
    return packed + zlib.crc32(counts.data).to_bytes(4, "little")


def unpack(packed: bytes, out: NDArray[np.int16]) -> None:
    """Fill ``out`` (lead, time) with what `pack` was given.

    Raises:
        DamagedFileError: if the bytes are not those of such an array.
    """
    import pyarrow as pa

    try:
        planes = np.frombuffer(pa.Codec("zstd").decompress(packed[:-4], out.size * 2, asbytes=True), np.uint8)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedFileError(
            "a packed ECG cannot be unpacked: copy the cohort again from where it was built"
        ) from error
    low, high = planes.reshape(2, *out.shape)
    zigzag = low | (high.astype(np.uint16) << 8)
    steps = (zigzag >> 1).view(np.int16) ^ -(zigzag & 1).view(np.int16)
    np.cumsum(steps, axis=1, dtype=np.int16, out=out)
    if zlib.crc32(np.ascontiguousarray(out, "<i2").data) != int.from_bytes(packed[-4:], "little"):
        raise DamagedFileError("a packed ECG is not what was written: copy the cohort again from where it was built")
