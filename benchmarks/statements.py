"""Statements: sensitivity, specificity, F1 on real recordings by class and source; false ones on normal ECGs.

    python benchmarks/statements.py [--json OUT]

Truth are the labels of the shared records (y_* columns). LUDB is left out of voltage and ST criteria: its millivolts
are not physical. Intervals are 95 % of a bootstrap over patients. Where a threshold was chosen on these records, a
second table gives what it reaches when chosen on four fifths of the patients and used on the last; there, what is not
judgeable counts as absent, and at equal F1 the first of the values tried is taken, not the shipped one. A third table
says what the labels allow: fitted upper bounds (labels_allow.py).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import ModuleType

import numpy as np

from cardioloom import measure
from cardioloom.measure import build
from cardioloom.measure.features import Features
from cardioloom.measure.statements import STATEMENTS, atrial, av_block, beats_apart, conduction, rhythm
from cardioloom.measure.statements.case import Case
from cardioloom.prepare.beats import r_peaks
from cardioloom.readers import read
from labels_allow import Labelled, rows, stacked  # pyright: ignore[reportMissingImports]
from ludb_agreement import intervals_of, reference_beats  # pyright: ignore[reportMissingImports]

SHARED = Path(os.environ.get("CARDIOLOOM_SHARED", Path(__file__).resolve().parents[2] / "shared"))
AIMS = {"AF": 0.9, "RBBB": 0.9, "LBBB": 0.85, "IAVB": 0.8, "PVC": 0.75, "PAC": 0.6, "SB": 0.95, "STach": 0.95}
CLASSES = (
    "AF",
    "AFL",
    "NSR",
    "SB",
    "STach",
    "SA",
    "RBBB",
    "IRBBB",
    "LBBB",
    "IAVB",
    "PAC",
    "PVC",
    "STD",
    "STE",
    "LVH",
    "MI",
)
# What LUDB's cardiologists say in words and the y_* columns do not hold.
IN_WORDS = {
    "LAnFB": "Left anterior hemiblock",
    "PR": "Cardiac pacing",
    "CHB": "Iii degree av-block",
}
VOLTAGE = ("LVH", "STD", "STE", "MI")
FEW_POSITIVES = 20  # fewer cannot carry a figure
BOOTSTRAPS = 2000
FOLDS = 5
# Records of one and the same ECG under two names: their patients stay on one side.
SAME_ECG = {"Q0048": "A0101", "s0010_re": "S0001"}
# Thresholds that were chosen on these records: statement → module, constants with the values tried (all combinations).
# The form of the rules was found on these records too, which no cross-validation undoes.
CHOSEN: Mapping[str, tuple[ModuleType, Mapping[str, tuple[float, ...]]]] = {
    "AF": (atrial, {"IRREGULAR": (0.02, 0.03, 0.05), "P_ALIKE": (0.5, 0.6, 0.7), "P_ALIKE_REGULAR": (0.4, 0.5, 0.6)}),
    "AFL": (atrial, {"FLUTTER_STRENGTH": (0.45, 0.5, 0.55, 0.58, 0.62, 0.66)}),
    "PAC": (beats_apart, {"EARLY": (0.80, 0.82, 0.84, 0.86), "EARLY_STEP": (0.85, 0.88), "RETURN": (0.9, 0.95)}),
    "PVC": (beats_apart, {"WIDER_MS": (20.0, 30.0, 40.0, 50.0, 60.0), "VERY_WIDE_MS": (150.0, 160.0)}),
    "RBBB": (conduction, {"R_PRIME_SHARE": (0.2, 0.3, 0.5)}),
    "LBBB": (conduction, {"SMALL_Q": (0.1, 0.2), "BROAD_LEFT_MS": (0.0, 60.0, 80.0)}),
    "IAVB": (av_block, {"LONGEST_RISE_MS": (60.0, 70.0), "PR_VARIES_MS": (20.0, 25.0, 30.0, 1000.0)}),
}
# Limits that were published, not chosen here, tried beside another published convention: sinus bradycardia below 50
# (ACC/AHA/HRS 2018, as a sign of sinus node disease), sinus rhythm of 50 to 90 (Spodick 1996, South Med J 89:666).
CONVENTIONS: Mapping[str, tuple[ModuleType, Mapping[str, tuple[float, ...]]]] = {
    "SB": (rhythm, {"SLOW_BPM": (50.0, 60.0)}),
    "STach": (rhythm, {"FAST_BPM": (90.0, 100.0)}),
}
# Statement → quantity (a measurement, or "rate"), the constant that is our limit, the value of it that lets all by.
LIMITS: Mapping[str, tuple[str, str, ModuleType, str, float]] = {
    "RBBB": ("qrs_duration", "QRS, ms", conduction, "WIDE_MS", 0.0),
    "IAVB": ("pr_interval", "PR, ms", av_block, "LONG_PR_MS", 0.0),
    "SB": ("rate", "rate, 1/min", rhythm, "SLOW_BPM", 1000.0),
    "STach": ("rate", "rate, 1/min", rhythm, "FAST_BPM", 0.0),
}


@dataclass(frozen=True, eq=False)
class Judged:
    """One record: its row of the table, its patient, its features and what was said of it."""

    row: Mapping[str, str]
    patient: str
    features: Features
    said: Mapping[str, bool | None]

    def truth(self, code: str) -> bool | None:
        """The label of a statement, None where the source does not annotate it."""
        if code in IN_WORDS:
            return IN_WORDS[code] in self.row["raw_labels"] if self.row["source"] == "ludb" else None
        if code in VOLTAGE and self.row["source"] == "ludb":
            return None
        label = self.row.get(f"y_{code}", "")
        return None if label == "" else label == "1"

    @property
    def is_normal(self) -> bool:
        """Labelled normal, or sinus rhythm and nothing else."""
        return self.row["label_names"] in ("Normal", "NSR")


def load_all() -> list[Judged]:
    """Every record of data/ecg with age and sex of its row, judged as `measure.ecg` does."""
    judged = []
    with (SHARED / "data/ecg/records.csv").open() as table:
        rows = [row for row in csv.DictReader(table) if row["source"] != "ptbxl_predictions"]
    for row in rows:
        record = next(iter(read(SHARED / "data/ecg" / row["path"])))
        age, sex = (float(row["age"]) if row["age"] else None), row["sex"] or None
        said = {finding.code: finding.present for finding in measure.ecg(record, age=age, sex=sex).findings}
        minute = record.window(0, round(60 * record.fs))
        features, _ = build.features(
            minute, r_peaks(minute.signal, minute.fs), is_physical=row["source"] != "ludb", age=age, sex=sex
        )
        patient = SAME_ECG.get(row["record_id"], row["patient_id"])
        judged.append(Judged(row, patient, features, said))
    return judged


def counts(truth: Sequence[bool] | np.ndarray, said: Sequence[bool] | np.ndarray) -> np.ndarray:
    """True positives, false positives, false negatives, true negatives."""
    y, p = np.array(truth, bool), np.array(said, bool)
    return np.array([(y & p).sum(), (~y & p).sum(), (y & ~p).sum(), (~y & ~p).sum()], float)


def rates(c: np.ndarray) -> np.ndarray:
    """Sensitivity, specificity, F1 of counts (…, 4); NaN where undefined."""
    tp, fp, fn, tn = np.moveaxis(c, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.stack([tp / (tp + fn), tn / (tn + fp), 2 * tp / (2 * tp + fp + fn)], axis=-1)


def intervals(records: Sequence[Judged], truth: Sequence[bool], said: Sequence[bool]) -> list[str]:
    """95 % intervals of the three rates by drawing patients with replacement."""
    patients = sorted({record.patient for record in records})
    place = {patient: n for n, patient in enumerate(patients)}
    own = np.zeros((len(patients), 4))
    for record, y, p in zip(records, truth, said, strict=True):
        own[place[record.patient]] += counts([y], [p])
    rng = np.random.default_rng(0)
    draws = rng.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), BOOTSTRAPS)
    sampled = rates(draws @ own)
    spans = []
    for values in sampled.T:
        known = values[np.isfinite(values)]
        spans.append(f"{np.percentile(known, 2.5):.2f}–{np.percentile(known, 97.5):.2f}" if len(known) else "")
    return spans


def scored(records: Sequence[Judged], code: str, source: str) -> dict[str, object] | None:
    """One row of the table, None where no record of the source is annotated."""
    known = [record for record in records if record.truth(code) is not None]
    used = [record for record in known if record.said[code] is not None]
    truth, said = [bool(record.truth(code)) for record in used], [bool(record.said[code]) for record in used]
    if not known or (source != "all" and not any(truth)):
        return None
    c = counts(truth, said)
    sens, spec, f1 = (None if np.isnan(value) else round(float(value), 3) for value in rates(c))
    spans = intervals(used, truth, said) if source == "all" else ["", "", ""]
    row: dict[str, object] = {"bench": "statements", "statement": code, "source": source}
    row |= dict(zip(("tp", "fp", "fn", "tn"), (int(n) for n in c), strict=True)) | {
        "not judged": len(known) - len(used)
    }
    row |= {"sensitivity": sens, "95 %": spans[0], "specificity": spec, "95 % ": spans[1], "F1": f1, "95 %  ": spans[2]}
    note = f"{sum(truth)} positives cannot carry a figure" if source == "all" and sum(truth) < FEW_POSITIVES else ""
    return row | {"aim": AIMS.get(code) if source == "all" else None, "note": note}


def fold_of(patient: str) -> int:
    """0 to 4 by the patient alone."""
    return hashlib.sha256(patient.encode()).digest()[0] % FOLDS


def cross_validated(records: Sequence[Judged], code: str) -> dict[str, object]:
    """The threshold chosen by F1 on four fifths of the patients, used on the fifth; counts over all five."""
    module, grid = {**CHOSEN, **CONVENTIONS}[code]
    used = [record for record in records if record.truth(code) is not None]
    truth = np.array([bool(record.truth(code)) for record in used])
    folds = np.array([fold_of(record.patient) for record in used])
    judge = next(statement.judge for statement in STATEMENTS if statement.code == code)
    shipped = tuple(getattr(module, name) for name in grid)
    said = {}
    for values in product(*grid.values()):
        _set(module, grid, values)
        said[values] = np.array([judge(Case(record.features)).present is True for record in used])
    _set(module, grid, shipped)
    picked, out = [], np.zeros(len(used), bool)
    for fold in range(FOLDS):
        inside, held = folds != fold, folds == fold
        best = max(said, key=lambda values: rates(counts(truth[inside], said[values][inside]))[2])
        picked.append("/".join(f"{value:g}" for value in best))
        out[held] = said[best][held]
    sens, spec, f1 = (round(float(value), 3) for value in rates(counts(truth, out)))
    row: dict[str, object] = {"bench": "statements_cross_validated", "statement": code, "thresholds": ", ".join(grid)}
    row |= {"published": "yes" if code in CONVENTIONS else ""}
    row |= {"shipped": "/".join(f"{value:g}" for value in shipped), "picked in 5 folds": ", ".join(picked)}
    return row | {"sensitivity": sens, "specificity": spec, "F1": f1}


def _set(module: ModuleType, names: Iterable[str], values: Iterable[float]) -> None:
    for name, value in zip(names, values, strict=True):
        setattr(module, name, value)


def labels_allow(records: Sequence[Judged], code: str) -> list[dict[str, object]]:
    """Rows of the upper bounds of one statement; of first degree block also by the PR of LUDB's experts."""
    quantity, words, module, constant, all_by = LIMITS[code]
    used = [record for record in records if record.truth(code) is not None and record.said[code] is not None]
    limit, judge = getattr(module, constant), next(one.judge for one in STATEMENTS if one.code == code)
    _set(module, (constant,), (all_by,))
    eligible = np.array([judge(Case(record.features)).present is True for record in used])
    _set(module, (constant,), (limit,))
    cases = [Case(record.features) for record in used]
    value = [case.rate if quantity == "rate" else case.value(quantity) for case in cases]
    source, truth = [record.row["source"] for record in used], [bool(record.truth(code)) for record in used]
    said, known = [bool(record.said[code]) for record in used], [np.nan if v is None else v for v in value]
    above = code != "SB"
    found = rows(Labelled(code, words, limit, above, *stacked(source, truth, said, known), eligible=eligible))
    if code == "IAVB":
        experts = json.loads((SHARED / "score/ref_ludb_open.json").read_text())
        keep = [n for n, record in enumerate(used) if record.row["source"] == "ludb"]
        marked = [intervals_of(reference_beats(experts[used[n].row["record_id"]])) for n in keep]
        columns = stacked(
            [source[n] for n in keep],
            [truth[n] for n in keep],
            [said[n] for n in keep],
            [one.get("pr_interval", np.nan) for one in marked],
        )
        found += rows(Labelled(code, "PR by the experts' marks, ms", limit, above, *columns, eligible=None))[1:]
    return found


