"""`embed`: ECGs → one Parquet file of a model's features, batch by batch, gone on with after an interruption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cardioloom import __version__
from cardioloom.api.embedding_parts import SUFFIX, Done, Parts, need_pyarrow
from cardioloom.api.embedding_run import Embedded, Run
from cardioloom.api.embedding_sources import Sources, sources
from cardioloom.api.loading import told
from cardioloom.errors import SomeFailedError, UsageError

if TYPE_CHECKING:
    from cardioloom.models import Model

MAX_BATCH = 4096


@dataclass(frozen=True)
class Embedding:
    """A call of `embed`, checked and ready to run: iterate over it to embed one ECG after the other.

    The Parquet file is there when the iteration has come to its end; what is finished when it is left earlier is kept
    in parts, and the same call goes on from them.

    Args:
        model: the model.
        sources: every file that the paths mean, or every study of the cohort, each once.
        parts: the Parquet file and its parts.
        done: what earlier runs have finished; it is not read again.
        lead: for models of one lead.
        batch: windows that are given to the net at once.
    """

    model: Model
    sources: Sources
    parts: Parts
    done: Done
    lead: str | None
    batch: int

    @property
    def files_done(self) -> int:
        """Files or studies of this call that earlier runs have finished."""
        return sum(source.file in self.done.files for source in self.sources.each)

    @property
    def files(self) -> tuple[str, ...]:
        """Files or studies of this call."""
        return tuple(source.file for source in self.sources.each)

    def __iter__(self) -> Iterator[Embedded]:
        with self.parts.held():
            run = Run(self, files_done=self.files_done)
            try:
                yield from run.items()
            finally:
                run.flush()
            self.parts.merge([*(name for name, _ in self.sources.not_found), *run.left])


def embed(
    model: str,
    *places: Path,
    fs: float | None = None,
    leads: str | None = None,
    unit: str | None = None,
    lead: str | None = None,
    split: str | None = None,
    batch: int = 32,
    device: str = "cpu",
    precision: str = "float32",
    runtime: str = "torch",
) -> Path:
    """Features of ECG files as a model sees them, as a Parquet file; run again to go on after an interruption.

    Args:
        model: name of an installed model, or a model folder.
        places: ECG files, folders or globs, or one cohort folder; the last place is the Parquet file to write.
        fs: sampling rate in Hz, for files that do not state it.
        leads: names of the channels in the file's order, comma between them, for files that do not name them.
        unit: unit of the samples (V, mV, uV, nV), for files that do not state it.
        lead: for models of one lead, which lead of each ECG to give them; - before it turns it upside down.
        split: of a cohort, the one split to embed.
        batch: windows that are given to the net at once.
        device: cpu, or cuda on a machine that has it.
        precision: float32, or bf16 on a processor that has instructions for it.
        runtime: torch, or onnxruntime.

    Returns:
        the file: one row an ECG (study_id, patient_id, file, embedding, n_windows, warnings, age, sex) in the order
        in which they were finished; model, its sum, options and modality in its metadata. Of a cohort also the
        patients, all labels, and in the metadata its fingerprint and of whom it is: such a file is what `similar`
        searches.

    Raises:
        UsageError: if a value given here cannot be, or the file exists.
        ModelNotFoundError: if no model of this name is installed.
        ModelError: if the model is refused.
        RecordError: if the table of a cohort is none, for example with a patient in two splits.
        SomeFailedError: if some of many failed; what succeeded is written, and the same call tries the others again.
        MissingExtraError: if torch or pyarrow is not installed.
    """
    embedding = embed_each(
        model,
        *places,
        fs=fs,
        leads=leads,
        unit=unit,
        lead=lead,
        split=split,
        batch=batch,
        device=device,
        precision=precision,
        runtime=runtime,
    )
    done, failed = list(embedding.done.studies), []
    for item in embedding:
        if item.error is None:
            done.append(item.name)
        else:
            failed.append((item.name, item.error))
    if len(failed) == 1 and not done:
        raise failed[0][1]
    if failed:
        raise SomeFailedError(done, failed)
    return embedding.parts.out


def embed_each(
    model: str | Path,
    *places: Path,
    fs: float | None = None,
    leads: str | None = None,
    unit: str | None = None,
    lead: str | None = None,
    split: str | None = None,
    batch: int = 32,
    device: str = "cpu",
    precision: str = "float32",
    runtime: str = "torch",
) -> Embedding:
    """`embed`, one ECG at a time: checks the call now, does the work as the result is iterated over.

    Raises:
        UsageError: if a value given here cannot be, or the file exists.
        ModelError: if the model is refused.
        MissingExtraError: if torch or pyarrow is not installed.
    """
    out = _out(places)
    if not 1 <= batch <= MAX_BATCH:
        raise UsageError(f"--batch must be a number of windows from 1 to {MAX_BATCH}, got {batch}")
    need_pyarrow()
    given = sources(tuple(map(Path, places[:-1])), told(fs, leads, unit), split)
    from cardioloom.models import Model

    loaded = Model.from_pretrained(model, runtime=runtime, precision=precision, device=device)
    card, needed = loaded.contract.card, loaded.contract.preparation.leads
    if lead is not None and len(needed) != 1:
        raise UsageError(f"{loaded.name} takes {len(needed)} leads, got --lead {lead}: leave it out")
    # Batch and device are left out: the same numbers up to rounding, and a run may go on on another machine.
    job = {"model_sha256": loaded.sha256, "runtime": runtime, "precision": precision, "lead": lead, **given.job}
    facts = {
        "cardioloom.model": loaded.name,
        "cardioloom.model_sha256": loaded.sha256,
        "cardioloom.modality": "ecg",
        "cardioloom.trained_on": card.trained_on,
        "cardioloom.version": __version__,
        **given.facts,
    }
    parts = Parts(out, job, facts, given.columns)
    done = parts.done()
    _check_same_files(parts, done, given)
    return Embedding(loaded, given, parts, done, lead, batch)


def _out(places: tuple[Path, ...]) -> Path:
    if len(places) < 2:
        raise UsageError("too few places: give the ECG files and, last, the Parquet file to write")
    out = Path(places[-1])
    if out.suffix != SUFFIX:
        raise UsageError(f"the last place must be the file to write and end in {SUFFIX}, got {out}: add it")
    if out.is_dir():
        raise UsageError(f"{out} is a folder: name the file to write")
    return out


def _check_same_files(parts: Parts, done: Done, given: Sources) -> None:
    """Refuse to go on where earlier rows would not get the names, or not be among the files, of this call."""
    names = {source.file: source.name for source in given.each}
    for study, file in done.studies.items():
        name = names.get(file)
        if name is None or not f"{study}-".startswith(f"{name}-"):
            raise UsageError(
                f"{parts.folder if parts.folder.exists() else parts.out} was begun with other files ({file} among "
                "them): name the same files, or another file to write"
            )
