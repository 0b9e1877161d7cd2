"""Long recordings, part by part."""

from __future__ import annotations

from collections.abc import Iterator

from cardioloom.records import ECG

MARGIN_S = 1.0  # that neighbouring parts share


def in_parts(ecg: ECG, seconds: float) -> Iterator[tuple[float, ECG, tuple[float, float]]]:
    """Offset of a part of a recording (s), the part, and what it holds of its neighbours before and behind (s).

    Each part is a multiple of ``seconds``; what is left over belongs to the last. The neighbours' second is for
    resampling, so that no edge arises where the recording has none.
    """
    size, margin, n_samples = round(seconds * ecg.fs), round(MARGIN_S * ecg.fs), ecg.shape[1]
    starts = range(0, max(1, n_samples - size + 1), size)
    for start in starts:
        stop = n_samples if start == starts[-1] else start + size
        before, behind = min(margin, start), min(margin, n_samples - stop)
        yield start / ecg.fs, ecg.window(start - before, stop + behind), (before / ecg.fs, behind / ecg.fs)
