"""Cine series of cardiac MR in DICOM: a picture a file, or many in one (Enhanced MR).

Slices are sorted along the normal of their planes, short-axis slices from the base to the apex, frames by the time
after the R peak (TriggerTime or NominalCardiacTriggerDelayTime). ContentTime is not asked: scanners that reconstruct a
whole beat at once write it in any order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, LimitError, ReadError
from cardioloom.readers import dicom_elements
from cardioloom.readers.cine_slices import Picture, in_time, parallel_groups, slices_along, spacing_of
from cardioloom.readers.cine_views import settle_view, towards_apex
from cardioloom.readers.dicom import sniff
from cardioloom.readers.dicom_elements import check_pixels, elements, number
from cardioloom.readers.dicom_facts import device_of, patient_of
from cardioloom.readers.limits import MAX_SERIES_FILES, check_cine
from cardioloom.readers.sentences import one_sentence
from cardioloom.records import Cine, Source

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

CLASSES = frozenset(f"1.2.840.10008.5.1.4.1.1.4{part}" for part in ("", ".1", ".4"))  # MR, Enhanced MR, converted to it
HEAD_BYTES = 4096
# What is read of a file: nothing that names the patient.
TAGS = ["SOPClassUID", "SpecificCharacterSet", "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber"]
TAGS += ["SeriesDescription", "ProtocolName", "InstanceNumber", "Manufacturer", "ManufacturerModelName"]
TAGS += ["StudyDate", "AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime"]
TAGS += ["PatientAge", "PatientBirthDate", "PatientSex", "ImagePositionPatient", "ImageOrientationPatient"]
TAGS += ["PixelSpacing", "SpacingBetweenSlices", "SliceThickness", "RescaleSlope", "RescaleIntercept"]
TAGS += ["TriggerTime", "NominalCardiacTriggerDelayTime", "NominalInterval", "HeartRate"]
TAGS += ["SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", *dicom_elements.PIXEL_TAGS]
MIN_JOINED = 3  # series of one slice each that make a stack


def read_series(path: Path, view: str | None, frame_ms: float | None) -> Iterator[Cine | ReadError]:
    """The cines of a DICOM file, or of all files in a folder and below; of a series that cannot be one, the error.

    In a folder other files, other kinds of DICOM and series of still pictures are passed over.

    Args:
        path: the file or folder.
        view: of all, where the caller says it.
        frame_ms: between frames, for files that state no times.

    Raises:
        ReadError: if nothing there is a cine.
    """
    failed: list[ReadError] = []
    pictures: list[Picture] = []
    for file in _files(path):
        try:
            pictures += _pictures(file, is_alone=file == path)
        except ReadError as error:
            if file == path:
                raise
            failed.append(error)
    yield from failed
    moving = [group for group in _groups(pictures) if _n_times(group) > 1]
    if not moving and not failed:
        what = f"{len(pictures)} still picture{'s' * (len(pictures) != 1)} of MR" if pictures else "no picture of MR"
        raise DamagedFileError(
            f"{path.name} holds {what}, but a cine needs at least two times: name the folder of the whole series"
        )
    for group in _joined(moving):
        try:
            yield _cine(path, group, view, frame_ms)
        except ReadError as error:
            yield error


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    if len(files) > MAX_SERIES_FILES:
        raise LimitError(
            f"{path.name} has {len(files)} files, more than the {MAX_SERIES_FILES} accepted: name one study's folder"
        )
    found = [file for file in files if _is_dicom(file)]
    if not found:
        raise ReadError(f"no DICOM file was found in {path.name}: name a folder of DICOM pictures, or a file itself")
    return found


def _is_dicom(file: Path) -> bool:
    with file.open("rb") as stream:
        return sniff(file, stream.read(HEAD_BYTES))


def _pictures(file: Path, *, is_alone: bool) -> list[Picture]:
    """Every frame of a file; none where the file is another thing than MR and one of many."""
    with one_sentence(file.name, "dicom"):
        data = elements(file, TAGS)
    uid = data.get("SOPClassUID")
    if str(uid) not in CLASSES:
        if is_alone:
            kind = getattr(uid, "name", None) or "of an unknown class"
            raise ReadError(f"{file.name} is {kind}, not a picture of MR: name a cine series of MR")
        return []
    with one_sentence(file.name, "dicom"):
        check_pixels(file.name, data)
        n_frames = int(data.get("NumberOfFrames") or 1)
        check_cine(file.name, (n_frames, 1, int(data.Rows), int(data.Columns)))
        return [_picture(file, data, index) for index in range(n_frames)]


def _picture(file: Path, data: Dataset, index: int) -> Picture:
    frames, shared = (data.get(f"{kind}FunctionalGroupsSequence") or [] for kind in ("PerFrame", "Shared"))
    places = [element.value[0] for group in (*frames[index : index + 1], *shared[:1]) for element in _sequences(group)]
    places.append(data)

    def of(keyword: str) -> Dataset:
        """Where the keyword is said: of the frame, else of all frames, else of the file."""
        return next((place for place in places if place.get(keyword) is not None), data)

    def value(keyword: str) -> float | None:
        return number(of(keyword), keyword)

    rate, beat = value("HeartRate"), value("NominalInterval") or value("RRIntervalTimeNominal")
    gap = value("SpacingBetweenSlices") or value("SliceThickness")
    time = value("TriggerTime")
    along_row, along_column = _directions(file.name, of("ImageOrientationPatient").get("ImageOrientationPatient"))
    spacing = _numbers(file.name, of("PixelSpacing").get("PixelSpacing"), 2, "distance of its pixels")
    if min(spacing) <= 0:
        raise DamagedFileError(f"{file.name} states a distance of its pixels of {min(spacing):g} mm: correct the file")
    slope = value("RescaleSlope")
    instance = value("InstanceNumber")
    return Picture(
        file,
        index,
        data,
        (int(data.Rows), int(data.Columns)),
        (float(spacing[0]), float(spacing[1])),
        along_row,
        along_column,
        _numbers(file.name, of("ImagePositionPatient").get("ImagePositionPatient"), 3, "position"),
        abs(gap) if gap else None,
        time if time is not None else value("NominalCardiacTriggerDelayTime"),
        int(instance or 0) + index if instance is not None or frames else None,
        beat or (60_000 / rate if rate else None),
        1.0 if slope is None else slope,
        value("RescaleIntercept") or 0.0,
    )


def _sequences(group: Dataset) -> list:
    return [element for element in group if element.VR == "SQ" and element.value]


def _numbers(name: str, values: object, count: int, what: str) -> NDArray[np.float64]:
    try:
        found = np.array(values, np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape != (count,) or not np.isfinite(found).all():
        raise DamagedFileError(f"{name} does not state the {what} of its picture: export the series again")
    return found


def _directions(name: str, values: object) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    row, column = _numbers(name, values, 6, "orientation").reshape(2, 3)
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.5 or abs(row @ column) > 0.01 * lengths[0] * lengths[1]:
        raise DamagedFileError(f"{name} states an orientation that cannot be: export the series again")
    return row / lengths[0], column / lengths[1]


def _groups(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Pictures of one series that lie the same way."""
    series: dict[str, list[Picture]] = {}
    for picture in pictures:
        series.setdefault(str(picture.data.get("SeriesInstanceUID")), []).append(picture)
    return [group for one in series.values() for group in parallel_groups(one)]


