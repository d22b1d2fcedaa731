"""Whether a session traded like a backtest of the same rows, fill by fill."""

from __future__ import annotations

import dataclasses
import io
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.config.adapters import AdapterData
from trading_runtime.config.deployment import (
    LoadedDeployment,
    ReplayData,
    SimulatedExecution,
    as_experiment,
    stored_deployment,
)
from trading_runtime.datasets.fetching import fetched_dataset
from trading_runtime.errors import DataError, UsageError
from trading_runtime.execution.task import TaskRunner
from trading_runtime.records.journal import entries_of
from trading_runtime.records.metadata import read_metadata
from trading_runtime.records.plan import read_plan
from trading_runtime.records.session_events import SessionStarted
from trading_runtime.sessions.preparation import cut_window, prepared_of
from trading_runtime.storage.files import read_json
from trading_runtime.storage.scratch import Scratch
from trading_runtime.units import format_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from decimal import Decimal

    from trading_runtime.config.experiment import DataTypeName
    from trading_runtime.results.store import Store
    from trading_runtime.sessions.preparation import SessionWindow

_LONGEST_DELAY = 5_000_000_000
"""Nanoseconds between a row that came from a venue and the fill that it makes, by the clock."""


class SessionFill(NamedTuple):
    """A fill in the form common to both sides; ids differ between them."""

    instrument: str
    side: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    liquidity: str
    ts: int

    @property
    def terms(self) -> tuple[Any, ...]:
        """Everything except the time."""
        return self[:-1]

    @property
    def shown(self) -> str:
        """The fill in words."""
        return (
            f"{format_instant(self.ts)} {self.instrument} {self.side} {self.quantity:f} at "
            f"{self.price:f}, fee {self.fee:f}, {self.liquidity}"
        )


@dataclass
class Parity:
    """How the fills of a session and of its backtest compare."""

    session_fills: int
    backtest_fills: int
    exact: int = 0
    one_row_apart: list[tuple[SessionFill, SessionFill]] = field(default_factory=list)
    """The session's and the backtest's: the engine gives a live node a resting order's fill one row
    later."""
    only_session: list[SessionFill] = field(default_factory=list)
    only_backtest: list[SessionFill] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether every fill is explained."""
        return not self.only_session and not self.only_backtest

    @property
    def verdict(self) -> str:
        """The comparison in a sentence."""
        return (
            f"{'parity' if self.holds else 'no parity'} with a backtest of the same rows: "
            f"{self.exact} fills exact, "
            f"{len(self.one_row_apart)} one row apart, "
            f"{len(self.only_session) + len(self.only_backtest)} unexplained "
            f"({self.session_fills} of the session, {self.backtest_fills} of the backtest)"
        )

    def document(self) -> dict[str, Any]:
        """Return the content of ``parity.json``."""
        return {
            "holds": self.holds,
            "session_fills": self.session_fills,
            "backtest_fills": self.backtest_fills,
            "exact": self.exact,
            "one_row_apart": [[mine.shown, other.shown] for mine, other in self.one_row_apart],
            "only_session": [item.shown for item in self.only_session],
            "only_backtest": [item.shown for item in self.only_backtest],
        }


@dataclass(frozen=True)
class Compared:
    """A session beside its backtest."""

    run_id: str
    parity: Parity
    session_equity: list[tuple[int, Decimal]]
    backtest_equity: list[tuple[int, Decimal]]
    currency: str
    backtest_task: str
    """The id of the backtest's stored task."""


