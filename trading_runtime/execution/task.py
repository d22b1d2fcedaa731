"""Turns a partition into a result: cut the data, run the engine, write the artifacts."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trading_runtime.canonical import digest
from trading_runtime.collector import collector_paused
from trading_runtime.config.statistic_names import COUNTS_OF_FLOWS
from trading_runtime.datasets.daily_closes import DailyCloses, daily_closes
from trading_runtime.datasets.idle_bars import bars_without_volume
from trading_runtime.datasets.slices import Slice, cut_partition
from trading_runtime.engine.accounting.cash_flows import NO_PAYMENTS
from trading_runtime.engine.accounting.equity import EquitySample
from trading_runtime.engine.accounting.liquidation import NO_LIQUIDATIONS
from trading_runtime.engine.accounting.tables import TaskTables
from trading_runtime.engine.accounting.valuation import to_raw
from trading_runtime.engine.instruments.catalog import write_instruments
from trading_runtime.engine.simulation.feed import DecodedRows, decoded
from trading_runtime.engine.simulation.kill_signal import KillSignal
from trading_runtime.engine.simulation.task import TaskOutput, run_task
from trading_runtime.engine.strategy.hidden_packages import without_optional_packages
from trading_runtime.errors import DataError, UsageError
from trading_runtime.planning.environment import refuse_other_environment
from trading_runtime.planning.identity import (
    partition_digest,
    partition_inputs,
    task_id,
    task_inputs,
)
from trading_runtime.results.artifacts import result_files, task_summary
from trading_runtime.storage.files import storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trading_runtime.config.strategy_code import StrategyCode
    from trading_runtime.records.inputs import PartitionInputs, TaskInputs
    from trading_runtime.records.plan import Plan, PlannedPartition
    from trading_runtime.results.store import Store


_TASKS_WORTH_DECODING = 2


@dataclass
class _CutPartition:
    """The partition whose catalog is on disk, so that later points need not cut it again."""

    index: int | None
    """Its index in the plan; ``None`` when another plan had it."""
    partition: PlannedPartition
    inputs: PartitionInputs
    digest: str
    """Digest of ``inputs``."""
    catalog: Path
    slice: Slice
    closes: DailyCloses
    idle_bars: dict[str, int]
    """Bars without volume by series, where bars move the market."""
    tasks: int = 0
    """Number of tasks run on it."""
    decoded: DecodedRows | None = None
    """Its rows as engine objects, decoded when a second task asks for them."""


class TaskRunner:
    """Runs tasks of a plan, one after another, on local files."""

    def __init__(  # noqa: PLR0913 - what a runner is made from
        self,
        plan: Plan,
        dataset: str,
        store: Store,
        code: StrategyCode,
        *,
        scratch: Path | None = None,
        log_level: str | None = None,
        fetch: Callable[[int, Sequence[int]], None] | None = None,
    ) -> None:
        """Prepare to run; partitions are cut into a new folder in ``scratch``.

        ``fetch`` brings the data of a partition into the folder ``dataset``, and begins with that
        of others; without it, all data is there.
        """
        self._scratch = Path(tempfile.mkdtemp(prefix="trading-runtime-", dir=scratch))
        self._cut: _CutPartition | None = None
        self._take_on(plan, dataset, store, code)
        self._fetch = fetch
        self._log_level = log_level
        self._kill = KillSignal()
        self.risk_refusals: dict[str, int] | None = None
        """Orders that the risk profile refused in the last task, by rule."""
        self.orders_at_stop: int | None = None
        """How many orders the last task had before its strategy was stopped."""
        self._mask = os.umask(0o022)
        os.umask(self._mask)

    def change_plan(self, plan: Plan, dataset: str, store: Store, code: StrategyCode) -> None:
        """Continue with another plan of the same code and settings.

        The last task's partition stays decoded if the next task has it too. Raises
        ``UsageError`` when code or settings are others: this process has imported the old ones.
        """
        if digest(plan.common.content) != self._common_digest:
            raise UsageError(f"{code.path}: a worker's next plan has other code or settings")
        self._take_on(plan, dataset, store, code)
        if self._cut is not None:
            self._cut.index = None

    def _take_on(self, plan: Plan, dataset: str, store: Store, code: StrategyCode) -> None:
        if plan.common.strategy_code != code.digest:
            raise UsageError(
                f"{code.path}: the strategy's code was changed after planning; start the run again"
            )
        refuse_other_environment(plan.common)
        self._plan, self._dataset, self._store, self._code = plan, Path(dataset), store, code
        self._common_digest = digest(plan.common.content)
        self._ahead: Sequence[int] = ()

    def expect(self, tasks: Sequence[int]) -> None:
        """Note that these tasks come next: the data of the next partition is fetched early."""
        ahead = dict.fromkeys(self._plan.tasks[index].partition for index in tasks)
        self._ahead = list(ahead)[1:2]

    def run(self, index: int) -> int:
        """Run task ``index`` of the plan, store its result, and return the rows it consumed.

        Raises what ``engine.simulation.task.run_task``, ``datasets.slices.cut_partition`` and
        ``Store.write_task`` raise.
        """
        with without_optional_packages(self._plan.common.packages):
            return self._computed(index)

    def _computed(self, index: int) -> int:
        self._kill.check()
        task = self._plan.tasks[index]
        cut = self._partition(task.partition)
        values = self._plan.config(task.point)
        identity = task_id(self._common_digest, values, cut.digest)
        if identity != task.task_id:
            raise DataError(f"task {task.task_id}: the plan does not match its own task ids")
        inputs = task_inputs(self._plan, task.point, cut.inputs)
        rows = cut.slice.rows + cut.slice.warmup_rows
        output = self._without_rows(inputs) if cut.slice.rows == 0 else self._run(inputs, cut, rows)
        counts: dict[str, Any] = {
            "rows": cut.slice.rows,
            "observed": cut.slice.observed,
            "warmup_rows": cut.slice.warmup_rows,
            "warmup_short": cut.partition.warmup_short,
            "funding": output.funding.amount,
            "funding_settlements": output.funding.times,
            "warmup_denied_orders": output.warmup_denied_orders,
            "engine_warnings": output.engine_warnings,
        }
        if cut.closes:
            counts["daily_closes"] = cut.closes
        for name, paid in output.flows.items():
            counts |= {name: paid.amount, COUNTS_OF_FLOWS[name]: paid.times}
        if output.liquidations is not None:
            by_instrument, fees = output.liquidations
            counts |= {
                "liquidations": sum(by_instrument.values()),
                "liquidation_fees": fees,
                "liquidations_by_instrument": by_instrument,
            }
        if output.queued is not None:
            counts["queued_requests"] = output.queued
        if output.unfed:
            counts["unfed_subscriptions"] = dict.fromkeys(output.unfed, 1)
        if cut.idle_bars:
            counts["bars_without_volume"] = cut.idle_bars
        if output.files_read:
            counts["files_read"] = dict.fromkeys(output.files_read, 1)
        self.risk_refusals = output.risk_refusals
        self.orders_at_stop = output.orders_at_stop
        if self._plan.common.has_risk_profile:
            counts["risk_refusals"] = output.risk_refusals or {}
        with collector_paused():
            summary = task_summary(identity, inputs, output.tables.columns, counts)
            stored = inputs.to_document(values)
            files = result_files(identity, stored, output.tables.as_arrow(), summary)
        self._kill.check()
        # The strategy may have changed it, and others could not read what is stored.
        os.umask(self._mask)
        self._store.write_task(identity, files)
        return rows

    def kill(self) -> None:
        """Let no more orders out, end the running task and begin no other."""
        self._kill.send()

    def close(self) -> None:
        """Remove the scratch folder."""
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _run(self, inputs: TaskInputs, cut: _CutPartition, rows: int) -> TaskOutput:
        cut.tasks += 1
        # Decoding rows ahead is slower than streaming them once: it pays off from the second task.
        if cut.tasks == _TASKS_WORTH_DECODING:
            cut.decoded = decoded(inputs, cut.catalog, rows)
        return run_task(
            inputs,
            self._code,
            cut.catalog,
            rows,
            decoded_rows=cut.decoded,
            log_level=self._log_level,
            kill=self._kill,
        )

    def _without_rows(self, inputs: TaskInputs) -> TaskOutput:
        """Return the result of a window without rows: the account stays unchanged."""
        partition, common = inputs.partition, inputs.common
        venues = common.all_venues.values()
        amounts = [balance.split() for venue in venues for balance in venue.balances]
        foreign = [code for _, code in amounts if code != common.currency]
        if foreign:
            raise DataError(
                f"no exchange rate from {foreign[0]} to {common.currency}: the window from "
                f"{partition.start} has no rows"
            )
        equity = sum((Decimal(amount) for amount, _ in amounts), Decimal(0))
        samples = [EquitySample(ts, to_raw(equity), 0) for ts in (partition.start, partition.end)]
        return TaskOutput(
            TaskTables.of_equity(samples),
            warmup_denied_orders=0,
            flows={
                kind: NO_PAYMENTS
                for kind in COUNTS_OF_FLOWS
                if any(getattr(venue, kind) for venue in venues)
            },
            liquidations=NO_LIQUIDATIONS if any(venue.liquidation for venue in venues) else None,
        )

    def _partition(self, index: int) -> _CutPartition:
        if self._cut is not None and self._cut.index is None:
            self._recognise(self._cut, index)
        if self._cut is None or self._cut.index != index:
            self._drop()
            with storage_errors(self._scratch, "set TMPDIR to a folder with more of it"):
                self._cut = self._new_cut(index)
        return self._cut

    def _recognise(self, cut: _CutPartition, index: int) -> None:
        """Give a partition that another plan had its index, if it has the same rows."""
        partition = self._plan.partitions[index]
        if partition_digest(partition_inputs(partition, self._plan.instruments)) == cut.digest:
            cut.index, cut.partition = index, partition

    def _new_cut(self, index: int) -> _CutPartition:
        partition = self._plan.partitions[index]
        catalog = self._scratch / f"partition-{index}"
        # Left by an earlier point for which the partition could not be cut.
        shutil.rmtree(catalog, ignore_errors=True)
        catalog.mkdir()
        if self._fetch is not None:
            self._fetch(index, self._ahead)
        definitions = [self._plan.instruments[name] for name in partition.instruments]
        write_instruments(catalog, definitions)
        inputs = partition_inputs(partition, self._plan.instruments)
        part = cut_partition(partition, self._dataset, catalog)
        moves = self._plan.common.venue.bar_execution
        return _CutPartition(
            index,
            partition,
            inputs,
            partition_digest(inputs),
            catalog,
            part,
            daily_closes(partition, catalog),
            bars_without_volume(partition, catalog) if moves else {},
        )

    def _drop(self) -> None:
        if self._cut is not None:
            shutil.rmtree(self._cut.catalog, ignore_errors=True)
            self._cut = None
