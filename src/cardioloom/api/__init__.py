"""The verbs: one function each. The command line and the web call only these, and eight that are no verbs of
their own.

`read_each`, `embed_each`, `similar_each`, `build_cohort`, `build_simulated`, `begin_training`, `evaluate_with` and
`run_calibration` are `read`, `embed`, `similar`, `cohort`, `simulate`, `train`, `evaluate` and `calibrate` for callers
that want each result as soon as it is there, or to know how far the work is.
`read_cine` and `read_echo` are for Python alone: they give records, as `load` does.
Importing this room costs nothing: what a verb needs is imported when it is called.
"""

from cardioloom.api.calibrating import calibrate, run_calibration  # noqa: F401
from cardioloom.api.cohorts import build_cohort, cohort  # noqa: F401
from cardioloom.api.converting import convert
from cardioloom.api.embedding import embed, embed_each  # noqa: F401
from cardioloom.api.evaluating import evaluate, evaluate_with  # noqa: F401
from cardioloom.api.examining import doctor
from cardioloom.api.imaging import read_cine, read_echo  # noqa: F401
from cardioloom.api.installing import weights
from cardioloom.api.loading import load
from cardioloom.api.reading import Item, Reading, read, read_each  # noqa: F401
from cardioloom.api.searching import similar, similar_each  # noqa: F401
from cardioloom.api.simulating import build_simulated, simulate  # noqa: F401
from cardioloom.api.training import begin_training, train  # noqa: F401

__all__ = [
    "calibrate",
    "cohort",
    "convert",
    "doctor",
    "embed",
    "evaluate",
    "load",
    "read",
    "similar",
    "simulate",
    "train",
    "weights",
]
