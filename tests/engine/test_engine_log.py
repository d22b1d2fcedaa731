"""What the engine only logs is a failure of the task, or counted: nothing goes by unnoticed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine.market import (
    MINUTE,
    STRATEGIES,
    T0,
    Market,
    bars,
    equity,
    option,
    run,
    run_steps,
    trades,
)
from tests.engine.test_failures import BAR_TYPE
from trading_runtime.engine.simulation.engine_log import read_messages
from trading_runtime.engine.strategy.failures import StrategyFailureError
from trading_runtime.errors import DataError, UsageError
from trading_runtime.storage.scratch import remove_abandoned_scratch

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.engine.simulation.task import TaskOutput

CALLBACKS = [
    "on_bar",
    "on_quote",
    "on_trade",
    "on_signal",
    "on_time_event",
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
    "on_start",
    "on_stop",
]
HELPERS = """
import functools

def takes_none():
    pass

def wants_three(a, b, c):
    pass

async def later(*_arguments):
    pass

def hands_on(*arguments):
    return later(*arguments)

def steps(*_arguments):
    yield

def hands_on_steps(*arguments):
    return steps(*arguments)

async def later_steps(*_arguments):
    yield

def hands_on_later_steps(*arguments):
    return later_steps(*arguments)

class Wanting:
    def __init__(self, a, b, c):
        pass

def boom(*_arguments):
    raise RuntimeError("boom")

class Called:
    def __call__(self, a, b, c):
        pass

class Raising:
    def __call__(self, *_arguments):
        raise RuntimeError("boom")

class Bad(Failing):
"""
CALLABLES = {
    "None": "None",
    "a number": "7",
    "a static method without arguments": "staticmethod(takes_none)",
    "a function of three": "staticmethod(wants_three)",
    "a partial that raises": "staticmethod(functools.partial(boom))",
    "a native function": "staticmethod(functools.partial(int, 'x'))",
    "an object of wrong arity": "Called()",
    "an object that raises": "Raising()",
    "a function that returns a coroutine": "hands_on",
    "a function that returns a generator": "hands_on_steps",
    "a function that returns an asynchronous generator": "hands_on_later_steps",
    "a class of wrong arity": "Wanting",
    "a partial method that raises": "functools.partialmethod(boom)",
    "a class method without arguments": "classmethod(takes_none)",
    "a property without a value": "property(lambda self: None)",
    "a property that raises": "property(lambda self: 1 / 0)",
    "a method of another object": "'abc'.join",
}


def run_bad(market: Market, folder: Path, body: str, where: str = "nowhere") -> TaskOutput:
    (folder / "bad.py").write_text((STRATEGIES / "failing.py").read_text() + HELPERS + body)
    return run(
        market,
        "bad.py:Bad",
        {"bar_type": BAR_TYPE, "where": where},
        folder=folder,
        venue={"order_rate_limit": {"orders": 2, "per": "1s"}},
    )


@pytest.mark.parametrize("callback", CALLBACKS)
@pytest.mark.parametrize("kind", CALLABLES)
def test_a_callback_that_cannot_be_called_fails_the_task(
    all_kinds: Market, written: Path, kind: str, callback: str
) -> None:
    if (kind, callback) == ("a static method without arguments", "on_start"):
        pytest.skip("the engine calls it so, with nothing")
    with pytest.raises(StrategyFailureError):
        run_bad(all_kinds, written, f"    {callback} = {CALLABLES[kind]}\n", where=callback)


@pytest.mark.parametrize(
    "value",
    [
        "staticmethod(later)",
        "functools.partialmethod(later)",
        "staticmethod(functools.partial(later, 1))",
        "type('Async', (), {'__call__': later})()",
    ],
)
def test_an_async_callback_is_refused_however_it_is_wrapped(
    all_kinds: Market, written: Path, value: str
) -> None:
    with pytest.raises(UsageError, match=r"Bad\.on_bar in .*bad\.py is async or a generator"):
        run_bad(all_kinds, written, f"    on_bar = {value}\n")


START = "    def on_start(self):\n        super().on_start()\n        "


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("self.on_bar = None", "'NoneType' object is not callable"),
        ("self.on_bar = later", "was never awaited"),
        ("self.on_quote = steps", "on_quote, set on the strategy itself, is async or a generator"),
        ("self.clock.set_timer_ns('a', 60_000_000_000, callback=later)", "async or a generator"),
        ("self.clock.set_time_alert_ns('a', 1, functools.partial(steps))", "async or a generator"),
        ("self.subscribe_topic('t', later)", "async or a generator"),
        ("self.subscribe_topic('t', lambda m: later(m)); self.publish_message('t', 1)", "awaited"),
        ("import threading; threading.Thread(target=boom).start()", "boom in a thread"),
        ("import _thread; _thread.start_new_thread(boom, ()); import time; time.sleep(.1)", "boom"),
    ],
)
def test_what_fails_out_of_sight_fails_the_task(
    all_kinds: Market, written: Path, line: str, message: str
) -> None:
    with pytest.raises(StrategyFailureError, match=message):
        run_bad(all_kinds, written, f"{START}{line}\n")


def test_the_error_that_only_the_log_tells_of_is_in_the_message(
    all_kinds: Market, written: Path
) -> None:
    with pytest.raises(StrategyFailureError) as failure:
        run_bad(all_kinds, written, "    on_bar = None\n")

    assert str(failure.value) == (
        "the engine could not call the strategy: on_bar: TypeError: 'NoneType' object is not "
        "callable"
    )


def test_a_callable_that_works_is_no_failure(all_kinds: Market, written: Path) -> None:
    body = "    on_quote = staticmethod(functools.partial(print, end=''))\n"

    assert run_bad(all_kinds, written, body).engine_warnings == {}


def test_what_the_strategy_logs_itself_is_neither_failure_nor_counted(
    all_kinds: Market, written: Path
) -> None:
    line = "self.log.error('Something of my own'); self.log.warning('Mine, too')"

    assert run_bad(all_kinds, written, f"{START}{line}\n").engine_warnings == {}


FLOOD = """    def on_stop(self):
        import os
        from nautilus_trader.common import logging_sync_to_disk
        from trading_runtime.engine.simulation.engine_log import engine_log

        for _ in range(1000):
            self.log.error("x" * 1000)
        logging_sync_to_disk()
        assert os.fstat(engine_log()._descriptor).st_size < 100_000
