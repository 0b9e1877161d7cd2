"""What was found in a study: every writer of reports takes only this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cardioloom.records.study import Study


@dataclass(frozen=True)
class Measurement:
    """A value with its unit; ``sd`` over ``n`` beats or intervals where it was measured more than once."""

    value: float
    unit: str
    sd: float | None = None
    n: int | None = None


@dataclass(frozen=True)
class Finding:
    """A statement that was tried: present, absent, or (None) not judgeable.

    ``source`` begins with "criteria: ", or is the name of a model that the report's provenance lists.
    """

    code: str
    name: str
    present: bool | None
    source: str
    evidence: str = ""
    probability: float | None = None
    threshold: float | None = None
    spans_s: tuple[tuple[float, float], ...] = ()
    snomed: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Estimate:
    """A model's estimate with its interval and what the model was trained on."""

    code: str
    name: str
    value: float
    unit: str
    interval: tuple[float, float]
    coverage: float
    model: str
    trained_on: str


@dataclass(frozen=True)
class Abstention:
    """What was not computed, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class Notice:
    """A warning with a code that programs can act on."""

    code: str
    text: str


@dataclass(frozen=True)
class LeadQuality:
    """Score from 0 (useless) to 1 (clean) and the problems that lowered it."""

    score: float
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quality:
    """Signal quality of the record and of each lead."""

    score: float
    leads: Mapping[str, LeadQuality]
    warnings: tuple[Notice, ...] = ()


@dataclass(frozen=True, eq=False)
class Beats:
    """R peaks (s from the start) and, where they were delineated, the waves of each beat.

    ``waves``: one mapping a beat of mark name (``p_on`` … ``t_off``) to seconds; ``leads`` the same by lead.
    """

    r_peaks_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    waves: tuple[Mapping[str, float], ...] = ()
    leads: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


@dataclass(frozen=True)
class Neighbour:
    """A study of an index whose ECG is like this one.

    Args:
        study_id: in the index.
        cosine: of the two embeddings, from -1 to 1.
        patient_id: where the index knows it and all its columns were asked for.
        age: years, whole ones unless all columns were asked for.
        sex: "M" or "F".
        facts: the numbers that are shown, by the names of `Spread`; all that the index knows of the study, by the
            names of its columns, where these were asked for.
    """

    study_id: str
    cosine: float
    patient_id: str | None = None
    age: float | None = None
    sex: str | None = None
    facts: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spread:
    """A number of the neighbours, on its distribution in the whole index.

    Args:
        name: of the column, or "a - b" of two.
        unit: of the values; "share" from 0 to 1.
        values: of those neighbours that have one.
        median, quartiles: of these.
        n_index: studies of the index that have one.
        median_index: of those.
        low, high: where the histogram begins and ends.
        counts: studies of the index in bins of equal width from low to high.
        code, title: of a phenotype that has a usual abbreviation and name, else "".
    """

    name: str
    unit: str
    values: tuple[float, ...]
    median: float
    quartiles: tuple[float, float]
    n_index: int
    median_index: float
    low: float
    high: float
    counts: tuple[int, ...]
    code: str = ""
    title: str = ""


@dataclass(frozen=True)
class Neighbours:
    """The studies of an index whose ECGs are most like this one.

    Args:
        index: name of its file.
        studies: in it.
        made_of: of whom it is, in words.
        is_simulated: whether these are no persons.
        is_exact: whether all of them were compared.
        model: whose embeddings they are.
        model_sha256: of that.
        nearest: most similar first.
        spreads: numbers of the neighbours.
        trained_on: whom that model was trained on, in words.
        warnings, notes: of the model, about this recording and how it was prepared, in sentences; in a report those
            that it does not say already.
        is_in_index: whether a study's embedding is the recording's own, so that it is probably the same recording.
        left_out: studies of the index that are the patient's own and were not compared; None = nobody said whose the
            recording is.
    """

    index: str
    studies: int
    made_of: str
    is_simulated: bool
    is_exact: bool
    model: str
    model_sha256: str
    nearest: tuple[Neighbour, ...]
    spreads: tuple[Spread, ...] = ()
    trained_on: str = ""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_in_index: bool = False
    left_out: int | None = None


@dataclass(frozen=True)
class Provenance:
    """Which version, models and preparation produced a report, and when (ISO 8601)."""

    version: str
    created: str
    preparation: str
    models: tuple[Mapping[str, str], ...] = ()
    sha256: str | None = None


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that is said about one study."""

    study: Study
    quality: Quality
    beats: Beats
    measurements: Mapping[str, Measurement]
    provenance: Provenance
    findings: tuple[Finding, ...] = ()
    estimates: tuple[Estimate, ...] = ()
    abstained: tuple[Abstention, ...] = ()
    warnings: tuple[str, ...] = ()
    gaps_s: float = 0.0
    neighbours: Neighbours | None = None
    attachments: Mapping[str, object] = field(default_factory=dict)
