"""The 150 labels: order, codes, groups, and which of them one ECG cannot support."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from cardioloom.models import ecgfounder
from cardioloom.models.task import Output

TASK = ecgfounder.task()
GROUPS = {"rhythm", "conduction", "infarct", "hypertrophy", "ST-T", "pacing", "summary", "fragment"}
# Words by which a phrase speaks of an earlier ECG.
COMPARES = re.compile(r"\b(NOW|NO LONGER|LESS|MORE|HAS|HAVE|CHANGE)\b")
# Label → name in the Challenge's table, where the words differ too much for `alike`.
SAME_THING = {
    "NORMAL SINUS RHYTHM": "sinus rhythm",
    "PREMATURE VENTRICULAR COMPLEXES": "premature ventricular contractions",
    "PREMATURE SUPRAVENTRICULAR COMPLEXES": "supraventricular premature beats",
    "FUSION COMPLEXES": "fusion beats",
    "LOW VOLTAGE QRS": "low qrs voltages",
    "WITH SHORT PR": "shortened pr interval",
    "VOLTAGE CRITERIA FOR LEFT VENTRICULAR HYPERTROPHY": "left ventricular high voltage",
    "NONSPECIFIC ST AND T WAVE ABNORMALITY": "nonspecific st t abnormality",
    "NONSPECIFIC INTRAVENTRICULAR CONDUCTION DELAY": "nonspecific intraventricular conduction disorder",
    "WOLFF-PARKINSON-WHITE": "wolff parkinson white pattern",
    "WITH VENTRICULAR ESCAPE COMPLEXES": "ventricular escape beat",
    "WITH JUNCTIONAL ESCAPE COMPLEXES": "junctional escape",
    "WITH 2ND DEGREE AV BLOCK MOBITZ I": "mobitz type i wenckebach atrioventricular block",
    "WITH AV DISSOCIATION": "atrioventricular dissociation",
    "PREMATURE ATRIAL COMPLEXES": "premature atrial contraction",
    "PROLONGED QT": "prolonged qt interval",
    "ANTERIOR INFARCT": "anterior myocardial infarction",
    "ACUTE MI": "acute myocardial infarction",
}


def challenge(shared: Path) -> dict[str, tuple[str, str]]:
    """{abbreviation: (name, SNOMED CT code)} of the PhysioNet/CinC Challenge 2021."""
    found: dict[str, tuple[str, str]] = {}
    for name in ("dx_mapping_scored.csv", "dx_mapping_unscored.csv"):
        with (shared / "data" / "tables" / name).open(newline="") as file:
            for row in csv.DictReader(file):
                found.setdefault(row["Abbreviation"], (row["Dx"], row["SNOMEDCTCode"]))
    return found


def test_labels_are_the_authors_in_the_order_of_the_last_layer(shared: Path):
    golden = json.loads((shared / "golden" / "ecgfounder" / "labels150.json").read_text())
    assert [output.name for output in TASK.outputs] == golden
    assert len(golden) == ecgfounder.CONFIG["n_classes"] == 150


def test_the_index_column_counts_the_rows():
    folder = Path(ecgfounder.__file__).parent
    with (folder / "ecgfounder_labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["index"]) for row in rows] == list(range(150))
    assert {row["single_ecg"] for row in rows} == {"yes", "no"}


def test_phrases_that_compare_with_an_earlier_ecg_are_marked():
    marked = [output.name for output in TASK.outputs if not output.single_ecg]
    assert len(marked) == 22
    assert marked == [output.name for output in TASK.outputs if COMPARES.search(output.name)]
    assert f"{len(marked)} of them compare" in " ".join(ecgfounder.LIMITS)


def test_codes_differ_and_every_label_has_a_group():
    codes = [output.code for output in TASK.outputs]
    assert len(set(codes)) == len({code.lower() for code in codes}) == 150
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", code) for code in codes)
    assert {output.group for output in TASK.outputs} == GROUPS


def alike(label: str, name: str) -> bool:
    """Equal but for case, a leading WITH and hyphens."""
    return label.lower().removeprefix("with ").replace("-", " ") == name.replace("-", " ")


def test_codes_of_the_challenge_mean_the_same_there(shared: Path):
    table = challenge(shared)
    shared_codes = [output for output in TASK.outputs if output.code in table]
    assert len(shared_codes) >= 35
    for output in shared_codes:
        name, snomed = table[output.code]
        assert output.snomed == snomed, output
        assert SAME_THING.get(output.name) == name or alike(output.name, name) or said_short(output.name, name), output
    for output in TASK.outputs:
        if output.code not in table:
            assert output.snomed is None, output


def said_short(label: str, name: str) -> bool:
    """WITH COMPLETE HEART BLOCK, WITH 1ST DEGREE AV BLOCK … ."""
    return set(name.lower().split()) <= set(label.lower().split())


def test_a_label_that_the_challenge_names_has_its_code(shared: Path):
    """No label goes under a code of ours where the table has one for the very same words."""
    names = {name.replace("-", " "): code for code, (name, _) in challenge(shared).items()}
    for output in TASK.outputs:
        words = output.name.lower().removeprefix("with ").replace("-", " ")
        if words in names and output.name != "SINUS RHYTHM":  # NSR is that of NORMAL SINUS RHYTHM
            assert output.code == names[words], output


@pytest.mark.parametrize(
    ("label", "group"),
    [
        ("ATRIAL FIBRILLATION", "rhythm"),
        ("LEFT BUNDLE BRANCH BLOCK", "conduction"),
        ("INFERIOR INFARCT", "infarct"),
        ("LEFT VENTRICULAR HYPERTROPHY", "hypertrophy"),
        ("EARLY REPOLARIZATION", "ST-T"),
        ("VENTRICULAR-PACED RHYTHM", "pacing"),
        ("ABNORMAL ECG", "summary"),
        ("BLOCKED", "fragment"),
    ],
)
def test_groups_by_example(label: str, group: str):
    assert next(output.group for output in TASK.outputs if output.name == label) == group


def test_words_of_infarction_and_pacing_are_in_their_groups():
    for output in TASK.outputs:
        if output.single_ecg and re.search(r"INFARCT\b|INJURY|STEMI", output.name):
            assert output.group == "infarct", output
        if re.search(r"PACED|PACING|ELECTRONIC .* PACEMAKER|BIVENTRICULAR PACEMAKER", output.name):
            assert output.group == "pacing", output


def test_thresholds_are_marked_as_uncalibrated():
    assert {(output.threshold, output.calibrated) for output in TASK.outputs} == {(0.5, False)}


@pytest.mark.parametrize("name", ecgfounder.CHECKPOINTS)
def test_both_contracts_share_the_task(name: str):
    contract = ecgfounder.contract(name)
    assert contract.task == TASK
    assert isinstance(contract.task.outputs[0], Output)
    assert contract.config["in_channels"] == len(contract.preparation.leads)
    assert contract.card.sha256 is None  # known once a file is added, never shipped
