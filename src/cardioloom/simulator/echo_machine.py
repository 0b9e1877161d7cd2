"""The machine that a simulated echo is taken with: scatterers, pulse, gain, dropout, noise. Rules of this simulator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, pi

import numpy as np
from numpy.typing import NDArray

from cardioloom.simulator import echo_kernels as kernels
from cardioloom.simulator.echo_scene import STEPS, Walls
from cardioloom.simulator.heart import Heart

Floats = NDArray[np.floating]
# Site → (gain dB, dB from black to white, noise dB, dropout dB).
SITES = {
    "A": (0.0, 56.0, 0.0, 8.0),
    "B": (3.0, 50.0, 2.0, 7.0),
    "C": (-3.0, 60.0, -1.0, 10.0),
    "D": (1.0, 48.0, 4.0, 13.0),
}
# dB of each kind of tissue, in the order of the names in `echo_kernels`.
LEVELS_DB = (-50, -61, -22, -62, -63, -63, -18, -27, -25, -31, -19, -21)
PARALLEL_DB, ACROSS_DB = -4.5, 3.5  # of a wall along the beam and of one across it


@dataclass(frozen=True, eq=False)
class Machine:
    """Settings of one acquisition.

    Args:
        levels: (kind, depth) amplitude of each kind of tissue.
        haze, noise: (depth,) amplitude of what does not move, and of what changes with each frame.
        gain: (beam, depth) power gain.
        scale: (4,) dB from black to white, dB at white, slope of the grey curve at black, number of depths.
    """

    levels: NDArray[np.float32]
    haze: NDArray[np.float32]
    noise: NDArray[np.float32]
    gain: NDArray[np.float32]
    scale: NDArray[np.float32]


def scatterers(random: np.random.Generator) -> NDArray[np.float32]:
    """(TEXTURE, TEXTURE, 4) the complex field twice: even, and in patches of 6 to 25 mm that echo more or less."""
    side = kernels.TEXTURE
    field = np.empty((side, side, 4), np.float32)
    field[..., :2] = random.standard_normal((side, side, 2), np.float32)
    patch = np.zeros((side, side), np.float32)
    for n_cells, decibels in ((8, 4.5), (24, 5.0)):
        coarse = decibels * random.standard_normal((n_cells, n_cells), np.float32)
        low, high, share = _between(n_cells)
        rows = coarse[low] * (1 - share)[:, None] + coarse[high] * share[:, None]
        patch += rows[:, low] * (1 - share) + rows[:, high] * share
    patch *= np.float32(np.log(10) / 20)
    np.multiply(field[..., :2], np.exp(patch)[..., None], out=field[..., 2:])
    return field


@lru_cache
def _between(n_cells: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """(TEXTURE,) which two periodic cells each sample lies between, and the smooth share of the second."""
    place = np.arange(kernels.TEXTURE) * n_cells / kernels.TEXTURE
    low = place.astype(int)
    return low, (low + 1) % n_cells, (0.5 - 0.5 * np.cos(pi * (place - low))).astype(np.float32)


def pulse(sd: float, reach: int, *, tail: float = 0.0) -> NDArray[np.float32]:
    """Weights of a Gaussian with side lobes; their squares sum to 1: the power of dense scatterers stays."""
    reach = max(reach, ceil(2.5 * sd))
    offset = np.abs(np.arange(-reach, reach + 1)) / sd
    weights = np.exp(-0.5 * offset**2) + tail * np.exp(-offset / 4)
    return (weights / np.sqrt((weights**2).sum())).astype(np.float32)


def machine(heart: Heart, random: np.random.Generator, radius: Floats, n_beams: int, roof_mm: float) -> Machine:
    """How one acquisition is set and what it suffers from.

    Args:
        heart: its site says which machine.
        random: of the acquisition.
        radius: (depth,) mm from the transducer.
        n_beams: of the sector.
        roof_mm: depth of the atria's far wall.
    """
    site_gain, range_db, noise_db, dropout_db = SITES[heart.site]
    levels = np.array(LEVELS_DB, float)[:, None] + random.normal(0, 1.2, (12, 1)) - 0.035 * np.maximum(radius - 40, 0)
    levels[kernels.BEYOND] -= random.uniform(0.5, 1.2) * np.maximum(radius - roof_mm - 4, 0)
    levels[kernels.CHEST] += 3 * np.sin(radius * random.uniform(1.0, 1.6) + random.random())
    haze = -19 + random.normal(0, 2.5) - (radius - 12) / random.uniform(2.2, 3.4)
    noise = -72 + noise_db + random.normal(0, 2) + 0.07 * radius
    across = np.linspace(-1, 1, n_beams)
    beams = -6 * np.abs(across) ** 3 - _shadows(random, across, dropout_db)
    gain = site_gain + random.normal(-6, 2.0) + beams[:, None] - 0.02 * np.abs(radius - 70) - np.maximum(0, 9 - radius)
    grey = [range_db, -6.0, random.uniform(0.15, 0.5), len(radius)]
    return Machine(
        levels=(10 ** (levels / 20)).astype(np.float32),
        haze=(10 ** (np.minimum(haze, -15) / 20)).astype(np.float32),
        noise=(10 ** (noise / 20)).astype(np.float32),
        gain=(10 ** (gain / 10)).astype(np.float32),
        scale=np.array(grey, np.float32),
    )


def slanted(levels: NDArray[np.float32], walls: Walls, now: NDArray[np.float32], radius: Floats) -> None:
    """Make a wall echo more where it lies across the beam than where it lies along it, at each depth, in place.

    Args:
        levels: (kind, depth) amplitude.
        walls: of the heart; the first frame tells.
        now: numbers of the first frame, by the names of `echo_kernels`.
        radius: (depth,) mm from the transducer.
    """
    along = STEPS * walls.length[0]
    for kind, side, row in ((kernels.SEPTUM, -1, 0), (kernels.LATERAL, 1, 1)):
        across = side * walls.tables[0, row].astype(float)
        # in the picture: to the right of and below the transducer
        x, z = now[kernels.X0] + now[kernels.COS] * across, now[kernels.Z0] + along + now[kernels.SIN] * across
        wall, beam = np.stack([np.gradient(x), np.gradient(z)]), np.stack([x, z])
        crossing = np.abs(wall[0] * beam[1] - wall[1] * beam[0])
        share = crossing / (np.linalg.norm(wall, axis=0) * np.linalg.norm(beam, axis=0))
        far = np.hypot(x, z)
        inside = STEPS >= 0
        decibels = np.interp(radius, far[inside], PARALLEL_DB + (ACROSS_DB - PARALLEL_DB) * share[inside])
        levels[kind] *= (10 ** (decibels / 20)).astype(np.float32)


def _shadows(random: np.random.Generator, across: Floats, dropout_db: float) -> Floats:
    """(beam,) dB lost behind ribs and lung: mostly at the edges of the sector."""
    lost = np.zeros(len(across))
    for _ in range(3):
        centre = random.choice([-1, 1]) * random.beta(3, 1.6)
        lost += dropout_db * random.random() * np.exp(-0.5 * ((across - centre) / random.uniform(0.05, 0.16)) ** 2)
    return lost
