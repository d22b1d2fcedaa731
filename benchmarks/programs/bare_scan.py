"""Scan a file of aggregate trades with Polars and sink it into Parquet: the minimum work.

python -m benchmarks.programs.bare_scan FILE TARGET
"""

from __future__ import annotations

import sys

import polars as pl

if __name__ == "__main__":
    exact = pl.Decimal(38, 16)
    pl.scan_csv(sys.argv[1], schema_overrides={"price": exact, "quantity": exact}).select(
        pl.col("price"),
        pl.col("quantity"),
        pl.col("is_buyer_maker"),
        pl.col("agg_trade_id"),
        pl.col("transact_time"),
    ).sink_parquet(sys.argv[2], compression="zstd")
