"""What a foreign decoder says of a damaged file, as one sentence of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from cardioloom.errors import CardioloomError, DamagedFileError
from cardioloom.records import printable

Error = TypeVar("Error", bound=CardioloomError)
DECODER_ERRORS = (ValueError, KeyError, IndexError, TypeError, OSError, EOFError, ArithmeticError, AttributeError)


def clean(error: Error) -> Error:
    """The error, what it cites of the file without control characters."""
    error.args = tuple(printable(part) if isinstance(part, str) else part for part in error.args)
    return error


@contextmanager
def one_sentence(file: str, form: str, *others: type[Exception]) -> Iterator[None]:
    """What a foreign decoder says of a damaged file becomes one sentence; the cause stays attached.

    Args:
        file: its name.
        form: name of the format.
        others: kinds of error that this decoder raises beside the usual.

    Raises:
        DamagedFileError: for an error of a decoder; errors of this library pass.
    """
    try:
        yield
    except CardioloomError as error:
        clean(error)
        raise
    except (*DECODER_ERRORS, *others) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DamagedFileError(
            printable(f"{file} could not be read as {form} ({reason}): export or copy it again")
        ) from error
