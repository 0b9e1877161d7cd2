"""The view that a table tells of a cine, beside what its files say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cardioloom.datasets.listed import WantedCine
from cardioloom.errors import MissingFactError, ReadError
from scans import SAX, SAX_NORMAL, series

nibabel = pytest.importorskip("nibabel")
LONG_AXIS = [f"{value:.8f}" for value in (*SAX[0], *SAX_NORMAL)]  # a plane that holds the heart's axis


def frames(number: int) -> np.ndarray:
    """(time, slice, row, col), other values for each number."""
    return np.random.default_rng(number).integers(0, 500, (12, 1, 20, 24)).astype(np.uint16)


def dicom(folder: Path, **descriptions: str) -> Path:
    """A folder of long-axis series, each with its description; their planes say nothing of the view."""
    for number, (name, description) in enumerate(descriptions.items()):
        facts: dict[str, Any] = {"SeriesDescription": description, "SeriesInstanceUID": f"1.2.{number}"}
        series(folder / name, frames(number), SeriesNumber=number, ImageOrientationPatient=LONG_AXIS, **facts)
    return folder


def nifti(path: Path) -> Path:
    image = nibabel.Nifti1Image(frames(0).transpose(3, 2, 1, 0), None)
    image.header.set_zooms((1.8, 1.8, 8.0, 30.0))
    image.header.set_xyzt_units("mm", "msec")
    nibabel.save(image, path)
    return path


def test_a_view_that_the_files_contradict_is_refused(tmp_path: Path):
    words = "it shows lax_4ch, but cine_view says sax: correct what is wrong"
    for path in (dicom(tmp_path / "mr", a="CINE_4CH"), nifti(tmp_path / "a_4ch.nii")):
        with pytest.raises(ReadError, match=f"^the cine {path.name}: {words}"):
            WantedCine(path, path.name, "sax").read("sax")
    path = nifti(tmp_path / "a_sax.nii")
    with pytest.raises(ReadError, match="it shows sax, but cine_view says lax_4ch"):
        WantedCine(path, path.name, "lax_4ch").read("sax")


@pytest.mark.parametrize("view", [None, "sax"])
def test_of_several_series_the_one_of_the_view_is_taken(view: str | None, tmp_path: Path):
    """One that says nothing is passed over where another says it."""
    path = dicom(tmp_path / "mr", a="CINE_4CH", b="CINE_SAX", c="cine")
    cine = WantedCine(path, "mr", view).read("sax")
    assert cine.view == "sax"
    np.testing.assert_array_equal(np.sort(cine.frames, axis=None), np.sort(frames(1), axis=None))


def test_what_says_nothing_takes_the_told_view(tmp_path: Path):
    path = dicom(tmp_path / "mr", a="CINE_4CH", b="cine")
    with pytest.raises(MissingFactError, match="does not say which view it shows: write sax into the column cine_view"):
        WantedCine(path, "mr").read("sax")
    cine = WantedCine(path, "mr", "sax").read("sax")
    assert cine.view == "sax"
    np.testing.assert_array_equal(np.sort(cine.frames, axis=None), np.sort(frames(1), axis=None))
    alone = nifti(tmp_path / "unnamed.nii")
    assert WantedCine(alone, "unnamed.nii", "sax").read("sax").view == "sax"


@pytest.mark.parametrize("description", ["CINE_SAX", "cine"])
def test_two_that_could_be_meant_are_refused(description: str, tmp_path: Path):
    path = dicom(tmp_path / "mr", a=description, b=description)
    with pytest.raises(ReadError, match=r"^the cine mr: it holds more than one sax cine: name the file or folder of"):
        WantedCine(path, "mr", "sax").read("sax")
