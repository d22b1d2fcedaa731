"""What the parent does for its workers, which have no credentials: fetch data, store results.

A worker reads its data from a folder of this machine and leaves its results in one. Where dataset
or results are in S3, this process moves them, several at a time, while workers compute.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from trading_runtime.datasets.fetching import FetchedDataset
from trading_runtime.errors import DataError, Kind, TradingRuntimeError
from trading_runtime.execution.workers.answers import GarbledError
from trading_runtime.results.store import Store, open_store
from trading_runtime.storage.s3 import S3Folder, is_s3
from trading_runtime.text import name_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from trading_runtime.records.plan import Plan

NO_RESULT = "the task's process said that it ended well, and left no sound result"
_THREADS = 16


class Delivery(NamedTuple):
    """What a thread has finished: the worker's number, and what to answer it, or what is known."""

    worker: int
    task: int | None
    """The task whose result is stored; ``None`` for data that is fetched."""
    kind: Kind
    message: str
    fetched_bytes: int = 0
    partition: int | None = None
    """The partition whose data is there."""


class Supply:
    """Fetches and stores for the workers of one job; says through ``done`` that it has."""

    def __init__(self, plan: Plan, dataset: str, results: str, scratch: Path) -> None:
        self._plan = plan
        self._scratch = scratch
        self._fetched: FetchedDataset | None = None
        self.dataset, self._results = dataset, results
        if is_s3(dataset):
            self.dataset = str(scratch / "dataset")
            name_copy(self.dataset, dataset)
            self._fetched = FetchedDataset(S3Folder(dataset), scratch / "dataset")
        self._store = open_store(results)
        self.stores = is_s3(results)
        """Whether results that workers leave are still to be stored."""
        self._needed: dict[int, tuple[int, ...]] = {}
        self._counting, self._counted = threading.Lock(), 0
        self._threads: ThreadPoolExecutor | None = None
        self._running: dict[Future[Delivery], None] = {}
        self.done, self._wake = os.pipe()
        os.set_blocking(self.done, False)

    @property
    def fetches(self) -> bool:
        """Whether workers have to ask for their data."""
        return self._fetched is not None

    def results_of(self, worker: int) -> str:
        """Return where a worker leaves its results."""
        return str(self._scratch / f"results-{worker}") if self.stores else self._results

    def fetch(self, worker: int, partition: int, ahead: Sequence[int]) -> None:
        """Fetch the data of a partition for a worker, then that of others for later.

        Raises ``GarbledError`` when the plan has no such partition.
        """
        if max(partition, *ahead, 0) >= len(self._plan.partitions):
            raise GarbledError("it asked for a partition that is not there")
        self._needed[worker] = (partition, *ahead)
        self._start(lambda: self._fetch(worker, partition))

    def store(self, worker: int, task: int) -> None:
        """Store the result that a worker has left."""
        self._start(lambda: self._store_result(worker, task))

    def is_stored(self, task: int) -> bool:
        """Return whether a worker has left a sound result in its place on this machine."""
        return self._store.sound_manifest_digest(self._plan.tasks[task].task_id) is not None

    def taken(self) -> list[Delivery]:
        """Return what has been done since the last call."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.done, 1 << 16)
        ended = [future for future in self._running if future.done()]
        for future in ended:
            del self._running[future]
        return [future.result() for future in ended]

    def close(self) -> None:
        """Wait for what is being stored; fetch nothing more."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=False)
        if self._fetched is not None:
            self._fetched.close()
        os.close(self.done)
        os.close(self._wake)

    def _start(self, work: Callable[[], Delivery]) -> None:
        self._threads = self._threads or ThreadPoolExecutor(_THREADS, thread_name_prefix="supply")
        future = self._threads.submit(work)
        self._running[future] = None
        future.add_done_callback(lambda _: os.write(self._wake, b"."))

    def _fetch(self, worker: int, partition: int) -> Delivery:
        fetched = self._fetched
        if fetched is None:
            return Delivery(worker, None, Kind.OK, "", partition=partition)
        try:
            with self._counting:
                # What any worker needs: they share the files. A copy: others may be added.
                all_needed = itertools.chain.from_iterable(tuple(self._needed.values()))
                wanted = dict.fromkeys((partition, *sorted(all_needed)))
                needed = [self._plan.partitions[index] for index in wanted]
                fetched.keep_only(*needed)
                for each in needed:
                    fetched.request(each)
            fetched.wait(needed[0])
        except TradingRuntimeError as error:
            return Delivery(worker, None, error.kind, str(error), partition=partition)
        except OSError as error:
            message = f"{error.filename}: cannot be written: {error.strerror}"
            return Delivery(worker, None, Kind.STORAGE, message, partition=partition)
        with self._counting:
            new = fetched.fetched_bytes - self._counted
            self._counted += new
        return Delivery(worker, None, Kind.OK, "", new, partition)

    def _store_result(self, worker: int, task: int) -> Delivery:
        task_id = self._plan.tasks[task].task_id
        left = Store(self.results_of(worker))
        try:
            files = left.read_task(task_id)
        except DataError as error:
            return Delivery(worker, task, Kind.CRASH, f"{NO_RESULT}: {error}")
        try:
            self._store.write_task(task_id, files)
        except TradingRuntimeError as error:
            return Delivery(worker, task, error.kind, str(error))
        shutil.rmtree(left.task(task_id), ignore_errors=True)
        return Delivery(worker, task, Kind.OK, "")