def compare_session(store: Store, run_id: str) -> Compared:
    """Backtest what a session saw, up to where it stopped, and compare the fills.

    Data that came from a venue is taken from the session's recording. Raises ``UsageError`` for a
    run that is not a session, did not end in order, was not recorded, or whose code or dataset has
    changed; ``DataError`` when its records are damaged.
    """
    files = store.run(run_id)
    metadata, content = read_metadata(files), read_json(files.deployment)
    if metadata is None or content is None:
        raise UsageError(
            f"run {run_id!r} is no session; give the id of one (see 'trading-runtime runs list')"
        )
    session = read_plan(files.plan)
    task_id = session.tasks[0].task_id
    if not store.has_task(task_id):
        raise UsageError(f"session {run_id!r} left no tables to compare: it did not reach its end")
    read = stored_deployment(content, Path(metadata.experiment_file))
    has_arrived = isinstance(read.deployment.data, AdapterData)
    prepared = prepared_of(_recorded(run_id, read) if has_arrived else read)
    common = session.common
    for entry in entries_of(files.journals, "session-"):
        started = entry.as_event(SessionStarted)
        is_told = started is not None and started.saved is not None
        if is_told or entry.event == "account_restored":
            what = "what its strategy saved in" if is_told else "the positions or orders of"
            raise UsageError(
                f"session {run_id!r} began with {what} an earlier one, and a backtest begins "
                "without; compare the first session, or one after 'trade --fresh'"
            )
    plan = prepared.plan(
        None,
        start=session.partitions[0].start,
        end=session.partitions[0].end,
        balances=common.venue.balances,
    )
    for what, now, then in (
        ("the strategy's code", plan.common.code, session.common.code),
        ("the dataset", plan.dataset_digest, session.dataset_digest),
    ):
        if now != then and not (has_arrived and what == "the dataset"):
            raise UsageError(
                f"session {run_id!r}: {what} was changed since; compare with what it ran on"
            )
    backtest_id = plan.tasks[0].task_id
    if not store.has_task(backtest_id):
        with Scratch() as scratch:
            partition = plan.partitions[plan.tasks[0].partition]
            place, fetched = prepared.loaded.dataset_place, scratch.path / "dataset"
            dataset = fetched_dataset(place, [partition], fetched)
            runner = TaskRunner(plan, dataset, store, prepared.code)
            try:
                runner.run(0)
            finally:
                runner.close()
    mine, other = (_fills(store, identity) for identity in (task_id, backtest_id))
    with cut_window(plan, prepared.loaded.dataset_place) as window:
        rows = row_times(window)
    if has_arrived:
        mine = _at_rows(mine, other)
    return Compared(
        run_id,
        compare_fills(mine, other, rows),
        _equity(store, task_id),
        _equity(store, backtest_id),
        common.currency,
        backtest_id,
    )


def compare_fills(
    session: Sequence[SessionFill],
    backtest: Sequence[SessionFill],
    rows: Mapping[str, Sequence[int]],
) -> Parity:
    """Pair the fills: first equal ones, then those one row apart.

    ``rows`` are the instants of each instrument's rows, in order.
    """
    parity = Parity(len(session), len(backtest))
    left = defaultdict(list)
    for fill in backtest:
        left[fill.terms].append(fill)
    waiting = []
    for fill in session:
        if fill in left[fill.terms]:
            left[fill.terms].remove(fill)
            parity.exact += 1
        else:
            waiting.append(fill)
    places = {name: {ts: place for place, ts in enumerate(times)} for name, times in rows.items()}
    for fill in waiting:
        place = places[fill.instrument]
        near = next(
            (other for other in left[fill.terms] if _apart(place, fill.ts, other.ts) == 1), None
        )
        if near is None:
            parity.only_session.append(fill)
        else:
            left[fill.terms].remove(near)
            parity.one_row_apart.append((fill, near))
    parity.only_backtest = sorted(
        (fill for fills in left.values() for fill in fills), key=lambda fill: fill.ts
    )
    return parity


