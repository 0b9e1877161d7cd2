"""An index and the model that wrote it: the neighbours of an ECG, with what is known of their hearts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardioloom.api.embedding_sources import broken, light
from cardioloom.api.neighbours_numbers import numbers_of, spread
from cardioloom.errors import CardioloomError, DamagedFileError, ModelNotFoundError, PreparationError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cardioloom.api.neighbours_numbers import Number
    from cardioloom.models import Model, Prediction
    from cardioloom.records import Neighbour, Neighbours, Notice
    from cardioloom.store.index import Index

K = 10
SAME = 0.999999  # a cosine from which on it is probably the same recording
DIGITS = 6
DOUBTS = ("other_lead", "empty_lead")  # of a model's notices: those that are warnings, not notes
GRAPHS = "similar"  # folder of the cache for what is built for very many studies


@dataclass(frozen=True, eq=False)
class Search:
    """An index with the model that wrote it, ready to be asked.

    Args:
        index: the file.
        model: that embeds the ECGs as those of the index were.
        k: neighbours of each ECG.
        lead: for models of one lead.
        patient: whose the ECGs are, by the index's patient_id; the own studies are not among the neighbours.
        all_columns: give all that the index knows of a neighbour, not only what is shown.
    """

    index: Index
    model: Model
    k: int
    lead: str | None = None
    patient: str | None = None
    all_columns: bool = False

    def telling(self, tell: Callable[[str], object]) -> Search:
        """The same, which calls ``tell`` with a sentence where its work takes long; otherwise that is logged."""
        return replace(self, index=replace(self.index, tell=tell))

    @cached_property
    def failure(self) -> CardioloomError | None:
        """Why the index cannot be searched, or None. It is read for this, once for all ECGs."""
        try:
            self.index.load()
            _ = self.index.made_of, self._numbers
        except CardioloomError as error:
            return light(error)
        except Exception as error:  # noqa: BLE001 (each ECG would meet it again; the cause stays attached)
            return broken(self.index.path.name, error)
        return None

    def like(self, prediction: Prediction) -> Neighbours:
        """The neighbours of an ECG that the model was asked about.

        Raises:
            PreparationError: if the model abstained.
            CardioloomError: if the index cannot be searched: `failure`.
        """
        from cardioloom.records import Neighbours

        if self.failure:
            raise self.failure
        if why := prediction.abstained:
            raise PreparationError(f"{why.what} abstains, so no similar ECG can be found: {why.why}")
        places, cosines = self.index.nearest(prediction.features[None], self.k, exclude=[self.patient])
        known = self.index.rows(places[0].tolist(), self._columns)
        nearest = tuple(map(self._neighbour, known, cosines[0].tolist()))
        doubts, notes = doubts_and_notes(prediction.warnings)
        return Neighbours(
            index=self.index.path.name,
            studies=len(self.index),
            made_of=self.index.made_of,
            is_simulated=self.index.is_simulated,
            is_exact=self.index.is_exact,
            model=self.model.name,
            model_sha256=self.model.sha256,
            nearest=nearest,
            spreads=tuple(filter(None, (spread(own, whole, nearest) for own, whole in self._numbers.items()))),
            trained_on=self.model.contract.card.trained_on,
            warnings=tuple(notice.text for notice in doubts),
            notes=tuple(notice.text for notice in notes),
            is_in_index=bool((cosines[0] >= SAME).any()),
            left_out=None if self.patient is None else self.index.studies_of(self.patient),
        )

    def _neighbour(self, row: Mapping[str, Any], cosine: float) -> Neighbour:
        from cardioloom.records import Neighbour

        numbers: dict[str, Any] = {own.name: own.of(row) for own in self._numbers}
        facts = {name: row[name] for name in self.index.labels} | numbers if self.all_columns else numbers
        age = row["age"] if row["age"] is not None and math.isfinite(row["age"]) else None
        return Neighbour(
            study_id=row["study_id"],
            cosine=round(min(1.0, max(-1.0, cosine)), DIGITS),
            patient_id=row["patient_id"] if self.all_columns else None,
            age=None if age is None else round(age, 2) if self.all_columns else float(math.floor(age)),
            sex=row["sex"],
            facts={name: value for name, value in facts.items() if _is_known(value)},
        )

    @cached_property
    def _columns(self) -> list[str]:
        """That are read of each neighbour."""
        if self.all_columns:
            return ["study_id", "patient_id", "age", "sex", *self.index.labels]
        shown = (name for own in self._numbers for name in own.target.names)
        return list(dict.fromkeys(["study_id", "age", "sex", *shown]))

    @cached_property
    def _numbers(self) -> Mapping[Number, NDArray[Any]]:
        return numbers_of(self.index)


def doubts_and_notes(notices: Iterable[Notice]) -> tuple[tuple[Notice, ...], tuple[Notice, ...]]:
    """What a model says of a recording: its warnings, and how it was prepared; each sentence once."""
    once = {notice.text: notice for notice in notices}.values()
    return tuple(one for one in once if one.code in DOUBTS), tuple(one for one in once if one.code not in DOUBTS)


def _is_known(value: object) -> bool:
    return value is not None and (not isinstance(value, float) or math.isfinite(value))


def open_search(
    index: str | Path,
    *,
    k: int | None = None,
    model: str | None = None,
    loaded: Sequence[Model] = (),
    lead: str | None = None,
    patient: str | None = None,
    all_columns: bool = False,
) -> Search:
    """An index with the model that wrote it.

    Args:
        index: the Parquet file.
        k: how many neighbours; ten, or as many as there are, if not given.
        model: name or folder; the index names it if not given.
        loaded: models that are in use already, of which it may be one.
        lead: of models of one lead; the index's if not given.
        patient: whose the ECGs are, by the index's patient_id.
        all_columns: give all that the index knows of a neighbour.

    Raises:
        UsageError: if the index is none, holds no ECGs or fewer than k of others, or the model is another one.
        ModelNotFoundError: if the model that wrote it is not installed.
    """
    from cardioloom.models import installed
    from cardioloom.store.index import Index
    from cardioloom.store.index_facts import options_of

    opened = Index.open(index, cache=installed.cache() / GRAPHS)
    if (modality := opened.facts["modality"]) != "ecg":
        raise UsageError(f"{index} holds embeddings of {modality}, an ECG was given: name an index of ECGs")
    options = options_of(opened.path, opened.facts)
    others = len(opened) if patient is None else _others(opened, patient)
    if k is not None and not 1 <= k <= others:
        whose = "" if others == len(opened) else " of other patients"
        raise UsageError(f"-k must be from 1 to {others}, the studies{whose} of {index}, got {k}")
    own = _model(index, opened.facts, model, loaded)
    return Search(opened, own, k or min(K, others), options.get("lead") if lead is None else lead, patient, all_columns)


def _others(index: Index, patient: str) -> int:
    """How many studies are not this patient's."""
    try:
        if not index.names_patients:
            raise UsageError(f"{index.path} does not name its patients, so none can be left out: leave --patient out")
        others = len(index) - index.studies_of(patient)
    except DamagedFileError:  # that is the search's `failure`, which does not end a call that has more to say
        return len(index)
    if not others:
        raise UsageError(f"{index.path} holds nobody but the patient that --patient names: use an index of others")
    return others


def _model(index: str | Path, facts: Mapping[str, str], model: str | None, loaded: Sequence[Model]) -> Model:
    """The one that wrote the index. Where the index itself names it, it must be an installed one, no folder."""
    from cardioloom.models import Model, installed

    own = next((one for one in loaded if one.sha256 == facts["model_sha256"]), None)
    if own is None and model is None and facts["model"] not in installed.names():
        if loaded:
            raise ModelNotFoundError(_not_of(index, facts, loaded))
        raise ModelNotFoundError(
            f"{index} was written by the model {facts['model']}, which is not installed: install it, or name its "
            "folder with --model"
        )
    own = own or Model.from_pretrained(model or facts["model"])
    if own.sha256 != facts["model_sha256"]:
        raise UsageError(_not_of(index, facts, [own]))
    return own


def _not_of(index: str | Path, facts: Mapping[str, str], given: Sequence[Model]) -> str:
    """None of the given models wrote the index."""
    got = " and ".join(f"{one.name} with {one.sha256[:12]}…" for one in given)
    return (
        f"{index} was written by {facts['model']} with SHA-256 {facts['model_sha256'][:12]}…, got {got}: name that "
        f"model with --model, or embed the cohort again with {'this one' if len(given) == 1 else 'one of these'}"
    )
