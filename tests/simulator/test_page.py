"""The figures of docs/simulator.md are those of the kept results."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("simulator_page", ROOT / "benchmarks" / "simulator_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_results_give(script):
    text = (ROOT / "docs" / "simulator.md").read_text()
    assert script.page(text) == text


def test_a_number_that_was_typed_is_written_over(script):
    text = (ROOT / "docs" / "simulator.md").read_text()
    assert script.page(text.replace("| LVEDV |", "| LVEDV | 9.999 |")) == text


def test_a_page_without_marks_is_refused(script):
    with pytest.raises(SystemExit, match="must hold the marks"):
        script.page("# Simulated patients")
