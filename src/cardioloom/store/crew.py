"""Several processes that write shards: this one and others."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from queue import SimpleQueue
from threading import RLock

from cardioloom.store.worker import ShardJob, begin_worker, get_ready, write_shard


def write_shards(jobs: Iterator[ShardJob], others: int) -> Iterator[int]:
    """The number of each shard as it is finished; few are in work at a time, so that memory is bounded.

    This process begins at once, because starting another takes as long as reading hundreds of ECGs. Each of the others
    takes its first job when it is there, and its next when it is done with one.

    Args:
        jobs: taken as they are needed.
        others: processes besides this one.

    Raises:
        OSError: if the disk is full or refuses.
        BrokenProcessPool: if one of the others was ended from outside.
    """
    if others < 1:
        yield from map(write_shard, jobs)
        return
    pool = ProcessPoolExecutor(others, get_context("spawn"), begin_worker)
    line = _Line(jobs, pool)
    try:
        line.begin(others)
        while (job := line.take()) is not None:
            yield write_shard(job)
            yield from line.finished(wait=False)
        yield from line.finished(wait=True)
    finally:
        line.close()
        pool.shutdown(wait=True, cancel_futures=True)


class _Line:
    """Jobs in a line, from which this process and the threads that wait for the others take."""

    def __init__(self, jobs: Iterator[ShardJob], pool: ProcessPoolExecutor):
        self._jobs, self._pool = jobs, pool
        self._lock = RLock()
        self._answers: SimpleQueue[Future[int] | Future[None]] = SimpleQueue()
        self._n_begun = 0  # shards of the others of which nothing was heard yet

    def begin(self, others: int) -> None:
        """Start the others; each takes a job when it is ready."""
        for _ in range(others):
            self._pool.submit(get_ready).add_done_callback(self._answered)

    def take(self) -> ShardJob | None:
        """The next job, None at the end."""
        with self._lock:
            return next(self._jobs, None)

    def close(self) -> None:
        """Nobody takes another job."""
        with self._lock:
            self._jobs = iter(())

    def finished(self, *, wait: bool) -> Iterator[int]:
        """The shards that the others have finished since; all that they have begun, where ``wait``."""
        while (wait and self._n_begun) or not self._answers.empty():
            number = self._answers.get().result()
            if number is not None:
                with self._lock:
                    self._n_begun -= 1
                yield number

    def _answered(self, future: Future[int] | Future[None]) -> None:
        """Give another job to a process that is done with one; called in a thread of the pool."""
        try:
            with self._lock:
                if future.cancelled() or future.exception() is not None or (job := self.take()) is None:
                    return
                following = self._pool.submit(write_shard, job)
                self._n_begun += 1
            following.add_done_callback(self._answered)
        finally:
            self._answers.put(future)
