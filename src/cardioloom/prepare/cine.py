"""Cine → array: one slice, cut around the heart, at equal phases of the beat, with intensities of one scale."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import PreparationError, UsageError
from cardioloom.prepare.steps import refuse_unknown
from cardioloom.records.cine import CINE_VIEWS, Cine

CHOICES = {
    "centre": ("heart", "picture"),
    "intensity": ("percentile", "minmax"),
}
MOVES = 0.08  # of the largest motion, below which a pixel does not count as heart


@dataclass(frozen=True)
class CinePreparation:
    """How a cine becomes the array a model was trained on; equal to its JSON.

    Args:
        name: by which it is called.
        view: the only one that it takes.
        n_frames: of the array, at equal phases of the beat, the first at the R peak.
        size: rows and columns of the array.
        spacing_mm: of the array; None keeps the pixels as they are.
        centre: the cut is around the ``"heart"``, where the picture moves most, or the middle of the ``"picture"``.
        intensity: the 1st and 99th ``"percentile"`` of the cut, or its ``"minmax"``, become `low` and `high`; what lies
            outside is clipped.
        low, high: least and largest value of the array.
        fewest_frames: what has fewer is refused.

    Raises:
        UsageError: if a value is unknown or cannot be.
    """

    name: str
    view: str = "sax"
    n_frames: int = 50
    size: int = 84
    spacing_mm: float | None = None
    centre: str = "heart"
    intensity: str = "percentile"
    low: float = -1.0
    high: float = 1.0
    fewest_frames: int = 1

    def __post_init__(self) -> None:
        refuse_unknown("view", [self.view], CINE_VIEWS)
        for name, known in CHOICES.items():
            refuse_unknown(name, [getattr(self, name)], known)
        if not (1 <= self.n_frames <= 1000 and 8 <= self.size <= 1024):
            raise UsageError(f"1 to 1000 frames of 8 to 1024 pixels, got {self.n_frames} of {self.size}")
        if self.fewest_frames < 1:
            raise UsageError(f"at least 1 frame must be needed, got {self.fewest_frames}: use 1 for any length")
        if self.spacing_mm is not None and not 0.2 <= self.spacing_mm <= 10:
            raise UsageError(f"the spacing must lie between 0.2 and 10 mm, got {self.spacing_mm}")
        if not self.low < self.high:
            raise UsageError(f"the lowest intensity must be below the highest, got {self.low} and {self.high}")

    def to_json(self) -> dict[str, object]:
        """Its values by name."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, object]) -> CinePreparation:
        """The preparation of these values.

        Raises:
            UsageError: if a name is unknown or absent; nothing is assumed.
        """
        known = [field.name for field in fields(cls)]
        refuse_unknown("value of a cine preparation", values, known)
        if missing := [name for name in known if name not in values]:
            raise UsageError(f"the cine preparation lacks {', '.join(missing)}: write each value down")
        return cls(**values)  # type: ignore[arg-type]


def ptacl() -> CinePreparation:
    """The cine of PTACL (Selivanov et al. 2025, arXiv:2506.20683): one slice of the short axis round the heart.

    84 × 84, 50 frames of one beat, of which training draws 26; least and largest value of the cut become 0 and 255, so
    that they are kept as bytes. The paper does not state the size of a pixel: 1.8 mm is that of UK Biobank, rounded,
    and 84 of them hold a dilated heart. A heart's size in pixels is what tells its volume, so that pixels of another
    size are brought to that one. The first frame counts as the R peak and all together as one beat. From 10 frames on
    what lies between them is interpolated; fewer are refused, because they may miss the end of systole.
    """
    return CinePreparation(
        "ptacl", spacing_mm=1.8, centre="heart", intensity="minmax", low=0.0, high=255.0, fewest_frames=10
    )


