"""One ECG → its report: everything that is said of it, put together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

from cardioloom import __version__, measure
from cardioloom.records import ECG, Provenance, Report, Study

PREPARATION = "none: measured on the recorded signal"


def assemble(
    ecg: ECG, *, age: float | None = None, sex: str | None = None, tick: Callable[[float], None] | None = None
) -> Report:
    """Measure one ECG and put everything that is said of it into a report.

    Args:
        ecg: the record.
        age, sex: of the patient; go before what the file states.
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
    return Report(
        study=study,
        quality=measured.quality,
        beats=measured.beats,
        measurements=measured.measurements,
        findings=measured.findings,
        abstained=measured.abstained,
        warnings=(*ecg.notes, *(notice.text for notice in measured.quality.warnings)),
        gaps_s=measured.gaps_s,
        attachments=measured.attachments,
        provenance=Provenance(
            version=__version__,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            preparation=PREPARATION,
            sha256=_sha256(ecg),
        ),
    )


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
