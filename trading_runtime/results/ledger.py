"""The ledger of trials: everything ever tried on the same data, whatever became of its runs.

A trial is what a researcher could have chosen: code and config of a strategy, venue and settings,
seed, risk. An upgrade of engine, packages or runtime is not a new idea, nor is the same idea cut
into other windows. A trial counts against a run when one of its results shares an instrument and
time with it.

Each run leaves an entry below ``ledger/``, named by its content, which nothing removes.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_runtime.canonical import canonical_json, digest
from trading_runtime.errors import DataError
from trading_runtime.records.forms import to_document
from trading_runtime.records.trials import (
    LedgerEntry,
    TrialCount,
    TrialGroup,
    Window,
    parse_entry,
)
from trading_runtime.results.calendar import common_length, union
from trading_runtime.results.judgement import deflated
from trading_runtime.results.points import OK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import polars as pl

    from trading_runtime.records.plan import Plan
    from trading_runtime.records.result import LuckStatistics
    from trading_runtime.results.calendar import Interval
    from trading_runtime.results.store import Store

FOLDER = "ledger"
_ENVIRONMENT = ("engine", "python", "system", "machine", "packages")
_MEASURING = ("currency", "equity_interval", "calendar", "periods_per_year")


class Entry(NamedTuple):
    """What a run tried: trials by id, each with the windows for which it has results."""

    trials: Mapping[str, frozenset[Window]]


def trial_id(common: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Return a trial's id, from the ``common`` inputs of its tasks and its encoded config."""
    kept = {
        name: value
        for name, value in common.items()
        if name not in (*_ENVIRONMENT, *_MEASURING, "code")
    }
    return digest({"common": kept, "code": common["code"]["strategy"], "config": config})


def entry_of(plan: Plan, results: pl.DataFrame) -> Entry:
    """Return what a run tried: the tasks that are ok in its results table."""
    trials = {point.index: trial for point, trial in zip(plan.points, _trials(plan), strict=True)}
    windows = dict(_windows(plan))
    found: dict[str, set[Window]] = {}
    done = results.filter(results["status"] == OK)
    for point, partition in done.select("point", "partition").iter_rows():
        found.setdefault(trials[point], set()).add(windows[partition])
    return Entry({trial: frozenset(seen) for trial, seen in found.items()})


def record_trials(
    store: Store, plan: Plan, results: pl.DataFrame, luck: LuckStatistics | None
) -> TrialCount:
    """Record what a run tried, and return how much has been tried on its data by now.

    ``luck`` is recomputed for that number. Raises ``StorageError``.
    """
    entry = entry_of(plan, results)
    write_entry(store, entry)
    return trials_by_now(store, plan, len(entry.trials), luck)


def trials_by_now(
    store: Store, plan: Plan, of_this_run: int, luck: LuckStatistics | None
) -> TrialCount:
    """Return how much has been tried on a plan's data by now, with ``luck`` for that number."""
    try:
        trials = len(trials_on(store, (window for _, window in _windows(plan))))
    except DataError as error:
        return TrialCount(of_this_run=of_this_run, trials=None, problem=str(error))
    counted = TrialCount(of_this_run=of_this_run, trials=trials, problem=None)
    if luck is None:
        return counted
    now = deflated(luck, trials)
    return replace(counted, sharpe_by_luck=now.sharpe_by_luck, deflated_sharpe=now.deflated_sharpe)


def trials_with(store: Store, plan: Plan) -> int:
    """Return how many trials there are on a plan's data once the plan has run."""
    return len({*_trials(plan)} | trials_on(store, (window for _, window in _windows(plan))))


def _trials(plan: Plan) -> list[str]:
    """Return the trial id of each point of a plan."""
    common, fixed = plan.common.content, dict(plan.strategy.config)
    return [trial_id(common, fixed | dict(point.config)) for point in plan.points]


def _windows(plan: Plan) -> Iterator[tuple[int, Window]]:
    for each in plan.partitions:
        yield each.index, Window(each.instruments, each.start, each.end)


def write_entry(store: Store, entry: Entry) -> None:
    """Keep ``entry``; do nothing when it exists. Raises ``StorageError``."""
    if not entry.trials:
        return
    windows = sorted({window for of_trial in entry.trials.values() for window in of_trial})
    place = {window: number for number, window in enumerate(windows)}
    groups: dict[tuple[int, ...], list[str]] = {}
    for trial, of_trial in entry.trials.items():
        groups.setdefault(tuple(sorted(place[window] for window in of_trial)), []).append(trial)
    recorded = LedgerEntry(
        windows=windows,
        trials=[
            TrialGroup(group, tuple(sorted(of_group))) for group, of_group in sorted(groups.items())
        ],
    )
    content = canonical_json(to_document(recorded))
    store.objects.create(_name_of(content), content)


def entries(store: Store) -> Iterator[Entry]:
    """Yield all entries. Raises ``DataError`` for a damaged entry."""
    for name in sorted(store.objects.sizes(f"{FOLDER}/")):
        try:
            yield _read_entry(name, store.objects.read(name))
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{store.objects.url}/{name}: damaged: {error}; the trials of a run would be "
                "counted wrong; restore the file, or remove it if its trials should not count"
            ) from error


def _read_entry(name: str, content: bytes) -> Entry:
    recorded = parse_entry(content)
    if name != _name_of(content):
        raise ValueError("its content is not that of its name")
    return Entry(
        {
            trial: frozenset(recorded.windows[place] for place in group.windows)
            for group in recorded.trials
            for trial in group.trials
        }
    )


def _name_of(content: bytes) -> str:
    return f"{FOLDER}/{digest(json.loads(content))}.json"


def trials_on(store: Store, windows: Iterable[Window]) -> set[str]:
    """Return the ids of all trials that share an instrument and time with ``windows``."""
    asked: dict[str, Sequence[Interval]] | None = None
    found: set[str] = set()
    for entry in entries(store):
        if asked is None:  # a first run has no entries, and may have a great many windows
            asked = _time_by_instrument(windows)
        shared: dict[frozenset[Window], bool] = {}
        for trial, seen in entry.trials.items():
            if seen not in shared:
                times = _time_by_instrument(seen)
                shared[seen] = any(
                    common_length(times[name], asked[name]) for name in times.keys() & asked.keys()
                )
            if shared[seen]:
                found.add(trial)
    return found


def _time_by_instrument(windows: Iterable[Window]) -> dict[str, Sequence[Interval]]:
    by_names: dict[tuple[str, ...], list[Interval]] = {}
    for window in windows:
        by_names.setdefault(window.instruments, []).append((window.start, window.end))
    times: dict[str, list[list[Interval]]] = {}
    # Instruments of the same windows have the same time: thousands of them, as a rule.
    for names, each in by_names.items():
        together = union(each)
        for name in names:
            times.setdefault(name, []).append(together)
    return {
        name: parts[0] if len(parts) == 1 else union(itertools.chain.from_iterable(parts))
        for name, parts in times.items()
    }
