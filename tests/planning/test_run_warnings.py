"""Warnings: a setup that is accepted, and gives results that mean little, is never silent."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.small_experiment import BAR_TYPE, INSTRUMENT, ROOT
from trading_runtime.cli.main import invoke, root
from trading_runtime.config.loading import load_experiment
from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.errors import DataError
from trading_runtime.planning.partitions import choose_series
from trading_runtime.planning.points import expand_points
from trading_runtime.planning.run_warnings import find_warnings
from trading_runtime.records.instruments import InstrumentDefinition
from trading_runtime.records.run_warnings import RunWarning, WarningKind, read_warnings
from trading_runtime.units import parse_instant

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_experiment import SmallExperiment

OTHER = "ETHUSDT-PERP.SIM"
NO_ORDERS = {"parameters": {"every": [100_000]}}
"""The strategy trades at each so-manieth bar, and there are 240 a day."""


def warnings(small: SmallExperiment, margin_init: str = "0.05", **changes: Any) -> list[RunWarning]:
    experiment = load_experiment(small.write(**changes)).experiment
    manifest = load_manifest(small.content["dataset"]["path"])
    definitions = [changed(item, margin_init=margin_init) for item in manifest.instruments]
    manifest = manifest.model_copy(update={"instruments": definitions})
    chosen = choose_series(manifest, experiment.dataset)
    return find_warnings(experiment, manifest, chosen, expand_points(experiment))


def changed(definition: InstrumentDefinition, **facts: Any) -> InstrumentDefinition:
    """The definition of an instrument with other facts."""
    return InstrumentDefinition.from_document({**definition.content, **facts})


def given(**config: Any) -> dict[str, Any]:
    return {"path": "counting.py:Counting", "config": {"bar_type": BAR_TYPE, **config}}


def test_a_setup_that_fits_its_dataset_has_no_warning(small: SmallExperiment) -> None:
    assert warnings(small) == []


@pytest.mark.parametrize("margin_init", ["0", "0.000", None])
def test_a_margin_account_warns_of_instruments_that_take_no_margin(
    small: SmallExperiment, margin_init: Any
) -> None:
    (warning,) = warnings(small, margin_init)

    assert (warning.kind, warning.where) == (WarningKind.NO_MARGIN, "venue.account_type")
    assert f"no margin_init is given for {INSTRUMENT}, " in warning.message
    assert "cash" not in warning.message, "no cash account trades a perpetual"


def test_a_cash_account_takes_no_margin(small: SmallExperiment) -> None:
    assert warnings(small, "0", venue=small.content["venue"] | {"account_type": "cash"}) == []


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (OTHER, "instrument_not_fed", f"given {OTHER}, and no data of it is fed"),
        ("BTCUSD-PERP.SIM", "instrument_not_fed", f"did you mean '{INSTRUMENT}'"),
        ([INSTRUMENT, OTHER], "instrument_not_fed", f"given {OTHER}"),
        ({OTHER: "0.5"}, "instrument_not_fed", f"given {OTHER}"),
        (f"{OTHER}-1-MINUTE-LAST-EXTERNAL", "instrument_not_fed", f"given {OTHER}"),
        (f"{INSTRUMENT}-5-MINUTE-LAST-EXTERNAL", "bars_not_fed", f"fed are {BAR_TYPE}"),
        (f"{INSTRUMENT}-1-MINUTE-BID-EXTERNAL", "bars_not_fed", f"fed are {BAR_TYPE}"),
        (f"{INSTRUMENT}-1-MINUTE-LAST-INTERNAL", "bars_not_fed", "built from trades"),
        (f"{INSTRUMENT}-1-MINUTE-MID-INTERNAL", "bars_not_fed", "built from quotes"),
        (f"{INSTRUMENT}-9-MINUTE-LAST-INTERNAL@3-MINUTE-EXTERNAL", "bars_not_fed", "-3-MINUTE-"),
        (f"{BAR_TYPE} {INSTRUMENT}-1-HOUR-LAST-EXTERNAL", "bars_not_fed", "-1-HOUR-LAST"),
    ],
)
def test_what_the_strategy_is_given_and_is_not_fed_is_named(
    small: SmallExperiment, value: Any, kind: str, words: str
) -> None:
    (warning,) = warnings(small, strategy=given(also=value))

    assert (warning.kind, warning.where) == (kind, "strategy.config.also")
    assert words in warning.message


@pytest.mark.parametrize(
    "value",
    [
        INSTRUMENT,
        f"{INSTRUMENT}-5-MINUTE-LAST-INTERNAL@1-MINUTE-EXTERNAL",
        "0.5",
        "notes.txt",
        "1-MINUTE-LAST",
        7,
    ],
)
def test_what_is_fed_or_names_no_data_is_no_warning(small: SmallExperiment, value: Any) -> None:
    assert warnings(small, strategy=given(also=value)) == []


def test_an_instrument_of_another_venue_is_known_by_its_key(small: SmallExperiment) -> None:
    (warning,) = warnings(small, strategy=given(instrument_id="BTCUSDT.BINANCE"))

    assert warning.kind is WarningKind.INSTRUMENT_NOT_FED


def test_a_parameter_is_checked_once_for_each_of_its_values(small: SmallExperiment) -> None:
    found = warnings(small, parameters={"every": [20, 30], "instrument": [INSTRUMENT, OTHER]})

    assert [(item.kind, item.where) for item in found] == [
        (WarningKind.INSTRUMENT_NOT_FED, "parameters.instrument")
    ]


def test_settings_for_an_instrument_that_is_not_fed_are_named(small: SmallExperiment) -> None:
    found = warnings(
        small,
        venue=small.content["venue"] | {"leverages": {OTHER: 3}},
        risk={"max_loss": 5, "instruments": {OTHER: {"max_order_quantity": 1}}},
    )

    assert [item.where for item in found] == ["risk.instruments", "venue.leverages"]


def test_with_each_instrument_alone_a_named_one_is_missing_in_the_tasks_of_others(
    small: SmallExperiment,
) -> None:
    experiment = load_experiment(small.write(partitions={"instruments": "each"})).experiment
    manifest = load_manifest(small.content["dataset"]["path"])
    (bars,) = manifest.files
    copied = bars.model_copy(
        update={"instrument_id": OTHER, "identifier": BAR_TYPE.replace(INSTRUMENT, OTHER)}
    )
    manifest = manifest.model_copy(update={"files": (bars, copied)})
    chosen = choose_series(manifest, experiment.dataset)

    (warning,) = find_warnings(experiment, manifest, chosen, expand_points(experiment))

    assert "fed to its own tasks alone" in warning.message


def with_series(small: SmallExperiment, *kinds: str, **changes: Any) -> list[RunWarning]:
    """The warnings about the dataset with series of these kinds: ``1-MINUTE-BID`` or ``trades``."""
    experiment = load_experiment(small.write(**changes)).experiment
    manifest = load_manifest(small.content["dataset"]["path"])
    (bars,) = manifest.files
    files = [
        bars.model_copy(update={"identifier": f"{INSTRUMENT}-{kind}-EXTERNAL"})
        if kind.isupper()
        else bars.model_copy(update={"identifier": INSTRUMENT, "type": kind})
        for kind in kinds
    ]
    manifest = manifest.model_copy(update={"files": tuple(files)})
    chosen = choose_series(manifest, experiment.dataset)
    found = find_warnings(experiment, manifest, chosen, expand_points(experiment))
    return [item for item in found if item.kind is WarningKind.NEVER_FILLS]


# What trades over each of them is tried in tests/engine/test_without_market.py.
@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (["1-MINUTE-BID"], "never filled, since its shortest bars are of BID alone"),
        (["1-MINUTE-ASK"], "never filled, since its shortest bars are of ASK alone"),
        (["1-MINUTE-MARK"], "never filled, since its shortest bars are of MARK alone"),
        (["1-MINUTE-MID"], "market orders are denied"),
        (["1-MINUTE-BID", "5-MINUTE-ASK"], "of BID alone"),
        (["5-MINUTE-LAST", "1-MINUTE-BID"], "of BID alone"),
        (["1-MINUTE-MID", "1-HOUR-LAST"], "market orders are denied"),
        (["30-SECOND-BID", "2-MINUTE-ASK", "2-MINUTE-BID"], "of BID alone"),
        (["100-MILLISECOND-BID", "1-SECOND-LAST"], "of BID alone"),
    ],
)
def test_an_instrument_without_a_market_to_trade_at_is_named(
    small: SmallExperiment, kinds: list[str], words: str
) -> None:
    (warning,) = with_series(small, *kinds)

    assert warning.message.startswith(f"{INSTRUMENT}: ")
    assert words in warning.message


@pytest.mark.parametrize(
    "kinds",
    [
        ["1-MINUTE-LAST"],
        ["1-MINUTE-BID", "1-MINUTE-ASK"],
        ["1-MINUTE-BID", "quotes"],
        ["1-MINUTE-MID", "trades"],
        ["1-MINUTE-LAST", "1-MINUTE-BID"],
        ["1-MINUTE-BID", "order_book_deltas"],
    ],
)
def test_an_instrument_with_a_market_is_not_named(small: SmallExperiment, kinds: list[str]) -> None:
    assert with_series(small, *kinds) == []


def test_bars_that_do_not_move_the_market_need_other_data(small: SmallExperiment) -> None:
    still = small.content["venue"] | {"bar_execution": False}

    (warning,) = with_series(small, "1-MINUTE-LAST", venue=still)
    assert "'venue.bar_execution' is off" in warning.message
    assert with_series(small, "1-MINUTE-LAST", "trades") == []


@pytest.mark.parametrize(
    ("asked", "where", "words"),
    [
        (
            {"start": "2023-12-01"},
            "partitions.start",
            "begin only at 2024-01-01T00:01:00Z: 31 days",
        ),
        ({"end": "2024-02-01"}, "partitions.end", "end already at 2024-01-03T04:00:00Z: 28 days"),
    ],
)
def test_a_stretch_that_reaches_far_beyond_the_data_is_named(
    small: SmallExperiment, asked: dict[str, str], where: str, words: str
) -> None:
    (warning,) = warnings(small, partitions={"by": "day"} | asked)

    assert (warning.kind, warning.where) == (WarningKind.OUTSIDE_THE_DATA, where)
    assert words in warning.message


def test_a_share_without_an_ex_date_within_its_rows_is_named(small: SmallExperiment) -> None:
    def found(*days: str) -> list[RunWarning]:
        amounts = {INSTRUMENT: dict.fromkeys(days, "0.5")}
        return warnings(small, venue=small.content["venue"] | {"dividends": {"amounts": amounts}})

    (warning,) = found("2023-12-01", "2024-01-04")
    where = f"venue.dividends.amounts.{INSTRUMENT}"
    assert (warning.kind, warning.where) == (WarningKind.OUTSIDE_THE_DATA, where)
    assert "2024-01-01T00:01:00Z to 2024-01-03T04:00:00Z" in warning.message
    assert found("2023-12-01", "2024-01-02") == []


def test_rates_that_may_be_percentages_are_named(small: SmallExperiment) -> None:
    def found(taker: str, long: str, per: str = "day") -> list[tuple[str, str]]:
        tier = {"from_value": "1000 USDT", "maker": "0.01", "taker": taker}
        fees = {"model": "tiered", "maker": "-0.01", "taker": "0", "tiers": [tier]}
        swap = {"rates": {INSTRUMENT: {"long": long, "short": "0"}}, "per": per}
        venue = small.content["venue"] | {"fees": fees, "swap": swap}
        return [(item.where, item.message) for item in warnings(small, venue=venue)]

    assert found("0.05", "-2") == [
        (
            "venue.fees.tiers[0].taker",
            "0.05 is 5.00% of the value; if 0.05% is meant, write 0.0005",
        ),
        (
            f"venue.swap.rates.{INSTRUMENT}.long",
            "-2 is -200% of the value; if -2% is meant, write -0.02",
        ),
    ]
    assert found("0.01", "-2", per="year") == []


def test_a_stretch_that_ends_with_a_long_weekend_is_not(small: SmallExperiment) -> None:
    assert warnings(small, partitions={"start": "2023-12-28", "end": "2024-01-07"}) == []


def test_options_that_expire_over_bars_of_their_underlying_are_named(
    small: SmallExperiment,
) -> None:
    experiment = load_experiment(small.path).experiment
    manifest = load_manifest(small.content["dataset"]["path"])
    (bars,) = manifest.files
    within, beyond = (parse_instant(day) for day in ("2024-01-02", "2025-01-01"))
    call = InstrumentDefinition.from_document(
        {"id": "BTCC9.SIM", "option_kind": "CALL", "underlying": "BTCUSDT-PERP"}
    )
    files = [bars, bars.model_copy(update={"identifier": "x", "instrument_id": "BTCC9.SIM"})]

    def found(expiration: int, *more: Any) -> list[RunWarning]:
        instruments = (
            changed(manifest.instruments[0], margin_init="1"),
            changed(call, margin_init="1", expiration_ns=expiration),
        )
        known = manifest.model_copy(update={"instruments": instruments, "files": (*files, *more)})
        chosen = choose_series(known, experiment.dataset)
        return find_warnings(experiment, known, chosen, expand_points(experiment))

    (warning,) = found(within)
    assert (warning.kind, warning.message[:23]) == (
        WarningKind.NOT_SETTLED,
        "BTCC9.SIM expires withi",
    )
    assert found(beyond) == []
    trades = bars.model_copy(update={"type": "trades", "identifier": INSTRUMENT})
    assert found(within, trades) == []


@pytest.mark.parametrize(
    ("marks", "shift", "found"),
    [("close", 0, ["day_closes"]), ("open", 0, []), ("close", 1, [])],
)
def test_days_that_close_at_midnight_may_be_dates(
    small: SmallExperiment, marks: str, shift: int, found: list[str]
) -> None:
    experiment = load_experiment(small.path).experiment
    manifest = load_manifest(small.content["dataset"]["path"])
    (bars,) = manifest.files
    name = f"{INSTRUMENT}-1-DAY-LAST-EXTERNAL"
    midnights = [
        group.model_copy(update={"first": at + shift, "last": at + shift})
        for group, at in zip(
            bars.row_groups,
            map(parse_instant, ("2024-01-01", "2024-01-02", "2024-01-03")),
            strict=True,
        )
    ]
    days = bars.model_copy(update={"identifier": name, "row_groups": tuple(midnights)})
    settings = {"type": "bars", "timestamp_marks": marks}
    instruments = (changed(manifest.instruments[0], margin_init="1"),)
    source = {"series": [{"identifier": name, "settings": settings}]}
    manifest = manifest.model_copy(
        update={"files": (days,), "source": source, "instruments": instruments}
    )
    chosen = choose_series(manifest, experiment.dataset)

    warned = find_warnings(experiment, manifest, chosen, expand_points(experiment))
    assert [item.kind for item in warned if item.kind == "day_closes"] == found


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"type": "bars", "volume": "1000000"}, "have no volumes, and 1,000,000 stands for each"),
        ({"type": "bars"}, None),
    ],
)
def test_a_volume_that_only_the_settings_state_is_told(
    small: SmallExperiment, settings: dict[str, Any], words: str | None
) -> None:
    experiment = load_experiment(small.path).experiment
    manifest = load_manifest(small.content["dataset"]["path"])
    (definition,) = manifest.instruments
    source = {"series": [{"identifier": BAR_TYPE, "settings": settings}]}
    instruments = (changed(definition, margin_init="1"),)
    manifest = manifest.model_copy(update={"source": source, "instruments": instruments})
    chosen = choose_series(manifest, experiment.dataset)

    found = find_warnings(experiment, manifest, chosen, expand_points(experiment))

    assert [(item.kind, item.where) for item in found] == (
        [(WarningKind.STATED_SIZE, "dataset")] if words else []
    )
    assert all(f"{BAR_TYPE}: the raw files {words}" in item.message for item in found)


DEFAULTS = """from dataclasses import dataclass
from nautilus_trader.model import BarType, InstrumentId
from nautilus_trader.trading import Strategy, StrategyConfig

