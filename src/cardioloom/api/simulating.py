"""`simulate`: a cohort folder of simulated patients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cardioloom import __version__
from cardioloom.errors import UsageError

if TYPE_CHECKING:
    from cardioloom.simulator.heart import Heart
    from cardioloom.store import Built, Entry, Layout

Progress = Callable[[int, int], None]
PARTS = ("ecg", "cine", "echo", "text", "labels")
CINE_FRAMES, CINE_SIZE = 50, 84
ECHO_VIDEOS, ECHO_FRAMES, ECHO_SIZE = 2, 32, 112
VIEWS = ("sax", "lax_4ch")
DEVICES = ("pacemaker_lead", "mitral_clip", "aortic_prosthesis")
MEASURES = (
    *("lv_edv_ml", "lv_esv_ml", "lv_ef", "lv_mass_g", "rv_edv_ml", "rv_esv_ml", "rv_ef", "la_volume_ml"),
    *("lv_length_mm", "stroke_volume_ml", "cardiac_output_l_min", "height_cm", "weight_kg", "bsa_m2"),
)
OF_THE_DAY = (
    "nt_probnp_pg_ml",
    "troponin_ng_l",
    "infarct_type",
    "gls_percent",
)  # the other outcomes run from the first
MAX_PATIENTS = 1_000_000_000
STUDIES = ("first", "all")
FIRST_DAY = date(2000, 1, 1)  # of every simulated patient
SHARD_ROWS = 64  # of all modalities together some 150 MB
# Lowest and highest value that a label can have; the others are only asked to be numbers.
RANGES = {
    "lv_ef": (0.0, 1.0),
    "rv_ef": (0.0, 1.0),
    "pvc_burden": (0.0, 1.0),
    "pac_burden": (0.0, 1.0),
    "scar_extent": (0.0, 1.0),
    "scar_transmurality": (0.0, 1.0),
    "av_block": (0.0, 3.0),
    "lv_edv_ml": (20.0, 800.0),
    "lv_esv_ml": (1.0, 700.0),
    "rv_edv_ml": (20.0, 800.0),
    "rv_esv_ml": (1.0, 700.0),
    "lv_mass_g": (20.0, 600.0),
    "heart_rate_bpm": (20.0, 300.0),
    "qrs_axis_deg": (-180.0, 180.0),
}


def simulate(
    out: Path,
    /,
    *,
    patients: int,
    seed: int = 0,
    only: str | None = None,
    population: str = "general",
    studies: Literal["first", "all"] = "first",
    workers: int | None = None,
) -> Built:
    """Build a cohort of simulated patients: ECG, cine, echo, report text and outcomes of one heart each.

    The same seed gives the same patients, however many there are and on however many processes. Run again to go on
    after an interruption.

    Args:
        out: the cohort folder to write.
        patients: how many.
        seed: of the cohort.
        only: of ecg, cine, echo, text, labels, comma between them; all if not given. Labels are always there.
        population: general (a community, at most 2 % diseased) or hospital (a mixture of diseases).
        studies: the first of each patient, or all of five years.
        workers: processes; as many as there are cores if not given.

    Returns:
        the folder with its facts.

    Raises:
        UsageError: if a value cannot be, or the folder is another's.
        WriteError: if the disk is full or refuses; the same call goes on.
        MissingExtraError: if pyarrow or filelock is not installed.
    """
    from cardioloom.api.cohorts import raise_failed

    options = {"seed": seed, "only": only, "population": population, "studies": studies, "workers": workers}
    built = build_simulated(out, patients=patients, **options)
    raise_failed(built)
    return built


def build_simulated(
    out: Path,
    *,
    patients: int,
    seed: int = 0,
    only: str | None = None,
    population: str = "general",
    studies: str = "first",
    workers: int | None = None,
    progress: Progress | None = None,
) -> Built:
    """`simulate` with a progress callback (done, all); what failed is in the result and raises nothing."""
    from cardioloom.simulator.population import POPULATIONS
    from cardioloom.simulator.streams import GENERATOR
    from cardioloom.store import Plan
    from cardioloom.store.build import build

    if patients < 1:
        raise UsageError(f"--patients must be at least 1, got {patients}")
    if patients > MAX_PATIENTS:
        raise UsageError(f"--patients must be at most {MAX_PATIENTS}, got {patients}: simulate several cohorts")
    if population not in POPULATIONS:
        raise UsageError(f"the population must be one of {', '.join(POPULATIONS)}, got {population!r}")
    if studies not in STUDIES:
        raise UsageError(f"--studies must be one of {', '.join(STUDIES)}, got {studies!r}")
    parts = _parts(only)
    make = partial(entries, seed=seed, population=population, parts=parts, studies=studies)
    made_by = {"generator": GENERATOR, "population": population, "seed": seed, "studies": studies, "parts": list(parts)}
    plan = Plan(
        tasks=range(patients),
        make=make,
        layout=layout_of(parts),
        job=made_by,
        facts={
            "source": "simulated patients",
            "statement": "simulated patients: no person's data, not for clinical conclusions",
            "licence": "as cardioloom itself",
            "cardioloom": __version__,
            **made_by,
        },
        labels=_kinds(seed, population),
        balanced=("diagnosis", "rhythm", "conduction"),
        seed=seed,
    )
    return build(Path(out), plan, workers=workers, progress=progress)


def _parts(only: str | None) -> tuple[str, ...]:
    chosen = set(PARTS if only is None else (word.strip() for word in only.split(",")))
    if unknown := sorted(chosen - set(PARTS)):
        raise UsageError(f"--only takes {', '.join(PARTS)}, got {', '.join(unknown)}")
    return tuple(part for part in PARTS if part in chosen)


def layout_of(parts: tuple[str, ...]) -> Layout:
    """The layout of a simulated cohort."""
    from cardioloom.store import Layout, Modality, ecg_modality

    modalities = [ecg_modality(500.0, 10.0)] if "ecg" in parts else []
    if "cine" in parts:
        size = (CINE_FRAMES, CINE_SIZE, CINE_SIZE)
        modalities += [Modality(f"cine_{view}", size, "uint8") for view in VIEWS]
    if "echo" in parts:
        modalities.append(Modality("echo", (ECHO_VIDEOS, ECHO_FRAMES, ECHO_SIZE, ECHO_SIZE), "uint8"))
    own = {modality.name: modality for modality in modalities}
    return Layout(own, shard_rows=SHARD_ROWS, has_text="text" in parts)


def entries(patient: int, *, seed: int, population: str, parts: tuple[str, ...], studies: str) -> Iterable[Entry]:
    """The studies of one simulated patient as entries of a cohort."""
    from cardioloom.simulator.course import Date, course
    from cardioloom.simulator.population import draw
    from cardioloom.store import Entry

    first = draw(seed, patient, population)
    dates = course(first) if studies == "all" else (Date(0.0, first),)
    name = f"sim{seed}-{patient:06d}"
    for number, at in enumerate(dates):
        heart = at.heart
        yield Entry(
            study_id=f"{name}-{number}",
            patient_id=name,
            records=_records(heart, number, parts),
            age=heart.age_years,
            sex=heart.sex,
            date=(FIRST_DAY + timedelta(days=round(at.years * 365.25))).isoformat(),
            labels=labels_of(heart, first, number),
            texts=_texts(heart, number) if "text" in parts else {},
        )


def _records(heart: Heart, study: int, parts: tuple[str, ...]) -> dict[str, Any]:
    records: dict[str, Any] = {}
    if "ecg" in parts:
        from cardioloom.simulator.electrocardiogram import ecg

        records["ecg"] = ecg(heart, recording=study)
    if "cine" in parts:
        from cardioloom.simulator.cine import cine

        records |= {
            f"cine_{view}": cine(heart, view=view, n_frames=CINE_FRAMES, size=CINE_SIZE, recording=study)
            for view in VIEWS
        }
    if "echo" in parts:
        from cardioloom.simulator.echo import echo

        videos = range(ECHO_VIDEOS * study, ECHO_VIDEOS * (study + 1))
        records["echo"] = tuple(echo(heart, video=video, n_frames=ECHO_FRAMES, size=ECHO_SIZE) for video in videos)
    return records


def _texts(heart: Heart, study: int) -> dict[str, str]:
    from cardioloom.simulator.reporttext import report_text

    return {
        "report": report_text(heart, long=False, study=study),
        "report_long": report_text(heart, long=True, study=study),
    }


def labels_of(heart: Heart, first: Heart, study: int = 0) -> dict[str, float | str | None]:
    """What is known of a simulated heart, as columns of a cohort: truth, not what a clinician would have measured.

    Args:
        heart: at the date of the study.
        first: of the same patient at the first study, which decides on the outcomes; their times run from this study.
        study: its number; ``pvc_count`` and ``pac_count`` are of that study's ECG.
    """
    values = _facts(heart, first, study)
    return {name: value if value is None or isinstance(value, str) else float(value) for name, value in values.items()}


def _facts(heart: Heart, first: Heart, study: int = 0) -> dict[str, Any]:
    from cardioloom.simulator.electrocardiogram import premature_beats
    from cardioloom.simulator.outcomes import outcomes

    facts: dict[str, Any] = {name: getattr(heart, name) for name in MEASURES}
    facts |= {"diagnosis": heart.diagnosis, "site": heart.site, "years_since_first": heart.age_years - first.age_years}
    facts |= dict(_flat(heart.electrics))
    scar, ischaemia = heart.scar, heart.ischaemia
    facts |= {"scar_site": scar.site if scar else "none", "scar_extent": scar.extent if scar else 0.0}
    facts |= {"scar_transmurality": scar.transmurality if scar else 0.0}
    facts |= {"ischaemia_site": ischaemia.site if ischaemia else "none"}
    facts |= {"ischaemia_severity": ischaemia.severity if ischaemia else 0.0}
    facts |= {"ischaemia_occluded": bool(ischaemia and ischaemia.occluded)}
    facts |= {"ischaemia_culprit": ischaemia.culprit if ischaemia else "none"}
    facts |= {f"{kind}_count": n for kind, n in premature_beats(heart, recording=study).items()}
    facts |= {device: device in heart.devices for device in DEVICES}
    fate = outcomes(first).later(heart.age_years - first.age_years)
    today = fate if heart is first else outcomes(heart)
    return facts | dict(_flat(replace(fate, **{name: getattr(today, name) for name in OF_THE_DAY})))


def _flat(value: Any, name: str = "") -> Iterable[tuple[str, Any]]:
    """The plain values within a dataclass, each with its field's name; those of a tuple with a number."""
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from _flat(getattr(value, field.name), field.name)
    elif isinstance(value, tuple):
        for number, item in enumerate(value):
            yield from _flat(item, f"{name}_{number}")
    else:
        yield name, value


def _kinds(seed: int, population: str) -> dict[str, dict[str, Any]]:
    """Each label with its kind and range; the same for every patient, so one tells."""
    from cardioloom.simulator.population import draw

    heart = draw(seed, 0, population)
    kinds: dict[str, dict[str, Any]] = {}
    for name, value in _facts(heart, heart).items():
        if isinstance(value, str):
            kinds[name] = {"kind": "text"}
        elif isinstance(value, bool):
            kinds[name] = {"kind": "binary", "low": 0.0, "high": 1.0}
        else:
            low, high = RANGES.get(name, (None, None))
            kinds[name] = {"kind": "number"} | ({} if low is None else {"low": low, "high": high})
    return kinds
