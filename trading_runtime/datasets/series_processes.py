"""Processes that make series: without the engine, and with settings for bounded memory.

This module imports neither Polars nor Arrow, which read some of the settings when imported.
"""

from __future__ import annotations

import contextlib
import gc
import os
from functools import partial
from typing import TYPE_CHECKING

from trading_runtime.collector import collector_paused
from trading_runtime.datasets.remote_files import RemoteFile
from trading_runtime.errors import CrashError, DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trading_runtime.datasets.raw_content import RawPath
    from trading_runtime.datasets.series_making import MadeSeries
    from trading_runtime.datasets.series_rows import SeriesSource
    from trading_runtime.datasets.stored_rows import StoredRows

    type Job = tuple[SeriesSource, StoredRows | None]
    type Outcome = MadeSeries | DataError | UsageError

_SMALL = 32 << 20
"""Raw files of fewer bytes are read faster than a process starts."""
_MAPPED = 32 << 20
_TRIMMED = 64 << 20
_ENVIRONMENT = {
    # With more threads, small blocks cost more than they gain.
    "POLARS_MAX_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # Each block needs the memory that the block before freed. To return it to the system in
    # between doubles the system time.
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:10000,muzzy_decay_ms:-1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_MMAP_THRESHOLD_": str(_MAPPED),
    "MALLOC_TRIM_THRESHOLD_": str(_TRIMMED),
}
"""The variables of processes that make series: Polars uses jemalloc, Arrow glibc's malloc."""
_MALLOPT_TRIM, _MALLOPT_MAPPED = -1, -3
"""Numbers of the last two settings, for a process that runs already."""

_is_settled = False
"""Whether this process is one of them."""


@contextlib.contextmanager
def settled_process() -> Iterator[None]:
    """Make this process one that makes series, before it imports Polars and Arrow.

    It then makes a single series itself: another process would import everything again.
    """
    global _is_settled  # noqa: PLW0603 - the state of a process
    import ctypes

    with _environment():
        malloc_option = getattr(ctypes.CDLL(None), "mallopt", None)
        if malloc_option is not None:
            malloc_option(_MALLOPT_MAPPED, _MAPPED)
            malloc_option(_MALLOPT_TRIM, _TRIMMED)
        with collector_paused():
            import trading_runtime.datasets.series_making  # noqa: F401 - Polars, Arrow and NumPy
        gc.freeze()
        _is_settled = True
        try:
            yield
        finally:
            _is_settled = False


def outcomes(jobs: Sequence[Job], folder: Path) -> list[Outcome]:
    """Make each series, in a separate process when there is a lot to read.

    Raises ``CrashError`` when such a process dies.
    """
    make = partial(_outcome, folder)
    paths = {file.path for source, _ in jobs for file in source.files}
    if (_is_settled and len(jobs) == 1) or sum(map(_size, paths)) < _SMALL:
        return [make(job) for job in jobs]
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    with (
        _environment(),
        ProcessPoolExecutor(
            min(len(jobs), os.cpu_count() or 1),
            mp_context=multiprocessing.get_context("spawn"),
            max_tasks_per_child=1,
        ) as processes,
    ):
        try:
            return list(processes.map(make, jobs))
        except BrokenProcessPool as error:
            raise CrashError(
                "a process that reads raw files died, perhaps for want of memory; start the "
                "command again where more of it is free"
            ) from error


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Give processes that are started in the block the variables of ``_ENVIRONMENT``."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _size(path: RawPath) -> int:
    return path.size if isinstance(path, RemoteFile) else path.stat().st_size


def _outcome(folder: Path, job: Job) -> Outcome:
    from trading_runtime.datasets.series_making import make_series

    source, stored = job
    try:
        return make_series(source, folder, stored)
    except (DataError, UsageError) as error:
        return error
