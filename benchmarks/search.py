"""The ten nearest of 100,000 embeddings of 256 numbers, for batches of queries and for one, beside faiss's flat index.

python benchmarks/search.py [--json OUT] [--repeats N] [--threads N]

Both search exactly. ``share of GEMM`` is the time of the scores alone, a product of float32 matrices in blocks of the
same size in the same run, over the time of the search: scores and selection. Best of the repeats, which alternate.

An index that is asked often makes a copy of its embeddings in 8 bits: here beforehand, as faiss's is added to. How long
that took and how large it is stands in the row; the row ``cardioloom, float32`` is without it, as a process that asks
once or seldom searches. The embeddings are Gaussian; of narrow clusters the copy is left (docs/similar.md).
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import torch

from cardioloom.store import nearest as search
from cardioloom.store.coarse import FROM_QUERIES, Coarse, Copy
from cardioloom.store.nearest import nearest, unit
from rows import in_turns, parser, show

ROWS, WIDTH, K = 100_000, 256, 10
BATCHES = (1024, 16, 1)
SHARE_GOAL, PEER_GOAL = 0.75, 2.0


def scores(vectors: np.ndarray, queries: np.ndarray) -> None:
    """All scores, block by block in the same memory, and nothing else."""
    for first in range(0, len(queries), search.TOGETHER):
        some = queries[first : first + search.TOGETHER]
        block = search.block_rows(len(some))
        memory = np.empty((block, len(some)), np.float32)
        for start in range(0, len(vectors), block):
            part = vectors[start : start + block]
            np.matmul(part, some.T, out=memory[: len(part)])


def peer(vectors: np.ndarray, threads: int) -> Any:
    """faiss's flat index of inner products, or None where it is not installed."""
    try:
        import faiss
    except ImportError:
        return None
    faiss.omp_set_num_threads(threads)
    made = faiss.IndexFlatIP(WIDTH)
    made.add(vectors)
    return made


def copied(vectors: np.ndarray) -> tuple[Coarse | None, dict[str, object]]:
    """The copy in 8 bits where an index would make one, and what it costs."""
    start = perf_counter()
    made = Copy(n_asked=FROM_QUERIES).of(vectors, 1, K)
    spent = perf_counter() - start
    return made, {"copy_ms": 1000 * spent, "copy_bytes": made.counts.nbytes} if made else {"copy_bytes": 0}


def measured(
    vectors: np.ndarray,
    copy: tuple[Coarse | None, dict[str, object]],
    flat: Any,
    batch: int,
    repeats: int,
    threads: int,
) -> list[dict[str, object]]:
    """Rows of one size of batch."""
    queries, _ = unit(np.random.default_rng(batch).standard_normal((batch, WIDTH), np.float32))
    cases: dict[str, Callable[[], Any]] = {
        "scores alone (GEMM)": lambda: scores(vectors, queries),
        "cardioloom": lambda: nearest(vectors, queries, K, coarse=copy[0]),
        "cardioloom, float32": lambda: nearest(vectors, queries, K),
    }
    same = np.nan
    if flat is not None:
        cases["faiss IndexFlatIP"] = lambda: flat.search(queries, K)
        same = np.mean(flat.search(queries, K)[1] == cases["cardioloom"]()[0])
    seconds = {name: min(own) for name, own in in_turns(cases, repeats).wall.items()}
    gemm, theirs = seconds["scores alone (GEMM)"], seconds.get("faiss IndexFlatIP")
    row = {"bench": "search", "rows": ROWS, "width": WIDTH, "queries": batch, "threads": threads}
    found: list[dict[str, object]] = [
        row | {"case": name, "queries_a_second": batch / own, "ms": 1000 * own} for name, own in seconds.items()
    ]
    for ours in found[1:3]:
        own = seconds[str(ours["case"])]
        ours |= {"share_of_GEMM": gemm / own, "goal_of_share": SHARE_GOAL}
        if theirs is not None:
            ours |= {"times_faiss": theirs / own, "goal_of_times": PEER_GOAL, "same_rows_as_faiss": float(same)}
    found[1] |= copy[1]
    return found


def main() -> None:
    """Measure and print or write the rows."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=20)
    options.add_argument("--threads", type=int, default=1, help="of faiss and torch; of numpy say OPENBLAS_NUM_THREADS")
    arguments = options.parse_args()
    vectors, _ = unit(np.random.default_rng(0).standard_normal((ROWS, WIDTH), np.float32))
    torch.set_num_threads(arguments.threads)
    flat, copy = peer(vectors, arguments.threads), copied(vectors)
    rows = [measured(vectors, copy, flat, batch, arguments.repeats, arguments.threads) for batch in BATCHES]
    show([row for some in rows for row in some], arguments.json)


if __name__ == "__main__":
    main()
