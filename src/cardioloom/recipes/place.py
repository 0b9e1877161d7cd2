"""Where a stage of a training keeps what it has: checkpoints that are whole or not there, and a log of lines."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardioloom.errors import DamagedFileError, WriteError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LAST, BEST = "last.ckpt", "best.ckpt"
METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class Place:
    """A stage of a run folder.

    Args:
        run: the run folder, which holds the log of all stages.
        stage: its name.
    """

    run: Path
    stage: str

    @property
    def last(self) -> Path:
        """The newest checkpoint: all that a continuation needs."""
        return self.run / "checkpoints" / self.stage / LAST

    @property
    def best(self) -> Path:
        """The weights of the best validation."""
        return self.run / "checkpoints" / self.stage / BEST

    def save(self, fabric: Fabric, path: Path, state: Mapping[str, Any]) -> None:
        """Write a checkpoint under another name first, so that a kill or a full disk leaves the one before.

        Raises:
            WriteError: if the disk is full or refuses.
        """
        part = path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            fabric.save(part, dict(state))
            if fabric.global_rank == 0:
                _to_disk(part)
                part.replace(path)
        except (OSError, RuntimeError) as error:  # torch's writer says RuntimeError when the disk is full
            part.unlink(missing_ok=True)
            raise WriteError(
                f"{path} could not be written ({_reason(error)}); what was saved before is whole: "
                "make room and call again with --resume"
            ) from error
        fabric.barrier()

    def load(self, fabric: Fabric, path: Path, state: dict[str, Any]) -> dict[str, Any]:
        """Fill modules and optimisers of ``state`` from a checkpoint; what is left over is returned.

        Raises:
            DamagedFileError: if it cannot be read, or belongs to another net.
        """
        try:
            return fabric.load(path, state, weights_only=True)
        except Exception as error:  # whatever torch says of a damaged or foreign file
            raise DamagedFileError(
                f"{path} is no checkpoint of this net ({_reason(error)}): resume with the settings it was made with"
            ) from error

    def log(self, line: Mapping[str, Any]) -> None:
        """Add a line to the log.

        Raises:
            WriteError: if the disk is full or refuses.
        """
        try:
            with (self.run / METRICS).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"stage": self.stage, **line}, allow_nan=False) + "\n")
        except OSError as error:
            raise WriteError(
                f"{self.run / METRICS} could not be written ({_reason(error)}): make room and call again with --resume"
            ) from error

    def rewind(self, step: int) -> None:
        """Drop this stage's lines after a step: they were written after the checkpoint that is gone on from.

        Raises:
            WriteError: if the disk is full or refuses.
            DamagedFileError: as `read_log`.
        """
        kept = [
            line for line in read_log(self.run) if line.get("stage") != self.stage or int(line.get("step", 0)) <= step
        ]
        part = self.run / f"{METRICS}.part"
        try:
            self.run.mkdir(parents=True, exist_ok=True)
            part.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
            part.replace(self.run / METRICS)
        except OSError as error:
            raise WriteError(
                f"{self.run / METRICS} could not be written ({_reason(error)}): make room and call again with --resume"
            ) from error


def read_log(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's log; a last line that a kill cut short is left out.

    Raises:
        DamagedFileError: if another line is no JSON.
    """
    path = run / METRICS
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines()
    found = []
    for number, text in enumerate(lines, 1):
        try:
            found.append(json.loads(text))
        except ValueError as error:
            if number == len(lines):
                break
            raise DamagedFileError(f"line {number} of {path} is no JSON: mend or remove it") from error
    return found


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
