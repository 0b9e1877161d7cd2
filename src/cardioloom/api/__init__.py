"""The verbs: one function each. The command line and the web call only these, and `read_each`.

`read_each` is no verb of its own: it is `read` for callers that want each report as soon as it is there.
Importing this room costs nothing: what a verb needs is imported when it is called.
"""

from cardioloom.api.converting import convert
from cardioloom.api.examining import doctor
from cardioloom.api.loading import load
from cardioloom.api.reading import Item, Reading, read, read_each  # noqa: F401

__all__ = ["convert", "doctor", "load", "read"]
