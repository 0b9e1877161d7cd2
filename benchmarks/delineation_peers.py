"""The peers of delineation.py: marks of every lead by NeuroKit2 and by openecg, and how one lead of each is timed."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from cardioloom.measure.delineation import AGREEING_LEADS
from ludb_agreement import FS, LEADS, Leads, score_marks  # pyright: ignore[reportMissingImports]
from r_peaks import _installed  # pyright: ignore[reportMissingImports]

NEUROKIT = ("prominence", "dwt")
NAMES = {"ECG_P_Onsets": "p_on", "ECG_P_Peaks": "p_peak", "ECG_P_Offsets": "p_off", "ECG_R_Onsets": "qrs_on"}
NAMES |= {"ECG_R_Offsets": "qrs_off", "ECG_T_Onsets": "t_on", "ECG_T_Peaks": "t_peak", "ECG_T_Offsets": "t_off"}
# Trained on about four of five LUDB patients; its split was drawn from all 200 and cannot be told from the 160 here.
OPENECG = "openecg boundary (trained on most of LUDB)"
OPENECG_FS, OPENECG_WINDOW_S = 250, 10.0  # what its network takes
RUNTIMES = ("tflite_runtime", "ai_edge_litert", "tensorflow")  # it runs on any of them
FAILED: Counter[str] = Counter()  # leads on which a peer raised
Lead = dict[str, list[float]]  # mark → s
Finder = Callable[[np.ndarray, np.ndarray], Lead]  # (time,) mV of one lead, R peaks of all leads in samples → marks


def neurokit_lead(lead: np.ndarray, peaks: np.ndarray, method: str) -> Lead:
    """Marks of one lead by NeuroKit2, given R peaks of all leads, as it recommends: cleaned, then delineated."""
    import neurokit2 as nk  # pyright: ignore[reportMissingImports]

    clean = nk.ecg_clean(lead.astype(float), sampling_rate=int(FS))
    _, found = nk.ecg_delineate(clean, peaks, sampling_rate=int(FS), method=method)
    marks = {
        NAMES[key]: [float(v) / FS for v in values if np.isfinite(v)] for key, values in found.items() if key in NAMES
    }
    return marks | {"r_peak": (peaks / FS).tolist()}


def openecg_lead(lead: np.ndarray, peaks: np.ndarray) -> Lead:  # noqa: ARG001 (it finds its own QRS complexes)
    """Marks of one lead by openecg's network; its R is the largest deflection within each QRS it found.

    Given our R peaks instead it loses 0.5 to 1 % of its QRS marks, those of leads whose QRS lies beside the R peak.
    """
    from scipy.signal import resample_poly

    lead = lead.astype(float)
    slow = resample_poly(lead, OPENECG_FS, int(FS))
    deflection = np.abs(lead - np.median(lead))
    marks: Lead = {"r_peak": []}
    for n, window in enumerate(_network().predict(slow)):
        for wave in window:
            # Both ends are samples of the wave.
            on, off = (n * OPENECG_WINDOW_S + end / OPENECG_FS for end in (wave.start, wave.end))
            marks.setdefault(f"{wave.name.lower()}_on", []).append(on)
            marks.setdefault(f"{wave.name.lower()}_off", []).append(off)
            if wave.name == "QRS":
                first = round(on * FS)
                inside = deflection[first : round(off * FS) + 1]
                marks["r_peak"] += [(first + int(inside.argmax())) / FS] if inside.size else []
    return marks


@cache
def _network() -> Any:
    from openecg.deploy import Inference  # pyright: ignore[reportMissingImports]

    return Inference(num_threads=1)


def finders() -> dict[str, Finder]:
    """One lead at a time, the peers that can be imported; the others are named and left out."""
    found: dict[str, Finder] = {}
    if _installed("neurokit2"):
        found |= {f"NeuroKit2 {method}": partial(neurokit_lead, method=method) for method in NEUROKIT}
    if _installed("openecg"):
        if any(importlib.util.find_spec(name) for name in RUNTIMES):
            found[OPENECG] = openecg_lead
        else:
            print(f"openecg needs one of {', '.join(RUNTIMES)}, none is installed: its rows are left out")
    return found


def over_leads(name: str, find: Finder) -> Callable[[np.ndarray, np.ndarray], Leads]:
    """``find`` on every lead, and the medians over leads on which enough of them agree."""

    def attempt(row: np.ndarray, peaks: np.ndarray) -> Lead:
        """A peer that raises has found nothing but the R peaks it was given, which is counted."""
        try:
            return find(row, peaks)
        except Exception as error:  # noqa: BLE001
            FAILED[f"{name} {type(error).__name__}"] += 1
            return {"r_peak": (peaks / FS).tolist()}

    def run(signal: np.ndarray, peaks: np.ndarray) -> Leads:
        leads = {lead: attempt(row, peaks) for lead, row in zip(LEADS, signal, strict=True)}
        return leads | {"global": score_marks.global_from_leads(leads, AGREEING_LEADS)}

    return run
