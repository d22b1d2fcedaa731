"""Check an experiment and plan it: all that happens before anything is started or written."""

from __future__ import annotations

import contextlib
import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.config.loading import LoadedExperiment, load_experiment
from trading_runtime.config.strategy_code import StrategyCode, find_strategy_code
from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.engine.strategy_loading import check_configs
from trading_runtime.engine.venue import check_venue
from trading_runtime.errors import StrategyError, UsageError
from trading_runtime.planning.identity import decode_values
from trading_runtime.planning.plan import Plan, make_plan
from trading_runtime.results.opening import open_store
from trading_runtime.runs.metrics import measured_rate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trading_runtime.results.store import Store


@dataclass(frozen=True)
class Prepared:
    """An experiment that was checked and planned; nothing was started or written."""

    loaded: LoadedExperiment
    code: StrategyCode
    store: Store
    plan: Plan
    workers: int
    manifests: dict[str, str]
    """The sha256 of the manifests that verified while it was planned, by task id."""


def prepare(experiment: str | Path, workers: int | None = None) -> Prepared:
    """Check the experiment file and expand it to tasks; no row of market data is read.

    Raises ``UsageError`` for a bad experiment, ``DataError`` for a dataset without a sound
    manifest, ``StrategyError`` when the strategy's modules raise while they are imported.
    """
    loaded = load_experiment(experiment)
    with naming(experiment):
        return prepare_loaded(loaded, workers)


def prepare_loaded(loaded: LoadedExperiment, workers: int | None) -> Prepared:
    """Expand a loaded experiment to tasks; raises as ``prepare`` does, naming no experiment."""
    settings = loaded.experiment.strategy
    code = find_strategy_code(settings.path, loaded.code_folder, settings.code)
    manifest = load_manifest(loaded.dataset_place)
    store = open_store(loaded.results_place)
    workers = workers or loaded.experiment.workers or os.cpu_count() or 1
    manifests: dict[str, str] = {}
    plan = make_plan(
        loaded.experiment,
        manifest,
        code,
        is_cached=functools.partial(store.has_task, sound=manifests),
        workers=workers,
        rate=measured_rate(store, code.path),
    )
    check_venue(plan.document["common"])
    # Made for every point here, so that a bad parameter fails before anything runs.
    configs = [
        decode_values(plan.document["strategy"]["config"] | point["config"])
        for point in plan.document["points"]
    ]
    try:
        check_configs(code, settings.config_path, configs)
    except SystemExit as error:
        raise StrategyError(
            f"{code.file}: the strategy's config called sys.exit() while it was made"
        ) from error
    return Prepared(loaded, code, store, plan, workers, manifests)


@contextlib.contextmanager
def naming(experiment: str | Path) -> Iterator[None]:
    """Put the experiment file, as it was given, in front of what is said of its content."""
    try:
        yield
    except UsageError as error:
        # A line that begins with the path of another file speaks of that one.
        lines = [
            line if Path(line.partition(": ")[0]).is_absolute() else f"{experiment}: {line}"
            for line in str(error).splitlines()
        ]
        raise UsageError("\n".join(lines)) from error
