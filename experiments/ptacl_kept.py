"""What of cohort, run folders and evaluation is kept in experiments/results/ptacl.json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from math import ceil
from pathlib import Path
from typing import Any

# Stage of a run → what its length is called in a preset, where that is another name.
LENGTHS = {
    "simclr_ecg": "simclr",
    "simclr_cine": "simclr",
    "pairs": "paired",
    "labels_cine": "supervised",
    "head": "finetune",
}


def cohort_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What of cohort.json says who the patients are."""
    wanted = ("source", "statement", "generator", "population", "seed", "parts", "counts", "fingerprint")
    return {name: facts[name] for name in wanted}


def run_facts(folder: Path, needs: Sequence[str], n_train: int) -> dict[str, Any]:
    """What a run was asked and begins with, what it found, and how long its stages took.

    A stage that was taken from another run took no time here.

    Args:
        folder: of the run.
        needs: runs that it begins with.
        n_train: studies of the train split.
    """
    told = json.loads((folder / "run.json").read_text())
    stages = {name: said for name, said in told["stages"].items() if name != "judge"}
    seconds = {name: said.get("seconds", 0.0) for name, said in stages.items()}
    return {
        "arguments": told["arguments"],
        "needs": list(needs),
        "judged": json.loads((folder / "judged.json").read_text()),
        "seconds": seconds,
        "seconds_in_all": round(sum(seconds.values()), 1),
        "begun_with": {name: said["begun_with"] for name, said in stages.items() if "begun_with" in said},
        "steps": {name: said["steps"] for name, said in stages.items() if "steps" in said},
        "lengths": {name: length for name in stages if (length := length_of(told, name, n_train))},
        "beats_of_training": stages.get("pairs", {}).get("beats"),
        "commit": told["commit"],
        "versions": told["versions"],
    }


def wall_facts(processes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of a run's processes: seconds of all, and how many of them finished it; those after the first judged it again.

    Args:
        processes: lines of walls.jsonl, those that were killed or failed too.
    """
    seconds = round(sum(each["seconds"] for each in processes), 1)
    return {"wall_s": seconds if processes else None, "finished": sum(each["code"] == 0 for each in processes)}


def length_of(told: Mapping[str, Any], stage: str, n_train: int) -> dict[str, int] | None:
    """Epochs and batch of a stage that was trained here: as the run says, else as its preset does.

    None where its steps are not those of the preset, which was another when it was trained.
    """
    said = told["stages"][stage]
    if not said.get("steps"):  # taken from another run, or solved
        return None
    if "epochs" in said:
        return {"epochs": said["epochs"], "batch": said["batch"]}
    from cardioloom.recipes.ptacl_settings import Settings

    asked = {field.name: told["arguments"][field.name] for field in fields(Settings) if field.name in told["arguments"]}
    settings = Settings(**asked)
    name = LENGTHS.get(stage, stage)
    if stage == "pairs" and settings.method_of.pairs == "crossed":
        name = "crossed"
    if stage == "head" and settings.method_of.first is None and settings.method_of.pairs is None:
        name = "supervised"
    length = settings.length(name)
    if said["steps"] != length.epochs * ceil(said.get("studies", n_train) / length.batch):
        return None
    return {"epochs": length.epochs, "batch": length.batch}


def evaluation_facts(metrics: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Coverage of the intervals by sex and age, of each output."""
    rows = {}
    for code, numbers in metrics["numbers"].items():
        if isinstance(coverage := numbers.get("coverage"), dict):
            by = {group: each for group, each in coverage.get("by", {}).items() if group.startswith(("sex ", "age "))}
            rows[code] = {"unit": numbers["unit"], **coverage, "by": by}
    return {
        "model": metrics["model"]["name"],
        "run": run,
        "studies": metrics["cohort"]["studies"],
        "coverage": rows,
    }


def compact(text: str) -> str:
    """JSON with each list of plain numbers on one line."""
    return re.sub(r"\[\n\s+([-\d.eE+,\s]+?)\n\s*\]", lambda found: f"[{' '.join(found[1].split())}]", text)
