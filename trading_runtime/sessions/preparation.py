"""Check a deployment and find what its session needs; start and write nothing."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.config.adapters import AdapterData, AdapterExecution
from trading_runtime.config.deployment import Deployment, LoadedDeployment, load_deployment
from trading_runtime.config.strategy_code import StrategyCode, find_strategy_code
from trading_runtime.datasets.fetching import fetched_dataset
from trading_runtime.datasets.manifest import MANIFEST_FORMAT, Manifest, load_manifest
from trading_runtime.datasets.slices import Slice, copy_partition, cut_partition
from trading_runtime.engine.live.adapters import adapter_client
from trading_runtime.execution.preparation import PreparedRun, check_here, naming
from trading_runtime.planning.arriving import ArrivingWindow, arriving_plan
from trading_runtime.planning.identity import (
    partition_digest,
    partition_inputs,
    task_id,
    task_inputs,
)
from trading_runtime.planning.plan import make_plan
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.records.planned_data import PlannedRowGroup
from trading_runtime.results.holdout import refuse_held_out
from trading_runtime.results.store import open_store
from trading_runtime.storage.files import storage_errors
from trading_runtime.storage.scratch import Scratch
from trading_runtime.units import DAY, format_instant

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trading_runtime.config.experiment import Experiment
    from trading_runtime.config.loading import LoadedExperiment
    from trading_runtime.datasets.observed_days import Observed
    from trading_runtime.records.inputs import TaskInputs
    from trading_runtime.records.plan import Plan, PlannedPartition
    from trading_runtime.results.store import Store


_MICROSECOND = 1_000
_MOST_BESIDE = 64 << 20
"""Bytes outside the window that may be copied with it: importing Arrow would take longer."""
_NOTHING = Manifest(format=MANIFEST_FORMAT, instruments=(), instrument_files=(), files=())


@dataclass(frozen=True)
class PreparedSession:
    """A deployment that was checked."""

    deployment: Deployment
    loaded: LoadedExperiment
    code: StrategyCode
    manifest: Manifest
    """Without content when the data arrives."""
    store: Store
    prepared_at: int = field(default_factory=lambda: time.time_ns() // _MICROSECOND * _MICROSECOND)

    def plan(
        self,
        run_id: str | None,
        *,
        start: int | None = None,
        end: int | None = None,
        balances: Sequence[str] | None = None,
    ) -> Plan:
        """Return the plan of a session, or, without ``run_id``, that of the same backtest.

        ``start`` and ``end`` cut its one window, in nanoseconds and whole microseconds;
        ``balances`` are the starting balances instead of the deployment's.
        """
        mode = self.deployment.mode
        data = self.deployment.data
        if isinstance(data, AdapterData):
            window = ArrivingWindow(self.prepared_at, self.prepared_at + DAY)
            unasked = [{"id": name} for name in data.instruments]
            instruments = list(map(InstrumentDefinition.from_document, unasked))
            return self.arriving_plan(run_id, instruments, window)
        return make_plan(
            _changed(self.loaded.experiment, start, end, balances),
            self.manifest,
            self.code,
            is_cached=lambda _task: False,
            workers=1,
            session=None if run_id is None else {"run_id": run_id, "mode": mode},
        )

    def arriving_plan(
        self,
        run_id: str | None,
        instruments: Sequence[InstrumentDefinition],
        window: ArrivingWindow,
        balances: Sequence[str] | None = None,
    ) -> Plan:
        """Return the plan of a session whose data arrives in ``window``.

        ``instruments`` are their definitions, or only their ids; ``balances`` are as in ``plan``.
        """
        return arriving_plan(
            _changed(self.loaded.experiment, None, None, balances),
            self.code,
            instruments,
            window,
            {"run_id": run_id or "", "mode": self.deployment.mode},
            self.manifest.digest,
        )

    def as_run(self, plan: Plan) -> PreparedRun:
        """Return the preparation of the equivalent research run."""
        return PreparedRun(self.loaded, self.code, self.store, plan, 1, {})

    @property
    def read(self) -> LoadedDeployment:
        """The deployment with its file."""
        return LoadedDeployment(self.deployment, self.loaded)

    def explicit_deployment(self) -> str:
        """Return the deployment as JSON with all defaults."""
        content = self.deployment.model_dump(mode="json", by_alias=True)
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def prepare_session(path: str | Path, code_folder: Path | None = None) -> PreparedSession:
    """Check the deployment file: its keys, the dataset's manifest, venue and strategy.

    Relative paths of the strategy's code start in ``code_folder``, else at the file.

    Raises ``UsageError`` for a bad deployment, ``DataError`` for a dataset without a sound
    manifest, ``StrategyError`` when the strategy's modules raise while they are imported.
    """
    read = load_deployment(path, code_folder)
    with naming(path):
        prepared = prepared_of(read)
        plan = prepared.plan(None)
        check_here(read.loaded, prepared.code, plan)
        _check_adapters(read.deployment)
        if not isinstance(read.deployment.data, AdapterData):
            refuse_held_out(prepared.store, plan, key="data.end")
    return prepared


def _check_adapters(deployment: Deployment) -> None:
    for part in (deployment.data, deployment.execution):
        if isinstance(part, (AdapterData, AdapterExecution)):
            adapter_client(part)


def prepared_of(read: LoadedDeployment) -> PreparedSession:
    """Find code, dataset and store of a deployment; raises as ``prepare_session`` does."""
    settings = read.deployment.strategy
    return PreparedSession(
        read.deployment,
        read.loaded,
        find_strategy_code(
            settings.path, read.loaded.code_folder, settings.code, settings.config_path
        ),
        _NOTHING
        if isinstance(read.deployment.data, AdapterData)
        else load_manifest(read.loaded.dataset_place),
        open_store(read.loaded.results_place),
    )


def _changed(
    experiment: Experiment, start: int | None, end: int | None, balances: Sequence[str] | None
) -> Experiment:
    changes: dict[str, Any] = {}
    given = {"start": start, "end": end}
    bounds = {key: format_instant(value) for key, value in given.items() if value is not None}
    if bounds:
        changes["partitions"] = experiment.partitions.model_copy(update=bounds)
    if balances is not None:
        changes["venue"] = experiment.venue.model_copy(update={"balances": list(balances)})
    return experiment.model_copy(update=changes)


@dataclass(frozen=True)
class SessionWindow:
    """The one partition of a session's plan, with its rows in a catalog on disk."""

    plan: Plan
    partition: PlannedPartition
    inputs: TaskInputs
    catalog: Path
    slice: Slice
    """How many rows it has; an upper bound when files were only copied."""
    dataset: str
    """Its rows can be cut from this again; empty when the data arrived."""

    @property
    def task_id(self) -> str:
        """The id of the plan's one task."""
        return self.plan.tasks[0].task_id

    @property
    def stored_inputs(self) -> dict[str, Any]:
        """The inputs in the form of a result's manifest."""
        return self.inputs.to_document(self.plan.configs[0])


