"""Ultrasound videos in DICOM: frames in grey or red, green, blue, their rate, and the size of a pixel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, MissingFactError, ReadError
from cardioloom.readers import dicom_elements
from cardioloom.readers.dicom_elements import check_pixels, elements, number
from cardioloom.readers.dicom_facts import device_of, patient_of
from cardioloom.readers.limits import check_video
from cardioloom.readers.sentences import one_sentence
from cardioloom.records import Echo, Source

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# What is read of a file: nothing that names the patient.
TAGS = ["SOPClassUID", "SpecificCharacterSet", "Modality", "Manufacturer", "ManufacturerModelName"]
TAGS += ["StudyDate", "AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime"]
TAGS += ["PatientAge", "PatientBirthDate", "PatientSex", "BurnedInAnnotation"]
TAGS += ["FrameTime", "FrameTimeVector", "ActualFrameDuration", "CineRate", "RecommendedDisplayFrameRate"]
TAGS += ["SequenceOfUltrasoundRegions", *dicom_elements.PIXEL_TAGS]
TWO_D, TISSUE, CM = 1, 1, 3  # RegionSpatialFormat, RegionDataType, PhysicalUnits (PS3.3 C.8.5.5)
REGION_ENDS = ("MinX0", "MinY0", "MaxX1", "MaxY1")
UNEVEN = 0.1  # share of the median by which frames may differ in time without a note
MAX_FPS = 10_000.0


def read_ultrasound(path: Path, fps: float | None, view: str) -> Echo:
    """The video of a multi-frame ultrasound object.

    Args:
        path: the file.
        fps: frames a second, for files that do not state it.
        view: name of the view, "" = not known.

    Raises:
        ReadError: if it is no ultrasound, a single picture, damaged, too large, or of unknown rate.
        MissingExtraError: if no installed package decodes its compression.
    """
    notes: list[str] = []
    with one_sentence(path.name, "dicom"):
        data = elements(path, TAGS)
    uid = data.get("SOPClassUID")
    if data.get("Modality") != "US" and not str(uid).startswith("1.2.840.10008.5.1.4.1.1.3"):
        kind = getattr(uid, "name", None) or "of an unknown class"
        raise ReadError(f"{path.name} is {kind}, not ultrasound: name a multi-frame ultrasound file")
    with one_sentence(path.name, "dicom"):
        check_pixels(path.name, data)
        n_frames = int(data.get("NumberOfFrames") or 1)
        if n_frames < 2:
            raise DamagedFileError(f"{path.name} is a single picture, not a video: name a multi-frame file")
        frames = _frames(path, data, n_frames)
        rate = _rate(path.name, data, fps, notes)
        pixel_mm = _pixel_mm(data, notes)
        if str(data.get("BurnedInAnnotation")).upper() == "YES":
            notes.append("the pictures hold written text, which may name the patient")
        patient = patient_of(data, notes)
    source = Source(path, "dicom", (path,))
    return Echo(frames, rate, view, pixel_mm, device_of(data), source, tuple(notes), patient)


def without_colour(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(time, row, col) of frames (time, row, col, 3) whose three channels are equal everywhere; else as they are."""
    is_grey = all((frame[..., :1] == frame).all() for frame in frames)
    return np.ascontiguousarray(frames[..., 0]) if is_grey else frames


def _frames(path: Path, data: Dataset, n_frames: int) -> NDArray[np.uint8]:
    rows, columns = int(data.Rows), int(data.Columns)
    channels = 1 if str(data.get("PhotometricInterpretation")).startswith("MONOCHROME") else 3
    check_video(path.name, n_frames, rows, columns, channels)
    if (bits := int(data.get("BitsStored") or 8)) > 8:
        raise DamagedFileError(f"{path.name} has pixels of {bits} bits, but ultrasound has 8: export it with 8 bits")
    frames = np.empty((n_frames, rows, columns, channels)[: 3 + (channels > 1)], np.uint8)
    for index, frame in enumerate(dicom_elements.pictures(path)):
        if index >= n_frames:
            break
        if frame.shape != frames.shape[1:]:
            raise DamagedFileError(
                f"frame {index + 1} of {path.name} has the shape {frame.shape}, not {frames.shape[1:]} as stated: "
                "export it again"
            )
        frames[index] = frame >> 8 if frame.dtype == np.uint16 else frame  # lookup tables of colour have 16 bits
    if data.get("PhotometricInterpretation") == "MONOCHROME1":
        np.subtract(255, frames, out=frames)
    return frames if channels == 1 else without_colour(frames)


def _rate(name: str, data: Dataset, told: float | None, notes: list[str]) -> float:
    """Frames a second: by the time between frames, else by the rates of recording and of display."""
    stated = {key: number(data, key) for key in ("FrameTime", "ActualFrameDuration")}
    rates = [1000 / ms for ms in stated.values() if ms]
    steps = np.array(data.get("FrameTimeVector") or [], np.float64)[1:]  # the first is 0
    if len(steps) and steps.mean() > 0:
        rates.append(float(1000 / steps.mean()))
        if np.abs(steps - np.median(steps)).max() > UNEVEN * np.median(steps):
            notes.append("the frames lie unevenly in time: their mean rate was taken")
    display = [number(data, key) for key in ("CineRate", "RecommendedDisplayFrameRate")]
    if not rates and any(display):
        notes.append("the rate is that of display: the file states no time between frames")
    rates += [rate for rate in display if rate]
    if not rates:
        if told is None:
            raise MissingFactError(f"{name} states no frame rate: give fps= as frames a second")
        return told
    if not 0 < rates[0] <= MAX_FPS:
        raise DamagedFileError(f"{name} states {rates[0]:g} frames a second, which cannot be: correct the file")
    if told is not None and told != rates[0]:
        notes.append(f"fps {told:g} was not used: the file states {rates[0]:g}")
    return rates[0]


def _pixel_mm(data: Dataset, notes: list[str]) -> tuple[float, float] | None:
    """(row, col) of the largest two-dimensional region of tissue whose scale is in cm."""
    rows, columns = int(data.Rows), int(data.Columns)
    found: list[tuple[float, tuple[float, float]]] = []
    for region in data.get("SequenceOfUltrasoundRegions") or []:
        if region.get("RegionSpatialFormat") != TWO_D or region.get("RegionDataType") != TISSUE:
            continue
        if {region.get(f"PhysicalUnits{axis}Direction") for axis in "XY"} != {CM}:
            continue
        left, top, right, bottom = (number(region, f"RegionLocation{end}") or 0 for end in REGION_ENDS)
        if right > columns or bottom > rows:
            notes.append("the size of a pixel was left out: the stated region of tissue is larger than the picture")
            continue
        size = [abs(number(region, f"PhysicalDelta{axis}") or 0) * 10 for axis in "YX"]
        if min(size) > 0:
            found.append(((right - left) * (bottom - top), (size[0], size[1])))
    return max(found)[1] if found else None
