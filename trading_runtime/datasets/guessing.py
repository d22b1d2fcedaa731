"""A settings file guessed from a raw file: what can be seen is filled in, the rest is left open."""

from __future__ import annotations

import contextlib
import csv
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import polars as pl

from trading_runtime.datasets.columns import NumberFormat
from trading_runtime.datasets.data_file import BarSeries
from trading_runtime.datasets.formats import Format, formats
from trading_runtime.datasets.importing import bar_as_long_as
from trading_runtime.datasets.raw_files import RawFile, find_files
from trading_runtime.datasets.row_checks import shown
from trading_runtime.datasets.time_formats import EPOCH, EPOCH_DIGITS, ISO
from trading_runtime.datasets.time_guesses import EXCEL_DAYS, fitting_formats, odd_ones
from trading_runtime.errors import DataError, UsageError
from trading_runtime.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

ASKED = "?"
"""Marks where the user has to fill in the settings file; no key accepts it."""
_LINES = 200
_SEPARATORS = (",", ";", "\t", "|")
_NUMBER = re.compile(r"[+-]?[0-9]*[.,]?[0-9]+([eE][+-]?[0-9]+)?")
_DATUM = re.compile(r"[+-]?[0-9.][0-9.:/eE+\-, TZ]*")
_NAMES = {
    "timestamp": (
        "unix", "timestamp", "time", "datetime", "date", "opentime", "ts", "tsevent", "gmttime",
        "localtime", "timeeet", "timeutc", "etcutc", "transacttime", "createdtime", "windowstart",
        "calctime", "datum",
    ),
    # Letters other than a to z are left out: erffnung is Eröffnung.
    "open": ("open", "o", "openprice", "erffnung", "ouv", "ouverture"),
    "high": ("high", "h", "highprice", "hoch", "haut"),
    "low": ("low", "l", "lowprice", "tief", "bas"),
    "close": ("close", "c", "last", "closeprice", "closelast", "schluss", "clot", "clture"),
    "volume": ("volume", "vol", "v", "tickvol", "tickvolume", "volumen"),
    "price": ("price", "p"),
    "size": ("size", "qty", "quantity", "amount", "q", "volume", "vol"),
    "trade_id": ("tradeid", "id", "aggtradeid", "trdmatchid"),
    "aggressor": ("side", "aggressor", "takerside"),
    "buyer_maker": ("isbuyermaker", "buyermaker"),
    "bid": ("bid", "bidprice", "bestbidprice"),
    "ask": ("ask", "askprice", "bestaskprice"),
    "bid_size": ("bidsize", "bidamount", "bidqty", "bestbidqty", "bidvolume"),
    "ask_size": ("asksize", "askamount", "askqty", "bestaskqty", "askvolume"),
    "received": ("localtimestamp", "tsrecv", "received"),
}  # fmt: skip
_ROLES = {
    "bars": ("timestamp", "open", "high", "low", "close", "volume"),
    "quotes": ("timestamp", "received", "bid", "ask", "bid_size", "ask_size"),
    "trades": ("timestamp", "received", "price", "size", "trade_id", "aggressor", "buyer_maker"),
}
_ADJUSTED = frozenset({"adjclose", "adjustedclose", "closeadj"})
_BOOKS = frozenset({"order_book_deltas", "order_book_depths"})
"""Types that are recognised by their columns alone."""
_FOUND_BY_NAME = frozenset({
    "timestamp", "open", "high", "low", "close", "volume", "price", "size", "bid", "ask",
})  # fmt: skip
"""Columns that need no setting when they have these names."""
_GROUPED = re.compile(
    r"[+-]?[0-9]{1,3}(?P<sign>[,.' ])[0-9]{3}(?:(?P=sign)[0-9]{3})*(?:(?P<decimal>[.,])[0-9]*)?"
)
"""Numbers with a sign between thousands: 1,234.5, 1.234,5, 1'234.5."""
_THREE_DIGITS = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}")
"""1.234 is a fraction, or thousands where a comma begins the fraction."""
_APOSTROPHE = re.compile(r"[0-9]{2,3}'[0-9]{3}")
"""110'165 is 110,165, or 110 and 16.5 32nds of a bond."""
_BARS_WITHOUT_HEADER = 5
"""Columns of a time and four prices."""


@dataclass
class Guess:
    """What a file is guessed to be."""

    series: dict[str, Any]
    """An entry of a data file's ``series``; ``ASKED`` where something must be filled in."""
    seen: list[tuple[str, str]] = field(default_factory=list)
    """What was found, as name and value."""
    asks: list[tuple[str, str]] = field(default_factory=list)
    """Keys that must be filled in, and why."""
    format: str | None = None
    """The known format that has its columns."""
    drops: bool = False
    """Whether rows that cannot be used will be left out."""


