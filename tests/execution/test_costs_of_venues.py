"""A whole run at two venues with swap, liquidation and a contract that expires: its own lines."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.market import HOUR, STRATEGIES, T0, Market, future, perpetual, quotes
from trading_runtime import api
from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    from pathlib import Path

FUTURE = "ESH2.SIM"
EXPIRY = T0 + 30 * HOUR


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of quotes: a future at 100 that expires on the second, a swap that falls on it."""
    folder = tmp_path_factory.mktemp("costs")
    contract = future(expiration=EXPIRY)
    swap = perpetual("BTCUSD-PERP", ("BTC", "USD", "USD"), venue="EXB")
    flat = [("100", "100")] * 47
    falls = [("100", "100")] * 28 + [("80", "80")] * 19
    rows = [
        *quotes(contract, flat, step=HOUR),
        *quotes(swap, falls, step=HOUR),
    ]
    Market.write(folder / "data", [contract, swap], rows)
    assert invoke(root, ["data", "adopt", str(folder / "data")]) == 0
    shutil.copy(STRATEGIES / "scripted.py", folder)
    maker = {"model": "maker_taker", "maker": 0, "taker": "0.001"}
    content: dict[str, Any] = {
        "name": "costs",
        "seed": 1,
        "dataset": {"path": "data"},
        "partitions": {"by": "day"},
        "venue": {
            "account_type": "margin",
            "balances": ["10000 USD"],
            "fees": {"model": "per_contract", "amount": "2.25 USD"},
            "settlement_prices": {FUTURE: "103.5"},
        },
        "venues": {
            "EXB": {
                "account_type": "margin",
                "balances": ["1000 USD"],
                "leverage": 10,
                "fees": maker,
                "swap": {
                    "rates": {"BTCUSD-PERP.EXB": {"long": "-0.0002", "short": 0}},
                    "time": "12:00",
                },
                "liquidation": {"fee": "0.002"},
            }
        },
        "strategy": {
            "path": "scripted.py:Scripted",
            "config": {
                "data": [FUTURE, "BTCUSD-PERP.EXB"],
                "kinds": ["quotes", "quotes"],
                "steps": {"2": ["ESH2.SIM:market BUY 1", "BTCUSD-PERP.EXB:market BUY 50"]},
            },
        },
        "results": "results",
    }
    path = folder / "costs.json"
    path.write_text(json.dumps(content))
    return path


@pytest.fixture(scope="module")
def ended(experiment: Path) -> api.Run:
    return api.run(experiment, run_id="one", workers=1)


def test_each_cost_is_a_column_of_tasks_and_points(ended: api.Run) -> None:
    # The first day: 2.25 for the future, 5,000 x 0.001 for the swap, which costs 5,000 x 0.0002 at
    # noon. The second: the same fees; the swap falls by 20 and is closed at 80, for 4,000 x 0.002;
    # the future expires 3.5 points of 50 above its price, for 2.25 again.
    costs = ["net_profit", "fees", "swap", "swap_charges", "liquidations", "liquidation_fees"]
    assert ended.results.select(costs).rows() == [
        (Decimal("-8.25"), Decimal("7.25"), -1, 1, 0, 0),
        (Decimal("-842.5"), Decimal("17.5"), 0, 0, 1, 8),
    ]
    assert ended.points.select(costs).rows() == [
        (Decimal("-850.75"), Decimal("24.75"), -1, 1, 1, 8)
    ]


def test_liquidations_are_incidents(ended: api.Run) -> None:
    assert ended.result["incidents"] == {
        "denied_by_reason": {},
        "rejected_by_reason": {},
        "engine_warnings": {},
        "unfed_subscriptions": {},
        "liquidations_by_instrument": {"BTCUSD-PERP.EXB": 1},
    }


def test_the_report_tells_of_each_venue_and_cost(ended: api.Run) -> None:
    text = " ".join(ended.files.report.read_text().split())
    for words in (
        "Initial balance (SIM)",
        "Initial balance (EXB)",
        "SIM and EXB have accounts of their own",
        "2.25 USD for every contract traded",
        "Positions paid 1.00 USD in 1 charge of all tasks",
        "The venue closed positions by 1 order of its own in 1 task, which cost 8.00 USD in fees",
        f"at the price that the experiment states, with the fee of a fill: {FUTURE} at 103.5.",
    ):
        assert words in text
    for name in ("Swap", "Liquidations", "Liquidation fees"):
        assert name in ended.report.read_text()


def test_the_terminal_and_a_repeat_say_the_same(
    ended: api.Run, experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(root, ["run", str(experiment), "--run-id", "two"]) == 0
    said = capsys.readouterr().out
    assert "closed    1 x BTCUSD-PERP.EXB, by the venue" in said
    assert ended.result["run_digest"] in said
    assert invoke(root, ["verify", "one", "--results", str(experiment.parent / "results")]) == 0
