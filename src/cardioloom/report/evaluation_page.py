"""metrics.json of an evaluation → one HTML page that needs no network; it draws and takes no decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cardioloom.report import evaluation_plots as plots
from cardioloom.report import evaluation_tables as tables
from cardioloom.report import words
from cardioloom.report.evaluation_forest import forests
from cardioloom.report.evaluation_tripod import checklist, counts
from cardioloom.report.html import environment

if TYPE_CHECKING:
    from cardioloom.report.evaluation_words import Table

MAX_DRAWN = 30  # outputs with curves of their own
MAX_NAMED = 20  # excluded studies of one reason that are named
SIMULATED = "simulated"
OF_LABELS = "PPV and NPV hold for the prevalence of these studies."
OF_NUMBERS = (
    "What an interval promises holds on average over patients like those that it was calibrated on, not in each group. "
    "A group is called below the promise where the whole 95 % interval of its coverage is{looked_at}. "
    "Where the patients whose errors set the width have also chosen the best step of the training, as the validation "
    "split does for a head that train fine-tunes, intervals may be a little too narrow: calibrate on others mends that."
)
LOOKED_AT = (
    "; {n:,} groups × outputs were looked at, and of those that keep the promise about one in forty is called so by "
    "chance. That interval is drawn, and exact where all or none of a group are covered"
)
# Verdict on contamination → class of its banner.
ALARMS = ("trained on this split", "named on the card")


def render(metrics: Mapping[str, Any]) -> str:
    """The page as one HTML5 document without scripts, for the screen and for A4 or Letter paper in landscape.

    It loads nothing from anywhere (its Content-Security-Policy forbids it), escapes whatever came from a file, and
    says of everything that is not estimable why. The same metrics give the same bytes.

    Args:
        metrics: as `evaluate` writes them, schema cardioloom.evaluation/1; parts that are absent are left out.
    """
    labels, numbers = metrics.get("labels") or {}, metrics.get("numbers") or {}
    items = checklist(metrics)
    return (
        environment()
        .get_template("evaluation.html.j2")
        .render(
            model=metrics.get("model") or {},
            banners=_banners(metrics),
            contamination=_contamination(metrics.get("contamination") or {}),
            is_alarm=(metrics.get("contamination") or {}).get("verdict") in ALARMS,
            facts=_facts(metrics),
            summary=tables.summary(metrics),
            read_as=OF_LABELS if labels else _of_numbers(numbers) if numbers else "",
            overview=tables.of_labels(labels) + tables.of_numbers(numbers),
            outputs=_outputs(labels, numbers),
            n_outputs=len(labels) + len(numbers),
            without_truth=metrics.get("outputs_without_truth") or (),
            forests=forests(metrics),
            centres=tables.of_centres(metrics.get("centres") or {}, is_label=metrics.get("kind") != "regression"),
            baselines=tables.of_baselines(metrics),
            survival=_survival(metrics.get("survival") or {}),
            table_1=tables.table_1((metrics.get("cohort") or {}).get("table_1") or ()),
            excluded=_excluded(metrics),
            warnings=[(row["text"], row["n"]) for row in metrics.get("warnings") or ()],
            checklist=items,
            checked=counts(items),
            not_a_diagnosis=words.NOT_A_DIAGNOSIS,
            for_research=words.FOR_RESEARCH,
        )
    )


def _banners(metrics: Mapping[str, Any]) -> list[str]:
    """What is to be read first."""
    cohort, trained_on = metrics.get("cohort") or {}, str((metrics.get("model") or {}).get("trained_on") or "")
    found = []
    if cohort.get("simulated"):
        said = str(cohort.get("statement") or "simulated patients: no person's data, not for clinical conclusions")
        found.append(f"Judged on {said}.")
    if SIMULATED in trained_on:
        found.append(f"The model was trained on {trained_on}: what it does with patients is not known.")
    return found


def _of_numbers(numbers: Mapping[str, Any]) -> str:
    """How intervals of numbers are to be read, and at how many groups was looked."""
    by = [one for own in numbers.values() for one in ((own.get("coverage") or {}).get("by") or {}).values()]
    n = sum("value" in one for one in by)
    return OF_NUMBERS.format(looked_at=LOOKED_AT.format(n=n) if n else "")


def _contamination(found: Mapping[str, Any]) -> tuple[str, str] | None:
    """Verdict and why, as a sentence."""
    if not found:
        return None
    why = str(found.get("why") or "")
    return str(found.get("verdict") or "not stated"), why[:1].upper() + why[1:].rstrip(".") + ("." if why else "")


def _facts(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    model, cohort = metrics.get("model") or {}, metrics.get("cohort") or {}
    said = [
        ("Model", model.get("title")),
        ("Trained on", model.get("trained_on")),
        ("Cohort", cohort.get("source")),
        ("Split", cohort.get("split") or "all studies"),
        ("Studies", f"{cohort['studies']:,}" if "studies" in cohort else None),
        ("Patients", f"{cohort['patients']:,}" if "patients" in cohort else None),
        ("Left out", f"{len(metrics.get('excluded') or ()):,}"),
        ("Intervals", f"95 %, {metrics['draws']:,} draws of patients, seed {metrics.get('seed', 0)}")
        if "draws" in metrics
        else ("", None),
        ("Targets", ", ".join(map(str, metrics.get("targets") or ()))),
        ("Intended use", model.get("intended_use")),
        ("Licence of the model", model.get("licence")),
        ("Licence of the cohort", cohort.get("licence")),
        ("Source of the weights", model.get("source")),
        ("Made", " ".join(filter(None, (metrics.get("created"), "by cardioloom", metrics.get("cardioloom"))))),
        ("SHA-256 of the model", model.get("sha256")),
        ("Fingerprint of the cohort", cohort.get("fingerprint")),
    ]
    return [(term, str(value)) for term, value in said if value]


def _outputs(labels: Mapping[str, Any], numbers: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What is drawn of each output; of many the first ones."""
    found = []
    for code, own in [*labels.items(), *numbers.items()][:MAX_DRAWN]:
        is_label = code in labels
        drawn = plots.of_label(code, own) if is_label else (plots.scatter(code, own), plots.bland_altman(code, own))
        kept = [plot for plot in drawn if plot is not None]
        bins = tables.reliability(code, own) if is_label else None
        name = str(own.get("name") or "")
        said = f"{name}, " if name and name != code else ""
        n = f"n {own.get('n', 0):,}" + (f", {own.get('events', 0):,} positive" if is_label else "")
        why = "" if kept else "No curves: " + _why(own)
        found.append({"code": code, "said": said + n, "plots": kept, "bins": bins, "why": why})
    return found