@dataclass(frozen=True, eq=False)
class PreparedCine:
    """What a model takes, and what was done for it.

    Args:
        frames: (n_frames, size, size) float32.
        changes: "resampled" (the cine has another number of frames), "rescaled" (pixels of another size), "padded" (the
            picture ends within the cut).
    """

    frames: NDArray[np.float32]
    changes: tuple[str, ...] = ()


def prepare_cine(cine: Cine, preparation: CinePreparation, *, slice_index: int | None = None) -> NDArray[np.float32]:
    """(n_frames, size, size) float32 of one slice: the frames of `prepare_cine_told`, which raises the same."""
    return prepare_cine_told(cine, preparation, slice_index=slice_index).frames


def prepare_cine_told(cine: Cine, preparation: CinePreparation, *, slice_index: int | None = None) -> PreparedCine:
    """One slice, and what was done beyond cutting.

    Args:
        cine: to prepare.
        preparation: how.
        slice_index: which slice; the middle one where not given.

    Raises:
        PreparationError: if the view is another, frames are too few, the slice is not there, or the cut is all of one
            value.
    """
    if cine.view != preparation.view:
        raise PreparationError(f"{preparation.name} takes the view {preparation.view}, got {cine.view}")
    n_times, n_slices = cine.shape[:2]
    if n_times < preparation.fewest_frames:
        raise PreparationError(
            f"{preparation.name} needs at least {preparation.fewest_frames} frames of the beat, got {n_times}: give "
            "the whole cine"
        )
    index = n_slices // 2 if slice_index is None else slice_index
    if not 0 <= index < n_slices:
        raise PreparationError(f"the cine has slices 0 to {n_slices - 1}, got {slice_index}")
    frames = sample_frames(np.asarray(cine.frames[:, index], np.float32), preparation.n_frames)
    if preparation.spacing_mm is not None:
        frames = resample_pixels(frames, (cine.spacing_mm[1], cine.spacing_mm[2]), preparation.spacing_mm)
    middle = (frames.shape[1] - 1) / 2, (frames.shape[2] - 1) / 2
    centre = heart_centre(frames) if preparation.centre == "heart" else middle
    cut = crop(frames, centre, preparation.size, fill=float(frames.min()))  # dark beyond the picture
    done = {
        "resampled": n_times != preparation.n_frames,
        # Files round.
        "rescaled": preparation.spacing_mm is not None
        and not np.allclose(cine.spacing_mm[1:], preparation.spacing_mm, rtol=1e-4),
        "padded": _ends_within(frames.shape[1:], centre, preparation.size),
    }
    frames = scale_intensity(cut, preparation.intensity, preparation.low, preparation.high)
    return PreparedCine(frames, tuple(what for what in done if done[what]))


def sample_frames(frames: NDArray[np.float32], n_frames: int) -> NDArray[np.float32]:
    """Frames (time, …) of one whole beat at other equal phases (n_frames, …).

    The beat is a circle: between the last frame and the first lies as much time as between any two. Linear between
    neighbours; the frames themselves where their number stays.
    """
    if n_frames == len(frames):
        return frames
    places = np.arange(n_frames) * (len(frames) / n_frames)
    first = places.astype(int)
    part = (places - first).astype(np.float32).reshape(-1, *[1] * (frames.ndim - 1))
    mixed = frames[first] * (1 - part) + frames[(first + 1) % len(frames)] * part
    return np.asarray(mixed, np.float32)


def resample_pixels(frames: NDArray[np.float32], from_mm: tuple[float, float], to_mm: float) -> NDArray[np.float32]:
    """Frames (time, row, col) on square pixels of another size; the extent stays, to the nearest whole pixel.

    Weights fall linearly over one pixel of the coarser grid, so that larger pixels average smaller ones.
    """
    if from_mm == (to_mm, to_mm):
        return frames
    down, across = (_weights(n, mm, to_mm) for n, mm in zip(frames.shape[1:], from_mm, strict=True))
    return np.ascontiguousarray(down @ frames @ across.T, np.float32)


