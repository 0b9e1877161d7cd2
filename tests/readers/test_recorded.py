"""What holds for every reader: nothing recorded is refused, and no text of a file steers a terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cardioloom.errors import CardioloomError, DamagedFileError, NotAnECGError
from cardioloom.readers import read
from cardioloom.readers.told import Told
from cardioloom.records import ECG, Counts
from cardioloom.writers import write

N = 3000
ESCAPE = "\x1b]0;title\x07\u202e\x9b2J"


@pytest.mark.parametrize("suffix", [".hea", ".dcm", ".csv", ".npz"])
def test_a_record_without_any_value_is_refused(tmp_path: Path, suffix: str):
    signal = np.full((2, N), np.nan, np.float32)
    path = tmp_path / f"a{suffix}"
    write(ECG(signal, ("I", "II"), 500), path)
    with pytest.raises(NotAnECGError, match=r"has no value in any lead \(I, II\)"):
        list(read(path))
    signal[1, N - 1] = 0.5
    write(ECG(signal, ("I", "II"), 500), path)
    [ecg] = read(path)
    assert ecg.signal[1, N - 1] == 0.5


def test_counts_without_any_value(tmp_path: Path):
    values = np.full((1, N), -7)
    write(ECG(Counts(values, np.ones(1), np.zeros(1), (-7,)), ("I",), 500), tmp_path / "a.npz")
    with pytest.raises(NotAnECGError, match="no value"):
        list(read(tmp_path / "a.npz"))


@pytest.mark.parametrize("suffix", [".hea", ".dcm", ".npz"])
def test_a_single_sample_is_refused(tmp_path: Path, suffix: str):
    path = tmp_path / f"a{suffix}"
    write(ECG(np.ones((2, 1), np.float32), ("I", "II"), 500), path)
    with pytest.raises(DamagedFileError, match="a single sample"):
        list(read(path))


@pytest.mark.parametrize("suffix", [".hea", ".dcm", ".csv", ".npz"])
def test_a_flat_record_is_read(tmp_path: Path, suffix: str):
    write(ECG(np.zeros((2, N), np.float32), ("I", "II"), 500), tmp_path / f"a{suffix}")
    [ecg] = read(tmp_path / f"a{suffix}")
    assert not ecg.signal.any()


def test_what_a_file_says_does_not_steer_a_terminal(tmp_path: Path):
    signal = np.ones((2, N), np.float32)
    texts = {"leads": [f"ECG {ESCAPE}", "V2\x1b"], "device": ESCAPE, "stated": [ESCAPE], "notes": [ESCAPE]}
    np.savez(tmp_path / "a.npz", signal=signal, fs=500, **texts)
    [ecg] = read(tmp_path / "a.npz")
    assert ecg.leads == ("ECG ]0;title2J", "V2")
    assert all(text.isprintable() for text in (*ecg.leads, ecg.device or "\0", *ecg.stated, *ecg.notes))


def test_no_error_steers_a_terminal(tmp_path: Path):
    (tmp_path / "a.csv").write_text(f"{ESCAPE},b{ESCAPE}\n1,2\n3,4\n")
    (tmp_path / "b.hea").write_text(f"b 1 500 10\nb.dat 16 200/{ESCAPE} 16 0 0 0 0 I{ESCAPE}\n")
    (tmp_path / "b.dat").write_bytes(bytes(20))
    (tmp_path / f"c{ESCAPE}.csv").write_text("nothing")
    for path in [*tmp_path.glob("*.csv"), tmp_path / "b.hea"]:
        with pytest.raises(CardioloomError) as caught:
            list(read(path, Told(fs=500, unit="mV")))
        assert str(caught.value).isprintable()


def test_ptb_xls_code_for_a_great_age_is_noted(tmp_path: Path):
    write(ECG(np.ones((1, N), np.float32), ("I",), 500), tmp_path / "a.hea")
    for line, age in (("#Age: 300", None), ("#Age: 125", 125.0), ("#Age: NaN", None)):
        header = (tmp_path / "a.hea").read_text().split("#")[0]
        (tmp_path / "a.hea").write_text(f"{header}{line}\n")
        [ecg] = read(tmp_path / "a.hea")
        assert ecg.patient.get("age") == age
        assert len(ecg.notes) == (line == "#Age: 300")
