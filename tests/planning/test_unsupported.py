"""Settings that data or instruments cannot support are refused where they stand in the file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.small_experiment import INSTRUMENT
from trading_runtime.cli.main import invoke, root
from trading_runtime.config.loading import load_experiment
from trading_runtime.config.messages import SettingsError
from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.errors import UsageError
from trading_runtime.planning.partitions import choose_series
from trading_runtime.planning.unsupported import main_venue, refuse_unsupported
from trading_runtime.records.instruments import InstrumentDefinition

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


def test_perpetuals_in_a_cash_account(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(small, capsys, account_type="cash")

    assert said["line"].startswith('"account_type": "cash"')
    assert said["message"] == (
        f"venue.account_type: a cash account cannot trade futures and perpetuals ({INSTRUMENT}); "
        "use 'account_type: margin'"
    )


def findings(small: SmallExperiment, definition: dict[str, Any], **venue: Any) -> list[str]:
    """What is said when the dataset's instrument has these facts, too."""
    small.write(venue=small.content["venue"] | venue)
    experiment = load_experiment(small.path).experiment
    manifest = load_manifest(small.content["dataset"]["path"])
    changed = [
        InstrumentDefinition.from_document({**item.content, **definition})
        for item in manifest.instruments
    ]
    manifest = manifest.model_copy(update={"instruments": changed})
    try:
        refuse_unsupported(experiment, manifest, choose_series(manifest, experiment.dataset))
    except SettingsError as error:
        return str(error).splitlines()
    return []


def test_a_settlement_price_is_of_a_contract_that_expires(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(small, capsys, settlement_prices={INSTRUMENT: "100"})
    assert said["line"] == f'"{INSTRUMENT}": "100"'
    assert said["message"] == (f"venue.settlement_prices.{INSTRUMENT}: never expires; leave it out")
    expiring = {"expiration_ns": 1_704_100_000_000_000_000}
    stated = {"settlement_prices": {INSTRUMENT: "100.5"}}
    assert findings(small, expiring, **stated) == []
    (option,) = findings(small, expiring | {"option_kind": "CALL"}, **stated)
    assert "is an option, which is settled by the price of what it is on" in option
    (fine,) = findings(small, expiring, settlement_prices={INSTRUMENT: "100.123"})
    assert fine.endswith("100.123: prices of this instrument have at most 1 decimal places")
    assert findings(small, expiring, settlement_prices={INSTRUMENT: "100.10"}) == []


@pytest.mark.parametrize("bar", ["100-TICK-LAST", "5-RENKO-LAST", "1000-VALUE-MID"])
def test_bars_without_a_length_fill_no_orders(small: SmallExperiment, bar: str) -> None:
    manifest = load_manifest(small.content["dataset"]["path"])
    name = f"{INSTRUMENT}-{bar}-EXTERNAL"
    files = [file.model_copy(update={"identifier": name}) for file in manifest.files]
    manifest = manifest.model_copy(update={"files": files})

    def check(*, bar_execution: bool) -> None:
        small.write(venue=small.content["venue"] | {"bar_execution": bar_execution})
        experiment = load_experiment(small.path).experiment
        refuse_unsupported(experiment, manifest, choose_series(manifest, experiment.dataset))

    with pytest.raises(SettingsError, match=f"without a fixed length .{name}"):
        check(bar_execution=True)
    check(bar_execution=False)


def test_swap_is_charged_to_a_balance_that_is_held(small: SmallExperiment) -> None:
    swap = {"rates": {INSTRUMENT: {"long": "-0.0001", "short": 0}}}
    assert findings(small, {}, swap=swap) == []
    (refused,) = findings(small, {"settlement_currency": "USDC"}, swap=swap)
    assert refused == (
        f"venue.swap.rates.{INSTRUMENT}: is settled in USDC, and venue.balances hold USDT; add a "
        "balance such as '0 USDC'"
    )


def test_dividends_are_those_of_shares_and_go_to_a_balance_that_is_held(
    small: SmallExperiment,
) -> None:
    dividends = {"amounts": {INSTRUMENT: {"2024-01-02": "0.24"}}}
    assert findings(small, {"type": "Equity"}, dividends=dividends) == []
    where = f"venue.dividends.amounts.{INSTRUMENT}"
    (refused,) = findings(small, {}, dividends=dividends)
    assert refused == f"{where}: is a CryptoPerpetual, which pays no dividends; leave it out"
    share = {"type": "Equity", "settlement_currency": None, "quote_currency": "USD"}
    (refused,) = findings(small, share, dividends=dividends)
    assert refused.startswith(f"{where}: is settled in USD, and venue.balances hold USDT")


def test_a_liquidation_needs_quotes_margins_and_a_balance(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refusal(small, capsys, liquidation={})
    assert said["line"] == '"liquidation": {}'
    assert said["message"] == (
        f"venue.liquidation: no quotes are fed of {INSTRUMENT}, and the engine values positions "
        "for a liquidation by quotes alone; add quotes"
    )
    # What a dataset of bars lacks in any case, and then what its instrument lacks.
    _, margin = findings(small, {"margin_maint": "0"}, liquidation={})
    assert f"no margin_maint is given for {INSTRUMENT}" in margin
    _, currency = findings(small, {"settlement_currency": "USDC"}, liquidation={})
    assert f"{INSTRUMENT} settle in a currency that venue.balances do not hold (USDT)" in currency


def test_venues_are_those_of_the_instruments(small: SmallExperiment) -> None:
    venue = small.content["venue"]

    def refused(instruments: list[str], *further: str) -> str:
        small.write(venues=dict.fromkeys(further, venue))
        with pytest.raises(UsageError) as error:
            main_venue(load_experiment(small.path).experiment, instruments)
        return str(error.value)

    assert refused(["A.SIM"], "EXB") == (
        "venues.EXB: no instrument of the dataset is traded there; they are of SIM"
    )
    assert refused(["A.SIM"], "SIM").startswith("venue: is of no instrument, since 'venues' names")
    assert refused(["A.SIM", "B.EXB", "C.EXC"], "EXB") == (
        "dataset.instruments: these are of 3 venues (EXB, EXC, SIM), and settings are given for 2; "
        "name the instruments of one of them, or give the others settings and balances in 'venues'"
    )
    small.write(venues={"EXB": venue})
    experiment = load_experiment(small.path).experiment
    assert main_venue(experiment, ["A.SIM", "B.EXB", "C.SIM"]) == "SIM"


@pytest.mark.parametrize(
    ("definition", "currency"),
    [
        ({"base_currency": "BTC", "quote_currency": "USDT"}, "USDT"),
        ({"quote_currency": "USD", "settlement_currency": "BTC"}, "BTC"),
        ({"currency": "USD"}, "USD"),
    ],
)
def test_values_are_in_the_currency_that_settles(definition: dict[str, Any], currency: str) -> None:
    instrument = InstrumentDefinition.from_document({"id": "A.SIM", **definition})
    assert instrument.traded_currency == currency
