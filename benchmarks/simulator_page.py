"""Write the figures of docs/simulator.md from the kept rows, between their marks, so that none is typed by hand.

Run after `python benchmarks/run.py simulator_ceilings simulator_cine simulator_ecg`:

    python benchmarks/simulator_page.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "simulator.md"
Row = dict[str, object]


def kept(name: str) -> list[Row]:
    """The rows of a benchmark's last run."""
    return json.loads((HERE / "results" / f"{name}.json").read_text())["rows"]


def table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    """A markdown table."""
    lines = [" | ".join(head), "---|" * (len(head) - 1) + "---", *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" if n != 1 else f"|{line}|" for n, line in enumerate(lines))


def number(value: object, digits: int) -> str:
    """With so many decimals, nothing for None."""
    return f"{value:.{digits}f}" if isinstance(value, (int, float)) else ""


def ceilings() -> str:
    """R² from ECG and slice beside the aims."""
    rows = kept("simulator_ceilings")
    hospital = {row["quantity"]: row for row in rows if row["population"] == "hospital"}
    head = ("quantity", "sex and age", "ECG", "aim", "one slice", "aim", "hospital: ECG", "hospital: one slice")
    body = []
    for row in rows:
        if row["population"] == "general":
            there = hospital[row["quantity"]]
            cells = [number(row["R2_from_sex_and_age"], 3)]
            cells += [number(row["R2_from_the_ECG"], 3), number(row["aim_ECG"], 2)]
            cells += [number(row["R2_from_the_cine"], 3), number(row["aim_cine"], 2)]
            cells += [number(there[f"R2_from_the_{source}"], 3) for source in ("ECG", "cine")]
            body.append([str(row["quantity"]), *cells])
    return table(head, body)


def ecg() -> str:
    """How many medians lie between the real quartiles, which do not, and right bundle branch block."""
    rows = [row for row in kept("simulator_ecg") if row["bench"] == "simulator_ecg"]
    out = [row for row in rows if row["median_within_real_quartiles"] == "no"]
    words = [
        f"{row['quantity']} ({number(row['simulated_median'], 2)} beside {number(row['real_median'], 2)} {row['unit']})"
        for row in out
    ]
    counts = f"{len(rows) - len(out)} of {len(rows)} simulated medians lie between the real quartiles"
    text = f"Of {rows[0]['real_n']} real normal recordings and {rows[0]['simulated_n']} simulated hearts, {counts}"
    text += f";\nnot so: {', '.join(words)}." if words else "."
    blocks = [row for row in kept("simulator_ecg") if row["bench"] == "simulator_ecg_rbbb"]
    head = ("right bundle branch block", "real n", "real median", "real quartiles", "simulated median", "quartiles")
    body = []
    for row in blocks:
        digits = 2 if row["unit"] == "mV" else 0
        middle = [number(row[f"{kind}_median"], digits) for kind in ("real", "simulated")]
        named = f"{row['quantity']} ({row['unit']})"
        quartiles = str(row["real_quartiles"]), str(row["simulated_quartiles"])
        body.append([named, str(row["real_n"]), middle[0], quartiles[0], middle[1], quartiles[1]])
    return f"{text}\n\n{table(head, body)}"


def cine() -> str:
    """Brightness over that of blood, and LVEF by group."""
    tables = []
    for bench, digits, first in (
        ("simulator_cine", 2, "brightness over that of blood"),
        ("simulator_cine_lvef", 0, "LVEF"),
    ):
        head = (first, "real n", "real median", "real range", "simulated n", "simulated median", "simulated 5–95 %")
        rows = [row for row in kept("simulator_cine") if row["bench"] == bench]
        body = [
            [
                str(row["quantity"]).removesuffix(", over blood").removeprefix("LVEF %, "),
                str(row["real_n"]),
                number(row["real_median"], digits),
                str(row["real_range"]),
                str(row["simulated_n"]),
                number(row["simulated_median"], digits),
                str(row["simulated_5_to_95_percent"]),
            ]
            for row in rows
        ]
        tables.append(table(head, body))
    return "\n\n".join(tables)


def page(text: str) -> str:
    """The page with every marked part written anew."""
    for name, made in {"ceilings": ceilings, "ecg": ecg, "cine": cine}.items():
        start, end = f"<!-- {name}: benchmarks/simulator_page.py -->", f"<!-- end of {name} -->"
        found = re.search(re.escape(start) + ".*?" + re.escape(end), text, re.S)
        if found is None:
            raise SystemExit(f"{PAGE.name} must hold the marks {start} and {end}")
        text = text[: found.start()] + f"{start}\n{made()}\n{end}" + text[found.end() :]
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    print(f"wrote {PAGE.name}")
