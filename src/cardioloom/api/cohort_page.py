"""What a page of a cohort shows, gathered from its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cardioloom.errors import CardioloomError, UsageError
from cardioloom.report import words
from cardioloom.report.cohort_page import PICTURES, CohortPage, PatientView, Picture, TableGroup, render
from cardioloom.store.entry import hash_column

if TYPE_CHECKING:
    from cardioloom.store import Folder
    from cardioloom.store.check import Checked

MAX_PATIENTS = 12
MAX_LABELS = 6  # of each kind
BLOCK = 8  # pixels; speckle does not outlast the mean over so many
VENTRICLES = 0.4  # of the height of an apical view, from the apex, are ventricles whatever the depth
# Of the facts of a cohort those that say by themselves what they are.
FACTS = (
    *("source", "generator", "population", "seed", "studies", "parts", "licence", "cardioloom", "changes", "splits"),
    "fingerprint",
)


def write_page(checked: Checked, path: Path) -> None:
    """Write the page of a cohort that was checked.

    Args:
        checked: what `store.check.check` found.
        path: of the page.

    Raises:
        UsageError: if the path is - or lies in the cohort.
        WriteError: if the place cannot be written to.
    """
    from cardioloom.api.output import write_text

    refuse_place(path, checked.folder.path)
    write_text(render(page_of(checked)), path)


def refuse_place(path: Path, folder: Path) -> None:
    """Raise UsageError for a place that no page can take: standard output, or one in the cohort's folder."""
    if path == Path("-"):
        raise UsageError("--html takes a file name, got -: name the page to write")
    if path.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"--html names {path} in the cohort's own folder: put the page beside it")


def page_of(checked: Checked) -> CohortPage:
    """The page's content; what cannot be shown of a damaged cohort is a sentence on it."""
    folder = checked.folder
    facts = folder.facts
    columns, table, counts, reason = _tables(folder)
    patients = np.unique(folder.columns["patient_id"].astype(str), return_index=True)[1]
    first = np.sort(patients)
    chosen = first[np.unique(np.linspace(0, len(first) - 1, min(MAX_PATIENTS, len(first))).round().astype(int))]
    return CohortPage(
        name=folder.path.resolve().name,
        statement=str(facts.get("statement", "")),
        facts=tuple(_facts(folder)),
        problems=tuple((problem.code, problem.text) for problem in checked.problems),
        notes=tuple(checked.notes),
        columns=columns,
        table=table,
        counts=counts,
        not_counted=reason,
        n_patients=len(first),
        patients=tuple(_patient(folder, _row(folder, at)) for at in chosen.tolist()),
    )


def _facts(folder: Folder) -> list[tuple[str, str]]:
    counts, layout = folder.facts["counts"], folder.layout
    changed = ", ".join(f"{what} in {number:,}" for what, number in counts.get("changes", {}).items())
    known = {**folder.facts, "changes": changed, "splits": _splits(folder.facts.get("splits"))}
    said = [("Patients", f"{counts['patients']:,}"), ("Studies", f"{counts['studies']:,}")]
    said += [("Failed to read", f"{counts['failed']:,}")] if counts.get("failed") else []
    for name, modality in layout.modalities.items():
        sizes = " × ".join(map(str, modality.shape))
        if name == "ecg":
            seconds = words.duration(modality.shape[1] / layout.fs)
            said.append(("Each ECG", f"{modality.shape[0]} leads, {layout.fs:g} Hz, {seconds}"))
        else:
            said.append((PICTURES.get(name, name), f"{sizes}, {modality.dtype}"))
    names = {"studies": "Studies of a patient", "cardioloom": "Built by cardioloom"}
    rest = [(names.get(name, name.capitalize()), _words(known[name])) for name in FACTS if known.get(name) is not None]
    rest = [(term, said_of_it) for term, said_of_it in rest if said_of_it]
    return said[:2] + rest[:1] + said[2:] + rest[1:]


def _splits(splits: Mapping[str, Any] | None) -> str:
    """How the splits were made, in words."""
    if not splits:
        return ""
    shares = ", ".join(f"{name} {100 * share:.3g} %" for name, share in splits["shares"].items())
    balanced = f" over {', '.join(splits['balanced'])}" if splits.get("balanced") else ""
    return f"by patient: {shares}; {splits['rule']}{balanced}; seed {splits['seed']}"


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _tables(folder: Folder) -> tuple[tuple[str, ...], tuple[TableGroup, ...], tuple[TableGroup, ...], str]:
    """Columns, Table 1, the counts of labels; or why there are none."""
    try:
        cohort = folder.cohort()
    except CardioloomError as error:
        return (), (), (), str(error)
    columns = ("all", *cohort.splits)
    kinds = {name: known["kind"] for name, known in folder.facts["labels"].items()}
    groups: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for line in cohort.table_1():
        name, value = _owner(line["variable"], kinds)
        groups.setdefault(name, []).append((value, tuple(line[column] for column in columns)))
    made = [TableGroup(name, tuple(rows)) for name, rows in groups.items()]
    is_counted = [kinds.get(group.name, "number") in ("binary", "text") for group in made]
    parts = list(zip(made, is_counted, strict=True))
    return columns, tuple(g for g, counted in parts if not counted), tuple(g for g, counted in parts if counted), ""


def _owner(variable: str, labels: Mapping[str, object]) -> tuple[str, str]:
    """``"rhythm = sinus"`` → ``("rhythm", "sinus")``, ``"age missing"`` → ``("age", "missing")``."""
    for name in sorted((*labels, "age", "sex"), key=len, reverse=True):
        if variable == name:
            return name, ""
        if variable.startswith(f"{name} = "):
            return name, variable.removeprefix(f"{name} = ")
        if variable == f"{name} missing":
            return name, "missing"
    return variable, ""


