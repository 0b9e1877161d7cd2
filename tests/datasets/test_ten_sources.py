"""The folder of ten public sources, against the independent numbers in its own table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from cardioloom.api.cohorts import cohort
from cardioloom.datasets.ten_sources import listed
from cardioloom.errors import ReadError, UsageError
from cardioloom.store import Built, Folder
from cardioloom.store.check import check


def test_every_row_of_the_table_is_listed(shared: Path):
    found = listed(shared / "data/ecg")
    with (shared / "data/ecg/records.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(found.wanted) == len(rows)
    assert len({wanted.study_id for wanted in found.wanted}) == len(rows)
    for wanted, row in zip(found.wanted, rows, strict=True):
        assert wanted.file.is_file()
        for name in ("y_AF", "y_MI"):
            assert (wanted.labels[name] is None) == (row[name] == "")


def test_rate_length_and_leads_are_those_of_the_table(shared: Path):
    found = listed(shared / "data/ecg").wanted
    with (shared / "data/ecg/records.csv").open() as file:
        rows = {f"{row['source']}-{row['record_id']}": row for row in csv.DictReader(file)}
    for source in sorted({row["source"] for row in rows.values()}):
        wanted = next(one for one in found if one.labels["source"] == source)
        record, row = wanted.ecg(), rows[wanted.study_id]
        assert record.fs == float(row["fs"])
        assert abs(record.shape[1] - int(row["n_samples"])) <= 1
        assert len(record.leads) >= 12


@pytest.mark.slow
def test_all_sources_become_a_cohort_and_the_check_finds_the_twin(shared: Path, tmp_path: Path):
    """A0101 and Q0048 are one ECG under two names (and patients): the leak that the folder's README tells of."""
    built = cohort("build", shared / "data/ecg", tmp_path / "c", dataset="ten_sources", workers=1)
    assert isinstance(built, Built)
    assert built.facts["counts"]["studies"] == 396
    assert built.facts["counts"]["patients"] == 386
    found = check(tmp_path / "c")
    assert {problem.code for problem in found.problems} == {"same_signal", "amplitudes_not_physical"}
    twins = [problem.about for problem in found.problems if problem.code == "same_signal"]
    assert twins == [("cpsc2018-A0101 = cpsc_extra-Q0048",)]
    # Another publisher's rounding of one PTB recording, half a microvolt apart; one patient.
    twin = "ptb_diagnostic-S0001 = ptb_diagnostic-s0010_re"
    assert f"1 pair of ECGs of one patient is the same to 5 µV: {twin}" in found.notes
    exact = [row for row in map(Folder.at(tmp_path / "c").cohort().row, range(396)) if not row["changes"]]
    assert len(exact) > 200
    own = listed(shared / "data/ecg").wanted
    by_name = {wanted.study_id: wanted for wanted in own}
    for row in exact[::40]:
        there = Folder.at(tmp_path / "c").ecg(row)
        plain = by_name[row["study_id"]].ecg().select(there.leads)
        np.testing.assert_array_equal(there.signal, plain.signal)


def test_another_folder_is_refused(tmp_path: Path):
    with pytest.raises(ReadError, match="No such file"):
        listed(tmp_path)
    (tmp_path / "records.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="lacks the columns source"):
        listed(tmp_path)


def test_a_recording_that_is_listed_twice_is_refused_before_any_is_read(tmp_path: Path):
    head = "source,record_id,path,patient_id,age,sex,fs,n_leads,y_AF"
    row = "ptbxl,HR1,ptbxl/HR1.hea,7,50,M,500,12,1"
    (tmp_path / "records.csv").write_text("\n".join([head, row, row]))
    with pytest.raises(UsageError, match=r"records\.csv has the study 'ptbxl-HR1' in rows 2 and 3"):
        listed(tmp_path)
