"""docs/results/ptacl.md and its figure from experiments/results/ptacl.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

from ptacl_budgets import budgets_table, compared
from ptacl_phases import FIGURE, figure, section
from ptacl_relations import relations_table, unstated_table
from ptacl_tables import (
    FOR_SPREAD,
    NOT_RUN,
    NOTHING,
    SEEDS,
    TWICE,
    Found,
    ceilings,
    ceilings_table,
    errors_table,
    first_table,
    label,
    number,
    second_table,
    table,
)
from published_ptacl import CODES, NOTES, SOURCE

from cardioloom.evaluation.bootstrap import LEVEL

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "results" / "ptacl.json", HERE.parent / "docs" / "results" / "ptacl.md"
FINDINGS = HERE / "ptacl_findings.md"


def write(results: Path = RESULTS, page: Path = PAGE) -> None:
    """The page and its figure from the kept results."""
    if not results.exists():
        raise SystemExit(f"{results} is not there: python experiments/ptacl.py run WORK makes it")
    found = json.loads(results.read_text())
    page.parent.mkdir(parents=True, exist_ok=True)
    drawn = page.with_name(FIGURE)
    has_figure = figure(found, drawn)
    page.write_text(text_of(found, has_figure=has_figure))
    print(f"wrote {page}" + (f" and {drawn}" if has_figure else ""))


def text_of(found: Found, *, has_figure: bool) -> str:
    """The page, without its figure."""
    parts = [
        "# PTACL: one representation of ECG and cine, on simulated patients",
        _head(found),
        *_regression(found),
        *_retrieval(found),
        "## Relations",
        "What the paper's tables show, asked of the simulated patients: means over the seeds that both sides have, the"
        " side named first is the first number. *Difference*: the second less the first, the mean over those seeds,"
        " with an interval by bootstrap of the test split's simulated patients, the same draws for both; it says what"
        " other patients would change, and not what other trainings would: for that see the seeds. *Open*: the"
        f" interval holds zero. {compared(found)}",
        relations_table(found),
        "Cines that begin anywhere are ours, so that no order is expected. Mean R² on the same simulated patients and"
        " the same seeds, which the table of regression does not show: there, means over one seed and over three stand"
        " beside each other, and only of the goal regression. The row without them is what they could take back.",
        unstated_table(found),
        *(["## What was found, and what does not hold", FINDINGS.read_text().strip()] if FINDINGS.exists() else []),
        *_oracle(found),
        "## Intervals by sex and age",
        *_coverage(found.get("evaluation")),
        "## Phases that find each other",
        *section(found, has_figure=has_figure),
        "## Every run",
        _commands(found),
        _runs(found["runs"]),
    ]
    return "\n\n".join(part if part[0] in "#|!" else _wrapped(part) for part in parts) + "\n"


def _regression(found: Found) -> list[str]:
    kept, twice = TWICE
    n = len(CODES)
    return [
        "## Regression from the embedding",
        f"Table 2 of the paper, R² on {found['cohort']['counts']['splits']['test']} simulated patients of the test"
        " split; *paper*: on patients of UK Biobank, so only the order of rows compares. LP: least squares on the mean"
        " of the tokens; FT: all weights; AP: attention pooling. Mean ± SD over seeds where there are"
        f" {FOR_SPREAD}. *Ours*: a training that the paper has not, see the phases below. " + NOTES,
        second_table(found),
        "In the simulator both ventricles eject the same volume, for it knows neither a leak nor a shunt:"
        f" {twice} is {kept} under another name, and the mean over {n} counts that number twice. The last column is the"
        f" mean over the {n - 1} others.",
        "What each run was given, on the same simulated patients: epochs × batch, steps, and seconds of each stage"
        f" (runs at once: {found['at_once']}). A stage that was taken from another run names it; a head"
        " by least squares has no steps.",
        budgets_table(found),
        "Correlation and mean absolute error of PTACL, on the same simulated patients; mean ± SD over seeds:",
        errors_table(found),
    ]


def _retrieval(found: Found) -> list[str]:
    from cardioloom.evaluation.retrieval import TOLERANCE
    from cardioloom.recipes.ptacl_settings import GOALS

    goal, (kept, twice) = GOALS["retrieval"], TWICE
    return [
        "## Retrieval of similar hearts",
        "Table 1 of the paper on simulated patients: each ECG of the test split ranks all cines of others; a hit lies"
        f" within ± {TOLERANCE:g} SD of the query's phenotype. global / PTACL, both with the paper's setting for"
        f" retrieval (σ = {goal.sigma:g}, temperatures {goal.temperature:g} and {goal.local_temperature:g}), seed"
        f" {SEEDS[0]}; in brackets what a random order gives (exact expectation, the same for each k). Ranks are those"
        f" of the first hit. {twice} is {kept} under another name here, too. *Paper*: whether the own cine is among the"
        " candidates is not said there.",
        first_table(found),
    ]


def _oracle(found: Found) -> list[str]:
    text, aim = ceilings_table(found)
    hearts = min(row["hearts"] for row in ceilings(found).values())
    return [
        "## Share of what can be told at all",
        f"R² on simulated patients over that of an oracle: gradient-boosted trees on {hearts:,} simulated hearts that"
        " are told sex, age and what a recording shows, without error (docs/simulator.md). The nets are told neither"
        f" sex nor age. {aim}",
        text,
    ]


def _wrapped(text: str) -> str:
    """Paragraphs of prose as the other pages have them; lists and tables of the findings as they are."""
    return "\n\n".join(
        each if each[:1] in "#|!-*0123456789`" else fill(each, 120, break_long_words=False, break_on_hyphens=False)
        for each in text.split("\n\n")
    )


def _head(found: Found) -> str:
    cohort, runs = found["cohort"], found["runs"]
    counts = cohort["counts"]
    splits = ", ".join(f"{counts['splits'][name]} {name}" for name in ("train", "validation", "test"))
    longest = max(runs, key=lambda name: _whole(runs[name]), default=None)
    took = f"the longest run, {longest}, took {_whole(runs[longest]):.0f} s" if longest else "no run is done"
    versions = next((f"torch {run['versions']['torch']}" for run in runs.values()), "")
    size = f"--patients {counts['patients']} --seed {cohort['seed']} --preset {found['preset']}"
    return f"""Everything here was trained and measured on **simulated patients**: {counts["patients"]} of them
