"""Building cohort folders: the same whatever the processes, gone on with, and nothing complete is lost."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from cardioloom.api.cohorts import build_cohort, cohort
from cardioloom.errors import InternalError, SomeFailedError, UsageError, WriteError
from cardioloom.readers import read
from cardioloom.records import STANDARD_LEADS
from cardioloom.store import Entry, Folder, Layout, Plan, ecg_modality
from cardioloom.store.build import build
from cardioloom.store.check import check
from cardioloom.store.layout import BUILDING, FACTS, LOCK
from synthetic import ecg, write_wfdb

OPTIONS: dict[str, Any] = {"fs": 100.0, "seconds": 2.0, "shard_rows": 4}
N = 10


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of ten recordings of seven patients."""
    return source(tmp_path_factory.mktemp("source"), N)


def source(folder: Path, n: int, files: int | None = None) -> Path:
    files = files or n
    for k in range(files):
        write_wfdb(folder / f"r{k:04d}.hea", ecg(seconds=2.0, fs=100.0, bpm=60 + k % 40, seed=k))
    rows = [["file", "study_id", "patient_id", "AF", "lvef"]]
    rows += [[f"r{k % files:04d}.hea", f"s{k:05d}", f"p{k * 7 // 10}", k % 2, 50 + k % 10] for k in range(n)]
    path = folder / "table.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_records_come_back_as_they_were(table: Path, tmp_path: Path):
    built = build_cohort(table, tmp_path / "c", workers=1, **OPTIONS)
    assert built.failed == ()
    found = Folder.at(tmp_path / "c").cohort()
    assert (len(found), found.n_patients, found.labels) == (N, 7, ("AF", "lvef"))
    for row in range(N):
        own, there = next(read(table.parent / f"r{row:04d}.hea")), found[row]
        assert own.counts is not None
        np.testing.assert_array_equal(there.ecg.counts.values, own.counts.values)
        np.testing.assert_array_equal(there.ecg.signal, own.signal)
        assert there.facts == {"age": 61.0, "sex": "F", "AF": row % 2, "lvef": 50 + row}
    assert check(tmp_path / "c").problems == []


def test_shards_are_npy_files_that_numpy_maps(table: Path, tmp_path: Path):
    build_cohort(table, tmp_path / "c", workers=1, **OPTIONS)
    shard = np.load(tmp_path / "c" / "ecg" / "000001.npy", mmap_mode="r")
    assert (shard.shape, shard.dtype) == ((4, 12, 200), np.int16)
    subprocess.run(
        ["sha256sum", "-c", "000001.npy.sha256"], cwd=tmp_path / "c" / "ecg", check=True, capture_output=True
    )


def test_the_folder_is_the_same_whatever_the_number_of_processes(table: Path, tmp_path: Path):
    seen: list[tuple[int, int]] = []
    build_cohort(table, tmp_path / "one", workers=1, **OPTIONS)
    build_cohort(table, tmp_path / "two", workers=2, progress=lambda *done: seen.append(done), **OPTIONS)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    assert len(seen) == 3
    assert seen[-1] == (N, N)


