"""What things are: frozen values that open no file."""

from cardioloom.records.cine import Cine
from cardioloom.records.cohort import Cohort
from cardioloom.records.counts import Counts
from cardioloom.records.ecg import ECG, Source
from cardioloom.records.echo import Echo
from cardioloom.records.leads import STANDARD_LEADS, is_ecg_name, standard_lead
from cardioloom.records.report import (
    Abstention,
    Beats,
    Estimate,
    Finding,
    LeadQuality,
    Measurement,
    Neighbour,
    Neighbours,
    Notice,
    Provenance,
    Quality,
    Report,
    Spread,
)
from cardioloom.records.study import MAX_AGE_YEARS, Study
from cardioloom.records.text import printable

__all__ = [
    "ECG",
    "MAX_AGE_YEARS",
    "STANDARD_LEADS",
    "Abstention",
    "Beats",
    "Cine",
    "Cohort",
    "Counts",
    "Echo",
    "Estimate",
    "Finding",
    "LeadQuality",
    "Measurement",
    "Neighbour",
    "Neighbours",
    "Notice",
    "Provenance",
    "Quality",
    "Report",
    "Source",
    "Spread",
    "Study",
    "is_ecg_name",
    "printable",
    "standard_lead",
]
