"""Retrieval of similar patients: does the ECG find hearts like this patient's heart among embeddings of cines?

PTACL (Selivanov et al. 2025, arXiv:2506.20683), section 4.1 and table 1: each ECG ranks all cines by cosine; a
candidate is a hit where its phenotype lies within ± half a standard deviation of the query's. The paper does not say
whether the query's own cine is among the candidates, how ties are ordered, and what becomes of a query that nothing can
match; the docstrings here do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from cardioloom.errors import NotEstimableError, UsageError
from cardioloom.evaluation.checks import Bools, Codes, Floats, Patients, names_of, numbers
from cardioloom.evaluation.ranking import checked_sides, first_hits, random_ranks, totals

KS = (1, 3, 5, 10, 15)
TOLERANCE = 0.5  # standard deviations
Own = Literal["excluded", "included"]


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Ranks of similar patients, query by query; `to_json` gives the table.

    Args:
        names: of the phenotypes.
        ks: for P@k, ascending.
        tolerance: half-width of a match, standard deviations.
        own: whether a patient's own cines are among the candidates.
        n_database: rows of the database.
        sd: (phenotype,) population standard deviation of the database, in the unit of the truth.
        patients: (query,) number of each query's patient, 0 … in the order of first appearance.
        precision: (query, phenotype, k) share of hits among the first k; NaN where the query is not measured.
        first: (query, phenotype) rank of the first hit, 1 = best; NaN where it is not measured or nothing matches.
        matches, candidates: (query, phenotype) cines that match, and that are measured and not left out.
    """

    names: tuple[str, ...]
    ks: tuple[int, ...]
    tolerance: float
    own: Own
    n_database: int
    sd: Floats
    patients: Codes = field(repr=False)
    precision: Floats = field(repr=False)
    first: Floats = field(repr=False)
    matches: Codes = field(repr=False)
    candidates: Codes = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """The table as a plain dict, without what was kept of each query."""
        return {
            "n_queries": len(self.patients),
            "n_database": self.n_database,
            "tolerance_sd": self.tolerance,
            "own": self.own,
            "phenotypes": {name: self._of(i) for i, name in enumerate(self.names)},
        }

    def _of(self, i: int) -> dict[str, Any]:
        """One phenotype: the method's numbers, and under ``random`` their exact expectation in a random order."""
        measured = ~np.isnan(self.precision[:, i, 0])
        matches, candidates = self.matches[measured, i], self.candidates[measured, i]
        ranks, can_match = self.first[measured, i], matches > 0
        shares = self.precision[measured, i].mean(axis=0).tolist()
        expected = float((matches / candidates).mean())
        found: dict[str, Any] = {"precision": {f"{k}": share for k, share in zip(self.ks, shares, strict=True)}}
        random: dict[str, Any] = {"precision": expected}
        if can_match.any():
            found |= {"mean_rank": float(np.mean(ranks[can_match])), "median_rank": float(np.median(ranks[can_match]))}
            mean, median = random_ranks(matches[can_match], candidates[can_match])
            random |= {"mean_rank": mean, "median_rank": median}
        else:
            found["ranks_not_estimable"] = "no query has a candidate that matches: widen the tolerance or add patients"
        counts = {
            "n": int(measured.sum()),
            "sd": float(self.sd[i]),
            "unmeasured_queries": int((~measured).sum()),
            "without_match": int((~can_match).sum()),
        }
        return counts | found | {"random": random}


