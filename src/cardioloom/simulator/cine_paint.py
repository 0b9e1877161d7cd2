"""Painting star-shaped tissues over each other, frame by frame: the drawing of a simulated cine.

Each tissue is a closed contour r(θ) about a centre, in mm, and covers what was painted before. At its edge a pixel is
shared by both sides, in proportion to the signed distance: partial volume. Fat is negative: where it shares a pixel
with water both cancel, which gives the dark line that balanced steady-state sequences draw around fat.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.prepare.median import compiled

N_ANGLES = 128
ANGLES = np.arange(N_ANGLES) * (2 * pi / N_ANGLES)  # counter-clockwise from the right, rad
BACKGROUND, LV_CAVITY, LV_MUSCLE, RV_CAVITY = 0, 1, 2, 3
KEEP = 255  # label of a tissue that leaves the labels below it as they are


@dataclass(frozen=True)
class Layer:
    """One tissue.

    Args:
        radius: (time, N_ANGLES) of its contour about its group's centre, mm, above 0.
        value: (time,) signal, 1 = blood; below 0 is fat.
        label: of `BACKGROUND`, `LV_CAVITY`, `LV_MUSCLE`, `RV_CAVITY`, `KEEP`.
        soft_mm: half-width of its edge, in addition to the pixel's.
    """

    radius: NDArray[np.float64]
    value: NDArray[np.float64]
    label: int = KEEP
    soft_mm: float = 0.6


@dataclass(frozen=True)
class Group:
    """Tissues about one centre, from back to front.

    Args:
        centre: (time, 2) x to the right and y up, mm from the middle of the picture.
        layers: at least one.
    """

    centre: NDArray[np.float64]
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Scene:
    """All that is painted.

    Args:
        background: (row, col) signal of what does not move.
        groups: from back to front.
        spots: (spot, time, 5) small discs in front: x, y, radius in mm, signal, opacity.
    """

    background: NDArray[np.floating]
    groups: tuple[Group, ...]
    spots: NDArray[np.float64]


def paint(scene: Scene, spacing_mm: float) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Signal (time, row, col), fat below 0, and labels (time, row, col).

    Args:
        scene: what to paint.
        spacing_mm: size of a pixel.
    """
    n_times = len(scene.groups[0].centre)
    frames = np.repeat(scene.background.astype(np.float32)[None], n_times, axis=0)
    labels = np.zeros(frames.shape, np.uint8)
    run: Any = compiled(_paint_group)
    spacing = np.float32(spacing_mm)
    for group in scene.groups:
        radius = np.stack([layer.radius for layer in group.layers], axis=1).astype(np.float32)
        value = np.stack([layer.value for layer in group.layers], axis=1).astype(np.float32)
        names = np.array([layer.label for layer in group.layers], np.uint8)
        soft = np.array([layer.soft_mm + 0.5 * spacing_mm for layer in group.layers], np.float32)
        steep, outer, inner = _edges(radius, soft)
        centre = np.asarray(group.centre, np.float32)
        run(frames, labels, centre, radius, steep, outer, inner, value, names, spacing)
    if len(scene.spots):
        spots: Any = compiled(_paint_spots)
        spots(frames, np.asarray(scene.spots, np.float32), spacing)
    return frames, labels


