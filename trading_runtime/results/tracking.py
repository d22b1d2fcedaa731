"""A run in MLflow: its points as nested runs, with their parameters and statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trading_runtime.config.statistic_names import POINT_STATISTICS
from trading_runtime.errors import StorageError, UsageError
from trading_runtime.results.frames import row_parameters

if TYPE_CHECKING:
    from trading_runtime.records.metadata import RunMetadata
    from trading_runtime.records.result import RunResult

_RUN_TAG = "trading_runtime.run_id"
_AT_ONCE = 100
"""MLflow takes at most so many parameters in one request."""


def track(
    uri: str | None,
    metadata: RunMetadata,
    result: RunResult,
    points: pl.DataFrame,
) -> str:
    """Write a run to the tracking server at ``uri``, and return the id that it has there.

    Without a URI it is MLflow's own: ``MLFLOW_TRACKING_URI``, or what is the default. Statistics
    are floats there. Raises ``UsageError`` when MLflow is not installed or has the run already,
    ``StorageError`` when it cannot be written to.
    """
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise UsageError(
            "--to mlflow needs MLflow, which is not installed; run "
            "'pip install \"trading-runtime[mlflow]\"'"
        ) from error
    try:
        return _written(MlflowClient(uri), metadata, result, points)
    except MlflowException as error:
        raise StorageError(
            f"MLflow: {error}; --tracking-uri names the server, such as http://localhost:5000"
        ) from error


def _written(client: Any, metadata: RunMetadata, result: RunResult, points: pl.DataFrame) -> str:
    name = metadata.experiment_name
    known = client.get_experiment_by_name(name)
    place = client.create_experiment(name) if known is None else known.experiment_id
    same = client.search_runs([place], f"tags.`{_RUN_TAG}` = '{metadata.run_id}'")
    if same:
        raise UsageError(
            f"run {metadata.run_id!r} is in MLflow already, as {same[0].info.run_id}; delete that "
            "one to export it again"
        )
    best = {} if result.best is None else {"best_point": str(result.best.point)}
    of_run = {
        _RUN_TAG: metadata.run_id,
        "trading_runtime.run_digest": result.run_digest,
        "trading_runtime.dataset_digest": metadata.dataset_digest,
        "trading_runtime.complete": str(result.complete).lower(),
        **{f"trading_runtime.{key}": value for key, value in best.items()},
        **metadata.labels,
    }
    whole: str = client.create_run(place, run_name=metadata.run_id, tags=of_run).info.run_id
    for row in points.iter_rows(named=True):
        tags = {"mlflow.parentRunId": whole, "trading_runtime.point": str(row["point"])}
        run = client.create_run(place, run_name=f"point {row['point']}", tags=tags).info.run_id
        _log(client, run, row)
        client.set_terminated(run)
    if result.best is not None:
        _log(
            client, whole, points.row(by_predicate=pl.col("point") == result.best.point, named=True)
        )
    client.set_terminated(whole)
    return whole


def _log(client: Any, run: str, row: dict[str, Any]) -> None:
    """Write the parameters and the statistics of a point to a run of MLflow."""
    from mlflow.entities import Metric, Param

    parameters = [Param(name, str(value)) for name, value in row_parameters(row).items()]
    metrics = [
        Metric(name, float(row[name]), timestamp=0, step=0)
        for name in POINT_STATISTICS
        if row[name] is not None
    ]
    for first in range(0, max(len(parameters), len(metrics)), _AT_ONCE):
        chosen = slice(first, first + _AT_ONCE)
        client.log_batch(run, metrics=metrics[chosen], params=parameters[chosen])
