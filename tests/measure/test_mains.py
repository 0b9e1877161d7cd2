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


def test_noise_a_slow_recorder_and_a_short_strip_have_none():
    assert mains_hum(ecg(noise_mv=0.2).signal, 500) == [None] * 12
    assert mains_hum(ecg(fs=100).signal, 100) == [None] * 12
    assert mains_hum(ecg(seconds=1.5).signal, 500) == [None] * 12
