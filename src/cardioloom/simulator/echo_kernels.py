"""The loops behind a simulated echo video, compiled by numba where they are used. float32 throughout.

Each frame: what lies at every sample of every beam (`trace`, `trace_atria`), the echo of the scatterers there, which
move with the tissue (`scatter`), thin bright structures (`add_points`), the blur of the pulse (`blur`), and the picture
(`picture`). A complex sum of scatterers under a pulse gives Rayleigh speckle (Wagner et al. 1983,
doi:10.1109/T-SU.1983.31404).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# What lies at a point.
OUTSIDE, LV, LATERAL, RV, LA, RA, SEPTUM, RV_WALL, PERICARDIUM, ATRIAL_WALL, BEYOND, CHEST = range(12)
BEHIND = 12  # for a moment
# Places in the vector of numbers that describes a frame (`trace`).
COS, SIN, X0, Z0, LENGTH, TRICUSPID, ROOF, LA_U, LA_HALF, RA_U, RA_HALF, RIGHT_WALL, REST_LENGTH, CHEST_MM, BAND = (
    range(15)
)
LA_SKEW, LA_TAPER, RA_SKEW, RA_TAPER, VEIN = range(15, 20)  # of the atria's outline, shares of the half width
N_NUMBERS = 20
TEXTURE = 256  # side of the periodic field of scatterers, samples
FIRST_STEP, N_STEPS = -0.25, 51  # of the walls' tables
Array = NDArray[Any]


def trace(x: Array, z: Array, now: Array, tables: Array, rest: Array, kind: Array, at: Array) -> None:
    """What lies at each point, and where that was at end-diastole; what is `BEHIND` is left to `trace_atria`. Compiled.

    Args:
        x, z: (point,) mm to the right of and below the transducer.
        now: (N_NUMBERS,) numbers of the frame, by the names above.
        tables, rest: (5, step) half widths of the walls in this frame and at end-diastole.
        kind: (point,) uint8, written: one of the names above.
        at: (point, 2) written: where the material was at end-diastole, mm.
    """
    one, two, zero = np.float32(1), np.float32(2), np.float32(0)
    first, scale = np.float32(FIRST_STEP), np.float32((N_STEPS - 1) / (1 - FIRST_STEP))
    length, right_wall = now[LENGTH], now[RIGHT_WALL]
    moved = now[REST_LENGTH] - length
    for i in range(len(x)):
        dx, dz = x[i] - now[X0], z[i] - now[Z0]
        u, v = now[COS] * dx + now[SIN] * dz, now[COS] * dz - now[SIN] * dx
        at[i, 0], at[i, 1], kind[i] = x[i] + np.float32(97), z[i] + np.float32(41), OUTSIDE
        if z[i] < now[CHEST_MM]:
            kind[i] = CHEST
            continue
        place = (v / length - first) * scale
        across = -u if u < zero else u
        if place < zero:
            continue
        if v < length:
            k = min(int(place), N_STEPS - 2)
            f = place - np.float32(k)
            side = 0 if u < zero else 1
            inner = tables[side, k] * (one - f) + tables[side, k + 1] * f
            outer = tables[side + 2, k] * (one - f) + tables[side + 2, k + 1] * f
            if across < inner:
                kind[i] = LV
                continue
            if across < outer:
                start = rest[side, k] * (one - f) + rest[side, k + 1] * f
                stop = rest[side + 2, k] * (one - f) + rest[side + 2, k + 1] * f
                deep = start + (stop - start) * (across - inner) / (outer - inner)
                at[i, 0] = deep if side == 1 else -deep
                at[i, 1] = v / length * now[REST_LENGTH]
                kind[i] = SEPTUM if side == 0 else LATERAL
                continue
            if side == 1:
                if across < outer + two:
                    at[i, 0], at[i, 1], kind[i] = u, v + moved * v / length, PERICARDIUM
                continue
            cavity = tables[4, k] * (one - f) + tables[4, k + 1] * f
            if v < now[TRICUSPID]:
                out = across - outer - cavity
                if out < zero:
                    kind[i] = RV
                elif out < right_wall + two:
                    at[i, 0], at[i, 1] = -out, v + moved * v / length + np.float32(77)
                    kind[i] = RV_WALL if out < right_wall else PERICARDIUM
                continue
        at[i, 0], at[i, 1], kind[i] = u, v, BEHIND


def trace_atria(now: Array, kind: Array, at: Array) -> None:
    """What lies at the points that `trace` found behind the annuli. Compiled.

    Args:
        now: (N_NUMBERS,) numbers of the frame.
        kind, at: (point,), (point, 2) of `trace`, completed.
    """
    one, two, four, zero = np.float32(1), np.float32(2), np.float32(4), np.float32(0)
    fossa, vein = np.float32(0.28), np.float32(0.14)
    length, roof = now[LENGTH], now[ROOF]
    middle, half = (roof + length) / two, (roof - length) / two
    moved = now[REST_LENGTH] - length
    for i in range(len(kind)):
        if kind[i] != BEHIND:
            continue
        u, v = at[i, 0], at[i, 1]
        at[i, 1] = v + moved * (roof - v) / (roof - length)
        h = (v - middle) / half
        h2 = h * h
        if h < zero:
            h2 = h2 * h2
        # The outline leans to a side and narrows towards the roof; its width at the annulus stays.
        down = h + one
        x = (u - now[LA_U]) / now[LA_HALF] - now[LA_SKEW] * h
        y = (u - now[RA_U]) / now[RA_HALF] - now[RA_SKEW] * h
        x, y = x * (one + now[LA_TAPER] * (down - one)), y * (one + now[RA_TAPER] * (down - one))
        left, right = x * x + h2, y * y + h2
        near = min(left, right)
        if left < one and v >= length:
            kind[i] = LA
        elif right < one or (u < now[LA_U] - now[LA_HALF] - four and h < zero and right < np.float32(1.1)):
            kind[i] = RA
        elif h > fossa and near < two and abs(abs(x) - now[VEIN]) < vein and h > zero and left < right:
            kind[i] = OUTSIDE  # a pulmonary vein's mouth
        elif near < np.float32(1.25):
            # between the atria the middle of the septum is thin and hardly echoes
            kind[i] = OUTSIDE if x < zero and right < left + one and abs(h) < fossa else ATRIAL_WALL
        elif h > zero:
            grown = (now[BAND] - one) * h  # a wedge that widens behind the atria
            kind[i] = BEYOND if near < one + grown else PERICARDIUM if near < one + two * grown else OUTSIDE
        else:
            kind[i] = OUTSIDE


def scatter(
    kind: Array, at: Array, field: Array, levels: Array, haze: Array, noise: Array, shift: Array, out: Array
) -> None:
    """Amplitude of the echo from each point. Compiled.

    Args:
        kind, at: (beam · depth,), (…, 2) of `trace`.
        field: (TEXTURE, TEXTURE, 4) complex scatterers of even and of patchy tissue, one a 0.8 mm.
        levels: (kind, depth) amplitude of each kind of tissue.
        haze, noise: (depth,) amplitude of what does not move and of what changes with each frame.
        shift: (2,) where this frame takes its noise from, samples.
        out: (beam, depth, 2) written.
    """
    n_beams, n_depths = out.shape[0], out.shape[1]
    mask, finer = TEXTURE - 1, np.float32(1.25)
    one, far = np.float32(1), np.float32(1024)
    for b in range(n_beams):
        for d in range(n_depths):
            i = b * n_depths + d
            p, q = at[i, 0] * finer + far, at[i, 1] * finer + far
            m, n = int(p), int(q)
            f, g = p - np.float32(m), q - np.float32(n)
            m0, n0 = m & mask, n & mask
            m1, n1 = (m + 1) & mask, (n + 1) & mask
            level = levels[kind[i], d]
            r, s = (2 * b + shift[0]) & mask, (d + shift[1]) & mask
            t = (3 * b) & mask
            a00, a01, a10, a11 = (one - f) * (one - g), (one - f) * g, f * (one - g), f * g
            for c in range(2):
                tissue = field[m0, n0, c + 2] * a00 + field[m0, n1, c + 2] * a01
                tissue += field[m1, n0, c + 2] * a10 + field[m1, n1, c + 2] * a11
                out[b, d, c] = level * tissue + haze[d] * field[t, d & mask, c] + noise[d] * field[r, s, c]


def add_points(beam: Array, depth: Array, amplitude: Array, out: Array) -> None:
    """Add thin bright structures: (point,) places in samples and amplitudes, spread over four samples. Compiled."""
    one = np.float32(1)
    for i in range(len(beam)):
        b, d = int(np.floor(beam[i])), int(np.floor(depth[i]))
        if b < 0 or d < 0 or b >= out.shape[0] - 1 or d >= out.shape[1] - 1:
            continue
        f, g = beam[i] - np.float32(b), depth[i] - np.float32(d)
        out[b, d, 0] += amplitude[i] * (one - f) * (one - g)
        out[b + 1, d, 0] += amplitude[i] * f * (one - g)
        out[b, d + 1, 0] += amplitude[i] * (one - f) * g
        out[b + 1, d + 1, 0] += amplitude[i] * f * g


def blur(field: Array, lateral: Array, axial: Array, gain: Array, power: Array) -> None:
    """Power of the field under the pulse, over three depths (times 4). Compiled.

    No inner loop sums across itself, so that they run as vectors.

    Args:
        field: (beam, depth, 2) complex.
        lateral, axial: weights over beams and over depths, symmetric, of odd lengths.
        gain: (beam, depth) power gain.
        power: (beam, depth) written.
    """
    n_beams, n_depths = field.shape[0], field.shape[1]
    wide, deep = len(lateral) // 2, len(axial) // 2
    flat = field.reshape(n_beams, 2 * n_depths)
    two, alone = np.float32(2), np.empty(n_depths + 2, np.float32)
    row, mixed = np.empty(2 * (n_depths + 2 * deep), np.float32), np.empty(2 * n_depths, np.float32)
    for b in range(n_beams):
        row[:] = 0
        mixed[:] = 0
        inner = row[2 * deep : 2 * (deep + n_depths)]
        for k in range(-wide, wide + 1):
            weight, other = lateral[k + wide], flat[min(max(b + k, 0), n_beams - 1)]
            for j in range(2 * n_depths):
                inner[j] += weight * other[j]
        for k in range(2 * deep + 1):
            weight, other = axial[k], row[2 * k : 2 * (k + n_depths)]
            for j in range(2 * n_depths):
                mixed[j] += weight * other[j]
        for d in range(n_depths):
            real, imaginary = mixed[2 * d], mixed[2 * d + 1]
            alone[d + 1] = real * real + imaginary * imaginary
        alone[0], alone[n_depths + 1] = alone[1], alone[n_depths]
        for d in range(n_depths):
            power[b, d] = (alone[d] + two * alone[d + 1] + alone[d + 2]) * gain[b, d] + np.float32(1e-12)


def picture(bits: Array, scale: Array, pixels: Array, corner: Array, weights: Array, out: Array) -> None:
    """Brightness of the pixels inside the sector. Compiled.

    Args:
        bits: (beam · depth,) the power's float32 read as int32: as good as its logarithm (within 0.26 dB).
        scale: (4,) dB from black to white, dB at white, slope of the grey curve at black, number of depths.
        pixels, corner: (pixel,) index in the frame; index of the first of four samples.
        weights: (pixel, 4) of (beam, depth), (beam, depth + 1), (beam + 1, depth), (beam + 1, depth + 1).
        out: (row · col,) uint8, written.
    """
    per, start = np.float32(3.0103 / 8388608), np.float32(3.0103 * (0.043 - 127))
    n_depths = int(scale[3])
    for i in range(len(pixels)):
        k = corner[i]
        value = weights[i, 0] * np.float32(bits[k]) + weights[i, 1] * np.float32(bits[k + 1])
        value += weights[i, 2] * np.float32(bits[k + n_depths]) + weights[i, 3] * np.float32(bits[k + n_depths + 1])
        grey = (value * per + start - scale[1]) / scale[0] + np.float32(1)
        grey = min(max(grey, np.float32(0)), np.float32(1))
        out[pixels[i]] = np.uint8(
            grey * (scale[2] + (np.float32(1) - scale[2]) * grey) * np.float32(255) + np.float32(0.5)
        )
