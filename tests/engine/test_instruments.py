"""Instrument files become the engine's instruments, with sensible defaults."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from nautilus_trader import model

from trading_runtime.engine.instruments import catalog
from trading_runtime.engine.instruments.files import (
    build_instruments,
    instrument_types,
    read_instruments,
)
from trading_runtime.errors import DataError, UsageError
from trading_runtime.records.instruments import InstrumentDefinition

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.datasets.instrument_facts import InstrumentFacts

PAIR = {
    "type": "CurrencyPair", "id": "EUR/USD.SIM", "base_currency": "EUR", "quote_currency": "USD",
    "price_increment": "0.00001", "size_increment": "1000",
}  # fmt: skip
PERPETUAL = {
    "type": "CryptoPerpetual", "id": "BTCUSDT-PERP.SIM", "base_currency": "BTC",
    "quote_currency": "USDT", "settlement_currency": "USDT", "price_increment": "0.1",
    "size_increment": "0.001", "margin_init": "0.05", "margin_maint": 0.025,
    "min_notional": "10 USDT",
}  # fmt: skip
EQUITY = {"type": "Equity", "id": "AAPL.XNAS", "currency": "USD", "price_increment": 0.01}
FUTURE = {
    "type": "FuturesContract", "id": "ESZ4.XCME", "asset_class": "INDEX", "underlying": "ES",
    "activation_ns": 1_726_790_400_000_000_000, "expiration_ns": "2024-12-20T14:30:00Z",
    "currency": "USD", "price_increment": "0.25", "multiplier": 50, "exchange": "XCME",
}  # fmt: skip


def read(tmp_path: Path, content: Any) -> dict[str, InstrumentFacts]:
    path = tmp_path / "instruments.json"
    path.write_text(json.dumps(content))
    return read_instruments([path])


@pytest.mark.parametrize(
    ("definition", "kind", "price", "size"),
    [
        (PAIR, model.CurrencyPair, (5, "0.00001"), (0, "1000")),
        (PERPETUAL, model.CryptoPerpetual, (1, "0.1"), (3, "0.001")),
        (EQUITY, model.Equity, (2, "0.01"), (0, "1")),
        (FUTURE, model.FuturesContract, (2, "0.25"), (0, "1")),
    ],
)
def test_each_kind_is_read_with_its_ticks(
    definition: dict[str, Any], kind: Any, price: tuple[int, str], size: tuple[int, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    [facts] = read(tmp_path, definition).values()

    [instrument] = build_instruments([facts.definition])
    assert isinstance(instrument, kind)
    assert str(instrument.id) == facts.id == definition["id"]
    assert (facts.price_precision, facts.price_increment) == (price[0], Decimal(price[1]))
    assert (facts.size_precision, facts.size_increment) == (size[0], Decimal(size[1]))


def test_the_lot_of_an_instrument_without_one_is_its_size_increment(tmp_path: Path) -> None:
    found = read(tmp_path, [PERPETUAL, PAIR, EQUITY])

    lots = {name: facts.definition.content["lot_size"] for name, facts in found.items()}
    assert lots == {"BTCUSDT-PERP.SIM": "0.001", "EUR/USD.SIM": "1000", "AAPL.XNAS": "1"}


def test_symbol_and_times_have_defaults_and_instants_may_be_written_out(tmp_path: Path) -> None:
    [facts] = read(tmp_path, FUTURE).values()

    assert facts.definition.content["raw_symbol"] == "ESZ4"
    assert (facts.definition.content["ts_event"], facts.definition.content["ts_init"]) == (0, 0)
    assert facts.definition.expiration_ns == 1_734_705_000_000_000_000


def test_yaml_numbers_are_exact(tmp_path: Path) -> None:
    path = tmp_path / "pair.yaml"
    path.write_text(
        "type: CurrencyPair\nid: A/B.SIM\nbase_currency: EUR\nquote_currency: USD\n"
        "price_increment: 0.10\nsize_increment: 1\nmargin_init: 0.033\n"
    )

    [facts] = read_instruments([path]).values()

    assert (facts.price_precision, facts.price_increment) == (2, Decimal("0.10"))
    assert facts.definition.margin_init == Decimal("0.033")


@pytest.mark.parametrize("definition", [PAIR, PERPETUAL, EQUITY, FUTURE])
def test_what_the_engine_writes_of_an_instrument_is_an_instrument_file(
    definition: dict[str, Any], tmp_path: Path
) -> None:
    first = read(tmp_path, definition)
    [facts] = first.values()

    assert read(tmp_path, facts.definition.content) == first


def test_definitions_survive_a_catalog(tmp_path: Path) -> None:
    found = read(tmp_path, [PAIR, PERPETUAL, EQUITY, FUTURE])
    definitions = [facts.definition for _, facts in sorted(found.items())]
    (tmp_path / "catalog").mkdir()

    written = catalog.write_instruments(tmp_path / "catalog", definitions)

    assert len(written) == 4
    assert all(path.is_file() for path in written)
    assert catalog.read_catalog_instruments(tmp_path / "catalog") == definitions


def test_all_kinds_of_the_engine_are_known() -> None:
    expected = {"CurrencyPair", "CryptoPerpetual", "Equity", "FuturesContract", "OptionContract",
                "CryptoFuture", "Cfd", "BinaryOption", "BettingInstrument"}  # fmt: skip

    assert expected <= instrument_types().keys()


def test_every_fault_of_a_file_is_named_at_its_place(tmp_path: Path) -> None:
    wrong = PERPETUAL | {"base_currency": 5, "taker_fee": "0.001", "is_inverse": "no"}

    with pytest.raises(UsageError) as caught:
        read(tmp_path, wrong)

    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert "base_currency: found 5; must be a currency code" in lines[0]
    assert "taker_fee: unknown key; fees belong to the experiment" in lines[1]
    assert 'is_inverse: found "no"; must be true or false' in lines[2]


def test_a_code_in_small_letters_would_be_another_currency(tmp_path: Path) -> None:
    message = r'currency: found "usd"; must be a currency code in capital letters'
    with pytest.raises(UsageError, match=message):
        read(tmp_path, EQUITY | {"currency": "usd"})


def test_a_size_that_a_kind_fixes_may_be_said_but_not_changed(tmp_path: Path) -> None:
    assert read(tmp_path, EQUITY | {"size_increment": "1"})
    with pytest.raises(UsageError, match=r"size_increment: found \"0.1\"; Equity always has 1"):
        read(tmp_path, EQUITY | {"size_increment": "0.1"})


def test_a_definition_that_is_none_is_a_fault_of_the_data() -> None:
    with pytest.raises(DataError, match="'Bond' is unknown"):
        build_instruments([InstrumentDefinition(content={}, id="X.SIM", type="Bond")])
    with pytest.raises(DataError, match=r"'X\.SIM': "):
        build_instruments([InstrumentDefinition(content={}, id="X.SIM", type="Equity")])
