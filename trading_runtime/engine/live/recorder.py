"""Market data as it comes, added to a dataset that grows.

Rows are kept in memory, and every few seconds written to new files of the catalog: a file gets its
name only when it is whole, so a killed process loses what was not flushed, and nothing else.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from nautilus_trader.persistence import ParquetDataCatalog

from trading_runtime.datasets.adopt import adopt
from trading_runtime.datasets.garbage import alone_in
from trading_runtime.engine.instruments.catalog import read_catalog_instruments, write_instruments
from trading_runtime.engine.instruments.files import instrument_types
from trading_runtime.storage.files import storage_errors
from trading_runtime.storage.folders import open_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from trading_runtime.records.instruments import InstrumentDefinition

_WRITERS: dict[str, Callable[..., Any]] = {
    "quotes": ParquetDataCatalog.write_quote_ticks,
    "trades": ParquetDataCatalog.write_trade_ticks,
    "bars": ParquetDataCatalog.write_bars,
}
_PARTIAL = ".recording"


class Recorder:
    """Adds rows to the dataset in a folder; one at a time does."""

    def __init__(self, folder: Path) -> None:
        """Finish what a killed process left: its whole files get into the manifest.

        Raises ``UsageError`` when another process adds to the dataset, or removes files.
        """
        self._folder = folder
        self._partial = folder / _PARTIAL
        self._rows: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
        self._taken: deque[tuple[str, list[Any]]] = deque()
        """Rows that are yet to be written, a list for each file."""
        self._writing = threading.Lock()
        self.rows = 0
        """How many rows are in files."""
        self._alone = contextlib.ExitStack()
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._alone.enter_context(alone_in(open_folder(str(folder))))
            shutil.rmtree(self._partial, ignore_errors=True)
        self._adopt()

    def add(self, kind: str, series: str, row: Any) -> None:
        """Take a row; ``kind`` is ``quotes``, ``trades`` or ``bars``."""
        self._rows[kind, series].append(row)

    def define(self, definitions: Sequence[InstrumentDefinition]) -> None:
        """Write the definitions of instruments whose rows are added."""
        with storage_errors(self._folder):
            write_instruments(self._folder, definitions)

    def flush(self, *, whole: bool = False) -> None:
        """Write what came; rows of the last instant stay, since more may come, unless ``whole``.

        Raises ``StorageError`` when that fails.
        """
        self.take(whole=whole)
        self.write()

    def take(self, *, whole: bool = False) -> None:
        """Let these rows be written by the next ``write``."""
        for (kind, series), rows in list(self._rows.items()):
            rows.sort(key=lambda row: row.ts_init)
            last = rows[-1].ts_init if rows and not whole else None
            if ready := [row for row in rows if row.ts_init != last]:
                self._taken.append((kind, ready))
                self._rows[kind, series] = [row for row in rows if row.ts_init == last]

    def write(self) -> None:
        """Write what was taken, in any thread; what could not be written is written next time."""
        with self._writing, storage_errors(self._folder):
            while self._taken:
                self._write(*self._taken[0])
                self._taken.popleft()

    def _write(self, kind: str, rows: list[Any]) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)  # of a write that failed
        self._partial.mkdir()
        catalog = ParquetDataCatalog(str(self._partial.absolute()))
        _WRITERS[kind](catalog, rows)
        for path in sorted((self._partial / "data").rglob("*.parquet")):
            final = self._folder / path.relative_to(self._partial)
            final.parent.mkdir(parents=True, exist_ok=True)
            path.replace(final)
        shutil.rmtree(self._partial)
        self.rows += len(rows)

    def finish(self) -> None:
        """Write the rest, and the dataset's manifest."""
        with self._alone:
            self.flush(whole=True)
            self._adopt()

    def _adopt(self) -> None:
        folders = [path.name for path in (self._folder / "data").glob("*")]
        if set(folders) & _WRITERS.keys():
            adopt(self._folder, frozenset(instrument_types()), read_catalog_instruments)
