"""The ten nearest of 100,000 embeddings of 256 numbers, for batches of queries and for one, beside faiss's flat index.

python benchmarks/search.py [--json OUT] [--repeats N] [--threads N]

Both search exactly. ``share of GEMM`` is the time of the scores alone, a product of float32 matrices in blocks of the
same size in the same run, over the time of the search: scores and selection. Best of the repeats, which alternate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cardioloom.store import nearest as search
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


def measured(vectors: np.ndarray, flat: Any, batch: int, repeats: int, threads: int) -> list[dict[str, object]]:
    """Rows of one size of batch."""
    queries, _ = unit(np.random.default_rng(batch).standard_normal((batch, WIDTH), np.float32))
    cases: dict[str, Callable[[], Any]] = {
        "scores alone (GEMM)": lambda: scores(vectors, queries),
        "cardioloom": lambda: nearest(vectors, queries, K),
    }
    if flat is not None:
        cases["faiss IndexFlatIP"] = lambda: flat.search(queries, K)
        same = np.mean(flat.search(queries, K)[1] == nearest(vectors, queries, K)[0])
    seconds = {name: min(own) for name, own in in_turns(cases, repeats).wall.items()}
    ours, gemm, theirs = (seconds.get(name) for name in ("cardioloom", "scores alone (GEMM)", "faiss IndexFlatIP"))
    assert ours is not None
    assert gemm is not None
    row = {"bench": "search", "rows": ROWS, "width": WIDTH, "queries": batch, "threads": threads}
    found: list[dict[str, object]] = [
        row | {"case": name, "queries_a_second": batch / own, "ms": 1000 * own} for name, own in seconds.items()
    ]
    found[1] |= {"share_of_GEMM": gemm / ours, "goal_of_share": SHARE_GOAL}
    if theirs is not None:
        found[1] |= {"times_faiss": theirs / ours, "goal_of_times": PEER_GOAL, "same_rows_as_faiss": float(same)}
    return found


def main() -> None:
    """Measure and print or write the rows."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=7)
    options.add_argument("--threads", type=int, default=1, help="of faiss; of numpy say OPENBLAS_NUM_THREADS")
    arguments = options.parse_args()
    vectors, _ = unit(np.random.default_rng(0).standard_normal((ROWS, WIDTH), np.float32))
    flat = peer(vectors, arguments.threads)
    rows = [row for batch in BATCHES for row in measured(vectors, flat, batch, arguments.repeats, arguments.threads)]
    show(rows, arguments.json)


if __name__ == "__main__":
    main()
