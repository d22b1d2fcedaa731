"""Decimal texts become whole ticks exactly, whatever their length."""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nautilus_trader import model

from trading_runtime.cli.main import invoke, root
from trading_runtime.datasets.columns import (
    LARGEST_PRICE,
    LARGEST_SIZE,
    Increment,
    NumberFormat,
    decimals,
    read_ticks,
)

if TYPE_CHECKING:
    from pathlib import Path

INCREMENTS = ["0.01", "0.25", "0.5", "1", "7", "1000", "0.000001", "0.00000003"]


def ticks(texts: list[str | None], increment: str) -> list[tuple[int | None, str | None]]:
    found = read_ticks(pl.Series(texts, dtype=pl.String), Increment.of(Decimal(increment))).select(
        "ticks", "fault"
    )
    return list(found.iter_rows())


@pytest.mark.parametrize(
    ("text", "increment", "expected"),
    [
        ("1.25", "0.25", (5, None)),
        ("46319.0", "0.5", (92_638, None)),
        ("1.1200", "0.01", (112, None)),
        (".5", "0.01", (50, None)),
        ("5.", "0.01", (500, None)),
        ("+2", "1", (2, None)),
        ("1e-7", "0.0000001", (1, None)),
        ("1.5E+3", "0.5", (3_000, None)),
        ("0.00", "0.01", (0, "zero")),
        ("-0", "0.01", (0, "zero")),
        ("-0.01", "0.01", (None, "negative")),
        ("nan", "0.01", (None, "not finite")),
        ("-Infinity", "0.01", (None, "not finite")),
        ("", "0.01", (None, "missing")),
        (None, "0.01", (None, "missing")),
        ("1,5", "0.01", (None, "unreadable")),
        ("0x10", "0.01", (None, "unreadable")),
        (".", "0.01", (None, "unreadable")),
        ("1" * 30, "0.01", (None, "too large")),
    ],
)
def test_a_text_is_read_as_ticks_or_named_with_its_fault(
    text: str | None, increment: str, expected: tuple[int | None, str | None]
) -> None:
    assert ticks([text], increment) == [expected]


@pytest.mark.parametrize(
    ("text", "increment", "rounded"),
    [
        ("0.005", "0.01", 0),  # half way between 0 and 1: 0 is even
        ("0.015", "0.01", 2),  # half way between 1 and 2: 2 is even
        ("0.0150000000000000000000001", "0.01", 2),
        ("0.0049999999999999999999999", "0.01", 0),
        ("0.0050000000000000000000001", "0.01", 1),
        ("0.125", "0.25", 0),
        ("0.375", "0.25", 2),
        ("0.000310999", "0.000001", 311),
    ],
)
def test_a_value_between_two_ticks_is_rounded_half_to_even_and_flagged(
    text: str, increment: str, rounded: int
) -> None:
    assert ticks([text], increment) == [(rounded, "off tick")]


@settings(max_examples=150, deadline=None)
@given(
    units=st.integers(1, 10**21),
    digits=st.integers(0, 16),
    increment=st.sampled_from(INCREMENTS),
)
def test_rounding_agrees_with_exact_decimal_arithmetic(
    units: int, digits: int, increment: str
) -> None:
    with localcontext(prec=60):
        value = Decimal(units).scaleb(-digits)
        quotient = (value / Decimal(increment)).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
        off_by = abs(value - quotient * Decimal(increment))
        in_last_digits = off_by.scaleb(Increment.of(Decimal(increment)).digits)
    if quotient * 4 * Increment.of(Decimal(increment)).units >= 2**63:
        return
    if value.scaleb(Increment.of(Decimal(increment)).digits) >= 2**63:
        return

    [(found, fault)] = ticks([format(value, "f")], increment)

    assert found == int(quotient)
    # A number of 64 bits has 53 for its digits; four of its last bits are noise.
    in_units = int(quotient) * Increment.of(Decimal(increment)).units
    is_of_last_bits = len(format(value, "f")) > 16 and off_by <= value * Decimal(2) ** -50
    is_of_last_bits &= in_units < 2**53
    if in_last_digits != Decimal("1e-9"):
        is_noise = in_last_digits < Decimal("1e-9") or is_of_last_bits
        assert fault == (None if is_noise else "off tick")