def guess(path: Path, instrument: str | None, *, drops: bool = False) -> Guess:
    """Guess what the raw file at ``path`` contains, with ``drops`` by the rows that can be used.

    Raises ``DataError`` for a file that cannot be read, or whose price columns cannot be
    identified.
    """
    found = Guess({"files": path.name, "instrument": instrument or ASKED}, drops=drops)
    if instrument is None:
        found.asks.append(("instrument", "whose rows they are: SYMBOL.VENUE"))
    base = BarSeries.model_construct(
        type="bars", instrument="X.SIM", files=str(path), bar="1-MINUTE-LAST",
        timestamp_marks="open",
    )  # fmt: skip
    file = find_files([([str(path)], base)])[0]
    rows, names = _table(file, found)
    if not rows:
        raise DataError(f"{file.name}: the file holds no rows")
    try:
        columns = _columns(names, rows, found)
        times = _times(columns, rows, found)
    except DataError as error:
        raise DataError(f"{file.name}: {error}") from error
    _spacing(times, found)
    _digits(columns, rows, found)
    _format(names, found, is_text=file.is_text)
    return found


_OF_ANOTHER_FILE = frozenset({"files", "instrument", "bar"})
"""What an import finds out itself."""
_OPTIONS = {
    "time_zone": "--time-zone UTC",
    "timestamp_marks": "--set timestamp_marks=open",
    "timestamp_format": "--set timestamp_format=%d/%m/%Y",
    "volume": "--set volume=1000",
    "size": "--set size=1000000",
    "decimal": "--set decimal=,",
    "thousands": '--set thousands="\'"',
}
"""How a command answers what a file does not show."""


def format_like(path: Path) -> str | None:
    """Return the name of the format that the raw file at ``path`` seems to have."""
    with contextlib.suppress(DataError, UsageError):
        return guess(path, None).format
    return None


def guess_format(path: Path, instrument: str, given: Mapping[str, Any]) -> tuple[Format, Guess]:
    """Return the format of the raw file at ``path``, and what it was made from.

    ``given`` are the settings that the user states. Raises ``UsageError`` that names those that are
    missing, and otherwise what ``guess`` raises.
    """
    found = guess(path, instrument, drops=given.get("on_bad_row") == "drop")
    missing = [
        f"{path}: does not show {why}; give {key}, for example '{_OPTIONS[key]}'"
        for key, why in found.asks
        if key in _OPTIONS and key not in given
    ]
    if missing:
        if found.format is not None:
            hint = f"give --format {found.format}, which answers most of this"
            missing.append(f"{path}: has the columns of {found.format}; {hint}")
        raise UsageError("\n".join(missing))
    table = {
        key: value
        for key, value in found.series.items()
        if key not in _OF_ANOTHER_FILE and value != ASKED
    }
    return Format(about="guessed", instrument="Any", series=[table]), found


def _table(file: RawFile, found: Guess) -> tuple[list[list[str]], list[str] | None]:
    """Return some rows as texts, and their column names if there are any."""
    if not file.is_text:
        names = file.column_names()
        frame = next(file.blocks({name: name for name in names}), pl.DataFrame()).head(_LINES)
        found.seen.append(("file", file.kind))
        rows = [[str(value) for value in row] for row in frame.drop("row", strict=False).rows()]
        return rows, names
    lines = file.first_lines(_LINES)
    if not lines:
        raise DataError(f"{file.name}: the file is empty; expected rows of market data")
    separator = max(_SEPARATORS, key=lambda sign: _regularity(lines, sign))
    records = [record for record in csv.reader(lines, delimiter=separator) if record]
    width = Counter(map(len, records)).most_common(1)[0][0]
    above = next(at for at, record in enumerate(records) if len(record) == width)
    records = [record for record in records[above:] if len(record) == width]
    has_header = not any(_DATUM.fullmatch(value.strip()) for value in records[0] if value)
    found.seen.append(("file", f"CSV, {width} columns"))
    for key, value, usual in (
        ("separator", separator, ","),
        ("header", has_header, True),
        ("skip_rows", above, 0),
    ):
        if value != usual:
            found.series[key] = value
            found.seen.append((key, repr(value) if isinstance(value, str) else str(value).lower()))
    if not has_header:
        return records, None
    return records[1:], [name.strip() for name in records[0]]


