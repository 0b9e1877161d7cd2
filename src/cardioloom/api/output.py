"""Where results are written: names that do not collide, files that are whole or absent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from cardioloom.errors import WriteError


def names_for(files: Sequence[Path]) -> dict[Path, str]:
    """A name for each file's results: its stem; where stems collide, with suffix or parents, as many as are needed.

    ``x.hea`` and ``x.dcm`` → ``x_hea`` and ``x_dcm``; ``a/1.hea`` and ``b/1.hea`` → ``a__1`` and ``b__1``.
    """
    stems = {file: file.stem for file in files}
    twins = Counter((file.parent, file.stem) for file in files)
    for file in files:
        if twins[file.parent, file.stem] > 1:
            stems[file] = f"{file.stem}_{file.suffix.removeprefix('.')}"
    names = dict(stems)
    for depth in range(1, max((len(file.parts) for file in files), default=1)):
        for file in _shared(names):
            names[file] = "__".join([*(part.strip("/\\:") for part in file.parts[-1 - depth : -1]), stems[file]])
    for n, file in enumerate(_shared(names)):  # only names made to collide are left: a__1.hea beside a/1.hea
        names[file] = f"{names[file]}-{n + 1}"
    return names


def _shared(names: dict[Path, str]) -> list[Path]:
    count = Counter(names.values())
    return [file for file, name in names.items() if count[name] > 1]


def same_file(paths: Iterable[Path], others: Iterable[Path]) -> bool:
    """True where a path of one group is, links followed, a path of the other."""
    return bool({path.resolve() for path in paths} & {path.resolve() for path in others})


def write_text(text: str, path: Path) -> None:
    """Write a text file whole or not at all; folders on the way are made.

    Raises:
        WriteError: if the place cannot be written to.
    """

    from cardioloom.writers.atomic import replacing

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WriteError(f"{path} cannot be written ({error.strerror}): choose another place") from error