def test_what_cannot_be_read_is_listed_with_its_reason_and_the_others_are_there(table: Path, tmp_path: Path):
    text = table.read_text().splitlines()
    broken = table.with_name("broken.csv")
    (table.parent / "cut.hea").write_text("cut 12 100 200\n")
    broken.write_text("\n".join([*text, "absent.hea,x1,p90,1,50", "cut.hea,x2,p91,1,50", "table.csv,x3,p92,0,50"]))
    with pytest.raises(SomeFailedError) as caught:
        cohort("build", broken, tmp_path / "c", workers=1, **OPTIONS)
    assert [name for name, _ in caught.value.failed] == ["absent.hea", "cut.hea", "table.csv"]
    assert len(caught.value.done) == N
    with (tmp_path / "c" / "failed.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["absent.hea", "cut.hea", "table.csv"]
    assert "does not exist" in rows[0]["reason"]
    assert Folder.at(tmp_path / "c").facts["counts"]["failed"] == 3
    assert check(tmp_path / "c").problems == []


def test_a_source_of_nothing_but_failures_says_the_first(tmp_path: Path):
    (tmp_path / "t.csv").write_text("file,patient_id\nabsent.hea,p\n")
    with pytest.raises(WriteError, match=r"absent\.hea.*does not exist"):
        build_cohort(tmp_path / "t.csv", tmp_path / "c", workers=1, **OPTIONS)


def test_a_fault_of_one_task_is_listed_too(tmp_path: Path):
    def make(task: int) -> list[Entry]:
        if task == 1:
            raise ZeroDivisionError("made to fail")
        return [Entry(f"s{task}", f"p{task}", {"ecg": ecg(seconds=2.0, fs=100.0)})]

    layout = Layout({"ecg": ecg_modality(100.0, 2.0)}, 100.0)
    built = build(tmp_path / "c", Plan(range(3), make, layout, {}), workers=1)
    assert built.failed[0][0] == "1"
    assert "fault of cardioloom (ZeroDivisionError: made to fail)" in built.failed[0][1]
    assert InternalError.__name__


def test_patients_that_the_source_puts_into_two_splits_are_refused(table: Path, tmp_path: Path):
    lines = ["file,study_id,patient_id,split", "r0000.hea,a,p1,train", "r0001.hea,b,p1,test", "r0002.hea,c,p2,test"]
    (path := table.with_name("leak.csv")).write_text("\n".join(lines))
    with pytest.raises(UsageError, match=r"1 patient into more than one split \(p1\)"):
        build_cohort(path, tmp_path / "c", workers=1, **OPTIONS)
    assert not (tmp_path / "c").exists(), "it was begun before the table was looked at"
    build_cohort(table, tmp_path / "c", workers=1, **OPTIONS)


def test_a_patient_whose_studies_say_two_splits_is_refused(tmp_path: Path):
    """Where splits are known only as studies are read."""

    def make(task: int) -> list[Entry]:
        return [Entry(f"s{task}", "p", {"ecg": ecg(seconds=2.0, fs=100.0)}, split=["train", "test"][task])]

    layout = Layout({"ecg": ecg_modality(100.0, 2.0)}, 100.0)
    with pytest.raises(UsageError, match=r"1 patient into more than one split \(p\)"):
        build(tmp_path / "c", Plan(range(2), make, layout, {}), workers=1)
    assert not (tmp_path / "c" / FACTS).exists()


def test_splits_of_the_source_and_of_an_earlier_cohort_are_kept(table: Path, tmp_path: Path):
    build_cohort(table, tmp_path / "old", workers=1, seed=3, **OPTIONS)
    old = Folder.at(tmp_path / "old").columns
    splits = dict(zip(old["patient_id"], old["split"], strict=True))
    build_cohort(table, tmp_path / "new", workers=1, seed=4, keep=tmp_path / "old", **OPTIONS)
    new = Folder.at(tmp_path / "new").columns
    assert dict(zip(new["patient_id"], new["split"], strict=True)) == splits
    lines = ["file,study_id,patient_id,split", "r0000.hea,a,p1,fold1", "r0001.hea,b,p1,", "r0002.hea,c,p2,fold2"]
    (path := table.with_name("own.csv")).write_text("\n".join(lines))
    build_cohort(path, tmp_path / "own", workers=1, **OPTIONS)
    assert Folder.at(tmp_path / "own").columns["split"].tolist() == ["fold1", "fold1", "fold2"]


def test_a_folder_that_is_complete_or_of_others_is_refused(table: Path, tmp_path: Path):
    build_cohort(table, tmp_path / "c", workers=1, **OPTIONS)
    before = content(tmp_path / "c")
    with pytest.raises(UsageError, match="is a complete cohort"):
        build_cohort(table, tmp_path / "c", workers=1, **OPTIONS)
    assert content(tmp_path / "c") == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match=r"other files \(letter\.txt\)"):
        build_cohort(table, tmp_path / "mine", workers=1, **OPTIONS)
    assert content(tmp_path / "mine") == {"letter.txt": b"dear"}


def test_two_builds_into_one_folder_are_refused(table: Path, tmp_path: Path):
    (tmp_path / "c").mkdir()
    with FileLock(tmp_path / "c" / LOCK), pytest.raises(UsageError, match="another run builds"):
        build_cohort(table, tmp_path / "c", workers=1, **OPTIONS)
    build_cohort(table, tmp_path / "c", workers=1, **OPTIONS)


class StoppedError(Exception):
    pass


def stop(done: int, _all: int) -> None:
    raise StoppedError(done)


def test_an_interrupted_build_goes_on_with_the_same_arguments_only(table: Path, tmp_path: Path):
    out = tmp_path / "c"
    with pytest.raises(StoppedError):
        build_cohort(table, out, workers=1, progress=stop, **OPTIONS)
    kept = (out / "ecg" / "000000.npy").stat().st_mtime_ns
    with pytest.raises(UsageError, match="no complete cohort"):
        Folder.at(out)
    with pytest.raises(UsageError, match="begun with another layout"):
        build_cohort(table, out, workers=1, **OPTIONS | {"seconds": 1.0})
    with pytest.raises(UsageError, match="begun with another seed"):
        build_cohort(table, out, workers=1, seed=9, **OPTIONS)
    (out / "ecg" / ".000001.npy.0badcafe.part").write_bytes(b"left behind")
    build_cohort(table, out, workers=1, **OPTIONS)
    assert (out / "ecg" / "000000.npy").stat().st_mtime_ns == kept
    build_cohort(table, tmp_path / "whole", workers=1, **OPTIONS)
    assert content(out) == content(tmp_path / "whole")


