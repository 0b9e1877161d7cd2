"""The model that the package ships: a run's model under its own name, and its card with the figures of the test split.

python experiments/ptacl_ship.py RUN [OUT]    OUT: src/cardioloom/models/shipped/ptacl-phantom if not given; the card
goes to docs/models/ptacl-phantom.md, or beside OUT if that is given
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

from ptacl_tables import CEILINGS, QUANTITIES

from cardioloom.models import adding, contract, installed, ptacl
from cardioloom.models.contract import WEIGHTS, Contract
from cardioloom.recipes.ptacl_keep import JUDGED
from cardioloom.recipes.run import MODEL, RUN
from cardioloom.writers.atomic import replacing

LARGEST_BYTES = 8_000_000
PAGE = Path(__file__).resolve().parent.parent / "docs" / "models" / f"{ptacl.SHIPPED}.md"


def ship(run: Path, out: Path) -> Contract:
    """Write the folder anew; a model that is too large leaves it as it was."""
    trained, _ = contract.read(run / MODEL)
    judged = json.loads((run / JUDGED).read_text(encoding="utf-8"))
    on = f"{judged['test_studies']} simulated patients of the test split"
    numbers = [
        {
            "metric": "R²",
            "value": round(row["r2"], 3),
            "on": f"{row['code']}, {on}",
            "source": f"docs/models/{ptacl.SHIPPED}.md",
        }
        for row in judged["outputs"]
        if row["r2"] is not None
    ]
    made = ptacl.shipped(trained, numbers)
    with installed.arriving(out) as part:
        adding.build(made, run / MODEL / WEIGHTS, part)
        for path in part.iterdir():
            path.chmod(0o644)
        if (size := sum(path.stat().st_size for path in part.iterdir())) > LARGEST_BYTES:
            sys.exit(f"{run / MODEL} takes {size} bytes, at most {LARGEST_BYTES} are shipped: take a smaller preset")
    return made


def page(made: Contract, run: Path, n_bytes: int) -> str:
    """The card for people: what it is, how it was trained, what it reaches, where it ends."""
    judged = json.loads((run / JUDGED).read_text(encoding="utf-8"))
    told = json.loads((run / RUN).read_text(encoding="utf-8"))
    rows, shares = table(judged, made)
    card = made.card
    return "\n".join(
        [
            f"# {made.name}",
            "",
            f"{card.title}. It comes with the package ({n_bytes / 1e6:.1f} MB) and is asked only where it is named:",
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
            f"Mean R² {judged['mean_r2']:.3f}. The ceiling is the R² of an oracle that is told what the simulated",
            "ECG shows, and sex and age ([simulator.md](../simulator.md)); over the five quantities for which it was",
            f"measured the model reaches {100 * fmean(shares):.0f} % of it. The last column is half the width of the",
            "interval that is given with each number.",
            "",
            "## How it was trained",
            "",
            *(f"- {line}" for line in stages(told)),
            "",
            "This page and the folder were written by `python experiments/ptacl_ship.py RUN`; the run is of commit",
            f"{told['commit'][:7]}, preset `{judged['preset']}`, seed {judged['seed']}.",
            "",
        ]
    )


def table(judged: dict[str, Any], made: Contract) -> tuple[list[str], list[float]]:
    """Rows in Markdown, and the shares of the ceiling where there is one."""
    ceilings = {
        QUANTITIES[row["quantity"]]: row["R2_from_the_ECG"]
        for row in json.loads(CEILINGS.read_text(encoding="utf-8"))["rows"]
        if row["population"] == "general" and row["quantity"] in QUANTITIES
    }
    widths = {output.code: output.half_width for output in made.task.outputs}
    rows = ["| | unit | R² | ceiling | r | MAE | ± |", "|---|---|---|---|---|---|---|"]
    shares = []
    for row in judged["outputs"]:
        ceiling, width = ceilings.get(row["code"]), widths[row["code"]]
        if ceiling is not None:
            shares.append(row["r2"] / ceiling)
        cells = [
            f"{row['name']} ({row['code']})",
            row["unit"],
            f"{row['r2']:.3f}",
            "" if ceiling is None else f"{ceiling:.3f}",
            f"{row['r']:.3f}",
            f"{row['mae']:.2f}",
            "" if width is None else f"{width:.1f}",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows, shares


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
                f"{stage['seconds'] / 60:.0f} minutes on a processor"
            )
    return said


def main(run: Path, out: Path | None) -> None:
    target = out or installed.SHIPPED / ptacl.SHIPPED
    made = ship(run, target)
    n_bytes = sum(path.stat().st_size for path in target.iterdir())
    place = PAGE if out is None else target.with_suffix(".md")
    with replacing(place) as part:
        part.write_text(page(made, run, n_bytes), encoding="utf-8")
    print(target, place)


if __name__ == "__main__":
    asked = [Path(argument) for argument in sys.argv[1:3]]
    main(asked[0], asked[1] if len(asked) > 1 else None)
