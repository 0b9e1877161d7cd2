"""`cohort check FOLDER --html PAGE`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cardioloom.api.cohort_page import cine_ends, echo_ends
from cardioloom.api.cohorts import cohort
from cardioloom.api.simulating import build_simulated
from cardioloom.app.cli import run
from cardioloom.errors import UsageError, WriteError
from cardioloom.simulator import draw
from cardioloom.simulator.cine import cine
from cardioloom.simulator.echo import echo, echo_truth
from cardioloom.simulator.volume_curve import volume_curve
from cardioloom.store import Folder
from cardioloom.store.check import Checked


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Four patients with everything; only read."""
    path = tmp_path_factory.mktemp("page") / "sim"
    build_simulated(path, patients=4, seed=3, population="hospital", workers=1)
    return Folder.at(path)


def test_the_page_of_a_simulated_cohort(simulated: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    page = tmp_path / "deep" / "page.html"
    assert run(["cohort", "check", str(simulated.path), "--html", str(page)]) == 0
    assert f"wrote {page}" in capsys.readouterr().out
    text = page.read_text(encoding="utf-8")
    assert "<strong>Simulated patients: no person&#39;s data, not for clinical conclusions.</strong>" in text
    assert simulated.facts["fingerprint"] in text
    assert "phantom/1" in text
    assert "4 of 4 patients" in text
    assert text.count("<img ") == 4 * 3 * 2
    assert text.count('role="img"') == 4
    rows = simulated.cohort()
    for line in rows.table_1():
        for cell in line.values():
            assert cell == line["variable"] or f'<td class="num">{cell}</td>' in text
    for k in range(4):
        row = rows.row(k)
        report = simulated.text(row)
        assert report is not None
        assert report in text
        assert row["study_id"] in text
    lv_ef = re.findall(r"<dt>lv_<wbr>ef</dt><dd>([^<]+)</dd>", text)
    assert lv_ef == [f"{rows.row(k)['lv_ef']:.3f}" for k in range(4)]


def test_a_cohort_of_ecgs_alone(tmp_path: Path):
    built = build_simulated(tmp_path / "sim", patients=14, only="ecg", workers=1)
    page = tmp_path / "page.html"
    found = cohort("check", built.folder, html=page)
    assert isinstance(found, Checked)
    assert found.problems == []
    text = page.read_text(encoding="utf-8")
    assert "12 of 14 patients" in text
    assert text.count('role="img"') == 12
    assert "<img " not in text
    assert "End-diastole" not in text


def test_a_damaged_cohort_still_has_its_page(tmp_path: Path):
    built = build_simulated(tmp_path / "sim", patients=3, only="ecg,echo", workers=1)
    (shard,) = (built.folder / "echo").glob("*0.npy")
    shard.write_bytes(shard.read_bytes()[:2000])
    page = tmp_path / "page.html"
    assert run(["cohort", "check", str(built.folder), "--html", str(page)]) == 1
    text = page.read_text(encoding="utf-8")
    assert "sha256 differs" in text
    assert text.count('<p class="note">Echo/000000.npy has no row') == 3
    assert text.count('role="img"') == 3


def test_a_patient_in_two_splits_leaves_the_table_out(tmp_path: Path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    built = build_simulated(tmp_path / "sim", patients=3, only="ecg", workers=1)
    table = pq.read_table(built.folder / "cohort.parquet")
    for name, values in (("patient_id", ["a", "a", "b"]), ("split", ["train", "test", "train"])):
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    pq.write_table(table, built.folder / "cohort.parquet")
    page = tmp_path / "page.html"
    cohort("check", built.folder, html=page)
    text = page.read_text(encoding="utf-8")
    assert "Not counted: 1 patient is in more than one split (a)" in text
    assert "2 of 2 patients" in text


def test_where_no_page_can_be(simulated: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run(["cohort", "build", "list.csv", str(tmp_path / "out"), "--html", str(tmp_path / "page.html")]) == 2
    assert "--html belongs to cohort check" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="takes a file name, got -"):
        cohort("check", simulated.path, html=Path("-"))
    with pytest.raises(UsageError, match="put the page beside it"):
        cohort("check", simulated.path, html=simulated.path / "cohort.json")
    with pytest.raises(WriteError):
        cohort("check", simulated.path, html=tmp_path)


def test_end_diastole_and_end_systole_are_where_the_volumes_are():
    """The frames found in pictures alone have volumes near the largest and the smallest of the simulator's truth."""
    for number in range(6):
        heart = draw(11, number, "hospital")
        frames = cine(heart).frames[:, 0].astype(np.uint8)
        volumes, _ = volume_curve(heart, np.arange(50) / 50)
        assert shares(volumes, cine_ends(frames)) == pytest.approx((1, 0), abs=0.2)
        video = echo(heart, video=number % 2).frames
        volumes = echo_truth(heart, video=number % 2).lv_ml
        assert shares(volumes, echo_ends(video)) == pytest.approx((1, 0), abs=0.1)


def shares(volumes: np.ndarray, frames: tuple[int, int]) -> np.ndarray:
    """Volumes at two frames; 1 = the largest, 0 = the smallest."""
    return (volumes[list(frames)] - volumes.min()) / np.ptp(volumes)


def test_frames_that_do_not_move():
    still = np.full((5, 6, 6), 7, np.uint8)
    assert cine_ends(still) == (0, 0)
    assert set(echo_ends(still)) <= set(range(5))


def test_real_recordings(shared: Path, tmp_path: Path):
    """Ten sources with missing labels, gaps and empty leads."""
    from cardioloom.api.cohorts import build_cohort

    built = build_cohort(shared / "data" / "ecg", tmp_path / "cohort", dataset="ten_sources", workers=1)
    page = tmp_path / "page.html"
    found = cohort("check", built.folder, html=page)
    text = page.read_text(encoding="utf-8")
    assert text.count('role="img"') == 12
    assert "Simulated" not in text
    assert isinstance(found, Checked)
    for problem in found.problems:
        assert problem.text in text
