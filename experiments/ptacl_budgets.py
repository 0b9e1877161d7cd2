"""How long each stage of each run was trained, and what it took from another run."""

from __future__ import annotations

from ptacl_tables import NOT_RUN, NOTHING, SEEDS, Found, table

# Columns of the table, and the stages of a run that stand in each: no method has two of one column.
COLUMNS = {
    "ECG alone": ("masked_ecg", "simclr_ecg"),
    "cine alone": ("masked_cine", "simclr_cine", "labels_cine"),
    "pairs": ("pairs",),
    "head": ("head",),
}


def budgets_table(found: Found) -> str:
    """A row a run: epochs × batch, steps and seconds of each stage."""
    rows = []
    for name, run in found["runs"].items():
        cells = [
            _cell(run, next((one for one in stages if one in run["seconds"]), None)) for stages in COLUMNS.values()
        ]
        steps = [_steps(found, name, stage) for stage in run["seconds"]]
        rows.append([name, *cells, f"{sum(one for one in steps if one):,}" + ("" if None not in steps else " or more")])
    return table(["run", *COLUMNS, "steps in all, with those that were taken"], rows)


def _cell(run: Found, stage: str | None) -> str:
    if stage is None:
        return NOTHING
    if stage in run["begun_with"]:
        return f"from {run['begun_with'][stage]}"
    seconds, steps = f"{run['seconds'][stage]:.0f} s", run["steps"].get(stage)
    if not steps:
        return f"least squares, {seconds}"
    length = run.get("lengths", {}).get(stage)
    return (f"{length['epochs']} × {length['batch']}: " if length else "") + f"{steps:,} steps, {seconds}"


def _steps(found: Found, name: str, stage: str) -> int | None:
    """Of a stage, wherever it was trained; None where that run is not there."""
    run = found["runs"].get(name)
    if run is None:
        return None
    if stage in run["begun_with"]:
        return _steps(found, run["begun_with"][stage], stage)
    return run["steps"].get(stage)


def compared(found: Found) -> str:
    """How many steps SimCLR and the masked autoencoder have, and what follows where they differ."""
    said, differ = [], False
    for given, pair in (("ECGs", ("mae", "simclr")), ("cines", ("cine_mae", "cine_simclr"))):
        both = [_alone(found, f"{method}-{SEEDS[0]}") for method in pair]
        said.append(f"{given}: {' against '.join(one or NOT_RUN for one in both)}")
        differ |= None not in both and both[0] != both[1]
    why = (
        "The two see different numbers of steps, so that their order is not one of the objectives alone."
        if differ
        else ""
    )
    return f"MAE against SimCLR in steps, {'; '.join(said)}. {why}".rstrip()


def _alone(found: Found, name: str) -> str | None:
    """Steps, and studies seen in them, of the stage before the head."""
    run = found["runs"].get(name)
    stage = None if run is None else next((one for one in run["steps"] if one != "head"), None)
    if run is None or stage is None:
        return None
    steps, length = run["steps"][stage], run.get("lengths", {}).get(stage)
    return f"{steps:,}" + (f" of {length['batch']} studies, {length['epochs']} times each" if length else "")
