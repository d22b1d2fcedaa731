"""Fetch the files of a dataset from S3, the next partition's while one is computed."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from trading_runtime.errors import DataError
from trading_runtime.storage.s3 import S3Folder, is_s3

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trading_runtime.records.plan import PlannedPartition

_CONNECTIONS = 4


class FetchedDataset:
    """A local copy of the dataset files that the current and the next partition need."""

    def __init__(self, objects: S3Folder, folder: Path) -> None:
        self.folder = folder
        self.fetched_bytes = 0
        """Everything fetched so far."""
        self._objects = objects
        self._threads = ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="fetch")
        self._files: dict[str, Future[None]] = {}
        self._counting, self._asking = threading.Lock(), threading.Lock()

    def request(self, partition: PlannedPartition) -> None:
        """Start fetching the missing files of ``partition``, and return at once."""
        for name in _names(partition):
            with self._asking:
                if name not in self._files:
                    self._files[name] = self._threads.submit(self._fetch, name)

    def wait(self, partition: PlannedPartition) -> None:
        """Return once all files of ``partition`` are local.

        Raises ``DataError`` for a file that the dataset does not have; ``StorageError`` and
        ``TransientError`` as the storage does.
        """
        self.request(partition)
        for name in _names(partition):
            try:
                self._files[name].result()
            except FileNotFoundError as error:
                raise DataError(
                    f"{self._objects.url}/{name}: the file is gone; restore it, or adopt the "
                    "dataset again"
                ) from error
            except BaseException:
                # The storage may have recovered by the next task.
                self._files.pop(name, None)
                raise

    def keep_only(self, *partitions: PlannedPartition) -> None:
        """Remove the files that none of ``partitions`` needs."""
        needed = {name for partition in partitions for name in _names(partition)}
        for name in [name for name in self._files if name not in needed]:
            self._files.pop(name).exception()
            (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Wait for running fetches; nothing more is fetched."""
        self._threads.shutdown(cancel_futures=True)

    def _fetch(self, name: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = self._objects.read(name)
        path.write_bytes(content)
        with self._counting:
            self.fetched_bytes += len(content)


def fetched_dataset(dataset: str, partitions: Iterable[PlannedPartition], folder: Path) -> str:
    """Return a folder with the data of ``partitions``: the dataset's, or ``folder`` if it is in S3.

    Raises what ``FetchedDataset.wait`` raises.
    """
    if not is_s3(dataset):
        return dataset
    fetched = FetchedDataset(S3Folder(dataset), folder)
    try:
        for partition in partitions:
            fetched.wait(partition)
    finally:
        fetched.close()
    return str(folder)


def _names(partition: PlannedPartition) -> list[str]:
    groups = (group for series in partition.data for group in series.row_groups)
    return list(dict.fromkeys(group.path for group in groups))
