"""The generator is `phantom/1`: results are quoted for it, so what an existing column or stream gives must not change.

A number that moves here makes another generator: `streams.GENERATOR` and these numbers then change together. A new
column comes from a stream of its own and moves nothing.
"""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from cardioloom.simulator import GENERATOR, Heart, draw
from cardioloom.simulator.cine import cine
from cardioloom.simulator.echo import echo
from cardioloom.simulator.electrocardiogram import ecg
from cardioloom.simulator.outcomes import outcomes
from cardioloom.simulator.reporttext import report_text

PATIENTS = [(5, patient, population) for population in ("general", "hospital") for patient in range(40)]


def numbers(heart: Heart) -> list[float]:
    """Every number of a heart, in the order of its fields."""

    def flat(value: object) -> list[float]:
        if isinstance(value, dict):
            return [number for part in value.values() for number in flat(part)]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return []
        return [float(value)]

    return flat(asdict(heart))


def fingerprint() -> dict[str, float]:
    """A few sums over hearts and their recordings; the last digits may differ between processors."""
    hearts = [draw(*key) for key in PATIENTS]
    some = [hearts[0], hearts[-1]]
    found = {"hearts": sum(sum(numbers(heart)) for heart in hearts)}
    found["diagnoses"] = float(sum(heart.diagnosis != "normal" for heart in hearts))
    found["ecg"] = float(sum(np.abs(ecg(heart).signal).mean() for heart in some))
    for view in ("sax", "lax_4ch"):
        found[view] = float(sum(cine(heart, view=view, n_frames=10).frames.mean() for heart in some))
    found["echo"] = float(sum(echo(heart, n_frames=8).frames.mean() for heart in some))
    found["report"] = float(sum(len(report_text(heart, long=True)) for heart in hearts))
    found["outcomes"] = float(sum(outcomes(heart).nt_probnp_pg_ml for heart in hearts))
    return found


def test_the_generator_is_phantom_1():
    assert GENERATOR == "phantom/1"
    assert fingerprint() == pytest.approx(PHANTOM_1, rel=1e-4)


PHANTOM_1 = {
    "hearts": 134926.5134843837,
    "diagnoses": 24.0,
    "ecg": 0.1628095805644989,
    "sax": 79.51240079365078,
    "lax_4ch": 112.21418650793652,
    "echo": 67.1767877072704,
    "report": 56379.0,
    "outcomes": 20787.926519782006,
}
