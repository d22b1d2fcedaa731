"""Samples of vendors' files in their exact layout: two rows each, a minute or a day apart.

Run as a program, it writes them into a folder, to look at.
"""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Callable

NOON = 1_704_110_400  # 2024-01-01T12:00:00Z, a Monday
TAB = "\t"


@dataclass(frozen=True)
class Sample:
    """A vendor's file, and the first row that comes out of it."""

    format: str
    file: str
    content: Callable[[], bytes]
    instrument: str
    first: tuple[str, ...]
    """Bars: open, high, low, close, volume. Trades: price, size, side, id. Quotes: bid, ask and
    their sizes. Funding: the rate. Prices: the value. Deltas: action, price, size. Levels: the best
    prices and the number of bids."""
    ts: int
    """``ts_init`` of the first row in seconds."""
    kind: str = "bars"
    options: tuple[str, ...] = field(default=())


def text(value: str) -> Callable[[], bytes]:
    return value.encode


def zipped(name: str, value: str, encoding: str = "utf-8") -> Callable[[], bytes]:
    def made() -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(name), value.encode(encoding))
        return buffer.getvalue()

    return made


def gzipped(value: str) -> Callable[[], bytes]:
    return lambda: gzip.compress(value.encode(), mtime=0)


def freqtrade() -> bytes:
    frame = pl.DataFrame(
        {
            "date": pl.Series([NOON * 1000, (NOON + 300) * 1000]).cast(pl.Datetime("ms", "UTC")),
            "open": [42000.1, 42001.0],
            "high": [42010.0, 42011.0],
            "low": [41990.5, 41991.0],
            "close": [42001.0, 42002.5],
            "volume": [1.25, 2.5],
        }
    )
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="lz4", compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()


def nautilus_one(
    numbers: dict[str, str], *, width: int = 16, is_trade: bool = False, bar_type: str = ""
) -> Callable[[], bytes]:
    """Two rows as NautilusTrader 1.x keeps them: numbers in bytes, with 16 or 9 decimal places."""

    def made() -> bytes:
        places = 16 if width == 16 else 9
        kind = pa.binary(width)
        columns: dict[str, pa.Array] = {
            name: pa.array(
                [int(Decimal(text).scaleb(places)).to_bytes(width, "little", signed=True)] * 2, kind
            )
            for name, text in numbers.items()
        }
        if is_trade:
            columns["aggressor_side"] = pa.array([2, 1], pa.uint8())
            columns["trade_id"] = pa.array(["77", "78"])
        times = pa.array([NOON * 10**9, (NOON + 60) * 10**9], pa.uint64())
        columns |= {"ts_event": times, "ts_init": times}
        name = {"bar_type": bar_type} if bar_type else {"instrument_id": "BTCUSDT.BINANCE"}
        metadata = name | {"price_precision": "1", "size_precision": "4"}
        buffer = io.BytesIO()
        pq.write_table(pa.table(columns, metadata=metadata), buffer)
        return buffer.getvalue()

    return made


def tardis_snapshot(levels: int) -> str:
    """Two rows; the best bid is 42000.5, the best ask 42000.6, and other levels are 0.1 apart."""
    names = [f"{side}[{n}].{what}" for n in range(levels) for side in ("asks", "bids")
             for what in ("price", "amount")]  # fmt: skip
    values = [
        text
        for n in range(levels)
        for text in (f"{42000.6 + n / 10:.1f}", "1.5", f"{42000.5 - n / 10:.1f}", "2")
    ]
    rows = [
        ",".join([f"binance-futures,BTCUSDT,{NOON}{at}0000,{NOON}{at}5000", *values])
        for at in ("00", "10")
    ]
    return "\n".join([",".join(["exchange,symbol,timestamp,local_timestamp", *names]), *rows, ""])


def databento_levels() -> str:
    """Two rows with two levels; the others have no price, as in Databento's own files."""
    names = [f"{side}_{what}_{n:02}" for n in range(10) for what in ("px", "sz", "ct")
             for side in ("bid", "ask")]  # fmt: skip
    levels = "187150000000,187170000000,100,50,1,1,187140000000,187180000000,200,60,2,2"
    rest = ",".join([",,0,0,0,0"] * 8)
    head = ("ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,"
            "ts_in_delta,sequence")  # fmt: skip
    row = "{0}165000,{0}000000,10,2,32,A,B,0,187150000000,100,130,165000,5,{1},{2},AAPL"
    rows = [row.format(f"1704205800{at}", levels, rest) for at in ("000", "001")]
    return "\n".join([",".join([head, *names, "symbol"]), *rows, ""])


