"""The leads that a preparation asks for, by name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cardioloom.errors import PreparationError
from cardioloom.records import ECG, Counts, standard_lead
from cardioloom.records.leads import FROM_I_AND_II, derive


def select(source: ECG | tuple[ArrayLike, Sequence[str]], order: Sequence[str]) -> NDArray[np.float64]:
    """The leads of ``order``, in that order; III, aVR, aVL and aVF are derived from I and II where they are absent.

    Args:
        source: an ECG, or a pair of a signal (lead, time) in mV and one name a row, in any spelling.
        order: names of the leads wanted.

    Returns:
        (lead, time) float64, mV, NaN = not recorded. Integer counts are converted in float64, without the rounding
        to float32 of `ECG.signal`.

    Raises:
        PreparationError: if leads are missing and cannot be derived, two rows have the same name, or shapes disagree.
    """
    names, rows = _named(source)
    missing = [lead for lead in order if lead not in rows and not _derivable(lead, rows)]
    if missing:
        raise PreparationError(
            f"leads {', '.join(missing)} are needed and cannot be derived, got {', '.join(names)}: "
            "record them or choose a preparation for fewer leads"
        )
    n_samples = len(next(iter(rows.values())))
    out = np.empty((len(order), n_samples))
    for lead, row in zip(order, out, strict=True):
        row[:] = rows[lead] if lead in rows else derive(lead, rows["I"], rows["II"])
    return out


def derived(names: Sequence[str], order: Sequence[str]) -> tuple[str, ...]:
    """The leads of ``order`` that `select` computes because they are not among ``names`` (any spelling)."""
    known = {_key(name) for name in names}
    return tuple(lead for lead in order if lead not in known)


def _named(source: ECG | tuple[ArrayLike, Sequence[str]]) -> tuple[tuple[str, ...], dict[str, NDArray[np.floating]]]:
    if isinstance(source, ECG):
        signal, names = _millivolts(source), source.leads
    else:
        signal, names = np.asarray(source[0], np.float64), tuple(source[1])
    if signal.ndim != 2 or len(signal) != len(names):
        raise PreparationError(
            f"a signal (lead, time) needs one name a lead, got shape {signal.shape}, {len(names)} names"
        )
    rows = {_key(name): row for name, row in zip(names, signal, strict=True)}
    if len(rows) != len(names):
        raise PreparationError(f"two leads have the same name, got {', '.join(names)}: name each once")
    return names, rows


def _millivolts(ecg: ECG) -> NDArray[np.floating]:
    counts = ecg.counts
    if counts is None:
        return ecg.signal
    return _exact(counts)


def _exact(counts: Counts) -> NDArray[np.float64]:
    values = np.asarray(counts.values[:, :])
    signal = (values - counts.baseline[:, None]) / counts.gain[:, None]
    for row, count, invalid in zip(signal, values, counts.invalid, strict=True):
        if invalid is not None:
            row[count == invalid] = np.nan
    return signal


def _derivable(lead: str, rows: dict[str, NDArray[np.floating]]) -> bool:
    return lead in FROM_I_AND_II and "I" in rows and "II" in rows


def _key(name: str) -> str:
    return standard_lead(name) or name
