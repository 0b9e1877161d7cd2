"""Phases that find each other: the figure, the distances, and what speaks in them, the pictures or their places."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ptacl_tables import NOT_RUN, NOTHING, SEEDS, Found, cell, distance, judged, number, table

from cardioloom.prepare.beats import r_peaks
from cardioloom.report.phase_figure import Panel, draw
from cardioloom.simulator import cine, ecg
from cardioloom.simulator import draw as draw_heart

FIGURE = "ptacl_phases.svg"
PANELS = ("global", "ptacl", "ptacl_rolled", "global_retrieval", "ptacl_retrieval", "ptacl_rolled_retrieval")
METHODS = ("global", "ptacl", "ptacl_rolled", "cosine", "no_unimodal", *PANELS[3:])
HEART, LEAD, SAMPLES = 5, "II", 200  # of the figure: a patient of the cohort, a lead, samples of the mean beat
CONTROLS = ("rolled", "still", "another_patient")
Floats = NDArray[np.float64]


def mean_beat(signal: Floats, fs: float) -> Floats:
    """(sample,) mean of the whole beats of one lead, each stretched from R peak to R peak to the same length.

    Args:
        signal: (lead, time); the lead is the first.
        fs: Hz.
    """
    peaks, time = r_peaks(signal, fs), np.arange(signal.shape[1])
    beats = [np.interp(np.linspace(first, last, SAMPLES), time, signal[0]) for first, last in pairwise(peaks)]
    return np.mean(beats, axis=0)


def phase_frames(frames: NDArray[np.number], n_phases: int, each: int) -> Floats:
    """(phase, row, col): each the mean of the frames that a time token of the cine encoder is made of.

    Args:
        frames: (frame, row, col) of a whole beat.
        n_phases: time tokens.
        each: frames of one of them.
    """
    n = n_phases * each
    taken = frames[np.round(np.arange(n) * len(frames) / n).astype(int) % len(frames)]
    return taken.reshape(n_phases, each, *frames.shape[1:]).mean(axis=1)


def figure(found: Found, path: Path) -> bool:
    """Whether there was a run to draw."""
    there = {name: phases for name in PANELS if (phases := _phases_of(found, name))}
    if not there:
        path.unlink(missing_ok=True)  # of earlier results
        return False
    from cardioloom.recipes.ptacl_sizes import PRESETS

    panels = [Panel(_title(name), each["similarity"], each["distance"]) for name, each in there.items()]
    heart = draw_heart(seed=found["cohort"]["seed"], patient=HEART, population=found["cohort"]["population"])
    record, n_phases = ecg(heart), len(np.asarray(panels[0].similarity))
    lead = [record.leads.index(LEAD)]
    others = [n for n in range(len(record.leads)) if n not in lead]
    beat = mean_beat(np.asarray(record.signal, np.float64)[lead + others], record.fs)
    each = PRESETS[found["preset"]].cine.patch[0]
    pictures = phase_frames(cine(heart).frames[:, 0], n_phases, each)
    studies = max(phases["distance"]["n_records"] for phases in there.values())
    made_on = f"{studies} simulated patients ({found['cohort']['generator']}); beat and frames: one such heart"
    draw(panels, beat, pictures, path, beat_name=f"mean beat, {LEAD}", made_on=made_on)
    return True


def _phases_of(found: Found, method: str) -> Found | None:
    """What the first seed's run says of phases."""
    run = found["runs"].get(f"{method}-{SEEDS[0]}")
    return run["judged"].get("phases") if run else None


def _title(method: str) -> str:
    """Of a panel."""
    from cardioloom.recipes.ptacl_settings import GOALS

    goal = "retrieval" if method.endswith("_retrieval") else "regression"
    name = method.removesuffix("_retrieval")
    said = {
        "global": f"global only, {goal}",
        "ptacl": f"PTACL, {goal}",
        "ptacl_rolled": f"cines begin anywhere, {goal}",
    }
    return said[name] + ("" if name == "global" else f" (σ = {GOALS[goal].sigma:g})")


def name_of(method: str) -> str:
    """Of a row."""
    name = method.removesuffix("_retrieval").replace("_rolled", ", cines begin anywhere").replace("_", " ")
    return name + (", retrieval" if method.endswith("_retrieval") else "")


def section(found: Found, *, has_figure: bool) -> list[str]:
    """Everything under the heading."""
    there = [phases for method in METHODS if (phases := _phases_of(found, method))]
    parts = [
        _distances_text(there[0]["distance"] if there else None),
        "Rows called *cines begin anywhere* (*rolled* in the figure) are ours, not the paper's: in training each cine"
        " begins at a random frame of its beat, and each phase is matched where it then lies, so that the place of a"
        " token does not tell it; they are judged as the others, from the R peak on.",
    ]
    if has_figure:
        parts.append(f"![Similarity of ECG phases and cine phases, simulated patients]({FIGURE})")
    parts.append(distances_table(found))
    parts += ["### What speaks: the pictures, or their places", *controls(found)]
    return [*parts, *beats(found)]


