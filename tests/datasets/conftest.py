"""Datasets prepared from small raw files, as a user would prepare them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from trading_runtime.datasets.appending import Appended, append
from trading_runtime.datasets.data_file import load_preparation
from trading_runtime.datasets.prepare import Prepared, prepare
from trading_runtime.engine.instruments.catalog import write_instruments
from trading_runtime.engine.instruments.files import read_instruments

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

INSTRUMENT = {
    "type": "CurrencyPair",
    "id": "BTC/USDT.SIM",
    "base_currency": "BTC",
    "quote_currency": "USDT",
    "price_increment": "0.01",
    "size_increment": "0.001",
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "bars": {"bar": "1-MINUTE-LAST", "timestamp_marks": "close"},
    "trades": {},
    "quotes": {"size": "1"},
    "instrument_closes": {},
    "custom": {},
}


class Prepare(Protocol):
    """Prepares one series from raw files with settings of the data file."""

    def __call__(
        self, kind: str, raw: dict[str, str | bytes], /, *, force: bool = False, **settings: Any
    ) -> Prepared: ...


@pytest.fixture
def prepare_files(tmp_path: Path) -> Prepare:
    """Return a function that writes raw files and prepares ``dataset`` from all of them."""

    def run(
        kind: str, raw: dict[str, str | bytes], /, *, force: bool = False, **settings: Any
    ) -> Prepared:
        for name, text in raw.items():
            data = text.encode() if isinstance(text, str) else text
            (tmp_path / name).write_bytes(data)
        series: dict[str, Any] = {"type": kind, "instrument": "BTC/USDT.SIM", "files": sorted(raw)}
        series |= DEFAULTS[kind] | settings
        series = {key: value for key, value in series.items() if value is not None}
        content = {"instruments": "instrument.json", "series": [series]}
        (tmp_path / "instrument.json").write_text(json.dumps(INSTRUMENT))
        (tmp_path / "data.json").write_text(json.dumps(content))
        loaded = load_preparation(tmp_path / "data.json")
        instruments = read_instruments(loaded.instrument_files)
        return prepare(loaded, instruments, write_instruments, tmp_path / "dataset", force=force)

    return run


class Grow(Protocol):
    """Appends raw files to the dataset that was prepared before."""

    def __call__(
        self, kind: str, raw: Mapping[str, str | bytes], /, **settings: Any
    ) -> Appended: ...


@pytest.fixture
def grow(tmp_path: Path) -> Grow:
    """Return a function that appends the new rows of raw files to ``dataset``."""

    def run(kind: str, raw: Mapping[str, str | bytes], /, **settings: Any) -> Appended:
        for name, text in raw.items():
            (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        series = {"type": kind, "instrument": INSTRUMENT["id"], "files": sorted(raw)}
        series |= DEFAULTS[kind] | settings
        content = {"instruments": "instrument.json", "series": [series]}
        (tmp_path / "data.json").write_text(json.dumps(content))
        loaded = load_preparation(tmp_path / "data.json")
        known = read_instruments(loaded.instrument_files)
        return append(loaded, known, write_instruments, tmp_path / "dataset")

    return run
