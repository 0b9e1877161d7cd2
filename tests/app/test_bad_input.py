"""Input that is refused in one sentence, and unusual input that is read with a warning."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from cardioloom.app.cli import run
from cardioloom.readers import limits
from cardioloom.records import ECG, STANDARD_LEADS
from synthetic import ecg, write_wfdb


def empty_signal(folder: Path) -> Path:
    path = write_wfdb(folder / "a.hea", ecg())
    path.with_suffix(".dat").write_bytes(b"")
    return path


def truncated_signal(folder: Path) -> Path:
    path = write_wfdb(folder / "a.hea", ecg())
    data = path.with_suffix(".dat")
    data.write_bytes(data.read_bytes()[:-1000])
    return path


def no_signal_file(folder: Path) -> Path:
    path = write_wfdb(folder / "a.hea", ecg())
    path.with_suffix(".dat").unlink()
    return path


def outside_folder(folder: Path) -> Path:
    (folder / "in").mkdir()
    path = write_wfdb(folder / "in" / "a.hea", ecg())
    path.with_suffix(".dat").rename(folder / "a.dat")
    path.write_text(path.read_text().replace("a.dat", "../a.dat"))
    return path


def zero_gain(folder: Path) -> Path:
    path = write_wfdb(folder / "a.hea", ecg())
    path.write_text(path.read_text().replace("1000/mV", "0/mV"))
    return path


def no_usable_lead(folder: Path) -> Path:
    path = write_wfdb(folder / "a.hea", ecg(leads=("I",)))
    path.write_text(path.read_text().replace(" 0 I\n", " 0 PLETH\n"))
    return path


def empty_header(folder: Path) -> Path:
    path = folder / "a.hea"
    path.write_bytes(b"")
    return path


def not_an_ecg(folder: Path) -> Path:
    return Path(str(get_testdata_file("CT_small.dcm", download=False)))


def truncated_dicom(folder: Path) -> Path:
    path = folder / "a.dcm"
    path.write_bytes(Path(str(get_testdata_file("waveform_ecg.dcm", download=False))).read_bytes()[:9000])
    return path


def nonsense(folder: Path) -> Path:
    path = folder / "a.xyz"
    path.write_bytes(bytes(range(256)) * 20)
    return path


def absent(folder: Path) -> Path:
    return folder / "absent.hea"


REFUSED = [
    empty_signal,
    truncated_signal,
    no_signal_file,
    outside_folder,
    zero_gain,
    no_usable_lead,
    empty_header,
    not_an_ecg,
    truncated_dicom,
    nonsense,
    absent,
]


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__)
def test_refused_in_one_sentence_with_nothing_half_written(make, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    out = tmp_path / "report"
    assert run(["read", str(path), "--json", f"{out}.json", "--html", f"{out}.html"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("cardioloom: ")
    assert captured.err.count("\n") == 1, captured.err
    assert len(captured.err) < 500
    assert run(["convert", str(path), f"{out}.csv"]) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("limit", "value"), [("MAX_FILE_BYTES", 1000), ("MAX_SAMPLES", 4999), ("MAX_LEADS", 11)])
def test_more_than_the_limits_is_refused(
    limit: str, value: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    path = write_wfdb(tmp_path / "a.hea", ecg())
    monkeypatch.setattr(limits, limit, value)
    assert run(["read", str(path)]) == 1
    assert str(value) in capsys.readouterr().err


def read_report(path: Path, tmp_path: Path, *more: str) -> dict:
    out = tmp_path / "report.json"
    page = tmp_path / "report.html"
    assert run(["read", str(path), "--json", str(out), "--html", str(page), *more]) == 0
    assert "Not a diagnosis" in page.read_text()
    return json.loads(out.read_text())


def codes(report: dict) -> set[str]:
    # What has a code is also said in words among the warnings.
    assert {row["text"] for row in report["quality"]["warnings"]} <= set(report["warnings"])
    return {row["code"] for row in report["quality"]["warnings"]}


FIFTEEN = (*STANDARD_LEADS, "vx", "vy", "vz")
UNUSUAL = {
    "15 leads": (ecg(leads=FIFTEEN), "unusual_leads"),
    "3 leads": (ecg(leads=("I", "II", "III")), "unusual_leads"),
    "1 lead": (ecg(leads=("V5",)), "unusual_leads"),
    "MLII": (ecg(leads=("MLII",)), "unusual_leads"),
    "100 Hz": (ecg(fs=100), "low_sampling_rate"),
    "2000 Hz": (ecg(fs=2000), "high_sampling_rate"),
    "2 s": (ecg(seconds=2), "short_recording"),
    "60 s": (ecg(seconds=60), "long_recording"),
    "5 min": (ecg(seconds=300, fs=250, leads=("II",)), "long_recording"),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_but_read_with_a_warning(name: str, tmp_path: Path):
    record, code = UNUSUAL[name]
    report = read_report(write_wfdb(tmp_path / "a.hea", record), tmp_path)
    assert code in codes(report)
    assert report["measurements"]["heart_rate"]["value"] == pytest.approx(72, abs=0.5)
    expected = np.arange(30 / 72, record.seconds, 60 / 72)
    np.testing.assert_allclose(report["beats"]["r_peaks_s"], expected, atol=0.015)


def test_nan_gaps_are_kept_and_measured_around(tmp_path: Path):
    record = ecg(seconds=20)
    signal = record.signal.copy()
    signal[:, 4000:6500] = np.nan
    report = read_report(write_wfdb(tmp_path / "a.hea", replace(record, samples=signal)), tmp_path)
    assert report["ecg"]["gaps_s"] == pytest.approx(5.0)
    assert report["measurements"]["heart_rate"]["value"] == pytest.approx(72, abs=0.3)
    peaks = np.array(report["beats"]["r_peaks_s"])
    assert not ((peaks > 8) & (peaks < 13)).any()
    assert all("gaps" in " ".join(lead["problems"]) for lead in report["quality"]["leads"].values())
    assert "NaN" not in (tmp_path / "report.json").read_text()


def test_flat_and_missing_leads(tmp_path: Path):
    record = ecg()
    signal = record.signal.copy()
    signal[7] = 0.0
    signal[9] = np.nan
    report = read_report(write_wfdb(tmp_path / "a.hea", replace(record, samples=signal)), tmp_path)
    leads = report["quality"]["leads"]
    assert leads["V2"] == {"score": 0.0, "problems": ["flat"]}
    assert leads["V4"] == {"score": 0.0, "problems": ["missing"]}
    assert leads["II"]["problems"] == []
    assert any("V2" in text and "flat" in text for text in report["warnings"])
    assert report["ecg"]["gaps_s"] == 0.0
    assert report["measurements"]["heart_rate"]["value"] == pytest.approx(72, abs=0.5)


def test_microvolts_declared_as_millivolts_are_warned_of_not_rescaled(tmp_path: Path):
    record = ecg()
    path = write_wfdb(tmp_path / "a.hea", replace(record, samples=record.signal * 1000), gain=1.0)
    report = read_report(path, tmp_path)
    assert "implausible_unit" in codes(report)
    assert report["measurements"]["heart_rate"]["value"] == pytest.approx(72, abs=0.5)
    from cardioloom import load

    assert load(path).signal.max() > 500


def test_leads_that_break_einthoven(tmp_path: Path):
    record = ecg()
    signal = record.signal.copy()
    signal[2] = -signal[2]
    report = read_report(write_wfdb(tmp_path / "a.hea", replace(record, samples=signal)), tmp_path)
    assert "einthoven" in codes(report)
    assert "breaks Einthoven's identity" in report["quality"]["leads"]["III"]["problems"]
    assert report["quality"]["leads"]["aVL"]["problems"] == []


def test_nothing_but_flat_leads(tmp_path: Path):
    """No beat, no rate, no invented number: abstained from with the reason."""
    record = ECG(np.zeros((12, 5000), np.float32), STANDARD_LEADS, 500)
    report = read_report(write_wfdb(tmp_path / "a.hea", record), tmp_path)
    assert "heart_rate" not in report["measurements"]
    assert "heart_rate" in {row["what"] for row in report["abstained"]}
    assert report["quality"]["score"] == 0.0


@pytest.mark.parametrize(("seconds", "fs", "says"), [(0.6, 500, "at least 1 s"), (10, 40, "at least 50 Hz")])
def test_too_short_or_too_slow_for_beats(seconds: float, fs: float, says: str, tmp_path: Path):
    report = read_report(write_wfdb(tmp_path / "a.hea", ecg(seconds=seconds, fs=fs)), tmp_path)
    assert report["measurements"] == {}
    (why,) = [row["why"] for row in report["abstained"] if row["what"] == "heart_rate"]
    assert says in why


def test_a_csv_without_rate_or_unit_is_refused_until_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "a.csv"
    rows = ["I,II", *(f"{a:.6f},{b:.6f}" for a, b in ecg(leads=("I", "II")).signal.T * 1000)]
    path.write_text("\n".join(rows))
    assert run(["read", str(path)]) == 1
    assert "--fs" in capsys.readouterr().err
    assert run(["read", str(path), "--fs", "500"]) == 1
    assert "--unit" in capsys.readouterr().err
    report = read_report(path, tmp_path, "--fs", "500", "--unit", "uV")
    assert report["measurements"]["heart_rate"]["value"] == pytest.approx(72, abs=0.5)
