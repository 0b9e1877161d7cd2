"""The model that the package ships: a run's model under its own name, with the figures of its test split.

python experiments/ptacl_ship.py RUN [OUT]    OUT: src/cardioloom/models/shipped/ptacl-phantom if not given
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cardioloom.models import adding, contract, installed, ptacl
from cardioloom.models.contract import WEIGHTS
from cardioloom.recipes.ptacl_keep import JUDGED
from cardioloom.recipes.run import MODEL

LARGEST_BYTES = 8_000_000


def ship(run: Path, out: Path) -> Path:
    """Write the folder anew; a model that is too large leaves it as it was."""
    trained, _ = contract.read(run / MODEL)
    judged = json.loads((run / JUDGED).read_text(encoding="utf-8"))
    on = f"{judged['test_studies']} simulated patients of the test split"
    numbers = [
        {"metric": "R²", "value": round(row["r2"], 3), "on": f"{row['code']}, {on}", "source": "docs/results/ptacl.md"}
        for row in judged["outputs"]
        if row["r2"] is not None
    ]
    with installed.arriving(out) as part:
        adding.build(ptacl.shipped(trained, numbers), run / MODEL / WEIGHTS, part)
        for path in part.iterdir():
            path.chmod(0o644)
        if (size := sum(path.stat().st_size for path in part.iterdir())) > LARGEST_BYTES:
            sys.exit(f"{run / MODEL} takes {size} bytes, at most {LARGEST_BYTES} are shipped: take a smaller preset")
    return out


if __name__ == "__main__":
    asked = [Path(argument) for argument in sys.argv[1:3]]
    print(ship(asked[0], asked[1] if len(asked) > 1 else installed.SHIPPED / ptacl.SHIPPED))
