"""The model that the package ships: a run's model under its own name, and its card with the figures of the test split.

python experiments/ptacl_ship.py RUN COHORT [OUT]    OUT: src/cardioloom/models/shipped/ptacl-phantom if not given; the
card goes to docs/models/ptacl-phantom.md, or beside OUT if that is given. COHORT: that RUN was trained on.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from ptacl_page import short_commit
from ptacl_tables import CEILINGS, QUANTITIES

from cardioloom.models import adding, contract, installed, ptacl
from cardioloom.models.contract import WEIGHTS, Contract
from cardioloom.recipes.ptacl_keep import BY_STUDY, JUDGED
from cardioloom.recipes.run import MODEL, RUN
from cardioloom.store import Folder
from cardioloom.writers.atomic import replacing

LARGEST_BYTES = 8_000_000
PAGE = Path(__file__).resolve().parent.parent / "docs" / "models" / f"{ptacl.SHIPPED}.md"
GROUPS = {"all": "", "men": "M", "women": "F"}


def named(run: Path, judged: Mapping[str, Any]) -> Contract:
    """The contract of the run's model as it is shipped."""
    trained, _ = contract.read(run / MODEL)
    on = f"{judged['test_studies']} simulated patients of the test split"
    source = f"docs/models/{ptacl.SHIPPED}.md"
    numbers = [
        {"metric": "R²", "value": round(row["r2"], 3), "on": f"{row['code']}, {on}", "source": source}
        for row in judged["outputs"]
        if row["r2"] is not None
    ]
    return ptacl.shipped(trained, numbers)


def ship(made: Contract, run: Path, out: Path) -> int:
    """Write the folder anew, and how large it is; a model that is too large leaves it as it was."""
    with installed.arriving(out) as part:
        adding.build(made, run / MODEL / WEIGHTS, part)
        for path in part.iterdir():
            path.chmod(0o644)
        if (size := sum(path.stat().st_size for path in part.iterdir())) > LARGEST_BYTES:
            sys.exit(f"{run / MODEL} takes {size} bytes, at most {LARGEST_BYTES} are shipped: take a smaller preset")
    return size


def covered(run: Path, cohort: Path, made: Contract) -> dict[str, dict[str, float]]:
    """Share of the studies of the test split whose interval holds the truth: group → output → share."""
    judged, columns = pq.read_table(run / BY_STUDY), Folder.at(cohort).columns
    sex = dict(zip(columns["study_id"], columns["sex"], strict=True))
    own = np.array([sex[study] for study in judged["study_id"].to_pylist()])
    found: dict[str, dict[str, float]] = {group: {} for group in GROUPS}
    for output in made.task.outputs:
        if output.half_width is not None:
            truth, said = (judged[f"{output.code}_{side}"].to_numpy() for side in ("truth", "estimate"))
            holds: NDArray[np.bool_] = np.abs(truth - said) <= output.half_width
            for group, letter in GROUPS.items():
                asked = ~np.isnan(truth) & ((own == letter) | (letter == ""))
                found[group][output.code] = float(holds[asked].mean())
    return found


