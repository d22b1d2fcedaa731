"""Reads a run's own records, allowing for damage."""

from __future__ import annotations

import hashlib
import io
from types import NoneType
from typing import TYPE_CHECKING, Any

from trading_runtime.config.statistic_names import POINT_STATISTICS
from trading_runtime.errors import DataError
from trading_runtime.records.forms import check_form
from trading_runtime.storage.files import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import polars as pl

    from trading_runtime.records.forms import Form
    from trading_runtime.records.run_files import RunFiles

_RESULT: Form = {
    "run_digest": str,
    "complete": bool,
    "counts": dict.fromkeys(("planned", "ok", "failed", "missing"), int),
    "failed_by_kind": dict,
    "objective": {"metric": str, "direction": str},
    "best": (dict, NoneType),
}
_BEST: Form = {"point": int, "parameters": dict, "value": (str, int, float)}

_COLUMNS = {
    "points": ("point", "tasks", "ok", *POINT_STATISTICS),
    "results": ("task_id", "point", "partition", "status", "start", "end"),
}
_AGAIN = "run the experiment again with this run id"


def read_result(files: RunFiles) -> dict[str, Any] | None:
    """Return the content of ``result.json``, ``None`` when the run has not reached it.

    Raises ``DataError`` when it is damaged.
    """
    content = _read(files.result, _RESULT)
    if content is not None and content["best"] is not None:
        _check(files.result, content["best"], _BEST, "best")
    return content


def read_table(path: Path, result: Mapping[str, Any]) -> pl.DataFrame:
    """Return ``results.parquet`` or ``points.parquet`` of a run with this ``result``.

    Raises ``DataError`` when it is damaged: a complete run states the sha256 of both.
    """
    import polars as pl

    try:
        content = path.read_bytes()
        stated = result.get("tables", {}).get(path.stem)
        if stated not in {None, hashlib.sha256(content).hexdigest()}:
            raise DataError(f"{path}: damaged: its sha256 is not the one in result.json; {_AGAIN}")
        table = pl.read_parquet(io.BytesIO(content))
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise DataError(f"{path}: cannot be read: {reason}; {_AGAIN}") from error
    missing = [name for name in _COLUMNS[path.stem] if name not in table.columns]
    if missing:
        raise DataError(f"{path}: damaged: column {missing[0]!r} is missing; {_AGAIN}")
    return table


def _read(path: Path, form: Form) -> dict[str, Any] | None:
    content = read_json(path)
    if content is None:
        return None
    _check(path, content, form)
    return dict(content)


def _check(path: Path, content: object, form: Form, place: str = "") -> None:
    try:
        check_form(content, form, place)
    except ValueError as error:
        raise DataError(
            f"{path}: damaged: {error}; remove the folder of the run and run the experiment "
            "again: stored results are kept"
        ) from error
