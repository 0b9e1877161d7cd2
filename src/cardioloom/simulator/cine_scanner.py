"""What a scanner makes of a scene: coil sensitivity, noise, mistimed beats, ghosts, whole numbers; by site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.prepare.median import compiled
from cardioloom.simulator.heart import Heart


@dataclass(frozen=True)
class Scanner:
    """One site's scanner and habits.

    Args:
        spacing_mm: of rows and columns.
        slice_mm: thickness.
        noise: SD of each of the two channels, as a share of the signal of blood.
        coil: how much brighter the front of the chest is than the back, as the logarithm over 100 mm.
        gain: number that blood of an average picture gets.
        mistimed: share of the signal from neighbouring frames (retrospective gating over several beats).
        ghost: of the beating heart, as a share, half a picture away.
    """

    spacing_mm: float
    slice_mm: float
    noise: float
    coil: float
    gain: float
    mistimed: float
    ghost: float


# A rule of this simulator. A, B and C follow one protocol, as the sites of a biobank do.
SCANNERS: Mapping[str, Scanner] = {
    "A": Scanner(1.8, 8.0, 0.030, 0.55, 118.0, 0.06, 0.008),
    "B": Scanner(1.8, 8.0, 0.040, 0.75, 105.0, 0.10, 0.012),
    "C": Scanner(1.8, 8.0, 0.034, 0.40, 128.0, 0.06, 0.015),
    "D": Scanner(1.5, 8.0, 0.062, 0.90, 96.0, 0.22, 0.030),
}


def scanner_of(heart: Heart) -> Scanner:
    """The scanner of the patient's site."""
    return SCANNERS[heart.site]


def acquired(
    signal: NDArray[np.float32], heart: Heart, spacing_mm: float, random: np.random.Generator
) -> NDArray[np.uint8]:
    """The picture that a scanner gives of a signal (time, row, col): magnitudes with Rician noise, 0–255.

    Args:
        signal: of `cine_paint.paint`.
        heart: whose; its site, and a rhythm that mistimes frames.
        spacing_mm: size of a pixel.
        random: of this recording.
    """
    scanner = scanner_of(heart)
    coil = _sensitivity(signal.shape[1], spacing_mm, scanner, random)
    gain = scanner.gain * float(np.exp(0.10 * random.standard_normal()))
    noise = scanner.noise * gain * float(np.exp(0.15 * random.standard_normal()))
    uneven = heart.electrics.rhythm == "atrial_fibrillation" or heart.electrics.pvc_burden > 0.05
    mistimed = min(0.45, scanner.mistimed * (2.5 if uneven else 1.0))
    ghost = scanner.ghost * (1.5 if uneven else 1.0)
    drawn = random.integers(0, 65536, (2, *signal.shape), np.uint16)
    pictures = np.empty(signal.shape, np.uint8)
    run: Any = compiled(_acquire)
    still = signal.mean(axis=0)
    small = np.float32
    run(pictures, signal, still, coil * small(gain), drawn, normals() * small(noise), small(mistimed), small(ghost))
    return pictures


def _sensitivity(size: int, spacing_mm: float, scanner: Scanner, random: np.random.Generator) -> NDArray[np.float32]:
    """(row, col) of the receiving coils: brightest at the upper left, the front of the chest; 1 in the middle."""
    drawn = random.standard_normal(5)
    steps = (np.arange(size) - (size - 1) / 2) * spacing_mm / 100
    x, y = steps[None, :], -steps[:, None]
    rise = scanner.coil * (1 + 0.15 * drawn[0])
    towards = np.radians(125 + 12 * drawn[1])
    bent = 0.12 * drawn[2] * x * y + 0.10 * drawn[3] * (x**2 - 0.15) + 0.10 * drawn[4] * (y**2 - 0.15)
    return np.exp(rise * (x * np.cos(towards) + y * np.sin(towards)) + bent).astype(np.float32)


@cache
def normals() -> NDArray[np.float32]:
    """65,536 equally likely values of a standard normal: looked up, they cost a tenth of drawing each anew."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse((place + 0.5) / 65536) for place in range(65536)], np.float32)


def _acquire(pictures, signal, still, coil, drawn, noise, mistimed, ghost):
    """Magnitudes of signal and noise, rounded, into `pictures`; `noise` is looked up by `drawn`. Compiled."""
    n_times, rows, columns = signal.shape
    one, half, four = np.float32(1.0), np.float32(0.5), np.float32(4.0)
    for t in range(n_times):
        before, after = (t - 1) % n_times, (t + 1) % n_times
        for row in range(rows):
            shifted = (row + rows // 2) % rows
            for column in range(columns):
                value = (one - mistimed) * signal[t, row, column]
                value += half * mistimed * (signal[before, row, column] + signal[after, row, column])
                value += four * ghost * (signal[t, shifted, column] - still[shifted, column])
                value = value * coil[row, column]
                real, imaginary = value + noise[drawn[0, t, row, column]], noise[drawn[1, t, row, column]]
                pictures[t, row, column] = min(255, int(np.sqrt(real * real + imaginary * imaginary) + half))