def _n_times(group: Sequence[Picture]) -> int:
    return max(map(len, slices_along(group, group[0].normal)))


def _joined(groups: Sequence[list[Picture]]) -> list[list[Picture]]:
    """Series of one slice each that are a stack together (as some scanners store it) become one group."""
    kept: list[list[Picture]] = []
    stacks: dict[tuple[object, ...], list[list[Picture]]] = {}
    for group in groups:
        first = group[0]
        if len(slices_along(group, first.normal)) > 1:
            kept.append(group)
            continue
        directions = tuple(np.round([*first.along_row, *first.along_column], 3))
        study = str(first.data.get("StudyInstanceUID"))
        stacks.setdefault((study, first.shape, first.spacing_mm, len(group), directions), []).append(group)
    for stack in stacks.values():
        places = np.sort([group[0].position_mm @ group[0].normal for group in stack])
        gaps = np.diff(places)
        is_even = len(stack) >= MIN_JOINED and gaps.min() > 1.0 and np.ptp(gaps) < 0.1 * gaps.min()
        kept += [[picture for group in stack for picture in group]] if is_even else stack
    return kept


def _cine(path: Path, group: Sequence[Picture], view: str | None, frame_ms: float | None) -> Cine:
    first, notes = group[0], list[str]()
    series = list(dict.fromkeys(str(picture.data.get("SeriesNumber", "?")) for picture in group))
    numbers = series[0] if len(series) == 1 else f"{series[0]} to {series[-1]}"
    name = f"series {numbers} of {path.name}" if path.is_dir() else path.name
    if len({(picture.shape, picture.spacing_mm) for picture in group}) > 1:
        raise DamagedFileError(f"{name} has pictures of several sizes: keep one series in a folder")
    texts = [first.data.get("SeriesDescription"), first.data.get("ProtocolName")]
    n_slices = len(slices_along(group, first.normal))
    view = settle_view(name, view, texts, first.normal, n_slices, notes)
    direction = towards_apex(first.normal) if view == "sax" else first.normal
    slices, times_ms = in_time(name, slices_along(group, direction), frame_ms, notes)
    gap = spacing_of(name, slices, notes)
    if len(series) > 1:
        notes.append(f"its {n_slices} slices were {len(series)} series of one slice each")
    frames = _frames(name, slices)
    patient = patient_of(first.data, notes)
    files = tuple(dict.fromkeys(picture.file for picture in group))
    source = Source(path, "dicom", files, None if files == (path,) else f"series {numbers}")
    spacing = (gap, *first.spacing_mm)
    return Cine(frames, spacing, times_ms, view, source, patient, tuple(dict.fromkeys(notes)), device_of(first.data))


