"""The band that a wavelet transform keeps, beside PyWavelets."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from cardioloom.errors import PreparationError
from cardioloom.prepare import PRESETS, Preparation, apply
from cardioloom.prepare.wavelet import SCALING, wavelet_band


def foreign(row: np.ndarray, levels: int, finest: int) -> np.ndarray:
    pywt = pytest.importorskip("pywt")
    parts = pywt.wavedec(row, "db6", mode="symmetric", level=levels)
    dropped = [0, *range(len(parts) - finest, len(parts))]
    kept = [np.zeros_like(part) if i in dropped else part for i, part in enumerate(parts)]
    return pywt.waverec(kept, "db6", mode="symmetric")[: len(row)]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape)


@pytest.mark.parametrize(("samples", "levels"), [(5000, 8), (5001, 8), (2816, 8), (3333, 5), (88, 3), (23, 1), (22, 1)])
def test_equal_to_pywavelets(samples: int, levels: int):
    signal = noise(2, 3, samples)
    for finest in range(min(levels, 3) + 1):
        wanted = np.apply_along_axis(foreign, -1, signal, levels, finest)
        assert np.abs(wavelet_band(signal, levels=levels, finest=finest) - wanted).max() < 1e-12


def test_the_filter_is_that_of_six_vanishing_moments():
    taps = np.array(SCALING)
    assert taps.sum() == pytest.approx(math.sqrt(2), abs=1e-12)
    for shift in range(6):
        assert taps[2 * shift :] @ taps[: 12 - 2 * shift] == pytest.approx(float(shift == 0), abs=1e-11)
    turned = taps[::-1] * (-1.0) ** np.arange(12)
    for power in range(6):
        assert turned @ np.arange(12.0) ** power == pytest.approx(0, abs=1e-5)


def test_drift_and_hum_go_and_the_beat_stays():
    seconds = np.arange(5000) / 500
    kept = np.sin(2 * np.pi * 12 * seconds)
    drift, hum = 3 * np.sin(2 * np.pi * 0.15 * seconds) + 2, 0.5 * np.sin(2 * np.pi * 200 * seconds)
    found = wavelet_band(kept + drift + hum)
    assert np.abs(found - kept)[600:-600].max() < 0.05
    assert np.abs(found - kept).mean() < 0.05
    assert np.abs(wavelet_band(np.full(5000, 7.0))).max() < 1e-9


def test_rows_do_not_depend_on_each_other_and_the_input_stays():
    signal = noise(4, 12, 3000)
    before = signal.copy()
    together = wavelet_band(signal)
    assert np.array_equal(together[2, 5], wavelet_band(signal[2, 5]))
    assert np.array_equal(signal, before)


def test_the_preset_is_wavelet_then_score():
    preset = PRESETS["ptacl"]
    assert Preparation.from_json(preset.to_json()) == preset
    signal = noise(2, 12, 5000)
    found = apply(signal, preset)
    for record, prepared in zip(signal, found, strict=True):
        band = np.apply_along_axis(foreign, -1, record, 8, 2)
        assert np.abs((band - band.mean()) / band.std() - prepared).max() < 1e-5


def test_what_cannot_be_is_refused():
    with pytest.raises(PreparationError, match="8 levels of a wavelet need 2816 samples, got 2500"):
        wavelet_band(noise(2500))
    with pytest.raises(PreparationError, match="needs finite samples"):
        wavelet_band(np.full(5000, np.nan))
    for levels, finest in ((0, 0), (3.5, 1), (3, 4), (3, -1)):
        with pytest.raises(PreparationError, match="needs whole levels"):
            wavelet_band(noise(5000), levels=levels, finest=finest)
    with pytest.raises(PreparationError, match="need 2816 samples"):
        apply(noise(1, 12, 2500), replace(PRESETS["ptacl"], window_seconds=5.0))
