"""The elements of a DICOM file that are asked for, and nothing else of it; its pictures, one by one."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, LimitError, MissingExtraError
from cardioloom.readers.limits import MAX_ARRAY_BYTES, check_file

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

DEFLATED = "1.2.840.10008.1.2.1.99"
PIXEL_TAGS = ["Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"]
PIXEL_TAGS += ["BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "NumberOfFrames"]
PALETTE_TAGS = [
    f"{c}PaletteColorLookupTable{part}" for c in ("Red", "Green", "Blue") for part in ("Descriptor", "Data")
]
DATA_TAGS = [*PALETTE_TAGS, "PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths"]


def elements(path: Path, tags: Collection[str], *, pixels: bool = False) -> Dataset:
    """The elements of these keywords; a file without preamble is accepted.

    Args:
        path: the file.
        tags: keywords of what is wanted.
        pixels: whether reading goes on to the pixel data.

    Raises:
        ReadError: if the file is damaged or too large.
    """
    from pydicom import dcmread
    from pydicom.errors import BytesLengthException, InvalidDicomError

    size = check_file(path, MAX_ARRAY_BYTES)
    with path.open("rb") as file:
        head = file.read(4096)
    if DEFLATED.encode() in head and size * 1032 > MAX_ARRAY_BYTES:  # the most that deflate can shrink
        raise LimitError(
            f"{path.name} is deflated and has {size} bytes, too many to unpack safely: store it uncompressed"
        )
    try:
        # Values that bend the standard are common and harmless here: pydicom's warnings would name them.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = dcmread(path, force=True, specific_tags=list(tags), stop_before_pixels=not pixels)
            for _ in data.iterall():
                pass  # nested sequences are parsed here, where what is wrong with them is caught
    # NotImplementedError is pydicom's word for a value representation that no edition of the standard knows.
    except (InvalidDicomError, BytesLengthException, NotImplementedError, struct.error, MemoryError) as error:
        raise DamagedFileError(f"{path.name} is a damaged DICOM file ({error}): export or copy it again") from error
    if not len(data):
        raise DamagedFileError(f"{path.name} is an empty or truncated DICOM file: export or copy it again")
    return data


def number(data: Dataset, keyword: str) -> float | None:
    """The element as a finite number, None where there is none."""
    value = data.get(keyword)
    if value is None or value == "" or isinstance(value, (list, tuple)):
        return None
    result = float(value)
    return result if np.isfinite(result) else None


def check_pixels(name: str, data: Dataset) -> None:
    """Refuse a picture whose size, or whose count, the file does not state.

    Raises:
        DamagedFileError: naming what is missing.
    """
    for keyword, word in (("Rows", "rows"), ("Columns", "columns")):
        if not data.get(keyword):
            raise DamagedFileError(f"{name} holds no picture (it states no {word}): name a DICOM file with pixel data")
    if data.get("NumberOfFrames") is not None and int(data.NumberOfFrames) < 1:
        raise DamagedFileError(f"{name} states {data.NumberOfFrames} frames: export or copy it again")


def pictures(path: Path) -> Iterator[NDArray]:
    """Each frame of the file, decoded when it is asked for: (row, col) or (row, col, channel); YBR becomes RGB.

    Raises:
        DamagedFileError: if the pixel data are absent, truncated or damaged.
        MissingExtraError: if no installed package decodes their compression.
    """
    from pydicom.pixels.processing import apply_color_lut
    from pydicom.pixels.utils import iter_pixels

    data = elements(path, [*PIXEL_TAGS, *DATA_TAGS], pixels=True)
    if not data.get("PixelData"):
        raise DamagedFileError(f"{path.name} has no pixel data: export or copy it again")
    _need_decoder(path.name, data)
    is_palette = data.get("PhotometricInterpretation") == "PALETTE COLOR"
    stated, done = int(data.get("NumberOfFrames") or 1), 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for frame in iter_pixels(data):
                done += 1
                yield apply_color_lut(frame, data) if is_palette else frame
    # RuntimeError and NotImplementedError: a decoder's refusal, as pydicom passes it on.
    except (RuntimeError, NotImplementedError, struct.error, SyntaxError) as error:
        raise DamagedFileError(
            f"frame {done + 1} of {path.name} could not be decoded: its pixel data are damaged, export or copy it again"
        ) from error
    if done != stated:
        raise DamagedFileError(f"{path.name} states {stated} frames but holds {done}: export or copy it again")


def _need_decoder(name: str, data: Dataset) -> None:
    from pydicom.pixels.decoders.base import get_decoder

    syntax = data.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        raise DamagedFileError(f"{name} does not state how its pixels are stored (no transfer syntax): export it again")
    if not syntax.is_compressed or syntax == DEFLATED:
        return
    try:
        is_there = get_decoder(syntax).is_available
    except NotImplementedError as error:
        raise DamagedFileError(f"{name} is stored as {syntax.name}, which holds no still pictures") from error
    if not is_there:
        raise MissingExtraError(
            f"{name} is stored as {syntax.name}, which no installed package decodes: pip install 'cardioloom[imaging]' "
            "for JPEG and JPEG 2000, pip install python-gdcm for lossless JPEG and JPEG-LS"
        )
