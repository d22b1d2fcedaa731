"""What a worker needs of instruments, without the reading of instrument files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.market import future, pair, perpetual
from trading_runtime.engine.instruments.definitions import build_instruments, definition_of
from trading_runtime.errors import DataError
from trading_runtime.records.instruments import InstrumentDefinition

ROOT = Path(__file__).parent.parent.parent


def test_a_definition_gives_the_instrument_that_it_was_taken_from() -> None:
    instruments = [pair("BTC/USDT", "BTC", "USDT"), perpetual(), future()]
    definitions = list(map(definition_of, instruments))

    assert list(map(definition_of, build_instruments(definitions))) == definitions


def test_a_definition_of_an_unknown_type_is_bad_data() -> None:
    with pytest.raises(DataError, match="instrument type 'Bond' is unknown"):
        build_instruments([InstrumentDefinition(content={}, id="X.SIM", type="Bond")])


def test_a_worker_does_without_what_reads_experiments_and_instrument_files() -> None:
    code = (
        "import sys, trading_runtime.engine.simulation.task\n"
        "import trading_runtime.engine.instruments.catalog\n"
        "print(*(name for name in ('pydantic', 'ruamel', 'polars', 'pandas',"
        " 'trading_runtime.config.document', 'trading_runtime.config.experiment')"
        " if name in sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )

    assert loaded.stdout.split() == []
