"""What a strategy reads from its own folder although it is no part of its code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.market import Market, run
from trading_runtime.errors import StrategyError

if TYPE_CHECKING:
    from pathlib import Path

STRATEGY = """
import importlib.util, runpy
from pathlib import Path
from nautilus_trader.trading import Strategy

HERE = Path(__file__).parent

def specified(path):
    spec = importlib.util.spec_from_file_location("anything", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))

class Reading(Strategy):
    def on_start(self):
        {line}
"""


def written_strategy(folder: Path, line: str) -> None:
    (folder / "reading.py").write_text(STRATEGY.format(line=line))
    (folder / "other.py").write_text("")
    (folder / "tables").mkdir()
    (folder / "tables" / "weights.csv").write_text("1")


@pytest.mark.parametrize(
    "line",
    [
        "exec((HERE / 'other.py').read_text())",
        "runpy.run_path(str(HERE / 'other.py'))",
        "specified(HERE / 'other.py')",
    ],
)
def test_code_that_is_read_instead_of_imported_fails_the_task(
    four_bars: Market, written: Path, line: str
) -> None:
    written_strategy(written, line)

    with pytest.raises(StrategyError, match=r"other\.py, which is not among its code"):
        run(four_bars, "reading.py:Reading", {}, folder=written)
    named = run(four_bars, "reading.py:Reading", {}, folder=written, code=["other.py"])
    assert named.files_read == []


def test_a_file_that_is_read_is_told_unless_it_is_named_as_code(
    four_bars: Market, written: Path
) -> None:
    written_strategy(written, "(HERE / 'tables' / 'weights.csv').read_text()")

    found = run(four_bars, "reading.py:Reading", {}, folder=written)
    assert found.files_read == ["tables/weights.csv"]
    named = run(four_bars, "reading.py:Reading", {}, folder=written, code=["tables/weights.csv"])
    assert named.files_read == []


def test_what_is_written_or_read_elsewhere_is_not_told(
    four_bars: Market, written: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.csv"
    elsewhere.write_text("1")
    line = f"(HERE / 'log.txt').write_text('x'); Path({str(elsewhere)!r}).read_text()"
    written_strategy(written, line)

    assert run(four_bars, "reading.py:Reading", {}, folder=written).files_read == []
