"""The figure of phases: well-formed, complete, true to its numbers, and without anything from outside."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from cardioloom.errors import UsageError
from cardioloom.evaluation.phases import diagonal_distance, phase_similarity
from cardioloom.report.phase_figure import Panel, draw, render

SVG = "{http://www.w3.org/2000/svg}"
T = 13
EVIL = '<script>alert("x")</script>&\u202e\x07'


def parts(n_panels: int = 2, t: int = T) -> tuple[list[Panel], Any, Any]:
    rng = np.random.default_rng(0)
    cine = rng.normal(size=(20, t, 4))
    ecg = cine + rng.normal(size=cine.shape)
    distance = diagonal_distance(ecg, cine, draws=100)
    panels = [Panel(f"method {n}", phase_similarity(ecg, cine) - n, distance) for n in range(n_panels)]
    return panels, np.exp(-(np.linspace(0, 30, 200) ** 2)), rng.normal(size=(t, 12, 10))


def read(text: str) -> ET.Element:
    return ET.fromstring(text.encode())  # as a file: the declaration names the encoding


def with_class(root: ET.Element, name: str) -> list[ET.Element]:
    return [node for node in root.iter() if name in node.get("class", "").split()]


def words(root: ET.Element) -> list[str]:
    return [node.text or "" for node in root.iter(f"{SVG}text")]


def cells(root: ET.Element) -> np.ndarray:
    """(panel, row, col, 3) colours as they lie on the page."""
    found = []
    for group in with_class(root, "cells"):
        rects = group.findall(f"{SVG}rect")
        places = np.array([[float(rect.get(a, "")) for a in ("y", "x")] for rect in rects])
        n = round(len(rects) ** 0.5)
        assert sorted(map(tuple, places.tolist())) == list(map(tuple, places.tolist()))  # by row
        colours = [[int(rect.get("fill", "")[k : k + 2], 16) for k in (1, 3, 5)] for rect in rects]
        found.append(np.array(colours).reshape(n, n, 3))
    return np.stack(found)


@pytest.mark.parametrize(("n_panels", "t"), [(1, T), (2, T), (3, T), (4, 8), (7, 50), (2, 1)])
def test_everything_is_there_for_any_number_of_panels(n_panels: int, t: int):
    root = read(render(*parts(n_panels, t)))
    assert cells(root).shape == (n_panels, t, t, 3)
    assert len(with_class(root, "picture")) == n_panels * t
    assert len(root.findall(f".//{SVG}image")) == t
    assert len(root.findall(f".//{SVG}circle")) == n_panels * t
    rows = -(-n_panels // 3)
    assert len(with_class(root, "beat")) == rows
    assert root.get("width") == "180.0mm"
    _, _, width, height = map(float, root.get("viewBox", "").split())
    for node in root.findall(f"{SVG}g"):
        x, y = map(float, re.findall(r"[\d.]+", node.get("transform", "")))
        assert 0 <= x < width
        assert 0 <= y < height


def test_words_and_numbers_are_written():
    panels, beat, frames = parts()
    text = render(panels, beat, frames, beat_name="lead II", made_on="500 simulated patients")
    said = words(read(text))
    distance: Any = panels[0].distance
    for wanted in (
        *("method 0", "method 1", "lead II", "500 simulated patients", "mean cosine", "chance 4.31; n = 20"),
        *("cine phase, from R wave to R wave", "ECG phase, from R wave to R wave"),
        f"mean distance from the diagonal: {distance['value']:.2f} phases",
        "95 % interval {:.2f} to {:.2f}".format(*distance["interval"]),
    ):
        assert wanted in said
    assert said.count("13") == 4  # both axes of both panels
    similarity = np.asarray(panels[1].similarity)
    assert f"{similarity.min():.2f}".replace("-", "−") in said
    assert "NaN" not in text
    circular = diagonal_distance(*np.random.default_rng(0).normal(size=(2, 9, T, 3)), circular=True, draws=100)
    root = read(render([Panel("a", np.eye(T), circular), Panel("b", np.eye(T))], beat, frames))
    assert "round the beat; chance 3.23; n = 9" in words(root)
    assert sum("mean distance" in line for line in words(root)) == 1


def test_colours_are_those_of_viridis_and_follow_the_scale():
    colour_map = pytest.importorskip("matplotlib").colormaps["viridis"]
    similarity = np.linspace(-0.4, 0.8, T * T).reshape(T, T)
    panels = [Panel("own", similarity), Panel("fixed", similarity, limits=(0.2, 0.6))]
    found = cells(read(render(panels, *parts()[1:])))
    for n, (low, high) in enumerate([(-0.4, 0.8), (0.2, 0.6)]):
        wanted = 255 * colour_map((similarity - low) / (high - low))[..., :3]
        assert np.abs(found[n] - wanted).max() < 8
    assert (found[1, 0] == found[1, 0, 0]).all()  # below the scale


def test_dots_lie_on_the_most_similar_phase():
    best = np.random.default_rng(2).integers(0, T, T)
    root = read(render([Panel("a", np.eye(T)[best])], *parts()[1:]))
    side = max(float(rect.get("x", "")) for rect in with_class(root, "cells")[0]) / (T - 1) * T
    for k, dot in enumerate(root.findall(f".//{SVG}circle")):
        assert float(dot.get("cx", "")) == pytest.approx((best[k] + 0.5) * side / T, abs=0.1)
        assert float(dot.get("cy", "")) == pytest.approx((k + 0.5) * side / T, abs=0.1)
        assert dot.get("fill") == "#111"  # dark on yellow


def test_the_beat_runs_down_along_the_phases():
    root = read(render(*parts()))
    points = np.array(re.findall(r"([\d.]+) ([\d.]+)", with_class(root, "beat")[0].get("d", "")), float)
    assert len(points) == 200
    assert (np.diff(points[:, 1]) > 0).all()
    last = with_class(root, "cells")[0].findall(f"{SVG}rect")[-1]
    assert points[-1, 1] == pytest.approx(float(last.get("y", "")) + float(last.get("height", "")), abs=0.1)
    assert points[:, 0].argmax() == 0  # the R wave, to the right


def test_frames_are_the_pictures_and_lie_over_their_phases():
    panels, beat, frames = parts()
    root = read(render(panels, beat, frames))
    grey = np.rint((frames - frames.min()) / np.ptp(frames) * 255)
    for t, node in enumerate(root.findall(f".//{SVG}image")):
        head, data = node.get("href", "").split(",")
        assert head == "data:image/png;base64"
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), grey[t])
    wide = float(root.find(f".//{SVG}image").get("width", ""))  # type: ignore[union-attr]
    first = with_class(root, "cells")[0].findall(f"{SVG}rect")
    uses = with_class(root, "picture")[:T]
    for t, use in enumerate(uses):
        middle = float(first[t].get("x", "")) + float(first[t].get("width", "")) / 2
        assert float(use.get("x", "")) + wide / 2 == pytest.approx(middle, abs=0.05)
    places = np.array([[float(use.get(a, "")) for a in "xy"] for use in uses])
    apart = np.abs(places[:, None] - places)
    assert (apart.max(axis=2) + wide * np.eye(T) >= wide).all()  # none covers another


def test_what_is_written_is_escaped_and_nothing_is_loaded():
    panels, beat, frames = parts()
    text = render([Panel(EVIL, panels[0].similarity)], beat, frames, beat_name=EVIL, made_on=EVIL)
    root = read(text)
    assert "\u202e" not in text
    assert "\x07" not in text
    assert not list(root.iter(f"{SVG}script"))
    assert words(root).count(EVIL[:-2]) == 3
    assert all(href.startswith(("#", "data:image/png")) for href in re.findall(r'href="([^"]*)"', text))
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_flat_values_are_drawn(tmp_path: Path):
    path = tmp_path / "flat.svg"
    draw([Panel("flat", np.full((T, T), 0.5))], np.zeros(5), np.ones((T, 4, 4)), path)
    text = path.read_text(encoding="utf-8")
    assert text == render([Panel("flat", np.full((T, T), 0.5))], np.zeros(5), np.ones((T, 4, 4)))
    assert "nan" not in text.lower()
    assert [file.name for file in tmp_path.iterdir()] == ["flat.svg"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"panels": []}, "got \\[\\]"),
        ({"panels": [Panel("a", np.eye(3)), Panel("b", np.eye(4))]}, "got \\[3, 4\\]"),
        ({"panels": [Panel("a", np.ones((3, 4)))]}, "square, got shape \\(3, 4\\)"),
        ({"panels": [Panel("a", np.ones(4))]}, "\\(ECG phase, cine phase\\)"),
        ({"panels": [Panel("a", np.full((4, 4), np.nan))]}, "finite"),
        ({"panels": [Panel("a", np.eye(4), limits=(1.0, 0.0))]}, "ascend, got 1.0 and 0.0"),
        ({"panels": [Panel("a", np.eye(61))]}, "room for 60 phases, got 61"),
        ({"beat": [1.0]}, "two samples or more, got 1"),
        ({"beat": ["a", "b"]}, "the beat must be numbers"),
        ({"beat": [0.0, np.inf]}, "the beat must be finite"),
        ({"frames": np.ones((3, 2, 2))}, "4 phases need a frame each, got 3"),
        ({"frames": np.ones((4, 2))}, "\\(phase, row, col\\)"),
        ({"path": "a.png"}, "written as .svg, got .png"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], says: str, tmp_path: Path):
    usual = {"panels": [Panel("a", np.eye(4))], "beat": [0.0, 1.0], "frames": np.ones((4, 2, 2)), "path": "a.svg"}
    given: dict[str, Any] = usual | change
    with pytest.raises(UsageError, match=says):
        draw(**given | {"path": tmp_path / given["path"]})
    assert not list(tmp_path.iterdir())
