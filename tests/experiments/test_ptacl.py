"""What experiments/ptacl.py keeps of its runs, and what its page says of it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cardioloom.errors import NotEstimableError
from cardioloom.evaluation.regression import r_squared

ROOT = Path(__file__).resolve().parents[2]
PAGE, RESULTS = ROOT / "docs" / "results" / "ptacl.md", ROOT / "experiments" / "results" / "ptacl.json"
TRUTH = np.array([1.0, 2.0, 4.0, 7.0, np.nan, 3.0])
WALLS = (("a", 2.5, -15), ("b", 1.0, 0), ("a", 10.0, 0), ("a", 1.5, 2), ("a", 3.0, 0))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "experiments"))

    def module(name: str) -> ModuleType:
        return importlib.import_module(name)

    return module


def judged(folder: Path, estimate: Any, flat: float = np.nan) -> Path:
    """judged.parquet of a run: one output that varies, and one of which the truth does not."""
    folder.mkdir(parents=True)
    rows = np.arange(len(TRUTH))
    columns = {
        "study_id": [f"s{row}" for row in rows],
        "patient_id": [f"p{row}" for row in rows],
        "A_truth": TRUTH,
        "A_estimate": np.asarray(estimate, np.float64),
        "B_truth": np.full(len(TRUTH), flat),
        "B_estimate": rows / 10,
        "A_hit": np.asarray(estimate, np.float64) > 3,
    }
    pq.write_table(pa.table(columns), path := folder / "judged.parquet")
    return path


@pytest.mark.parametrize("flat", [0.1, np.nan])
def test_an_output_whose_truth_does_not_vary_is_left_out(flat: float, script, tmp_path: Path):
    estimate = [1.5, 2.0, 3.0, 6.0, 9.0, 3.5]
    metric = script("ptacl_differences").mean_r2(judged(tmp_path / "a", estimate, flat))
    assert metric(np.arange(6)) == pytest.approx(r_squared(TRUTH, estimate), abs=1e-12)
    assert metric(np.array([0, 0, 3])) == pytest.approx(r_squared(TRUTH[[0, 0, 3]], [1.5, 1.5, 6.0]), abs=1e-12)
    for rows in ([2, 2, 2], [4, 4]):  # a draw of one patient, and of one of whom nothing is known
        with pytest.raises(NotEstimableError, match="a truth that varies"):
            metric(np.array(rows))


def test_a_difference_is_the_second_less_the_first_over_the_seeds_of_both(script, tmp_path: Path):
    of, known = script("ptacl_relations"), ~np.isnan(TRUTH)
    off = {"global-0": 1.0, "ptacl-0": 0.1, "global-1": 0.5, "ptacl-1": 0.7, "global-2": 2.0}
    for name, error in off.items():
        judged(tmp_path / name, TRUTH + error)
    found = script("ptacl_differences").differences(tmp_path, (0, 1, 2))
    one, hits = (found.pop(of.key(what, "global", "ptacl")) for what in ("R²", "P@1"))
    assert not found
    r2 = {name: r_squared(TRUTH[known], TRUTH[known] + error) for name, error in off.items()}
    wanted = np.mean([r2[f"ptacl-{seed}"] - r2[f"global-{seed}"] for seed in (0, 1)])
    assert one["difference"]["value"] == pytest.approx(wanted, abs=1e-12)
    assert one["seeds"] == hits["seeds"] == 2


def test_what_is_kept_between_two_runs_has_the_differences(script, tmp_path: Path):
    for name in ("mae-0", "global-0", "ptacl-0"):
        judged(tmp_path / "runs" / name, TRUTH + len(name))
    (tmp_path / "cohort").mkdir()
    names = ("source", "statement", "generator", "population", "seed", "parts", "fingerprint")
    facts = dict.fromkeys(names) | {"counts": {"splits": {"train": 3}}}
    (tmp_path / "cohort" / "cohort.json").write_text(json.dumps(facts))
    work = script("ptacl").Work(tmp_path, "tiny", tmp_path / "results.json", 1)
    key = script("ptacl_relations").key
    pairs = [("R²", "mae", "global"), ("R²", "global", "ptacl"), ("P@1", "global", "ptacl")]

    def kept(ended: str | None) -> dict[str, float]:
        work.keep(ended)
        found = json.loads((tmp_path / "results.json").read_text())["differences"]
        return {name: one["difference"]["value"] for name, one in found.items()}

    first = kept("mae-0")
    assert set(first) == {key(*pair) for pair in pairs}
    judged(tmp_path / "runs" / "ptacl-1", TRUTH)
    judged(tmp_path / "runs" / "global-1", TRUTH + 2)
    after = kept("ptacl-1")  # those of its method, and no other
    assert {name for name in after if after[name] != first[name]} == {key(*pairs[1]), key(*pairs[2])}
    assert kept(None) == after


def test_a_difference_of_other_seeds_is_not_shown_beside_the_numbers(script):
    of, found = script("ptacl_relations"), json.loads(RESULTS.read_text())
    shown = {one.text: one.difference for one in of.relations(found)}
    found["differences"][of.key("R²", "global", "ptacl")]["seeds"] -= 1
    changed = {
        text for text, said in ((one.text, one.difference) for one in of.relations(found)) if said != shown[text]
    }
    assert changed == {"mean R²: global loss only ≤ PTACL (LP)"}
    assert {one.text: one.difference for one in of.relations(found)}[changed.pop()] == "not run"


def test_seconds_are_of_all_processes_and_those_that_finished_are_counted(script):
    lines = [{"name": name, "seconds": seconds, "code": code} for name, seconds, code in WALLS]
    of = script("ptacl_kept").wall_facts
    assert of([line for line in lines if line["name"] == "a"]) == {"wall_s": 17.0, "finished": 2}
    assert of([]) == {"wall_s": None, "finished": 0}


def test_the_page_is_what_the_results_and_the_findings_give(script):
    assert script("ptacl_page").text_of(json.loads(RESULTS.read_text()), has_figure=True) == PAGE.read_text()
