"""A laboratory's own ECGs and cines → a cohort of pairs → a training, through the command line."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest

from cardioloom.api.cohorts import build_cohort
from cardioloom.app.cli import run
from cardioloom.errors import UsageError, WriteError
from cardioloom.models.installed import VARIABLE
from cardioloom.prepare.cine import crop, heart_centre, prepare_cine, ptacl, resample_pixels, sample_frames
from cardioloom.readers.cine import read_cines
from cardioloom.store import Folder
from cardioloom.store.layout import Layout
from scans import SAX, SAX_NORMAL, series
from synthetic import ecg, write_wfdb

nibabel = pytest.importorskip("nibabel")
SPLITS: Mapping[str, int] = {"train": 12, "validation": 6, "test": 6}
SUBJECTS = ("SCD0000101", "SCD0000201", "SCD0000301", "SCD0000401")
ONE = ("--workers", "1")


def beating(patient: int, n_times: int, shape: tuple[int, int] = (90, 100)) -> np.ndarray:
    """(time, row, col) uint16: a bright cavity in a dark wall, whose radius follows the beat."""
    row, column = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    away = np.hypot(row - shape[0] / 2 - patient % 7 + 3, column - shape[1] / 2 + patient % 5 - 2)
    radius = 12 + patient % 6 + 3 * np.cos(2 * np.pi * np.arange(n_times) / n_times)
    inside = np.clip(radius[:, None, None] - away + 0.5, 0, 1)
    wall = np.clip(24 + patient % 6 - away, 0, 1)
    noise = np.random.default_rng(patient).integers(0, 20, (n_times, *shape))
    return (100 + 150 * wall + 500 * inside + noise).astype(np.uint16)


def nifti(
    path: Path,
    frames: np.ndarray,
    *,
    affine: np.ndarray | None = None,
    spacing_mm: tuple[float, float, float] = (1.8, 1.8, 8.0),
    step_ms: float = 30.0,
) -> Path:
    """A file of frames (time, row, col) or (time, slice, row, col); without an affine it lies nowhere in the body."""
    frames = frames[:, None] if frames.ndim == 3 else frames
    image = nibabel.Nifti1Image(frames.transpose(3, 2, 1, 0), affine)
    image.header.set_zooms((*spacing_mm, step_ms))
    image.header.set_xyzt_units("mm", "msec")
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path


def long_axis() -> np.ndarray:
    """An affine whose plane holds the heart's axis."""
    affine = np.eye(4)
    affine[:3, :3] = np.diag([-1, -1, 1.0]) @ np.stack([SAX[0], -SAX_NORMAL, SAX[1]], axis=1) * (1.8, 1.8, 8.0)
    return affine