def _regularity(lines: Sequence[str], separator: str) -> tuple[int, int]:
    counts = Counter(line.count(separator) for line in lines)
    count, often = max(counts.items(), key=lambda item: (item[0] > 0, item[1], item[0]))
    return (often if count else 0, count)


def _columns(
    names: list[str] | None, rows: list[list[str]], found: Guess
) -> dict[str, tuple[int, ...]]:
    """Fill in type and columns; return the places of the columns by role."""
    if names is None:
        return _columns_by_place(rows, found)
    plain = [re.sub(r"[^a-z]", "", name.lower()) for name in names]
    places = {
        role: plain.index(next(name for name in known if name in plain))
        for role, known in _NAMES.items()
        if any(name in plain for name in known)
    }
    if {"open", "high", "low", "price"} <= set(places):
        # Investing.com's name of the last price.
        places.setdefault("close", places["price"])
    kind = _kind_of(places, names)
    if kind == "bars" and (adjusted := [at for at, name in enumerate(plain) if name in _ADJUSTED]):
        aside = f"{names[adjusted[0]]!r} is left aside: prices are as in the other columns"
        found.seen.append(("adjusted", f"{aside}, without dividends ('venue.dividends' pays them)"))
    if "volume" not in places:
        _volume(kind, names, plain, places, found)
    used: dict[str, tuple[int, ...]] = {
        role: (place,) for role, place in places.items() if role in _ROLES[kind]
    }
    for date, time in (("date", "time"), ("datum", "zeit"), ("datum", "uhrzeit")):
        if {date, time} <= set(plain):
            used["timestamp"] = (plain.index(date), plain.index(time))
    if "buyer_maker" in used:
        used.pop("aggressor", None)
    columns = {
        role: names[at[0]] if len(at) == 1 else [names[place] for place in at]
        for role, at in used.items()
        if len(at) > 1 or names[at[0]] != role or role not in _FOUND_BY_NAME
    }
    if columns:
        found.series["columns"] = columns
    found.series = {"type": kind, **found.series}
    found.seen.append(("type", kind))
    if kind == "quotes" and not {"bid_size", "ask_size"} <= set(used):
        found.series["size"] = ASKED
        found.asks.append(("size", 'the size of every quote, as the file has none: "1000000"'))
    return used


def _volume(
    kind: str, names: list[str], plain: list[str], places: dict[str, int], found: Guess
) -> None:
    """Find a column of volumes such as ``Volume BTC``, or ask for the volume of bars."""
    volumes = [at for at, name in enumerate(plain) if name.startswith("volume")]
    if volumes:
        places["volume"] = volumes[0]
    elif kind == "bars":
        found.series["volume"] = ASKED
        found.asks.append(("volume", 'the volume of every bar, as the file has none: "1000"'))
    if kind == "bars" and len(volumes) > 1:
        others = ", ".join(repr(names[at]) for at in volumes[1:])
        found.seen.append(("volume", f"{names[volumes[0]]!r}, the first beside {others}"))


def _kind_of(places: dict[str, int], names: list[str]) -> str:
    for kind, needed in (
        ("bars", {"open", "high", "low", "close"}),
        ("quotes", {"bid", "ask"}),
        ("trades", {"price", "size"}),
    ):
        if needed | {"timestamp"} <= set(places):
            return kind
    raise DataError(
        f"the columns {', '.join(map(repr, names[:20]))} are neither of bars (open, high, low, "
        "close), nor of quotes (bid, ask), nor of trades (price, size), each with a time; give "
        "the columns these names, or write a data file by hand"
    )


def _columns_by_place(rows: list[list[str]], found: Guess) -> dict[str, tuple[int, ...]]:
    first = rows[0]
    is_split = len(first) > 1 and re.fullmatch(r"[0-9]{1,2}:[0-9]{2}(:[0-9.]+)?", first[1].strip())
    times: tuple[int, ...] = (0, 1) if is_split else (0,)
    numbers = [at for at in range(len(times), len(first)) if _NUMBER.fullmatch(first[at].strip())]
    if len(numbers) + 1 < _BARS_WITHOUT_HEADER or not all(_is_bar(row, numbers) for row in rows):
        raise DataError(
            f"has no header, and its {len(first)} columns are not a time, open, high, low "
            "and close; name its format with --format (see 'trading-runtime data formats'), or "
            "write the settings by hand, with positions in 'columns'"
        )
    names = ("open", "high", "low", "close", "volume")
    used: dict[str, tuple[int, ...]] = {"timestamp": times} | {
        role: (at,) for role, at in zip(names, numbers, strict=False)
    }
    found.series = {"type": "bars", **found.series}
    found.series["columns"] = {
        role: [place + 1 for place in at] if len(at) > 1 else at[0] + 1 for role, at in used.items()
    }
    found.seen.append(("type", "bars: time, open, high, low, close by their places"))
    return used


