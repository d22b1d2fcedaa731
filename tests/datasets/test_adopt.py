"""A catalog that the engine wrote gets a manifest, or is told what is wrong with it."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nautilus_trader import model
from nautilus_trader.persistence import ParquetDataCatalog

from trading_runtime.datasets.adopt import Adopted, adopt
from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.datasets.verify import verify
from trading_runtime.engine.instruments.catalog import read_catalog_instruments
from trading_runtime.engine.instruments.files import instrument_types
from trading_runtime.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.datasets.conftest import Prepare

MINUTE = 60 * 10**9
NAME = "EUR/USD.SIM"


def take(folder: Path) -> Adopted:
    return adopt(folder, frozenset(instrument_types()), read_catalog_instruments)


def pair() -> Any:
    usd, eur = model.Currency.from_str("USD"), model.Currency.from_str("EUR")
    return model.CurrencyPair(
        model.InstrumentId.from_str(NAME), model.Symbol("EUR/USD"), eur, usd, 5, 0,
        model.Price.from_str("0.00001"), model.Quantity.from_str("1"), 0, 0,
    )  # fmt: skip


def quotes(*minutes: int) -> list[Any]:
    bid, ask = model.Price.from_str("1.10000"), model.Price.from_str("1.10001")
    size = model.Quantity.from_str("1")
    name = model.InstrumentId.from_str(NAME)
    return [
        model.QuoteTick(name, bid, ask, size, size, minute * MINUTE, minute * MINUTE + 1)
        for minute in minutes
    ]


def deltas(*minutes: int) -> list[Any]:
    order = model.BookOrder(
        model.OrderSide.BUY, model.Price.from_str("1.10000"), model.Quantity.from_str("1"), 1
    )
    name = model.InstrumentId.from_str(NAME)
    times = [minute * MINUTE for minute in minutes]
    return [
        model.OrderBookDelta(name, model.BookAction.ADD, order, 0, 0, time, time) for time in times
    ]


@pytest.fixture
def catalog(tmp_path: Path) -> ParquetDataCatalog:
    engine = ParquetDataCatalog(str(tmp_path))
    engine.write_instruments([pair()])
    return engine


def test_quotes_and_order_book_data_are_indexed_as_they_are(
    catalog: ParquetDataCatalog, tmp_path: Path
) -> None:
    catalog.write_quote_ticks(quotes(1, 2, 200))
    catalog.write_quote_ticks(quotes(300, 301))
    catalog.write_order_book_deltas(deltas(1, 2))
    before = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*.parquet")}

    adopted = take(tmp_path)

    manifest = load_manifest(tmp_path)
    assert manifest == adopted.manifest
    assert [(file.type, file.identifier, file.rows) for file in manifest.files] == [
        ("order_book_deltas", NAME, 2),
        ("quotes", NAME, 3),
        ("quotes", NAME, 2),
    ]
    [group] = manifest.files[1].row_groups
    assert (group.first, group.last) == (MINUTE + 1, 200 * MINUTE + 1)
    assert [item.content for item in manifest.instruments] == [pair().to_dict()]
    assert [(gap.after, gap.before) for gap in manifest.gaps] == [
        (2 * MINUTE + 1, 200 * MINUTE + 1),
        (200 * MINUTE + 1, 300 * MINUTE + 1),
    ]
    assert before == {path: path.read_bytes() for path in (tmp_path / "data").rglob("*.parquet")}
    assert verify(tmp_path).damages == ()


def test_the_same_pages_read_at_another_precision_are_other_data(prepare_files: Prepare) -> None:
    text = "timestamp,bid,ask\n2024-01-01,10,11\n2024-01-01 00:00:01,10,11\n"
    prepared = prepare_files("quotes", {"raw.csv": text})
    [before] = prepared.manifest.files
    path = prepared.folder / before.path
    table = pq.read_table(path)
    rows, metadata = table.replace_schema_metadata(None), dict(table.schema.metadata)
    [digits] = [value for key, value in metadata.items() if key == b"price_precision"]
    found = []
    for precision in (digits, str(int(digits) + 1).encode()):
        pq.write_table(
            rows.replace_schema_metadata(metadata | {b"price_precision": precision}), path
        )
        [file] = take(prepared.folder).manifest.files
        found.append((file.row_groups[0].sha256, file.schema_sha256))

    assert found[0][0] == found[1][0]
    assert found[0][1] == before.schema_sha256
    assert found[0][1] != found[1][1]


def test_a_row_group_without_rows_is_left_out_and_the_others_keep_their_places(
    prepare_files: Prepare,
) -> None:
    text = "timestamp,bid,ask\n2024-01-01,10,11\n2024-01-01 00:00:01,10,11\n"
    prepared = prepare_files("quotes", {"raw.csv": text})
    path = prepared.folder / prepared.manifest.files[0].path
    table = pq.read_table(path)
    with pq.ParquetWriter(path, table.schema) as writer:
        for first, last in ((0, 1), (1, 1), (1, 2)):
            writer.write_table(table.slice(first, last - first), row_group_size=1)
    assert pq.ParquetFile(path).metadata.num_row_groups == 3
    [file] = take(prepared.folder).manifest.files

    assert [(group.index, group.rows) for group in file.row_groups] == [(0, 1), (2, 1)]


def test_the_sha256_of_a_row_group_is_that_of_its_bytes_in_the_file(
    prepare_files: Prepare,
) -> None:
    text = "timestamp,bid,ask\n2024-01-01,10,11\n2024-01-01 00:00:01,10,11\n"
    prepared = prepare_files("quotes", {"raw.csv": text})
    [file] = prepared.manifest.files
    [group] = file.row_groups
    content = (prepared.folder / file.path).read_bytes()

    # The pages of a single row group lie between the leading mark and the footer, whose length
    # stands in front of the trailing mark.
    footer = int.from_bytes(content[-8:-4], "little")
    pages = content[4 : len(content) - 8 - footer]
    assert (group.offset, group.bytes) == (4, len(pages))
    assert group.sha256 == hashlib.sha256(pages).hexdigest()


def test_a_prepared_dataset_that_is_adopted_keeps_its_digest(prepare_files: Prepare) -> None:
    text = "timestamp,bid,ask\n2024-01-01,10,11\n"
    prepared = prepare_files("quotes", {"raw.csv": text})

    assert take(prepared.folder).manifest.digest == prepared.manifest.digest


def test_types_that_are_not_fed_to_strategies_are_left_out_and_named(
    catalog: ParquetDataCatalog, tmp_path: Path
) -> None:
    catalog.write_quote_ticks(quotes(1))
    status = model.InstrumentStatus(
        model.InstrumentId.from_str(NAME), model.MarketStatusAction.TRADING, MINUTE, MINUTE
    )
    catalog.write_instrument_statuses([status])
    shutil.copytree(tmp_path / "data" / "instrument_status", tmp_path / "data" / "custom_signals")

    adopted = take(tmp_path)

    assert adopted.skipped == ("custom_signals",)
    assert {file.type for file in adopted.manifest.files} == {"quotes", "instrument_status"}
    assert verify(tmp_path).damages == ()


def test_data_without_a_definition_of_its_instrument_is_refused(tmp_path: Path) -> None:
    ParquetDataCatalog(str(tmp_path)).write_quote_ticks(quotes(1))

    with pytest.raises(DataError, match=r"no definition of EUR/USD\.SIM"):
        take(tmp_path)


def test_files_of_one_series_that_overlap_are_refused(
    catalog: ParquetDataCatalog, tmp_path: Path
) -> None:
    catalog.write_quote_ticks(quotes(1, 5))
    catalog.write_quote_ticks(quotes(3, 7), skip_disjoint_check=True)

    with pytest.raises(DataError, match=r"00-03-00.*at or before the end .*must not overlap"):
        take(tmp_path)


def test_rows_out_of_order_are_refused_with_file_and_row(
    catalog: ParquetDataCatalog, tmp_path: Path
) -> None:
    path = tmp_path / catalog.write_quote_ticks(quotes(1, 2, 3, 4))
    table = pq.read_table(path)
    pq.write_table(table.take(pa.array([0, 1, 3, 2])), path)

    with pytest.raises(DataError, match=r"parquet, row 4: ts_init goes back"):
        take(tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_files_without_statistics_are_indexed_from_their_rows(
    catalog: ParquetDataCatalog, tmp_path: Path
) -> None:
    path = tmp_path / catalog.write_quote_ticks(quotes(1, 2, 3))
    pq.write_table(pq.read_table(path), path, write_statistics=False, row_group_size=2)

    [file] = take(tmp_path).manifest.files

    times = [(group.first, group.last) for group in file.row_groups]
    assert times == [(MINUTE + 1, 2 * MINUTE + 1), (3 * MINUTE + 1, 3 * MINUTE + 1)]


def test_a_catalog_of_version_1_is_recognised_by_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "bars" / "X.SIM-1-MINUTE-LAST-EXTERNAL"
    folder.mkdir(parents=True)
    table = pa.table({"close": [b"x"], "ts_init": pa.array([1], pa.uint64())})
    pq.write_table(table, folder / "part-0.parquet")

    with pytest.raises(DataError, match=r"NautilusTrader 1\.x .*data prepare"):
        take(tmp_path)
