"""The tree of errors. Each message is one sentence: what, got what, what to do.

CardioloomError
├── ReadError             a file that cannot become a record
│   ├── UnknownFormatError    no reader recognises the content
│   ├── DamagedFileError      truncated, empty, inconsistent with its own header
│   ├── NotAnECGError         readable, but there is no usable ECG lead in it
│   ├── LimitError            more bytes, samples or leads than this library accepts
│   └── MissingFactError      rate, leads or unit are not stated: give --fs, --leads, --unit
├── RecordError           a record that cannot be (also a ValueError)
├── PreparationError      a record that a preparation refuses (also a ValueError)
├── ModelError            a checkpoint, model folder or runtime that is refused
│   └── ModelNotFoundError    no model of this name is installed (also a UsageError)
├── TrainingError         a training that cannot go on: a loss that is not finite
├── WriteError            a record that cannot become a file
├── NotEstimableError     a metric that these data cannot give: one class only, no events … (also a ValueError)
├── UsageError            a wrong call (also a ValueError; exit code 2 on the command line)
├── SomeFailedError       some items of many failed; carries what succeeded and what did not
├── InternalError         a fault of this library met while working through many items
└── MissingExtraError     an optional dependency is absent (also an ImportError)
"""

from __future__ import annotations

from collections.abc import Sequence


class CardioloomError(Exception):
    """Every error that this library raises on purpose."""


class ReadError(CardioloomError):
    """A file that cannot become a record."""


class UnknownFormatError(ReadError):
    """No reader recognises the content."""


class DamagedFileError(ReadError):
    """The file is empty, truncated or contradicts its own header."""


class NotAnECGError(ReadError):
    """The file can be read, but it holds no usable ECG lead."""


class LimitError(ReadError):
    """The file is larger than this library accepts."""


class MissingFactError(ReadError):
    """Rate, leads or unit are stated neither by the file nor by the caller."""


class RecordError(CardioloomError, ValueError):
    """The values given for a record contradict each other."""


class PreparationError(CardioloomError, ValueError):
    """A record that a preparation refuses."""


class ModelError(CardioloomError):
    """A checkpoint, model folder or runtime that is refused: it is not what it says, or does not give what it must."""


class TrainingError(CardioloomError):
    """A training that cannot go on."""


class WriteError(CardioloomError):
    """The record cannot be written in this format."""


class NotEstimableError(CardioloomError, ValueError):
    """A metric that these data cannot give; it is never replaced by 0 or one half."""


class UsageError(CardioloomError, ValueError):
    """The call itself is wrong."""


class ModelNotFoundError(ModelError, UsageError):
    """No model of this name is installed."""


class SomeFailedError(CardioloomError):
    """Some items of many failed.

    ``done`` holds the results of those that succeeded, ``failed`` pairs of name and error.
    """

    def __init__(self, done: Sequence[object], failed: Sequence[tuple[str, CardioloomError]]):
        self.done = list(done)
        self.failed = list(failed)
        total = len(self.done) + len(self.failed)
        lines = "".join(f"\n  {name}: {error}" for name, error in self.failed)
        super().__init__(f"{len(self.failed)} of {total} items failed, the others are done:{lines}")


class InternalError(CardioloomError):
    """A fault of this library: reported as the failure of one item, so that the others are done."""


class MissingExtraError(CardioloomError, ImportError):
    """An optional dependency is absent."""
