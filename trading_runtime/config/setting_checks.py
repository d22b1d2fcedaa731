"""Checks of data, strategy, partitions, equity and objective: what no single key can show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trading_runtime.config.experiment import PartitionUnit
from trading_runtime.config.findings import (
    Finding,
    check_names,
    check_path,
    check_place,
    check_values,
)
from trading_runtime.config.messages import nearest, show
from trading_runtime.config.places import PathError, resolve_place
from trading_runtime.config.statistic_names import POINT_STATISTICS
from trading_runtime.time_units import DAY, parse_duration, parse_instant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trading_runtime.config.experiment import Experiment

_LONGEST = {  # a hundred years: later dates have no form
    PartitionUnit.HOUR: 876_600,
    PartitionUnit.DAY: 36_525,
    PartitionUnit.WEEK: 5_218,
    PartitionUnit.MONTH: 1_200,
}


def check_dataset(experiment: Experiment, folder: Path) -> Iterator[Finding]:
    """The dataset's folder, instruments and types can be used as written."""
    yield from check_place(("dataset", "path"), experiment.dataset.path, folder)
    for key in ("instruments", "types"):
        yield from check_names(("dataset", key), getattr(experiment.dataset, key))


def check_results(experiment: Experiment, folder: Path) -> Iterator[Finding]:
    """The results' folder can be used as written."""
    yield from check_place(("results",), experiment.results, folder)


def check_two_folders(experiment: Experiment, folder: Path) -> Iterator[Finding]:
    """Results never lie among the data."""
    try:
        dataset = resolve_place(experiment.dataset.path, folder)
        results = resolve_place(experiment.results, folder)
    except PathError:
        return
    if f"{results}/".startswith(f"{dataset}/"):
        yield Finding(
            ("results",), f"{experiment.results!r} lies in the dataset's folder; choose another"
        )


def check_strategy(experiment: Experiment, folder: Path) -> Iterator[Finding]:
    """The files that a strategy names exist, and its fixed values can be given to it exactly."""
    strategy = experiment.strategy
    for key, text in (("path", strategy.path), ("config_path", strategy.config_path)):
        where = (text or "").partition(":")[0]
        if where.endswith(".py"):
            yield from check_path(("strategy", key), where, folder, exists="file")
    for index, text in enumerate(strategy.code):
        yield from check_path(("strategy", "code", index), text, folder, exists="file or folder")
    if strategy.path.startswith("builtin:") and strategy.config_path is not None:
        yield Finding(
            ("strategy", "config_path"), "a builtin strategy has its own config class; leave it out"
        )
    if (strategy.config_path or "").startswith("builtin:"):
        yield Finding(
            ("strategy", "config_path"), "a config class is Python: write 'package.module:Class'"
        )
    yield from check_values(("strategy", "config"), strategy.config)
    yield from check_names(("strategy", "requirements"), strategy.requirements)


def check_builtin_warmup(experiment: Experiment, _: Path) -> Iterator[Finding]:
    """A strategy in Rust cannot be guarded, so it has no warm-up."""
    if experiment.strategy.path.startswith("builtin:") and experiment.partitions.warmup:
        yield Finding(
            ("partitions", "warmup"),
            "a builtin strategy cannot be kept from trading in a warm-up; leave it out",
        )


def check_partitions(experiment: Experiment, _: Path) -> Iterator[Finding]:
    """Unit, count, length, start and end go together."""
    settings = experiment.partitions
    unit = settings.by
    if unit is PartitionUnit.DURATION and settings.length is None:
        yield Finding(
            ("partitions", "by"), "'duration' needs the key 'length' beside it, such as \"10s\""
        )
    if unit is not PartitionUnit.DURATION and settings.length is not None:
        yield Finding(("partitions", "length"), "goes with 'by: duration' only", of_key=True)
    if unit in {PartitionUnit.WHOLE, PartitionUnit.DURATION} and settings.count != 1:
        yield Finding(
            ("partitions", "count"),
            f"does not go with 'by: {unit}'; it counts hours, days, weeks, months, rows or bytes",
            of_key=True,
        )
    if unit in {PartitionUnit.ROWS, PartitionUnit.BYTES} and (
        "count" not in settings.model_fields_set
    ):
        yield Finding(
            ("partitions", "by"), f"{unit.value!r} needs the key 'count' beside it: how many {unit}"
        )
    longest = _LONGEST.get(unit)
    if longest is not None and settings.count > longest:
        yield Finding(
            ("partitions", "count"), f"must be at most {longest} with 'by: {unit}' (100 years)"
        )
    if (
        settings.start
        and settings.end
        and parse_instant(settings.end) <= parse_instant(settings.start)
    ):
        yield Finding(
            ("partitions", "end"), f"{settings.end!r} is not after start {settings.start!r}"
        )


def check_equity(experiment: Experiment, _: Path) -> Iterator[Finding]:
    """The sampling interval divides a day."""
    interval = experiment.equity.interval
    if DAY % parse_duration(interval):
        yield Finding(
            ("equity", "interval"),
            f"{interval!r} does not divide a day; take one such as '1m', '15m', '1h' or '1d'",
        )


def check_objective(experiment: Experiment, _: Path) -> Iterator[Finding]:
    """The metric is a statistic of a point."""
    metric = experiment.objective.metric
    if metric not in POINT_STATISTICS:
        hint = nearest(metric, POINT_STATISTICS) or f"; known are {', '.join(POINT_STATISTICS)}"
        yield Finding(("objective", "metric"), f"{show(metric)} is not a statistic{hint}")