KLINE = "42000.10000000,42010.00000000,41990.50000000,42001.00000000,1.25000000"
BAR = ("42000.1", "42010.0", "41990.5", "42001.0", "1.25")
SAMPLES = (
    Sample(
        "binance-klines", "BTCUSDT-1m-2024-01.zip",
        zipped("BTCUSDT-1m-2024-01.csv",
               f"{NOON}000,{KLINE},{NOON}059,52500.0,10,1.0,42000.0,0\n"
               f"{NOON + 60}000,{KLINE},{NOON}119,52500.0,10,1.0,42000.0,0\n"),
        "BTCUSDT.BINANCE", BAR, NOON + 60,
    ),
    Sample(
        "binance-klines", "BTCUSDT-1m-2025-01.csv",
        text("open_time,open,high,low,close,volume,close_time,quote_volume,count,"
             "taker_buy_volume,taker_buy_quote_volume,ignore\n"
             f"{NOON}000000,{KLINE},{NOON}059999999,52500.0,10,1.0,42000.0,0\n"
             f"{NOON + 60}000000,{KLINE},{NOON + 60}059999,52500.0,10,1.0,42000.0,0\n"),
        "BTCUSDT-PERP.BINANCE", BAR, NOON + 60,
    ),
    Sample(
        "binance-trades", "BTCUSDT-trades-2024-01-01.zip",
        zipped("BTCUSDT-trades-2024-01-01.csv",
               f"3345,42000.10000000,0.00250000,105.00,{NOON}123,True,True\n"
               f"3346,42000.20000000,0.00500000,210.00,{NOON}456,False,True\n"),
        "BTCUSDT.BINANCE", ("42000.1", "0.0025", "SELL", "3345"), NOON, "trades",
    ),
    Sample(
        "binance-aggtrades", "BTCUSDT-aggTrades-2024-01-01.csv",
        text("agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,"
             f"is_buyer_maker\n77,42000.1,0.003,100,102,{NOON}123,true\n"
             f"78,42000.2,0.001,103,103,{NOON}200,false\n"),
        "BTCUSDT-PERP.BINANCE", ("42000.1", "0.003", "SELL", "77"), NOON, "trades",
    ),
    Sample(
        "binance-book-ticker", "BTCUSDT-bookTicker-2024-01-01.csv",
        text("update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,"
             "transaction_time,event_time\n"
             f"2,42000.1,5.5,42000.3,3.5,{NOON + 1}000,{NOON + 1}004\n"
             f"1,42000.1,5.5,42000.2,3.5,{NOON}000,{NOON}004\n"),
        "BTCUSDT-PERP.BINANCE", ("42000.1", "42000.2", "5.5", "3.5"), NOON, "quotes",
    ),
    Sample(
        "binance-funding", "BTCUSDT-fundingRate-2024-01.csv",
        text("calc_time,funding_interval_hours,last_funding_rate\n"
             f"{NOON}000,8,0.00037409\n{NOON + 28_800}000,8,-0.00001\n"),
        "BTCUSDT-PERP.BINANCE", ("0.00037409",), NOON - 1, "funding_rates",
    ),
    Sample(
        "bybit-trades", "BTCUSDT2024-01-01.csv.gz",
        gzipped("timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,"
                "foreignNotional\n"
                f"{NOON + 1}.5,BTCUSDT,Sell,0.002,42000.2,PlusTick,"
                "0f1d1c7e-1111-5a8e-b1a3-0123456789ab,8.4e+09,0.002,84\n"
                f"{NOON}.0784,BTCUSDT,Buy,0.001,42000.1,PlusTick,"
                "9a2e1c7e-2222-5a8e-b1a3-0123456789ab,4.2e+09,0.001,42\n"),
        "BTCUSDT-PERP.BYBIT",
        ("42000.1", "0.001", "BUY", "9a2e1c7e-2222-5a8e-b1a3-0123456789ab"), NOON, "trades",
    ),
    Sample(
        "bybit-spot-trades", "BTCUSDT_2024-01-01.csv.gz",
        gzipped("id,timestamp,price,volume,side,rpi\n"
                f"1,{NOON}123,42000.1,0.001,buy,0\n2,{NOON}124,42000.2,0.5,sell,0\n"),
        "BTCUSDT.BYBIT", ("42000.1", "0.001", "BUY", "1"), NOON, "trades",
    ),
    Sample(
        "okx-trades", "BTC-USDT-trades-2024-01-01.zip",
        zipped("BTC-USDT-trades-2024-01-01.csv",
               "instrument_name,trade_id,side,price,size,created_time\n"
               f"BTC-USDT,471,buy,42000.1,0.001,{NOON}123\n"
               f"BTC-USDT,472,sell,42000,0.5,{NOON}923\n"),
        "BTC-USDT.OKX", ("42000.1", "0.001", "BUY", "471"), NOON, "trades",
    ),
    Sample(
        "okx-trades", "BTC-USDT-trades-2025-04-19.zip",
        zipped("BTC-USDT-trades-2025-04-19.csv",
               "trade_id/交易id,side/交易方向,size/数量,price/价格,created_time/成交时间\n"
               f"471,buy,0.001,42000.1,{NOON}123\n472,sell,0.5,42000,{NOON}923\n",
               encoding="gbk"),
        "BTC-USDT.OKX", ("42000.1", "0.001", "BUY", "471"), NOON, "trades",
    ),
    Sample(
        "okx-trades-2021", "BTC-USDT-trades-2021-10-01.zip",
        zipped("BTC-USDT-trades-2021-10-01.csv",
               f"331,buy,0.01,42000.1,{NOON}123\n332,SELL,0.02,42000.2,{NOON}223\n"),
        "BTC-USDT.OKX", ("42000.1", "0.01", "BUY", "331"), NOON, "trades",
    ),
    Sample(
        "okx-trades-2021", "BTC-USDT-trades-2022-04-01.zip",
        zipped("BTC-USDT-trades-2022-04-01.csv",
               "trade_id/撮合id,side/交易方向,size/数量,price/价格,created_time/成交时间\n"
               f"331,buy,0.01,42000.1,{NOON}123\n332,SELL,0.02,42000.2,{NOON}223\n", "gbk"),
        "BTC-USDT.OKX", ("42000.1", "0.01", "BUY", "331"), NOON, "trades",
    ),
    Sample(
        "kraken-ohlcvt", "XBTUSD_1.csv",
        text(f"{NOON},42000.1,42010.0,41990.5,42001.0,1.25,14\n"
             f"{NOON + 60},42001.0,42010.0,41990.5,42001.0,1.25,14\n"),
        "XBTUSD.KRAKEN", BAR, NOON + 60,
    ),
    Sample(
        "kraken-trades", "XBTUSD.csv",
        text(f"{NOON}.0784,42000.1,0.00250000\n{NOON + 2}.1,42000.2,0.1\n"),
        "XBTUSD.KRAKEN", ("42000.1", "0.0025", "NO_AGGRESSOR", "1"), NOON, "trades",
    ),
    Sample(
        "coinbase-candles", "BTC-USD.csv",
        text("time,low,high,open,close,volume\n"
             f"{NOON + 60},41990.5,42010,42001,42001,1.25\n"
             f"{NOON},41990.5,42010,42000.1,42001,1.25\n"),
        "BTC-USD.COINBASE", BAR, NOON + 60,
    ),
    Sample(
        "dukascopy", "EURUSD_Candlestick_1_M_BID_01.01.2024-01.01.2024.csv",
        text("Gmt time,Open,High,Low,Close,Volume\n"
             "01.01.2024 12:00:00.000,1.10427,1.10429,1.10425,1.10428,48.02\n"
             "01.01.2024 12:01:00.000,1.10428,1.10429,1.10425,1.10428,50.5\n"),
        "EUR/USD.DUKASCOPY", ("1.10427", "1.10429", "1.10425", "1.10428", "48020000"), NOON + 60,
    ),
    Sample(
        "dukascopy-ticks", "EURUSD_Ticks_01.01.2024-01.01.2024.csv",
        text("Gmt time,Ask,Bid,AskVolume,BidVolume\n"
             "01.01.2024 12:00:00.099,1.10429,1.10427,0.9,1.12\n"
             "01.01.2024 12:00:00.199,1.10430,1.10427,0.9,1.12\n"),
        "EUR/USD.DUKASCOPY", ("1.10427", "1.10429", "1120000", "900000"), NOON, "quotes",
    ),
    Sample(
        "dukascopy-web", "EURUSD_1min_bid_2024-01-01.csv",
        text("Etc/UTC,Open,High,Low,Close,Volume\n"
             "2024-01-01T12:00:00+00:00,1.10427,1.10429,1.10425,1.10428,48020000\n"
             "2024-01-01T12:01:00+00:00,1.10428,1.10429,1.10425,1.10428,50500000\n"),
        "EUR/USD.DUKASCOPY", ("1.10427", "1.10429", "1.10425", "1.10428", "48020000"), NOON + 60,
    ),
    Sample(
        "dukascopy-local", "EURUSD_Candlestick_1_M_BID_local.csv",
        text("Local time,Open,High,Low,Close,Volume\n"
             "01.01.2024 13:00:00.000 GMT+0100,1.10427,1.10429,1.10425,1.10428,48.02\n"
             "01.01.2024 13:01:00.000 GMT+0100,1.10428,1.10429,1.10425,1.10428,50.5\n"),
        "EUR/USD.DUKASCOPY", ("1.10427", "1.10429", "1.10425", "1.10428", "48020000"), NOON + 60,
    ),
    Sample(
        "dukascopy-jforex", "EURUSD_1 Min_Bid_2024.01.01_2024.01.02.csv",
        text("Time (EET),Open,High,Low,Close,Volume \n"
             "2024.01.01 14:00:00,1.10427,1.10429,1.10425,1.10428,48.02\n"
             "2024.01.01 14:01:00,1.10428,1.10429,1.10425,1.10428,50.5\n"),
        "EUR/USD.DUKASCOPY", ("1.10427", "1.10429", "1.10425", "1.10428", "48020000"), NOON + 60,
    ),
    Sample(
        "dukascopy-jforex-ticks", "EURUSD_Ticks_2024.01.01_2024.01.02.csv",
        text("Time (EET),Ask,Bid,AskVolume,BidVolume \n"
             "2024.01.01 14:00:00.099,1.10429,1.10427,0.9,1.12\n"
             "2024.01.01 14:00:00.199,1.10430,1.10427,0.9,1.12\n"),
        "EUR/USD.DUKASCOPY", ("1.10427", "1.10429", "1120000", "900000"), NOON, "quotes",
    ),
    Sample(
        "histdata", "HISTDATA_COM_ASCII_EURUSD_M1202401.zip",
        zipped("DAT_ASCII_EURUSD_M1_202401.csv",
               "20240101 070000;1.104270;1.104290;1.104250;1.104280;0\n"
               "20240101 070100;1.104280;1.104290;1.104250;1.104280;0\n"),
        "EUR/USD.HISTDATA", ("1.10427", "1.10429", "1.10425", "1.10428", "1000000"), NOON + 60,
    ),
    Sample(
        "histdata-ticks", "DAT_ASCII_EURUSD_T_202401.csv",
        text("20240101 070000065,1.104270,1.104290,0\n20240101 070001065,1.104270,1.104300,0\n"),
        "EUR/USD.HISTDATA", ("1.10427", "1.10429", "1000000", "1000000"), NOON, "quotes",
    ),
    Sample(
        "metatrader", "EURUSD_M1_202401011400_202401011401.csv",
        lambda: ("<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n"
                 "2024.01.01\t14:00:00\t1.10427\t1.10429\t1.10425\t1.10428\t50\t0\t8\r\n"
                 "2024.01.01\t14:01:00\t1.10428\t1.10429\t1.10425\t1.10428\t51\t0\t8\r\n"
                 ).encode("utf-16"),
        "EURUSD.BROKER", ("1.10427", "1.10429", "1.10425", "1.10428", "50"), NOON + 60,
        options=("--time-zone", "Europe/Athens"),
    ),
    Sample(
        "metatrader-ticks", "EURUSD_202401011400_202401011401.csv",
        text("<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\r\n"
             "2024.01.01\t14:00:00.017\t1.10427\t1.10429\t\t\t6\r\n"
             "2024.01.01\t14:00:00.228\t\t1.10430\t\t\t4\r\n"),
        "EURUSD.BROKER", ("1.10427", "1.10429", "1000000", "1000000"), NOON, "quotes",
        options=("--time-zone", "Europe/Athens"),
    ),
    Sample(
        "metatrader-4", "EURUSD1.csv",
        text("2024.01.01,14:00,1.10427,1.10429,1.10425,1.10428,50\r\n"
             "2024.01.01,14:01,1.10428,1.10429,1.10425,1.10428,51\r\n"),
        "EURUSD.BROKER", ("1.10427", "1.10429", "1.10425", "1.10428", "50"), NOON + 60,
        options=("--time-zone", "Europe/Athens"),
    ),
    Sample(
        "metatrader-daily", "EURUSD_Daily_202401010000_202401020000.csv",
        lambda: ("<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n"
                 "2024.01.01\t1.10427\t1.10429\t1.10425\t1.10428\t50\t0\t8\r\n"
                 "2024.01.02\t1.10428\t1.10429\t1.10425\t1.10428\t51\t0\t8\r\n"
                 ).encode("utf-16"),
        "EURUSD.BROKER", ("1.10427", "1.10429", "1.10425", "1.10428", "50"),
        NOON + 10 * 3600,  # midnight in Athens
        options=("--time-zone", "Europe/Athens"),
    ),
    Sample(
        "tradingview", "BINANCE_BTCUSDT, 60.csv",
        text("time,open,high,low,close,Volume\n"
             f"{NOON},42000.1,42010,41990.5,42001,1.25\n"
             f"{NOON + 3600},42001,42010,41990.5,42001,1.25\n"),
        "BTCUSDT.BINANCE", BAR, NOON + 3600,
    ),
    Sample(
        "tradingview-iso", "BINANCE_BTCUSDT, 60 (1).csv",
        text("time,open,high,low,close,Volume\n"
             "2024-01-01T13:00:00+01:00,42000.1,42010,41990.5,42001,1.25\n"
             "2024-01-01T14:00:00+01:00,42001,42010,41990.5,42001,1.25\n"),
        "BTCUSDT.BINANCE", BAR, NOON + 3600,
    ),
    Sample(
        "stooq", "aapl_us_d.csv",
        text("Date,Open,High,Low,Close,Volume\n"
             "2024-01-02,187.15,188.44,183.885,185.64,82488674\n"
             "2024-01-03,184.22,185.88,183.43,184.25,58414460\n"),
        "AAPL.XNAS", ("187.15", "188.44", "183.885", "185.64", "82488674"), 1_704_258_000,
    ),
    Sample(
        "stooq-bulk", "aapl.us.txt",
        text("<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>\r\n"
             "AAPL.US,D,20240102,000000,187.15,188.44,183.885,185.64,82488674,0\r\n"
             "AAPL.US,D,20240103,000000,184.22,185.88,183.43,184.25,58414460,0\r\n"),
        "AAPL.XNAS", ("187.15", "188.44", "183.885", "185.64", "82488674"), 1_704_258_000,
    ),
    Sample(
        "yahoo", "AAPL.csv",
        text("Date,Open,High,Low,Close,Adj Close,Volume\n"
             "2024-01-02,187.149994,188.440002,183.889999,185.639999,184.938,82488700\n"
             "2024-01-03,null,null,null,null,null,null\n"
             "2024-01-04,182.149994,183.089996,180.880005,181.910004,181.223,71983600\n"),
        "AAPL.XNAS", ("187.15", "188.44", "183.89", "185.64", "82488700"), 1_704_258_000,
        options=("--tick", "0.01"),
    ),
    Sample(
        "yfinance", "aapl.csv",
        text("Price,Close,High,Low,Open,Volume\nTicker,AAPL,AAPL,AAPL,AAPL,AAPL\nDate,,,,,\n"
             "2024-01-02,185.63999938964844,188.44,183.88999938964844,187.15,82488700\n"
             "2024-01-03,184.25,185.8800048828125,183.42999267578125,184.22000122070312,58414500\n"),
        "AAPL.XNAS", ("187.15", "188.44", "183.89", "185.64", "82488700"), 1_704_258_000,
        options=("--tick", "0.01"),
    ),
    Sample(
        "yfinance-unadjusted", "aapl-unadjusted.csv",
        text("Price,Adj Close,Close,High,Low,Open,Volume\nTicker,AAPL,AAPL,AAPL,AAPL,AAPL,AAPL\n"
             "Date,,,,,,\n"
             "2024-01-02,184.93,185.63999938964844,188.44000244140625,183.88999938964844,"
             "187.14999389648438,82488700\n"
             "2024-01-03,183.55,184.25,185.8800048828125,183.42999267578125,184.22000122070312,"
             "58414500\n"),
        "AAPL.XNAS", ("187.15", "188.44", "183.89", "185.64", "82488700"), 1_704_258_000,
    ),
    Sample(
        "polygon-flat-files", "2024-01-02.csv.gz",
        gzipped("ticker,volume,open,close,high,low,window_start,transactions\n"
                "AAPL,4930,187.15,187.2,187.25,187.1,1704205800000000000,12\n"
                "AAPL,4931,187.2,187.2,187.25,187.1,1704205860000000000,12\n"
                "MSFT,100,370.0,370.5,371.0,369.0,1704205800000000000,3\n"),
        "AAPL.XNAS", ("187.15", "187.25", "187.10", "187.20", "4930"), 1_704_205_860,
    ),
    Sample(
        "alpaca", "bars.csv",
        text("symbol,timestamp,open,high,low,close,volume,trade_count,vwap\n"
             "AAPL,2024-01-02 14:30:00+00:00,187.15,187.25,187.1,187.2,4930.0,12.0,187.17\n"
             "AAPL,2024-01-02 14:31:00+00:00,187.2,187.25,187.1,187.2,4931.0,12.0,187.17\n"),
        "AAPL.XNAS", ("187.15", "187.25", "187.10", "187.20", "4930"), 1_704_205_860,
    ),
    Sample(
        "databento", "xnas-itch-20240102.ohlcv-1m.csv",
        text("ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n"
             "1704205800000000000,33,2,32,187150000000,187250000000,187100000000,187200000000,4930,"
             "AAPL\n"
             "1704205860000000000,33,2,32,187200000000,187250000000,187100000000,187200000000,4931,"
             "AAPL\n"),
        "AAPL.XNAS", ("187.15", "187.25", "187.10", "187.20", "4930"), 1_704_205_860,
    ),
    Sample(
        "databento-pretty", "xnas-itch-20240102.ohlcv-1m.pretty.csv",
        text("ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol\n"
             "2024-01-02T14:30:00.000000000Z,33,2,32,187.150000000,187.250000000,187.100000000,"
             "187.200000000,4930,AAPL\n"
             "2024-01-02T14:31:00.000000000Z,33,2,32,187.200000000,187.250000000,187.100000000,"
             "187.200000000,4931,AAPL\n"),
        "AAPL.XNAS", ("187.15", "187.25", "187.10", "187.20", "4930"), 1_704_205_860,
    ),
    Sample(
        "databento-trades-pretty", "xnas-itch-20240102.trades.pretty.csv",
        text("ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,"
             "ts_in_delta,sequence,symbol\n"
             "2024-01-02T14:30:00.000165000Z,2024-01-02T14:30:00.000000000Z,0,2,32,T,B,0,"
             "187.150000000,100,130,165000,5,AAPL\n"
             "2024-01-02T14:30:01.000165000Z,2024-01-02T14:30:01.000000000Z,0,2,32,T,N,0,"
             "187.160000000,1,130,165000,6,AAPL\n"),
        "AAPL.XNAS", ("187.15", "100", "BUY", "1"), 1_704_205_800, "trades",
    ),
    Sample(
        "databento-trades", "xnas-itch-20240102.trades.csv",
        text("ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,depth,price,size,flags,"
             "ts_in_delta,sequence,symbol\n"
             "1704205800000165000,1704205800000000000,0,2,32,T,B,0,187150000000,100,130,165000,5,"
             "AAPL\n"
             "1704205801000165000,1704205801000000000,0,2,32,T,N,0,187160000000,1,130,165000,6,"
             "AAPL\n"),
        "AAPL.XNAS", ("187.15", "100", "BUY", "1"), 1_704_205_800, "trades",
    ),
    Sample(
        "tardis-trades", "binance-futures_trades_2024-01-01_BTCUSDT.csv.gz",
        gzipped("exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
                f"binance-futures,BTCUSDT,{NOON}030000,{NOON}100000,4,buy,42000.1,0.01\n"
                f"binance-futures,BTCUSDT,{NOON}010000,{NOON}101000,5,unknown,42000.2,0.02\n"),
        "BTCUSDT-PERP.BINANCE", ("42000.1", "0.01", "BUY", "4"), NOON, "trades",
    ),
    Sample(
        "tardis-quotes", "binance-futures_quotes_2024-01-01_BTCUSDT.csv.gz",
        gzipped("exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,"
                f"bid_amount\nbinance-futures,BTCUSDT,{NOON}000000,{NOON}005000,,,42000,2\n"
                f"binance-futures,BTCUSDT,{NOON}010000,{NOON}015000,1.5,42000.2,42000.1,2.5\n"),
        "BTCUSDT-PERP.BINANCE", ("42000.1", "42000.2", "2.5", "1.5"), NOON, "quotes",
    ),
    Sample(
        "tardis-derivative-ticker", "binance-futures_derivative_ticker_2024-01-01_BTCUSDT.csv.gz",
        gzipped("exchange,symbol,timestamp,local_timestamp,funding_timestamp,funding_rate,"
                "predicted_funding_rate,open_interest,last_price,index_price,mark_price\n"
                f"binance-futures,BTCUSDT,{NOON}000000,{NOON}005000,{NOON + 14_400}000000,0.0001,,"
                "9000,42000,42000.5,42000.1\n"
                f"binance-futures,BTCUSDT,{NOON}100000,{NOON}105000,{NOON + 14_400}000000,0.0001,,"
                "9000,42000,42000.5,42000.1\n"),
        "BTCUSDT-PERP.BINANCE", ("42000.1",), NOON, "mark_prices",
    ),
    Sample(
        "tardis-incremental-book",
        "binance-futures_incremental_book_L2_2024-01-01_BTCUSDT.csv.gz",
        gzipped("exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"
                f"binance-futures,BTCUSDT,{NOON}000000,{NOON}005000,true,bid,42000.1,2.5\n"),
        "BTCUSDT-PERP.BINANCE", ("CLEAR", "0", "0"), NOON, "order_book_deltas",
    ),
    Sample(
        "tardis-book-snapshot-5", "binance-futures_book_snapshot_5_2024-01-01_BTCUSDT.csv.gz",
        gzipped(tardis_snapshot(5)),
        "BTCUSDT-PERP.BINANCE", ("42000.5", "42000.6", "5"), NOON, "order_book_depths",
    ),
    Sample(
        "tardis-book-snapshot-25", "binance-futures_book_snapshot_25_2024-01-01_BTCUSDT.csv.gz",
        gzipped(tardis_snapshot(25)),
        "BTCUSDT-PERP.BINANCE", ("42000.5", "42000.6", "25"), NOON, "order_book_depths",
    ),
    Sample(
        "databento-mbo", "xnas-itch-20240102.mbo.csv",
        text("ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,price,size,channel_id,"
             "order_id,flags,ts_in_delta,sequence,symbol\n"
             "1704205800000165000,1704205800000000000,160,2,32,R,N,9223372036854775807,0,0,0,8,0,0,"
             "AAPL\n"
             "1704205800000165000,1704205800000000000,160,2,32,A,B,187150000000,100,0,647784973705,"
             "130,165000,5,AAPL\n"),
        "AAPL.XNAS", ("CLEAR", "0", "0"), 1_704_205_800, "order_book_deltas",
    ),
    Sample(
        "databento-mbp-10", "xnas-itch-20240102.mbp-10.csv",
        text(databento_levels()),
        "AAPL.XNAS", ("187.15", "187.17", "2"), 1_704_205_800, "order_book_depths",
    ),
    Sample(
        "nautilus-1-bars", "bars.parquet",
        nautilus_one(
            {"open": "42000.1", "high": "42010.0", "low": "41990.5", "close": "42001.0",
             "volume": "1.25"},
            bar_type="BTCUSDT.BINANCE-1-MINUTE-LAST-EXTERNAL",
        ),
        "BTCUSDT.BINANCE", BAR, NOON,
    ),
    Sample(
        "nautilus-1-trades", "trades.parquet",
        nautilus_one({"price": "42000.1", "size": "0.0025"}, is_trade=True),
        "BTCUSDT.BINANCE", ("42000.1", "0.0025", "SELL", "77"), NOON, "trades",
    ),
    Sample(
        "nautilus-1-quotes", "quotes.parquet",
        nautilus_one({"bid_price": "42000.1", "ask_price": "42000.2", "bid_size": "5.5",
                      "ask_size": "3.5"}, width=8),
        "BTCUSDT.BINANCE", ("42000.1", "42000.2", "5.5", "3.5"), NOON, "quotes",
    ),
    Sample(
        "freqtrade", "BTC_USDT-5m.feather", freqtrade, "BTC/USDT.BINANCE", BAR, NOON + 300,
    ),
)  # fmt: skip

if __name__ == "__main__":
    for sample in SAMPLES:
        (Path(sys.argv[1]) / sample.file).write_bytes(sample.content())
