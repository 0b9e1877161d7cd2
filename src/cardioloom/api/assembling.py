"""One ECG → its report: everything that is said of it, put together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cardioloom import __version__, measure
from cardioloom.api.embedding_sources import broken
from cardioloom.api.neighbours import doubts_and_notes
from cardioloom.errors import CardioloomError, ModelError
from cardioloom.records import ECG, Abstention, Neighbours, Provenance, Report, Study

if TYPE_CHECKING:
    from cardioloom.api.neighbours import Search
    from cardioloom.models import Model, Prediction

SIMILAR = "similar_patients"  # among what was not computed
PREPARATION = "none: measured on the recorded signal"


def assemble(
    ecg: ECG,
    *,
    age: float | None = None,
    sex: str | None = None,
    models: Sequence[Model] = (),
    similar: Search | None = None,
    tick: Callable[[float], None] | None = None,
) -> Report:
    """Measure one ECG and put everything that is said of it into a report.

    Args:
        ecg: the record.
        age, sex: of the patient; go before what the file states.
        models: that are asked too.
        similar: an index that is asked for patients with a similar ECG.
        tick: is called with the share of the work that is done, from 0 to 1.
    """
    said = {name: value for name, value in (("age", age), ("sex", sex)) if value is not None}
    facts = {**ecg.patient, **said}
    study = Study(ecg, facts, day=ecg.start.date() if ecg.start else None)
    years, gender = facts.get("age"), facts.get("sex")
    measured = measure.ecg(
        ecg,
        age=float(years) if years is not None else None,
        sex=str(gender) if gender is not None else None,
        tick=tick,
    )
    said = [(model, _asked(model, ecg)) for model in models]
    neighbours, alone = (None, []) if similar is None else _similar(similar, ecg, said)
    measured_notices = {notice.text for notice in measured.quality.warnings}
    told = [n for _, prediction in said for n in prediction.warnings if n.text not in measured_notices]
    doubts, notes = doubts_and_notes(told)
    warnings = (*ecg.notes, *(notice.text for notice in (*measured.quality.warnings, *doubts, *notes)))
    return Report(
        study=study,
        quality=replace(measured.quality, warnings=(*measured.quality.warnings, *doubts)),
        beats=measured.beats,
        measurements=measured.measurements,
        findings=(*measured.findings, *(finding for _, prediction in said for finding in prediction.findings)),
        estimates=tuple(estimate for _, prediction in said for estimate in prediction.estimates),
        abstained=(
            *measured.abstained,
            *(why for _, prediction in said for why in _abstained(prediction)),
            *([neighbours] if isinstance(neighbours, Abstention) else []),
        ),
        warnings=warnings,
        gaps_s=measured.gaps_s,
        neighbours=_unsaid(neighbours, warnings) if isinstance(neighbours, Neighbours) else None,
        attachments=measured.attachments,
        provenance=Provenance(
            version=__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            preparation="; ".join(
                [PREPARATION, *(f"{m.name}: {m.contract.preparation.name}" for m, _ in [*said, *alone])]
            ),
            models=tuple(_provenance(model, prediction) for model, prediction in [*said, *alone]),
            sha256=_sha256(ecg),
        ),
    )


def _asked(model: Model, ecg: ECG, lead: str | None = None) -> Prediction:
    """What a model says; where it breaks its own contract, the rest of the report stands and it abstains."""
    from cardioloom.models import Prediction

    try:
        return model.predict(ecg, lead=lead)
    except ModelError as error:
        return Prediction.abstention(Abstention(model.name, str(error)))


def _similar(
    similar: Search, ecg: ECG, said: Sequence[tuple[Model, Prediction]]
) -> tuple[Neighbours | Abstention, list[tuple[Model, Prediction]]]:
    """The neighbours or why there are none; and the index's model with its answer, where that was not asked already."""
    alone: list[tuple[Model, Prediction]] = []
    if similar.failure:
        return Abstention(SIMILAR, str(similar.failure)), alone
    own = next((prediction for model, prediction in said if model is similar.model and similar.lead is None), None)
    try:
        if own is None:
            own = _asked(similar.model, ecg, similar.lead)
            alone = [(similar.model, own)]
        return similar.like(own), alone
    except CardioloomError as error:
        return Abstention(SIMILAR, str(error)), alone
    except Exception as error:  # noqa: BLE001 (what was measured must not be lost; the sentence says that it is a fault)
        return Abstention(SIMILAR, str(broken(similar.index.path.name, error))), alone


def _unsaid(neighbours: Neighbours, said: Sequence[str]) -> Neighbours:
    """The neighbours without the sentences on the recording that the report says already."""
    warnings, notes = (
        tuple(text for text in texts if text not in said) for texts in (neighbours.warnings, neighbours.notes)
    )
    return replace(neighbours, warnings=warnings, notes=notes)


def _abstained(prediction: Prediction) -> list[Abstention]:
    """Why a model said nothing, or which of its outputs could not be judged."""
    if prediction.abstained:
        return [prediction.abstained]
    unsure = [Abstention(finding.code, finding.evidence) for finding in prediction.findings if finding.present is None]
    return [*unsure, *prediction.unsaid]


def _provenance(model: Model, prediction: Prediction) -> dict[str, str]:
    """What a report says of a model that was asked."""
    card, outputs = model.contract.card, model.contract.task.outputs
    facts = {
        "name": model.name,
        "sha256": model.sha256,
        "runtime": model.run.name,
        "trained_on": card.trained_on,
        "licence": card.licence,
        "source": card.source,
        "windows": str(len(prediction.probabilities)),
    }
    n = sum(not output.calibrated for output in outputs)
    if n and model.contract.task.kind == "multi_label":
        facts["thresholds"] = "thresholds not calibrated" if n == len(outputs) else f"{n} thresholds not calibrated"
    return facts


def _sha256(ecg: ECG) -> str | None:
    """SHA-256 over the bytes of every file the record was read from, header first."""
    if ecg.source is None:
        return None
    digest = hashlib.sha256()
    for path in ecg.source.files or (ecg.source.file,):
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()
