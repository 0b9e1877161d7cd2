"""Cohorts on disk: random batches, packing, and building from WFDB.

    python benchmarks/store.py [--json OUT] [--records 4000] [--repeats 7] [--sizes 400,4000]

Random batches of 32 records (12 leads × 10 s at 500 Hz, int16) into a buffer: ours against preadv of the same bytes,
a loop over chunked gzip HDF5, and the same HDF5 by fancy indexing; interleaved, medians, files warm. Every
batch is compared bit by bit before anything is timed. Building: `cohort build` of WFDB records with their labels, sums
and splits, against what a laboratory would write (wfdb.rdsamp, its label looked up, float32 into gzip HDF5), against
the same without compression, and against the leanest loop that there is (wfdb.rdrecord, integers into one array, no
labels); best of the repeats.
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
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cardioloom.api.cohorts import build_cohort
from cardioloom.readers.wfdb_signals import import_wfdb
from cardioloom.store import Folder, Loader
from cardioloom.store.packing import pack, unpack

# wfdb and h5py are imported where they are used: the processes that `cohort build` starts import this file again.
SHARED = Path(os.environ.get("CARDIOLOOM_SHARED", Path(__file__).resolve().parents[2] / "shared"))
BATCH, SHAPE = 32, (12, 5000)
Batches = Callable[[list[np.ndarray]], None]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Cohorts on disk")
    parser.add_argument("--json", type=Path, help="where the rows are written")
    parser.add_argument("--records", type=int, default=4000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--sizes", default="400,4000", help="numbers of ECGs that are built")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        table = listed(folder / "t.csv", options.records)
        build_cohort(table, folder / "cohort")
        rows = random_batches(folder, options.records, options.repeats)
        rows += packing(folder, options.repeats)
        rows += building(folder, [int(size) for size in options.sizes.split(",")], 3)
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
        writer.writerow(["file", "study_id", "patient_id", "label"])
        writer.writerows([files[k % len(files)], f"s{k:07d}", f"p{k:07d}", k % 2] for k in range(n))
    return path


def random_batches(folder: Path, n: int, repeats: int) -> list[dict[str, object]]:
    import h5py

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
    import h5py

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
    import h5py

    data = h5py.File(path, "r")["ecg"]

    def read(rows: np.ndarray) -> None:
        for at, row in enumerate(rows.tolist()):
            data.read_direct(out, np.s_[row], np.s_[at])

    return read


def fancy(path: Path, out: np.ndarray) -> Callable[[np.ndarray], None]:
    import h5py

    data = h5py.File(path, "r")["ecg"]

    def read(rows: np.ndarray) -> None:
        order = np.argsort(rows)
        out[order] = data[rows[order]]

    return read


def lean(rows: Sequence[Mapping[str, str]], out: Path) -> None:
    """Integers into one array, and nothing else."""
    wfdb = import_wfdb()
    whole = np.lib.format.open_memmap(out, "w+", np.int16, (len(rows), *SHAPE))
    for at, row in enumerate(rows):
        whole[at] = wfdb.rdrecord(row["file"][:-4], physical=False).d_signal.T
    whole.flush()


def laboratory(rows: Sequence[Mapping[str, str]], out: Path, compression: str | None) -> None:
    """Millivolts into HDF5, a record at a time, with the patient and a label."""
    import h5py

    wfdb = import_wfdb()
    label_of = {row["study_id"]: float(row["label"]) for row in rows}
    with h5py.File(out, "w") as file:
        ecgs = file.create_dataset("ecg", (len(rows), *SHAPE), "f4", chunks=(1, *SHAPE), compression=compression)
        labels = file.create_dataset("label", (len(rows),), "f4")
        patients = file.create_dataset("patient_id", (len(rows),), h5py.string_dtype())
        for at, row in enumerate(rows):
            signal, _ = wfdb.rdsamp(row["file"][:-4])
            ecgs[at] = signal.T.astype(np.float32)
            labels[at], patients[at] = label_of[row["study_id"]], row["patient_id"]


PEERS: dict[str, Callable[[Sequence[Mapping[str, str]], Path], None]] = {
    "wfdb.rdsamp into gzip HDF5": lambda rows, out: laboratory(rows, out, "gzip"),
    "wfdb.rdsamp into plain HDF5": lambda rows, out: laboratory(rows, out, None),
    "wfdb.rdrecord, integers into one array": lean,
}


def building(folder: Path, sizes: Sequence[int], repeats: int) -> list[dict[str, object]]:
    """`cohort build` at some sizes, against loops over at most the smallest (their rate does not depend on it)."""
    tables = {n: listed(folder / f"build{n}.csv", n) for n in sizes}
    with tables[min(sizes)].open() as file:
        few = list(csv.DictReader(file))
    rate: defaultdict[str | tuple[int, int], float] = defaultdict(float)
    for _ in range(repeats):
        for name, peer in PEERS.items():
            begin = time.perf_counter()
            peer(few, folder / "loop")
            rate[name] = max(rate[name], len(few) / (time.perf_counter() - begin))
            (folder / "loop").unlink()
        for n, table in tables.items():
            for workers in (1, 2):
                begin = time.perf_counter()
                build_cohort(table, folder / "again", workers=workers)
                rate[n, workers] = max(rate[n, workers], n / (time.perf_counter() - begin))
                shutil.rmtree(folder / "again")
    return [
        {
            "bench": "store",
            "case": f"cohort build from {n} WFDB records, {workers} processes",
            "peer_rate": round(rate[name]),
            "our_rate": round(rate[n, workers]),
            "ratio": round(rate[n, workers] / rate[name], 2),
            "goal": 5 if workers == 2 and n == max(sizes) else None,
            "unit": "records/s",
            "note": f"peer: {name}; starting, sums and splits included",
        }
        for name in PEERS
        for n in sizes
        for workers in (1, 2)
    ]


if __name__ == "__main__":
    sys.exit(main())
