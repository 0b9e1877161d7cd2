"""Mains hum is found where it is, with its frequency and amplitude."""

from __future__ import annotations

import numpy as np
import pytest

from cardioloom.measure.mains import mains_hum
from synthetic import ecg


@pytest.mark.parametrize("line", [50.0, 60.0])
@pytest.mark.parametrize("fs", [250.0, 500.0, 1000.0])
def test_a_line_is_found_with_its_amplitude(line: float, fs: float):
    record = ecg(fs=fs)
    signal = record.signal.astype(float)
    time = np.arange(signal.shape[1]) / fs
    signal[3] += 0.1 * np.sin(2 * np.pi * line * time + 1)
    found = mains_hum(signal, fs)
    assert found[3] is not None
    assert found[3][0] == line
    assert found[3][1] == pytest.approx(0.1, rel=0.15)
    assert [lead for lead, hum in enumerate(found) if hum] == [3]


@pytest.mark.parametrize("fs", [250.0, 500.0, 1000.0])
@pytest.mark.parametrize("bpm", [60.0, 75.0, 85.0])
def test_spikes_of_a_pacemaker_are_no_hum(bpm: float, fs: float):
    """Their harmonics lie 1 to 1.5 Hz apart: some on the line."""
    record = ecg(fs=fs, bpm=bpm)
    signal = record.signal.astype(float)
    signal[:, np.round((np.arange(30.0 / bpm, 10, 60.0 / bpm) - 0.05) * fs).astype(int)] += 4.0
    assert mains_hum(signal, fs) == [None] * 12
    signal[5] += 0.1 * np.sin(2 * np.pi * 50 * np.arange(signal.shape[1]) / fs)
    found = mains_hum(signal, fs)
    assert [lead for lead, hum in enumerate(found) if hum] == [5]
    assert found[5][1] == pytest.approx(0.1, rel=0.15)


def test_noise_a_slow_recorder_and_a_short_strip_have_none():
    assert mains_hum(ecg(noise_mv=0.2).signal, 500) == [None] * 12
    assert mains_hum(ecg(fs=100).signal, 100) == [None] * 12
    assert mains_hum(ecg(seconds=1.5).signal, 500) == [None] * 12
