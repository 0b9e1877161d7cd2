"""Pictures of a DICOM series → slices in their order along the heart, frames in their order over the beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import DamagedFileError, MissingFactError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SAME_PLACE_MM = 0.5  # nearer pictures are one slice
SAME_DIRECTION = 0.9995  # cosine: within 1.8°
UNEVEN = 0.1  # share of the median distance by which slices may differ
UNEQUAL_MS = 5.0  # by which the times of slices may differ without a note


@dataclass(frozen=True, eq=False)
class Picture:
    """One frame of a DICOM file and where it belongs. Directions are unit vectors (3,) of DICOM's LPS.

    Args:
        file: it is in.
        index: of the frame in the file.
        data: the file's elements.
        shape: rows, columns.
        spacing_mm: between rows, between columns.
        along_row, along_column: where the column and the row number rise to.
        position_mm: (3,) of the first pixel.
        gap_mm: between slices as stated, or the slice's thickness; None = not stated.
        time_ms: after the R peak; None = not stated.
        instance: number of the picture; None = not stated.
        beat_ms: from R peak to R peak; None = not stated.
        slope, intercept: stored value → intensity.
    """

    file: Path
    index: int
    data: Dataset
    shape: tuple[int, int]
    spacing_mm: tuple[float, float]
    along_row: NDArray[np.float64]
    along_column: NDArray[np.float64]
    position_mm: NDArray[np.float64]
    gap_mm: float | None
    time_ms: float | None
    instance: int | None
    beat_ms: float | None
    slope: float
    intercept: float

    @property
    def normal(self) -> NDArray[np.float64]:
        """(3,) away from who looks at the picture."""
        return np.cross(self.along_row, self.along_column)

    def is_parallel(self, other: Picture) -> bool:
        """Whether both lie the same way in the body, unrotated."""
        rows, columns = self.along_row @ other.along_row, self.along_column @ other.along_column
        return bool(min(rows, columns) > SAME_DIRECTION)


def parallel_groups(pictures: Sequence[Picture]) -> list[list[Picture]]:
    """Pictures that lie the same way together, in the order of their first."""
    groups: list[list[Picture]] = []
    for picture in pictures:
        group = next((group for group in groups if group[0].is_parallel(picture)), None)
        if group is None:
            groups.append([picture])
        else:
            group.append(picture)
    return groups


def slices_along(pictures: Sequence[Picture], direction: NDArray) -> list[list[Picture]]:
    """The pictures of each slice; slices in their order along a direction (3,)."""
    places = np.array([picture.position_mm @ direction for picture in pictures])
    order = np.argsort(places, kind="stable")
    found: list[list[Picture]] = []
    for before, index in zip([None, *order[:-1]], order, strict=True):
        if before is None or places[index] - places[before] > SAME_PLACE_MM:
            found.append([])
        found[-1].append(pictures[index])
    return found


def spacing_of(name: str, slices: Sequence[Sequence[Picture]], notes: list[str]) -> float:
    """mm between slices, by their places; of a single slice, as stated.

    Raises:
        DamagedFileError: if the slices lie unevenly, so that one is missing, or nothing states the distance of one.
    """
    first = slices[0][0]
    stated = first.gap_mm
    if len(slices) == 1:
        if stated is None:
            raise DamagedFileError(f"{name} states neither thickness nor distance of its slice: export it again")
        return stated
    places = np.array([one[0].position_mm @ first.normal for one in slices])
    gaps = np.abs(np.diff(places))
    gap = float(np.median(gaps))
    if np.abs(gaps - gap).max() > UNEVEN * gap:
        raise DamagedFileError(
            f"{name} has slices that lie {gaps.min():.1f} to {gaps.max():.1f} mm apart: slices are missing or of two "
            "stacks, export the whole series again"
        )
    if stated is not None and abs(gap - stated) > UNEVEN * stated:
        notes.append(f"the slices lie {gap:.1f} mm apart, though {stated:.1f} mm is stated: some may be missing")
    return float(gaps.mean())


def in_time(
    name: str, slices: Sequence[Sequence[Picture]], frame_ms: float | None, notes: list[str]
) -> tuple[list[list[Picture]], NDArray[np.float64]]:
    """The frames of each slice in order, and the time (time,) of each in ms: the median over the slices.

    Args:
        name: of the series, for messages.
        slices: pictures of each.
        frame_ms: between frames, where the file states no times.
        notes: is appended to where something was concluded.

    Raises:
        DamagedFileError: if slices have different numbers of frames, or two pictures one place and time.
        MissingFactError: if nothing states the times.
    """
    counts = sorted({len(one) for one in slices})
    if len(counts) > 1:
        raise DamagedFileError(
            f"{name} has slices of {counts[0]} and of {counts[-1]} times: pictures are missing or doubled, export the "
            "whole series again"
        )
    if all(_has_times(one) for one in slices):
        if frame_ms is not None:
            notes.append(f"frame_ms {frame_ms:g} was not used: the files state their times")
        ordered = [sorted(one, key=lambda picture: picture.time_ms or 0.0) for one in slices]
        for one in ordered:
            _refuse_twins(name, one)
        return ordered, _median_times(ordered, notes)
    return _by_number(name, slices, frame_ms, notes)


def _has_times(one: Sequence[Picture]) -> bool:
    """Whether every picture states its time, and not all the same."""
    times = [picture.time_ms for picture in one]
    return None not in times and len(set(times)) > 1


def _refuse_twins(name: str, ordered: Sequence[Picture]) -> None:
    for one, other in pairwise(ordered):
        if one.time_ms == other.time_ms:
            raise DamagedFileError(
                f"{name} has two pictures of one place and time ({one.file.name} and {other.file.name}): remove the "
                "copy, or keep each kind of picture in its own folder"
            )


def _median_times(ordered: Sequence[Sequence[Picture]], notes: list[str]) -> NDArray[np.float64]:
    times = np.array([[picture.time_ms for picture in one] for one in ordered], np.float64)
    middle = np.median(times, axis=0)
    apart = float(np.abs(times - middle).max())
    if apart > UNEQUAL_MS:
        notes.append(f"the times of the slices differ by up to {apart:.0f} ms from their median, which was taken")
    steps = np.diff(middle)
    if steps.max() > 1.5 * np.median(steps):
        notes.append("the times of the frames are uneven: a frame may be missing")
    return middle


def _by_number(
    name: str, slices: Sequence[Sequence[Picture]], frame_ms: float | None, notes: list[str]
) -> tuple[list[list[Picture]], NDArray[np.float64]]:
    beat, n_times = slices[0][0].beat_ms, len(slices[0])
    if frame_ms is None and beat is None:
        raise MissingFactError(f"{name} states no times of its pictures: give frame_ms= as the ms between two of them")
    for one in slices:
        numbers = [picture.instance for picture in one]
        if None in numbers or len(set(numbers)) < len(numbers):
            raise DamagedFileError(f"{name} states neither times nor an order of its pictures: export it again")
    step = frame_ms if frame_ms is not None else (beat or 0.0) / n_times
    why = "as told" if frame_ms is not None else f"the stated beat of {beat:.0f} ms over {n_times} frames"
    notes.append(f"the files state no times: the order is that of their numbers, {step:.1f} ms a frame ({why})")
    ordered = [sorted(one, key=lambda picture: picture.instance or 0) for one in slices]
    return ordered, np.arange(n_times, dtype=np.float64) * step
