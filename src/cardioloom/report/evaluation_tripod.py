"""The checklist of TRIPOD+AI: what metrics.json says of each item, and what it does not.

Collins et al., BMJ 2024;385:e078378, doi:10.1136/bmj-2023-078378: 27 items, in words of our own. An evaluation knows a
model, a cohort and the numbers; protocol, ethics, care pathway and the discussion are the authors' to write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cardioloom.report.evaluation_words import listed

Metrics = Mapping[str, Any]
STATED, PARTLY, MISSING = "stated", "partly stated", "not stated"


@dataclass(frozen=True)
class Item:
    """One item, answered as far as it can be.

    Args:
        number: in the checklist.
        topic: in short.
        answer: what is stated, "" = nothing.
        lacks: what is not, "" = nothing.
    """

    number: str
    topic: str
    answer: str
    lacks: str

    @property
    def state(self) -> str:
        """stated, partly stated or not stated."""
        if not self.answer:
            return MISSING
        return PARTLY if self.lacks else STATED


# Part of a paper → (number, topic, what is still to be said). Where an answer says all, the last is "".
ITEMS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "Title and abstract": (
        ("1", "Title names the study's kind, population and outcome", "the target population"),
        ("2", "Abstract by TRIPOD+AI for Abstracts", "an abstract"),
    ),
    "Introduction": (
        ("3a", "Healthcare context and reason, earlier models", "the clinical question and earlier models"),
        ("3b", "Target population, intended use and users", "target population, place in care, users"),
        ("3c", "Known inequalities between groups", "known health inequalities"),
        ("4", "Objectives: development, evaluation or both", ""),
    ),
    "Methods": (
        ("5a", "Sources of data and how well they represent", "how well the data represent the target population"),
        ("5b", "Dates of the data and of follow-up", "dates of recruitment and follow-up"),
        ("6a", "Setting, number and place of centres", "setting and place of the centres"),
        ("6b", "Who was eligible", "eligibility criteria"),
        ("6c", "Treatments and how they were handled", "treatments received"),
        ("7", "Preparation and quality checks of data", "whether these were alike across groups"),
        ("8a", "Outcome: definition, horizon, assessment", "how, when and by whom outcomes were assessed"),
        ("8b", "Who judged subjective outcomes", "qualification of the outcome's assessors"),
        ("8c", "Blinding of outcome assessment", "blinding of the outcome's assessment"),
        ("9a", "Choice of predictors", "why these predictors were chosen"),
        ("9b", "Definition and measurement of predictors", "when and with which devices they were recorded"),
        ("9c", "Who judged subjective predictors", ""),
        ("10", "Sample size and its reason", "why this size is enough"),
        ("11", "Missing data", "why data are missing"),
        ("12a", "How data were used and partitioned", ""),
        ("12b", "Handling of predictors in the model", "scaling and transformation of predictors"),
        ("12c", "Kind of model, building, tuning, internal validation", "building and tuning of the model"),
        ("12d", "Heterogeneity between clusters", "a model of the differences between clusters"),
        ("12e", "Measures and plots of performance", ""),
        ("12f", "Updating of the model after evaluation", "whether the model was updated"),
        ("12g", "How predictions were calculated", ""),
        ("13", "Methods against class imbalance", "methods against class imbalance in training"),
        ("14", "Approaches to fairness", "approaches to fairness and their reason"),
        ("15", "Output, classes and how thresholds were found", "the reason for the thresholds"),
        (
            "16",
            "Differences between development and evaluation data",
            "differences in setting, eligibility and outcome",
        ),
        ("17", "Ethical approval and consent", "ethics committee and consent"),
    ),
    "Open science": (
        ("18a", "Funding", "funding and the role of funders"),
        ("18b", "Conflicts of interest", "conflicts of interest"),
        ("18c", "Protocol", "where the protocol is, or that there is none"),
        ("18d", "Registration", "registration, or that there is none"),
        ("18e", "Data sharing", "how others get the data"),
        ("18f", "Code sharing", "where the code of this study is"),
        ("19", "Involvement of patients and public", "involvement of patients and public, or that there was none"),
    ),
    "Results": (
        ("20a", "Flow of participants", "follow-up of the participants"),
        ("20b", "Characteristics, overall and by source", "dates and treatments"),
        ("20c", "Comparison with the development data", "the distribution in the development data"),
        ("21", "Participants and events in each analysis", "those of development"),
        ("22", "The full model, or how to get it", ""),
        ("23a", "Performance with intervals, also of subgroups", "performance in subgroups"),
        ("23b", "Heterogeneity of performance between clusters", "performance by centre"),
        ("24", "Results of updating", "results of updating, if the model was updated"),
    ),
    "Discussion": (
        ("25", "Interpretation, also of fairness", "an interpretation"),
        ("26", "Limitations", "limitations of this study"),
        ("27a", "Poor or missing input in use", ""),
        ("27b", "Interaction and expertise of users", "expertise that users need"),
        ("27c", "Next steps, applicability", "next steps"),
    ),
}


def checklist(metrics: Metrics) -> dict[str, tuple[Item, ...]]:
    """Part of a paper → its items, answered."""
    return {part: tuple(_item(metrics, *row) for row in rows) for part, rows in ITEMS.items()}


def counts(items: Mapping[str, tuple[Item, ...]]) -> dict[str, int]:
    """How many items are in each state."""
    every = [item.state for rows in items.values() for item in rows]
    return {state: every.count(state) for state in (STATED, PARTLY, MISSING)}


def _item(metrics: Metrics, number: str, topic: str, lacks: str) -> Item:
    known = ANSWERS.get(number, "")
    answer = known if isinstance(known, str) else known(metrics)
    if answer:
        lacks = "" if _is_complete(metrics, number) else lacks
    return Item(number, topic, answer, lacks if answer else lacks or topic[:1].lower() + topic[1:])


def _is_complete(metrics: Metrics, number: str) -> bool:
    """Whether an answer leaves nothing to say, which depends on what was found."""
    if number == "5b":
        return bool(metrics.get("cohort", {}).get("simulated"))
    return number in ("20c", "23a", "23b", "17", "15") and (number != "15" or _all_calibrated(metrics))


def _all_calibrated(metrics: Metrics) -> bool:
    rows = {**metrics.get("labels", {}), **metrics.get("numbers", {})}
    return bool(rows) and all(row.get("calibrated") for row in rows.values())


def _codes(metrics: Metrics) -> str:
    return listed({**metrics.get("labels", {}), **metrics.get("numbers", {})})


def _of(metrics: Metrics, part: str, name: str) -> str:
    return str(metrics.get(part, {}).get(name) or "")


def _title(m: Metrics) -> str:
    return f"evaluation of {_of(m, 'model', 'name')} on {_of(m, 'cohort', 'source')}; outcomes: {_codes(m)}"


def _data(m: Metrics) -> str:
    trained = _of(m, "model", "trained_on")
    return f"evaluation: {_of(m, 'cohort', 'source')}" + (f"; development: {trained}" if trained else "")


def _simulated(m: Metrics) -> str:
    return "simulated patients: there are no dates" if m.get("cohort", {}).get("simulated") else ""


def _no_person(m: Metrics) -> str:
    return "simulated patients: no person's data" if m.get("cohort", {}).get("simulated") else ""


def _centres(m: Metrics) -> str:
    found = m.get("centres") or {}
    rows = found.get("rows") or {}
    return f"{len(rows)} by the column {found.get('column')}: {listed(rows)}" if rows else ""


def _outcomes(m: Metrics) -> str:
    targets = m.get("targets") or ()
    found = f"columns of the cohort: {listed(map(str, targets))}" if targets else f"outputs: {_codes(m)}"
    survival = m.get("survival") or {}
    return found + (f"; time {survival['time']}, event {survival['event']}" if "time" in survival else "")


def _size(m: Metrics) -> str:
    cohort = m.get("cohort", {})
    counted = f"{cohort.get('studies', 0):,} studies of {cohort.get('patients', 0):,} patients"
    return f"{counted}; events of each output in the tables"


def _gone(m: Metrics) -> str:
    n = len(m.get("excluded") or ())
    return f"{n:,} studies left out, with reasons; studies without a label are left out of that label alone"


def _partition(m: Metrics) -> str:
    split = _of(m, "cohort", "split") or "all"
    fitted = "; baselines were fitted on the training split" if m.get("baselines") else ""
    return f"judged: split {split}, by patient; {(m.get('contamination') or {}).get('verdict', '')}{fitted}"


def _measures(m: Metrics) -> str:
    if m.get("kind") == "regression":
        found = "R², Pearson's r, absolute and squared error, agreement, coverage of intervals; scatter, Bland–Altman"
    else:
        found = (
            "AUROC, AUPRC, sensitivity, specificity, predictive values, F1, calibration (slope, intercept, in the "
            "large, expected error, Brier), net benefit, risk over coverage; plots of each"
        )
    return f"{found}; {m.get('draws', 0):,} bootstrap draws of patients"


def _output(m: Metrics) -> str:
    rows = {**m.get("labels", {}), **m.get("numbers", {})}
    own = [code for code, row in rows.items() if row.get("calibrated")]
    rest = "" if len(own) == len(rows) else ", the others are defaults"
    if m.get("kind") == "regression":
        return f"numbers; intervals were calibrated for {len(own)} of {len(rows)}"
    return f"probabilities; thresholds were chosen on a cohort for {len(own)} of {len(rows)}{rest}"


def _flow(m: Metrics) -> str:
    return f"{_size(m)}; {_gone(m)}"


def _table_1(m: Metrics) -> str:
    return "Table 1 of this page" if m.get("cohort", {}).get("table_1") else ""


def _performance(m: Metrics) -> str:
    groups = m.get("subgroups") or {}
    return f"tables and plots of this page, by {listed(groups)}" if any(groups.values()) else ""


def _by_centre(m: Metrics) -> str:
    return "table of centres of this page" if (m.get("centres") or {}).get("rows") else ""


def _model(m: Metrics) -> str:
    licence = _of(m, "model", "licence")
    return f"model folder with contract and weights, SHA-256 {_of(m, 'model', 'sha256')[:12]}" + (
        f"; licence {licence}" if licence else ""
    )


def _limits(m: Metrics) -> str:
    return " ".join(str(limit) for limit in m.get("model", {}).get("limits") or ())


ANSWERS: Mapping[str, str | Callable[[Metrics], str]] = {
    "1": _title,
    "3b": lambda m: _of(m, "model", "intended_use"),
    "4": "evaluation of an existing model",
    "5a": _data,
    "5b": _simulated,
    "6a": _centres,
    "7": "every ECG was checked and prepared as the model's contract says; what was not read is listed",
    "8a": _outcomes,
    "9b": "the ECG alone, with leads, rate and filters of the model's contract",
    "9c": "none is subjective: the model reads the ECG's samples",
    "10": _size,
    "11": _gone,
    "12a": _partition,
    "12d": lambda m: "performance by centre" if _by_centre(m) else "",
    "12e": _measures,
    "12g": lambda m: f"by cardioloom {m.get('cardioloom', '')} from the model folder, mean over a record's windows",
    "15": _output,
    "17": _no_person,
    "18e": lambda m: (
        f"cohort {_of(m, 'cohort', 'fingerprint')[:12]}, licence {_of(m, 'cohort', 'licence')}"
        if _of(m, "cohort", "licence")
        else ""
    ),
    "20a": _flow,
    "20b": _table_1,
    "20c": lambda m: (
        "Table 1 beside the training split of the same cohort"
        if (m.get("contamination") or {}).get("verdict") == "same cohort, other split" and _table_1(m)
        else ""
    ),
    "21": "events of each output in the tables of this page",
    "22": _model,
    "23a": _performance,
    "23b": _by_centre,
    "26": _limits,
    "27a": "the model abstains from ECGs that its contract refuses, and says why",
}