def table(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A table of these rows, each of its own patient; the ECGs are written beside it."""
    names = ["file", "patient_id", *dict.fromkeys(name for row in rows for name in row)]
    with (path := folder / "pairs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for patient, row in enumerate(rows):
            write_wfdb(folder / f"e{patient:02d}.hea", ecg(bpm=60 + patient, seed=patient))
            writer.writerow({"file": f"e{patient:02d}.hea", "patient_id": f"p{patient:02d}", **row})
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 24 patients: cines as laboratories have them, one patient without."""
    folder = tmp_path_factory.mktemp("pairs")
    splits = [name for name, n in SPLITS.items() for _ in range(n)]
    rows: list[dict[str, Any]] = []
    for patient, split in enumerate(splits):
        name = f"cines/{patient:02d}_sax.nii.gz"
        rows.append({"split": split, "lv_ef": round(0.35 + 0.01 * patient, 2), "cine": name})
        nifti(folder / name, beating(patient, (20, 25, 30, 50)[patient % 4]))
    nifti(folder / rows[0]["cine"], beating(0, 30), step_ms=0.0)  # no time is stated
    series(folder / "cines" / "dicom", np.repeat(beating(1, 12)[:, None], 3, axis=1))
    rows[1]["cine"] = "cines/dicom"
    rows[2]["cine"] = ""
    rows[3]["cine"] = str(nifti(folder / "far" / "a.nii", np.repeat(beating(3, 20)[:, None], 5, axis=1)))
    return table(folder, rows)


@pytest.fixture(scope="module")
def cohort(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The cohort of that table."""
    out = tmp_path_factory.mktemp("built") / "c"
    assert run(["cohort", "build", str(pairs), str(out), *ONE]) == 0
    return Folder.at(out)


def test_a_table_of_pairs_becomes_a_cohort(cohort: Folder, pairs: Path):
    modality = cohort.layout.modalities["cine_sax"]
    assert (modality.shape, modality.dtype, modality.channels) == ((50, 84, 84), "uint8", 1)
    assert cohort.facts["modalities"]["cine_sax"]["preparation"] == ptacl().to_json()
    assert Layout.from_json(json.loads(json.dumps(cohort.layout.to_json()))) == cohort.layout
    columns = cohort.columns
    assert [value is None for value in columns["hash_cine_sax"]] == [k == 2 for k in range(24)]
    assert "cine" not in columns
    assert "cine" not in cohort.facts["labels"]
    for number, row in enumerate(map(cohort.cohort().row, (0, 1, 4))):
        counts, scale = cohort.stored(row, "cine_sax")
        assert (counts.min(), counts.max()) == (0, 255)
        assert scale.tolist() == [[1.0], [0.0]]  # as a simulated cohort's
        path = pairs.parent / ("cines/00_sax.nii.gz", "cines/dicom", "cines/04_sax.nii.gz")[number]
        (cine,) = read_cines(path, frame_ms=20.0)
        assert np.array_equal(counts, np.rint(prepare_cine(cine, ptacl())))
        assert heart_centre(counts.astype(np.float32)) == pytest.approx((41.5, 41.5), abs=2.0)


def test_what_was_done_to_a_cine_is_said(cohort: Folder):
    changes = [text.split(", ") for text in cohort.columns["changes"]]
    assert "cine_sax: resampled" in changes[0]  # 30 frames
    assert "cine_sax: rescaled" not in changes[0]
    assert {"cine_sax: resampled", "cine_sax: rescaled"} <= set(changes[1])  # 12 frames of 1.5 × 1.25 mm
    assert not any(change.startswith("cine_sax") for change in (*changes[2], *changes[7]))  # none; 50 frames
    assert cohort.facts["counts"]["changes"]["cine_sax: resampled"] == 18
    assert cohort.facts["counts"]["failed"] == 0


def test_the_cohort_is_checked_shown_and_trained_on(
    cohort: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    assert run(["cohort", "check", str(cohort.path), "--html", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "Cine, short axis" in page
    assert "This study has no cine_sax." in page
    tiny = ["--preset", "tiny", "--batch", "6", "--epochs", "1", "--accelerator", "cpu"]
    assert run(["train", "ptacl", str(cohort.path), str(tmp_path / "run"), *tiny, "--targets", "lvef:lv_ef*100"]) == 0
    assert "1 studies of the training split lack an ECG or a cine" in " ".join(capsys.readouterr().out.split())
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["stages"]["pairs"]["studies"] == SPLITS["train"] - 1
    assert json.loads((tmp_path / "run" / "judged.json").read_text())["test_studies"] == SPLITS["test"]
    assert (tmp_path / "run" / "model").is_dir()


def test_ecgs_alone_are_a_cohort_as_ever(tmp_path: Path):
    """An empty column, and none."""
    with_column = table(tmp_path, [{"lv_ef": 0.5, "cine": ""}, {"lv_ef": 0.6, "cine": ""}])
    build_cohort(with_column, tmp_path / "a", workers=1)
    without = tmp_path / "other.csv"
    without.write_text(with_column.read_text().replace(",cine", "").replace("0.5,", "0.5").replace("0.6,", "0.6"))
    build_cohort(without, tmp_path / "b", workers=1)
    for name in ("cohort.json", "cohort.parquet", "ecg/000000.npy"):
        one, other = ((tmp_path / folder / name).read_bytes() for folder in "ab")
        assert one.replace(b"pairs.csv", b"other.csv") == other
    assert Folder.at(tmp_path / "a").layout.to_json()["modalities"] == {
        "ecg": {"shape": [12, 5000], "dtype": "int16", "channels": 12}
    }


def test_a_build_goes_on_with_the_same_preparation_alone(pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stop(done: int, total: int) -> None:
        raise InterruptedError

    out = tmp_path / "c"
    for _ in range(2):
        with pytest.raises((InterruptedError, WriteError)):
            build_cohort(pairs, out, shard_rows=12, workers=1, progress=stop)
    monkeypatch.setattr("cardioloom.prepare.cine.ptacl", lambda: replace(ptacl(), spacing_mm=1.5))
    with pytest.raises(UsageError, match="was begun with another layout"):
        build_cohort(pairs, out, shard_rows=12, workers=1)


def test_cines_of_another_number_of_frames_are_refused_where_that_is_asked_for(pairs: Path, tmp_path: Path):
    built = build_cohort(pairs, tmp_path / "c", fit="refuse", workers=1)
    assert len(Folder.at(tmp_path / "c").columns["study_id"]) == 6  # of 50 frames, and the one without
    words = "this cohort takes 50 frames of a beat, got 20 of the cine 04_sax.nii.gz: build with fit resample"
    assert ("e04.hea", words) in built.failed


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Four hearts of the Sunnybrook Cardiac Data, the first once more as DICOM; the ECGs are of others."""
    folder = tmp_path_factory.mktemp("real")
    with ZipFile(shared / "data/cmr/sunnybrook_dicom/SCD0000101.zip") as archive:
        archive.extractall(folder / "dicom")
    cines = [shared / f"data/cmr/sunnybrook_4d_nifti/{name}/{name}_sax_4d.nii.gz" for name in SUBJECTS]
    ecgs = sorted((shared / "data/ecg/ptbxl").glob("*.hea"))[:5]
    rows = [f"{ecg},p{k},{cine}" for k, (ecg, cine) in enumerate(zip(ecgs, [*cines, "dicom"], strict=True))]
    (folder / "t.csv").write_text("\n".join(["file,patient_id,cine", *rows]))
    built = build_cohort(folder / "t.csv", folder / "c", workers=1)
    assert built.failed == ()
    return Folder.at(folder / "c")


def test_real_hearts_are_in_the_middle(real: Folder, shared: Path):
    cohort = real.cohort()
    for number, subject in enumerate(SUBJECTS):
        folder = shared / "data/cmr/sunnybrook_4d_nifti" / subject
        (cine,) = read_cines(folder / f"{subject}_sax_4d.nii.gz")
        mask = np.asarray(nibabel.load(folder / f"{subject}_sax_ed_gt.nii.gz").dataobj).transpose(2, 1, 0)
        middle = cine.shape[1] // 2
        parts = np.stack([mask[middle] == 3, mask[middle] == 2]).astype(np.float32)
        moving = sample_frames(cine.frames[:, middle].astype(np.float32), 50)
        parts, moving = (resample_pixels(one, cine.spacing_mm[1:], 1.8) for one in (parts, moving))
        cavity, muscle = crop(parts, heart_centre(moving), 84) > 0.5
        frames = real.stored(cohort.row(number), "cine_sax")[0]
        ed = round(json.loads((folder / f"{subject}_oracle.json").read_text())["ed_frame_index0"] * 50 / 20)
        assert frames[ed][cavity].mean() > 1.4 * frames[ed][muscle].mean()
        area = (mask[middle] == 3).sum() * np.prod(cine.spacing_mm[1:])
        assert cavity.sum() * 1.8**2 == pytest.approx(area, rel=0.02)  # nothing of it is cut off
        row, column = (places.mean() for places in np.nonzero(cavity | muscle))
        assert 21 < row < 63  # the left ventricle lies beside the middle of both
        assert 21 < column < 63
    changes = real.columns["changes"].tolist()
    assert all("cine_sax: resampled, cine_sax: rescaled" in text for text in changes)  # 20 frames of 1.3 mm


def test_a_heart_is_the_same_in_both_formats_but_for_the_cut(real: Folder):
    """The NIfTI file is a part of the DICOM series, so that their middles are some pixels apart."""
    cohort = real.cohort()
    part, whole = (real.stored(cohort.row(k), "cine_sax")[0].astype(float) for k in (0, 4))
    assert ["padded" in text for text in real.columns["changes"]] == [True] * 4 + [False]

    def alike(down: int, across: int) -> float:
        moved = np.roll(whole, (down, across), axis=(1, 2))
        return float(np.corrcoef(part[:, 20:64, 20:64].ravel(), moved[:, 20:64, 20:64].ravel())[0, 1])

    best = max((alike(down, across), down, across) for down in range(-9, 10) for across in range(-9, 10))
    assert best[0] > 0.95, best


def bad(folder: Path) -> dict[str, tuple[dict[str, str], str]]:
    """Name → cells of a row that cannot be taken, and the words of its sentence."""
    good = beating(0, 20)
    (folder / "words.nii.gz").write_text("no picture")
    (folder / "empty").mkdir()
    write_wfdb(folder / "an_ecg.hea", ecg())
    nifti(folder / "flat_sax.nii", np.full((20, 90, 100), 7, np.uint16))
    nifti(folder / "small_flat_sax.nii", np.full((20, 40, 40), 7, np.uint16))
    nifti(folder / "four_4ch.nii", good)
    nifti(folder / "lies.nii", good, affine=long_axis())
    nifti(folder / "unnamed.nii", good)
    nifti(folder / "ed_es_sax.nii", good[[0, 10]])
    (truncated := nifti(folder / "half_sax.nii", good)).write_bytes(truncated.read_bytes()[:5000])
    for number in "12":
        series(
            folder / "two" / number, np.repeat(beating(1, 12)[:, None], 3, axis=1), SeriesInstanceUID=f"1.2.{number}"
        )
    view = "does not say which view it shows: write sax into the column cine_view"
    return {
        "absent": ({"cine": "absent.nii.gz"}, "the cine absent.nii.gz: .*absent.nii.gz does not exist: check the path"),
        "words": ({"cine": "words.nii.gz"}, "the cine words.nii.gz: .* not a cine"),
        "empty": ({"cine": "empty"}, "the cine empty: no DICOM file was found in empty"),
        "an ECG": ({"cine": "an_ecg.hea"}, "the cine an_ecg.hea: .* not a cine"),
        "flat": (
            {"cine": "flat_sax.nii"},
            "the cine flat_sax.nii: the frames have one value only, 7.0: there is no pic",
        ),
        "small": ({"cine": "small_flat_sax.nii"}, "the cine small_flat_sax.nii: the frames have one value only, 7.0"),
        "4ch": ({"cine": "four_4ch.nii"}, "the cine four_4ch.nii: it shows lax_4ch, not sax: name another"),
        "told": ({"cine": "unnamed.nii", "cine_view": "lax_2ch"}, "unnamed.nii: it shows lax_2ch, not sax"),
        "both": (
            {"cine": "four_4ch.nii", "cine_view": "sax"},
            "the cine four_4ch.nii: it shows lax_4ch, but cine_view says sax: correct what is wrong",
        ),
        "lies": ({"cine": "lies.nii"}, f"the cine lies.nii {view}"),
        "unnamed": ({"cine": "unnamed.nii"}, f"the cine unnamed.nii {view}"),
        "two frames": ({"cine": "ed_es_sax.nii"}, "ed_es_sax.nii: ptacl needs at least 10 frames of the beat, got 2"),
        "half": ({"cine": "half_sax.nii"}, "the cine half_sax.nii: half_sax.nii "),
        "two": ({"cine": "two"}, "the cine two: it holds more than one sax cine: name the file or folder of one"),
    }


def test_what_is_no_short_axis_cine_is_listed_with_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    wrong = bad(tmp_path)
    view = {"cine": "unnamed.nii", "cine_view": "sax"}
    path = table(tmp_path, [*(cells for cells, _ in wrong.values()), view, {"cine": ""}])
    assert run(["cohort", "build", str(path), str(tmp_path / "c"), *ONE]) == 1
    told = capsys.readouterr().err
    with (tmp_path / "c" / "failed.csv").open(newline="") as file:
        failed = {row["name"]: row["reason"] for row in csv.DictReader(file)}
    assert list(failed) == [f"e{k:02d}.hea" for k in range(len(wrong))]
    for reason, (_, words) in zip(failed.values(), wrong.values(), strict=True):
        assert re.search(words, reason), (words, reason)
        assert "\n" not in reason
        assert "a fault of cardioloom" not in reason
    assert "the cine flat_sax.nii" in told
    folder = Folder.at(tmp_path / "c")
    assert folder.columns["study_id"].tolist() == ["e14", "e15"]
    assert folder.facts["counts"]["failed"] == len(wrong)
