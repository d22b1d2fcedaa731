"""Order books, statuses and closes: what the engine's own readers make of the same files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from nautilus_trader import model
from nautilus_trader.adapters import tardis
from nautilus_trader.persistence import ParquetDataCatalog

from trading_runtime.datasets import raw_files
from trading_runtime.datasets.data_file import load_preparation
from trading_runtime.datasets.prepare import prepare
from trading_runtime.engine.instruments.catalog import write_instruments
from trading_runtime.engine.instruments.files import read_instruments
from trading_runtime.errors import DataError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "BTCUSDT-PERP.SIM"
INSTRUMENT = {
    "type": "CryptoPerpetual",
    "id": NAME,
    "base_currency": "BTC",
    "quote_currency": "USDT",
    "settlement_currency": "USDT",
    "price_increment": "0.1",
    "size_increment": "0.001",
}
T = 1_704_067_200_000_000
TARDIS = {
    "timestamp_format": "us",
    "columns": {"received": "local_timestamp", "size": "amount", "is_snapshot": "is_snapshot"},
}


def made(folder: Path, raw: str, kind: str, **settings: Any) -> ParquetDataCatalog:
    """The dataset of one file, opened by the engine."""
    (folder / "instruments.json").write_text(json.dumps(INSTRUMENT))
    (folder / "raw.csv").write_text(raw)
    series = {"type": kind, "instrument": NAME, "files": "raw.csv"} | settings
    content = {"instruments": "instruments.json", "series": [series]}
    (folder / "data.json").write_text(json.dumps(content))
    loaded = load_preparation(folder / "data.json")
    known = read_instruments(loaded.instrument_files)
    prepare(loaded, known, write_instruments, folder / "made")
    return ParquetDataCatalog(str(folder / "made"))


def shown(rows: list[Any]) -> list[tuple[Any, ...]]:
    """Deltas as comparable values; the engine's loader gives a cleared book no precision."""
    return [
        (
            str(row.action), str(row.order.side), float(str(row.order.price)),
            float(str(row.order.size)), row.flags, row.ts_event, row.ts_init,
        )
        for row in rows
    ]  # fmt: skip


