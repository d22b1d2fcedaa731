"""Definitions of instruments: the fields that are read, and what is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.engine.market import future, perpetual
from trading_runtime.errors import DataError
from trading_runtime.records.instruments import InstrumentDefinition


def test_a_definition_has_the_fields_of_the_engines_document() -> None:
    document = perpetual().to_dict()

    definition = InstrumentDefinition.from_document(document)

    assert (definition.id, definition.type) == ("BTCUSDT-PERP.SIM", "CryptoPerpetual")
    assert definition.venue == "SIM"
    assert definition.currencies == ["BTC", "USDT", "USDT"]
    assert definition.margin_init == Decimal("0.1")
    assert (definition.expiration_ns, definition.option_kind) == (None, None)
    assert InstrumentDefinition.from_document(future().to_dict()).expiration_ns
    assert json.dumps(definition.content) == json.dumps(document)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"type": "Equity"}, "instrument.id is missing"),
        ({"id": 5}, "instrument.id is of the wrong type"),
        ({"id": "A.SIM", "margin_init": "much"}, "instrument.margin_init is no number in a text"),
        ({"id": "A.SIM", "expiration_ns": "2024"}, "instrument.expiration_ns is of the wrong type"),
        (["A.SIM"], "instrument is no mapping"),
    ],
)
def test_what_is_no_definition_is_refused_with_its_place(document: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        InstrumentDefinition.from_document(document)


def test_an_instrument_without_a_currency_has_no_values() -> None:
    with pytest.raises(DataError, match=r"'A\.SIM': is defined without the currency"):
        _ = InstrumentDefinition(content={}, id="A.SIM").traded_currency
