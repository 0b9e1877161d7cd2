"""Text tables: this library's own, wide, long, bare numbers, Apple Health; and what is no ECG."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.errors import CardioloomError, DamagedFileError, MissingFactError, NotAnECGError, UnknownFormatError
from cardioloom.readers import csv, find, read, sniff
from cardioloom.readers.csv_table import BLOCK_LINES, rate_of
from cardioloom.readers.told import Told
from cardioloom.records import STANDARD_LEADS

WFDB = "'Elapsed time','MLII','V5'\n'seconds','mV','mV'\n0.000,-0.145,-0.065\n0.004,-0.1,0.2\n"  # by rdsamp -v
TWO = "0.1,-0.2\n0.15,-0.25\n0.2,-0.3\n"


def put(folder: Path, text: str, name: str = "a.csv", encoding: str = "utf-8") -> Path:
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def test_own_layout_needs_no_options(tmp_path: Path):
    [ecg] = read(put(tmp_path, "time_s,I,MLII\n0,0.1,\n0.002,nan,-0.3\n0.004,1e-05,2\n"))
    assert (ecg.leads, ecg.fs, ecg.notes) == (("I", "MLII"), 500.0, ())
    assert np.array_equal(ecg.signal, np.array([[0.1, np.nan, 1e-5], [np.nan, -0.3, 2]], np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("text", "fs", "leads", "first"),
    [
        ("time_s,I [mV],II_uV\n0,1,2\n0.01,1,2\n", 100.0, ("I", "II"), (1.0, 0.002)),
        ("time [ms];V1 (µV);RESP [Ohm]\n0;1,5;9\n4;1,5;9\n", 250.0, ("V1",), (0.0015,)),
        ("\ufeffTime (s)\tLead I (mV)\tlabel\r\n0\t1\tN\r\n0.002\t1\tN\r\n", 500.0, ("I",), (1.0,)),
        (WFDB, 250.0, ("MLII", "V5"), (-0.145, -0.065)),
        ("# made by X\n# 2020\n\ntime_us,aVR_mV\n0,1\n\n1000,2\n", 1000.0, ("aVR",), (1.0,)),
        ('"time_s","I"\n"0","1"\n"0.002","2"\n', 500.0, ("I",), (1.0,)),
    ],
)
def test_wide_tables(tmp_path: Path, text: str, fs: float, leads: tuple[str, ...], first: tuple[float, ...]):
    [ecg] = read(put(tmp_path, text))
    assert (ecg.fs, ecg.leads) == (fs, leads)
    assert ecg.signal[:, 0] == pytest.approx(first, abs=1e-7)


def test_latin_1_micro_sign(tmp_path: Path):
    [ecg] = read(put(tmp_path, "time_s,I (µV)\n0,5\n0.001,6\n", encoding="latin-1"))
    assert ecg.signal[0] == pytest.approx([0.005, 0.006])


def test_what_is_not_stated_must_be_told(tmp_path: Path):
    path = put(tmp_path, "I,II\n" + TWO)
    with pytest.raises(MissingFactError, match="--fs"):
        list(read(path))
    with pytest.raises(MissingFactError, match="--unit"):
        list(read(path, Told(fs=500)))
    [ecg] = read(path, Told(fs=500, unit="V"))
    assert ecg.signal[:, 0] == pytest.approx([100, -200])
    path = put(tmp_path, "sample,I\n0,1\n1,2\n2,3\n")
    with pytest.raises(MissingFactError, match="--fs"):
        list(read(path))
    path = put(tmp_path, "a,b\n" + TWO)
    with pytest.raises(NotAnECGError, match="--leads"):
        list(read(path))
    assert next(read(path, Told(500, ("I", "II"), "mV"))).leads == ("I", "II")


def test_time_without_unit(tmp_path: Path):
    [ecg] = read(put(tmp_path, "time,I_mV\n0,1\n0.004,2\n0.008,3\n"))
    assert ecg.fs == 250
    assert "taken as seconds" in ecg.notes[0]
    path = put(tmp_path, "time,I_mV\n0,1\n4,2\n8,3\n")
    with pytest.raises(MissingFactError, match="--fs"):
        list(read(path))
    assert next(read(path, Told(fs=250))).fs == 250


def test_bare_numbers(tmp_path: Path):
    path = put(tmp_path, TWO)
    with pytest.raises(MissingFactError, match="--leads"):
        list(read(path))
    [ecg] = read(path, Told(500, ("I", "II"), "mV"))
    assert ecg.signal == pytest.approx(np.array([[0.1, 0.15, 0.2], [-0.2, -0.25, -0.3]]))
    [ecg] = read(put(tmp_path, "1,5;2\n;3\n"), Told(500, ("I", "II"), "mV"))
    assert np.array_equal(ecg.signal, np.array([[1.5, np.nan], [2, 3]], np.float32), equal_nan=True)
    assert not csv.in_folder(path, path.read_bytes())


def test_contec_table(shared: Path):
    path = shared / "data/formats/contec_ecg_GPL3/0000050.ECG.csv"
    [ecg] = read(path, Told(800, STANDARD_LEADS, "uV"))
    assert ecg.shape == (12, 37855)
    assert np.isnan(ecg.signal[6:]).all()
    assert ecg.signal[0, :3] == pytest.approx([-0.02, -0.03, -0.033])


def test_long_tables(tmp_path: Path):
    text = "value_mV,lead,time_s\n1,II,0\n2,I,0\n3,I,0.002\n4,II,0.002\n5,I,0.004\n"
    path = put(tmp_path, text)
    assert csv.in_folder(path, path.read_bytes())
    [ecg] = read(path)
    assert (ecg.leads, ecg.fs) == (("II", "I"), 500)
    assert np.array_equal(ecg.signal, np.array([[1, 4, np.nan], [2, 3, 5]], np.float32), equal_nan=True)
    with pytest.raises(DamagedFileError, match="two values at one time"):
        list(read(put(tmp_path, text + "6,I,0.004\n")))


def test_apple_health_export(shared: Path):
    path = shared / "data/formats/apple_watch_csv_CONSTRUCTED/ecg_2000-01-01.csv"
    oracle = json.loads(Path(f"{path}.oracle.json").read_text())
    [ecg] = read(path)
    row = oracle["leads"]["I"]
    assert (ecg.leads, ecg.fs, ecg.shape) == (("I",), 512.508, (1, row["n_samples"]))
    assert ecg.signal[0, :5] == pytest.approx(row["first5"], abs=1e-6)
    assert [ecg.signal.min(), ecg.signal.max()] == pytest.approx([row["min"], row["max"]], abs=1e-6)
    assert (ecg.device, ecg.stated) == ("Watch5,1", ("Sinus Rhythm",))
    assert ecg.start is not None
    assert "Test Person" not in repr((ecg.notes, ecg.patient, ecg.stated))
    assert csv.in_folder(path, path.read_bytes()[:4096])


def test_apple_health_export_with_decimal_comma(tmp_path: Path):
    text = (
        'Klassifizierung,Sinusrhythmus\nAbtastrate,"512,508 Hertz"\n\nAbleitung,Lead I\nEinheit,µV\n\n-211,887\n5,5\n'
    )
    [ecg] = read(put(tmp_path, text))
    assert (ecg.fs, ecg.leads) == (512.508, ("I",))
    assert ecg.signal[0] == pytest.approx([-0.211887, 0.0055])
    with pytest.raises(DamagedFileError, match="line 8"):
        list(read(put(tmp_path, text.replace("5,5", "x"), "b.csv")))
    with pytest.raises(DamagedFileError, match="no value"):
        list(read(put(tmp_path, text.split("-211")[0], "c.csv")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time_s,I\n0,1\n0.002\n", "line 3, has 1 cells, not 2"),
        ("time_s,I\n0,1\n\n0.002,2,3\n", "line 4, has 3 cells"),
        ("time_s,I\n0,1\n0.002,x\n", "line 3, has text"),
        ("time_s,I\n0,1\n0.002,inf\n", "infinite"),
        ("time_s,I\n0,1\n0.002,1\n0.01,2\n", "irregular"),
        ("time_s,I\n" + "".join(f"{n / 500},1\n" for n in range(900) if n != 450), "irregular"),
        ("time_s,I\n0,1\n0,1\n", "does not rise"),
        ("time_s,I\n", "no line of numbers"),
        ("\n\n", "no line of numbers"),
        ("", "empty"),
    ],
)
def test_damage_is_told_by_line(tmp_path: Path, text: str, message: str):
    with pytest.raises(DamagedFileError, match=message):
        list(read(put(tmp_path, text)))


def test_tables_of_other_things_are_passed_over(shared: Path):
    tables = [path for path in (shared / "data/ecg").rglob("*.csv") if path.name != "records.csv"]
    assert len(tables) >= 6
    for path in [*tables, shared / "data/ecg/records.csv"]:
        with path.open("rb") as file:
            assert not csv.in_folder(path, file.read(4096)), path.name
    with pytest.raises(NotAnECGError, match="none of which is an ECG lead"):
        list(read(shared / "data/ecg/records.csv"))
    assert [path.name for path in find(shared / "data/formats/apple_watch_csv_CONSTRUCTED")] == ["ecg_2000-01-01.csv"]


def test_text_that_is_no_table(tmp_path: Path):
    path = put(tmp_path, "I think, therefore\nI am, 1\n", "notes.txt")
    assert sniff(path) is None
    with pytest.raises(UnknownFormatError):
        list(read(path))
    path = tmp_path / "a.csv"
    path.write_bytes(b"time_s,I\n0,1\n\x00\x01\x02")
    assert sniff(path) is None
    path = put(tmp_path, "x,y,z\n0.1,0.2,9.8\n0.1,0.2,9.7\n", "acceleration.csv")
    assert find(path) == [path]
    assert not csv.in_folder(path, path.read_bytes())


@given(
    fs=st.one_of(st.integers(50, 2000).map(float), st.floats(50, 2000).map(lambda fs: float(f"{fs:.6g}"))),
    n=st.integers(20, 4000),
    digits=st.integers(4, 17),
)
def test_the_rate_survives_the_rounding_of_times(fs: float, n: int, digits: int):
    """A rate that was written is found again as well as times of so many decimals can tell it."""
    times = np.round(np.arange(n) / fs, digits)
    found = rate_of("a.csv", times)
    shown = max(len(repr(float(time)).partition(".")[2]) for time in times[-20:])
    slack = 0.5 * 10.0**-digits + 0.51 * 10.0 ** -min(shown, digits) + 1e-11
    assert abs((n - 1) / found - (n - 1) / fs) <= slack


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_text_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject):
    text = "time_s,I,II\n0,1.5,-2\n0.002,,3e-3\n0.004,1,2\n"
    cut = data.draw(st.integers(0, len(text)))
    noise = data.draw(st.text(alphabet="0123456789.,;-eEn\"'\n\t IV", max_size=20))
    path = put(tmp_path_factory.mktemp("csv"), text[:cut] + noise)
    try:
        [ecg] = read(path)
    except CardioloomError:
        return
    assert ecg.shape[0] in (1, 2)


def test_a_long_table_is_never_in_memory_as_text(tmp_path: Path):
    row = ",".join(f"{n / 1000:.3f}" for n in range(12))
    path = put(tmp_path, "I,II,III,aVR,aVL,aVF,V1,V2,V3,V4,V5,V6\n" + f"{row}\n" * 150_000)
    tracemalloc.start()
    [ecg] = read(path, Told(fs=500, unit="uV"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ecg.shape == (12, 150_000)
    assert ecg.signal[5, -1] == np.float32(5e-6)
    assert peak < 2 * path.stat().st_size


def test_damage_behind_the_first_block_is_told_by_line(tmp_path: Path):
    good = "time_s,I\n" + "".join(f"{n / 100},0.5\n" for n in range(BLOCK_LINES))
    for bad, message in (("1,2,3\n", "3 cells"), ("1,x\n", "text where")):
        with pytest.raises(DamagedFileError, match=rf"line {BLOCK_LINES + 2}, has {message}"):
            list(read(put(tmp_path, good + bad)))