def page(made: Contract, run: Path, judged: Mapping[str, Any], coverage: Mapping[str, Mapping[str, float]]) -> str:
    """The card for people: what it is, how it was trained, what it reaches, where it ends."""
    told = json.loads((run / RUN).read_text(encoding="utf-8"))
    rows, shares = table(judged, made, coverage)
    card = made.card
    promised = ", ".join(sorted({f"{100 * output.coverage:.0f} %" for output in made.task.outputs if output.coverage}))
    return "\n".join(
        [
            f"# {made.name}",
            "",
            f"{card.title}. It comes with the package and is asked only where it, or an index that it made, is named:",
            "",
            "```sh",
            f"cardioloom read FILE --model {made.name}",
            f"cardioloom embed {made.name} COHORT index.parquet    # an index for `similar`",
            "```",
            "",
            f"Trained on {card.trained_on.rstrip('.')}. For: {card.intended_use}. Licence {card.licence}.",
            f"Method: {card.citation}; [ptacl.md](ptacl.md).",
            "",
            *(f"- {limit}" for limit in card.limits),
            "",
            f"## On {judged['test_studies']} simulated patients of the test split",
            "",
            *rows,
            "",
            f"Mean R² {judged['mean_r2']:.3f}. The ceiling is the R² of an oracle that is told what the simulated ECG",
            f"shows, and sex and age ([simulator.md](../simulator.md)); over the {len(shares)} quantities for which",
            f"it was measured the model reaches {100 * fmean(shares):.0f} % of it. ±: half the width of the interval",
            f"of each number; the last columns: in which share it holds the truth (promised: {promised}).",
            "",
            "## How it was trained",
            "",
            *(f"- {line}" for line in stages(told)),
            "",
            "Page and folder were written by `python experiments/ptacl_ship.py RUN COHORT`; the run is of commit",
            f"{short_commit(told['commit'])}, preset `{judged['preset']}`, seed {judged['seed']}.",
            "",
        ]
    )


def table(
    judged: Mapping[str, Any], made: Contract, coverage: Mapping[str, Mapping[str, float]]
) -> tuple[list[str], list[float]]:
    """Rows in Markdown, and the shares of the ceiling where there is one."""
    ceilings = {
        QUANTITIES[row["quantity"]]: row["R2_from_the_ECG"]
        for row in json.loads(CEILINGS.read_text(encoding="utf-8"))["rows"]
        if row["population"] == "general" and row["quantity"] in QUANTITIES
    }
    widths = {output.code: output.half_width for output in made.task.outputs}
    head = ["", "unit", "R²", "ceiling", "r", "MAE", "±", *(f"held, {group}" for group in coverage)]
    rows, shares = [_line(head), _line(["---"] * len(head))], []
    for row in judged["outputs"]:
        ceiling, code = ceilings.get(row["code"]), row["code"]
        if ceiling is not None and row["r2"] is not None:
            shares.append(row["r2"] / ceiling)
        name, held = f"{row['name']} ({code})", [_number(own.get(code), 3) for own in coverage.values()]
        numbers = [(row["r2"], 3), (ceiling, 3), (row["r"], 3), (row["mae"], 2), (widths[code], 1)]
        rows.append(_line([name, row["unit"], *(_number(*one) for one in numbers), *held]))
    return rows, shares


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def stages(told: dict[str, Any]) -> list[str]:
    """Each stage that was trained in this run, or the run that it was taken from."""
    said = []
    for name, stage in told["stages"].items():
        if "begun_with" in stage:
            said.append(f"`{name}`: taken from a run of docs/results/ptacl.md, `{stage['begun_with']}`")
        elif "steps" in stage:
            said.append(
                f"`{name}`: {stage['epochs']} epochs, {stage['steps']} steps of {stage['batch']} studies, highest rate "
                f"{stage['lr']:g}, the weights of step {stage['best_step']} (best validation), "
                f"{stage['seconds'] / 60:.0f} minutes"
            )
    return said


def main(run: Path, cohort: Path, out: Path | None) -> None:
    judged = json.loads((run / JUDGED).read_text(encoding="utf-8"))
    made = named(run, judged)
    text = page(made, run, judged, covered(run, cohort, made))
    target, place = (installed.SHIPPED / ptacl.SHIPPED, PAGE) if out is None else (out, out.with_suffix(".md"))
    size = ship(made, run, target)
    with replacing(place) as part:
        part.write_text(text, encoding="utf-8")
    print(f"wrote {target} ({size / 1e6:.1f} MB) and {place}")


if __name__ == "__main__":
    asked = [Path(argument) for argument in sys.argv[1:4]]
    if len(asked) < 2:
        sys.exit("ptacl_ship.py needs a run folder and its cohort: name both")
    main(asked[0], asked[1], asked[2] if len(asked) > 2 else None)
