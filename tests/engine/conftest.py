"""Markets that several tests run tasks on, written once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.market import MINUTE, Market, bars, pair, perpetual, quotes, trades

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def four_bars(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """A perpetual at 100, 110, 120, 130: a bar a minute."""
    instrument = perpetual()
    return Market.write(
        tmp_path_factory.mktemp("four_bars"),
        [instrument],
        bars(instrument, ["100", "110", "120", "130"]),
    )


@pytest.fixture(scope="session")
def all_kinds(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """A perpetual with twenty bars, quotes and trades: one of each a minute."""
    instrument = perpetual()
    rows = [
        *bars(instrument, [str(100 + number) for number in range(20)]),
        *quotes(instrument, [("99.9", "100.1")] * 20, step=MINUTE),
        *trades(instrument, ["100"] * 20, step=MINUTE),
    ]
    return Market.write(tmp_path_factory.mktemp("all_kinds"), [instrument], rows)


@pytest.fixture(scope="session")
def spot(tmp_path_factory: pytest.TempPathFactory) -> Market:
    """BTC/USDT at 100, 110, 120, 130: a bar a minute."""
    instrument = pair("BTC/USDT", "BTC", "USDT")
    return Market.write(
        tmp_path_factory.mktemp("spot"),
        [instrument],
        bars(instrument, ["100", "110", "120", "130"]),
    )


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder for strategies that a test writes."""
    folder = tmp_path / "written"
    folder.mkdir()
    return folder
