"""The run folder of a training: what was asked, what is done, and where the rest lies.

run.json         resolved arguments, versions, fingerprint of the cohort, git commit, seed; which stages are done
metrics.jsonl    a line a step and a line a validation, with their stage
checkpoints/     STAGE/last.ckpt and STAGE/best.ckpt
stages/          of a recipe of several stages: the weights of each, for a later stage or another run
model/           the model folder, once the last stage is done
.lock            while a training is at work here
"""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardioloom.errors import DamagedFileError, UsageError, WriteError
from cardioloom.recipes.place import Place

if TYPE_CHECKING:
    from lightning_fabric import Fabric

RUN, LOCK = "run.json", ".lock"
SCHEMA = "cardioloom.run/1"
MODEL = "model"
PACKAGES = ("torch", "numpy", "scipy", "lightning-fabric")
CODE = (":/*.py", ":/pyproject.toml")  # what of a checkout makes a training another


@dataclass
class Run:
    """A run folder that is open for training.

    Args:
        folder: where it lies.
        facts: what run.json says.
        is_main: whether this process writes (rank 0).
    """

    folder: Path
    facts: dict[str, Any]
    is_main: bool = True

    @classmethod
    def open(cls, folder: Path, arguments: Mapping[str, Any], *, resume: bool, **facts: Any) -> Run:
        """A run that can begin, or go on; nothing is written before `begin`.

        Args:
            folder: of the run.
            arguments: resolved; on resumption they must be the ones that the run was begun with.
            resume: go on where there is something to go on with.
            facts: more for run.json: the cohort's fingerprint, the version of this library …

        Raises:
            UsageError: if the folder is in use by a run and ``resume`` is False, or the arguments are others.
            DamagedFileError: if its run.json cannot be read.
        """
        path = folder / RUN
        if path.exists():
            if not resume:
                raise UsageError(f"{folder} holds a run: go on with --resume, or name another folder")
            run = cls(folder, _read(path))
            run._refuse_other(arguments, facts)
            return run
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{folder} is a file: name a folder")
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty and holds no run: name another folder")
        said = {"schema": SCHEMA, "arguments": dict(arguments), **facts, "versions": versions(), "commit": commit()}
        return cls(folder, said | {"stages": {}})

    def begin(self, *, is_main: bool) -> None:
        """Take the folder; every rank has opened the run by now.

        Args:
            is_main: whether this process writes.

        Raises:
            WriteError: if it cannot be written.
        """
        self.is_main = is_main
        if not (self.folder / RUN).exists():
            self._write()

    def _refuse_other(self, arguments: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        there = {**self.facts["arguments"], **{name: self.facts.get(name) for name in facts}}
        asked = json.loads(json.dumps({**arguments, **facts}))
        if other := [name for name in asked if there.get(name) != asked[name]]:
            name = other[0]
            raise UsageError(
                f"{self.folder} was begun with {name} {there.get(name)!r}, got {asked[name]!r}: "
                "resume with the same, or name another folder"
            )

    def stage(self, name: str, do: Callable[[Place], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Do a stage unless it is done; what it says of itself is kept in run.json.

        Args:
            name: of the stage.
            do: the work; it resumes by itself from the place it is given.

        Returns:
            what the stage said, now or when it was done.
        """
        if (said := self.facts["stages"].get(name)) is not None:
            return said
        said = dict(do(Place(self.folder, name)))
        self.facts["stages"][name] = said
        self._write()
        return said

    def _write(self) -> None:
        if not self.is_main:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            part = self.folder / f"{RUN}.part"
            part.write_text(json.dumps(self.facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            part.replace(self.folder / RUN)
        except OSError as error:
            raise WriteError(f"{self.folder / RUN} could not be written ({error.strerror}): make room there") from error


@contextmanager
def alone(folder: Path, fabric: Fabric) -> Iterator[None]:
    """One training at a time in a run folder; a process that is killed lets go of it.

    Args:
        folder: exists.
        fabric: launched; the first rank holds the folder for all.

    Raises:
        UsageError: if another training holds it.
    """
    from filelock import FileLock, Timeout

    lock, is_held = FileLock(folder / LOCK, timeout=0), True
    if fabric.global_rank == 0:
        try:
            lock.acquire()
        except Timeout:
            is_held = False
    if not fabric.broadcast(is_held):  # all ranks are refused together: none waits for another
        raise UsageError(f"another training is at work in {folder}: wait for it, or name another folder")
    try:
        yield
    finally:
        if fabric.global_rank == 0:
            lock.release()
            (folder / LOCK).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedFileError(f"{path} is no JSON ({error}): name another folder") from error
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        raise UsageError(f"{path} must be of schema {SCHEMA}: use a version of cardioloom that fits")
    if not all(isinstance(facts.get(name), dict) for name in ("arguments", "stages")):
        raise DamagedFileError(f"{path} lacks arguments or stages: name another folder")
    return facts


def versions() -> dict[str, str]:
    """Python and the packages that a training depends on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def commit() -> str | None:
    """The commit of the working directory, if it is a git checkout; "+changes" after it if code is another."""
    head = _git("rev-parse", "HEAD")
    # No lock, so that nothing else that git does at the time fails; run folders and results are not code.
    changed = head and _git("--no-optional-locks", "status", "--porcelain", "--", *CODE)
    return f"{head}+changes" if changed else head


def _git(*asked: str) -> str | None:
    """What git says in the working directory; None where it says nothing or fails."""
    try:
        done = subprocess.run(["git", *asked], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603, S607 (whichever git the user has)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
