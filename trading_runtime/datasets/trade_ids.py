"""Finds duplicate trade ids of a series in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa

from trading_runtime.datasets.row_checks import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from trading_runtime.datasets.row_checks import RowProblems

_PARTS = 256
_BUFFERED_ROWS = 262_144
_SCHEMA = pa.schema([("trade_id", pa.large_string()), ("file", pa.uint32()), ("row", pa.uint32())])


class TradeIds:
    """Looks for duplicate ids.

    For ids that are increasing whole numbers, only the last one is kept. All others are spread by
    their hash over files in ``folder``, each small enough to be checked at once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: int | None = None
        self._grows = True
        self._parts: _Parts | None = None

    def take(self, frame: pl.DataFrame) -> None:
        """Add the ids of more rows."""
        if self._parts is not None:
            self._parts.add(frame)
            return
        if not self._grows:
            return
        numbers = frame["trade_id"].cast(pl.Int64, strict=False)
        if not len(numbers):
            return
        grows = not numbers.null_count() and bool((np.diff(numbers.to_numpy()) > 0).all())
        if grows and (self._last is None or int(numbers[0]) > self._last):
            self._last = int(numbers[-1])
        elif self._last is None:
            self._parts = _Parts(self._folder)
            self._parts.add(frame)
        else:
            self._grows = False

    def check(self, problems: RowProblems, again: Callable[[], Iterable[pl.DataFrame]]) -> None:
        """Record duplicate ids; ``again`` yields all rows once more, if needed."""
        if self._grows and self._parts is None:
            return
        parts = self._parts
        if parts is None:
            parts = _Parts(self._folder)
            for frame in again():
                parts.add(frame)
        parts.check(problems)


class _Parts:
    """Ids spread over files by their hash."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._paths = [folder / f"{number}.arrows" for number in range(_PARTS)]
        self._writers: list[Any] = [None] * _PARTS
        self._pending: list[pl.DataFrame] = []
        self._rows = 0

    def add(self, frame: pl.DataFrame) -> None:
        self._pending.append(frame.select("trade_id", "file", "row"))
        self._rows += frame.height
        if self._rows >= _BUFFERED_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        frame = pl.concat(self._pending)
        self._pending, self._rows = [], 0
        parts = frame.with_columns(part=pl.col("trade_id").hash(0) % _PARTS).partition_by(
            "part", as_dict=True, include_key=False, maintain_order=True
        )
        for (part,), ids in parts.items():
            writer = self._writers[int(part)]
            if writer is None:
                writer = pa.ipc.new_stream(str(self._paths[int(part)]), _SCHEMA)
                self._writers[int(part)] = writer
            writer.write_table(ids.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(_SCHEMA))

    def check(self, problems: RowProblems) -> None:
        self._flush()
        for path, writer in zip(self._paths, self._writers, strict=True):
            if writer is None:
                continue
            writer.close()
            with pa.OSFile(str(path)) as file:
                ids = pl.DataFrame(pl.from_arrow(pa.ipc.open_stream(file).read_all()))
            path.unlink()
            repeated = ids.filter(~pl.col("trade_id").is_first_distinct())
            for index in repeated["file"].unique(maintain_order=True):
                rows = repeated.filter(pl.col("file") == index)
                value = rows["trade_id"][0]
                first = ids.filter(pl.col("trade_id") == value)
                place = problems.files[int(first["file"][0])].where(int(first["row"][0]))
                problems.add(
                    "duplicate", int(index), rows["row"],
                    f"trade_id {shown(value)} is already that of {place}", "keep one of them",
                )  # fmt: skip