@settings(max_examples=150, deadline=None)
@given(
    ticks_=st.integers(0, 10**15),
    off=st.integers(-3, 3),
    digits=st.integers(0, 8),
    increment=st.sampled_from(INCREMENTS),
)
def test_short_texts_are_on_the_tick_exactly_when_their_decimals_are(
    ticks_: int, off: int, digits: int, increment: str
) -> None:
    value = ticks_ * Decimal(increment) + Decimal(off).scaleb(-digits)
    if value <= 0 or ticks_ * Decimal(increment).scaleb(8) >= 2**62:
        return
    whole, rest = divmod(value, Decimal(increment))

    [(found, fault)] = ticks([format(value, "f")], increment)

    assert (fault is None) == (rest == 0)
    if rest == 0:
        assert found == int(whole)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.30000000000000004", (30, None, True)),  # 0.1 + 0.2
        ("4750.250000000001", (475_025, None, True)),
        ("42000.099999999999", (4_200_010, None, True)),
        ("0.30", (30, None, False)),
        ("0.30000001", (30, "off tick", False)),
    ],
)
def test_the_noise_of_floating_point_is_taken_as_the_tick_and_counted(
    text: str, expected: tuple[int, str | None, bool]
) -> None:
    found = read_ticks(pl.Series([text, "0.00000001"]), Increment.of(Decimal("0.01")))

    assert found.row(0) == expected


@pytest.mark.parametrize(
    ("text", "increment", "expected"),
    [
        ("0.19899999999999998", "0.00000001", (19_900_000, None, True)),  # 0.2 - 0.001
        ("218102.59507500002", "0.0000001", (2_181_025_950_750, None, True)),
        ("218102.59507501", "0.0000001", (2_181_025_950_750, "off tick", False)),
        ("1.123456789012345678", "0.00000001", (112_345_679, "off tick", False)),
    ],
)
def test_the_last_bits_of_a_floating_point_number_are_noise(
    text: str, increment: str, expected: tuple[int, str | None, bool]
) -> None:
    assert read_ticks(pl.Series([text]), Increment.of(Decimal(increment))).row(0) == expected


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("1.234,5", NumberFormat(",", "."), (123_450, None)),
        ("1,234.5", NumberFormat(thousands=","), (123_450, None)),
        ("12,34.5", NumberFormat(thousands=","), (None, "unreadable")),
        ("1,5", NumberFormat(","), (150, None)),
        ("1.5", NumberFormat(","), (None, "unreadable")),
        ("58.41M", NumberFormat(suffixes=True), (5_841_000_000, None)),
        ("1.5k", NumberFormat(suffixes=True), (150_000, None)),
        ("2B", NumberFormat(suffixes=True), (200_000_000_000, None)),
        ("2M", NumberFormat(), (None, "unreadable")),
        ("-37.63", NumberFormat(negative=True), (-3_763, None)),
        ("nan", NumberFormat(suffixes=True), (None, "not finite")),
        ("", NumberFormat(","), (None, "missing")),
    ],
)
def test_numbers_are_read_in_the_form_that_is_said(
    text: str, form: NumberFormat, expected: tuple[int | None, str | None]
) -> None:
    found = read_ticks(pl.Series([text]), Increment.of(Decimal("0.01")), form=form)

    assert found.row(0)[:2] == expected


@pytest.mark.parametrize("value", [0.1, 0.00031099999999999997, 1e-7, 1e16, 123456.789, 5e-9])
def test_a_float_is_read_as_its_shortest_decimal(value: float) -> None:
    increment = Increment.of(Decimal("0.00000001"))

    found = read_ticks(pl.Series([value]), increment)["ticks"].to_list()

    expected = (Decimal(repr(value)) * 10**8).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    assert found == ([int(expected)] if expected < 2**63 else [None])


@pytest.mark.parametrize("increment", INCREMENTS)
def test_ticks_become_decimals_of_the_catalog(increment: str) -> None:
    numbers = [0, 1, 2, 999_999_937]

    found = decimals(pl.Series(numbers), Increment.of(Decimal(increment)))

    assert str(found.type) == "decimal128(38, 16)"
    assert found.to_pylist() == [number * Decimal(increment) for number in numbers]


@pytest.mark.parametrize("increment", ["0.0000000003", "0.25", "1", "250000"])
def test_ticks_below_zero_and_absent_ones_become_decimals(increment: str) -> None:
    numbers = [-1, None, 0, 5, -(2**32), 2**32 + 1, -(10**12) - 7, 10**13]

    found = decimals(pl.Series(numbers), Increment.of(Decimal(increment)))

    tick = Decimal(increment)
    assert found.to_pylist() == [None if each is None else each * tick for each in numbers]


@pytest.mark.parametrize("increment", ["0", "-1", "NaN", "1e-17"])
def test_an_increment_is_above_zero_and_within_16_digits(increment: str) -> None:
    with pytest.raises(ValueError, match=r"increment|16 digits"):
        Increment.of(Decimal(increment))


def test_the_limits_are_those_of_the_engine() -> None:
    assert str(model.Quantity.from_str(str(LARGEST_SIZE))) == str(LARGEST_SIZE)
    assert str(model.Price.from_str(str(LARGEST_PRICE))) == str(LARGEST_PRICE)
    with pytest.raises(ValueError, match="QUANTITY_RAW_MAX"):
        model.Quantity.from_str(str(LARGEST_SIZE + 1))
    with pytest.raises(ValueError, match="valid range"):
        model.Price.from_str(str(LARGEST_PRICE + 1))


