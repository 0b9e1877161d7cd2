"""The loops of the heart vector: P, QRS, ST and T as sums of Gaussians, each with a direction.

Gaussians on the beat's phase follow McSharry et al. 2003 (doi:10.1109/TBME.2003.808805), their use for a dipole in
three dimensions Sameni et al. 2007 (doi:10.1155/2007/43407). Centres, widths and vectors of the normal QRS, ST and T
were fitted, through the Dower matrix, to the median beats of 36 normal recordings (CPSC 2018, PTB-XL, SPH, Chapman,
a few of PTB and CODE-15) and then adjusted by hand until medians of the waves lay within the real interquartile ranges;
those of the blocks and of ectopic beats are rules of this simulator after the textbook directions.

Axes as in Frank's system: x to the left, y to the feet, z to the back. Vectors in mV.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vectors = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Loop:
    """A wave as Gaussians with a direction.

    Args:
        centre: (kernel,) as shares of the wave: 0 at its onset, 1 at its end.
        rise, fall: (kernel,) widths (SD) before and after the centre, same unit.
        vectors: (3, kernel) mV.
    """

    centre: NDArray[np.float64]
    rise: NDArray[np.float64]
    fall: NDArray[np.float64]
    vectors: Vectors

    def scaled(self, gain: float) -> Loop:
        """Every vector times a gain."""
        return replace(self, vectors=self.vectors * gain)

    def turned(self, rotation: Vectors) -> Loop:
        """Every vector turned by a matrix (3, 3)."""
        return replace(self, vectors=rotation @ self.vectors)

    def squeezed(self, share: float) -> Loop:
        """The same loop within the first ``share`` of the time."""
        return replace(self, centre=self.centre * share, rise=self.rise * share, fall=self.fall * share)

    def plus(self, other: Loop) -> Loop:
        """Both loops at once."""
        return Loop(
            np.concatenate([self.centre, other.centre]),
            np.concatenate([self.rise, other.rise]),
            np.concatenate([self.fall, other.fall]),
            np.concatenate([self.vectors, other.vectors], axis=1),
        )

    @property
    def area(self) -> NDArray[np.float64]:
        """(3,) net area: mV times share of the wave."""
        return self.vectors @ ((self.rise + self.fall) / 2) * np.sqrt(2 * np.pi)

    def peak(self) -> float:
        """Where the vector is longest, as a share of the wave."""
        at = np.linspace(0, 1, 201)
        z = at[None] - self.centre[:, None]
        waves = np.exp(-0.5 * (z / np.where(z < 0, self.rise[:, None], self.fall[:, None])) ** 2)
        return float(at[np.linalg.norm(self.vectors @ waves, axis=0).argmax()])


def loop(*kernels: tuple[float, float, ArrayLike] | tuple[float, float, float, ArrayLike]) -> Loop:
    """A loop from (centre, width, vector) or (centre, rise, fall, vector) a kernel."""
    full = [(one[0], one[1], one[-2], one[-1]) for one in kernels]
    centre, rise, fall = (np.array([one[n] for one in full], np.float64) for n in range(3))
    return Loop(centre, rise, fall, np.stack([np.asarray(one[3], np.float64) for one in full], axis=1))


# Shares of the P wave: the right atrium to the front, then the left one to the left and back.
P = loop((0.365, 0.155, (0.045, 0.075, -0.075)), (0.655, 0.158, (0.075, 0.065, -0.005)))

# Shares of the QRS complex: the septum; the apex, the free wall of the left ventricle (two), its base (two).
SEPTUM = loop((0.290, 0.092, (-0.085, -0.044, -0.245)))
QRS = loop(
    (0.414, 0.106, (0.700, 0.219, -0.080)),
    (0.499, 0.084, (0.572, 0.418, 0.210)),
    (0.591, 0.094, (-0.200, 0.060, 0.520)),
    (0.705, 0.107, (-0.110, -0.055, 0.180)),
)

# Shares from the end of the QRS to the end of T: the ST segment's slope, T with its steep end.
T = loop(
    (0.154, 0.168, (0.012, 0.011, -0.052)),
    (0.713, 0.236, (0.270, 0.080, -0.260)),
    (0.716, 0.111, (0.135, 0.096, -0.010)),
    (0.911, 0.117, (-0.105, -0.003, 0.105)),
)

# Left bundle branch block: no septal vector to the right; slow, notched, to the left and back; T against it.
LBBB_SEPTUM = loop((0.21, 0.070, (0.16, 0.03, 0.04)))
LBBB_QRS = loop(
    (0.41, 0.090, (0.58, 0.21, 0.76)),
    (0.55, 0.085, (0.34, 0.10, 0.95)),
    (0.67, 0.083, (0.66, 0.11, 0.48)),
    (0.77, 0.075, (0.10, -0.01, 0.12)),
)
LBBB_T = loop(
    (0.26, 0.16, 0.22, (-0.030, 0.0, -0.07)),
    (0.66, 0.24, 0.14, (-0.16, 0.0, -0.33)),
)

# Right bundle branch block: the normal loop comes first, then the right ventricle alone, to the right and front.
RBBB_SHARE = 0.67
RBBB_LATE = loop(
    (0.47, 0.090, (0.0, 0.0, -0.48)),
    (0.62, 0.100, (-0.16, -0.02, -0.30)),
    (0.77, 0.085, (-0.29, -0.02, -0.46)),
)
RBBB_T = loop((0.70, 0.20, 0.13, (0.05, 0.0, 0.17)))

# Where ectopic ventricular beats come from → direction in which the ventricles are then activated.
FOCI = {
    "right outflow tract": (0.22, 0.90, 0.55),
    "right apex": (0.55, -0.70, 0.62),
    "left free wall": (-0.72, 0.30, -0.60),
    "left inferior wall": (-0.20, -0.80, -0.62),
}
PACED_FROM = "right apex"
# centre, width, share of the height: steep, with a notch, as muscle that conducts from cell to cell shows it
ECTOPIC_PARTS = ((0.18, 0.055, 0.28), (0.33, 0.062, 1.0), (0.48, 0.060, 0.66), (0.64, 0.068, 0.72), (0.80, 0.070, 0.22))


def ectopic(direction: ArrayLike, height_mv: float, turn: Vectors) -> tuple[Loop, Loop]:
    """QRS and T of a beat that spreads from one place through muscle: wide, along one direction, T against it.

    Args:
        direction: (3,) of activation.
        height_mv: of the vector.
        turn: (3,) by which the direction moves during the QRS.
    """
    way = np.asarray(direction, np.float64) / np.linalg.norm(direction)
    qrs = loop(*((at, width, height_mv * tall * (way + (at - 0.45) * turn)) for at, width, tall in ECTOPIC_PARTS))
    t = loop((0.30, 0.16, 0.25, -0.05 * height_mv * way), (0.66, 0.24, 0.14, -0.27 * height_mv * way))
    return qrs, t