def _is_bar(row: Sequence[str], numbers: Sequence[int]) -> bool:
    """Tell whether the first numbers of a row can be open, high, low and close."""
    texts = [row[at].strip().replace(",", ".") for at in numbers[:4]]
    if not all(map(_NUMBER.fullmatch, texts)):
        return True
    first, high, low, last = map(Decimal, texts)
    return low <= min(first, last) and max(first, last) <= high


def _times(columns: dict[str, tuple[int, ...]], rows: list[list[str]], found: Guess) -> pl.Series:
    texts = pl.Series([" ".join(row[at].strip() for at in columns["timestamp"]) for row in rows])
    fitting = fitting_formats(texts)
    if not fitting and (odd := odd_ones(texts)) is not None:
        if not found.drops:
            row = shown(",".join(rows[int(odd.arg_max() or 0)]))
            raise DataError(
                f"the row {row} has no time such as {texts[0]!r}; remove such lines, or leave them "
                "out with '--set on_bad_row=drop'"
            )
        texts = texts.filter(~odd)
        fitting = fitting_formats(texts)
    if not fitting:
        found.series["timestamp_format"] = ASKED
        found.asks.append(("timestamp_format", f"how times such as {texts[0]!r} are written"))
        return pl.Series([], dtype=pl.Int64)
    if "epoch" in fitting and texts.cast(pl.Float64, strict=False).is_between(*EXCEL_DAYS).all():
        raise DataError(
            f"times such as {texts[0]!r} look like the days that Excel counts; format the column "
            "as dates there, and save the sheet again"
        )
    form = next(iter(fitting))
    swapped = form.replace("%m/%d", "%d/%m")
    if swapped != form and swapped in fitting:
        found.series["timestamp_format"] = ASKED
        found.asks.append(
            ("timestamp_format", f"whether {texts[0]!r} is {form} or {swapped}: both fit")
        )
    elif form != "iso":
        found.series["timestamp_format"] = form
    names = {"epoch": f"since 1970, such as {texts[0]}", "iso": "ISO 8601"}
    found.seen.append(("times", names.get(form, form)))
    # The year of 17-Jan-2024 is no offset.
    ends_in_zone = re.search(r"([+-][0-9]{2}(:?[0-9]{2})?|Z|UTC)$", texts[0])
    has_zone = form == "epoch" or form.endswith("%z") or (form == "iso" and bool(ends_in_zone))
    if has_zone and not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", texts[0]):
        found.seen.append(("zone", "UTC, or by the offset that each time has"))
    else:
        found.series["time_zone"] = ASKED
        found.asks.append(("time_zone", "whose clock the times are: UTC, America/New_York, ..."))
    return fitting[form]


def _spacing(times: pl.Series, found: Guess) -> None:
    kind = found.series["type"]
    steps = times.diff().drop_nulls()
    if len(steps) and bool((steps <= 0).all()) and bool((steps < 0).any()):
        found.series["sort"] = True
        found.seen.append(("order", "newest row first"))
        steps = -steps
    if kind == "bars":
        found.series["timestamp_marks"] = ASKED
        found.asks.append(("timestamp_marks", "whether a time is that of a bar's open or close"))
        found.series["bar"] = ASKED
        usual = Counter(steps.filter(steps > 0).to_list()).most_common(1)
        try:
            found.series["bar"] = bar_as_long_as(usual[0][0] if usual else 1, "the file")
        except UsageError:
            found.asks.append(("bar", "how long a bar is: 1-MINUTE-LAST"))
        else:
            wide = [step for step in steps.to_list() if step > usual[0][0]]
            gaps = f"; {len(wide)} gaps, up to {format_duration(max(wide))}" if wide else ""
            found.seen.append(("bar", f"{found.series['bar']} by the distance of the rows{gaps}"))


def _digits(columns: dict[str, tuple[int, ...]], rows: list[list[str]], found: Guess) -> None:
    prices = ("open", "high", "low", "close", "price", "bid", "ask")
    sizes = ("volume", "size", "bid_size", "ask_size")
    texts = {
        what: [row[columns[role][0]].strip() for role in roles if role in columns for row in rows]
        for what, roles in (("tick", prices), ("lot", sizes))
    }
    form = _number_format(texts["tick"] + texts["lot"], texts["tick"], found)
    if any(text[-1:] in "KMBT" for text in texts["lot"] if text):
        form = replace(form, suffixes=True)
        found.series["suffixes"] = True
        found.seen.append(("suffixes", "numbers such as 58.41M"))
    for what, values in texts.items():
        plain = form.plain(pl.Series(values, dtype=pl.String)).to_list()
        increment = format(Decimal(1).scaleb(-_most_digits(plain)), "f")
        if plain:
            found.seen.append((what, f"{increment}, by the digits of the first rows"))


