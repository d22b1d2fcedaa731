"""Settings that data or instruments cannot support are refused where they stand in the file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.small_experiment import INSTRUMENT
from trading_runtime.cli.main import invoke, root
from trading_runtime.planning.unsupported import traded_currency

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment

RATES = {"maker": 0, "taker": 0}


def refusal(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str], **venue: Any
) -> dict[str, str]:
    """What ``config check`` and ``plan`` say of a venue with these settings: line and message."""
    small.write(venue=small.content["venue"] | venue)
    # As people write it: each key on a line.
    small.path.write_text(json.dumps(small.content, indent=1))
    said = {}
    for command in (["config", "check"], ["plan"]):
        assert invoke(root, [*command, str(small.path)]) == 2
        error = capsys.readouterr().err.removeprefix("error: ")
        assert error.startswith(f"{small.path}:")
        said[command[0]] = error.removeprefix(f"{small.path}:")
    assert said["config"] == said["plan"]
    place, _, message = said["plan"].strip().partition(": ")
    line = small.path.read_text().splitlines()[int(place.split(":")[0]) - 1]
    return {"line": line.strip(), "message": message}


def test_tiers_in_another_currency_than_an_instrument_is_traded_in(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    tier = {"from_value": "1000 EUR", **RATES}
    said = refusal(small, capsys, fees={"model": "tiered", **RATES, "tiers": [tier]})

    assert said["line"] == '"from_value": "1000 EUR",'
    assert said["message"] == (
        f"venue.fees.tiers[0].from_value: counts EUR, and values of {INSTRUMENT} are in USDT; "
        "give tiers in USDT, and other instruments fees in venue.fees_by_instrument"
    )


@pytest.mark.parametrize(
    ("definition", "currency"),
    [
        ({"base_currency": "BTC", "quote_currency": "USDT"}, "USDT"),
        ({"quote_currency": "USD", "settlement_currency": "BTC"}, "BTC"),
        ({"currency": "USD"}, "USD"),
    ],
)
def test_values_are_in_the_currency_that_settles(definition: dict[str, Any], currency: str) -> None:
    assert traded_currency(definition) == currency
