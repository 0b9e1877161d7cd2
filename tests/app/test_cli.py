"""The commands as a user types them: output, files, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from cardioloom.app.cli import run
from synthetic import ecg, write_wfdb

DICOM = str(get_testdata_file("waveform_ecg.dcm", download=False))
CONTRACT = {"source", "ecg", "quality", "beats", "measurements", "findings", "estimates", "abstained", "warnings"}


def report_of(path: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict:
    assert run(["read", str(path), "--json", "-", *more]) == 0
    return json.loads(capsys.readouterr().out)


def test_read_prints_the_json_alone(capsys: pytest.CaptureFixture[str]):
    report = report_of(Path(DICOM), capsys)
    assert report["schema"] == "cardioloom.report/1"
    assert set(report) >= CONTRACT
    assert report["source"]["file"] == "waveform_ecg.dcm"
    assert report["source"]["format"] == "dicom"
    assert len(report["source"]["sha256"]) == 64
    assert report["ecg"]["leads"] == ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
    assert report["ecg"]["fs"] == 1000.0
    assert report["ecg"]["seconds"] == 10.0
    rate = report["measurements"]["heart_rate"]
    assert rate["unit"] == "bpm"
    assert len(report["beats"]["r_peaks_s"]) == rate["n"] + 1
    assert report["facts"] == {"age": 42.0, "sex": "F"}
    # What the device measured of this ECG: PR 161, QRS 75, QT 368 ms, axis 52°.
    for name, stated, unit in (("pr_interval", 161, "ms"), ("qt_interval", 368, "ms"), ("qrs_axis", 52, "deg")):
        assert report["measurements"][name]["unit"] == unit
        assert report["measurements"][name]["value"] == pytest.approx(stated, abs=20)
    assert len(report["beats"]["waves"]) == rate["n"] + 1
    assert {row["code"] for row in report["findings"] if row["present"]} == {"NSR"}


def test_read_measures_the_known_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    report = report_of(write_wfdb(tmp_path / "a.hea", ecg(bpm=84)), capsys)
    rate, interval = report["measurements"]["heart_rate"], report["measurements"]["rr_interval"]
    assert rate["value"] == pytest.approx(84, abs=0.3)
    assert rate["sd"] < 1
    assert interval["value"] == pytest.approx(60_000 / 84, abs=2)
    peaks = np.array(report["beats"]["r_peaks_s"])
    np.testing.assert_allclose(peaks, np.arange(30 / 84, 10, 60 / 84), atol=0.006)
    assert report["facts"] == {"age": 61.0, "sex": "F"}
    assert report["warnings"] == []
    assert report["quality"]["score"] == 1.0


def test_read_on_the_terminal(capsys: pytest.CaptureFixture[str]):
    assert run(["read", DICOM]) == 0
    text = capsys.readouterr().out
    assert "Heart rate" in text
    assert "Not a diagnosis" in text
    assert "1000 Hz" in text


def test_facts_given_go_before_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = write_wfdb(tmp_path / "a.hea", ecg())
    assert report_of(path, capsys, "--age", "50", "--sex", "m")["facts"] == {"age": 50.0, "sex": "M"}


def test_read_writes_json_and_page(tmp_path: Path):
    path = write_wfdb(tmp_path / "a.hea", ecg())
    out = tmp_path / "new" / "folder"
    assert run(["read", str(path), "--json", str(out / "r.json"), "--html", str(out / "r.html")]) == 0
    assert json.loads((out / "r.json").read_text())["source"]["file"] == "a.hea"
    assert (out / "r.html").read_text().startswith("<!DOCTYPE html>")
    assert sorted(file.name for file in out.iterdir()) == ["r.html", "r.json"]


def test_a_folder_with_one_broken_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The good ones are done, the broken one is listed, the exit code is 1."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    write_wfdb(tmp_path / "in" / "a.hea", ecg())
    write_wfdb(tmp_path / "in" / "sub" / "a.hea", ecg(bpm=100))
    write_wfdb(tmp_path / "in" / "broken.hea", ecg()).with_suffix(".dat").write_bytes(b"\0" * 100)
    (tmp_path / "in" / "notes.csv").write_text("id,label\n1,AF\n")
    assert run(["read", str(tmp_path / "in"), "--json", str(tmp_path / "out"), "--html", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "in__a.html",
        "in__a.json",
        "sub__a.html",
        "sub__a.json",
    ]
    assert "broken.dat" in captured.err
    assert "2 read, 1 failed" in captured.err
    assert "notes" not in captured.out + captured.err


def test_a_glob_gives_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name in "ab":
        write_wfdb(tmp_path / f"{name}.hea", ecg())
    assert run(["read", str(tmp_path / "*.hea")]) == 0
    assert "2 read, 0 failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["read"],
        ["unknown"],
        ["read", "x.hea", "--fs", "fast"],
        ["read", "x.hea", "--no-such-option"],
        ["read", DICOM, "--fs", "-5"],
        ["read", DICOM, "--unit", "parsec"],
        ["read", DICOM, "--leads", "I,,II"],
        ["read", DICOM, "--sex", "yes"],
        ["read", DICOM, "--age", "200"],
        ["read", DICOM, "--html", "-"],
        ["read", DICOM, "other.hea", "--json", "-"],
        ["convert", DICOM],
        ["convert", DICOM, DICOM],
    ],
)
def test_a_wrong_call_exits_2_with_one_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("cardioloom: ")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").write_text("")
    assert run(["read", DICOM, "--json", str(tmp_path / "file" / "r.json")]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_debug_shows_the_traceback():
    code = "import sys; from cardioloom.app.cli import main; main(['read', 'nothing.hea', '--debug'])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" in result.stderr


@pytest.fixture
def no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in the cache nor in the package."""
    monkeypatch.setenv("CARDIOLOOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("cardioloom.models.installed.SHIPPED", tmp_path / "shipped")


def test_doctor(no_models: None, capsys: pytest.CaptureFixture[str]):
    assert run(["doctor"]) == 0
    assert "formats read" in capsys.readouterr().out
    assert run(["doctor", "--json", "-"]) == 0
    findings = json.loads(capsys.readouterr().out)
    assert findings["healthy"] is True
    assert findings["packages"]["numpy"] == np.__version__
    assert "wfdb" in findings["formats"]["read"]


def test_a_missing_package_makes_the_doctor_fail(
    no_models: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("cardioloom.api.examining._version", lambda name: None if name == "wfdb" else "1")
    assert run(["doctor"]) == 1
    assert "MISSING" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".hea", ".csv", ".npz", ".dcm"])