def _number_format(numbers: list[str], prices: list[str], found: Guess) -> NumberFormat:
    """Find out what separates decimals and thousands."""
    grouped = next((text for text in numbers if _GROUPED.fullmatch(text)), None)
    written = [text for text in numbers if text]
    may_be_grouped = bool(written) and all(map(_THREE_DIGITS.fullmatch, written))
    if may_be_grouped and found.series.get("separator") == ";":
        found.series["decimal"] = ASKED
        found.asks.append(("decimal", f"whether {written[0]!r} is a fraction or thousands"))
        return NumberFormat()
    if prices and all(map(_APOSTROPHE.fullmatch, prices)):
        found.series["thousands"] = ASKED
        found.asks.append(
            ("thousands", f"whether {prices[0]!r} is thousands, or 32nds, which are not read")
        )
        return NumberFormat()
    with_comma = [text for text in prices if "," in text]
    has_point = any("." in text for text in prices)
    decimal, thousands = ".", None
    if grouped is not None:
        # The last sign is that of decimals: 1.234,5 and 1,234.5.
        match = _GROUPED.fullmatch(grouped)
        thousands = match["sign"] if match is not None else None
        ends = match["decimal"] if match is not None else None
        decimal = ends or ("," if thousands == "." else ".")
        if ends is None and thousands == "," and not has_point and with_comma:
            found.series["decimal"] = ASKED
            found.asks.append(("decimal", f"whether {grouped!r} is a fraction or thousands"))
            return NumberFormat()
        if ends is None and thousands == ".":
            # Volumes of 1.000 beside prices of 1,5; else 1.000 is one.
            thousands = "." if with_comma and not has_point else None
            decimal = "," if with_comma and not has_point else "."
    elif with_comma and not has_point:
        decimal = ","
    for key, value, usual in (("decimal", decimal, "."), ("thousands", thousands, None)):
        if value != usual:
            found.series[key] = value
            found.seen.append((key, repr(value)))
    return NumberFormat(decimal, thousands)


def _most_digits(texts: Iterable[str]) -> int:
    """Return how many decimal places texts have, ignoring those with floating-point noise."""
    lengths = [len(text.partition(".")[2].rstrip("0")) for text in texts if _NUMBER.fullmatch(text)]
    return max((length for length in lengths if length <= 8), default=0)  # noqa: PLR2004 - ticks have fewer


def _format(names: list[str] | None, found: Guess, *, is_text: bool) -> None:
    """Say which known format has most of these columns, and their separator and times."""
    if names is None:
        return
    fitting: dict[str, int] = {}
    for name, form in formats().items():
        table = form.series[0]
        columns = {**_usual_columns(table["type"]), **table["columns"]}
        parts = [
            part
            for value in columns.values()
            for part in (value if isinstance(value, list) else [value])
        ]
        texts = {part.format(0) for part in parts if isinstance(part, str)}
        places = [part for part in parts if isinstance(part, int)]
        if (
            texts
            and form.is_text == is_text
            and texts <= set(names)
            and max(places, default=0) <= len(names)
            and form.symbol_column in {None, *names}
            and table["type"] in {found.series["type"], *_BOOKS}
            and _has_form(table, found.series)
        ):
            fitting[name] = len(texts)
    if fitting:
        found.format = max(fitting, key=lambda name: fitting[name])
        found.seen.append((
            "format",
            f"as {found.format} has it; 'data import --format {found.format}' reads it",
        ))  # fmt: skip


def _has_form(table: dict[str, Any], series: dict[str, Any]) -> bool:
    """Tell whether a format's separator and times are those that were found."""
    kind, found = (each.get("timestamp_format", ISO) for each in (table, series))
    is_same = kind == found or (found == EPOCH and kind in EPOCH_DIGITS)
    return is_same and table.get("separator", ",") == series.get("separator", ",")


def _usual_columns(kind: str) -> dict[str, str]:
    roles: dict[str, tuple[str, ...]] = {
        "bars": _ROLES["bars"],
        "trades": ("timestamp", "price", "size"),
        "order_book_deltas": ("timestamp", "side", "price", "size"),
        "order_book_depths": ("timestamp",),
    }
    return {role: role for role in roles.get(kind, ())}
