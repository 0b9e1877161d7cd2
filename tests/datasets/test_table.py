"""CSVs of paths and labels: what is taken, and what is refused with its row."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardioloom.datasets.listed import WantedCine
from cardioloom.datasets.table import listed
from cardioloom.errors import NotAnECGError, ReadError, UsageError
from synthetic import ecg, write_wfdb


def table(folder: Path, *lines: str) -> Path:
    path = folder / "t.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_columns_become_facts_and_labels(tmp_path: Path):
    found = listed(
        table(
            tmp_path,
            "file,patient_id,age,sex,date,split,fs,leads,unit,AF,LVEF,site",
            "a/x.csv,p1,61.5,Female,2026-01-31T10:00,train,500,I II V1,uV,1,55.5,north",
            "b/x.csv,p2,,,,,,,,,,",
        )
    )
    one, two = found.wanted
    assert (one.study_id, two.study_id) == ("a__x", "b__x")
    assert one.file == tmp_path / "a" / "x.csv"
    assert (one.age, one.sex, one.date, one.split) == (61.5, "F", "2026-01-31", "train")
    assert (one.told.fs, one.told.leads, one.told.unit) == (500.0, ("I", "II", "V1"), "uV")
    assert one.labels == {"AF": 1.0, "LVEF": 55.5, "site": "north"}
    assert two.labels == {"AF": None, "LVEF": None, "site": None}
    assert (two.age, two.sex, two.date, two.split) == (None, None, None, None)
    assert {name: known["kind"] for name, known in found.labels.items()} == {
        "AF": "binary",
        "LVEF": "number",
        "site": "text",
    }


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_delimiters_and_a_byte_order_mark(tmp_path: Path, mark: str):
    path = table(tmp_path, f"\ufefffile{mark}patient_id", f"a.hea{mark}p1")
    assert listed(path).wanted[0].patient_id == "p1"


def test_labels_may_be_chosen(tmp_path: Path):
    path = table(tmp_path, "file,patient_id,AF,comment", 'a.hea,p1,1,"seen, by X"')
    assert list(listed(path, ["AF"]).labels) == ["AF"]
    with pytest.raises(UsageError, match="needs the columns LVEF"):
        listed(path, ["LVEF"])
    with pytest.raises(UsageError, match="a label 'cine', a name that cohorts use themselves: rename it"):
        listed(table(tmp_path, "file,patient_id,cine", "a.hea,p1,1"), ["cine"])


def test_a_cine_lies_beside_the_table_or_where_it_says(tmp_path: Path):
    far = tmp_path / "far" / "b.nii"
    lines = ("file,patient_id,cine,cine_view,AF", "a.hea,p1,x/a.nii.gz,,1", f"b.hea,p2,{far},sax,0", "c.hea,p3,,sax,0")
    found = listed(table(tmp_path, *lines))
    assert list(found.labels) == ["AF"]
    assert [one.cine for one in found.wanted] == [
        WantedCine(tmp_path / "x" / "a.nii.gz", "x/a.nii.gz"),
        WantedCine(far, str(far), "sax"),
        None,
    ]


@pytest.mark.parametrize("name", ["patient_id", "study_id", "split", "sex", "date", "file"])
def test_a_fact_of_a_study_is_no_label(tmp_path: Path, name: str):
    path = table(tmp_path, "file,patient_id,study_id,split,sex,date", "a.hea,p1,s1,train,F,2026-01-31")
    with pytest.raises(UsageError, match=f"{name} is no label, every cohort has it"):
        listed(path, [name])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_field_of_several_lines_stays_one(tmp_path: Path, end: str):
    path = tmp_path / "t.csv"
    path.write_bytes(end.join(["file,patient_id,note", 'a.hea,p1,"one\u2028line"', "b.hea,p2,two\x85", ""]).encode())
    assert [one.labels["note"] for one in listed(path).wanted] == ["one\u2028line", "two"]
    path.write_bytes(f'file,patient_id,note{end}a.hea,p1,"first{end}second"{end}'.encode())
    assert listed(path).wanted[0].labels["note"] == "first\nsecond"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("file,AF", "a.hea,1"), "needs the columns patient_id"),
        (
            ("file,patient_id,AF", "a.hea,p,1", "b.hea,p,0", "c.hea,p,yes"),
            r"number in 2 rows and text in 1 \(row 4: 'yes'",
        ),
        (("file,patient_id,AF", "a.hea,p,nan", "b.hea,p,0"), "text in 1"),
        (("file,patient_id", "a.hea,p", "a.hea,q"), "study 'a' in rows 2 and 3"),
        (("file,patient_id,study_id", "a.hea,p,"), "row 2, has no study_id"),
        (("file,patient_id", "a.hea,"), "row 2, has no patient_id"),
        (("file,patient_id,age", "a.hea,p,old"), "row 2, has age 'old'"),
        (("file,patient_id,sex", "a.hea,p,7"), "row 2, has sex '7'"),
        (("file,patient_id,date", "a.hea,p,31.1.26"), "row 2, has date '31.1.26'"),
        (("file,patient_id,shard", "a.hea,p,1"), "label 'shard'"),
        (("file,patient_id,hash_ecg", "a.hea,p,1"), "label 'hash_ecg'"),
        (("file,patient_id,cine_view", "a.hea,p,short"), "row 2, has cine_view 'short': write sax"),
        (("file,patient_id,fs", "a.hea,p,-5"), "rate in Hz above 0"),
    ],
)
def test_a_table_that_cannot_be_says_where(tmp_path: Path, lines: tuple[str, ...], words: str):
    with pytest.raises(UsageError, match=words):
        listed(table(tmp_path, *lines))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"file,patient_id\n", "no row below its header"),
        (b"", "no row below its header"),
        (b"file,patient_id\n\xff\xfe,p\n", "not UTF-8"),
        (b"file,patient_id\na.hea,p,q\n", "row 2, has more fields"),
        (b",file,patient_id\n0,a.hea,p\n", "its column 1 has no name: name it, or leave it out"),
        (b"file,patient_id,AF, AF\na.hea,p,1,0\n", "two columns named 'AF'"),
    ],
)
def test_a_file_that_is_no_table_is_a_sentence(tmp_path: Path, content: bytes, words: str):
    (path := tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ReadError, match=words):
        listed(path)
    with pytest.raises(ReadError, match="No such file"):
        listed(tmp_path / "absent.csv")


def test_a_recording_is_read_when_asked_for(tmp_path: Path):
    write_wfdb(tmp_path / "a.hea", ecg(seconds=1.0))
    here, gone = listed(table(tmp_path, "file,patient_id", "a.hea,p1", "b.hea,p2")).wanted
    assert here.ecg().seconds == 1.0
    with pytest.raises(ReadError, match="does not exist"):
        gone.ecg()


def test_one_recording_of_a_file_of_many_is_named(tmp_path: Path):
    import h5py
    import numpy as np

    with h5py.File(tmp_path / "exams.hdf5", "w") as file:
        file["exam_id"] = np.array([11, 12])
        file["tracings"] = np.stack([np.roll(ecg(fs=400.0).signal.T, k, axis=0) for k in (0, 50)])
    path = table(tmp_path, "file,record,patient_id", "exams.hdf5,12,p1", "exams.hdf5,99,p2", "exams.hdf5,,p3")
    one, other, unnamed = listed(path).wanted
    assert one.study_id == "exams-12"
    assert str(one) == "exams.hdf5 (12)"
    assert one.ecg().source.record == "12"
    with pytest.raises(NotAnECGError, match="holds no recording named '99'"):
        other.ecg()
    with pytest.raises(NotAnECGError, match="more than one recording"):
        unnamed.ecg()


def test_of_a_file_of_many_no_more_is_read_than_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import h5py
    import numpy as np

    from cardioloom.readers import hdf5

    with h5py.File(tmp_path / "exams.hdf5", "w") as file:
        file["exam_id"] = np.arange(11, 16)
        file["tracings"] = np.stack([ecg(fs=400.0).signal.T] * 5)
        file["tracings"][4] = np.nan
    path = table(tmp_path, "file,record,patient_id", "exams.hdf5,14,p1", "exams.hdf5,,p2", "exams.hdf5,15,p3")
    named, unnamed, damaged = listed(path).wanted
    seen, exam = [], hdf5._exam
    monkeypatch.setattr(hdf5, "_exam", lambda *args: seen.append(args[2]) or exam(*args))
    named.ecg()
    assert seen == ["14"]
    with pytest.raises(NotAnECGError, match="more than one recording"):
        unnamed.ecg()
    assert seen[1:] == ["11", "12"]
    with pytest.raises(ReadError, match="exam 15 of exams"):
        damaged.ecg()
