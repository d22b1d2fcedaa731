"""The kill switch inside a task: no order goes out, open ones are cancelled, nothing comes out."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.market import STRATEGIES, run, task_inputs
from trading_runtime.config.strategy_code import find_strategy_code
from trading_runtime.engine.simulation.feed import decoded
from trading_runtime.engine.simulation.kill_signal import KillSignal
from trading_runtime.engine.simulation.task import run_task
from trading_runtime.errors import KilledError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.market import Market

BAR_TYPE = "BTCUSDT-PERP.SIM-1-MINUTE-LAST-EXTERNAL"


@pytest.fixture
def kill() -> Iterator[KillSignal]:
    """A signal that a strategy sends itself, by the signal that a worker is sent."""
    sent = KillSignal()
    before = signal.signal(signal.SIGUSR1, lambda *_: sent.send())
    yield sent
    signal.signal(signal.SIGUSR1, before)


def killed(  # noqa: PLR0913 - what is killed, and how
    market: Market,
    folder: Path,
    body: str,
    kill: KillSignal,
    *,
    ahead_of_time: bool = False,
    venue: dict[str, Any] | None = None,
) -> list[str]:
    """Run a strategy that is killed; return what it noted down, and why it ended last."""
    log = folder / "log.txt"
    (folder / "written.py").write_text(
        "import signal\n"
        "from nautilus_trader.model import *\n"
        "from nautilus_trader.trading import Strategy\n"
        f"BAR_TYPE = BarType.from_str({BAR_TYPE!r})\n"
        "ID, ONE = BAR_TYPE.instrument_id, Quantity.from_str('1.000')\n"
        "class Written(Strategy):\n"
        "    bars = 0\n"
        "    def on_start(self):\n"
        "        self.subscribe_bars(BAR_TYPE)\n"
        "    def on_bar(self, bar):\n"
        "        self.bars += 1\n"
        "        self.note(f'bar {self.bars}')\n"
        "        self.step(self.bars)\n"
        "    def kill(self):\n"
        "        signal.raise_signal(signal.SIGUSR1)\n"
        "    def note(self, text):\n"
        f"        with open({str(log)!r}, 'a') as file:\n"
        "            file.write(text + '\\n')\n"
        "    def rest(self):\n"
        "        self.submit_order(self.order_factory.limit(\n"
        "            ID, OrderSide.BUY, ONE, Price.from_str('50.0')))\n"
        "    def buy(self):\n"
        "        self.submit_order(self.order_factory.market(ID, OrderSide.BUY, ONE))\n"
        "    def on_order_accepted(self, event):\n"
        "        self.note(f'accepted {event.client_order_id}')\n"
        "    def on_order_canceled(self, event):\n"
        "        self.note(f'cancelled {event.client_order_id}')\n"
        "    def on_order_filled(self, event):\n"
        "        self.note('filled')\n"
        "    def on_position_closed(self, event):\n"
        "        self.note('closed')\n" + body
    )
    code = find_strategy_code("written.py:Written", folder, ())
    inputs = task_inputs(market, {}, venue=venue)
    ahead = decoded(inputs, market.catalog, market.rows) if ahead_of_time else None
    with pytest.raises(KilledError) as raised:
        run_task(inputs, code, market.catalog, market.rows, decoded_rows=ahead, kill=kill)
    return [*(log.read_text().splitlines() if log.exists() else []), str(raised.value)]


def test_no_order_goes_out_after_it_not_even_in_the_same_call(
    four_bars: Market, tmp_path: Path, kill: KillSignal
) -> None:
    body = (
        "    def step(self, number):\n"
        "        self.buy()\n"
        "        if number == 2:\n"
        "            self.kill()\n"
        "            self.buy()\n"
        "            self.buy()\n"
    )
    *seen, message = killed(four_bars, tmp_path, body, kill)

    assert seen[:4] == ["bar 1", "filled", "bar 2", "filled"]
    assert "filled" not in seen[4:]
    assert "2 orders were refused, 0 open ones cancelled; nothing is stored" in message


@pytest.mark.parametrize("ahead_of_time", [False, True], ids=["streamed", "decoded before"])
def test_open_orders_are_cancelled(
    four_bars: Market, tmp_path: Path, kill: KillSignal, *, ahead_of_time: bool
) -> None:
    body = (
        "    def step(self, number):\n"
        "        self.rest()\n"
        "        if number == 2:\n"
        "            self.kill()\n"
    )
    *seen, message = killed(four_bars, tmp_path, body, kill, ahead_of_time=ahead_of_time)

    accepted = [line.split()[1] for line in seen if line.startswith("accepted")]
    cancelled = [line.split()[1] for line in seen if line.startswith("cancelled")]
    assert len(accepted) == 2
    assert cancelled == accepted
    assert "2 open ones cancelled" in message


def test_open_orders_are_cancelled_where_the_venue_asks_python_what_things_cost(
    four_bars: Market, tmp_path: Path, kill: KillSignal
) -> None:
    # The engine calls both from inside the venue, and one of them first after the signal.
    tier = {"from_value": "1 USDT", "maker": "0", "taker": "0"}
    swap = {
        "rates": {},
        "per": "day",
        "days_in_year": 365,
        "time": "00:01",
        "time_zone": "UTC",
        "triple_day": None,
    }
    venue = {
        "fees": {"model": "tiered", "maker": "0", "taker": "0", "tiers": [tier], "period": None},
        "swap": swap,
    }
    body = (
        "    def step(self, number):\n"
        "        self.rest()\n"
        "        self.buy()\n"
        "        if number == 2:\n"
        "            self.kill()\n"
    )
    *seen, message = killed(four_bars, tmp_path, body, kill, venue=venue)

    assert len([line for line in seen if line.startswith("cancelled")]) == 2
    assert "2 open ones cancelled" in message


@pytest.mark.parametrize(
    "command",
    [
        "self.close_all_positions(ID)",
        "self.close_position(self.cache.positions_open()[0])",
        "self.market_exit()",
    ],
)
def test_orders_that_the_engine_would_make_itself_do_not_go_out_either(
    four_bars: Market, tmp_path: Path, kill: KillSignal, command: str
) -> None:
    body = (
        "    def step(self, number):\n"
        "        if number == 1:\n"
        "            self.buy()\n"
        "        if number == 2:\n"
        "            self.kill()\n"
        f"            {command}\n"
    )
    *seen, message = killed(four_bars, tmp_path, body, kill)

    assert seen.count("filled") == 1
    assert "closed" not in seen
    assert "1 orders were refused" in message


def test_it_ends_the_task_at_the_next_row(
    four_bars: Market, tmp_path: Path, kill: KillSignal
) -> None:
    body = "    def step(self, number):\n        if number == 2: self.kill()\n"
    seen = killed(four_bars, tmp_path, body, kill)

    assert "bar 4" not in seen


def test_a_strategy_that_catches_everything_is_ended_all_the_same(
    four_bars: Market, tmp_path: Path, kill: KillSignal
) -> None:
    body = (
        "    def step(self, number):\n"
        "        try:\n"
        "            if number == 1: self.kill()\n"
        "            self.buy()\n"
        "        except BaseException:\n"
        "            self.note('caught')\n"
        "    def on_stop(self):\n"
        "        self.buy()\n"
    )
    *seen, message = killed(four_bars, tmp_path, body, kill)

    assert "filled" not in seen
    assert "caught" not in seen
    assert "kill switch" in message


def test_a_task_begun_after_it_does_nothing(
    four_bars: Market, tmp_path: Path, kill: KillSignal
) -> None:
    kill.send()
    body = "    def step(self, number):\n        self.buy()\n"
    *seen, _ = killed(four_bars, tmp_path, body, kill)

    assert "filled" not in seen
    with pytest.raises(KilledError):
        kill.check()


def test_a_builtin_strategy_is_ended_when_the_engine_next_calls_out(
    all_kinds: Market, kill: KillSignal
) -> None:
    code = find_strategy_code("builtin:EmaCross", STRATEGIES, ())
    config = {
        "instrument_id": "BTCUSDT-PERP.SIM",
        "trade_size": "1.000",
        "fast_period": 2,
        "slow_period": 4,
    }
    inputs = task_inputs(all_kinds, config, equity_interval=60_000_000_000)
    kill.send()
    with pytest.raises(KilledError):
        run_task(inputs, code, all_kinds.catalog, all_kinds.rows, kill=kill)


def test_a_signal_that_is_not_sent_changes_nothing(four_bars: Market) -> None:
    config = {
        "data": [BAR_TYPE],
        "kinds": ["bars"],
        "steps": {"2": ["market BUY 1.000"]},
    }
    output = run(four_bars, "scripted.py:Scripted", config)

    assert [row["status"] for row in output.tables.orders] == ["FILLED"]