@dataclass
class Config(StrategyConfig):
    bar_type: BarType
    other: BarType = BarType.from_str("BTCUSDT-PERP.SIM-5-MINUTE-LAST-EXTERNAL")
    leg: InstrumentId | None = InstrumentId.from_str("ETHUSDT-PERP.SIM")
    note: str = "a text.of words"
    every: int = 3

class Mine(Strategy):
    def __init__(self, config: Config):
        super().__init__(config)
"""


def test_defaults_of_the_strategys_config_are_looked_at_too(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    (small.folder / "mine.py").write_text(DEFAULTS)
    strategy: dict[str, Any] = {"path": "mine.py:Mine", "config": {"bar_type": BAR_TYPE}}
    small.write(strategy=strategy, parameters={"every": [1, 2]})

    plan = json_of(["plan", str(small.path)], capsys)
    assert [(item["kind"], item["where"]) for item in plan["warnings"]] == [
        ("instrument_not_fed", "strategy.config.leg (its default)"),
        ("bars_not_fed", "strategy.config.other (its default)"),
    ]

    strategy["config"] |= {"leg": INSTRUMENT, "other": BAR_TYPE}
    small.write(strategy=strategy)
    assert json_of(["plan", str(small.path)], capsys)["warnings"] == []


def test_the_plan_the_terminal_the_result_and_the_report_say_the_same(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(strategy=given(size_step=1), **NO_ORDERS)
    plain = json_of(["plan", str(small.path)], capsys)
    assert plain["warnings"] == []
    small.write(risk={"max_loss": "1000000", "instruments": {OTHER: {"max_order_quantity": 1}}})

    plan = json_of(["plan", str(small.path)], capsys)
    assert [item["where"] for item in plan["warnings"]] == ["risk.instruments"]
    assert invoke(root, ["plan", str(small.path)]) == 0
    assert f"warning     risk.instruments: {OTHER} is not fed" in capsys.readouterr().out

    assert invoke(root, ["run", str(small.path), "--run-id", "run", "--workers", "1"]) == 0
    shown = capsys.readouterr().out
    result = json.loads(small.run_file("run", "result.json").read_text())
    report = small.run_file("run", "report/index.html").read_text()
    assert [item["kind"] for item in result["warnings"]] == ["instrument_not_fed", "no_orders"]
    for words in (f"{OTHER} is not fed", "strategy sent no order in any of 3 tasks"):
        assert words in shown
        assert words in report


def test_a_warning_changes_no_task_id(
    small: SmallExperiment, small_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = json_of(["plan", str(small.path)], capsys)
    folder = small.folder / "dataset"
    shutil.copytree(small_dataset, folder)
    small.write(dataset={"path": str(folder)}, venue=small.content["venue"] | {"leverages": {}})
    assert json_of(["plan", str(small.path)], capsys)["plan_digest"] == before["plan_digest"]

    small.write(sampling={"method": "random", "n": 50, "seed": 1})
    after = json_of(["plan", str(small.path)], capsys)

    assert [item["kind"] for item in after["warnings"]] == ["fewer_points"]
    assert {task["task_id"] for task in after["tasks"]} == {
        task["task_id"] for task in before["tasks"]
    }


@pytest.mark.parametrize(
    ("warmup", "changes", "asked"),
    [
        (None, {}, None),
        ("1d", {}, "1"),
        ("1d", {"embargo_size": 1}, None),
        ("1d", {"purged_size": 1}, None),
        ("25h", {"embargo_size": 1}, "2"),
    ],
)
def test_an_embargo_that_a_warm_up_reaches_over_is_told(
    small: SmallExperiment,
    capsys: pytest.CaptureFixture[str],
    warmup: str | None,
    changes: dict[str, Any],
    asked: str | None,
) -> None:
    """Of three days each is a test, and after the first and the second there is one to train on."""
    validation = {"method": "combinatorial-purged", "n_folds": 3, "n_test_folds": 1} | changes
    small.write(partitions={"by": "day", "warmup": warmup}, validation=validation)
    found = json_of(["plan", str(small.path)], capsys)["warnings"]

    assert [item["kind"] for item in found] == (["short_embargo"] if asked else [])
    if asked:
        assert found[0]["where"] == "validation.embargo_size"
        assert f"set it to {asked} or more" in found[0]["message"]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"sampling": {"method": "random", "n": 50, "seed": 1}}, "sampling.n"),
        ({"search": {"method": "random", "points": 50}}, "search.points"),
        ({"search": {"method": "tpe", "points": 50, "generation": 9}}, "search.generation"),
        ({"search": {"method": "tpe", "points": 9, "generation": 9}}, "search.points"),
    ],
)
def test_fewer_points_than_asked_for_are_told_of_the_key_that_asks(
    small: SmallExperiment, changes: dict[str, Any], where: str
) -> None:
    (warning,) = warnings(small, **changes)

    assert (warning.kind, warning.where) == (WarningKind.FEWER_POINTS, where)


def test_check_warns_when_the_dataset_is_at_hand(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(strategy=given(instrument_id=OTHER))

    assert invoke(root, ["config", "check", str(small.path)]) == 0
    shown = capsys.readouterr()

    assert shown.out.startswith(f"{small.path}: valid, with warnings\n")
    assert f"{small.path}: warning: strategy.config.instrument_id: " in shown.err


def test_check_refuses_an_instrument_that_the_dataset_does_not_hold(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(dataset=small.content["dataset"] | {"instruments": [OTHER]})

    assert invoke(root, ["config", "check", str(small.path)]) == 2
    assert f"the dataset has no instrument '{OTHER}'" in capsys.readouterr().err


def test_the_example_has_no_warning(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("local", "market_maker"):
        path = ROOT / "trading_runtime" / "local" / f"{name}.json"
        assert invoke(root, ["config", "check", str(path)]) == 0
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize("damaged", [5, [5], [{"kind": "no_orders"}], [{"kind": "unheard"}]])
def test_damaged_warnings_are_a_data_error(damaged: Any) -> None:
    assert read_warnings({}) == []
    with pytest.raises(DataError, match="damaged"):
        read_warnings({"warnings": damaged})


def json_of(command: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert invoke(root, [*command, "--json"]) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content