def _edges(
    radius: NDArray[np.float32], soft: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Of contours (time, layer, angle): coverage lost a mm outwards, (time, layer, angle); and the distances (time,
    layer) from which on a layer covers nothing and up to which it covers all."""
    turn = (np.roll(radius, -1, axis=2) - np.roll(radius, 1, axis=2)) * np.float32(N_ANGLES / (4 * pi)) / radius
    level = 1 / np.sqrt(1 + turn**2)  # cosine between the contour's normal and the ray
    blurred = soft / level.min(axis=2)
    steep = np.asarray(level * (0.5 / soft)[:, None], np.float32)
    return steep, radius.max(axis=2) + blurred, radius.min(axis=2) - blurred


def _paint_group(frames, labels, centre, radius, steep, outer_of, inner_of, value, names, spacing):
    """The tissues (time, layer, angle) about one centre on every frame, in place. Compiled."""
    one, half = np.float32(1.0), np.float32(0.5)
    n_times, rows, columns = frames.shape
    n_layers, n_angles = radius.shape[1], radius.shape[2]
    middle_row, middle_column = half * np.float32(rows - 1), half * np.float32(columns - 1)
    scale = np.float32(n_angles / (2 * np.pi))
    for t in range(n_times):
        outer, inner = outer_of[t], inner_of[t]
        x0, y0, most = centre[t, 0], centre[t, 1], outer.max()
        top, bottom = max(0, int(middle_row - (y0 + most) / spacing)), int(middle_row - (y0 - most) / spacing) + 2
        left, right = max(0, int(middle_column + (x0 - most) / spacing)), int(middle_column + (x0 + most) / spacing) + 2
        for row in range(top, min(rows, bottom)):
            y = (middle_row - np.float32(row)) * spacing - y0
            for column in range(left, min(columns, right)):
                x = (np.float32(column) - middle_column) * spacing - x0
                distance = np.sqrt(x * x + y * y)
                if distance > most:
                    continue
                # the front-most layer that covers all of the pixel, and whether an edge lies before it
                whole, edges = -1, False
                for k in range(n_layers - 1, -1, -1):
                    if distance <= inner[k]:
                        whole = k
                        break
                    edges = edges or distance <= outer[k]
                signal = frames[t, row, column] if whole < 0 else value[t, whole]
                if whole >= 0:
                    for k in range(whole + 1):
                        labels[t, row, column] = names[k] if names[k] != 255 else labels[t, row, column]
                    frames[t, row, column] = signal
                if not edges:
                    continue
                ax, ay = abs(x), abs(y)  # arctangent by a polynomial, to 0.0003 rad: a tenth of the time
                a = min(ax, ay) / max(max(ax, ay), np.float32(1e-9))
                b = a * a
                bend = (np.float32(-0.0464964749) * b + np.float32(0.15931422)) * b - np.float32(0.327622764)
                place = a + a * b * bend
                place = np.float32(np.pi / 2) - place if ay > ax else place
                place = np.float32(np.pi) - place if x < 0 else place
                place = np.float32(2 * np.pi) - place if y < 0 else place
                place *= scale
                first = int(place)
                part = place - np.float32(first)
                first = first - n_angles if first >= n_angles else first
                second = 0 if first + 1 == n_angles else first + 1
                for k in range(whole + 1, n_layers):
                    if distance > outer[k]:
                        continue
                    edge = radius[t, k, first] * (one - part) + radius[t, k, second] * part
                    share = half + (edge - distance) * steep[t, k, first]
                    if share > 0:
                        share = min(share, one)
                        share = share * share * (np.float32(3.0) - (share + share))
                        signal += share * (value[t, k] - signal)
                        labels[t, row, column] = (
                            names[k] if names[k] != 255 and share >= half else labels[t, row, column]
                        )
                frames[t, row, column] = signal


def _paint_spots(frames, spots, spacing):
    """Small discs on every frame, in place. Compiled."""
    n_times, rows, columns = frames.shape
    one, half = np.float32(1.0), np.float32(0.5)
    middle_row, middle_column = half * np.float32(rows - 1), half * np.float32(columns - 1)
    soft = half * spacing + np.float32(0.4)
    for spot in range(spots.shape[0]):
        for t in range(n_times):
            x0, y0, size, value, opacity = spots[spot, t]
            reach = size + soft
            top, bottom = int(middle_row - (y0 + reach) / spacing), int(middle_row - (y0 - reach) / spacing) + 2
            left, right = int(middle_column + (x0 - reach) / spacing), int(middle_column + (x0 + reach) / spacing) + 2
            for row in range(max(0, top), min(rows, bottom)):
                y = (middle_row - np.float32(row)) * spacing - y0
                for column in range(max(0, left), min(columns, right)):
                    x = (np.float32(column) - middle_column) * spacing - x0
                    share = half + (size - np.sqrt(x * x + y * y)) / (soft + soft)
                    if share > 0:
                        share = opacity * min(share, one)
                        frames[t, row, column] += share * (value - frames[t, row, column])
