"""The verbs: one function each. The command line and the web call only these, and four that are no verbs of their own.

`read_each`, `embed_each`, `build_cohort` and `build_simulated` are `read`, `embed`, `cohort` and `simulate` for callers
that want each result as soon as it is there, or to know how far the work is.
Importing this room costs nothing: what a verb needs is imported when it is called.
"""

from cardioloom.api.cohorts import build_cohort, cohort  # noqa: F401
from cardioloom.api.converting import convert
from cardioloom.api.embedding import embed, embed_each  # noqa: F401
from cardioloom.api.examining import doctor
from cardioloom.api.installing import weights
from cardioloom.api.loading import load
from cardioloom.api.reading import Item, Reading, read, read_each  # noqa: F401
from cardioloom.api.simulating import build_simulated, simulate  # noqa: F401

__all__ = ["cohort", "convert", "doctor", "embed", "load", "read", "simulate", "weights"]