def arrived_window(plan: Plan, observed: Observed | None = None) -> SessionWindow:
    """Return the window of a session whose data arrived: there are no rows in a catalog."""
    return _window(plan, Path(), Slice(plan.partitions[0].rows_max, 0, observed), "")


@contextlib.contextmanager
def copied_window(plan: Plan, manifest: Manifest, dataset: str) -> Iterator[SessionWindow]:
    """Copy the files with rows of the plan's one partition, for as long as the block lasts.

    Rows can be played without being cut. Cutting needs Arrow, whose import takes as long as a bare
    node's start. ``cut_window`` accepts the copy as its dataset. Raises ``DataError`` when the
    bytes are not those of the manifest.
    """
    partition = plan.partitions[0]
    whole = whole_files(partition, manifest)
    with _scratch(dataset, whole or partition) as (scratch, source):
        copy = catalog = scratch / "copy"
        copy.mkdir()
        part = Slice(partition.rows_max, 0)
        with _enough_storage(scratch):
            copy_partition(whole or partition, source, copy)
            if whole is None:
                catalog = scratch / "partition"
                catalog.mkdir()
                part = cut_partition(partition, copy, catalog)
        yield _window(plan, catalog, part, str(copy))


@contextlib.contextmanager
def cut_window(plan: Plan, dataset: str) -> Iterator[SessionWindow]:
    """Cut the rows of the plan's one partition out of the dataset, for as long as the block lasts.

    Raises ``DataError`` when they are not those of the manifest.
    """
    partition = plan.partitions[0]
    with _scratch(dataset, partition) as (scratch, source):
        catalog = scratch / "partition"
        catalog.mkdir()
        with _enough_storage(scratch):
            part = cut_partition(partition, source, catalog)
        yield _window(plan, catalog, part, dataset)


def whole_files(partition: PlannedPartition, manifest: Manifest) -> PlannedPartition | None:
    """Return a partition with all row groups of its files.

    ``None`` when they are much larger than the partition, or files of a series overlap.
    """
    data, size = [], 0
    for series in partition.data:
        names, last = {file.path for file in series.files}, 0
        found = manifest.files_of({(series.type, series.identifier)})
        groups: list[PlannedRowGroup] = []
        for file in (file for file in found if file.path in names):
            if file.row_groups[0].first < last:
                return None
            last = file.row_groups[-1].last
            groups += (
                PlannedRowGroup(file.path, item.index, item.offset, item.bytes, item.sha256)
                for item in file.row_groups
            )
        size += sum(group.bytes for group in groups)
        data.append(series._replace(row_groups=tuple(groups)))
    if size > partition.bytes + _MOST_BESIDE:
        return None
    return replace(partition, data=tuple(data))


@contextlib.contextmanager
def _scratch(dataset: str, partition: PlannedPartition) -> Iterator[tuple[Path, Path]]:
    """Yield a new temporary folder, and the dataset's, which is in it when it came from S3."""
    with Scratch() as scratch:
        with _enough_storage(scratch.path):
            source = fetched_dataset(dataset, [partition], scratch.path / "dataset")
        yield scratch.path, Path(source)


def _enough_storage(scratch: Path) -> contextlib.AbstractContextManager[None]:
    return storage_errors(scratch, "set TMPDIR to a folder with more of it")


def _window(plan: Plan, catalog: Path, part: Slice, dataset: str) -> SessionWindow:
    partition = plan.partitions[0]
    seen = partition_inputs(partition, plan.instruments)
    window = SessionWindow(plan, partition, task_inputs(plan, 0, seen), catalog, part, dataset)
    expected = task_id(digest(plan.common.content), plan.configs[0], partition_digest(seen))
    if expected != window.task_id:
        raise AssertionError("the plan does not match its own task id")
    return window
