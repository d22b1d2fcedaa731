"""Check an experiment and plan it, before anything is started or written."""

from __future__ import annotations

import contextlib
import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.config.loading import (
    LoadedExperiment,
    experiment_of,
    load_experiment,
    without_places,
)
from trading_runtime.config.messages import SettingsError
from trading_runtime.config.strategy_code import StrategyCode, find_strategy_code
from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.errors import UsageError
from trading_runtime.planning.partitions import choose_series
from trading_runtime.planning.plan import make_plan
from trading_runtime.planning.run_warnings import default_warnings
from trading_runtime.records.run_warnings import RunWarning, WarningKind
from trading_runtime.results.holdout import HoldOut, is_open, refuse_held_out
from trading_runtime.results.store import open_store
from trading_runtime.runs.rates import measured_rate
from trading_runtime.units import format_instant, parse_instant

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from trading_runtime.config.experiment import Experiment
    from trading_runtime.datasets.manifest import Manifest
    from trading_runtime.planning.plan import Window
    from trading_runtime.planning.points import PointList
    from trading_runtime.records.plan import Plan
    from trading_runtime.results.store import Store

    Check = Callable[["LoadedExperiment", StrategyCode, Plan], Mapping[str, Sequence[str]]]
    """Returns the string fields of the strategy's config that keep their default."""


@dataclass(frozen=True)
class PreparedRun:
    """An experiment that has been checked and planned; nothing has been started or written."""

    loaded: LoadedExperiment
    code: StrategyCode
    store: Store
    plan: Plan
    workers: int
    manifests: dict[str, str]
    """The sha256 of each manifest verified during planning, by task id."""
    held: HoldOut | None = None
    """What the experiment holds out."""


def check_here(_: LoadedExperiment, code: StrategyCode, plan: Plan) -> Mapping[str, Sequence[str]]:
    """Let the engine check venue and strategy in this process; raises as ``prepare_run`` does."""
    from trading_runtime.engine.simulation.venue import check_settings

    return check_settings(code, plan.common, plan.configs)


def prepare_run(
    experiment: str | Path | Mapping[str, Any],
    workers: int | None = None,
    check: Check = check_here,
) -> PreparedRun:
    """Check the experiment and expand it to tasks; no row of market data is read.

    It is the path of a file, or its content, whose paths then start at the current folder.
    ``check`` asks the engine about venue and strategy, in this process or in another one.

    Raises ``UsageError`` for a bad experiment, ``DataError`` for a dataset without a sound
    manifest, ``StrategyError`` when the strategy's modules raise while they are imported.
    """
    if not isinstance(experiment, (str, Path)):
        loaded = experiment_of(experiment)
        with without_places(loaded.shown), naming("experiment"):
            return prepare_loaded(loaded, workers, check)
    loaded = load_experiment(experiment)
    with naming(experiment):
        return prepare_loaded(loaded, workers, check)


def prepare_loaded(
    loaded: LoadedExperiment,
    workers: int | None,
    check: Check = check_here,
    points: PointList | None = None,
    store: Store | None = None,
) -> PreparedRun:
    """Expand a loaded experiment to tasks; raises as ``prepare_run`` does, naming no experiment.

    ``points`` are the points to plan, when a search asks for them; ``store`` is the experiment's,
    if it is open.
    """
    settings = loaded.experiment.strategy
    code = find_strategy_code(
        settings.path, loaded.code_folder, settings.code, settings.config_path
    )
    manifest = load_manifest(loaded.dataset_place)
    store = store or open_store(loaded.results_place)
    workers = workers or loaded.experiment.workers or os.cpu_count() or 1
    manifests: dict[str, str] = {}
    held = held_out(loaded.experiment, manifest)
    is_opened = held is not None and is_open(store, held)
    try:
        plan = make_plan(
            loaded.experiment if held is None or is_opened else _before(loaded.experiment, held),
            manifest,
            code,
            is_cached=functools.partial(store.has_task, sound=manifests),
            workers=workers,
            rate=measured_rate(store, code.path),
            points=points,
            windows=_windows(loaded.experiment),
        )
    except SettingsError as error:
        raise loaded.placed(error) from error
    if points is None:
        _check_budget(loaded.experiment, len(plan.tasks))
    own = () if held is None else (held,)
    refuse_held_out(store, plan, own, key=_end_key(loaded.experiment, () if is_opened else own))
    if held is not None:
        plan = replace(plan, warnings=(*plan.warnings, _warning(held, is_opened=is_opened)))
    # With every point's config, so that a bad parameter fails before anything runs.
    defaults = check(loaded, code, plan)
    if defaults:
        chosen = choose_series(manifest, loaded.experiment.dataset, loaded.experiment.partitions)
        found = default_warnings(loaded.experiment, manifest, chosen, defaults)
        plan = replace(plan, warnings=(*plan.warnings, *found))
    return PreparedRun(loaded, code, store, plan, workers, manifests, held)


