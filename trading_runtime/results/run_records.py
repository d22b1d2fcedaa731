"""Reads the tables of a run, allowing for damage."""

from __future__ import annotations

import io
from hashlib import sha256
from typing import TYPE_CHECKING

from trading_runtime.config.statistic_names import POINT_STATISTICS
from trading_runtime.errors import DataError
from trading_runtime.storage.files import MOST_DOCUMENT, read_bytes

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from trading_runtime.records.result import TableDigests

_COLUMNS = {
    "points": ("point", "tasks", "ok", *POINT_STATISTICS),
    "results": ("task_id", "point", "partition", "status", "start", "end"),
}
_AGAIN = "run the experiment again with this run id"


def read_table(path: Path, tables: TableDigests | None) -> pl.DataFrame:
    """Return ``results.parquet`` or ``points.parquet`` of a run whose result states ``tables``.

    Raises ``DataError`` when it is damaged: a complete run states the sha256 of both.
    """
    import polars as pl

    try:
        content = read_bytes(path, MOST_DOCUMENT)
        if tables is not None and sha256(content).hexdigest() != getattr(tables, path.stem):
            raise DataError(f"{path}: damaged: its sha256 is not the one in result.json; {_AGAIN}")
        table = pl.read_parquet(io.BytesIO(content))
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise DataError(f"{path}: cannot be read: {reason}; {_AGAIN}") from error
    missing = [name for name in _COLUMNS[path.stem] if name not in table.columns]
    if missing:
        raise DataError(f"{path}: damaged: column {missing[0]!r} is missing; {_AGAIN}")
    return table