def retrieve(
    queries: ArrayLike,
    database: ArrayLike,
    truth: ArrayLike,
    *,
    patients_of_queries: Patients = None,
    patients_of_database: Patients = None,
    database_truth: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    ks: Sequence[int] = KS,
    tolerance: float = TOLERANCE,
    own: Own = "excluded",
    block_bytes: int = 1 << 26,
) -> Retrieval:
    """Rank the database for each query by cosine and count whose phenotypes are alike.

    Cosines that agree to twelve decimals are ties; the earlier row of the database goes first. A candidate whose
    phenotype is not measured is left out of the ranking of this phenotype, a query likewise. A query that no candidate
    matches counts as 0 in P@k and is left out of the ranks, for the method and for the random row alike.

    Args:
        queries: (query, width) embeddings of ECGs. database: (row, width) of cines.
        truth: (query, phenotype) or (query,), NaN = not measured.
        patients_of_queries, patients_of_database: who is who, for ``own``; without both, query i and row i are of one
            patient, and nobody is there twice.
        database_truth: (row, phenotype); without it, row i has the phenotypes of query i.
        names: of the phenotypes, "label 0" … where not given.
        ks: for P@k.
        tolerance: a match is a phenotype within ± tolerance × its population standard deviation over the database.
        own: "excluded": a patient's own cines are no similar patients; "included": they are candidates too.
        block_bytes: of the similarities that are held at once.

    Raises:
        UsageError: if shapes do not fit, an embedding is not finite or zero, a k exceeds the candidates, or an argument
            lies outside its range.
        NotEstimableError: if a phenotype has one value only, or no query is measured.
    """
    ordered = _checked_ks(ks)
    if not 0 < tolerance < np.inf:
        raise UsageError(f"the tolerance of a match is a number of standard deviations above 0, got {tolerance}")
    if own not in ("excluded", "included"):
        raise UsageError(f"own is 'excluded' or 'included', got {own!r}")
    sides = checked_sides(queries, database, patients_of_queries, patients_of_database, own == "excluded")
    y = _phenotypes(truth, len(sides.queries), "queries")
    if database_truth is None and len(sides.queries) != len(sides.database):
        raise UsageError(
            f"{len(sides.queries)} queries and {len(sides.database)} rows need a truth each, got one: "
            "give database_truth"
        )
    z = y if database_truth is None else _phenotypes(database_truth, len(sides.database), "rows of the database")
    if y.shape[1] != z.shape[1]:
        raise UsageError(
            f"queries and database need the same phenotypes, got {y.shape[1]} and {z.shape[1]}: give the same columns"
        )
    named = tuple(names_of(names, y.shape[1]))
    sd = np.array([_spread(z[:, i], y[:, i], name) for i, name in enumerate(named)])
    lows, highs = y - tolerance * sd, y + tolerance * sd
    matches, candidates = totals(sides, z, lows, highs)
    _enough(candidates, ~np.isnan(y), ordered[-1], named)
    precision, first = first_hits(sides, z, lows, highs, matches, ordered, block_bytes)
    return Retrieval(
        named, ordered, float(tolerance), own, len(z), sd, sides.query_patients, precision, first, matches, candidates
    )


def _checked_ks(ks: Sequence[int]) -> tuple[int, ...]:
    """Ascending; UsageError for what is no set of ranks."""
    found = [int(k) for k in ks if isinstance(k, (int, np.integer)) and k >= 1]
    if not found or len(found) < len(ks) or len(set(found)) < len(found):
        raise UsageError(f"precision at k needs different whole numbers from 1, got {list(ks)}")
    return tuple(sorted(found))


def _phenotypes(truth: ArrayLike, n: int, what: str) -> Floats:
    """(record, phenotype) with NaN where not measured; UsageError for other shapes and infinite values."""
    found = numbers(truth, "truth")
    if found.ndim not in (1, 2) or len(found) != n or not found.size:
        raise UsageError(f"{n} {what} need phenotypes (record, phenotype), got shape {found.shape}")
    if np.isinf(found).any():
        raise UsageError(f"phenotypes of the {what} must be finite or NaN (not measured), got infinite ones")
    return found[:, None] if found.ndim == 1 else found


def _spread(database: Floats, queries: Floats, name: str) -> float:
    """Population standard deviation of the measured rows."""
    known = database[~np.isnan(database)]
    if not len(known) or known.min() == known.max():
        got = "no measured row" if not len(known) else f"{len(known)} equal values"
        raise NotEstimableError(f"retrieval by {name} needs it to vary in the database, got {got}: leave it out")
    if np.isnan(queries).all():
        raise NotEstimableError(f"retrieval by {name} needs a measured query, got none: leave it out")
    return float(known.std())


def _enough(candidates: Codes, measured: Bools, k: int, names: tuple[str, ...]) -> None:
    """Refuse P@k where a query has fewer candidates than k."""
    for i, name in enumerate(names):
        fewest = int(candidates[measured[:, i], i].min())
        if fewest < k:
            raise UsageError(f"P@{k} of {name} needs {k} candidates for each query, got {fewest}: ask for smaller ks")
