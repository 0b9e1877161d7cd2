"""Cohorts on disk: random batches, building from WFDB, and what many ECGs take.

    python benchmarks/store.py [--json OUT] [--records 4000] [--repeats 7] [--sizes 1000,10000]

Random batches of 32 records (12 leads × 10 s at 500 Hz, int16) into a buffer: ours against preadv of the same bytes,
a loop over chunked gzip HDF5, and the same HDF5 by fancy indexing; interleaved, medians, files warm. Every
batch is compared bit by bit before anything is timed. Building: `cohort build` of WFDB records against a loop of
wfdb.rdrecord that writes one array.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np

from cardioloom.api.cohorts import build_cohort
from cardioloom.readers.wfdb_signals import import_wfdb
from cardioloom.store import Folder, Loader
from cardioloom.store.packing import pack, unpack

wfdb = import_wfdb()
SHARED = Path(os.environ.get("CARDIOLOOM_SHARED", Path(__file__).resolve().parents[2] / "shared"))
BATCH, SHAPE = 32, (12, 5000)
Batches = Callable[[list[np.ndarray]], None]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Cohorts on disk")
    parser.add_argument("--json", type=Path, help="where the rows are written")
    parser.add_argument("--records", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--sizes", default="1000,10000", help="numbers of ECGs that are built and loaded")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table = listed(folder / "t.csv", options.records)
        build_cohort(table, folder / "cohort")
        rows = random_batches(folder, options.records, options.repeats)
        rows += packing(folder, options.repeats)
        rows += building(folder, min(options.records, 1000), 3)
        for size in map(int, options.sizes.split(",")):
            rows.append(scale(folder, size))
    for row in rows:
        print(row)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return 0


def listed(path: Path, n: int) -> Path:
    """A CSV of n records: the 10 s recordings of PTB-XL, Chapman–Ningbo and LUDB, over and over."""
    files = [
        file
        for source in ("ptbxl", "chapman_ningbo", "ludb")
        for file in sorted((SHARED / "data/ecg" / source).rglob("*.hea"))
        if file.read_text().split()[2:4] == ["500", "5000"]
    ]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "study_id", "patient_id"])
        writer.writerows([files[k % len(files)], f"s{k:07d}", f"p{k:07d}"] for k in range(n))
    return path


def random_batches(folder: Path, n: int, repeats: int) -> list[dict[str, object]]:
    cohort = Folder.at(folder / "cohort")
    loader = Loader(cohort, batch=BATCH)
    order = loader.order(0)[: n // BATCH * BATCH].reshape(-1, BATCH)
    hdf5 = folder / "gzip.h5"
    with h5py.File(hdf5, "w") as file:
        data = file.create_dataset(
            "ecg", (n, *SHAPE), np.int16, chunks=(1, *SHAPE), compression="gzip", compression_opts=4
        )
        for start in range(0, n, BATCH):
            rows = np.arange(start, min(start + BATCH, n))
            data[rows[0] : rows[-1] + 1] = loader.read(rows).counts["ecg"]
    out = np.empty((BATCH, *SHAPE), np.int16)
    ways = {"ours": ours(loader, out), "preadv": plain(cohort, loader, out), "HDF5 gzip loop": looped(hdf5, out)}
    ways["HDF5 gzip fancy"] = fancy(hdf5, out)
    for rows in order[:5]:
        seen = []
        for way in ways.values():
            out[:] = 0
            way(rows)
            seen.append(out.copy())
        assert all(np.array_equal(seen[0], other) for other in seen[1:])
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats):
        for number in range(len(order)):
            # One batch each in turn: what else the machine does hits all alike. Each its own batch, far from that of
            # the others: what one has read would lie in the processor's cache for the next.
            for place, (name, way) in enumerate(ways.items()):
                if "HDF5" in name and (number + repeat) % 8:
                    continue
                rows = order[(number + place * len(order) // len(ways)) % len(order)]
                begin = time.perf_counter()
                way(rows)
                seconds[name].append((time.perf_counter() - begin) / BATCH)
    rate = {name: 1 / statistics.median(times) for name, times in seconds.items()}
    size = hdf5.stat().st_size / n / 1000
    return [
        {
            "bench": "store",
            "case": f"random batches of {BATCH} against {peer}",
            "peer_rate": round(rate[peer]),
            "our_rate": round(rate["ours"]),
            "ratio": round(rate["ours"] / rate[peer], 2),
            "goal": goal,
            "unit": "records/s",
            "note": note,
        }
        for peer, goal, note in (
            ("preadv", 0.5, f"{n} records, 120 kB each"),
            ("HDF5 gzip loop", 5, f"{size:.1f} kB a record"),
            ("HDF5 gzip fancy", 5, f"{size:.1f} kB a record"),
        )
    ]


def packing(folder: Path, repeats: int) -> list[dict[str, object]]:
    """Packed ECGs against gzip HDF5: bytes a record, packing and unpacking, in memory files alone."""
    counts = Loader(Folder.at(folder / "cohort")).read(np.arange(64)).counts["ecg"]
    out = np.empty(SHAPE, np.int16)
    for own in counts:
        unpack(pack(own), out)
        assert np.array_equal(out, own)
    seconds: dict[str, list[float]] = {name: [] for name in ("ours", "gzip", "ours back", "gzip back")}
    size = 0
    for _ in range(repeats):
        begin = time.perf_counter()
        packed = [pack(own) for own in counts]
        seconds["ours"].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        for own in packed:
            unpack(own, out)
        seconds["ours back"].append(time.perf_counter() - begin)
        with h5py.File("memory", "w", driver="core", backing_store=False, rdcc_nbytes=0) as file:
            data = file.create_dataset("ecg", counts.shape, np.int16, chunks=(1, *SHAPE), compression="gzip")
            begin = time.perf_counter()
            for at, own in enumerate(counts):
                data[at] = own
            seconds["gzip"].append(time.perf_counter() - begin)
            size = data.id.get_storage_size()
            begin = time.perf_counter()
            for at in range(len(counts)):
                data.read_direct(out, np.s_[at])
            seconds["gzip back"].append(time.perf_counter() - begin)
    rate = {name: round(len(counts) / statistics.median(times)) for name, times in seconds.items()}
    note = f"{sum(map(len, packed)) / len(counts) / 1000:.1f} kB a record, gzip {size / len(counts) / 1000:.1f} kB"
    return [
        {
            "bench": "store",
            "case": f"{case} an ECG against gzip HDF5",
            "peer_rate": rate[f"gzip{back}"],
            "our_rate": rate[f"ours{back}"],
            "ratio": round(rate[f"ours{back}"] / rate[f"gzip{back}"], 2),
            "goal": 1,
            "unit": "records/s",
            "note": note,
        }
        for case, back in (("packing", ""), ("unpacking", " back"))
    ]


def ours(loader: Loader, out: np.ndarray) -> Callable[[np.ndarray], None]:
    return lambda rows: void(loader.read(rows, {"ecg": out}))


def void(_value: object) -> None:
    return None


def plain(cohort: Folder, loader: Loader, out: np.ndarray) -> Callable[[np.ndarray], None]:
    """What any loader must do at least: one preadv a record."""
    reader = cohort.reader("ecg")
    shards = sorted(set(loader.shards.tolist()))
    files = [os.open(reader.modality.file(cohort.path, shard), os.O_RDONLY) for shard in shards]
    size = reader.modality.row_bytes
    places = list(zip(loader.shards.tolist(), (reader.offset + loader.places * size).tolist(), strict=True))
    views = [memoryview(row.data).cast("B") for row in out]

    def read(rows: np.ndarray) -> None:
        for view, row in zip(views, rows.tolist(), strict=True):
            shard, offset = places[row]
            os.preadv(files[shard], [view], offset)

    return read


def looped(path: Path, out: np.ndarray) -> Callable[[np.ndarray], None]:
    data = h5py.File(path, "r")["ecg"]

    def read(rows: np.ndarray) -> None:
        for at, row in enumerate(rows.tolist()):
            data.read_direct(out, np.s_[row], np.s_[at])

    return read


def fancy(path: Path, out: np.ndarray) -> Callable[[np.ndarray], None]:
    data = h5py.File(path, "r")["ecg"]

    def read(rows: np.ndarray) -> None:
        order = np.argsort(rows)
        out[order] = data[rows[order]]

    return read


def building(folder: Path, n: int, repeats: int) -> list[dict[str, object]]:
    table = listed(folder / "build.csv", n)
    with table.open() as file:
        paths = [row["file"] for row in csv.DictReader(file)]
    times: dict[str, list[float]] = {"wfdb": [], "1": [], "2": []}
    for _ in range(repeats):
        begin = time.perf_counter()
        whole = np.lib.format.open_memmap(folder / "loop.npy", "w+", np.int16, (n, *SHAPE))
        for at, path in enumerate(paths):
            whole[at] = wfdb.rdrecord(path[:-4], physical=False).d_signal.T
        whole.flush()
        times["wfdb"].append(time.perf_counter() - begin)
        for workers in ("1", "2"):
            begin = time.perf_counter()
            build_cohort(table, folder / "again", workers=int(workers))
            times[workers].append(time.perf_counter() - begin)
            shutil.rmtree(folder / "again")
    peer = n / statistics.median(times["wfdb"])
    rows = []
    for workers in ("1", "2"):
        rate = n / statistics.median(times[workers])
        rows.append(
            {
                "bench": "store",
                "case": f"cohort build from WFDB, {workers} processes",
                "peer_rate": round(peer),
                "our_rate": round(rate),
                "ratio": round(rate / peer, 2),
                "goal": 5 if workers == "2" else None,
                "unit": "records/s",
                "note": f"peer: loop of wfdb.rdrecord, {n} records, starting and sums included",
            }
        )
    return rows


def scale(folder: Path, n: int) -> dict[str, object]:
    table = listed(folder / "scale.csv", n)
    begin = time.perf_counter()
    build_cohort(table, folder / "scale")
    built = time.perf_counter()
    loader = Loader(Folder.at(folder / "scale"), batch=BATCH)
    opened = time.perf_counter()
    out = np.empty((BATCH, *SHAPE), np.int16)
    for batch in loader.batches(0, {"ecg": out}):
        void(batch)
    done = time.perf_counter()
    shutil.rmtree(folder / "scale")
    return {
        "bench": "store",
        "case": f"{n} ECGs built, opened, walked once in random order",
        "our_rate": round(n / (built - begin)),
        "unit": "records/s built",
        "note": f"opened in {opened - built:.2f} s, walked at {n / (done - opened):.0f} records/s",
    }


if __name__ == "__main__":
    sys.exit(main())
