"""Tables of docs/results/ptacl.md: what was found, with the paper's numbers beside; "not run" for what is not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from published_ptacl import CODES, KS, TABLE_1, TABLE_2

CEILINGS = Path(__file__).resolve().parent.parent / "benchmarks" / "results" / "simulator_ceilings.json"
SEEDS = (0, 1, 2)
NOT_RUN, NOTHING = "not run", "–"
# Rows of the paper's second table: our runs, what they are called, what is given, how it is judged.
ROWS = (
    ("cine_random", "random weights", "cine", "LP"),
    ("cine_simclr", "SimCLR", "cine", "LP"),
    ("cine_mae", "MAE", "cine", "LP"),
    ("cine_supervised", "supervised", "cine", "FT"),
    ("random", "random weights", "ECG", "LP"),
    ("simclr", "SimCLR", "ECG", "LP"),
    ("mae", "MAE", "ECG", "LP"),
    ("supervised", "supervised", "ECG", "FT"),
    ("eccl", "ECCL", "ECG", "FT"),
    ("cmae", "CMAE", "ECG", "LP"),
    ("mmcl", "MMCL", "ECG", "FT + AP"),
    ("no_unimodal", "PTACL without MAE before", "ECG", "LP"),
    ("cosine", "PTACL with CosSim++", "ECG", "LP"),
    ("global", "global loss only", "ECG", "LP"),
    ("ptacl", "**PTACL**", "ECG", "LP"),
    ("ptacl_ft", "**PTACL**", "ECG", "FT + AP"),
    ("ptacl_rolled", "PTACL, cines begin anywhere (ours)", "ECG", "LP"),
)
TWICE = ("LVSV", "RVSV")  # one number under two names: both ventricles of the simulator eject the same volume
FOR_SPREAD = 3  # seeds of which a standard deviation is told
QUANTITIES = {"LV mass": "LVM", "LVEDV": "LVEDV", "LVESV": "LVESV", "RVEDV": "RVEDV", "LVEF": "LVEF"}
AIM = 0.9  # share of the ceiling
Found = Mapping[str, Any]
Value = Callable[[Found], float | None]


def judged(found: Found, method: str, seeds: Sequence[int] = SEEDS) -> dict[int, Found]:
    """judged.json by seed, of the runs that are there."""
    runs = found["runs"]
    return {seed: runs[name]["judged"] for seed in seeds if (name := f"{method}-{seed}") in runs}


def r2(code: str) -> Value:
    """R² of a phenotype."""
    return lambda one: next((row["r2"] for row in one["outputs"] if row["code"] == code), None)


def mean_r2(one: Found) -> float | None:
    """Over the phenotypes."""
    return one["mean_r2"]


def mean_r2_once(one: Found) -> float | None:
    """Over the phenotypes but the second of `TWICE`."""
    values = [row["r2"] for row in one["outputs"] if row["code"] != TWICE[1] and row.get("r2") is not None]
    return fmean(values) if values else None


def mean_p1(one: Found) -> float | None:
    """P@1, the mean over the phenotypes."""
    return _mean_p1(one, without="")


def mean_p1_once(one: Found) -> float | None:
    """The same without the second of `TWICE`."""
    return _mean_p1(one, without=TWICE[1])


def _mean_p1(one: Found, without: str) -> float | None:
    rows = (one.get("retrieval") or {}).get("phenotypes") or {}
    values = [row["precision"]["1"] for code, row in rows.items() if code != without]
    return fmean(values) if values else None


def distance(one: Found) -> float | None:
    """Mean distance from the diagonal, phases."""
    return one["phases"]["distance"]["value"] if one.get("phases") else None


def number(value: float, digits: int = 3) -> str:
    """With a minus sign, and no negative nothing."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "" if float(text) == 0 else "−")


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean ± SD of `FOR_SPREAD` or more, else the mean."""
    text = number(fmean(values), digits)
    return f"{text} ± {number(stdev(values), digits)}" if len(values) >= FOR_SPREAD else text


def cell(runs: Mapping[int, Found], of: Value, digits: int = 3) -> str:
    """Mean over the seeds that give a number."""
    values = [value for one in runs.values() if (value := of(one)) is not None]
    return spread(values, digits) if values else NOTHING


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def second_table(found: Found) -> str:
    """R² of each method, ours above, the paper's below."""
    rows = []
    for method, name, given, way in ROWS:
        runs = judged(found, method)
        of = [*map(r2, CODES), mean_r2, mean_r2_once]
        rows.append([given, name, way, f"{len(runs)}", *(cell(runs, one) if runs else NOT_RUN for one in of)])
        if method not in TABLE_2:
            continue
        theirs: dict[str, float | None] = dict(zip(CODES, TABLE_2[method], strict=True))
        cells = [NOTHING if value is None else number(value) for value in theirs.values()]
        cells += [_known_mean(theirs, CODES), _known_mean(theirs, [code for code in CODES if code != TWICE[1]])]
        rows.append(["", "*paper*", "", "", *(f"*{one}*" for one in cells)])
    return table(["input", "method", "judged by", "seeds", *CODES, "mean", f"without {TWICE[1]}"], rows)


def _known_mean(theirs: Mapping[str, float | None], codes: Sequence[str]) -> str:
    """Of the phenotypes that the paper reports, and of how many where it does not report all."""
    known = [value for code in codes if (value := theirs[code]) is not None]
    return number(fmean(known)) + ("" if len(known) == len(codes) else f" (of {len(known)})")