def _distances_text(said: Found | None) -> str:
    text = (
        "Each phase of a simulated patient's ECG, and the phase of the same patient's cine that is most similar to it:"
    )
    if said is None:
        return f"{text} {NOT_RUN}."
    end = (said["phases"] - 1) / 2  # of the first or the last phase from all of them, in the mean
    return (
        f"{text} mean distance in phases of {said['phases']}, with a {100 * said['level']:g} % interval by bootstrap of"
        f" patients (seed {SEEDS[0]}). *Roll*: by how many phases the cine is displaced as a whole. *Chance*: phases"
        " drawn at random. *Constant*: the best answer that is the same phase always, one in the middle of the beat;"
        f" the first or the last phase, always, is {end:g} away."
    )


def distances_table(found: Found) -> str:
    """A row a run: how far its phases lie from their own."""
    rows = []
    for method in METHODS:
        if f"{method}-{SEEDS[0]}" not in found["runs"]:
            rows.append([name_of(method), *[NOT_RUN] * 7])
        elif (phases := _phases_of(found, method)) is None:
            rows.append([name_of(method), *[NOTHING] * 7])
        else:
            rows.append([name_of(method), *_distances(phases), cell(judged(found, method), distance, 2)])
    head = ["run", "distance", "on the diagonal", "roll", "constant", "chance", "patients", "mean over seeds"]
    return table(head, rows)


def _distances(phases: Found) -> list[str]:
    said = phases["distance"]
    text, on = number(said["value"], 2), said["on_diagonal"]
    if "interval" in said:
        text += f" ({' to '.join(number(end, 2) for end in said['interval'])})"
    fixed = [number(said[name], 2) for name in ("constant", "chance")]
    used = f"{said['n']} of {said['n_records']}"
    return [text, number(on["value"]), number(phases["roll"], 0), *fixed, used]


def controls(found: Found) -> list[str]:
    """The text and the table of the cines that were changed after the training."""
    there = {method: phases for method in METHODS if (phases := _phases_of(found, method)) and "controls" in phases}
    if not there:
        return [f"Cines that are rolled, that stand still, or are another patient's: {NOT_RUN}."]
    by = {phases["controls"]["rolled_by"] for phases in there.values()}
    tokens = " or ".join(f"{n}" for n in sorted(by))
    text = f"""Every cine of these simulated patients begins at the R peak, so that a net could match phases by the
place of a token alone, without a look at the heart in it. So the same nets are asked once more, with cines that were
changed after the training. *Rolled*: each cine begins {tokens} time tokens later; if the pictures speak, the diagonal
moves by {tokens} (a roll of 0 becomes −{tokens}: what is seen comes so much earlier), and if only the token's place
speaks, nothing changes. *Still*: each frame is the mean of all; if the pictures speak, no phase can be told and the
distance is that of chance or of a constant answer, and if only the place speaks, nothing changes. *Another patient's*:
a cine of another heart, from its R peak on; where it does as well as the own one, what is matched is the phase of
hearts as such. The verdict is by the roll of the rolled cines and says nothing of how near the phases lie: for that see
the distances."""
    rows = []
    for method, phases in there.items():
        said = phases["controls"]
        own = f"{number(phases['distance']['value'], 2)} ({number(phases['roll'], 0)})"
        cells = [f"{number(said[name]['distance'], 2)} ({number(said[name]['roll'], 0)})" for name in CONTROLS]
        rows.append([name_of(method), own, *cells, speaks(phases)])
    names = [f"rolled by {tokens}", "still", "another patient's"]
    return [text, table(["run: distance (roll)", "own cine", *names, "what speaks"], rows)]


def speaks(phases: Found) -> str:
    """What the roll of the rolled cines says."""
    distance, said = phases["distance"], phases["controls"]
    n, roll = distance["phases"], said["rolled"]["roll"]
    least = -((n - 1) // 2)
    if roll == (phases["roll"] - said["rolled_by"] - least) % n + least:
        return "pictures"
    if distance["value"] >= distance["constant"]:
        return "nothing: no nearer than a constant answer"
    return "places" if roll == phases["roll"] else "neither"


def beats(found: Found) -> list[str]:
    """How many ECGs have no phases."""
    runs = (found["runs"].get(f"{name}-{SEEDS[0]}") for name in PANELS)
    # A run that took its pairs from another has counted none in training.
    run = max((run for run in runs if run and run["judged"].get("beats")), key=_has_training, default=None)
    if run is None:
        return [f"ECGs without phases: {NOT_RUN}."]
    said = []
    for where, each in (("training", run["beats_of_training"]), ("test", run["judged"]["beats"])):
        if each:
            said.append(
                f"of {each['studies']} of the {where} split {each['irregular']} are too irregular for a mean beat and"
                f" {each['too_few_beats']} have fewer than two whole beats in a crop"
            )
    text = "; ".join(said)
    return [f"ECGs of simulated patients without phases, which count in the global loss alone: {text}."]


def _has_training(run: Found) -> bool:
    return bool(run["beats_of_training"])
