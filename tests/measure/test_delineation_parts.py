"""The parts of the delineation, each against a slow or foreign second implementation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.measure import qrs_bounds as q
from cardioloom.measure.delineation import delineate
from cardioloom.measure.over_leads import quantile
from cardioloom.measure.repeats import _levelled, level, repeats
from cardioloom.measure.slopes import Spectrum, finer, smoothed


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_quantile_is_that_of_numpy(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    marks = rng.standard_normal((6, 7))
    marks[rng.random((6, 7)) < 0.4] = np.nan
    marks[:, 0] = 1.0  # numpy warns about rows without any value
    np.testing.assert_allclose(quantile(marks, share), np.nanquantile(marks, share, axis=1), rtol=1e-12, atol=1e-12)
    few = np.isfinite(marks).sum(axis=1) < 4
    assert (np.isnan(quantile(marks, share, 4)) == few).all()


def quantile_of_a_normal(share: float) -> float:
    """The quantile of |x| for a normal x of SD 1, by another library."""
    from scipy.special import erfinv

    return float(2**0.5 * erfinv(share))


def test_walk_outward_agrees_with_a_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(q, "FLANK_SHARE", np.inf)  # the walk alone
    rng = np.random.default_rng(1)
    slope = np.repeat(rng.standard_normal((3, 60)), 8, axis=1) ** 3 + 0.05
    peaks = np.array([120, 240, 360])
    onset, end = q.qrs_bounds(slope, peaks, 250.0)
    steep = np.abs(slope)
    # Beats 0.48 s apart: the quiet share of the time is 0.5 · 0.48 / 0.75.
    share = 0.5 * 0.48 / q.QUIET_RR_S
    usual = q.USUAL / quantile_of_a_normal(share) * np.quantile(steep, share, axis=1)
    for beat, peak in enumerate(peaks):
        for lead in range(3):
            near = np.arange(peak - round(q.NEAR_S[0] * 250), peak + round(q.NEAR_S[1] * 250))
            at = last = int(near[steep[lead, near].argmax()])
            least = max(q.OFF_SHARE * steep[lead, at], q.OFF_NOISE * usual[lead])
            while at - last < round(q.OFF_GAP_S * 250) and at < peak + round(q.REACH_S[1] * 250):
                at += 1
                last = at if steep[lead, at] > least else last
            if np.isfinite(end[beat, lead]):
                assert end[beat, lead] == last
    assert np.isfinite(end).any()
    assert np.isfinite(onset).any()


def test_slope_is_the_derivative_of_the_smoothed() -> None:
    time = np.arange(2000) / 500.0
    rows = np.stack([np.sin(2 * np.pi * 3 * time), np.cos(2 * np.pi * 5 * time)])
    spectrum = Spectrum.of(rows, 500.0)
    smooth, slope = spectrum.smoothed(20.0), spectrum.slope(20.0)
    np.testing.assert_allclose(slope[:, 100:-100], np.gradient(smooth, 1 / 500.0, axis=1)[:, 100:-100], atol=0.03)
    np.testing.assert_array_equal(smooth, smoothed(rows, 500.0, 20.0))
    gain = smoothed(np.sin(2 * np.pi * 20 * time)[None], 500.0, 20.0)[0, 500:1500].max()
    assert gain == pytest.approx(2**-0.5, abs=0.01)


def test_finer_lies_between_the_samples() -> None:
    time = np.arange(1500) / 1500.0
    wave = np.sin(2 * np.pi * 7 * time) + 0.4 * np.cos(2 * np.pi * 31 * time)
    found = finer(wave[None, ::5], 5)[0]
    assert found.shape == wave.shape
    np.testing.assert_allclose(found[::5], wave[::5], atol=1e-9)
    np.testing.assert_allclose(found[200:-200], wave[200:-200], atol=0.02)


@given(st.integers(0, 2**32 - 1), st.integers(3, 60), st.integers(1, 4), st.integers(0, 5))
@settings(max_examples=40)
def test_products_of_parts_that_are_not_made(seed: int, length: int, step: int, n_lags: int) -> None:
    rng = np.random.default_rng(seed)
    begin = np.arange(n_lags + 1) * step
    stretch = np.cumsum(rng.standard_normal((3, 5, begin[-1] + length)), axis=2)
    template = rng.standard_normal((3, length))
    alike, power = _levelled(stretch, begin, template)
    for k, first in enumerate(begin):
        parts = level(stretch[:, :, first : first + length])
        np.testing.assert_allclose(power[:, k], np.einsum("lbt,lbt->b", parts, parts), atol=1e-8 * length)
        np.testing.assert_allclose(alike[:, k], np.einsum("lbt,lt->b", parts, template), atol=1e-8 * length)


def test_repeats_finds_the_lag_of_each_beat() -> None:
    time = np.arange(6000) / 500.0
    anchors = np.arange(400.0, 5600.0, 400.0)
    lags = np.array([0, 10, -10, 4, -6, 0, 8, 0, 0, -8, 0, 0, 6])
    rows = sum(
        np.exp(-0.5 * ((time - (at + lag - 80) / 500) / 0.02) ** 2) for at, lag in zip(anchors, lags, strict=True)
    )
    signal = np.stack([rows, -0.5 * rows])
    fits = np.ones(len(anchors), bool)
    found = repeats((signal,), anchors, (-140, -20), fits=fits, most_lag=16, least_alike=0.5, fs=500.0)
    assert found is not None
    moved = np.abs(lags) >= 6
    assert np.abs(found.lags - lags)[moved].max() <= 4
    assert (found.alike > 0.7).all()
    few = repeats((signal,), anchors, (-140, -20), fits=np.arange(13) < 2, most_lag=16, least_alike=0.5, fs=500.0)
    assert few is None


def shapes(waves: list[tuple[float, float, float]], fs: float) -> tuple[np.ndarray, np.ndarray]:
    """(8, time) leads of one beat a second, each wave an amplitude (mV), a centre and a width (s); and the R peaks."""
    time = np.arange(round(10 * fs)) / fs
    base = np.zeros_like(time)
    for at in np.arange(0.5, 9.6, 1.0):
        for amplitude, centre, width in waves:
            base += amplitude * np.exp(-0.5 * ((time - at - centre) / width) ** 2)
    gains = np.array([0.7, 1.0, -0.6, -0.4, 0.5, 1.1, 1.0, 0.8])
    noise = 0.005 * np.random.default_rng(0).standard_normal((8, len(time)))
    return gains[:, None] * base + noise, np.round(np.arange(0.5, 9.6, 1.0) * fs).astype(np.int64)


@pytest.mark.parametrize("fs", [250.0, 500.0])
@pytest.mark.parametrize("second", [1.0, 0.8, -0.8])
@pytest.mark.parametrize(("gap", "width"), [(0.05, 0.025), (0.06, 0.030), (0.06, 0.035), (0.08, 0.030)])
@pytest.mark.parametrize("on_second", [False, True])
def test_a_smooth_broad_qrs_is_measured_whole(fs: float, second: float, gap: float, width: float, on_second: bool):
    """Two Gaussians with a plateau between them: from the first sample beyond 20 µV to the last, or not at all."""
    waves = [(1.0, 0.0, width), (second, gap, width)]
    rows, peaks = shapes([*waves, (-0.35, 0.38, 0.055)], fs)
    marks = delineate(rows, peaks + round(gap * fs) * on_second, fs).over_leads
    lasts = 1000 * (marks["qrs_off"] - marks["qrs_on"])[np.isfinite(marks["qrs_off"] - marks["qrs_on"])] / fs
    time = np.arange(-0.3, 0.5, 0.0005)
    alone = sum(amplitude * np.exp(-0.5 * ((time - centre) / broad) ** 2) for amplitude, centre, broad in waves)
    seen = time[np.abs(alone) > 0.02]
    assert len(lasts) or on_second  # the onset lies out of reach of an R peak so late
    assert not len(lasts) or np.median(lasts) == pytest.approx(1000 * (seen[-1] - seen[0]), abs=25)


@pytest.mark.parametrize("st_mv", [0.3, 0.6])
def test_a_raised_st_segment_is_no_part_of_the_qrs(st_mv: float):
    """The level at the end of the QRS is far from that at its onset, and no steep flank follows."""
    time = np.arange(5000) / 500.0
    rows, peaks = shapes([(1.0, 0.0, 0.010)], 500.0)
    for at in peaks / 500.0:
        rise = 0.5 * (np.tanh((time - at - 0.02) / 0.008) - np.tanh((time - at - 0.3) / 0.06))
        rows += np.array([0.7, 1.0, -0.6, -0.4, 0.5, 1.1, 1.0, 0.8])[:, None] * st_mv * rise
    marks = delineate(rows, peaks, 500.0)
    lasts = 2 * np.nanmedian(marks.over_leads["qrs_off"] - marks.over_leads["qrs_on"])
    assert 50 < lasts < 110