def tardis_book(updates: int = 0) -> str:
    """A snapshot, some updates, a second snapshot; two rows share a time of receipt."""
    lines = ["exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"]

    def add(at: int, is_snapshot: str, side: str, price: str, size: str) -> None:
        lines.append(
            f"binance,BTCUSDT,{T + at},{T + at + 5000},{is_snapshot},{side},{price},{size}"
        )

    for side, price in (("bid", "42000.0"), ("bid", "41999.5"), ("ask", "42001.0")):
        add(0, "true", side, price, "1.5")
    add(1000, "false", "bid", "42000.5", "0.5")
    add(1000, "false", "ask", "42001.0", "0")
    add(2000, "false", "bid", "42000.5", "0.25")
    for number in range(updates):
        add(2001 + number // 3, "false", "bid", f"41{number % 900 + 100}.0", str(number % 3))
    add(900_000, "true", "bid", "42000.0", "3")
    add(900_000, "true", "ask", "42000.5", "4")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("block", [raw_files.BLOCK_BYTES, 150])
def test_deltas_are_those_of_the_engines_own_reader_however_large_a_block_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(raw_files, "BLOCK_BYTES", block)
    catalog = made(tmp_path, tardis_book(updates=50), "order_book_deltas", **TARDIS)

    theirs = tardis.load_tardis_deltas(
        str(tmp_path / "raw.csv"), price_precision=1, size_precision=3,
        instrument_id=model.InstrumentId.from_str(NAME),
    )  # fmt: skip

    ours = shown(catalog.query_order_book_deltas([NAME]))
    assert ours == shown(theirs)
    # Two snapshots, each with a delta that clears the book, and eight rows besides the updates.
    assert len(ours) == 50 + 8 + 2
    actions = [row[0].rpartition(".")[2] for row in ours[:6]]
    assert actions == ["CLEAR", "ADD", "ADD", "ADD", "UPDATE", "DELETE"]


def test_levels_are_those_of_the_engines_own_reader(tmp_path: Path) -> None:
    names = [f"{side}[{n}].{what}" for n in range(5) for side in ("asks", "bids")
             for what in ("price", "amount")]  # fmt: skip
    full = [text for n in range(5) for text in (f"4200{n + 1}.5", "2", f"4199{9 - n}.5", "1.5")]
    header = ",".join(["exchange,symbol,timestamp,local_timestamp", *names])
    row = ",".join([f"binance,BTCUSDT,{T},{T + 5}", *full])
    settings = {
        "timestamp_format": "us", "levels": 5, "columns": {"received": "local_timestamp"},
    }  # fmt: skip
    catalog = made(tmp_path, f"{header}\n{row}\n", "order_book_depths", **settings)

    [theirs] = tardis.load_tardis_depth_from_snapshot5(
        str(tmp_path / "raw.csv"), price_precision=1, size_precision=3,
        instrument_id=model.InstrumentId.from_str(NAME),
    )  # fmt: skip

    [ours] = catalog.query_order_book_depths([NAME])
    for side in ("bids", "asks"):
        levels = [(str(level.price), str(level.size)) for level in getattr(ours, side)]
        assert (
            levels == [(str(level.price), str(level.size)) for level in getattr(theirs, side)][:5]
        )
        assert len(levels) == 5
    assert (ours.ts_event, ours.ts_init) == (T * 1000, (T + 5) * 1000)


def test_a_level_that_a_row_lacks_is_left_out_of_its_side_only(tmp_path: Path) -> None:
    columns = {"bid_price": "b{}", "bid_size": "bs{}", "ask_price": "a{}", "ask_size": "as{}"}
    raw = (
        "timestamp,b0,bs0,a0,as0,b1,bs1,a1,as1\n"
        "2024-01-01T00:00:00Z,10,1,11,2,,,12,3\n2024-01-01T00:00:01Z,10,1,,0,9,4,,\n"
    )

    catalog = made(tmp_path, raw, "order_book_depths", levels=2, columns=columns)

    first, second = catalog.query_order_book_depths([NAME])
    assert [str(level.price) for level in first.bids] == ["10.0"]
    assert [str(level.price) for level in first.asks] == ["11.0", "12.0"]
    assert [str(level.size) for level in second.bids] == ["1.000", "4.000"]
    assert list(second.asks) == []


def test_orders_are_added_changed_and_cancelled_and_trades_leave_the_book_alone(
    tmp_path: Path,
) -> None:
    raw = (
        "ts_event,ts_recv,action,side,price,size,order_id,sequence\n"
        f"{T}000,{T}900,R,N,,0,0,1\n{T}000,{T}900,A,B,420000000000000,3,77,2\n"
        f"{T + 1}000,{T + 1}900,T,A,420000000000000,1,0,3\n"
        f"{T + 1}000,{T + 1}900,M,B,420000000000000,2,77,4\n"
        f"{T + 2}000,{T + 2}900,C,B,420000000000000,2,77,5\n"
    )
    catalog = made(
        tmp_path, raw, "order_book_deltas", timestamp_format="ns", scale={"prices": "1e-10"},
        columns={"timestamp": "ts_event", "received": "ts_recv", "action": "action",
                 "order_id": "order_id", "sequence": "sequence"},
    )  # fmt: skip

    rows = catalog.query_order_book_deltas([NAME])
    assert [(row.action.name, row.order.order_id, row.sequence, row.flags) for row in rows] == [
        ("CLEAR", 0, 1, 0), ("ADD", 77, 2, 128), ("UPDATE", 77, 4, 128), ("DELETE", 77, 5, 128),
    ]  # fmt: skip
    assert [str(row.order.price) for row in rows] == ["0.0", "42000.0", "42000.0", "42000.0"]


def test_statuses_and_closes_are_what_the_engine_reads(tmp_path: Path) -> None:
    raw = "timestamp,action,why\n2024-01-01T00:00:02Z,halt,news\n2024-01-01T00:00:04Z,Trading,\n"
    catalog = made(tmp_path, raw, "instrument_status", columns={"reason": "why"})
    first, second = catalog.query(model.NautilusDataType.InstrumentStatus)
    assert (first.action.name, str(first.reason), second.action.name) == ("HALT", "news", "TRADING")

    folder = tmp_path / "closes"
    folder.mkdir()
    raw = "timestamp,price\n2024-01-01T00:00:06Z,42000.5\n"
    [close] = made(folder, raw, "instrument_closes").query(model.NautilusDataType.InstrumentClose)
    assert (str(close.close_price), close.close_type.name) == ("42000.5", "END_OF_SESSION")


@pytest.mark.parametrize(
    ("raw", "kind", "settings", "message"),
    [
        ("2024-01-01T00:00:00Z,mid,1,1", "order_book_deltas", {}, "'mid' is none of bid, b, buy"),
        ("2024-01-01T00:00:00Z,bid,0,1", "order_book_deltas", {}, "price '0' is zero"),
        ("2024-01-01T00:00:00Z,bid,,1", "order_book_deltas", {}, "raw.csv:2: price has no value"),
        ("2024-01-01T00:00:00Z,flying,1,1", "instrument_status",
         {"columns": {"action": "side"}}, "'flying' is none of none, pre_open"),
        ("2024-01-01T00:00:00Z,2,1,1", "order_book_depths",
         {"levels": 1, "columns": {"bid_price": "sid{}", "bid_size": "x{}"}}, "no column 'sid0'"),
    ],
)  # fmt: skip
def test_unusable_rows_are_refused_with_their_place(
    tmp_path: Path, raw: str, kind: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        made(tmp_path, f"timestamp,side,price,size\n{raw}\n", kind, **settings)
    assert not (tmp_path / "made").exists()


def test_levels_out_of_order_are_refused(tmp_path: Path) -> None:
    columns = {"bid_price": "b{}", "bid_size": "bs{}", "ask_price": "a{}", "ask_size": "as{}"}
    raw = "timestamp,b0,bs0,a0,as0,b1,bs1,a1,as1\n2024-01-01T00:00:00Z,10,1,11,2,10.5,1,12,3\n"

    with pytest.raises(DataError, match=r"raw\.csv:2: levels are not in order, the best first"):
        made(tmp_path, raw, "order_book_depths", levels=2, columns=columns)


def test_books_of_orders_need_actions(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"need 'columns\.action'"):
        made(tmp_path, "x\n", "order_book_deltas", columns={"order_id": "id"})


def test_words_of_ones_own_stand_for_sides_and_actions(tmp_path: Path) -> None:
    raw = "timestamp,what,of,price,size\n" + "".join(
        f"2024-01-01T00:00:0{at}Z,{row}\n"
        for at, row in enumerate(("new,kup,100.0,2", "gone,kup,100.0,2", "trade,kup,100.0,1"))
    )
    settings: dict[str, Any] = {
        "columns": {"side": "of", "action": "what"},
        "side_values": {"kup": "BUY", "sprzedaj": "SELL"},
        "action_values": {"new": "ADD", "gone": "DELETE", "trade": "NONE"},
    }

    rows = made(tmp_path, raw, "order_book_deltas", **settings).query(
        model.NautilusDataType.OrderBookDelta
    )

    found = [(row.action.name, row.order.side.name) for row in rows]
    assert found == [("ADD", "BUY"), ("DELETE", "BUY")]
    with pytest.raises(DataError, match="side 'kup' is none of kaufen"):
        made(tmp_path, raw, "order_book_deltas", **settings | {"side_values": {"kaufen": "BUY"}})