({cohort["generator"]}, population {cohort["population"]}, seed {cohort["seed"]}; {splits}), each with one ECG and one
short-axis cine. It says nothing of real hearts. The paper's numbers stand beside: {SOURCE}.

Written by `python experiments/ptacl.py page` from experiments/results/ptacl.json, which
`python experiments/ptacl.py run WORK {size}` makes (resumable; {took}, {found["at_once"]} at once,
one thread each, {versions}). Preset `{found["preset"]}`; the paper's nets and trainings are larger and longer, and what
differs from it otherwise is in docs/models/ptacl.md. {len(runs)} of {found["planned"]} runs are done."""


def _whole(run: Found) -> float:
    """Seconds of all its processes; of its stages, where they were not noted."""
    return run["wall_s"] or run["seconds_in_all"]


def _coverage(evaluation: Mapping[str, Any] | None) -> list[str]:
    if not evaluation:
        return [f"`cardioloom evaluate` of ptacl_ft-{SEEDS[0]}: {NOT_RUN}."]
    rows = evaluation["coverage"]
    first = next(iter(rows.values()), None)
    if first is None:
        return ["The model has no intervals."]
    groups = list(dict.fromkeys(group for row in rows.values() for group in row["by"]))
    sizes = {group: max(row["by"].get(group, {}).get("n", 0) for row in rows.values()) for group in groups}
    looked_at = sum("value" in one for row in rows.values() for one in row["by"].values())
    n_short = sum(group in row["by"] for row in rows.values() for group in row.get("short_in", ()))
    text = f"""Coverage of the conformal interval of {label("ptacl_ft")}, run {evaluation["run"]}, on
{evaluation["studies"]} simulated patients of the test split; the aim is {100 * first["target"]:g} %. In brackets
{100 * LEVEL:g} % intervals by bootstrap of patients, exact where all or none of a group are covered. The half-widths
were fitted on the validation split, for all patients together; the same split has chosen the best step of the head, so
that they may be a little too narrow. A group whose interval ends below the aim is bold: {n_short} of {looked_at} groups
× phenotypes that were looked at; were the aim kept in all of them, about {(1 - LEVEL) / 2 * looked_at:.0f} would be
bold by chance."""
    body = []
    for code, row in rows.items():
        short = row.get("short_in", [])
        cells = [_covered(row["by"].get(group), is_short=group in short) for group in groups]
        width = f"{number(row['mean_width'], 1)} {row['unit']}"
        body.append([code, width, _covered(row["found"], is_short=_ends_below(row)), *cells])
    head = ["phenotype", "mean width", "all", *(f"{group} (n = {sizes[group]})" for group in groups)]
    return [text, table(head, body)]


def _ends_below(row: Mapping[str, Any]) -> bool:
    """Whether the coverage of all patients is below the aim with its whole interval."""
    return row["found"].get("interval", (0, 1))[1] < row["target"]


def _covered(estimate: Mapping[str, Any] | None, *, is_short: bool) -> str:
    if not estimate or "value" not in estimate:
        return NOTHING
    text = number(100 * estimate["value"], 1)
    if "interval" in estimate:
        text += f" ({' to '.join(number(100 * end, 0) for end in estimate['interval'])})"
    return f"**{text}**" if is_short else text


def _commands(found: Found) -> str:
    cohort, preset = found["cohort"], found["preset"]
    size = f"--patients {cohort['counts']['patients']} --seed {cohort['seed']} --population {cohort['population']}"
    size += f" --only {','.join(cohort['parts'])}"
    return f"""The simulated patients: `cardioloom simulate WORK/cohort {size}`; each run:
`cardioloom train ptacl WORK/cohort WORK/runs/NAME --preset {preset} OPTIONS`; the intervals:
`cardioloom evaluate WORK/runs/ptacl_ft-{SEEDS[0]} WORK/cohort WORK/evaluation --split test --baselines none`. Seconds
are of all processes of a run, those too that were killed, failed or judged it again, with {found["at_once"]} at once on
a machine that was not kept free for them: they are no measure of speed. {_judged_again(found["runs"])}"""


def _judged_again(runs: Mapping[str, Found]) -> str:
    """Of which runs the commit is not that of the judging."""
    text = "The commit is the training's."
    again = [name for name, run in runs.items() if run["finished"] > 1]
    return f"{text} Judged again later, with the code of that time: {', '.join(again)}." if again else text


def _runs(runs: Mapping[str, Found]) -> str:
    rows = []
    for name, run in runs.items():
        asked = run["arguments"] | {"init": ",".join(run["needs"]) or None}
        told = {key: asked[key] for key in ("method", "goal", "head", "pool", "init", "seed") if asked[key] is not None}
        text = " ".join(f"--{key} {value}" for key, value in told.items()) + (" --roll" if asked.get("roll") else "")
        rows.append([name, f"`{text}`", f"{_whole(run):.0f}", short_commit(run["commit"])])
    return table(["run", "options", "s", "commit"], rows)


def short_commit(told: str | None) -> str:
    """Short, and whether the files were others."""
    head, mark, _ = (told or "").partition("+")
    return head[:8] + (", changed" if mark else "")
