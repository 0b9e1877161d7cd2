"""Small DICOM series, NIfTI files and videos, made from known arrays."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from cardioloom.errors import MissingExtraError, ReadError, SomeFailedError

MR, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
US, US_SINGLE = "1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.6.1"
# Short-axis planes as scanners lay them: seen from the apex, the normal (back, right, up) points to the base.
SAX = np.array([[0.77, 0.62, 0.155], [-0.15, 0.41, -0.9]])
SAX[1] -= SAX[1] @ SAX[0] / (SAX[0] @ SAX[0]) * SAX[0]
SAX /= np.linalg.norm(SAX, axis=1, keepdims=True)
SAX_NORMAL = np.cross(SAX[0], SAX[1])
SECRET = "Nightingale^Florence"


def beat(n_times: int = 4, n_slices: int = 3, rows: int = 6, columns: int = 5) -> np.ndarray:
    """(time, slice, row, col) uint16, every pixel of its own value."""
    shape = n_times, n_slices, rows, columns
    return np.arange(1, np.prod(shape) + 1, dtype=np.uint16).reshape(shape)


def dataset(uid: str, pixels: np.ndarray, **values: Any) -> Dataset:
    """A DICOM object of one picture (row, col), or of many (time, row, col) or (time, row, col, 3)."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = uid
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid(entropy_srcs=[uid])
    data.PatientName, data.PatientID, data.PatientSex, data.PatientAge = SECRET, SECRET, "F", "061Y"
    data.Manufacturer, data.ManufacturerModelName = "Maker", "One"
    in_colour = pixels.ndim == 4
    data.SamplesPerPixel, data.PhotometricInterpretation = (3, "RGB") if in_colour else (1, "MONOCHROME2")
    if in_colour:
        data.PlanarConfiguration = 0
    if pixels.ndim > 2:
        data.NumberOfFrames = len(pixels)
    data.Rows, data.Columns = pixels.shape[1:3] if pixels.ndim > 2 else pixels.shape
    data.BitsAllocated = data.BitsStored = pixels.dtype.itemsize * 8
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, int(pixels.dtype.kind == "i")
    data.add_new(
        "PixelData", "OB" if pixels.dtype.itemsize == 1 else "OW", pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    )
    for keyword, value in values.items():
        if value is not None:
            setattr(data, keyword, value)
        elif keyword in data:
            del data[keyword]
    return data


def picture(frames: np.ndarray, time: int, place: int, **values: Any) -> Dataset:
    """One picture of a short-axis series of 8 mm distance; slice 0 is the base."""
    n_times = len(frames)
    position = np.array([10.0, 20.0, 30.0]) - SAX_NORMAL * 8.0 * place
    stated = {
        "Modality": "MR",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.4",
        "SeriesNumber": 7,
        "SeriesDescription": f"cine {SECRET}",
        "InstanceNumber": place * n_times + time + 1,
        "ImagePositionPatient": [f"{value:.8f}" for value in position],
        "ImageOrientationPatient": [f"{value:.8f}" for value in SAX.ravel()],
        "PixelSpacing": [1.5, 1.25],
        "SpacingBetweenSlices": 8,
        "SliceThickness": 6,
        "TriggerTime": 12.5 + 40 * time,
        "NominalInterval": 160,
        "HeartRate": 375,
    }
    return dataset(MR, frames[time, place], **(stated | values))


def save(data: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def series(folder: Path, frames: np.ndarray, seed: int = 0, **values: Any) -> Path:
    """A folder of one file a picture, whose names are in no order."""
    names = np.random.default_rng(seed).permutation(frames.shape[0] * frames.shape[1])
    for time in range(frames.shape[0]):
        for place in range(frames.shape[1]):
            number = names[time * frames.shape[1] + place]
            save(picture(frames, time, place, **values), folder / f"{number:04d}.dcm")
    return folder


def video(path: Path, frames: np.ndarray, codec: str, pix_fmt: str, fps: int | Fraction = 25, **options: str) -> Path:
    """A video of frames (time, row, col, 3) by PyAV."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pix_fmt
        for frame in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def refusal(read: Callable[[Path], object], path: Path) -> str:
    """What reading the file is refused with, "" where it is read; any other error is a fault."""
    try:
        read(path)
    except (ReadError, MissingExtraError, SomeFailedError) as error:
        return str(error)
    return ""
