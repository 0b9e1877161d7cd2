"""What the stages of a PTACL training leave in the run folder: weights that a later stage or another run begins with.

stages/NAME.safetensors   masked_ecg, masked_cine, simclr_…, labels_cine, pairs, head; preset, encoders and the
                          cohort's fingerprint in the header
judged.json               what the test split says
judged.parquet            the same study by study: truth and estimate of each number, hits of the first cine found
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
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

    def fits(self, name: str, told: Mapping[str, Any]) -> bool:
        """Whether the stage is done, and was told the same; of a file that cannot be read `read` says why."""
        from safetensors import SafetensorError, safe_open

        if not self.has(name):
            return False
        try:
            with safe_open(self.path(name), "pt") as file:
                return json.loads((file.metadata() or {}).get(TOLD, "{}")) == json.loads(json.dumps(told))
        except (OSError, SafetensorError, ValueError):
            return True  # taken for another's, it would be trained anew in silence

    def differs(self, name: str, told: Mapping[str, Any]) -> list[str]:
        """In which of what it was told the stage is another."""
        from safetensors import safe_open

        with safe_open(self.path(name), "pt") as file:
            found = json.loads((file.metadata() or {}).get(TOLD, "{}"))
        return [key for key, value in told.items() if found.get(key) != json.loads(json.dumps(value))]

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

    def read(self, name: str, net: nn.Module, told: Mapping[str, Any] | None = None) -> None:
        """Fill a net with the weights of a stage.

        Args:
            name: of the stage.
            net: of the same shape.
            told: what must have been told of them: another preset, other encoders or another cohort are refused.

        Raises:
            UsageError: if they are another preset's or were trained on another cohort.
            DamagedFileError: if the file cannot be read or is another net's.
        """
        from safetensors import SafetensorError, safe_open

        path = self.path(name)
        try:
            with safe_open(path, "pt") as file:
                found = json.loads((file.metadata() or {}).get(TOLD, "{}"))
                state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (no mapping)
        except (OSError, SafetensorError, ValueError) as error:
            raise DamagedFileError(f"{path} cannot be read ({error}): name another run, or train it again") from error
        for what, wanted in (told or {}).items():
            if (there := found.get(what)) != (asked := json.loads(json.dumps(wanted))):
                raise UsageError(
                    f"{self.run} was trained with another {what.removesuffix('s')} ({_difference(there, asked)}): "
                    "begin with a run of the same, ask for the same, or leave --init out"
                )
        try:
            net.load_state_dict(state)
        except RuntimeError as error:
            raise DamagedFileError(
                f"{path} holds another net's weights: name another run, or train it again"
            ) from error


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
        return f"{key} {json.dumps(there.get(key))}, asked is {json.dumps(asked.get(key))}"
    return f"{json.dumps(there)}, asked is {json.dumps(asked)}"
