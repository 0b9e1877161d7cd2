"""Phases of the heart beat: does each phase of the ECG find the same phase of the patient's own cine?

The question behind the local loss of PTACL (Selivanov et al. 2025, arXiv:2506.20683, section 3.2), asked of embeddings
(record, phase, width) of both: a matrix to look at, and the mean distance of its maxima from the diagonal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.bootstrap import DRAWS, LEVEL, bootstrap
from cardioloom.evaluation.checks import Bools, Codes, Floats, Patients, coded_patients, numbers, unit
from cardioloom.evaluation.degenerate import without_degenerate

BLOCK = 256  # records whose embeddings are held in double precision
SAME = 1e-9  # two cosines that differ by less are a tie


def phase_similarity(ecg: ArrayLike, cine: ArrayLike, usable: ArrayLike | None = None) -> Floats:
    """Mean over the usable records of the cosine of ECG phase k and phase t of the same record's cine.

    Args:
        ecg, cine: (record, phase, width).
        usable: (record,) bool, False where a recording has too few beats; the others may hold anything.

    Returns:
        (ECG phase, cine phase), −1 to 1.

    Raises:
        UsageError: if shapes differ, or a usable embedding is not finite or zero.
        NotEstimableError: if no record is usable.
    """
    return PhaseMatch.of(ecg, cine, usable).similarity


def diagonal_distance(
    ecg: ArrayLike,
    cine: ArrayLike,
    usable: ArrayLike | None = None,
    *,
    circular: bool = False,
    patients: Patients = None,
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Any]:
    """How far the most similar cine phase lies from each ECG phase: mean over records and phases k of |argmax_t − k|.

    Of phases that are equally similar, each counts with its share, so that embeddings without phases come out as chance
    and not as "always the first".

    Args:
        ecg, cine, usable: as `phase_similarity`.
        circular: the shorter way round the beat instead.
        patients: (record,) who are drawn for the interval; None = each record its own.
        draws, seed, level: as in `bootstrap`.

    Returns:
        `Estimate.to_json` of the distance in phases, with ``on_diagonal`` (the share of phases that find their own, in
        the same form), the ``level`` of both intervals, ``chance`` (uniform draws: (T² − 1) / (3 T), or ⌊T² / 4⌋ / T
        round the circle), ``constant`` (the best answer that is the same for every phase: ⌊T² / 4⌋ / T), ``phases`` T,
        ``circular``, ``n_records``, and ``n_unusable`` of them.

    Raises:
        UsageError, NotEstimableError: as `phase_similarity`; UsageError as `bootstrap`.
    """
    match = PhaseMatch.of(ecg, cine, usable, circular=circular)
    return match.estimate(patients=patients, draws=draws, seed=seed, level=level)


@dataclass(frozen=True, eq=False)
class PhaseMatch:
    """Which phases of the cine those of the ECG find. Get it with `of`.

    Args:
        similarity: (ECG phase, cine phase) of `phase_similarity`.
        distance: (usable record,) mean over its phases k of |argmax_t − k|.
        on_diagonal: (usable record,) share of its phases that find their own.
        rows: (usable record,) its place among all.
        n_records: all.
        circular: whether the distance is the shorter way round the beat.
    """

    similarity: Floats
    distance: Floats
    on_diagonal: Floats
    rows: Codes
    n_records: int
    circular: bool

    @classmethod
    def of(
        cls, ecg: ArrayLike, cine: ArrayLike, usable: ArrayLike | None = None, *, circular: bool = False
    ) -> PhaseMatch:
        """Of both (record, phase, width), arguments and errors as `phase_similarity` and `diagonal_distance`."""
        one, other, rows = _checked(ecg, cine, usable)
        apart = _apart(one.shape[1], circular)
        total, distance, on_diagonal = np.zeros(apart.shape), np.empty(len(rows)), np.empty(len(rows))
        for part, cosines in _cosines(one, other, rows):
            total += cosines.sum(axis=0)
            share = _found(cosines)
            distance[part] = (share * apart).sum(axis=2).mean(axis=1)
            on_diagonal[part] = np.trace(share, axis1=1, axis2=2) / len(apart)
        return cls(total / len(rows), distance, on_diagonal, rows, len(one), circular)

    def estimate(
        self, *, patients: Patients = None, draws: int = DRAWS, seed: int = 0, level: float = LEVEL
    ) -> dict[str, Any]:
        """What `diagonal_distance` says, with its arguments and errors."""
        codes = coded_patients(patients, self.n_records)[self.rows]

        def estimated(of_record: Floats) -> dict[str, Any]:
            def mean(drawn: Codes) -> float:
                return float(of_record[drawn].mean())

            return bootstrap(mean, codes, draws=draws, seed=seed, level=level).to_json()

        n_phases = len(self.similarity)
        constant = n_phases**2 // 4 / n_phases
        return without_degenerate(estimated(self.distance) | {"on_diagonal": estimated(self.on_diagonal)}) | {
            "level": level,
            "chance": constant if self.circular else (n_phases**2 - 1) / (3 * n_phases),
            "constant": constant,
            "phases": n_phases,
            "circular": self.circular,
            "n_records": self.n_records,
            "n_unusable": self.n_records - len(self.rows),
        }


def best_roll(similarity: ArrayLike) -> int:
    """By how many tokens the cine is displaced: the n with the largest mean of S(k, k + n), round the circle.

    A cine that is rolled by n (``np.roll(cine, n, axis=1)``) moves it by n. Where it does not, the match comes from the
    position of a token and not from what is seen in it.

    Args:
        similarity: (ECG phase, cine phase) of `phase_similarity`.

    Returns:
        From −⌊(T − 1) / 2⌋ to ⌊T / 2⌋; of equal means that nearest to 0, of two as near the positive one.

    Raises:
        UsageError: if it is not square and finite.
    """
    s = numbers(similarity, "a phase similarity")
    if s.ndim != 2 or s.shape[0] != s.shape[1] or not s.size or not np.isfinite(s).all():
        raise UsageError(f"a phase similarity is square and finite, got shape {s.shape}")
    n_phases, phase = len(s), np.arange(len(s))
    rolls = sorted(range(-((n_phases - 1) // 2), n_phases // 2 + 1), key=lambda n: (abs(n), n < 0))
    means = np.array([s[phase, (phase + n) % n_phases].mean() for n in rolls])
    return rolls[int(np.argmax(means >= means.max() - SAME))]


def _found(cosines: Floats) -> Floats:
    """(record, ECG phase, cine phase) how much each cine phase is the most similar one; equal ones share."""
    best = cosines >= cosines.max(axis=2, keepdims=True) - SAME
    return best / best.sum(axis=2, keepdims=True)


def _apart(n_phases: int, circular: bool) -> Floats:
    """(phase, phase) distances in phases."""
    place = np.arange(n_phases)
    apart = np.abs(place[:, None] - place)
    return (np.minimum(apart, n_phases - apart) if circular else apart).astype(np.float64)


def _cosines(one: Floats, other: Floats, rows: Codes) -> Iterator[tuple[slice, Floats]]:
    """Places among the usable records, and their (record, phase, phase)."""
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        ecg, cine = (unit(side[rows[part]], "embeddings of usable records") for side in (one, other))
        yield part, ecg @ cine.transpose(0, 2, 1)


def _checked(ecg: ArrayLike, cine: ArrayLike, usable: ArrayLike | None) -> tuple[Floats, Floats, Codes]:
    """Both (record, phase, width), and the numbers of the usable records."""
    one, other = np.asarray(ecg), np.asarray(cine)
    if one.ndim != 3 or one.shape != other.shape or not one.size:
        raise UsageError(
            f"phases of ECG and cine are (record, phase, width) of one shape, got {one.shape} and {other.shape}"
        )
    if one.dtype.kind not in "iuf" or other.dtype.kind not in "iuf":
        raise UsageError(f"embeddings must be numbers, got {one.dtype.name} and {other.dtype.name}")
    is_usable: Bools = np.ones(len(one), np.bool_) if usable is None else np.asarray(usable)
    if is_usable.shape != (len(one),) or is_usable.dtype != np.bool_:
        raise UsageError(f"usable is one bool for each of {len(one)} records, got {is_usable.dtype} {is_usable.shape}")
    rows = np.flatnonzero(is_usable)
    if not len(rows):
        raise NotEstimableError(f"phases need a record with enough beats, got none of {len(one)}: add records")
    return one, other, rows
