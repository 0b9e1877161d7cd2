"""The verbs: one function each. The command line and the web call only these.

`read_each` is no verb: it is `read` for callers that want each report as soon as it is there.
"""

from cardioloom.api.converting import convert
from cardioloom.api.examining import doctor
from cardioloom.api.loading import load
from cardioloom.api.reading import read

__all__ = ["convert", "doctor", "load", "read"]