@pytest.mark.parametrize(
    ("text", "increment", "expected"),
    [
        ("98765432109.12345678", "0.00000001", (9_876_543_210_912_345_678, None)),
        ("34028236692093", "0.0000000000000001", (340_282_366_920_930_000_000_000_000_000, None)),
        ("34028236692093", "1", (34_028_236_692_093, None)),
        ("34028236692093.00000001", "0.00000001", (None, "too large")),
        ("34028236692094", "1", (None, "too large")),
        ("34028236692093.6", "1", (None, "too large")),
        ("98765432109.123456785", "0.00000001", (9_876_543_210_912_345_678, "off tick")),
        ("98765432109.123456775", "0.00000001", (9_876_543_210_912_345_678, "off tick")),
        ("99999999999.99999999", "0.00000003", (3_333_333_333_333_333_333, None)),
    ],
)
def test_numbers_up_to_the_limit_of_the_engine_are_exact(
    text: str, increment: str, expected: tuple[int | None, str | None]
) -> None:
    tick = Increment.of(Decimal(increment))

    found = read_ticks(pl.Series([text, "0.0000000000000000", None]), tick, LARGEST_SIZE).select(
        "ticks", "fault"
    )

    assert found.row(0) == expected
    assert found["fault"].to_list()[1:] == ["zero", "missing"]
    if expected[1] is None:
        assert decimals(found["ticks"], tick).to_pylist() == [Decimal(text), Decimal(0), None]


def test_ordinary_columns_stay_in_64_bits() -> None:
    found = read_ticks(pl.Series(["1.5", "x"]), Increment.of(Decimal("0.5")), LARGEST_SIZE).select(
        "ticks", "fault"
    )

    assert found.schema["ticks"] == pl.Int64


@pytest.mark.parametrize("tick", ["0.00000001", "0.0000000000000001"])
def test_prices_of_many_digits_are_prepared(tmp_path: Path, tick: str) -> None:
    instrument = {
        "type": "CurrencyPair",
        "id": "SHIB/USDT.SIM",
        "base_currency": "SHIB",
        "quote_currency": "USDT",
        "price_increment": tick,
        "size_increment": "0.00000001",
    }
    row = f"2024-01-02T00:01,{tick},{tick},{tick},{tick},98765432109.87654321\n"
    (tmp_path / "a.csv").write_text(f"timestamp,open,high,low,close,volume\n{row}")
    (tmp_path / "instrument.json").write_text(json.dumps(instrument))
    series = {"type": "bars", "instrument": "SHIB/USDT.SIM", "bar": "1-MINUTE-LAST"}
    series |= {"files": "a.csv", "timestamp_marks": "close"}
    content = {"instruments": "instrument.json", "series": [series]}
    (tmp_path / "a.data.json").write_text(json.dumps(content))
    command = ["data", "prepare", str(tmp_path / "a.data.json"), "--to", str(tmp_path / "ds")]

    assert invoke(root, command) == 0


def test_a_volume_beyond_the_engines_sizes_fits_in_thousands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = "2024-01-02T00:01,0.0000012,0.0000012,0.0000012,0.0000012,123456789012345\n"
    (tmp_path / "a.csv").write_text(f"timestamp,open,high,low,close,volume\n{row}")

    def prepared(symbol: str, price: str, size: str, **scale: str) -> int:
        instrument = {
            "type": "CurrencyPair",
            "id": f"{symbol}.SIM",
            "base_currency": "PEPE",
            "quote_currency": "USDT",
            "price_increment": price,
            "size_increment": size,
        }
        (tmp_path / "instrument.json").write_text(json.dumps(instrument))
        series: dict[str, Any] = {
            "type": "bars",
            "instrument": f"{symbol}.SIM",
            "bar": "1-MINUTE-LAST",
        }
        series |= {"files": "a.csv", "timestamp_marks": "close"} | (
            {"scale": scale} if scale else {}
        )
        (tmp_path / "a.data.json").write_text(
            json.dumps({"instruments": "instrument.json", "series": [series]})
        )
        command = ["data", "prepare", str(tmp_path / "a.data.json"), "--to", str(tmp_path / symbol)]
        return invoke(root, command)

    assert prepared("PEPEUSDT", "0.0000001", "1") == 3
    advice = "or count in thousands, as 1000PEPEUSDT does"
    assert f"holds sizes up to 34,028,236,692,093; {advice}" in capsys.readouterr().err
    assert prepared("1000PEPEUSDT", "0.0001", "0.001", prices="1000", sizes="0.001") == 0
    (file,) = (tmp_path / "1000PEPEUSDT").glob("data/bars/*/*.parquet")
    (bar,) = pq.read_table(file).select(["close", "volume"]).to_pylist()
    assert bar == {"close": Decimal("0.0012"), "volume": Decimal("123456789012.345")}
