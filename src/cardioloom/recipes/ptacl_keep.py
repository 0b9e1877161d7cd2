"""What the stages of a PTACL training leave in the run folder: weights that a later stage or another run begins with.

stages/NAME.safetensors   masked_ecg, masked_cine, simclr_…, labels_cine, pairs, head; in the header all that the
                          weights follow from (`ptacl_told.told_of`): preset, encoders, the cohort's fingerprint, seed,
                          length, and where they matter targets, augment, method, goal, beta, weight, roll
judged.json               what the test split says
judged.parquet            the same study by study: truth and estimate of each number, hits of the first cine found
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from cardioloom.errors import DamagedFileError, UsageError, WriteError
from cardioloom.models.contract import CONTRACT, file_sha256
from cardioloom.writers.atomic import replacing

STAGES, SUFFIX, TOLD = "stages", ".safetensors", "cardioloom"
JUDGED, SCHEMA = "judged.json", "cardioloom.ptacl/1"
BY_STUDY = "judged.parquet"
LENGTH = "length"  # of a training, in what a stage is told
SUM = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


@dataclass(frozen=True)
class Kept:
    """The weights of a run's stages.

    Args:
        run: the run folder.
    """

    run: Path

    def path(self, name: str) -> Path:
        """Where a stage's weights lie."""
        return self.run / STAGES / f"{name}{SUFFIX}"

    def has(self, name: str) -> bool:
        """Whether the stage is done."""
        return self.path(name).is_file()

    def told(self, name: str) -> dict[str, Any]:
        """What the stage was told.

        Raises:
            DamagedFileError: if the file cannot be read.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path(name), "pt") as file:
                return json.loads((file.metadata() or {}).get(TOLD, "{}"))
        except (OSError, SafetensorError, ValueError) as error:
            raise self._damaged(name, error) from error

    def differs(self, name: str, told: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """What it was told and is told otherwise here, as name → (there, here).

        Its length does not count: that it keeps where it is taken over.

        Raises:
            DamagedFileError: if the file cannot be read.
        """
        found, asked = self.told(name), json.loads(json.dumps(told))
        both = {key: (found.get(key), asked.get(key)) for key in {**asked, **found} if key != LENGTH}
        return {key: (there, here) for key, (there, here) in both.items() if there != here}

    def sha256(self) -> str:
        """One sum over the weights of its stages.

        Raises:
            UsageError: if the folder holds none.
        """
        found = sorted((self.run / STAGES).glob(f"*{SUFFIX}"))
        if not found:
            is_model = (self.run / CONTRACT).is_file()
            what = "is a model" if is_model else "holds no stage of a PTACL training"
            raise UsageError(f"{self.run} {what}: name the run folder of a training whose first stage is done")
        return hashlib.sha256("".join(f"{path.name}{file_sha256(path)}" for path in found).encode()).hexdigest()

    def write(self, name: str, net: nn.Module, told: Mapping[str, Any]) -> None:
        """Keep a net's weights.

        Raises:
            WriteError: if the disk is full or refuses.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        state = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
        try:
            self.path(name).parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path(name)) as part:
                save_file(state, part, {TOLD: json.dumps(dict(told))})
                part.chmod(0o644)  # as the model's own files: safetensors writes for the owner alone
        except (OSError, SafetensorError) as error:
            raise WriteError(
                f"{self.path(name)} could not be written ({error}): make room and call again with --resume"
            ) from error

    def read(self, name: str, net: nn.Module) -> None:
        """Fill a net of the same shape with the weights of a stage; whose they are `differs` says.

        Raises:
            DamagedFileError: if the file cannot be read or is another net's.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            net.load_state_dict(load_file(self.path(name)))
        except (OSError, SafetensorError, ValueError) as error:
            raise self._damaged(name, error) from error
        except RuntimeError as error:
            raise DamagedFileError(
                f"{self.path(name)} holds another net's weights: name another run, or train it again"
            ) from error

    def _damaged(self, name: str, error: Exception) -> DamagedFileError:
        return DamagedFileError(f"{self.path(name)} cannot be read ({error}): name another run, or train it again")


def chosen(begun: Sequence[Kept], name: str, told: Mapping[str, Any]) -> Kept | None:
    """The run of which a training takes a stage; None where it trains it itself.

    A stage alone must be the same; pairs that were told otherwise are trained anew.

    Args:
        begun: runs that the training begins with.
        name: of the stage.
        told: of it.

    Raises:
        UsageError: if a stage alone is another, naming the first difference.
        DamagedFileError: if a file cannot be read: taken for another's, it would be trained anew.
    """
    there = [(run, run.differs(name, told)) for run in begun if run.has(name)]
    same = [run for run, others in there if not others]
    if name != "pairs" and there and not same:
        run, others = there[0]
        what, values = next(iter(others.items()))
        raise UsageError(
            f"{run.run} was trained with another {what.removesuffix('s')} ({_difference(*values)}): "
            "begin with a run of the same, ask for the same, or leave --init out"
        )
    return same[0] if same else None


def write_judged(run: Path, found: Mapping[str, Any], by_study: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write judged.parquet, then judged.json; what of it a terminal shows is given back.

    Args:
        run: the run folder.
        found: on the whole split.
        by_study: column → (study,).

    Raises:
        WriteError: if the disk is full or refuses.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = run / BY_STUDY
    try:
        with replacing(path) as part:
            pq.write_table(pa.table(dict(by_study)), part)
        path = run / JUDGED
        with replacing(path) as part:
            part.write_text(json.dumps({"schema": SCHEMA, **found}, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise WriteError(f"{path} could not be written ({error.strerror or error}): make room there") from error
    return {"judged": JUDGED, "mean_r2": found["mean_r2"], "test_studies": found["test_studies"]}


def _difference(there: Any, asked: Any) -> str:
    """The first part in which two values of JSON are others."""
    if isinstance(there, list) and isinstance(asked, list) and len(there) == len(asked):
        there, asked = next((pair for pair in zip(there, asked, strict=True) if pair[0] != pair[1]), (there, asked))
    if isinstance(there, dict) and isinstance(asked, dict):
        key = next(key for key in {**there, **asked} if there.get(key) != asked.get(key))
        return f"{key} {_shown(there.get(key))}, asked is {_shown(asked.get(key))}"
    return f"{_shown(there)}, asked is {_shown(asked)}"


def _shown(value: Any) -> str:
    """As JSON; of a sum of 64 digits the first twelve."""
    return SUM.sub(r"\1…", json.dumps(value))
