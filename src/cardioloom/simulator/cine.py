"""Simulated cardiac magnetic resonance: a cine of a heart, and the truth behind it. Nothing here is of a patient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import UsageError
from cardioloom.records.cine import Cine
from cardioloom.simulator.anatomy import Beat, beat
from cardioloom.simulator.cine_flow import flowing
from cardioloom.simulator.cine_lax import long_axis_scene
from cardioloom.simulator.cine_paint import Scene, paint
from cardioloom.simulator.cine_sax import short_axis_scene
from cardioloom.simulator.cine_scanner import acquired, scanner_of
from cardioloom.simulator.heart import Heart
from cardioloom.simulator.streams import stream

SCENES: Mapping[str, Callable[[Heart, Beat, int, float, tuple[float, float], float], Scene]] = {
    "sax": short_axis_scene,
    "lax_4ch": long_axis_scene,
}
OFF_CENTRE_MM = 4.0
WIDER_LONG_AXIS = 1.2  # pixels of the long axis, so that atria and apex have room
TURN = 0.05


@dataclass(frozen=True, eq=False)
class CineTruth:
    """What is behind a simulated cine.

    Args:
        frames: (time, slice, row, col) float32 signal without noise, coils and ghosts; 1 = blood.
        masks: (time, slice, row, col) uint8: 0 background, 1 left cavity with its papillary muscles, 2 left muscle,
            3 right cavity.
        beat: volumes and lengths, and areas of the mid-ventricular slice, without the pixels' error.
    """

    frames: NDArray[np.float32]
    masks: NDArray[np.uint8]
    beat: Beat


def cine(
    heart: Heart,
    *,
    view: str = "sax",
    n_frames: int = 50,
    size: int = 84,
    spacing_mm: float | None = None,
    recording: int = 0,
) -> Cine:
    """A simulated cine of one beat, from end-diastole (the R peak), as whole numbers 0–255.

    Args:
        heart: whose.
        view: "sax", the mid-ventricular short axis, or "lax_4ch".
        n_frames: over the beat, equally spaced.
        size: rows and columns.
        spacing_mm: size of a pixel; the site's own where not given, in the long axis 1.2 times that.
        recording: another number gives another recording of the same heart: slice, coils and noise differ.

    Raises:
        UsageError: if the view is unknown or a size cannot be.
    """
    spacing = _spacing(heart, view, spacing_mm)
    scene, _ = _scene(heart, view, n_frames, size, spacing, recording)
    signal, _ = paint(scene, spacing)
    flow = stream(heart.seed, heart.patient, f"cine/{view}/{recording}/flow")
    flowing(signal, np.arange(n_frames) / n_frames, spacing, flow)
    random = stream(heart.seed, heart.patient, f"cine/{view}/{recording}/noise")
    frames = acquired(signal, heart, spacing, random)
    rr_ms = 60000.0 / heart.electrics.heart_rate_bpm
    return Cine(
        frames=frames[:, None],
        spacing_mm=(scanner_of(heart).slice_mm, spacing, spacing),
        times_ms=np.arange(n_frames, dtype=np.float64) * (rr_ms / n_frames),
        view=view,
        patient={"age": round(heart.age_years, 1), "sex": heart.sex},
        notes=("simulated, not of a patient",),
    )


def cine_truth(
    heart: Heart,
    *,
    view: str = "sax",
    n_frames: int = 50,
    size: int = 84,
    spacing_mm: float | None = None,
    recording: int = 0,
) -> CineTruth:
    """What is behind the cine of the same arguments: see `cine`.

    Raises:
        UsageError: if the view is unknown or a size cannot be.
    """
    spacing = _spacing(heart, view, spacing_mm)
    scene, areas = _scene(heart, view, n_frames, size, spacing, recording)
    signal, labels = paint(scene, spacing)
    flow = stream(heart.seed, heart.patient, f"cine/{view}/{recording}/flow")
    flowing(signal, np.arange(n_frames) / n_frames, spacing, flow)
    return CineTruth(np.abs(signal)[:, None], labels[:, None], areas)


def _spacing(heart: Heart, view: str, spacing_mm: float | None) -> float:
    usual = scanner_of(heart).spacing_mm * (WIDER_LONG_AXIS if view == "lax_4ch" else 1.0)
    spacing = usual if spacing_mm is None else float(spacing_mm)
    if not 0.2 <= spacing <= 10:
        raise UsageError(f"the spacing must lie between 0.2 and 10 mm, got {spacing_mm}")
    return spacing


def _scene(heart: Heart, view: str, n_frames: int, size: int, spacing_mm: float, recording: int) -> tuple[Scene, Beat]:
    if view not in SCENES:
        raise UsageError(f"the view must be one of {', '.join(SCENES)}, got {view!r}")
    if not (1 <= n_frames <= 1000 and 16 <= size <= 1024):
        raise UsageError(f"a cine needs 1 to 1000 frames of 16 to 1024 pixels, got {n_frames} of {size}")
    placed = stream(heart.seed, heart.patient, f"cine/{view}/{recording}/place").standard_normal(3)
    off_centre = (OFF_CENTRE_MM * float(placed[0]), OFF_CENTRE_MM * float(placed[1]))
    areas = beat(heart, np.arange(n_frames) / n_frames)
    return SCENES[view](heart, areas, size, spacing_mm, off_centre, TURN * float(placed[2])), areas
