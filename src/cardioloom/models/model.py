"""A model in use: records in; findings, features and reasons out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from cardioloom import measure
from cardioloom.errors import ModelError, PreparationError, UsageError
from cardioloom.models import contract as folders
from cardioloom.models import golden as goldens
from cardioloom.models import installed, nets
from cardioloom.models.contract import WEIGHTS, Contract
from cardioloom.models.one_lead import one_lead
from cardioloom.models.parts import in_parts
from cardioloom.models.runtime import RUNTIMES, Outputs, Runner, TorchRunner
from cardioloom.prepare import prepare
from cardioloom.records import ECG, Abstention, Estimate, Finding, Notice

BATCH = 32
PART_WINDOWS = 60  # long recordings are walked in parts of so many windows
STOP = ("implausible_unit",)  # notices that make a model abstain; the others warn


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one record.

    Args:
        findings: one an output; empty where the model abstained or gives numbers.
        probabilities: (window, output) probabilities, or numbers in their units; no output of a model of features.
        features: (feature,) mean over windows; empty where the model abstained.
        warnings: what was changed or doubted on the way.
        abstained: why nothing was said, or None.
        estimates: one a number that has an interval.
        unsaid: what is not said, with the reason.
    """

    findings: tuple[Finding, ...]
    probabilities: NDArray[np.float64]
    features: NDArray[np.float32]
    warnings: tuple[Notice, ...]
    abstained: Abstention | None = None
    estimates: tuple[Estimate, ...] = ()
    unsaid: tuple[Abstention, ...] = ()

    @classmethod
    def abstention(cls, why: Abstention, warnings: tuple[Notice, ...] = ()) -> Prediction:
        """No findings, for a reason."""
        return cls((), np.empty((0, 0)), np.empty(0, np.float32), warnings, why)