def errors_table(found: Found) -> str:
    """Pearson's r and mean absolute error of PTACL."""
    methods = (("ptacl", "LP"), ("ptacl_ft", "FT + AP"))
    units = {row["code"]: row["unit"] for run in found["runs"].values() for row in run["judged"]["outputs"]}
    head = ["phenotype", "unit", *(f"{what}, PTACL {way}" for what in ("r", "MAE") for _, way in methods)]
    rows = []
    for code in CODES:
        cells = []
        for what, digits in (("r", 3), ("mae", 2)):
            for method, _ in methods:
                runs = judged(found, method)
                cells.append(cell(runs, _output(code, what), digits) if runs else NOT_RUN)
        rows.append([code, units.get(code, ""), *cells])
    return table(head, rows)


def _output(code: str, what: str) -> Value:
    return lambda one: next((row.get(what) for row in one["outputs"] if row["code"] == code), None)


def first_table(found: Found) -> str:
    """Retrieval: global / PTACL, by phenotype, with a random order and the paper's P@1."""
    pair = [judged(found, f"{method}_retrieval", SEEDS[:1]).get(0) for method in ("global", "ptacl")]
    rows = []
    for code in CODES:
        ours = [((one.get("retrieval") or {}).get("phenotypes") or {}).get(code) if one else None for one in pair]
        cells = [_two(ours, pair, lambda row, k=k: number(row["precision"][f"{k}"])) for k in KS]
        random = next((row["random"] for row in ours if row), None)
        cells[0] += f" ({number(random['precision'])})" if random else ""
        for name, digits in (("mean_rank", 1), ("median_rank", 1)):
            text = _two(ours, pair, lambda row, name=name, digits=digits: _rank(row, name, digits))
            cells.append(text + (f" ({_rank(random, name, digits)})" if random else ""))
        (p1, *_), _, _, (by_chance, _) = TABLE_1[code]
        rows.append([code, *cells, f"*{number(p1[0])} / {number(p1[1])} ({number(by_chance)})*"])
    return table(["phenotype", *(f"P@{k}" for k in KS), "mean rank", "median rank", "*paper's P@1*"], rows)


def _two(ours: Sequence[Found | None], runs: Sequence[Found | None], text: Callable[[Found], str]) -> str:
    """global / PTACL; what is not there is said so."""
    if not any(runs):
        return NOT_RUN
    return " / ".join(text(row) if row else (NOTHING if run else NOT_RUN) for row, run in zip(ours, runs, strict=True))


def _rank(row: Found, name: str, digits: int) -> str:
    return number(row[name], digits) if name in row else NOTHING


def label(method: str) -> str:
    """What a row is called within a sentence."""
    name, given, way = next((name, given, way) for key, name, given, way in ROWS if key == method)
    name = name.replace("*", "")
    return f"{name} ({way})" if method in ("ptacl", "ptacl_ft") else f"{given} {name}" if given == "cine" else name


def ceilings(found: Found) -> dict[str, Found]:
    """What an oracle reaches, by quantity, in the population of the cohort."""
    rows = json.loads(CEILINGS.read_text())["rows"]
    return {row["quantity"]: row for row in rows if row["population"] == found["cohort"]["population"]}


def ceilings_table(found: Found) -> tuple[str, str]:
    """R² as a share of what an oracle reaches, and a sentence about the aim."""
    kept = ceilings(found)
    sides = {"ECG": ("mae", "supervised", "global", "ptacl", "ptacl_ft"), "cine": ("cine_mae", "cine_supervised")}
    head = ["quantity", "sex and age"]
    for given, methods in sides.items():
        head += [f"oracle, {given}", *(label(method) for method in methods)]
    shares: dict[str, list[float]] = {}
    rows = []
    for quantity, code in QUANTITIES.items():
        cells = [quantity, number(kept[quantity]["R2_from_sex_and_age"])]
        for given, methods in sides.items():
            ceiling = kept[quantity][f"R2_from_the_{given}"]
            cells.append(number(ceiling))
            for method in methods:
                values = [v for one in judged(found, method).values() if (v := r2(code)(one)) is not None]
                if values:
                    shares.setdefault(method, []).append(fmean(values) / ceiling)
                cells.append(f"{number(fmean(values))} ({_share(shares[method][-1])})" if values else NOT_RUN)
        rows.append(cells)
    of = [method for methods in sides.values() for method in methods]
    means = {method: _share(fmean(shares[method])) if method in shares else NOT_RUN for method in of}
    rows.append(["mean share", "", "", *(means[m] for m in sides["ECG"]), "", *(means[m] for m in sides["cine"])])
    return table(head, rows), _aim(shares)


def _share(value: float) -> str:
    return number(100 * value, 0) + " %"


def _aim(shares: Mapping[str, Sequence[float]]) -> str:
    said = []
    for method in ("ptacl", "ptacl_ft"):
        if method in shares:
            reached = sum(share >= AIM for share in shares[method])
            said.append(f"{label(method)} reaches it in {reached} of {len(shares[method])} quantities")
    return f"The aim is {_share(AIM)}: {'; '.join(said)}." if said else f"The aim is {_share(AIM)}; {NOT_RUN}."
