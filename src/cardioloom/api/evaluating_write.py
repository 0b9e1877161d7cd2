"""What `evaluate` writes: metrics.json, predictions.parquet, report.html."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cardioloom import __version__
from cardioloom.api.output import write_text
from cardioloom.errors import UsageError, WriteError
from cardioloom.report.evaluation_page import render

if TYPE_CHECKING:
    from cardioloom.api.evaluating_ask import Asked

METRICS, PREDICTIONS, PAGE = "metrics.json", "predictions.parquet", "report.html"
MEASUREMENTS = "measurements.parquet"
OWN = (METRICS, PREDICTIONS, PAGE, MEASUREMENTS)
FACTS = "cardioloom."


def refuse_place(out: Path, model_sha256: str, fingerprint: str) -> None:
    """Refuse a folder that holds anything but an evaluation of the same model on the same cohort, which is replaced.

    Raises:
        UsageError: naming what it holds.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: name a folder to write")
    there = sorted(path.name for path in out.iterdir()) if out.exists() else []
    if other := [name for name in there if name not in OWN and not name.endswith(".part")]:
        raise UsageError(f"{out} holds other files ({', '.join(other[:3])}): name an empty folder, or one to be made")
    if METRICS not in there:
        return
    try:
        said = json.loads((out / METRICS).read_text(encoding="utf-8"))
        found = said["model"]["sha256"], said["cohort"]["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{out / METRICS} is no evaluation that can be read: name another folder") from error
    if found != (model_sha256, fingerprint):
        raise UsageError(
            f"{out} holds the evaluation of {said['model'].get('name')} on another model's weights or another cohort: "
            "name another folder"
        )


def make_place(out: Path) -> None:
    """Make the folder, before work that may take hours.

    Raises:
        WriteError: if it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{out} cannot be made ({error.strerror or error}): choose another place") from error


def write(asked: Asked, metrics: Mapping[str, Any], predictions: Mapping[str, Any]) -> None:
    """Write the folder; metrics.json comes last, so that where it is, the others are.

    Raises:
        WriteError: if the disk is full or refuses.
    """
    text = json.dumps(plain(metrics), indent=1, ensure_ascii=False, allow_nan=False)
    _write_predictions(asked, metrics, predictions)
    write_text(render(json.loads(text)), asked.out / PAGE)
    write_text(text + "\n", asked.out / METRICS)


def plain(value: Any) -> Any:
    """Mappings, lists and numbers as JSON has them.

    Raises:
        ValueError: at a NaN, which has no place in a result.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(own) for key, own in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(own) for own in value]
    return value.item() if isinstance(value, np.generic) else value


def _write_predictions(asked: Asked, metrics: Mapping[str, Any], columns: Mapping[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from cardioloom.writers.atomic import replacing

    texts = ("study_id", "patient_id", "split", "sex", "abstained")
    arrays = {
        name: pa.array(values, pa.string() if name in texts else pa.float64(), from_pandas=True)
        for name, values in columns.items()
    }
    facts = {
        "model": asked.model.name,
        "model_sha256": asked.model.sha256,
        "trained_on": asked.model.contract.card.trained_on,
        "cohort": metrics["cohort"]["fingerprint"],
        "statement": metrics["cohort"]["statement"],
        "version": __version__,
    }
    table = pa.table(arrays).replace_schema_metadata({FACTS + name: text for name, text in facts.items()})
    try:
        with replacing(asked.out / PREDICTIONS) as part:
            pq.write_table(table, part)
    except OSError as error:
        raise WriteError(
            f"{asked.out} cannot be written to ({error.strerror or error}): choose another place"
        ) from error
