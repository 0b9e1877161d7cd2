"""The verbs: one function each. The command line and the web call only these, `read_each` and `embed_each`.

Those two are no verbs of their own: they are `read` and `embed` for callers that want each result as soon as it is
there.
Importing this room costs nothing: what a verb needs is imported when it is called.
"""

from cardioloom.api.converting import convert
from cardioloom.api.embedding import embed, embed_each  # noqa: F401
from cardioloom.api.examining import doctor
from cardioloom.api.installing import weights
from cardioloom.api.loading import load
from cardioloom.api.reading import Item, Reading, read, read_each  # noqa: F401

__all__ = ["convert", "doctor", "embed", "load", "read", "weights"]
