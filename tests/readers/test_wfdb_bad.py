"""WFDB records that must be refused, each in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardioloom.errors import CardioloomError, DamagedFileError, LimitError, NotAnECGError, ReadError
from cardioloom.readers import limits
from cardioloom.readers.told import Told
from cardioloom.readers.wfdb import companions, in_folder, read, sniff
from cardioloom.readers.wfdb_header import parse_header

LINE = "r.dat 16 200/mV 16 0 0 0 0"


def record(folder: Path, header: str | bytes, data: bytes | None = b"\0" * 40) -> Path:
    path = folder / "r.hea"
    path.write_bytes(header if isinstance(header, bytes) else header.encode())
    if data is not None:
        (folder / "r.dat").write_bytes(data)
    return path


CASES = {
    "empty header": ("", b"\0" * 40, DamagedFileError, "empty"),
    "comments only": ("# nothing\n", b"\0" * 40, DamagedFileError, "no record line"),
    "no record line": ("hello world\n", b"\0" * 40, DamagedFileError, "no valid record line"),
    "binary header": (b"r 2 100 10\n\0\1\2", b"\0" * 40, DamagedFileError, "not a text file"),
    "header too large": ("#" * (limits.MAX_HEADER_BYTES + 1), b"", LimitError, "more than"),
    "empty signal file": (f"r 2 100 10\n{LINE} I\n{LINE} II\n", b"", DamagedFileError, "is empty"),
    "truncated signal file": (f"r 2 100 10\n{LINE} I\n{LINE} II\n", b"\0" * 39, DamagedFileError, "truncated"),
    "empty and no length": (f"r 2 100\n{LINE} I\n{LINE} II\n", b"", DamagedFileError, "is empty"),
    "no signal file": (f"r 2 100 10\n{LINE} I\n{LINE} II\n", None, DamagedFileError, "not beside it"),
    "too few lines": (f"r 2 100 10\n{LINE} I\n", b"\0" * 40, DamagedFileError, "announces 2 signals but describes 1"),
    "too many lines": (f"r 1 100 10\n{LINE} I\n{LINE} II\n", b"\0" * 40, DamagedFileError, "describes 2"),
    "zero gain": ("r 1 100 10\nr.dat 16 0/mV 16 0 0 0 0 I\n", b"\0" * 20, DamagedFileError, "gain of 0 for I"),
    "infinite gain": ("r 1 100 10\nr.dat 16 1e999/mV 16 0 0 0 0 I\n", b"\0" * 20, DamagedFileError, "no number"),
    "unreadable gain": ("r 1 100 10\nr.dat 16 20x0 16 0 0 0 0 I\n", b"\0" * 20, DamagedFileError, "unreadable gain"),
    "no format": ("r 1 100 10\nr.dat\n", b"\0" * 20, DamagedFileError, "without a format"),
    "zero per frame": ("r 1 100 10\nr.dat 16x0 200\n", b"\0" * 20, DamagedFileError, "without a format"),
    "unknown format": ("r 1 100 10\nr.dat 99 200 16 0 0 0 0 I\n", b"\0" * 20, DamagedFileError, "format 99"),
    "two formats in a file": (
        "r 2 100 5\nr.dat 16 200 16 0 0 0 0 I\nr.dat 80 200 8 0 0 0 0 II\n",
        b"\0" * 40,
        DamagedFileError,
        "one a file",
    ),
    "zero rate": (f"r 1 0 10\n{LINE} I\n", b"\0" * 20, DamagedFileError, "sampling rate"),
    "rate that is no number": (f"r 1 nan 10\n{LINE} I\n", b"\0" * 20, DamagedFileError, "sampling rate"),
    "negative length": (f"r 1 100 -10\n{LINE} I\n", b"\0" * 20, DamagedFileError, "negative"),
    "absurd length": (f"r 1 100 99999999999999\n{LINE} I\n", b"\0" * 20, LimitError, "more than"),
    "absurd signals": ("r 100000 100 10\n", b"", LimitError, "channels"),
    "no signals": ("r 0 100 10\n", b"", NotAnECGError, "no stored signal"),
    "null signals": ("r 1 100 10\n~ 0 200 16 0 0 0 0 I\n", b"", NotAnECGError, "no stored signal"),
    "no ecg": ("r 1 100 10\nr.dat 16 10/mmHg 16 0 0 0 0 ABP\n", b"\0" * 20, NotAnECGError, "ABP"),
    "parent folder": (f"r 1 100 10\n../{LINE} I\n", b"\0" * 20, DamagedFileError, "outside its own folder"),
    "absolute path": (f"r 1 100 10\n/etc/{LINE} I\n", b"\0" * 20, DamagedFileError, "outside its own folder"),
    "windows path": (f"r 1 100 10\nC:{LINE} I\n", b"\0" * 20, DamagedFileError, "outside its own folder"),
    "folder as file": ("r 1 100 10\n. 16 200 16 0 0 0 0 I\n", b"\0" * 20, DamagedFileError, "outside its own folder"),
    "compressed, no length": ("r 1 100\nr.dat 516 200 16 0 0 0 0 I\n", b"\0" * 20, DamagedFileError, "must state"),
    "no flac": (
        "r 1 100 10\nr.dat 516 200 16 0 0 0 0 I\n",
        b"\0" * 99,
        DamagedFileError,
        "not be decoded as format 516",
    ),
    "absurd per frame": ("r 1 100 1\nr.dat 16x99999 200\n", b"\0" * 20, DamagedFileError, "without a format"),
    "absurd baseline": (f"r 1 100 10\nr.dat 16 200({10**17}) 16 0 0 0 0 I\n", b"\0" * 20, DamagedFileError, "32 bits"),
    "segment of absurd length": (f"r/1 1 100\ns {'9' * 5000}\n", None, DamagedFileError, "without a length"),
    "segment outside": ("r/1 1 100 10\n../s 10\n", None, DamagedFileError, "outside its own folder"),
    "segment absent": ("r/1 1 100 10\ns 10\n", None, DamagedFileError, "segment s.hea"),
    "segment of itself": ("r/1 1 100 10\nr 10\n", None, DamagedFileError, "segments itself"),
    "segments of no sum": ("r/1 1 100 11\ns 10\n", None, DamagedFileError, "its segments have 10"),
    "gaps only": ("r/1 1 100 10\n~ 10\n", None, NotAnECGError, "gaps only"),
    "segment without length": ("r/1 1 100 10\ns\n", None, DamagedFileError, "without a length"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_in_one_sentence(tmp_path, case):
    header, data, error, words = CASES[case]
    path = record(tmp_path, header, data)
    with pytest.raises(error) as caught:
        list(read(path, Told()))
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert str(tmp_path) not in message
    assert sniff(path, path.read_bytes()[:4096])
    assert case in ("no ecg",) or in_folder(path, path.read_bytes()[:4096])  # listed as failed rather than lost


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.dat").write_bytes(b"\0" * 20)
    (inside / "r.dat").symlink_to(tmp_path / "secret.dat")
    path = record(inside, f"r 1 100 10\n{LINE} I\n", None)
    with pytest.raises(DamagedFileError, match=r"r\.dat beside r\.hea is a link that leaves the folder"):
        list(read(path, Told()))
    (inside / "real.dat").write_bytes(b"\0" * 20)
    (inside / "r.dat").unlink()
    (inside / "r.dat").symlink_to("real.dat")  # a link within the folder is fine
    (ecg,) = read(path, Told())
    assert ecg.shape == (1, 10)


def test_a_signal_file_without_header(tmp_path):
    (tmp_path / "r.dat").write_bytes(b"\0" * 20)
    assert not sniff(tmp_path / "r.dat", b"\0" * 20)
    with pytest.raises(ReadError, match=r"r\.hea is not beside it"):
        list(read(tmp_path / "r.dat", Told()))


def test_a_file_that_shrinks_after_the_header_was_read(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "LAZY_VALUES", 1)
    path = record(tmp_path, f"r 1 100 10\n{LINE} I\n", b"\0" * 20)
    (ecg,) = read(path, Told())
    (tmp_path / "r.dat").write_bytes(b"\0" * 10)
    with pytest.raises(DamagedFileError, match="ends before"):
        ecg.window(0, 10)


def test_companions_never_raise(tmp_path):
    assert companions(tmp_path / "absent.hea") == set()
    assert companions(record(tmp_path, b"\xff\0\1")) == set()
    assert companions(record(tmp_path, "r/2 1 100 20\ns1 10\n../s2 10\n")) == {"s1.hea"}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.text(alphabet="r16203 .dat/()x:+-~#eVm\tIé", max_size=40) | st.just("r 1 100 10") | st.just(f"{LINE} I"),
        max_size=5,
    )
)
def test_any_text_is_parsed_or_refused_by_name(lines):
    try:
        header = parse_header("\n".join(lines), "any.hea")
    except CardioloomError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert len(header.signals) == header.n_signals or header.segments
        assert all(np.isfinite(signal.gain or 1.0) for signal in header.signals)
    assert refusal == "" or refusal.startswith("any.hea")