def _why(own: Mapping[str, Any]) -> str:
    """The first reason that an output's metrics give."""
    reasons = [
        value["not_estimable"] for value in own.values() if isinstance(value, Mapping) and "not_estimable" in value
    ]
    return str(reasons[0]) if reasons else "there are no points"


def _survival(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if not found:
        return None
    made: list[Table] = tables.of_survival(found)
    p = found.get("log_rank") or {}
    return {
        "title": " · ".join(str(found[key]) for key in ("output", "time", "event") if found.get(key)),
        "tables": made,
        "plot": plots.kaplan_meier(found.get("kaplan_meier") or {}),
        "log_rank": f"p {tables.p_of(p)}" if "p" in p else f"not estimable: {p.get('not_estimable', 'no groups')}",
        "left_out": [(reason, n) for reason, n in (found.get("left_out") or {}).items()],
        "read_as": found.get("read_as") or "",
    }


def _excluded(metrics: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """(reason, number, names of the first studies)."""
    by_reason: dict[str, list[str]] = {}
    for row in metrics.get("excluded") or ():
        by_reason.setdefault(str(row.get("reason") or "no reason is given"), []).append(str(row.get("study_id")))
    return [(reason, len(names), tables.listed(names, MAX_NAMED)) for reason, names in by_reason.items()]