def test_a_build_does_not_go_on_with_other_labels(tmp_path: Path):
    """As after an update of the library that simulates more of a patient."""

    def make(task: int) -> list[Entry]:
        return [Entry(f"s{task}", f"p{task}", {}, labels={"AF": 0.0})]

    plan = Plan(range(2), make, Layout({}, shard_rows=1), {}, labels={"AF": {"kind": "binary"}})
    with pytest.raises(StoppedError):
        build(tmp_path / "c", plan, workers=1, progress=stop)
    with pytest.raises(UsageError, match="begun with another labels"):
        build(tmp_path / "c", replace(plan, labels={"AF": {"kind": "binary"}, "AFL": {"kind": "binary"}}), workers=1)


def command(table: Path, out: Path, workers: int, before: str = "") -> list[str]:
    call = f"build_cohort(Path({str(table)!r}), Path({str(out)!r}), workers={workers}, **{OPTIONS!r})"
    return [
        sys.executable,
        "-c",
        f"{before}\nfrom pathlib import Path\nfrom cardioloom.api.cohorts import build_cohort\n{call}",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_build_that_is_killed_leaves_no_process_and_goes_on(tmp_path: Path):
    (tmp_path / "source").mkdir()
    table, out = source(tmp_path / "source", 1600, files=4), tmp_path / "c"
    process = subprocess.Popen(command(table, out, 2), start_new_session=True)
    deadline = time.monotonic() + 30
    while not list((out / BUILDING).glob("*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / FACTS).exists(), "the build was done before it was killed"
    assert ended(process.pid), "a worker outlived its parent"
    done = [out / "ecg" / f"{path.stem}.npy" for path in (out / BUILDING).glob("*.parquet")]
    assert 0 < len(done) < 400
    kept = {path: path.stat().st_mtime_ns for path in done}
    build_cohort(table, out, workers=2, **OPTIONS)
    assert {path: path.stat().st_mtime_ns for path in done} == kept
    assert len(Folder.at(out).cohort()) == 1600
    assert not list(out.rglob("*.part"))


DYING = """
import os, sys
from multiprocessing import parent_process
from pathlib import Path
from time import sleep
from cardioloom.errors import WriteError
from cardioloom.store import Entry, Layout, Plan
from cardioloom.store.build import build

def make(task):
    if parent_process() is not None:
        os._exit(9)
    sleep(0.01)
    return [Entry(f"s{task}", f"p{task}", {}, labels={"AF": task})]

if __name__ == "__main__":
    try:
        build(Path(sys.argv[1]), Plan(range(2000), make, Layout({}, shard_rows=4), {}), workers=2)
    except WriteError as error:
        print(error)
"""


def test_a_worker_that_is_ended_from_outside_is_a_sentence(tmp_path: Path):
    (script := tmp_path / "script.py").write_text(DYING)
    result = subprocess.run(
        [sys.executable, script, tmp_path / "c"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "was ended from outside, perhaps for lack of memory: run the same command again" in result.stdout
    assert list((tmp_path / "c" / BUILDING).glob("*.parquet")), "what this process had finished is lost"


def ended(session: int) -> bool:
    """Whether no process of the session is left, within some seconds."""
    for _ in range(200):
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_a_sentence_and_nothing_complete_is_lost(workers: int, table: Path, tmp_path: Path):
    """A limit on the size of files stands for the disk; one shard was finished before."""
    out = tmp_path / "c"
    with pytest.raises(StoppedError):
        build_cohort(table, out, workers=1, progress=stop, **OPTIONS)
    kept = (out / "ecg" / "000000.npy").stat().st_mtime_ns
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (15000, 15000))"
    result = subprocess.run(command(table, out, workers, limit), capture_output=True, text=True, check=False)
    assert result.returncode != 0
    said = result.stderr.strip().splitlines()[-1]
    assert "WriteError" in said
    assert "make room and run the same command again, finished shards are kept" in said
    assert not list(out.rglob("*.part"))
    assert json.loads((out / BUILDING / "job.json").read_text())["tasks"] == N
    build_cohort(table, out, workers=1, **OPTIONS)
    assert (out / "ecg" / "000000.npy").stat().st_mtime_ns == kept
    assert len(Folder.at(out).cohort()) == N
    assert tuple(Folder.at(out).facts["leads"]) == STANDARD_LEADS
