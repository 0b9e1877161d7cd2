"""One pass of `embed` over its files or studies: read, ask the model, hand on rows and failures."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from inspect import GEN_CLOSED, getgeneratorstate
from typing import TYPE_CHECKING

from cardioloom.api.embedding_parts import Row
from cardioloom.api.embedding_sources import Source, broken, light
from cardioloom.errors import CardioloomError, PreparationError, UsageError

if TYPE_CHECKING:
    from cardioloom.api.embedding import Embedding
    from cardioloom.models import Prediction
    from cardioloom.records import ECG

PART_ROWS = 64  # what an abrupt end costs at most, besides a batch


@dataclass(frozen=True)
class Embedded:
    """One ECG of a call of `embed`.

    Args:
        name: its study_id; of a file that failed, its path.
        files_done: files, or studies of a cohort, that are finished by now, of the call.
        warnings: in sentences.
        error: why it has no row, or None.
    """

    name: str
    files_done: int
    warnings: tuple[str, ...] = ()
    error: CardioloomError | None = None


@dataclass
class _File:
    """A file, or a study of a cohort, in work."""

    source: Source
    n_waiting: int = 0
    is_read: bool = False
    is_closed: bool = False
    has_failed: bool = False


@dataclass(frozen=True, eq=False)
class _Asked:
    """An ECG whose answer is awaited."""

    study: str
    file: _File
    ecg: ECG


@dataclass
class Run:
    """One pass over the files.

    Args:
        asked: the call.
        files_done: by now.
        left: name → file, of those that are not finished, or that failed.
        waiting: given to the model, in its order.
        unsaid: failures met while the model asked for more.
        rows: finished and not written yet.
        taken: each study_id of this pass.
        all_read: no file is left.
    """

    asked: Embedding
    files_done: int
    left: dict[str, _File] = field(default_factory=dict)
    waiting: deque[_Asked] = field(default_factory=deque)
    unsaid: deque[tuple[str, CardioloomError]] = field(default_factory=deque)
    rows: list[Row] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    all_read: bool = False

    def items(self) -> Iterator[Embedded]:
        """Each ECG, in the order in which they are finished."""
        for name, error in self.asked.sources.not_found:
            yield self._item(name, error=error)
        for asked, answer in self._answers():
            yield from self._failures()
            yield self._take(asked, answer)
            if len(self.rows) >= PART_ROWS:
                self.flush()
        yield from self._failures()

    def flush(self) -> None:
        """Write the rows that are finished."""
        rows, self.rows = self.rows, []
        if rows:
            self.asked.parts.add(rows, {row.file for row in rows} & self.left.keys())

    def _failures(self) -> Iterator[Embedded]:
        while self.unsaid:
            name, error = self.unsaid.popleft()
            yield self._item(name, error=error)

    def _item(self, name: str, warnings: tuple[str, ...] = (), error: CardioloomError | None = None) -> Embedded:
        return Embedded(name, self.files_done, warnings, error)

    def _records(self) -> Generator[ECG]:
        """Every ECG that is not done, as the model asks for it."""
        for source in self.asked.sources.each:
            if source.file in self.asked.done.files:
                continue
            file = self.left[source.file] = _File(source)
            for result, file.is_read in _with_last(source.results()):
                if isinstance(result, CardioloomError):
                    file.has_failed = True
                    self.unsaid.append((source.file, result))
                    continue
                own = result.source.record if result.source else None
                study = self._study(f"{source.name}-{own}" if own else source.name, source.file)
                if study not in self.asked.done.studies:
                    file.n_waiting += 1
                    self.waiting.append(_Asked(study, file, result))
                    yield result
            self._close(file)
        self.all_read = True

    def _study(self, name: str, file: str) -> str:
        """A study_id of its own; the one of an earlier run where this ECG has one."""
        study, n = name, 1
        while study in self.taken or self.asked.done.studies.get(study, file) != file:
            study, n = f"{name}-{n + 1}", n + 1
        self.taken.add(study)
        return study

    def _close(self, file: _File) -> None:
        """Count a file whose last ECG was answered; it stays among the left if one failed."""
        if not file.is_read or file.n_waiting or file.is_closed:
            return
        file.is_closed = True
        if not file.has_failed:
            del self.left[file.source.file]
        self.files_done += 1

    def _answers(self) -> Iterator[tuple[_Asked, Prediction | CardioloomError]]:
        """Each ECG with its answer; where a batch fails, its ECGs are asked one by one."""
        model, records = self.asked.model, self._records()
        stream = model.stream(records, lead=self.asked.lead, batch=self.asked.batch)
        while True:
            batch_failed = False
            try:
                prediction = next(stream, None)
            except UsageError:
                raise
            except Exception:
                if not self.waiting or (getgeneratorstate(records) == GEN_CLOSED and not self.all_read):
                    raise  # it was not an ECG's fault
                prediction, batch_failed = None, True
            if prediction is not None:
                yield self.waiting.popleft(), prediction
            elif not batch_failed:
                return
            while batch_failed and self.waiting:
                asked = self.waiting.popleft()
                yield asked, self._alone(asked)
            if batch_failed:
                stream = model.stream(records, lead=self.asked.lead, batch=self.asked.batch)

    def _alone(self, asked: _Asked) -> Prediction | CardioloomError:
        try:
            return self.asked.model.predict(asked.ecg, lead=self.asked.lead)
        except CardioloomError as error:
            return light(error)
        except Exception as error:  # noqa: BLE001 (one ECG must not stop the others; the cause stays attached)
            return broken(asked.study, error)

    def _take(self, asked: _Asked, answer: Prediction | CardioloomError) -> Embedded:
        """A row, or a failure."""
        ecg, file = asked.ecg, asked.file
        if not isinstance(answer, CardioloomError) and answer.abstained:
            answer = PreparationError(f"{answer.abstained.what} abstains: {answer.abstained.why}")
        file.n_waiting -= 1
        if isinstance(answer, CardioloomError):
            file.has_failed = True
            self._close(file)
            return self._item(asked.study, error=answer)
        self._close(file)
        warnings = (*ecg.notes, *(notice.text for notice in answer.warnings))
        age, sex = ecg.patient.get("age"), ecg.patient.get("sex")
        self.rows.append(
            Row(
                study_id=asked.study,
                patient_id=file.source.patient_id,
                file=file.source.file,
                embedding=answer.features,
                n_windows=len(answer.probabilities),
                warnings="; ".join(warnings),
                age=None if age is None else float(age),
                sex=None if sex is None else str(sex),
                labels=file.source.labels(),
            )
        )
        return self._item(asked.study, warnings)


def _with_last(results: Iterator[ECG | CardioloomError]) -> Iterator[tuple[ECG | CardioloomError, bool]]:
    """Each result, and whether it is the last."""
    previous = next(results, None)
    for result in results:
        assert previous is not None
        yield previous, False
        previous = result
    if previous is not None:
        yield previous, True
