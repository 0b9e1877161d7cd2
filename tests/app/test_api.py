"""The verbs from Python: names of results, batches, what is never overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardioloom import Report, load, read
from cardioloom.api.output import names_for
from cardioloom.app.cli import run
from cardioloom.errors import ReadError, SomeFailedError
from synthetic import ecg, write_exams, write_wfdb

PARTS = st.sampled_from(["a", "b", "a__b", "x"])


@given(st.lists(st.tuples(PARTS, PARTS, PARTS, st.sampled_from([".hea", ".csv", ".dcm"])), unique=True, max_size=12))
def test_names_of_results_never_collide(parts: list[tuple[str, str, str, str]]):
    files = [Path(one, two, name + suffix) for one, two, name, suffix in parts]
    names = names_for(files)
    assert list(names) == files
    assert len(set(names.values())) == len(files)
    assert all("/" not in name for name in names.values())


def test_names_are_as_short_as_can_be():
    names = names_for([Path("c/a/1.hea"), Path("c/b/1.hea"), Path("c/x.hea"), Path("c/x.dcm"), Path("c/only.csv")])
    assert list(names.values()) == ["a__1", "b__1", "x_hea", "x_dcm", "only"]


def test_four_files_of_one_stem_give_four_reports(tmp_path: Path):
    for folder in ("a", "b"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        header = write_wfdb(tmp_path / "in" / folder / "ok.hea", ecg())
        assert run(["convert", str(header), str(header.with_name("ok.csv"))]) == 0
    assert run(["read", str(tmp_path / "in"), "--json", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").iterdir())) == 4


@pytest.mark.parametrize(("option", "suffix"), [("--json", ".hea"), ("--html", ".dat")])
def test_read_never_overwrites_what_it_reads(option: str, suffix: str, tmp_path: Path):
    header = write_wfdb(tmp_path / "a.hea", ecg())
    before = header.with_suffix(suffix).read_bytes()
    assert run(["read", str(header), option, str(header.with_suffix(suffix))]) == 2
    assert header.with_suffix(suffix).read_bytes() == before


def test_json_and_page_need_different_names(tmp_path: Path):
    header = write_wfdb(tmp_path / "a.hea", ecg())
    assert run(["read", str(header), "--json", str(tmp_path / "r"), "--html", str(tmp_path / "r")]) == 2
    assert not (tmp_path / "r").exists()


def test_a_folder_always_means_a_folder(tmp_path: Path):
    """One ECG in a folder, or an existing folder as the place: the report lies in it."""
    (tmp_path / "in").mkdir()
    header = write_wfdb(tmp_path / "in" / "a.hea", ecg())
    assert run(["read", str(tmp_path / "in"), "--json", str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "a.json").is_file()
    (tmp_path / "there").mkdir()
    assert run(["read", str(header), "--json", str(tmp_path / "there"), "--html", str(tmp_path / "there")]) == 0
    assert sorted(file.name for file in (tmp_path / "there").iterdir()) == ["a.html", "a.json"]


def test_what_means_nothing_is_listed_and_the_rest_is_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    header = write_wfdb(tmp_path / "a.hea", ecg())
    (tmp_path / "empty").mkdir()
    arguments = [
        "read",
        str(header),
        str(tmp_path / "zz*.hea"),
        str(tmp_path / "empty"),
        "--json",
        str(tmp_path / "out"),
    ]
    assert run(arguments) == 1
    captured = capsys.readouterr()
    assert "1 read, 2 failed" in captured.err
    assert "zz*.hea" in captured.err
    assert (tmp_path / "out" / "a.json").is_file()


def test_a_file_of_many_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = write_exams(tmp_path / "exams.hdf5")
    reports = read(path, json=tmp_path / "out")
    assert [round(report.measurements["heart_rate"].value, -1) for report in reports] == [60, 70, 80]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [f"exams-{n}.json" for n in (11, 12, 13)]
    assert run(["read", str(path), "--json", "-"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert run(["convert", str(path), str(tmp_path / "a.csv")]) == 2
    assert len(load(path)) == 3


def test_one_bad_recording_does_not_stop_the_others(tmp_path: Path):
    path = write_exams(tmp_path / "exams.hdf5", spoil=1)
    with pytest.raises(SomeFailedError) as caught:
        read(path, json=tmp_path / "out")
    assert len(caught.value.done) == 2
    assert "12" in str(caught.value.failed[0][1])
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["exams-11.json", "exams-13.json"]
    with pytest.raises(SomeFailedError):
        load(path)


def test_load_and_read_of_one_file_give_one_thing(tmp_path: Path):
    header = write_wfdb(tmp_path / "a.hea", ecg())
    assert isinstance(read(header), Report)
    assert len(read(tmp_path)) == 1
    assert len(load(tmp_path)) == 1
    assert load(header, leads=["I", "II"]).leads == load(header).leads
    with pytest.raises(ReadError, match="does not exist"):
        load(tmp_path / "absent.hea")
    with pytest.raises(ReadError, match="does not exist"):
        read(tmp_path / "absent.hea")
