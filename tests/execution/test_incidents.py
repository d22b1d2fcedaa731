"""What goes wrong without failing a task is told everywhere: counted by reason and by kind."""

from __future__ import annotations

import html
import json
from typing import TYPE_CHECKING

from tests.small_experiment import BAR_TYPE, DAY_STARTS, make_dataset
from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    import pytest

    from tests.small_experiment import SmallExperiment

STRATEGY = """from dataclasses import dataclass
from nautilus_trader.model import BarType, OrderSide, Price, Quantity
from nautilus_trader.trading import Strategy, StrategyConfig

@dataclass
class Config(StrategyConfig):
    bar_type: BarType
    orders: int = 3

class Clumsy(Strategy):
    def __init__(self, config: Config):
        super().__init__(config)
        self.settings = config
        self.seen = 0

    def on_start(self):
        self.subscribe_bars(self.settings.bar_type)
        self.subscribe_quotes(self.settings.bar_type.instrument_id)

    def on_bar(self, bar):
        self.seen += 1
        make, name = self.order_factory, bar.bar_type.instrument_id
        one = Quantity.from_str("0.001")
        if self.seen == 1:
            stop = make.stop_market(name, OrderSide.BUY, one, Price.from_str("1.0"))
            self.submit_order(stop)
            for _ in range(self.settings.orders):
                self.submit_order(make.limit(name, OrderSide.BUY, one, Price.from_str("1.0")))
            self.first = stop
        elif self.seen < 4:
            self.cancel_order(self.first.client_order_id)
"""
STOP = "STOP_MARKET BUY order stop px of … was in the market: bid=…, ask=…, but rejected because"


def test_denied_and_rejected_orders_warnings_and_data_that_never_came_are_told_everywhere(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    (small.folder / "clumsy.py").write_text(STRATEGY)
    small.write(
        strategy={"path": "clumsy.py:Clumsy", "config": {"bar_type": BAR_TYPE}},
        parameters={"orders": [3]},
        venue=small.content["venue"] | {"order_rate_limit": {"orders": 2, "per": "1s"}},
    )

    assert invoke(root, ["run", str(small.path), "--run-id", "run", "--workers", "1"]) == 0

    shown = capsys.readouterr().out.splitlines()
    result = json.loads(small.run_file("run", "result.json").read_text())
    incidents = result["incidents"]
    # One stop and three limits a day: two may go out within a second, two are denied.
    ((denial, denied),) = incidents["denied_by_reason"].items()
    ((rejection, rejected),) = incidents["rejected_by_reason"].items()
    ((warning, warned),) = incidents["engine_warnings"].items()
    assert (denied, rejected, warned) == (6, 3, 6)
    assert rejection.startswith(STOP)
    assert incidents["unfed_subscriptions"] == {"quotes of BTCUSDT-PERP.SIM": 3}
    for line in (
        f"denied    6 x {denial}",
        f"rejected  3 x {rejection}",
        f"engine    6 x {warning}",
        "not fed   3 x quotes of BTCUSDT-PERP.SIM",
        "days      3 returns, 365 of them a year",
    ):
        assert line in shown
    assert [item["kind"] for item in result["warnings"]] == ["no_fills"]
    assert any(line.startswith("warning   results: none of 12 orders was filled") for line in shown)
    report = html.unescape(small.run_file("run", "report/index.html").read_text())
    for words in (
        f"6 orders were denied in 3 tasks: {denial} (6).",
        f"3 orders were rejected by the venue: {rejection} (3).",
        f"The engine warned while it ran: {warning} (6).",
        "data that was not there: quotes of BTCUSDT-PERP.SIM (3 tasks).",
        "None of 12 orders was filled",
    ):
        assert words in report
    # Each task counts its own day.
    for path, content in small.tasks().items():
        if path.endswith("summary.json"):
            summary = json.loads(content)
            assert (summary["denied_orders"], summary["rejected_orders"]) == (2, 1)
            assert summary["denied_by_reason"] == {denial: 2}
            assert summary["rejected_by_reason"] == {rejection: 1}
            assert summary["engine_warnings"] == {warning: 2}
            assert summary["unfed_subscriptions"] == {"quotes of BTCUSDT-PERP.SIM": 1}


def test_bars_without_volume_are_told_everywhere_where_bars_move_the_market(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    days, volumes = DAY_STARTS[:2], ["5.000", "0.000", "0.000"]
    dataset = make_dataset(small.folder / "idle", days=days, bars_a_day=6, volumes=volumes)
    small.write(dataset={"path": str(dataset)}, parameters={"every": [20]})
    capsys.readouterr()

    assert invoke(root, ["run", str(small.path), "--run-id", "run", "--workers", "1"]) == 0

    # Four of six bars a day.
    assert f"no volume 8 x {BAR_TYPE}" in capsys.readouterr().out.splitlines()
    result = json.loads(small.run_file("run", "result.json").read_text())
    assert result["incidents"]["bars_without_volume"] == {BAR_TYPE: 8}
    report = html.unescape(small.run_file("run", "report/index.html").read_text())
    assert f"Bars without volume in all tasks: {BAR_TYPE} (8)." in report
    summaries = [text for path, text in small.tasks().items() if path.endswith("summary.json")]
    assert [json.loads(text)["bars_without_volume"] for text in summaries] == [{BAR_TYPE: 4}] * 2

    small.write(venue=small.content["venue"] | {"bar_execution": False})
    assert invoke(root, ["run", str(small.path), "--run-id", "still", "--workers", "1"]) == 0
    result = json.loads(small.run_file("still", "result.json").read_text())
    assert "bars_without_volume" not in result["incidents"]