def _windows(
    experiment: Experiment,
) -> Callable[[Sequence[Window]], Collection[Window]] | None:
    """Return what chooses the windows to plan: those to train on, of the split of a validation."""
    asked = experiment.validation
    if asked is None or asked.split is None:
        return None
    from trading_runtime.results.validation import split_of

    settings, number = asked.model_dump(), asked.split

    def chosen(windows: Sequence[Window]) -> Collection[Window]:
        return {windows[place] for place in split_of(settings, len(windows), number).train}

    return chosen


def _check_budget(experiment: Experiment, tasks: int) -> None:
    """Raise ``UsageError`` when points that no result changes take more tasks than allowed."""
    search = experiment.search
    if search is None or search.is_adaptive or search.budget is None or tasks <= search.budget:
        return
    raise UsageError(
        f"search.budget: {search.budget:,} tasks, and {search.method} takes {tasks:,}; ask for "
        "fewer points, or allow more tasks"
    )


def held_out(experiment: Experiment, manifest: Manifest) -> HoldOut | None:
    """Return the hold-out that an experiment declares over a dataset, open or not."""
    if experiment.holdout is None:
        return None
    named = experiment.dataset.instruments or [item.id for item in manifest.instruments]
    return HoldOut.of(named, experiment.holdout.start)


def _before(experiment: Experiment, held: HoldOut) -> Experiment:
    """Return the experiment without held-out rows; raises ``UsageError`` when nothing is left."""
    partitions = experiment.partitions
    if partitions.start is not None and parse_instant(partitions.start) >= held.start:
        raise UsageError(
            f"partitions.start: {partitions.start} is held out (holdout.start); start before it, "
            "or open the hold-out with 'trading-runtime holdout open'"
        )
    if partitions.end is not None and parse_instant(partitions.end) <= held.start:
        return experiment
    clipped = partitions.model_copy(update={"end": format_instant(held.start)})
    return experiment.model_copy(update={"partitions": clipped})


def _end_key(experiment: Experiment, closed: Sequence[HoldOut]) -> str:
    """Return the setting that says where windows end; ``closed`` are the experiment's hold-outs."""
    end = experiment.partitions.end
    held_out = any(end is None or parse_instant(end) > held.start for held in closed)
    return "holdout.start" if held_out else "partitions.end"


def _warning(held: HoldOut, *, is_opened: bool) -> RunWarning:
    said = "is open: 'trading-runtime holdout list' says why" if is_opened else "is not planned"
    return RunWarning(WarningKind.HELD_OUT, f"{held} {said}", "holdout")


@contextlib.contextmanager
def naming(experiment: str | Path) -> Iterator[None]:
    """Prefix messages about the experiment's content with its path, as given."""
    try:
        yield
    except UsageError as error:
        # A line that begins with another file's path is about that file.
        lines = [
            line
            if Path(line.partition(": ")[0]).is_absolute() or line.startswith("s3://")
            else f"{experiment}: {line}"
            for line in str(error).splitlines()
        ]
        raise UsageError("\n".join(lines)) from error