def _recorded(run_id: str, read: LoadedDeployment) -> LoadedDeployment:
    """Return the deployment that replays what a session recorded."""
    deployment = read.deployment
    data = deployment.data
    if not isinstance(data, AdapterData):
        raise TypeError("a replay has a dataset already")
    if deployment.record is None:
        raise UsageError(
            f"session {run_id!r} recorded nothing of the data that came; give its deployment "
            "'record: FOLDER', and compare the next session"
        )
    if not isinstance(deployment.execution, SimulatedExecution):
        raise UsageError(
            f"session {run_id!r} traded at {deployment.execution.adapter}, whose fees and fills no "
            "backtest has; compare a session with 'mode: paper' on the same data"
        )
    types: list[DataTypeName] = [*data.types]
    if data.bars:
        types.append("bars")
    replay = ReplayData(
        source="replay",
        dataset=deployment.record,
        instruments=data.instruments,
        types=types,
    )
    replayed = deployment.model_copy(update={"data": replay, "record": None})
    return LoadedDeployment(
        replayed, dataclasses.replace(read.loaded, experiment=as_experiment(replayed))
    )


def _at_rows(session: Sequence[SessionFill], backtest: Sequence[SessionFill]) -> list[SessionFill]:
    """Return fills of a session with the instants of rows, where its clock had run on from them.

    That is the instant of the first fill of the same terms in the backtest that has no other yet.
    """
    left = list(backtest)
    found = []
    for fill in session:
        row = next(
            (
                other
                for other in left
                if other.terms == fill.terms and 0 <= fill.ts - other.ts <= _LONGEST_DELAY
            ),
            None,
        )
        if row is not None:
            left.remove(row)
        found.append(fill if row is None else fill._replace(ts=row.ts))
    return found


def row_times(window: SessionWindow) -> dict[str, list[int]]:
    """Return the instants of each instrument's rows in a window, each once, in order."""
    import pyarrow.parquet as pq

    from trading_runtime.datasets.slices import instants_of

    found: dict[str, set[int]] = defaultdict(set)
    for series in window.partition.data:
        for path in (window.catalog / series.folder).glob("*.parquet"):
            times = instants_of(pq.read_table(path, columns=["ts_init"]))
            found[series.instrument_id].update(times)
    return {name: sorted(times) for name, times in found.items()}


def write_parity(store: Store, compared: Compared) -> Path:
    """Write the comparison and its picture into the session's folder; return the picture's path."""
    from trading_runtime.report.pictures.equity import two_curves_picture
    from trading_runtime.runs.opening import seal_changes
    from trading_runtime.storage.files import write_file

    folder = store.run(compared.run_id).folder / "parity"
    content = {"backtest_task": compared.backtest_task, **compared.parity.document()}
    document = folder / "parity.json"
    write_file(document, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    picture = folder / "equity.svg"
    curves = [("session", compared.session_equity), ("backtest", compared.backtest_equity)]
    write_file(picture, two_curves_picture(curves, compared.currency))
    store.publish(document, picture)
    seal_changes(store, compared.run_id, document, picture)
    return picture


def _apart(places: Mapping[int, int], one: int, other: int) -> int | None:
    if one not in places or other not in places:
        return None
    return abs(places[one] - places[other])


def _fills(store: Store, task_id: str) -> list[SessionFill]:
    rows = _table(store, task_id, "fills")
    return [
        SessionFill(
            row["instrument_id"],
            row["side"],
            row["quantity"],
            row["price"],
            row["fee"],
            row["liquidity"],
            row["ts"],
        )
        for row in rows
    ]


def _equity(store: Store, task_id: str) -> list[tuple[int, Decimal]]:
    return [(row["ts"], row["equity"]) for row in _table(store, task_id, "equity")]


def _table(store: Store, task_id: str, name: str) -> Iterable[dict[str, Any]]:
    import polars as pl

    try:
        table = pl.read_parquet(io.BytesIO(store.read_task_file(task_id, f"{name}.parquet")))
    except pl.exceptions.PolarsError as error:
        raise DataError(f"task {task_id}: {name} cannot be read: {error}") from error
    return table.with_columns(pl.col("ts").dt.epoch("ns")).iter_rows(named=True)
