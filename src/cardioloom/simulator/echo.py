"""A simulated echocardiogram: the apical four-chamber view of a `Heart`. Nothing here is a patient.

The ventricles follow the volume curve that the cine follows; the walls are those of `echo_scene`; speckle, blur,
attenuation, dropout and gain are those of `echo_kernels` and `echo_machine`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, pi

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import UsageError
from cardioloom.prepare.median import compiled
from cardioloom.records.echo import Echo
from cardioloom.simulator import echo_kernels as kernels
from cardioloom.simulator.echo_machine import machine, pulse, scatterers, slanted
from cardioloom.simulator.echo_scene import STEPS, Walls, walls
from cardioloom.simulator.echo_structures import structures
from cardioloom.simulator.heart import Heart
from cardioloom.simulator.streams import stream
from cardioloom.simulator.volume_curve import volume_curve

Floats = NDArray[np.floating]
NOTE = "simulated: not a patient"
BEATS = (1.3, 2.0)  # how many a video of 32 frames shows
FPS = (16.0, 60.0)
USUAL_DEPTH_MM = (170, 160)  # of the sector
BEAMS_A_PIXEL, DEPTHS_A_PIXEL = 0.86, 1.25


@dataclass(frozen=True, eq=False)
class EchoTruth:
    """What a simulated video shows.

    Args:
        masks: (time, row, col) uint8: 0 the rest, 1 cavity of the left ventricle, 2 its muscle, 3 right ventricle,
            4 left atrium, 5 right atrium; without regard to where the beams reach.
        phases: (time,) share of the beat since the R peak.
        lv_ml, rv_ml: (time,) volumes.
        lv_area_mm2, lv_length_mm: (time,) of the left ventricle's cavity in the picture.
        single_plane_ml: (time,) its volume by the method of discs in this plane alone: what a reader would get from
            perfect contours. Foreshortening and an oval cross-section part it from ``lv_ml``.
    """

    masks: NDArray[np.uint8]
    phases: Floats
    lv_ml: Floats
    rv_ml: Floats
    lv_area_mm2: Floats
    lv_length_mm: Floats
    single_plane_ml: Floats


@dataclass(frozen=True, eq=False)
class _Take:
    """One acquisition: what the walls are in each frame, and where the probe is."""

    walls: Walls
    phases: Floats
    lv_ml: Floats
    rv_ml: Floats
    numbers: NDArray[np.float32]  # (time, number) of `kernels.trace`
    fps: float
    pixel_mm: float
    depth_mm: float
    half_angle: float
    random: np.random.Generator


@dataclass(frozen=True, eq=False)
class _Grid:
    """Samples of the sector (unit depth) and how pixels are read from them."""

    sines: NDArray[np.float32]
    cosines: NDArray[np.float32]
    shares: NDArray[np.float32]  # (depth,) of the largest depth
    angles: Floats
    pixels: NDArray[np.int64]
    corner: NDArray[np.int64]
    weights: NDArray[np.float32]


def echo(heart: Heart, *, video: int = 0, n_frames: int = 32, size: int = 112) -> Echo:
    """A simulated video of the apical four-chamber view, apex at the top.

    Args:
        heart: the patient.
        video: number of the acquisition; each has its own probe position, depth, gain and first phase.
        n_frames: frames; 32 show 1.3 to 2 beats.
        size: rows and columns.

    Raises:
        UsageError: if a number is out of range.
    """
    take = _take(heart, video, n_frames, size)
    frames = _frames(heart, take, size)
    pixel = (take.pixel_mm, take.pixel_mm)
    return Echo(frames, take.fps, "a4c", pixel, f"simulator, site {heart.site}", notes=(NOTE,))


def echo_truth(heart: Heart, *, video: int = 0, n_frames: int = 32, size: int = 112) -> EchoTruth:
    """What `echo` with the same arguments shows."""
    take = _take(heart, video, n_frames, size)
    place = (np.arange(size) - (size - 1) / 2) * take.pixel_mm
    x = np.tile(place, size).astype(np.float32)
    z = np.repeat(np.arange(size) * take.pixel_mm, size).astype(np.float32)
    kind, at = np.empty(size * size, np.uint8), np.empty((size * size, 2), np.float32)
    named = np.zeros(12, np.uint8)
    named[[kernels.LV, kernels.LATERAL, kernels.SEPTUM, kernels.RV, kernels.LA, kernels.RA]] = (1, 2, 2, 3, 4, 5)
    masks = np.empty((n_frames, size, size), np.uint8)
    for mask, now, table in zip(masks, take.numbers, take.walls.tables, strict=True):
        compiled(kernels.trace)(x, z, now, table, take.walls.rest, kind, at)
        compiled(kernels.trace_atria)(now, kind, at)
        mask[:] = named[kind].reshape(size, size)
    cavity = np.maximum(take.walls.tables[:, 0] + take.walls.tables[:, 1], 0).astype(float)
    step = (1 - kernels.FIRST_STEP) / (kernels.N_STEPS - 1) * take.walls.length
    return EchoTruth(
        masks=masks,
        phases=take.phases,
        lv_ml=take.lv_ml,
        rv_ml=take.rv_ml,
        lv_area_mm2=_trapezoid(cavity) * step,
        lv_length_mm=take.walls.length,
        single_plane_ml=_trapezoid(cavity**2) * step * pi / 4000,
    )


def _trapezoid(values: Floats) -> Floats:
    return values.sum(1) - (values[:, 0] + values[:, -1]) / 2


def _take(heart: Heart, video: int, n_frames: int, size: int) -> _Take:
    if video < 0 or n_frames < 1 or not 16 <= size <= 1024:
        given = f"video {video}, {n_frames} frames of {size} pixels"
        raise UsageError(f"a simulated echo needs video ≥ 0, at least one frame, 16 to 1024 pixels, got {given}")
    random = stream(heart.seed, heart.patient, f"echo/{video}")
    seconds = random.uniform(*BEATS) * 60 / heart.electrics.heart_rate_bpm
    fps = float(np.clip(32 / seconds, *FPS))
    phases = _phases(heart, video, random.random(), np.arange(n_frames) / fps)
    lv_ml, rv_ml = volume_curve(heart, phases)
    shown = 1 - 0.10 * random.beta(1.3, 3)
    found = walls(heart, lv_ml, rv_ml, phases, shown=shown)
    chest = random.uniform(10, 16)
    apex = -float(STEPS[found.tables[0, 2:4].max(axis=0) > 0.5].min() * found.length[0])  # of muscle beyond the cavity
    top = chest + apex + random.uniform(0, 4) + 0.15 * max(0.0, heart.weight_kg / (heart.height_cm / 100) ** 2 - 24)
    usual = USUAL_DEPTH_MM[int(random.random() < 0.4)]  # deeper only where the heart does not fit
    depth = max(usual, 10 * ceil((top + found.roof + 5) / 10))
    half_angle = random.uniform(0.62, 0.70)
    pixel = depth * max(1.0, 2 * np.sin(half_angle)) / (size - 2)
    breath = np.sin(2 * pi * (np.arange(n_frames) / fps / random.uniform(3, 6) + random.random()))
    turn = random.normal(0.0, 0.07) + 0.012 * breath
    numbers = np.empty((n_frames, kernels.N_NUMBERS), np.float32)
    numbers[:, kernels.COS], numbers[:, kernels.SIN] = np.cos(turn), np.sin(turn)
    numbers[:, kernels.X0] = random.normal(10.0, 3.0) + 0.8 * breath
    numbers[:, kernels.Z0] = top + random.uniform(0.3, 1.2) * breath
    numbers[:, kernels.LENGTH], numbers[:, kernels.TRICUSPID] = found.length, found.tricuspid
    numbers[:, kernels.ROOF] = found.roof
    numbers[:, kernels.LA_U : kernels.RA_HALF + 1] = found.atria
    numbers[:, kernels.RIGHT_WALL] = found.right_wall
    numbers[:, kernels.REST_LENGTH] = heart.lv_length_mm * shown
    own = stream(heart.seed, heart.patient, "echo/atria").standard_normal(6)
    numbers[:, kernels.LA_SKEW : kernels.RA_TAPER + 1] = (0.0, 0.10, -0.08, 0.10) + 0.07 * own[:4]
    numbers[:, kernels.VEIN] = 0.60 + 0.05 * own[4]
    numbers[:, kernels.CHEST_MM], numbers[:, kernels.BAND] = chest, random.uniform(1.6, 2.6)
    return _Take(found, phases, lv_ml, rv_ml, numbers, fps, pixel, float(depth), half_angle, random)


def _phases(heart: Heart, video: int, start: float, seconds: Floats) -> Floats:
    """(time,) share of the beat; RR intervals vary, in atrial fibrillation much."""
    usual = 60 / heart.electrics.heart_rate_bpm
    spread = 0.18 if heart.electrics.rhythm == "atrial_fibrillation" else heart.electrics.rr_sd_ms / 1000 / usual
    n_beats = ceil(2 * seconds[-1] / usual) + 3
    noise = stream(heart.seed, heart.patient, f"echo/{video}/beats").standard_normal(n_beats)
    rr = usual * np.clip(1 + spread * noise, 0.55, 1.7)
    starts = np.concatenate([[0.0], np.cumsum(rr)])
    times = seconds + start * rr[0]
    beat = np.searchsorted(starts, times, "right") - 1
    return (times - starts[beat]) / rr[beat]


@lru_cache(maxsize=16)
def _grid(size: int, thousandths: int) -> _Grid:
    """The sector of a half angle in thousandths of a radian."""
    half_angle = thousandths / 1000
    n_beams, n_depths = round(BEAMS_A_PIXEL * size), round(DEPTHS_A_PIXEL * size)
    angles = np.linspace(-half_angle, half_angle, n_beams)
    shares = np.arange(n_depths) / (n_depths - 1)
    pixel = max(1.0, 2 * np.sin(half_angle)) / (size - 2)
    row, col = np.divmod(np.arange(size * size), size)
    x, z = (col - (size - 1) / 2) * pixel, row * pixel
    beam = (np.arctan2(x, np.maximum(z, 1e-9)) + half_angle) / (2 * half_angle) * (n_beams - 1)
    depth = np.hypot(x, z) * (n_depths - 1)
    inside = (beam >= 0) & (beam < n_beams - 1) & (depth < n_depths - 1)
    beam, depth = beam[inside], depth[inside]
    b, d = beam.astype(int), depth.astype(int)
    f, g = beam - b, depth - d
    weights = np.stack([(1 - f) * (1 - g), (1 - f) * g, f * (1 - g), f * g], 1).astype(np.float32)
    sines, cosines = np.sin(angles).astype(np.float32), np.cos(angles).astype(np.float32)
    pixels = np.flatnonzero(inside)
    return _Grid(sines, cosines, shares.astype(np.float32), angles, pixels, b * n_depths + d, weights)


def _frames(heart: Heart, take: _Take, size: int) -> NDArray[np.uint8]:
    """(time, row, col) uint8."""
    grid = _grid(size, round(1000 * take.half_angle))
    n_beams, n_depths = len(grid.sines), len(grid.shares)
    radius = grid.shares * np.float32(take.depth_mm)
    x, z = np.outer(grid.sines, radius).ravel(), np.outer(grid.cosines, radius).ravel()
    field = scatterers(take.random)
    roof_mm = float(take.numbers[0, kernels.Z0]) + take.walls.roof
    set_ = machine(heart, take.random, radius, n_beams, roof_mm)
    slanted(set_.levels, take.walls, take.numbers[0], radius)
    beam, depth, bright = _points(heart, take, n_beams, n_depths)
    kind, at = np.empty(len(x), np.uint8), np.empty((len(x), 2), np.float32)
    echoes, power = np.empty((n_beams, n_depths, 2), np.float32), np.empty((n_beams, n_depths), np.float32)
    lateral, axial = pulse(1.3 * size / 112, 7, tail=0.045), pulse(0.8 * size / 112, 2)
    shifts = take.random.integers(kernels.TEXTURE, size=(len(take.phases), 2))
    frames = np.zeros((len(take.phases), size * size), np.uint8)
    trace, trace_atria, scatter = map(compiled, (kernels.trace, kernels.trace_atria, kernels.scatter))
    add_points, blur, picture = map(compiled, (kernels.add_points, kernels.blur, kernels.picture))
    for t, frame in enumerate(frames):
        trace(x, z, take.numbers[t], take.walls.tables[t], take.walls.rest, kind, at)
        trace_atria(take.numbers[t], kind, at)
        scatter(kind, at, field, set_.levels, set_.haze, set_.noise, shifts[t], echoes)
        add_points(beam[t], depth[t], bright, echoes)
        blur(echoes, lateral, axial, set_.gain, power)
        picture(power.reshape(-1).view(np.int32), set_.scale, grid.pixels, grid.corner, grid.weights, frame)
    return frames.reshape(-1, size, size)


def _points(
    heart: Heart, take: _Take, n_beams: int, n_depths: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """(time, point) places of thin structures in samples, and (point,) amplitudes."""
    place, bright = structures(heart, take.walls, take.phases)
    cos, sin = take.numbers[:, kernels.COS, None], take.numbers[:, kernels.SIN, None]
    x = take.numbers[:, kernels.X0, None] + cos * place[..., 0] - sin * place[..., 1]
    z = take.numbers[:, kernels.Z0, None] + sin * place[..., 0] + cos * place[..., 1]
    beam = (np.arctan2(x, z) + take.half_angle) / (2 * take.half_angle) * (n_beams - 1)
    depth = np.hypot(x, z) / take.depth_mm * (n_depths - 1)
    grain = np.exp(0.5 * take.random.standard_normal(len(bright)))
    return beam.astype(np.float32), depth.astype(np.float32), (0.075 * bright * grain).astype(np.float32)
