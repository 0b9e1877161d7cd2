"""`cohort`: recordings, cines and labels → a cohort folder; and is a cohort folder what it says?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cardioloom import __version__
from cardioloom.errors import ReadError, SomeFailedError, UsageError

if TYPE_CHECKING:
    from cardioloom.datasets import Listed, Wanted
    from cardioloom.store import Built, Entry, Modality
    from cardioloom.store.check import Checked

Progress = Callable[[int, int], None]
SHARES = "train=0.7,validation=0.1,test=0.2"


def cohort(
    action: Literal["build", "check"],
    source: Path,
    out: Path | None = None,
    /,
    *,
    dataset: str | None = None,
    labels: str | None = None,
    leads: str | None = None,
    fs: float = 500.0,
    seconds: float = 10.0,
    fit: Literal["resample", "refuse"] = "resample",
    shares: str = SHARES,
    split_by: Literal["stratified", "hash"] = "stratified",
    keep: Path | None = None,
    seed: int = 0,
    shard_rows: int = 256,
    packed: bool = False,
    workers: int | None = None,
    html: Path | None = None,
) -> Built | Checked:
    """Build a cohort folder from recordings and labels, or check one.

    Args:
        action: build, or check: leaks, sums, labels, units.
        source: to build: a CSV of files and labels, or a dataset's folder; to check: a cohort folder.
        out: the cohort folder to write.
        dataset: what the source is: table (a CSV with the columns file and patient_id, and cine where there are some),
            ten_sources; by itself, table for a file.
        labels: columns of a table that are labels, comma between them; all that have no other meaning if not given.
        leads: the leads to keep, comma between them; the standard twelve if not given.
        fs: sampling rate of the cohort in Hz.
        seconds: length of every ECG.
        fit: what becomes of other rates and lengths: resample (longer ones lose their end, shorter ones are filled up
            as not recorded, cines are interpolated to 50 frames), or refuse.
        shares: of the splits, for patients whose split the source does not decide.
        split_by: stratified (balanced over sex, age and labels) or hash (of the patient alone).
        keep: an earlier cohort folder whose patients keep their split.
        seed: for the splits.
        shard_rows: studies in a file.
        packed: a third of the bytes, without loss; reading takes some twenty times as long.
        workers: processes; as many as there are cores if not given.
        html: to check: also write a page of the cohort, its tables and some of its patients; one file that needs no
            network.

    Returns:
        the folder with its facts; or the problems that were found.

    Raises:
        UsageError: if the call, the table or the folder cannot be.
        ReadError: if the table cannot be read.
        SomeFailedError: if some recordings failed; the cohort of the others is written, failed.csv lists them.
        WriteError: if the disk is full or refuses; the same call goes on.
        MissingExtraError: if pyarrow or filelock is not installed.
    """
    if action == "check":
        if out is not None:
            raise UsageError(f"check takes one cohort folder, got {out} as well: leave it out")
        return _checked(source, html)
    if action != "build":
        raise UsageError(f"the action must be build or check, got {action!r}")
    if html is not None:
        raise UsageError("--html belongs to cohort check, build writes no page: leave it out and check the cohort then")
    options = {"dataset": dataset, "labels": labels, "leads": leads, "fs": fs, "seconds": seconds, "fit": fit}
    options |= {"shares": shares, "split_by": split_by, "keep": keep, "seed": seed, "shard_rows": shard_rows}
    options |= {"packed": packed}
    built = build_cohort(source, out, workers=workers, **options)
    raise_failed(built)
    return built


def _checked(folder: Path, html: Path | None) -> Checked:
    from cardioloom.store.check import check

    if html is None:
        return check(folder)
    from cardioloom.api.cohort_page import refuse_place, write_page

    refuse_place(html, Path(folder))  # before a check that may take minutes
    found = check(folder)
    write_page(found, html)
    return found


def build_cohort(
    source: Path,
    out: Path | None,
    *,
    dataset: str | None = None,
    labels: str | None = None,
    leads: str | None = None,
    fs: float = 500.0,
    seconds: float = 10.0,
    fit: str = "resample",
    shares: str = SHARES,
    split_by: str = "stratified",
    keep: Path | None = None,
    seed: int = 0,
    shard_rows: int = 256,
    packed: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Built:
    """`cohort` build with a progress callback (done, all); what failed is in the result and raises nothing."""
    if out is None:
        raise UsageError("too few places: give the source and the cohort folder to write")
    from cardioloom.store import Folder, Layout, Plan
    from cardioloom.store.build import build
    from cardioloom.store.finish import refuse_splits

    found = _listed(Path(source), dataset, labels)
    names = _lead_names(leads)
    layout = Layout(_modalities(found, fs, seconds, names, packed), fs, names, fit, shard_rows)
    kept = {} if keep is None else _splits(Folder.at(keep).columns)
    wanted_shares = parse_shares(shares)
    own = {name: [getattr(one, name) for one in found.wanted] for name in ("patient_id", "split")}
    refuse_splits(own, wanted_shares, split_by, kept)
    job: dict[str, Any] = {"source": found.sha256, "shares": wanted_shares, "split_by": split_by, "seed": seed}
    plan = Plan(
        tasks=found.wanted,
        make=entries,
        layout=layout,
        job=job | {"keep": sorted(kept.items())},
        facts={**found.facts, "cardioloom": __version__},
        labels=found.labels,
        balanced=tuple(name for name, known in found.labels.items() if known["kind"] in ("binary", "text")),
        shares=wanted_shares,
        split_rule=split_by,
        kept=kept,
        seed=seed,
    )
    return build(Path(out), plan, workers=workers, progress=progress)


def _modalities(found: Listed, fs: float, seconds: float, leads: tuple[str, ...], packed: bool) -> dict[str, Modality]:
    """ECGs, and cines as PTACL takes them where the source has some."""
    from cardioloom.prepare.cine import ptacl
    from cardioloom.store.layout import cine_modality, ecg_modality

    own = [ecg_modality(fs, seconds, leads, is_packed=packed)]
    own += [cine_modality(ptacl())] if any(one.cine is not None for one in found.wanted) else []
    return {modality.name: modality for modality in own}


def raise_failed(built: Built) -> None:
    """Raise SomeFailedError if something did not come into a cohort."""
    if built.failed:
        from cardioloom.store import Folder

        done = Folder.at(built.folder).columns["study_id"].tolist()
        raise SomeFailedError(done, [(name, ReadError(reason)) for name, reason in built.failed])


def entries(wanted: Wanted) -> Iterable[Entry]:
    """One recording, with its cine, as an entry of a cohort; age and sex from the file where the dataset does not say.

    Raises:
        ReadError: if one of them cannot be read.
    """
    from cardioloom.prepare.cine import ptacl
    from cardioloom.store import Entry
    from cardioloom.store.layout import cine_modality

    ecg = wanted.ecg()
    cine = {} if wanted.cine is None else {cine_modality(ptacl()).name: wanted.cine.read(ptacl().view)}
    age, sex = wanted.age, wanted.sex
    if age is None and isinstance(told := ecg.patient.get("age"), (int, float)):
        age = float(told)
    if sex is None and ecg.patient.get("sex") in ("M", "F"):
        sex = str(ecg.patient["sex"])
    yield Entry(
        study_id=wanted.study_id,
        patient_id=wanted.patient_id,
        records={"ecg": ecg, **cine},
        age=age,
        sex=sex,
        date=wanted.date,
        split=wanted.split,
        file=wanted.name,
        labels=wanted.labels,
    )


def _listed(source: Path, dataset: str | None, labels: str | None) -> Listed:
    from importlib import import_module

    from cardioloom.datasets import DATASETS

    if dataset is None:
        if source.is_dir():
            raise UsageError(f"{source} is a folder: say with --dataset what it is ({', '.join(DATASETS)})")
        dataset = "table"
    if dataset not in DATASETS:
        raise UsageError(f"the dataset must be one of {', '.join(DATASETS)}, got {dataset!r}")
    if labels is not None and dataset != "table":
        raise UsageError(f"--labels belongs to a table, {dataset} has its own: leave it out")
    module = import_module(DATASETS[dataset])
    return module.listed(source, _words(labels)) if labels is not None else module.listed(source)


def _lead_names(leads: str | None) -> tuple[str, ...]:
    from cardioloom.records import STANDARD_LEADS, standard_lead

    if leads is None:
        return STANDARD_LEADS
    names = tuple(standard_lead(name) or name for name in _words(leads))
    if not names:
        raise UsageError(f"no lead is named, got --leads {leads!r}: name some, or leave it out for the standard twelve")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"the lead {twice[0]} is named twice, got --leads {leads!r}: name each once")
    return names


def parse_shares(text: str) -> dict[str, float]:
    """ "train=0.8,test=0.2" as a mapping.

    Raises:
        UsageError: if it cannot be read so.
    """
    shares: dict[str, float] = {}
    for item in _words(text):
        name, _, share = item.partition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError as error:
            raise UsageError(f"--shares must be written like {SHARES}, got {text!r}") from error
    return shares


def _words(text: str) -> Sequence[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _splits(columns: dict[str, Any]) -> dict[str, str]:
    pairs = zip(columns["patient_id"], columns["split"], strict=True)
    return {str(patient): split for patient, split in pairs if split is not None}
