"""Where models lie: one folder of the platform's cache, or the one that CARDIOLOOM_CACHE names; few in the package."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from tempfile import mkdtemp

from cardioloom.errors import MissingExtraError, ModelError, ModelNotFoundError, UsageError
from cardioloom.models.contract import CONTRACT, GOLDEN, WEIGHTS

VARIABLE = "CARDIOLOOM_CACHE"
SHIPPED = Path(__file__).parent / "shipped"  # folders of models that are files of this package
ARRIVING = ".arriving"
LEFTOVER_S = 86_400.0  # what is so old is in no work any more


def cache() -> Path:
    """The cache folder: what the environment variable says, else the platform's convention.

    Raises:
        MissingExtraError: if neither is to be had.
    """
    if said := os.environ.get(VARIABLE):
        return Path(said)
    try:
        from platformdirs import user_cache_path
    except ImportError as error:
        raise MissingExtraError(
            f"finding models needs the package {error.name}, which is not installed: pip install 'cardioloom[models]', "
            f"or set {VARIABLE}"
        ) from error
    return user_cache_path("cardioloom", appauthor=False)


def models() -> Path:
    """The folder in which each model has a folder of its name."""
    return cache() / "models"


def names() -> tuple[str, ...]:
    """Names of the installed models, sorted; those that the package ships are always there."""
    return tuple(sorted({*added(), *shipped()}))


def added() -> tuple[str, ...]:
    """Names of the models in the cache, sorted."""
    return tuple(sorted(_named(models())))


def shipped() -> tuple[str, ...]:
    """Names of the models that the package ships, sorted. None is asked unless it, or an index of its, is named."""
    return tuple(sorted(_named(SHIPPED)))


def _named(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return [path.name for path in folder.iterdir() if path.name[0] != "." and (path / CONTRACT).is_file()]


def folder_of(name: str | Path) -> Path:
    """The folder of an installed model, or the model folder that a path names.

    Raises:
        ModelNotFoundError: if there is none; the message says what is installed.
    """
    for place in (models(), SHIPPED):
        if isinstance(name, str) and name in _named(place):
            return place / name
    path = Path(name)
    if (path / CONTRACT).is_file():
        return path
    raise ModelNotFoundError(
        f"no model is called {str(name)!r} (installed: {', '.join(names())}): see 'cardioloom weights list', or name a "
        "model folder"
    )


@contextmanager
def arriving(target: Path) -> Iterator[Path]:
    """An empty folder beside ``target`` that takes its place, whole, if nothing fails.

    Raises:
        ModelError: if the place cannot be written to.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(mkdtemp(prefix=f".{target.name}.", suffix=ARRIVING, dir=target.parent))
        _sweep(target)
    except OSError as error:
        raise ModelError(f"{target.parent} cannot be written to ({error.strerror}): set {VARIABLE}") from error
    try:
        yield part
        part.chmod(0o755)  # mkdtemp's folders are the owner's alone, and a cache may be shared
        old = part.with_name(part.name + ".old")
        if target.exists():
            target.rename(old)
        try:
            part.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _sweep(target: Path) -> None:
    """Remove what processes left here that were killed: 123 MB each."""
    for path in target.parent.glob(f".{escape(target.name)}.*{ARRIVING}*"):
        if time.time() - path.stat().st_mtime > LEFTOVER_S:
            shutil.rmtree(path, ignore_errors=True)


def copy(source: Path, target: Path) -> Path:
    """A model folder's three files in a new folder.

    Raises:
        UsageError: if the target exists.
    """
    if target.exists():
        raise UsageError(f"{target} exists: name a folder that does not")
    with arriving(target) as part:
        for name in (CONTRACT, WEIGHTS, GOLDEN):
            shutil.copyfile(source / name, part / name)
    return target
