"""The inputs of tasks say what an experiment says, and what does not is refused by its place."""

from __future__ import annotations

import re
from dataclasses import fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.plans import COMMON, VENUE
from trading_runtime.config import fees, risk, venue
from trading_runtime.records import inputs
from trading_runtime.records.inputs import CommonInputs

if TYPE_CHECKING:
    from pydantic import BaseModel


@pytest.mark.parametrize(
    ("model", "record"),
    [
        (venue.VenueSettings, inputs.VenueInputs),
        (venue.FillSettings, inputs.FillInputs),
        (venue.LatencySettings, inputs.LatencyInputs),
        (venue.OrderRateLimit, inputs.RateLimitInputs),
        (venue.SwapSettings, inputs.SwapInputs),
        (venue.HoldingRates, inputs.HoldingRateInputs),
        (venue.LiquidationSettings, inputs.LiquidationInputs),
        (fees.FeeTier, inputs.FeeTierInputs),
        (risk.RiskSettings, inputs.RiskInputs),
        (risk.InstrumentRisk, inputs.InstrumentRiskInputs),
        (risk.QueueSettings, inputs.QueueInputs),
    ],
)
def test_each_setting_of_an_experiment_reaches_the_engine(
    model: type[BaseModel], record: Any
) -> None:
    assert {field.name for field in fields(record)} == model.model_fields.keys()


def test_each_setting_of_each_kind_of_fees_reaches_the_engine() -> None:
    kinds = (
        fees.MakerTakerFees,
        fees.TieredFees,
        fees.FixedFees,
        fees.PerContractFees,
        fees.NoFees,
    )

    stated = {name for kind in kinds for name in kind.model_fields}
    assert {field.name for field in fields(inputs.FeeInputs)} == stated


def test_numbers_are_exact_and_the_document_is_as_it_was_given() -> None:
    content = COMMON | {"venue": VENUE | {"leverage": "0.1"}, "of_a_later_version": [1]}
    common = CommonInputs.from_document(content)

    assert common.venue.leverage == Decimal("0.1")
    assert common.content == content


def test_the_main_venue_comes_before_the_others() -> None:
    venues = {"A": VENUE | {"balances": ["1 USD"]}}
    common = CommonInputs.from_document(COMMON | {"venues": venues})

    assert [(name, each.balances) for name, each in common.all_venues.items()] == [
        ("SIM", ("100000 USDT",)),
        ("A", ("1 USD",)),
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"leverage": 2}, "common.venue.leverage is no number in a text"),
        ({"leverage": "NaN"}, "common.venue.leverage is no number in a text"),
        ({"fees": {}}, "common.venue.fees.model is missing"),
        ({"balances": "1 USD"}, "common.venue.balances is no list"),
        ({"latency": {"base": None}}, "common.venue.latency.insert is missing"),
        ({"fill": VENUE["fill"] | {"seed": True}}, "common.venue.fill.seed is of the wrong type"),
    ],
)
def test_what_states_no_inputs_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        CommonInputs.from_document(COMMON | {"venue": VENUE | changes})