def test_convert_and_read_again(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Through the four formats that are written the samples stay the same."""
    from cardioloom import load

    source = write_wfdb(tmp_path / "a.hea", ecg())
    target = tmp_path / "out" / f"b{suffix}"
    assert run(["convert", str(source), str(target)]) == 0
    assert "wrote" in capsys.readouterr().out
    before, after = load(source), load(target)
    np.testing.assert_array_equal(after.signal, before.signal)
    assert after.leads == before.leads
    assert after.fs == before.fs
    if suffix != ".csv":
        np.testing.assert_array_equal(after.counts.values[:, :], before.counts.values[:, :])
    assert run(["read", str(target), "--json", str(tmp_path / "r.json")]) == 0


def test_convert_never_overwrites_what_it_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = write_wfdb(tmp_path / "a.hea", ecg())
    data = source.with_suffix(".dat").read_bytes()
    assert run(["convert", str(source), str(source.with_suffix(".dat")), "--to", "csv"]) == 2
    assert run(["convert", str(source), str(source)]) == 2
    assert "overwrite" in capsys.readouterr().err
    assert source.with_suffix(".dat").read_bytes() == data


def test_convert_to_an_unknown_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["convert", DICOM, str(tmp_path / "a.xyz")]) == 2
    assert "wfdb" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