def _weights(n_pixels: int, from_mm: float, to_mm: float) -> NDArray[np.float32]:
    n_new = max(1, round(n_pixels * from_mm / to_mm))
    old = (np.arange(n_pixels) - (n_pixels - 1) / 2) * from_mm
    new = (np.arange(n_new) - (n_new - 1) / 2) * to_mm
    new = np.clip(new, old[0], old[-1])
    weights = np.maximum(1 - np.abs(new[:, None] - old[None, :]) / max(from_mm, to_mm), 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def heart_centre(frames: NDArray[np.float32]) -> tuple[float, float]:
    """(row, col) of the heart: the middle of what moves over the beat.

    The motion of a pixel is the amplitude of its first harmonic over the beat, so that noise counts little, averaged
    over 5 by 5 pixels. It counts from 0.08 of the most moving pixels (99th percentile) and all alike from 0.16 on, so
    that what lies near the coil does not weigh more. Then only what lies near that middle counts, by a Gaussian with an
    SD of a quarter of the picture. The middle of the picture where nothing moves.
    """
    n_times, rows, columns = frames.shape
    centre = (rows - 1) / 2, (columns - 1) / 2
    if n_times == 1:
        return centre
    wave = np.exp(-2j * np.pi * np.arange(n_times) / n_times).astype(np.complex64)
    motion = np.abs(np.tensordot(wave, frames, axes=1))
    for axis in (0, 1):
        motion = np.mean([np.roll(motion, shift, axis) for shift in (-2, -1, 0, 1, 2)], axis=0)
    most = float(np.percentile(motion, 99))
    if most <= 1e-5 * n_times * float(np.abs(frames).max()):  # rounding
        return centre
    weight = np.clip((motion / most - MOVES) / MOVES, 0, 1)
    row, column = np.arange(rows)[:, None], np.arange(columns)[None, :]
    wide = max(rows, columns)
    for reach in (2.0, 0.5, 0.25, 0.25, 0.25):
        squared = (row - centre[0]) ** 2 + (column - centre[1]) ** 2
        near = weight * np.exp(-squared / (2 * (reach * wide) ** 2))
        total = float(near.sum())
        centre = float((near * row).sum() / total), float((near * column).sum() / total)
    return centre


def crop(
    frames: NDArray[np.float32], centre: tuple[float, float], size: int, *, fill: float = 0.0
) -> NDArray[np.float32]:
    """(time, size, size) around the pixel nearest to a centre (row, col); `fill` where the picture ends."""
    cut = np.full((len(frames), size, size), fill, frames.dtype)
    top, left = _corner(centre, size)
    rows, columns = frames.shape[1:]
    row, column = max(0, top), max(0, left)
    part = frames[:, row : max(row, min(rows, top + size)), column : max(column, min(columns, left + size))]
    cut[:, row - top : row - top + part.shape[1], column - left : column - left + part.shape[2]] = part
    return cut


def _corner(centre: tuple[float, float], size: int) -> tuple[int, int]:
    """First row and column of a cut; negative where the picture begins within it."""
    return round(centre[0] - (size - 1) / 2), round(centre[1] - (size - 1) / 2)


def _ends_within(shape: tuple[int, ...], centre: tuple[float, float], size: int) -> bool:
    corner = _corner(centre, size)
    return any(first < 0 or first + size > length for first, length in zip(corner, shape, strict=True))


def scale_intensity(frames: NDArray[np.float32], rule: str, low: float, high: float) -> NDArray[np.float32]:
    """Intensities from `low` to `high`: percentiles 1 and 99, or least and largest, become these; clipped outside.

    Raises:
        PreparationError: if all pixels have one value.
    """
    ends = np.percentile(frames, (1, 99)) if rule == "percentile" else (frames.min(), frames.max())
    least, largest = float(ends[0]), float(ends[1])
    if not largest > least:
        raise PreparationError(f"the frames have one value only, {least}: there is no picture in them")
    share = np.clip((frames - np.float32(least)) / np.float32(largest - least), 0, 1)
    return np.asarray(low + share * (high - low), np.float32)
