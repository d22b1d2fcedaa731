"""Every trial on the same data counts, whatever it was called and whatever became of its run."""

from __future__ import annotations

import copy
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import DataError
from trading_runtime.records.trials import Window
from trading_runtime.results.ledger import Entry, entries, trial_id, trials_on, write_entry
from trading_runtime.results.store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_experiment import SmallExperiment

DAY = 86_400 * 10**9
COMMON: dict[str, Any] = {
    "engine": {"nautilus_trader": "2.0"},
    "python": "3.13",
    "system": "Linux",
    "machine": "x86_64",
    "packages": {"polars": "1"},
    "code": {"runtime": "a", "strategy": "b"},
    "strategy": {"path": "cross.py:Cross", "config_path": None},
    "venue": {"fees": "none"},
    "seed": 1,
    "equity_interval": 1,
    "calendar": "observed",
    "periods_per_year": None,
    "currency": "USDT",
    "at_end": "mark",
}


def window(first: int, last: int, *instruments: str) -> Window:
    """Return the window of these days."""
    return Window(instruments or ("BTC",), first * DAY, last * DAY)


def changed(*keys: str, to: object = "other") -> dict[str, Any]:
    """Return the common inputs with one of them changed."""
    common = copy.deepcopy(COMMON)
    inner = common
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    return common


@pytest.mark.parametrize(
    "keys",
    [
        ("engine", "nautilus_trader"), ("python",), ("system",), ("machine",),
        ("packages", "polars"),
        ("code", "runtime"), ("equity_interval",), ("calendar",), ("periods_per_year",),
    ],
    ids="-".join,
)  # fmt: skip
def test_an_upgrade_or_another_way_to_measure_is_no_new_trial(keys: tuple[str, ...]) -> None:
    assert trial_id(changed(*keys), {"fast": 1}) == trial_id(COMMON, {"fast": 1})


@pytest.mark.parametrize(
    "keys",
    [
        ("code", "strategy"), ("strategy", "path"), ("venue", "fees"), ("seed",), ("at_end",),
        ("risk",),
    ],
    ids="-".join,
)  # fmt: skip
def test_another_strategy_code_or_setting_is_a_new_trial(keys: tuple[str, ...]) -> None:
    assert trial_id(changed(*keys), {"fast": 1}) != trial_id(COMMON, {"fast": 1})
    assert trial_id(COMMON, {"fast": 1}) != trial_id(COMMON, {"fast": 2})


def test_a_trial_counts_when_it_shares_an_instrument_and_time(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    write_entry(store, Entry({"early": frozenset({window(0, 3)})}))
    write_entry(store, Entry({"other": frozenset({window(3, 9, "ETH")})}))
    write_entry(
        store,
        Entry({"both": frozenset({window(5, 6, "BTC", "ETH")}), "late": frozenset({window(8, 9)})}),
    )

    assert trials_on(store, [window(3, 8)]) == {"both"}
    assert trials_on(store, [window(2, 3)]) == {"early"}
    assert trials_on(store, [window(0, 9)]) == {"early", "both", "late"}
    assert trials_on(store, [window(0, 9, "ETH")]) == {"other", "both"}
    assert trials_on(store, [window(0, 1, "SOL")]) == set()


def test_an_entry_is_kept_once_and_read_as_it_was(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    entry = Entry({"a": frozenset({window(0, 1), window(1, 2)}), "b": frozenset({window(1, 2)})})
    write_entry(store, entry)
    write_entry(store, entry)
    write_entry(store, Entry({}))

    assert list(entries(store)) == [entry]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"trials": [[[1], ["a"]]]}, "trials[0] names a window that the entry does not have"),
        ({"trials": [[[-1], ["a"]]]}, "trials[0] names a window that the entry does not have"),
        ({"windows": [["BTC", 0]]}, "windows[0] is no list of 3"),
        ({"windows": {}}, "windows is no list"),
    ],
)
def test_damage_to_an_entry_is_named_by_its_place(
    changes: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    store = open_store(tmp_path)
    write_entry(store, Entry({"a": frozenset({window(0, 1)})}))
    [path] = (tmp_path / "ledger").iterdir()
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    with pytest.raises(DataError, match=re.escape(f"{path.name}: damaged: {problem}")):
        list(entries(store))


def test_edits_count_repeats_and_other_days_do_not(small: SmallExperiment) -> None:
    small.write(partitions={"by": "day", "end": "2024-01-02"}, parameters={"every": [20, 30]})
    assert api.run(small.path, run_id="first", workers=1).trials["trials"] == 2
    assert api.run(small.path, run_id="again", workers=1).trials["trials"] == 2
    small.write(parameters={"every": [30, 40]})
    assert api.run(small.path, run_id="wider", workers=1).trials["trials"] == 3
    strategy = small.folder / "counting.py"
    strategy.write_text(strategy.read_text().replace("10 *", "11 *"))
    edited = api.run(small.path, run_id="edited", workers=1)
    assert (edited.trials["of_this_run"], edited.trials["trials"]) == (2, 5)
    assert "These are 5 trials on this data" in (edited.files.folder / "report.md").read_text()
    small.write(partitions={"by": "day", "start": "2024-01-02", "end": "2024-01-03"})
    assert api.run(small.path, run_id="later", workers=1).trials["trials"] == 2


def test_neither_gc_nor_a_removed_run_makes_the_ledger_forget(small: SmallExperiment) -> None:
    small.write(partitions={"by": "day", "end": "2024-01-02"}, parameters={"every": [20, 30]})
    gone = api.run(small.path, run_id="gone", workers=1)
    for path in sorted(gone.files.folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    gone.files.folder.rmdir()
    delete = ["gc", "--results", str(small.results), "--delete", "--older-than", "0s"]
    assert invoke(root, delete) == 0
    assert not list((small.results / "tasks").glob("??/*"))

    small.write(parameters={"every": [40]})
    assert api.run(small.path, run_id="next", workers=1).trials["trials"] == 3


def test_a_damaged_entry_is_told_and_ends_no_run(small: SmallExperiment) -> None:
    small.write(partitions={"by": "day", "end": "2024-01-02"}, parameters={"every": [20]})
    api.run(small.path, run_id="first", workers=1)
    [path] = (small.results / "ledger").iterdir()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"trials": []}))
    small.write(parameters={"every": [30]})
    run = api.run(small.path, run_id="second", workers=1)

    assert run.result["complete"]
    assert run.trials["trials"] is None
    assert (
        f"ledger/{path.name}: damaged: its content is not that of its name"
        in (run.trials["problem"])
    )


def test_a_plan_says_how_many_trials_there_will_have_been(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(partitions={"by": "day", "end": "2024-01-02"}, parameters={"every": [20, 30]})
    api.run(small.path, run_id="first", workers=1)
    small.write(parameters={"every": [30, 40, 50]})
    capsys.readouterr()
    assert invoke(root, ["plan", str(small.path)]) == 0

    assert "trials      4 on this data, these included; " in capsys.readouterr().out