def on_normal(records: Sequence[Judged]) -> list[dict[str, object]]:
    """How often each statement is made of records labelled normal."""
    normal = [record for record in records if record.is_normal]
    rows = []
    for statement in STATEMENTS:
        said = [record.said[statement.code] for record in normal]
        n, judged = sum(value is True for value in said), sum(value is not None for value in said)
        share = round(n / judged, 3) if judged else None
        row = {"bench": "statements_on_normal", "statement": statement.code, "name": statement.name}
        rows.append(row | {"present": n, "judged of normal records": f"{judged} of {len(normal)}", "share": share})
    return rows


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """A markdown table of rows with the same keys."""
    keys = [key for key in rows[0] if key != "bench"]
    lines = ["| " + " | ".join(keys) + " |", "|" + "---|" * len(keys)]
    lines += ["| " + " | ".join("" if row[key] is None else str(row[key]) for key in keys) + " |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the rows here")
    options = parser.parse_args()
    records = load_all()
    sources = sorted({record.row["source"] for record in records})
    groups = [("all", records), *((s, [record for record in records if record.row["source"] == s]) for s in sources)]
    found = [row for code in [*CLASSES, *IN_WORDS] for s, part in groups if (row := scored(part, code, s)) is not None]
    chosen = [cross_validated(records, code) for code in (*CHOSEN, *CONVENTIONS)]
    allowed = [row for code in LIMITS for row in labels_allow(records, code)]
    normal = on_normal(records)
    print("\n\n".join(table(part) for part in (found, chosen, allowed, normal)))
    if options.json:
        options.json.write_text(json.dumps([*found, *chosen, *allowed, *normal], indent=1))


if __name__ == "__main__":
    main()
