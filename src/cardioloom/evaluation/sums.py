"""The bootstrap of patients for what depends on sums over records alone: all draws in one matrix product."""

from __future__ import annotations

import numpy as np

from cardioloom.evaluation.bootstrap import DRAWS, patient_draws
from cardioloom.evaluation.checks import Codes, Floats

BLOCK = 64  # draws at once: the counts of a hundred thousand patients stay within 51 MB


def patient_sums(values: Floats, patients: Codes) -> Floats:
    """(patient, value) sums over the records of each patient.

    Args:
        values: (record, value).
        patients: (record,) numbers from 0 without a gap.
    """
    found = np.zeros((int(patients.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(found, patients, values)
    return found


def drawn_sums(sums: Floats, *, draws: int = DRAWS, seed: int = 0) -> Floats:
    """(draw, value) sums over the patients of each draw; the draws are those of `bootstrap` with this seed.

    Args:
        sums: (patient, value) as `patient_sums` gives them.
        draws, seed: of the bootstrap.
    """
    counts = patient_draws(len(sums), draws=draws, seed=seed)
    found = np.empty((draws, sums.shape[1]))
    for first in range(0, draws, BLOCK):
        found[first : first + BLOCK] = counts[:, first : first + BLOCK].T.astype(np.float64) @ sums
    return found