"""


def test_what_the_strategy_logs_by_the_million_fills_no_disk(
    all_kinds: Market, written: Path
) -> None:
    run_bad(all_kinds, written, FLOOD)


KILLED = """
import os, signal
from trading_runtime.engine.simulation.engine_log import logger_config

logger_config(None)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_file_of_a_process_killed_before_its_first_engine_is_removed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    subprocess.run([sys.executable, "-c", KILLED], check=False)
    assert list(tmp_path.iterdir()) != []
    remove_abandoned_scratch()

    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_an_earlier_task(all_kinds: Market, written: Path) -> None:
    with pytest.raises(StrategyFailureError):
        run_bad(all_kinds, written, "    on_bar = None\n")

    assert run_bad(all_kinds, written, "    pass\n").engine_warnings == {}


def held_option(folder: Path, steps: dict[str, list[str]]) -> TaskOutput:
    """A call that expires after six minutes, over ten minutes of bars of its stock alone."""
    stock, call = equity(), option("100")
    rows = [*bars(stock, ["110"] * 10), *trades(call, ["5"] * 10, step=MINUTE, size="10")]
    return run_steps(
        Market.write(folder, [stock, call], rows),
        steps,
        venue={"balances": ["100000 USD"]},
        currency="USD",
        end=T0 + 10 * MINUTE + 1,
    )


def test_an_option_that_is_never_settled_fails_its_task(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"AAPLC100\.SIM expired at .*00:06:00Z and was not"):
        held_option(tmp_path, {"2": ["AAPLC100:market BUY 1"]})


def test_an_option_whose_position_was_closed_before_needs_no_settlement(tmp_path: Path) -> None:
    steps = {"2": ["AAPLC100:market BUY 1"], "4": ["AAPLC100:market SELL 1"]}

    assert held_option(tmp_path, steps).tables.positions[0]["open_quantity"] == 0


def test_denied_and_rejected_orders_are_not_counted_again(four_bars: Market) -> None:
    steps = {"1": ["stop BUY 1.000 50.0", *["market BUY 1.000"] * 3]}
    output = run_steps(four_bars, steps, venue={"order_rate_limit": {"orders": 2, "per": "1s"}})

    assert sorted(row["status"] for row in output.tables.orders) == [
        "DENIED",
        "DENIED",
        "FILLED",
        "REJECTED",
    ]
    assert output.engine_warnings == {}


def test_a_command_that_the_engine_passes_over_is_counted(four_bars: Market) -> None:
    steps = {"1": ["market BUY 1.000"], "2": ["cancel 0"], "3": ["cancel 0"]}

    counts: dict[str, Any] = run_steps(four_bars, steps).engine_warnings

    assert sum(counts.values()) == 2
    assert len(counts) == 1


def test_lines_that_are_no_entries_are_passed_over() -> None:
    assert read_messages(["not json\n"]).counts == {}
