"""Building a cohort folder: shard by shard, in several processes, gone on with after an interruption."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardioloom.errors import UsageError, WriteError
from cardioloom.store import manifest, splits
from cardioloom.store.crew import write_shards
from cardioloom.store.entry import Entry
from cardioloom.store.finish import facts_of, split_columns, splits_of
from cardioloom.store.layout import BUILDING, FACTS, FAILED, LOCK, MANIFEST, Layout
from cardioloom.store.worker import ShardJob
from cardioloom.writers.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

Progress = Callable[[int, int], None]
JOB = "job.json"


@dataclass(frozen=True)
class Plan:
    """All that decides what a cohort will be.

    Args:
        tasks: one or more studies each; picklable; ``str(task)`` names it in failed.csv.
        make: task → its studies; of a module, picklable; raises `CardioloomError` where a task fails.
        layout: of the shards.
        job: arguments by which a run that goes on knows that it is the same; what ``json.dumps`` takes.
        facts: for cohort.json: source, licence, …
        labels: the columns that are labels, with what is known of them ("low", "high").
        balanced: the labels over which splits are balanced, besides sex and age.
        shares: of the splits.
        split_rule: "stratified" or "hash".
        kept: patient → split, of an earlier cohort.
        seed: for the splits.
    """

    tasks: Sequence[Any]
    make: Callable[[Any], Iterable[Entry]]
    layout: Layout
    job: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    balanced: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=lambda: dict(splits.SHARES))
    split_rule: str = "stratified"
    kept: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0

    @property
    def n_shards(self) -> int:
        """Number of shards, one after the other filled with tasks."""
        return -(-len(self.tasks) // self.layout.shard_rows)

    def shard_tasks(self, shard: int) -> Sequence[Any]:
        """The tasks of one shard."""
        return self.tasks[shard * self.layout.shard_rows : (shard + 1) * self.layout.shard_rows]


@dataclass(frozen=True)
class Built:
    """A cohort folder, and what did not come into it (name, reason)."""

    folder: Path
    facts: Mapping[str, Any]
    failed: tuple[tuple[str, str], ...]


def build(out: Path, plan: Plan, *, workers: int | None = None, progress: Progress | None = None) -> Built:
    """Build a cohort; the same call goes on where an earlier one was interrupted.

    Args:
        out: the folder to write.
        plan: what to write.
        workers: processes; as many as there are cores where None. The result is the same whatever their number.
        progress: is called with tasks done and all tasks, after every shard.

    Raises:
        UsageError: if the folder is complete, another's, or being written by another run; or the plan cannot be.
        WriteError: if the disk is full or refuses; finished shards are kept.
        MissingExtraError: if pyarrow or filelock is absent.
    """
    manifest.need_pyarrow()
    splits.check_shares(plan.shares)
    if plan.split_rule not in splits.RULES:
        raise UsageError(f"the rule of splits must be one of {', '.join(splits.RULES)}, got {plan.split_rule!r}")
    if workers is not None and workers < 1:
        raise UsageError(f"workers must be at least 1, got {workers}: leave it out for as many as there are cores")
    if not plan.tasks:
        raise UsageError("there is nothing to build a cohort from: name a source with at least one record")
    out = Path(out)
    with _held(out), _writing(out):
        left = _begin(out, plan)
        n_done = sum(len(plan.shard_tasks(k)) for k in set(range(plan.n_shards)) - left)
        jobs = (ShardJob(out, plan.layout, k, plan.shard_tasks(k), plan.make) for k in sorted(left))
        for shard in write_shards(jobs, min(workers or cores(), len(left)) - 1):
            n_done += len(plan.shard_tasks(shard))
            if progress is not None:
                progress(n_done, len(plan.tasks))
        return _finish(out, plan)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _held(out: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(out / LOCK, timeout=0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise UsageError(f"another run builds {out}: wait for it, or name another folder") from error
    except OSError as error:
        raise WriteError(f"{out} cannot be written to ({error.strerror}): choose another place") from error
    try:
        yield
    finally:
        lock.release()
        if (out / FACTS).exists() or not (out / BUILDING).exists():
            (out / LOCK).unlink(missing_ok=True)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"{out} cannot be written ({error.strerror or error}): make room and run the same command again, "
            "finished shards are kept"
        ) from error
    except MemoryError as error:
        raise WriteError(
            f"there is not enough memory to build {out} ({error}): run the same command again with fewer workers, or "
            "build it of fewer seconds"
        ) from error
    except BrokenProcessPool as error:
        raise WriteError(
            f"a process that built {out} was ended from outside, perhaps for lack of memory: run the same command "
            'again with fewer workers (in a script, below if __name__ == "__main__")'
        ) from error


def _begin(out: Path, plan: Plan) -> AbstractSet[int]:
    """The shards that are left to do; the folder is marked as this job's."""
    if (out / FACTS).exists():
        raise UsageError(f"{out} is a complete cohort: name another folder, or remove it")
    building = out / BUILDING
    labels = {name: dict(known) for name, known in plan.labels.items()}
    job = {**plan.job, "labels": labels, "tasks": len(plan.tasks), "layout": plan.layout.to_json()}
    if (building / JOB).exists():
        earlier = json.loads((building / JOB).read_text(encoding="utf-8"))
        if earlier != json.loads(json.dumps(job)):
            other = [name for name in {**job, **earlier} if earlier.get(name) != job.get(name)]
            raise UsageError(
                f"{out} was begun with another {', '.join(other)}: give the same, name another folder, or remove it"
            )
    else:
        if strangers := [path.name for path in out.iterdir() if path.name not in (LOCK, BUILDING)]:
            raise UsageError(f"{out} holds other files ({strangers[0]}): name an empty or a new folder")
        building.mkdir(exist_ok=True)
        with replacing(building / JOB) as part:
            part.write_text(json.dumps(job, ensure_ascii=False), encoding="utf-8")
    for path in out.rglob(".*.part"):
        path.unlink(missing_ok=True)  # of a run that was killed
    return {k for k in range(plan.n_shards) if not manifest.part_file(building, k).exists()}


def _finish(out: Path, plan: Plan) -> Built:
    """The parts in one table, with splits; the folder is complete when cohort.json is there."""
    building = out / BUILDING
    parts = [manifest.part_file(building, k) for k in range(plan.n_shards)]
    known = {path: manifest.summary(path) for path in parts}
    failed = tuple(failure for _, failures in known.values() for failure in failures)
    if failed:
        with replacing(out / FAILED) as part, part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("name", "reason"), *failed])
    else:
        (out / FAILED).unlink(missing_ok=True)  # of an earlier call, before its files were put in place
    filled = [path for path, (n_rows, _) in known.items() if n_rows]
    if not filled:
        for path in parts:
            path.unlink()  # nothing is lost, and the same call reads again what was mended
        raise WriteError(f"no study could be taken into {out}, see {FAILED}: {failed[0][0]}: {failed[0][1]}")
    split_of = splits_of(manifest.columns_of_parts(filled, split_columns(plan)), plan)
    texts = {name for name, known in plan.labels.items() if known.get("kind") == "text"}
    with replacing(out / MANIFEST) as part:
        manifest.merge(filled, texts, split_of, part)
    facts = facts_of(manifest.read_columns(out / MANIFEST), plan, len(failed))
    manifest.write_facts(out, facts)
    for path in building.iterdir():
        path.unlink()
    building.rmdir()
    return Built(out, facts, failed)
