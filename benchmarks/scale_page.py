"""docs/scale.md from the kept rows of `scale.py`."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]
MANY = 10_000_000
LIMIT_MB = 500  # for the table and the splits of 100,000 simulated patients


def page(kept: dict[str, Any]) -> str:
    """The whole page.

    Args:
        kept: ``measured`` (day), ``machine`` and ``rows``.
    """
    rows = kept["rows"]
    ecgs = [row for row in rows if row["what"] == "ECGs"]
    (packed,) = (row for row in rows if row["what"] == "ECGs, packed")
    (made,), (finish,), (opened,) = (
        [row for row in rows if row["what"] == what] for what in ("simulated patients", "table and splits", "opened")
    )
    parts = [
        "# Many ECGs",
        "Written by `python benchmarks/scale.py`; do not edit. "
        f"Measured {kept['measured']} on {kept['machine']}; each step in a process of its own, memory is its peak "
        "(`ru_maxrss`).",
        "## Measured",
        "`cohort build` of WFDB records, 12 leads × 10 s at 500 Hz: 209 records of PTB-XL, Chapman–Ningbo and LUDB, "
        "listed over and over, each time as another patient, so that the source files lie in memory and the shards are "
        "written to the disk. Then the cohort is opened, and up to 20,000 of its ECGs are read in random order; what "
        "does not fit into memory comes from the disk.",
        _built(ecgs),
        f"Packed, a record takes {packed['shard_bytes'] / 1000:.1f} kB in place of "
        f"{ecgs[-1]['shard_bytes'] / 1000:.1f} kB, built at {packed['records_per_s']} a second "
        f"({packed['n']:,} ECGs).",
        _patients(made, finish, opened),
        "## On paper: 10 million ECGs",
        "Not measured: what one more ECG adds between the two largest sizes, and rates of the largest, times ten "
        "million.",
        _paper(ecgs, packed),
        _breaks(ecgs, finish, opened),
    ]
    return "\n\n".join(parts) + "\n"


def _built(ecgs: list[Row]) -> str:
    lines = [
        "| ECGs | built, a second | of it the finish, s | peak memory, MB | of a worker, MB | kB an ECG "
        "| table, bytes an ECG | files | opened, s | read, a second | memory while reading, MB |",
        "|" + "---|" * 11,
    ]
    for row in ecgs:
        cells = (
            *(f"{row['n']:,}", row["records_per_s"], row["finish_s"], row["peak_MB"], row["peak_MB_of_a_worker"]),
            *(f"{row['shard_bytes'] / 1000:.1f}", row["table_bytes"], row["files"], row["open_s"], row["walked_per_s"]),
            row["walk_peak_MB"],
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _patients(made: Row, finish: Row, opened: Row) -> str:
    is_met = max(finish["peak_MB"], opened["peak_MB"]) < LIMIT_MB
    shares = ", ".join(f"{name} {n:,}" for name, n in opened["splits"].items())
    return (
        f"{made['n']:,} simulated patients (`simulate --only labels`, {opened['columns']} columns): "
        f"{made['records_per_s']} a second, peak {made['peak_MB']} MB. Splits, one table and its fingerprint, in a "
        f"process that does nothing else: {finish['finish_s']} s, peak {finish['peak_MB']} MB. Opening the cohort and "
        f"taking its splits ({shares}): {opened['open_s']} s, peak {opened['peak_MB']} MB. The aim, less than "
        f"{LIMIT_MB} MB, is {'met' if is_met else 'missed'}."
    )


def _per_record(ecgs: list[Row], name: str) -> float:
    """What one more ECG adds, between the two largest sizes."""
    small, large = ecgs[-2:]
    return (large[name] - small[name]) / (large["n"] - small["n"])


def _paper(ecgs: list[Row], packed: Row) -> str:
    last = ecgs[-1]
    n = last["n"]
    hours = MANY * (n / last["records_per_s"] - last["finish_s"]) / n / 3600
    build_gb, walk_gb = (_per_record(ecgs, name) * MANY / 1000 for name in ("peak_MB", "walk_peak_MB"))
    rows = [
        ("reading and writing shards", f"{hours:.1f} hours on this machine", "records: any number of processes"),
        ("the list of what to read", f"{_per_record(ecgs, 'MB_at_first_shard') * MANY / 1000:.0f} GB", "one process"),
        (
            "finish: splits, one table, fingerprint",
            f"{_per_record(ecgs, 'finish_s') * MANY / 60:.0f} minutes",
            "one process",
        ),
        ("memory of the building process, list and finish", f"{build_gb:.0f} GB", "one process"),
        ("shards", f"{last['shard_bytes'] * MANY / 1e12:.2f} TB", "the disk"),
        ("shards, packed", f"{packed['shard_bytes'] * MANY / 1e12:.2f} TB", "the disk"),
        ("table", f"{last['table_bytes'] * MANY / 1e9:.2f} GB", "the disk"),
        ("files", f"{last['files'] / n * MANY:,.0f} in one folder", "the file system"),
        ("opening", f"{_per_record(ecgs, 'open_s') * MANY:.0f} s", "every process that loads"),
        ("memory of a process that loads", f"{walk_gb:.0f} GB", "every process that loads"),
        (
            "one epoch in random order, as fast as above",
            f"{MANY / last['walked_per_s'] / 3600:.2f} hours",
            "a process; from a disk, what it gives of reads of 120 kB",
        ),
    ]
    return "\n".join(
        ["| step | 10 million | bounded by |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    )


def _breaks(ecgs: list[Row], finish: Row, opened: Row) -> str:
    build_gb = _per_record(ecgs, "peak_MB") * MANY / 1000
    nothing = ecgs[0]["walk_peak_MB"]  # what a process takes that has loaded the libraries and a small cohort
    finish_gb, open_gb = ((row["peak_MB"] - nothing) / row["n"] * MANY / 1000 for row in (finish, opened))
    return "\n".join(
        [
            f"What breaks first is memory. The list, the splits and the fingerprint hold every study at once: "
            f"{build_gb:.0f} GB where there is one label, and {finish_gb:.0f} GB for a table of "
            f"{opened['columns']} columns; each process that loads such a cohort would take {open_gb:.0f} GB. "
            "Nothing below is built yet; until then:",
            "",
            "- One cohort for each source, site or million of studies, built by a machine each, with "
            "`--split-by hash`: a patient's split then depends on its name and the seed alone, so that the parts agree "
            "without knowing of each other. `--keep` gives later parts the splits of an earlier one.",
            "- Training reads several folders, each with a loader of its own; ranks and workers already share one "
            "folder without overlap.",
            "- Then: the table in pieces of some hundred thousand studies, opened by column; splits from two columns; "
            "a fingerprint that is a sum over studies, so that it needs no sorting.",
            "- Shards of 4,096 ECGs in place of 256 (`--shard-rows`) leave a sixteenth of the files; an interrupted "
            "build then does up to 4,096 ECGs a process again.",
        ]
    )