def _frames(name: str, slices: Sequence[Sequence[Picture]]) -> NDArray[np.float32] | NDArray[np.uint16]:
    """(time, slice, row, col): the stored integers where nothing scales them and none is negative, else float32."""
    rows, columns = slices[0][0].shape
    check_cine(name, (len(slices[0]), len(slices), rows, columns))
    frames = np.empty((len(slices[0]), len(slices), rows, columns), np.float32)
    wanted: dict[Path, dict[int, tuple[int, int, Picture]]] = {}
    for place, one in enumerate(slices):
        for time, picture in enumerate(one):
            wanted.setdefault(picture.file, {})[picture.index] = time, place, picture
    is_stored = True
    for file, places in wanted.items():
        with one_sentence(file.name, "dicom"):
            for index, stored in enumerate(dicom_elements.pictures(file)):
                if index not in places:
                    continue
                time, place, picture = places[index]
                if stored.shape != (rows, columns):
                    raise DamagedFileError(f"{file.name} is a picture in colour, not of MR: keep it out of the folder")
                is_scaled = (picture.slope, picture.intercept) != (1.0, 0.0)
                frames[time, place] = stored * picture.slope + picture.intercept if is_scaled else stored
                is_stored &= not is_scaled and np.issubdtype(stored.dtype, np.integer)
    if not np.isfinite(frames).all():
        raise DamagedFileError(f"{name} holds pixels that are no number: export the series again")
    is_short = is_stored and frames.min() >= 0 and frames.max() <= np.iinfo(np.uint16).max
    return frames.astype(np.uint16) if is_short else frames
