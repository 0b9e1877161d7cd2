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
    attachments: Mapping[str, object] = field(default_factory=dict)
