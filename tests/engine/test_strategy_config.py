"""From an experiment's values to a strategy's config: types, unknown and missing fields."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import pytest
from nautilus_trader.model import BarType, InstrumentId, OrderSide, Quantity
from nautilus_trader.trading import StrategyConfig

from trading_runtime.engine.strategy.config import build_config, config_fields, convert
from trading_runtime.errors import UsageError

BAR_TYPE = "BTCUSDT-PERP.SIM-1-MINUTE-LAST-EXTERNAL"


@dataclass
class Config(StrategyConfig):
    """Of the usual form."""

    bar_type: BarType
    fast: int = 10
    levels: list[Decimal] = field(default_factory=list)


class Undecorated(StrategyConfig):
    """Declares a field that the engine's class would ignore."""

    fast: int = 10


class Open(StrategyConfig):
    """Takes anything."""

    def __init__(self, period: int = 3, **_others: Any) -> None:
        super().__init__()
        self.period = period


def problems(config_class: type, values: dict[str, Any]) -> list[str]:
    with pytest.raises(UsageError) as refusal:
        build_config(config_class, values)
    return str(refusal.value).splitlines()


def test_values_are_brought_to_the_types_of_their_fields() -> None:
    config = build_config(
        Config, {"bar_type": BAR_TYPE, "fast": Decimal(5), "levels": [Decimal("0.1"), 1]}
    )

    assert (str(config.bar_type), config.fast) == (BAR_TYPE, 5)
    assert type(config.fast) is int
    assert config.levels == [Decimal("0.1"), Decimal(1)]


def test_all_problems_are_told_at_once() -> None:
    assert problems(Config, {"fats": 5, "fast": Decimal("1.5")}) == [
        "Config has no field 'fats'; did you mean 'fast'?",
        "Config.fast: 1.5 is not a whole number",
        "Config needs a value for 'bar_type', in strategy.config or in parameters",
    ]


def test_a_config_that_takes_anything_takes_no_misspelt_field() -> None:
    assert build_config(Open, {"period": 4}).period == 4
    assert problems(Open, {"perod": 4}) == ["Open has no field 'perod'; did you mean 'period'?"]


def test_a_config_that_is_no_dataclass_but_declares_fields_is_refused() -> None:
    assert problems(Undecorated, {"fast": 3}) == [
        "Undecorated declares fast but would ignore the values; write @dataclass above the class"
    ]


def test_fields_of_the_engines_own_config_are_known_without_a_class_of_ones_own() -> None:
    fields = config_fields(StrategyConfig)

    assert fields["manage_stop"].annotation is bool
    assert not fields["strategy_id"].required


def test_random_order_ids_are_refused() -> None:
    (problem,) = problems(StrategyConfig, {"use_uuid_client_order_ids": True})

    assert "random order ids can never be repeated" in problem


def test_a_value_that_the_config_itself_refuses_is_a_problem_of_the_user() -> None:
    @dataclass
    class Positive(StrategyConfig):
        size: int = 1

        def __post_init__(self) -> None:
            if self.size <= 0:
                raise ValueError("size must be above zero")

    assert problems(Positive, {"size": 0}) == [
        "Positive refuses its values: ValueError: size must be above zero"
    ]


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (Decimal("2.50"), float, 2.5),
        (3, Decimal, Decimal(3)),
        ("0.10", Decimal, Decimal("0.10")),
        (True, bool, True),
        ("text", str, "text"),
        (None, int | None, None),
        (5, int | None, 5),
        (Decimal("0.010"), Quantity, Quantity.from_str("0.010")),
        ("A.SIM", InstrumentId, InstrumentId.from_str("A.SIM")),
        ("BUY", OrderSide, OrderSide.BUY),
        ("90s", dt.timedelta, dt.timedelta(seconds=90)),
        ("2022-01-01", dt.datetime, dt.datetime(2022, 1, 1, tzinfo=dt.UTC)),
        ("fast", Literal["fast", "slow"], "fast"),
        ([1, 2], tuple[int, ...], (1, 2)),
        ({"a": Decimal(1)}, dict[str, int], {"a": 1}),
        (Decimal("1.5"), Any, 1.5),
        (Decimal(2), Any, 2),
        ([Decimal(2), {"a": Decimal("0.5")}], Any, [2, {"a": 0.5}]),
    ],
)
def test_a_value_is_converted(value: Any, annotation: Any, expected: Any) -> None:
    converted = convert(value, annotation)

    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation", "message"),
    [
        ("5", int, "'5' is a text, not a number; write it without quotes"),
        (True, int, "True is not a number"),
        (1, bool, "1 is not a bool"),
        (1, str, "1 is not a str"),
        (None, int, "null is not a number"),
        ("medium", Literal["fast", "slow"], "'medium' is not one of 'fast', 'slow'"),
        (5, list[int], "5 is not a list"),
        (5, dict[str, int], "5 is not a mapping"),
        ("nonsense", BarType, "'nonsense' is not a BarType"),
        ([1], Quantity, "[1] is not a Quantity"),
    ],
)
def test_a_value_of_another_type_is_refused(value: Any, annotation: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as refusal:
        convert(value, annotation)

    assert message in str(refusal.value)
