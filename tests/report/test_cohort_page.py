"""The page of a cohort: what is drawn, that all is escaped, that it needs nothing from outside."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from cardioloom.records import ECG, STANDARD_LEADS
from cardioloom.report.cohort_page import CohortPage, PatientView, Picture, TableGroup, data_uri, png, render
from pages import Page

EVIL = '<script>alert("x")</script>&\u202e\x07'


def an_ecg(leads: tuple[str, ...] = STANDARD_LEADS, seconds: float = 10.0, fs: float = 500.0) -> ECG:
    """Noise of 0.1 mV with one sample of 1 + lead/20 mV at 1.234 s of every 2.5 s."""
    time = round(seconds * fs)
    signal = np.random.default_rng(0).normal(0, 0.1, (len(leads), time)).astype(np.float32)
    for at in np.arange(1.234, seconds, 2.5):
        signal[:, round(at * fs)] = 1.0 + np.arange(len(leads)) / 20
    return ECG(signal, leads, fs)


def a_patient(**values: Any) -> PatientView:
    frames = np.random.default_rng(1).integers(0, 256, (2, 9, 7), np.uint8)
    picture = Picture("cine_sax", frames, (1, 19))
    known: dict[str, Any] = {"ecg": an_ecg(), "pictures": (picture,), "text": "Normal.", "labels": (("lv_ef", "0.61"),)}
    return PatientView("s1", ("61 years", "female"), **(known | values))


def a_page(*patients: PatientView, **values: Any) -> CohortPage:
    table = (TableGroup("age", (("", ("61 (4)", "60 (3)")), ("missing", ("2", "1")))),)
    counts = (TableGroup("rhythm", (("sinus", ("5 (50.0%)", "4")), ("AF", ("5 (50.0%)", "1")))),)
    return CohortPage("made", columns=("all", "train"), table=table, counts=counts, patients=patients, **values)


def unpacked(file: bytes) -> np.ndarray:
    """A second reader: signature, chunks with their CRC-32, filter 0."""
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(file):
        (size,) = struct.unpack(">I", file[at : at + 4])
        kind, data = file[at + 4 : at + 8], file[at + 8 : at + 8 + size]
        assert struct.unpack(">I", file[at + 8 + size : at + 12 + size]) == (zlib.crc32(kind + data),)
        chunks[kind] = data
        at += 12 + size
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert rest == [8, 0, 0, 0, 0]
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    return rows[:, 1:]


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)))
def test_a_png_gives_its_pixels_back(pixels: np.ndarray):
    np.testing.assert_array_equal(unpacked(png(pixels)), pixels)


def test_a_png_opens_elsewhere():
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    import io

    pixels = np.arange(60, dtype=np.uint8).reshape(6, 10)[:, ::-1]
    np.testing.assert_array_equal(np.asarray(image.open(io.BytesIO(png(pixels)))), pixels)


def test_the_pictures_of_the_page_are_the_frames_and_say_what_they_are():
    patient = a_patient()
    images = Page(render(a_page(patient))).named("img")
    assert [image["alt"] for image in images] == [
        "Cine, short axis of s1 at end-diastole",
        "Cine, short axis of s1 at end-systole",
    ]
    for image, frame in zip(images, patient.pictures[0].frames, strict=True):
        assert image["src"] == data_uri(frame)
        shown = unpacked(base64.b64decode(str(image["src"]).removeprefix("data:image/png;base64,")))
        np.testing.assert_array_equal(shown, frame)


def test_the_ecg_is_twelve_leads_of_two_and_a_half_seconds_with_their_peaks():
    page = render(a_page(a_patient()))
    traces = re.findall(r'<path class="trace" d="([^"]+)"', page)
    assert len(traces) == 12
    for lead, trace in zip(
        ("I", "aVR", "V1", "V4", "II", "aVL", "V2", "V5", "III", "aVF", "V3", "V6"), traces, strict=True
    ):
        points = np.array([tuple(map(float, point.split())) for point in re.split("[ML]", trace)[1:]])
        assert (points[0, 0], points[-1, 0]) == pytest.approx((0, 62.5), abs=0.06)
        assert len(points) < 400
        top = points[points[:, 1].argmin()]
        assert top == pytest.approx((1.234 * 25, -10 * (1 + STANDARD_LEADS.index(lead) / 20)), abs=0.006)
    (label,) = re.findall(r'role="img" aria-label="([^"]+)"', page)
    assert label.startswith("ECG of s1: 2.5 s of each of I, II, III, aVR")


def test_a_gap_breaks_the_line_and_is_hatched():
    ecg = an_ecg()
    signal = ecg.signal.copy()
    signal[1, 500:750] = np.nan
    page = render(a_page(a_patient(ecg=ECG(signal, STANDARD_LEADS, 500.0))))
    assert '<rect class="hatch" x="25.0" y="-5" width="12.5"' in page
    assert "Hatched: not recorded." in page
    traces = re.findall(r'<path class="trace" d="([^"]+)"', page)
    assert [trace.count("M") for trace in traces] == [2 if k == 4 else 1 for k in range(12)]


@pytest.mark.parametrize("leads", [("II",), ("MLII", "V5"), (*STANDARD_LEADS, "V7")])
def test_other_leads_are_drawn_too(leads: tuple[str, ...]):
    page = render(a_page(a_patient(ecg=an_ecg(leads))))
    assert len(re.findall(r'<path class="trace" d="M', page)) == len(leads)
    assert "ECG of s1: 10 s of each of" in page


def test_everything_from_a_file_is_escaped():
    patient = a_patient(text=EVIL, labels=((EVIL, EVIL),), lacking=(EVIL,))
    table = (TableGroup(EVIL, ((EVIL, (EVIL, EVIL)),)),)
    page = render(
        CohortPage(EVIL, EVIL, ((EVIL, EVIL),), ((EVIL, EVIL),), (EVIL,), (EVIL, "b"), table, table, "", 1, (patient,))
    )
    tree = Page(page)
    assert tree.named("script") == []
    assert "\x07" not in page
    assert "\u202e" not in page
    assert page.count("&lt;script&gt;") + page.count("&lt;Script&gt;") >= 14


def test_the_page_needs_nothing_from_outside_and_can_be_read_by_ear():
    page = render(a_page(a_patient(), a_patient(pictures=(), ecg=None), n_patients=7))
    tree = Page(page)
    assert "default-src 'none'" in page
    for tag in ("script", "link", "iframe", "object"):
        assert tree.named(tag) == []
    for _, attributes in tree.tags:
        for name in ("src", "href", "data", "action"):
            value = attributes.get(name) or "#"
            assert value.startswith(("#", "data:image/png;base64,"))
    assert all(image["alt"] for image in tree.named("img"))
    assert all("aria-label" in svg or svg.get("aria-hidden") for svg in tree.named("svg"))
    ids = [attributes["id"] for _, attributes in tree.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in tree.tags:
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids
    assert all(cell.get("scope") for cell in tree.named("th"))
    assert "2 of 7 patients" in page


def test_the_statement_is_a_banner_and_absent_without_one():
    said = render(a_page(statement="simulated patients: no person's data"))
    assert (
        '<p class="disclaimer trained" role="note"><strong>Simulated patients: no person&#39;s data.</strong></p>'
        in said
    )
    assert 'trained" role' not in render(a_page())


def test_problems_notes_and_a_table_that_cannot_be():
    page = render(
        CohortPage("made", problems=(("split_leak", "1 patients"),), notes=("x is missing",), not_counted="a leak.")
    )
    assert "Check: 1 problem found" in page
    assert '1 patients <b class="code">split_leak</b>' in page
    assert "<li>x is missing</li>" in page
    assert "Not counted: a leak." in page
    assert Page(page).named("table") == []
    assert "Check: no problems found" in render(a_page())