def _row(folder: Folder, at: int) -> dict[str, Any]:
    """Name → value of one study, also of a table that is no sound cohort; a missing value is None."""
    row = {name: values[at] for name, values in folder.columns.items()}
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
    return {name: None if value != value else value for name, value in plain.items()}


def _patient(folder: Folder, row: Mapping[str, Any]) -> PatientView:
    """One study; what is missing or damaged is left out, with a sentence."""
    lacking: list[str] = []

    def tried(get: Callable[[], Any]) -> Any:
        try:
            return get()
        except CardioloomError as error:
            lacking.append(str(error)[:1].upper() + str(error)[1:] + ".")
            return None

    modalities = folder.layout.modalities
    there = [name for name in modalities if row[hash_column(name)] is not None]
    lacking += [f"This study has no {name}." for name in modalities if name not in there]
    pictures = [tried(lambda name=name: picture(folder, row, name)) for name in there if name != "ecg"]
    return PatientView(
        study=str(row["study_id"]),
        who=tuple(_who(row)),
        ecg=tried(lambda: folder.ecg(row)) if "ecg" in there else None,
        pictures=tuple(own for own in pictures if own is not None),
        text=tried(lambda: folder.text(row)) or "",
        labels=tuple(_labels(folder, row)),
        lacking=tuple(lacking),
    )


def _who(row: Mapping[str, Any]) -> list[str]:
    age, sex, split = row.get("age"), row.get("sex"), row.get("split")
    years = f"{words.number(age, 0 if age >= 2 else 1)} years" if isinstance(age, (int, float)) else ""
    sex_word = words.SEX.get(sex, "") if isinstance(sex, str) else ""
    return [word for word in (years, sex_word, f"split: {split}" if split else "") if word]


def _labels(folder: Folder, row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Texts that say something, the first numbers of the cohort, and what is present."""
    texts, present, numbers = [], [], []
    for name, known in folder.facts["labels"].items():
        value = row.get(name)
        if isinstance(value, str):
            texts += [(name, value.replace("_", " "))] if value != "none" else []
        elif value is not None and known["kind"] == "binary":
            present += [(name, "yes" if value == 1 else words.number(value))] if value else []
        elif value is not None:
            numbers.append((name, words.number(value)))
    return [*texts[:MAX_LABELS], *numbers[:MAX_LABELS], *present[:MAX_LABELS]]


def picture(folder: Folder, row: Mapping[str, Any], modality: str) -> Picture | None:
    """End-diastole and end-systole of a study's cine or echo: the middle slice, the first video.

    Args:
        folder: of the cohort.
        row: of the study.
        modality: its frames are (time, row, col), (time, slice, row, col) of a cine, (video, time, row, col) of an
            echo; of another shape there is no picture.

    Raises:
        DamagedFileError: if the shard cannot be read.
    """
    frames = folder.stored(row, modality)[0]
    is_echo = modality.startswith("echo")
    if frames.ndim == 4:
        frames = frames[0] if is_echo else frames[:, frames.shape[1] // 2]
    if frames.ndim != 3:
        return None
    diastole, systole = echo_ends(frames) if is_echo else cine_ends(frames)
    return Picture(modality, _grey(frames)[[diastole, systole]], (diastole + 1, systole + 1))


def _grey(frames: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Bytes as they are; what has more values is windowed."""
    if frames.dtype == np.uint8:
        return frames.astype(np.uint8, copy=False)
    low, high = np.percentile(frames, (0.5, 99.5))
    return np.clip((frames - low) * (255.0 / max(high - low, 1.0)), 0, 255).astype(np.uint8)


def cine_ends(frames: NDArray[np.integer]) -> tuple[int, int]:
    """Frames at end-diastole and end-systole: the first, where cines begin, and the one that differs most from it.

    Args:
        frames: (time, row, col); the heart lies in the middle.
    """
    rows, columns = frames.shape[1:]
    middle = frames[:, rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    blocks = _block_means(middle, BLOCK // 2)
    smooth = (blocks + np.roll(blocks, 1, axis=0) + np.roll(blocks, -1, axis=0)) / 3.0
    return 0, int(np.abs(smooth - smooth[0]).mean(axis=(1, 2)).argmax())


def echo_ends(frames: NDArray[np.integer]) -> tuple[int, int]:
    """Frames at end-diastole and end-systole: the ends of the first principal component of the brightness.

    Its sign is that of the ventricles, which are darkest where they are largest. Of 120 simulated videos of the
    population hospital none had the two exchanged.

    Args:
        frames: (time, row, col), apex at the top.
    """
    blocks = _block_means(frames, BLOCK)
    around = np.concatenate([blocks[:1], blocks, blocks[-1:]])
    blocks = (around[:-2] + blocks + around[2:]) / 3.0
    moved = blocks - blocks.mean(axis=0)
    times, sizes, places = np.linalg.svd(moved.reshape(len(moved), -1), full_matrices=False)
    brightness = places[0].reshape(moved.shape[1:])[: max(1, int(VENTRICLES * moved.shape[1]))].sum()
    course = times[:, 0] * sizes[0] * (1.0 if brightness > 0 else -1.0)
    return int(course.argmin()), int(course.argmax())


def _block_means(frames: NDArray[np.integer], block: int) -> NDArray[np.float64]:
    """(time, row, col) means over squares; of what is smaller than two of them the frames themselves."""
    time, rows, columns = frames.shape
    if min(rows, columns) < 2 * block:
        return frames.astype(np.float64)
    rows, columns = rows // block * block, columns // block * block
    squares = frames[:, :rows, :columns].reshape(time, rows // block, block, columns // block, block)
    return squares.mean(axis=(2, 4))
