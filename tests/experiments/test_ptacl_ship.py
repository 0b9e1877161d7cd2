"""The model that the package ships: what is reckoned for its page, and that one too large changes nothing."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cardioloom.models import contract, installed, ptacl

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))
    return importlib.import_module("ptacl_ship")


def test_coverage_is_counted_where_the_truth_is_known_by_sex(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made, _ = contract.read(installed.SHIPPED / ptacl.SHIPPED)
    columns: dict[str, object] = {"study_id": ["d", "c", "b", "a"]}
    for output in made.task.outputs:
        width = output.half_width or 0
        columns[f"{output.code}_truth"] = np.array([0, 0, 0, np.nan])
        columns[f"{output.code}_estimate"] = np.array([0.99 * width, -1.01 * width, -0.5 * width, 0])
    pq.write_table(pa.table(columns), tmp_path / "judged.parquet")
    cohort = {"study_id": np.array([*"abcde"]), "sex": np.array([*"MMFFM"])}
    monkeypatch.setattr(script.Folder, "at", lambda path: SimpleNamespace(columns=cohort))
    found = script.covered(tmp_path, tmp_path / "cohort", made)
    for group, share in (("all", 2 / 3), ("men", 1.0), ("women", 0.5)):
        assert set(found[group].values()) == {share}
        assert set(found[group]) == {output.code for output in made.task.outputs}


def test_an_output_without_r2_has_no_share(script: ModuleType):
    made, _ = contract.read(installed.SHIPPED / ptacl.SHIPPED)
    outputs = [
        {"code": said.code, "name": said.name, "unit": said.unit, "r2": None if n else 0.29, "r": 0.5, "mae": 1.0}
        for n, said in enumerate(made.task.outputs)
    ]
    rows, shares = script.table({"outputs": outputs}, made, {"all": {"LVEDV": 0.9}})
    assert len(rows) == 2 + len(outputs)
    assert rows[2].startswith("| left ventricular end-diastolic volume (LVEDV) | ml | 0.290 | 0.5")
    assert rows[2].endswith("| 0.900 |")
    assert rows[3].endswith("|  |")
    assert len(shares) == 1


def test_what_is_too_large_leaves_the_folder_as_it_was(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source, out = installed.SHIPPED / ptacl.SHIPPED, tmp_path / "out"
    made, _ = contract.read(source)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model").symlink_to(source)
    assert script.ship(made, tmp_path / "run", out) == sum(path.stat().st_size for path in out.iterdir())
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    monkeypatch.setattr(script, "LARGEST_BYTES", 1000)
    with pytest.raises(SystemExit, match="at most 1000 are shipped: take a smaller preset"):
        script.ship(made, tmp_path / "run", out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
