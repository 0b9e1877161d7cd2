"""Where results are written: names that do not collide, files that are whole or absent."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cardioloom.errors import WriteError


def names_for(files: Sequence[Path]) -> dict[Path, str]:
    """A name for each file's results: its stem; where stems collide, with as many parents before it as are needed.

    ``a/1.hea`` and ``b/1.hea`` → ``a__1`` and ``b__1``; ``x.hea`` and ``x.dcm`` → ``x_hea`` and ``x_dcm``.
    """
    names = {file: file.stem for file in files}
    for depth in range(1, max((len(file.parts) for file in files), default=1)):
        shared = _shared(names)
        if not shared:
            return names
        for file in shared:
            names[file] = "__".join([*file.parts[-1 - depth : -1], file.stem])
    for file in _shared(names):
        names[file] = f"{file.stem}_{file.suffix.removeprefix('.')}"
    return names


def _shared(names: dict[Path, str]) -> list[Path]:
    count = Counter(names.values())
    return [file for file, name in names.items() if count[name] > 1]


def write_text(text: str, path: Path) -> None:
    """Write a text file whole or not at all; folders on the way are made.

    Raises:
        WriteError: if the place cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise WriteError(f"{path} cannot be written ({error.strerror}): choose another place") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise WriteError(f"{path} cannot be written ({error.strerror}): choose another place") from error
