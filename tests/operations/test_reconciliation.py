"""Reconciliation: what agrees matches, and each difference is a row: where, what, how far."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from trading_runtime import api
from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_experiment import SmallExperiment


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> api.Run:
    """A run of one task, with some forty orders."""
    from tests.small_experiment import SmallExperiment

    small = SmallExperiment(tmp_path_factory.mktemp("reconciled"), small_dataset)
    small.write(
        partitions={"by": "day", "end": "2024-01-02"},
        parameters={"every": [6]},
        risk={"max_position_quantity": "0.05"},
    )
    return api.run(small.path, run_id="one", workers=1)


@pytest.fixture
def snapshot(run: api.Run) -> dict[str, list[dict[str, Any]]]:
    """What a venue would say that agrees: reckoned from the tables by hand."""
    task_id = run.results["task_id"][0]
    folder = run.files.folder.parent.parent / "tasks" / task_id[:2] / task_id
    orders = pl.read_parquet(folder / "orders.parquet").filter(pl.col("status") != "DENIED")
    fills = pl.read_parquet(folder / "fills.parquet")
    signed = [
        row["quantity"] if row["side"] == "BUY" else -row["quantity"]
        for row in fills.iter_rows(named=True)
    ]
    # Cash from fills, and what is open at its average price: another way than by positions.
    open_now = sum(signed, Decimal(0))
    position = pl.read_parquet(folder / "positions.parquet").filter(pl.col("ts_closed").is_null())
    cash = sum(
        (
            -quantity * row["price"] - row["fee"]
            for quantity, row in zip(signed, fills.iter_rows(named=True), strict=True)
        ),
        Decimal(100_000),
    )
    held = open_now * position["average_open"][0] if position.height else Decimal(0)
    names = ("order_id", "instrument_id", "side", "quantity", "filled_quantity", "status")
    return {
        "orders": [
            {name: str(row[name]) for name in names} for row in orders.iter_rows(named=True)
        ],
        "fills": [
            {name: str(row[name]) for name in ("trade_id", "instrument_id", "price", "fee")}
            for row in fills.iter_rows(named=True)
        ],
        "positions": [
            {"instrument_id": "BTCUSDT-PERP.SIM", "quantity": str(open_now)},
            {"instrument_id": "ETHUSDT-PERP.SIM", "quantity": "0"},
        ],
        "balances": [{"currency": "USDT", "total": str(cash + held)}],
    }


def reconciled(run: api.Run, against: Path, *options: str) -> tuple[int, dict[str, Any]]:
    results = run.files.folder.parent.parent
    command = ["reconcile", "one", "--against", str(against), "--results", str(results)]
    code = invoke(root, [*command, *options])
    path = run.files.folder / "reconciliation.json"
    return code, json.loads(path.read_text()) if path.exists() else {}


def written(folder: Path, snapshot: dict[str, Any]) -> Path:
    path = folder / "snapshot.json"
    path.write_text(json.dumps(snapshot))
    return path


# The engine keeps money to eight places: half of the last one off per fill, at most.
CENT = ("--tolerance", "total=0.00001")


def test_books_that_agree_match(
    run: api.Run, snapshot: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    code, found = reconciled(run, written(tmp_path, snapshot), *CENT)

    assert code == 0, found["rows"]
    assert found["outcome"] == "ok"
    assert found["counts"]["matched"] == sum(len(rows) for rows in snapshot.values()) - 1
    assert len(snapshot["orders"]) > 10


def test_each_difference_is_a_row(
    run: api.Run, snapshot: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    order = snapshot["orders"][3]
    order |= {"filled_quantity": "0.001", "status": "CANCELED"}
    before = Decimal(snapshot["fills"][0]["price"])
    snapshot["fills"][0]["price"] = str(before + Decimal("0.1"))
    lost = snapshot["orders"].pop()
    snapshot["orders"].append({"order_id": "V-1", "quantity": "1"})
    code, found = reconciled(run, written(tmp_path, snapshot), *CENT)

    assert code == 11
    rows = {(row["table"], row["key"], row["field"]): row for row in found["rows"]}
    assert rows["orders", order["order_id"], "status"]["theirs"] == "CANCELED"
    assert rows["orders", order["order_id"], "filled_quantity"]["difference"] is not None
    [price] = [row for key, row in rows.items() if key[0] == "fills"]
    assert (price["field"], price["difference"]) == ("price", "0.1")
    assert rows["orders", "V-1", None]["state"] == "unknown"
    assert rows["orders", lost["order_id"], None]["ours"] == "there"
    assert len(rows) == 5
    assert found["tables"]["orders"]["mismatched"] == 1
    assert found["tables"]["orders"]["unknown"] == 2


def test_a_tolerance_is_the_largest_difference_that_matches(
    run: api.Run, snapshot: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    before = Decimal(snapshot["fills"][0]["price"])
    snapshot["fills"][0]["price"] = str(before - Decimal("0.1"))
    path = written(tmp_path, {"fills": snapshot["fills"]})

    assert reconciled(run, path, "--tolerance", "price=0.1")[0] == 0
    assert reconciled(run, path, "--tolerance", "price=0.0999999999")[0] == 11


def test_csv_parquet_and_json_say_the_same(
    run: api.Run, snapshot: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    tables, frames = tmp_path / "csv", tmp_path / "parquet"
    tables.mkdir()
    frames.mkdir()
    for name, rows in snapshot.items():
        with (tables / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        pl.DataFrame(rows).write_parquet(frames / f"{name}.parquet")
    found = [reconciled(run, path, *CENT) for path in (tables, frames, written(tmp_path, snapshot))]

    assert [code for code, _ in found] == [0, 0, 0]
    assert found[0][1]["tables"] == found[1][1]["tables"] == found[2][1]["tables"]


def test_a_table_that_is_left_out_is_not_compared_and_other_columns_are_named(
    run: api.Run, tmp_path: Path
) -> None:
    rows = [{"currency": "USDT", "total": 1, "available": 1}]
    code, found = reconciled(run, written(tmp_path, {"balances": rows}))

    assert code == 11
    assert list(found["tables"]) == ["balances"]
    assert found["ignored"] == ["balances.available"]


def test_it_is_noted_in_the_runs_journal(run: api.Run, tmp_path: Path) -> None:
    reconciled(run, written(tmp_path, {"positions": []}))

    lines = run.files.journal.read_text().splitlines()
    entry = json.loads(lines[-1])
    assert entry["event"] == "reconciliation_completed"
    assert entry["payload"]["outcome"] in {"ok", "differs"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ('{"order": []}', "accepted is an object with lists orders, fills"),
        ('{"orders": [{"quantity": 1}]}', "row 1: order_id is missing"),
        ('{"orders": [{"order_id": "a", "quantity": "x"}]}', "'x' is not a number"),
        ('{"orders": [{"order_id": "a"}, {"order_id": "a"}]}', "row 2: 'a' is there twice"),
        ('{"balances": [{"currency": "USDT", "total": "NaN"}]}', "is not a number that"),
    ],
)
def test_a_bad_snapshot_is_refused_with_table_and_row(
    run: api.Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    message: str,
) -> None:
    path = tmp_path / "snapshot.json"
    path.write_text(content)

    assert reconciled(run, path)[0] == 3
    assert message in capsys.readouterr().err


def test_what_is_asked_wrongly_is_refused(
    run: api.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, {"positions": []})
    assert reconciled(run, path, "--tolerance", "prize=1")[0] == 2
    assert "accepted are average_price, fee" in capsys.readouterr().err
    assert reconciled(run, path, "--tolerance", "price=-1")[0] == 2
    assert reconciled(run, tmp_path / "nothing.json")[0] == 2
    assert reconciled(run, path, "--task", "zz")[0] == 2
    results = run.files.folder.parent.parent
    for bad in ("../../x", "two"):
        command = ["reconcile", bad, "--against", str(path), "--results", str(results)]
        assert invoke(root, command) == 2


def test_a_run_of_several_tasks_needs_one_named(
    small: SmallExperiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = api.run(small.path, run_id="one", workers=1)
    path = written(tmp_path, {"orders": []})

    assert reconciled(run, path)[0] == 2
    assert "has 12 tasks, each with books of its own" in capsys.readouterr().err
    assert reconciled(run, path, "--task", run.results["task_id"][0][:12])[0] == 11


def test_a_damaged_result_is_not_reconciled(small: SmallExperiment, tmp_path: Path) -> None:
    small.write(partitions={"by": "day", "end": "2024-01-02"}, parameters={"every": [50]})
    run = api.run(small.path, run_id="one", workers=1)
    [orders] = (small.results / "tasks").glob("*/*/orders.parquet")
    content = bytearray(orders.read_bytes())
    content[40] ^= 1
    orders.write_bytes(content)

    assert reconciled(run, written(tmp_path, {"orders": []}))[0] == 3
