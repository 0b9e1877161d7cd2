"""docs/results/ecgfounder.md from experiments/results/ecgfounder.json."""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "results" / "ecgfounder.json", HERE.parent / "docs" / "results" / "ecgfounder.md"
FOLDS = 5
REAL = ("AF", "RBBB", "LBBB", "IAVB", "PVC", "PAC", "STD", "STE")
METHODS = {
    "age and sex": "logistic regression on age and sex",
    "statements": "this library's statements by published criteria, present or not; nothing is fitted",
    "measurements": "gradient boosting on this library's measurements",
    "random net, probe": "linear head on features of the untrained net",
    "simulated, probe": "linear head on features of the net pretrained on simulated patients",
    "simulated, as it is": "the pretrained net's own outputs of the same name; it never saw a real ECG",
    "no pretraining": "the same net trained from random weights on the real training folds",
    "simulated, fine-tuned": "the pretrained net fine-tuned on the real training folds",
}
READING = """Likely reasons, not tested here, why fine-tuning shows less than the probe: 317 recordings a fold are few
for half a million weights, while the linear head moves nothing that the simulation taught. ST elevation is the
exception: 10 positives, of any cause that a source writes down, while the simulated label is acute infarction alone."""
PUBLISHED = """## Published numbers, on data that is not here

Macro AUROC, from the papers; not comparable with the tables above, whose records are other and fewer.

| | PTB-XL all | diag | sub | super | form | rhythm | CPSC2018 |
|---|---|---|---|---|---|---|---|
| ECGFounder, fine-tuned (arXiv:2509.25095) | .934 | .950 | .943 | .935 | .875 | .965 | .966 |
| ECGFounder, linear probe (same) | .931 | .947 | .945 | .924 | .874 | .961 | .964 |
| Net1D from random weights (same) | .929 | .940 | .926 | .924 | .893 | .937 | .949 |
| xresnet1d101 (PTB-XL's own benchmark) | .925 | .937 | .929 | .928 | .896 | .957 | .974 |

The protocol for PTB-XL, for whoever has the data, is in docs/training.md.
"""


def write() -> None:
    """The page from the committed results."""
    found = json.loads(RESULTS.read_text())
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(_page(found))
    print(f"wrote {PAGE}")


def _page(found: dict[str, object]) -> str:
    simulated, said = found["simulated"], found["pretraining"]
    head = f"""# ECGFounder's recipe: simulated pretraining, real recordings

Written by `python experiments/ecgfounder.py page` from experiments/results/ecgfounder.json, which
`python experiments/ecgfounder.py run WORK` makes (about an hour on two cores, resumable).

A small Net1D was pretrained on {simulated["patients"]} **simulated patients** ({simulated["generator"]}, population
hospital, seed {simulated["seed"]}; {said["steps"]} steps, best macro AUROC on validation {said["best"]:.3f}), then used
on {found["recordings"]} real recordings of {found["patients"]} patients from ten public sources: {FOLDS} folds, each
patient on one side, each recording predicted once. Intervals are 95 %, by bootstrap of patients (1000 draws).
Labels are the sources' own; what a source does not annotate is left out, and so are {found["same_signal"]} recordings
that two sources hold under two patients. Scores of the five folds are joined, which costs fitted methods a little
against what needs no fitting. No correction for the number of comparisons; DeLong takes recordings as independent.

## AUROC

"""
    head += _table(
        ["method", *REAL, "macro"],
        [
            ["positives / labelled", *(f"{found['positives'][c]} / {found['labelled'][c]}" for c in REAL), ""],
            *([name, *(_cell(row.get(c)) for c in (*REAL, "macro"))] for name, row in found["methods"].items()),
        ],
    )
    head += "\n\nThe macro average of *simulated, as it is* lacks the labels that the simulation has not.\n\n"
    head += "\n".join(f"- *{name}*: {what}." for name, what in METHODS.items())
    head += "\n\n" + READING
    head += "\n\n## Differences of macro AUROC, paired\n\n"
    head += _table(
        ["first", "second", "first − second", "p", "reading"],
        [
            [
                p["first"],
                p["second"],
                _cell(p["macro"]["difference"], sign=True),
                _p(p["macro"]["p"]),
                _reading(p["macro"]),
            ]
            for p in found["pairs"]
        ],
    )
    head += "\n\n## By label (DeLong)\n\n"
    head += _table(
        ["first − second", *REAL],
        [
            [f"{p['first']} − {p['second']}", *(_cell(p["labels"][c].get("difference"), sign=True) for c in REAL)]
            for p in found["pairs"]
        ],
    )
    return head + "\n\n" + PUBLISHED


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def _cell(estimate: dict[str, object] | None, *, sign: bool = False) -> str:
    if not estimate or "value" not in estimate:
        return "–"
    form = "{:+.3f}" if sign else "{:.3f}"
    text = form.format(estimate["value"])
    return f"{text} ({', '.join(form.format(v) for v in estimate['interval'])})" if "interval" in estimate else text


def _p(p: float | None) -> str:
    return "–" if p is None else f"{p:.3f}" if p >= 0.001 else "< 0.001"


def _reading(macro_difference: dict[str, object]) -> str:
    interval = macro_difference["difference"].get("interval")
    if not interval or interval[0] <= 0 <= interval[1]:
        return "no difference shown"
    return "the first is better" if interval[0] > 0 else "the second is better"
