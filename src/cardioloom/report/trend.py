"""Heart rate over time, beat by beat, as the numbers of a small drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 720.0, 180.0  # drawing units
LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 22.0, 34.0
MAX_POINTS = 400
PAUSE_S = 3.0  # beats further apart are not joined: a pause, a gap or missed beats


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis, drawing units."""

    at: float
    text: str


@dataclass(frozen=True)
class Trend:
    """Heart rate over time: one path of beats (medians where beats are many), one of their range, the axes' ticks."""

    line: str
    band: str
    dots: tuple[tuple[float, float], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str
    caption: str
    width: float = WIDTH
    height: float = HEIGHT


def trend_of(r_peaks_s: NDArray[np.float64]) -> Trend | None:
    """The heart rate between successive R peaks, bpm, or None where there are fewer than three.

    Args:
        r_peaks_s: (beats,) s, increasing.
    """
    peaks = np.asarray(r_peaks_s, np.float64)
    rr = np.diff(peaks)
    if len(peaks) < 3 or not (rr > 0).all():
        return None
    times, joined, rates = peaks[1:], rr <= PAUSE_S, 60.0 / rr
    table = _grouped(times, rates, joined)
    low, high = _rounded(rates[joined] if joined.any() else rates)
    per_unit, unit = _unit(float(peaks[-1]))

    def x(t: NDArray[np.float64]) -> NDArray[np.float64]:
        return LEFT + t / peaks[-1] * (WIDTH - LEFT - RIGHT)

    def y(rate: NDArray[np.float64]) -> NDArray[np.float64]:
        return TOP + (high - np.clip(rate, low, high)) / (high - low) * (HEIGHT - TOP - BOTTOM)

    xs, middle, bottom, top = x(table[0]), y(table[1]), y(table[2]), y(table[3])
    many = len(rates) > MAX_POINTS
    dots = () if len(rates) > 120 else tuple(zip(xs.round(1).tolist(), middle.round(1).tolist(), strict=True))
    band = "".join(f"M{a:.1f} {b:.1f}V{c:.1f}" for a, b, c in zip(xs, bottom, top, strict=True)) if many else ""
    return Trend(
        line=_line(xs, middle, table[4] > 0),
        band=band,
        dots=dots,
        x_ticks=tuple(
            Tick(float(x(np.array(t * per_unit))), f"{t:g}") for t in round_ticks(0.0, float(peaks[-1]) / per_unit, 8)
        ),
        y_ticks=tuple(Tick(float(y(np.array(rate))), f"{rate:g}") for rate in round_ticks(low, high, 4)),
        x_label=f"time, {unit}",
        caption=f"{len(rates):,} RR intervals, {rr.min() * 1000:,.0f} to {rr.max() * 1000:,.0f} ms",
    )


def _grouped(times: NDArray[np.float64], rates: NDArray[np.float64], joined: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(5, points): time, median, smallest and largest rate, and 1 where the point joins the one before."""
    if len(times) <= MAX_POINTS:
        return np.array([times, rates, rates, rates, joined.astype(np.float64)])
    indices = np.array_split(np.arange(len(times)), MAX_POINTS)
    rows = [
        (times[i].mean(), np.median(rates[i]), rates[i].min(), rates[i].max(), float(joined[i].all())) for i in indices
    ]
    return np.array(rows).T


def _line(xs: NDArray[np.float64], ys: NDArray[np.float64], joined: NDArray[np.bool_]) -> str:
    commands = np.where(joined, "L", "M")
    commands[0] = "M"
    return "".join(f"{command}{a:.1f} {b:.1f}" for command, a, b in zip(commands, xs, ys, strict=True))


def _rounded(rates: NDArray[np.float64]) -> tuple[float, float]:
    """An axis of at least 40 bpm around the rates, on multiples of 10."""
    low, high = float(np.percentile(rates, 0.5)), float(np.percentile(rates, 99.5))
    spare = max(5.0, (40.0 - (high - low)) / 2)
    return max(0.0, np.floor((low - spare) / 10) * 10), np.ceil((high + spare) / 10) * 10


def _unit(seconds: float) -> tuple[float, str]:
    if seconds <= 180:
        return 1.0, "s"
    return (60.0, "min") if seconds <= 3 * 3600 else (3600.0, "h")


def round_ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from low to high, at most ``about`` + 1 of them."""
    rough = (high - low) / about
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first = int(np.ceil(low / step - 1e-9))
    return [round(k * step, 6) for k in range(first, int(np.floor(high / step + 1e-9)) + 1)]
