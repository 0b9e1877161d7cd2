"""What a recording adds to the heart: respiration's wander, muscle, mains, and the recorder's filters and counts."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from cardioloom.simulator.torso import FROM_ELECTRODES

WANDERS = 5  # slow waves an electrode besides respiration
WANDER_FS = 20.0  # Hz at which they are made; straight lines between
NOTCHED = 0.05  # share of mains that a notch leaves
MUSCLE_HZ = 25.0  # first-order high-pass that gives noise the colour of muscle


@dataclass(frozen=True)
class Recorder:
    """The electrocardiograph of a simulated site. Every value is a rule of this simulator.

    Args:
        name: for `ECG.device`.
        counts_per_mv: of the recorder.
        mains_hz: of the country.
        mains_uv, muscle_uv, wander_uv: usual sizes at an electrode (RMS).
        high_pass_hz: first order, as in an analogue amplifier.
        low_pass_hz: fourth order, without delay.
        notch: whether mains is filtered.
    """

    name: str
    counts_per_mv: float
    mains_hz: float
    mains_uv: float
    muscle_uv: float
    wander_uv: float
    high_pass_hz: float
    low_pass_hz: float
    notch: bool


RECORDERS = {
    "A": Recorder("simulated recorder A", 1000.0, 50.0, 2.0, 7.0, 32.0, 0.05, 150.0, False),
    "B": Recorder("simulated recorder B", 204.8, 50.0, 5.0, 9.0, 25.0, 0.15, 100.0, True),
    "C": Recorder("simulated recorder C", 400.0, 60.0, 2.5, 7.0, 30.0, 0.05, 150.0, False),
    "D": Recorder("simulated recorder D", 1000.0, 60.0, 4.0, 13.0, 55.0, 0.30, 40.0, True),
}


def recorder(site: str) -> Recorder:
    """Of a site; that of A where the site has none of its own."""
    return RECORDERS.get(site, RECORDERS["A"])


def noise(
    kind: Recorder, random: np.random.Generator, clock: tuple[float, float], n_samples: int, breath: tuple[float, float]
) -> NDArray[np.float32]:
    """Noise of one recording, made at the electrodes, so that the limb leads' sums hold.

    Args:
        kind: the recorder.
        random: the recording's stream.
        clock: time of the first sample in s, rate in Hz.
        n_samples: length.
        breath: rate in Hz and phase of respiration.

    Returns:
        (8, time) mV in I, II, V1–V6.
    """
    start_s, fs = clock
    own = random.standard_normal((9, 8))
    slow = random.random((9, WANDERS, 2))
    size = np.exp(0.45 * own[:, :3]) * np.exp(0.35 * own[0, 7])  # of wander, muscle and mains at each electrode
    at = np.arange(n_samples) / fs + start_s
    few = np.arange(np.floor(at[0] * WANDER_FS), np.ceil(at[-1] * WANDER_FS) + 1) / WANDER_FS
    wander = FROM_ELECTRODES @ (_wander(slow, own, few, breath) * (kind.wander_uv * size[:, :1]))
    out = np.stack([np.interp(at, few, lead) for lead in wander]).astype(np.float32)
    muscle = _muscle(random, n_samples, fs)
    out += (FROM_ELECTRODES * (kind.muscle_uv * size[:, 1])).astype(np.float32) @ muscle
    hum = FROM_ELECTRODES * (kind.mains_uv * (NOTCHED if kind.notch else 1.0) * size[:, 2])
    angle = 2 * pi * kind.mains_hz * at
    if kind.mains_hz < fs / 2:
        parts = np.stack([np.sin(angle), np.cos(angle)]).astype(np.float32)
        out += np.sqrt(np.float32(2)) * (hum @ np.stack([np.cos(own[:, 6]), np.sin(own[:, 6])], 1)).astype("f4") @ parts
    if 3 * kind.mains_hz < fs / 2:
        out += (0.2 * hum.sum(axis=1, keepdims=True) * np.sin(3 * angle)).astype(np.float32)
    return out / np.float32(1000)


def _wander(
    slow: NDArray[np.float64], own: NDArray[np.float64], at: NDArray[np.float64], breath: tuple[float, float]
) -> NDArray[np.float64]:
    """(9, time) of RMS about 1: respiration, and waves of 0.03 to 0.4 Hz that are smaller the faster they are."""
    rate = 0.03 * (0.4 / 0.03) ** ((np.arange(WANDERS) + slow[:, :, 0]) / WANDERS)  # (9, wander)
    size = np.sqrt(2 / WANDERS) * (0.12 / rate) ** 0.5
    waves = np.zeros((9, len(at)))
    for n in range(WANDERS):
        waves += size[:, n, None] * np.sin(2 * pi * (rate[:, n, None] * at + slow[:, n, 1:]))
    return waves + 0.8 * own[:, 5:6] * np.sin(2 * pi * breath[0] * at + breath[1])


def _muscle(random: np.random.Generator, n_samples: int, fs: float) -> NDArray[np.float32]:
    """(9, time) of RMS about 1 in a band of 250 Hz: the same density at any rate."""
    from scipy.signal import lfilter

    white = random.standard_normal((9, n_samples), dtype=np.float32) * np.float32(np.sqrt(fs / 500))
    kept = float(np.exp(-2 * pi * MUSCLE_HZ / fs))
    half = (1 + kept) / 2
    return np.asarray(lfilter(np.array([half, -half], np.float32), np.array([1, -kept], np.float32), white, axis=1))


def recorded(signal: NDArray[np.float32], kind: Recorder, fs: float) -> NDArray[np.float32]:
    """What passes the recorder's filters.

    Args:
        signal: (lead, time) mV, with some seconds ahead, for the high-pass to settle, and a little behind.
        kind: the recorder.
        fs: Hz.

    Returns:
        (lead, time) mV.
    """
    from scipy.signal import lfilter

    kept = np.float32(np.exp(-2 * pi * kind.high_pass_hz / fs))
    half = (1 + kept) / 2
    settled = (-half * signal[:, :1]).astype(np.float32)  # as if the first value had always been there
    numerator, denominator = np.array([half, -half], np.float32), np.array([1, -kept], np.float32)
    signal = np.asarray(lfilter(numerator, denominator, signal, axis=1, zi=settled)[0])
    n = signal.shape[1] + round(fs)  # what wraps round falls on the seconds that are cut off
    hz = np.fft.rfftfreq(n, 1 / fs)
    passes = (1 / np.sqrt(1 + (hz / kind.low_pass_hz) ** 8)).astype(np.float32)
    filtered = np.fft.irfft(np.fft.rfft(signal, n, axis=1) * passes, n, axis=1)
    return filtered[:, : signal.shape[1]].astype(np.float32, copy=False)