@dataclass(frozen=True, eq=False)
class Model:
    """A net with its contract. Get one with `from_pretrained`.

    Args:
        contract: preparation, task, card.
        run: the net.
        deviations: largest deviation from the golden pair, as `golden.replay` gives them.
        folder: where it was read from.
        sha256: over contract and weights: it changes where anything changes that an answer depends on.
    """

    contract: Contract
    run: Runner
    deviations: dict[str, float]
    folder: Path
    sha256: str

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        runtime: str = "torch",
        precision: str = "float32",
        device: str = "cpu",
    ) -> Model:
        """The model of a name or folder, after its files were checked and its golden pair replayed.

        Args:
            name: of an installed model (`cardioloom weights list`), or a model folder.
            runtime: "torch" or "onnxruntime".
            precision: "float32"; or "bf16" with torch.
            device: of torch.

        Raises:
            UsageError: if a runtime, precision or device is unknown, or onnxruntime is to use another than its own.
            ModelNotFoundError: if no model of this name is installed.
            ModelError: if the contract was edited, a file is another one, the folder of an installed model holds one of
                another name, or the golden pair is not reproduced.
            MissingExtraError: if torch or onnxruntime is not installed.
        """
        if runtime not in RUNTIMES:
            raise UsageError(f"the runtime must be one of {', '.join(RUNTIMES)}, got {runtime!r}")
        if runtime == "onnxruntime" and (precision, device) != ("float32", "cpu"):
            raise UsageError(f"onnxruntime works in float32 on the cpu here, got {precision} on {device}: use torch")
        nets.need_torch()
        folder = installed.folder_of(name)
        contract, sums = folders.read(folder)
        if folder.parent == installed.models() and contract.name != folder.name:
            raise ModelError(f"{folder} holds the model {contract.name}, not {folder.name}: rename it back")
        folders.check_files(folder, sums)
        golden = goldens.read(folder)
        if golden.contract != contract.sha256():
            raise ModelError(
                f"the contract in {folder} is not the one its golden pair was made for: get the folder again"
            )
        if runtime == "torch":
            net = nets.load(contract.net, contract.config, folder / WEIGHTS)
            run: Runner = TorchRunner(net, precision, device)
        else:
            from cardioloom.models.onnx import OnnxRunner

            run = OnnxRunner.of_folder(folder)
        return cls(contract, run, goldens.replay(golden, contract, run), folder, folders.identity(contract, sums))

    @property
    def name(self) -> str:
        """By which the model is called."""
        return self.contract.name

    def speed(self, windows: int = 16) -> float:
        """Windows a second that the net takes at this moment, prepared windows in, logits out; best of two batches."""
        shape = (windows, len(self.contract.preparation.leads), self.contract.preparation.window_samples)
        batch = np.zeros(shape, np.float32)
        taken = []
        for _ in range(2):
            start = perf_counter()
            self.run(batch)
            taken.append(perf_counter() - start)
        return windows / min(taken)

    def save(self, folder: str | Path) -> Path:
        """Copy the model into another folder, which must not exist.

        Raises:
            UsageError: if the folder exists.
        """
        return installed.copy(self.folder, Path(folder))

    def predict(self, ecg: ECG, *, lead: str | None = None) -> Prediction:
        """What the model says of one record; an abstention with its reason where it must not say anything.

        Args:
            ecg: any rate, unit and order of leads; longer than a window it is walked in windows.
            lead: for models of one lead, which lead of the record to give them.
        """
        return next(self.stream([ecg], lead=lead))

    def embed(self, ecg: ECG, *, lead: str | None = None) -> NDArray[np.float32]:
        """(feature,) the mean over the record's windows.

        Raises:
            PreparationError: if the model abstains.
        """
        prediction = self.predict(ecg, lead=lead)
        if prediction.abstained:
            raise PreparationError(f"{prediction.abstained.what} abstains: {prediction.abstained.why}")
        return prediction.features

    def stream(self, records: Iterable[ECG], *, lead: str | None = None, batch: int = BATCH) -> Iterator[Prediction]:
        """One prediction a record, in their order; windows of several records share a batch.

        Args:
            records: as many as there are; no more than a batch of them is held.
            lead: for models of one lead, which lead of the record to give them.
            batch: windows that are given to the net at once.
        """
        if batch < 1:
            raise UsageError(f"a batch must hold at least one window, got {batch}: give 1 or more")
        waiting: list[_Asked] = []
        for ecg in records:
            waiting.append(asked := self._ask(ecg, lead, batch))
            # Neither hours of signal, of which everything is said already, nor abstentions may pile up.
            if asked.said or len(waiting) >= batch or sum(len(own.windows) for own in waiting) >= batch:
                yield from self._answer(waiting, batch)
                waiting = []
        yield from self._answer(waiting, batch)

    def _ask(self, ecg: ECG, lead: str | None, batch: int) -> _Asked:
        """A record's windows; of a long recording, what the net said of them already."""
        preset, warnings = self.contract.preparation, []
        needed = preset.leads
        notices, empty = measure.check(ecg)
        recorded = ecg.leads
        try:
            if len(preset.leads) == 1:
                ecg, needed, warning = one_lead(ecg, preset.leads[0], lead)
                warnings += [Notice("other_lead", f"{warning} (for {self.name}).")] if warning else []
            elif lead is not None:
                raise UsageError(
                    f"{self.name} takes {len(preset.leads)} leads, got the lead {lead!r}: use a model of one"
                )
            if stop := _reason(notices, empty, recorded, needed):
                return _Asked(tuple(notices), abstained=Abstention(self.name, stop))
            warnings += notices
            if lost := [name for name in needed if name in empty]:
                warnings.append(Notice("empty_lead", f"no signal in {', '.join(lost)}, which {self.name} needs."))
            spans, windows, said, notes = self._windows(ecg, batch)
        except PreparationError as error:
            return _Asked(tuple(notices), abstained=Abstention(self.name, str(error)))
        warnings += [Notice("prepared", f"{note} (for {self.name}).") for note in notes]
        return _Asked(tuple(warnings), spans=spans, windows=windows, said=said)

    def _windows(
        self, ecg: ECG, batch: int
    ) -> tuple[tuple[tuple[float, float], ...], NDArray[np.float32], tuple[Outputs, ...], tuple[str, ...]]:
        """Spans, windows, answers, notes; a long record is run part by part, so that not all its windows are held."""
        preset = self.contract.preparation
        spans: list[tuple[float, float]] = []
        said: list[Outputs] = []
        notes: dict[str, None] = {}
        parts = list(in_parts(ecg, PART_WINDOWS * preset.window_seconds))
        prepared = None
        for offset, part, beyond_s in parts:
            prepared = prepare(part, preset, beyond_s)
            lengths = prepared.real_samples / preset.fs
            spans += [
                (round(offset + start, 3), round(offset + start + length, 3))
                for start, length in zip(prepared.starts_s, lengths, strict=True)
            ]
            notes |= dict.fromkeys(prepared.notes)
            if len(parts) > 1:
                said.append(self._run(prepared.windows, batch))
        assert prepared is not None  # a record has at least one sample
        windows = prepared.windows if len(parts) == 1 else prepared.windows[:0]
        return tuple(spans), windows, tuple(said), tuple(notes)

    def _answer(self, waiting: list[_Asked], batch: int) -> Iterator[Prediction]:
        windows = [asked.windows for asked in waiting if len(asked.windows)]
        logits, features = self._run(np.concatenate(windows or [np.empty((0, 0, 0), np.float32)]), batch)
        at = 0
        for asked in waiting:
            own = slice(at, at + len(asked.windows))
            at = own.stop
            if asked.abstained:
                yield Prediction.abstention(asked.abstained, asked.warnings)
                continue
            said = asked.said or ((logits[own], features[own]),)
            yield self._prediction(asked, *(np.concatenate(parts) for parts in zip(*said, strict=True)))

    def _prediction(self, asked: _Asked, logits: NDArray[np.floating], features: NDArray[np.floating]) -> Prediction:
        task = self.contract.task
        mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
        if task.kind == "multi_label":
            findings = task.decode(logits, asked.spans, self.name)
            return Prediction(findings, task.values(logits), mean, asked.warnings)
        if task.kind == "embedding":
            why = Abstention(self.name, "it gives features of the ECG alone, no findings and no numbers: use embed")
            return Prediction((), task.values(logits), mean, asked.warnings, unsaid=(why,))
        numbers, without = task.estimates(logits, self.name, self.contract.card.trained_on)
        unsaid = tuple(Abstention(code, f"{self.name} has no interval for it yet: calibrate it") for code in without)
        return Prediction((), task.values(logits), mean, asked.warnings, estimates=numbers, unsaid=unsaid)

    def _run(self, windows: NDArray[np.float32], batch: int) -> Outputs:
        chunks = [self.run(windows[start : start + batch]) for start in range(0, len(windows), batch)]
        if not chunks:
            return np.empty((0, len(self.contract.task.outputs))), np.empty((0, 0))
        logits, features = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
        return logits, features


@dataclass(frozen=True, eq=False)
class _Asked:
    """A record that waits for the net: its windows, or what was said of them already, or why it is not asked."""

    warnings: tuple[Notice, ...]
    spans: tuple[tuple[float, float], ...] = ()
    windows: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0, 0), np.float32))
    said: tuple[Outputs, ...] = ()
    abstained: Abstention | None = None


def _reason(
    notices: Iterable[Notice], empty: Iterable[str], recorded: tuple[str, ...], needed: tuple[str, ...]
) -> str | None:
    """Why a model must not be asked about this record, or None."""
    for notice in notices:
        if notice.code in STOP:
            return notice.text
    there = [name for name in needed if name in recorded]
    if there and set(there) <= set(empty):
        return f"no signal in {', '.join(there)}"
    return None
