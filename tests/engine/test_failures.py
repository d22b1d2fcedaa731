"""A strategy that raises or leaves early, wherever it does, fails its task and says where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.market import MINUTE, STRATEGIES, T0, run, statuses
from trading_runtime.engine.strategy.failures import FailureRecord, StrategyFailureError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine.market import Market
    from trading_runtime.engine.simulation.task import TaskOutput

BAR_TYPE = "BTCUSDT-PERP.SIM-1-MINUTE-LAST-EXTERNAL"
CALLBACKS = [
    "on_start",
    "on_bar",
    "on_quote",
    "on_trade",
    "on_signal",
    "on_time_event",
    "on_time_event by alert",
    "timer",
    "alert",
    "default handler",
    "topic",
    "indicator",
    "on_stop",
]
ORDER_CALLBACKS = [
    "on_order_initialized",
    "on_order_submitted",
    "on_order_accepted",
    "on_order_denied",
    "on_order_rejected",
    "on_order_updated",
    "on_order_canceled",
    "on_order_filled",
    "on_order_event",
    "on_position_opened",
    "on_position_changed",
    "on_position_closed",
    "on_position_event",
]


def run_failing(market: Market, where: str, *, warmup: bool = False) -> TaskOutput:
    start: dict[str, Any] = {"start": T0 + 15 * MINUTE, "warmup_start": T0} if warmup else {}
    return run(
        market,
        "failing.py:Failing",
        {"bar_type": BAR_TYPE, "where": where},
        venue={"order_rate_limit": {"orders": 2, "per": "1s"}},
        **start,
    )


def line_of(text: str) -> int:
    lines = (STRATEGIES / "failing.py").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def test_the_strategy_of_these_tests_comes_by_every_order_event(all_kinds: Market) -> None:
    output = run_failing(all_kinds, "nowhere")

    assert statuses(output) == {"FILLED": 3, "CANCELED": 3, "DENIED": 1, "REJECTED": 1}
    assert len(output.tables.positions) == 1


@pytest.mark.parametrize("where", CALLBACKS + ORDER_CALLBACKS)
def test_an_exception_in_a_callback_fails_the_task(all_kinds: Market, where: str) -> None:
    with pytest.raises(StrategyFailureError) as failure:
        run_failing(all_kinds, where)

    place = "handle_bar" if where == "indicator" else "fail"
    line = line_of('"boom indicator"' if where == "indicator" else 'f"boom {where}"')
    assert str(failure.value) == f"RuntimeError: boom {where} (failing.py:{line}, {place})"
    assert f'failing.py", line {line}' in failure.value.strategy_traceback


@pytest.mark.parametrize("where", [*CALLBACKS, "on_order_denied", "on_order_event"])
def test_an_exception_during_warm_up_fails_the_task_too(all_kinds: Market, where: str) -> None:
    with pytest.raises(StrategyFailureError, match=f"RuntimeError: boom {where}"):
        run_failing(all_kinds, where, warmup=True)


def test_an_exception_while_the_strategy_is_made_fails_the_task(all_kinds: Market) -> None:
    with pytest.raises(StrategyFailureError, match=r"boom init .*\(while the strategy was made\)"):
        run_failing(all_kinds, "init")


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("sys.exit", "SystemExit: 0 (failing.py:"),
        ("sys.exit in on_start", "SystemExit: 0 (failing.py:"),
        ("sys.exit in on_stop", "SystemExit: 0 (failing.py:"),
        ("KeyboardInterrupt", "KeyboardInterrupt:  (failing.py:"),
    ],
)
def test_leaving_the_process_fails_the_task(all_kinds: Market, where: str, message: str) -> None:
    with pytest.raises(StrategyFailureError) as failure:
        run_failing(all_kinds, where)

    assert str(failure.value).startswith(message)


@pytest.mark.parametrize(
    ("where", "call"),
    [
        ("stop", "stop()"),
        ("stop in on_start", "stop()"),
        ("shutdown_system", "shutdown_system()"),
        ("fault", "fault()"),
        ("degrade", "degrade()"),
        ("reset", "reset()"),
        ("dispose", "dispose()"),
    ],
)
def test_leaving_before_the_windows_end_fails_the_task(
    all_kinds: Market, where: str, call: str
) -> None:
    with pytest.raises(StrategyFailureError) as failure:
        run_failing(all_kinds, where)

    message = f"the strategy left early: it called {call} before the window's end (failing.py:"
    assert str(failure.value).startswith(message)
    assert "failing.py" in failure.value.strategy_traceback


def test_a_timer_whose_callback_takes_no_event_is_refused_where_it_is_set(
    all_kinds: Market,
) -> None:
    with pytest.raises(StrategyFailureError, match=r"takes one argument, the event.*on_start\)"):
        run_failing(all_kinds, "timer without argument")


def test_an_exception_of_a_native_timer_callback_fails_the_task(all_kinds: Market) -> None:
    with pytest.raises(StrategyFailureError, match=r"TypeError: int\(\) argument must be"):
        run_failing(all_kinds, "native timer")


def test_an_order_that_is_sent_twice_fails_the_task(all_kinds: Market, written: Path) -> None:
    # The engine would fill it again: a position of 2, with one fill of 1 in the tables.
    (written / "twice.py").write_text(
        "from nautilus_trader.model import BarType, OrderSide, Quantity\n"
        "from nautilus_trader.trading import Strategy\n"
        f"BARS = BarType.from_str({BAR_TYPE!r})\n"
        "class Twice(Strategy):\n"
        "    def on_start(self):\n"
        "        self.subscribe_bars(BARS)\n"
        "        self.order = None\n"
        "    def on_bar(self, bar):\n"
        "        if self.order is None:\n"
        "            one = Quantity.from_str('1.000')\n"
        "            self.order = self.order_factory.market(\n"
        "                BARS.instrument_id, OrderSide.BUY, one\n"
        "            )\n"
        "        try:\n"
        "            self.submit_order(self.order)\n"
        "        except ValueError:\n"
        "            pass\n"
    )
    with pytest.raises(StrategyFailureError, match="was sent before, and would be filled again"):
        run(all_kinds, "twice.py:Twice", {}, folder=written)


def test_an_exception_that_the_strategy_handles_itself_is_no_failure(
    all_kinds: Market, written: Path
) -> None:
    (written / "careful.py").write_text(
        "from nautilus_trader.model import BarType\n"
        "from nautilus_trader.trading import Strategy\n"
        "class Careful(Strategy):\n"
        "    def on_start(self):\n"
        f"        self.subscribe_bars(BarType.from_str({BAR_TYPE!r}))\n"
        "    def on_bar(self, bar):\n"
        "        try:\n"
        "            self.look()\n"
        "        except KeyError:\n"
        "            pass\n"
        "    def look(self):\n"
        "        raise KeyError('nothing')\n"
    )

    assert run(all_kinds, "careful.py:Careful", {}, folder=written).tables.orders == []


def test_the_first_failure_is_the_one_that_is_told() -> None:
    record = FailureRecord()

    record.record_exception(ValueError("first"))
    record.record_exception(ValueError("second"))
    record.record_departure("stop()")

    assert record.message == "ValueError: first"


def test_the_engine_is_stopped_at_the_first_failure() -> None:
    stops: list[str] = []
    record = FailureRecord(stop_engine=lambda: stops.append("stopped"))

    record.record_exception(ValueError("first"))
    record.record_exception(ValueError("second"))

    assert stops == ["stopped"]
    assert record.as_error() is not None


def test_without_a_failure_there_is_nothing_to_raise() -> None:
    assert FailureRecord().as_error() is None


class OddError(Exception):
    """An error that raises another when it is shown."""

    def __str__(self) -> str:
        """Leave."""
        raise SystemExit


def test_an_error_that_cannot_be_shown_is_recorded_all_the_same() -> None:
    record = FailureRecord()

    record.record_exception(OddError())

    assert str(record.as_error()) == "OddError: its text cannot be shown: SystemExit"
