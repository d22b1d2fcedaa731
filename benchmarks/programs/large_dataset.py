"""Write the manifest of a dataset of many instruments, each with five years of monthly files.

    python -m benchmarks.programs.large_dataset FOLDER INSTRUMENTS

Only the manifest is made, since only that is read by what is measured.
"""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from trading_runtime.canonical import digest
from trading_runtime.datasets.instrument_facts import StatedInstrument
from trading_runtime.datasets.manifest import MANIFEST_FORMAT, MANIFEST_NAME, Manifest
from trading_runtime.datasets.manifest_entries import DataFile, RowGroup
from trading_runtime.engine.instruments.files import define_instrument
from trading_runtime.units import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator

_MONTHS = 60


def files(name: str) -> Iterator[DataFile]:
    """Yield the files of daily bars of an instrument, one row group each."""
    series = f"{name}-1-DAY-LAST-EXTERNAL"
    for number in range(_MONTHS):
        year, month = divmod(number, 12)
        begin = dt.datetime(2020 + year, month + 1, 1, tzinfo=dt.UTC)
        first = int(begin.timestamp()) * 10**9
        path = f"data/bars/{series}/{begin:%Y-%m-%d}.parquet"
        group = RowGroup(
            index=0, rows=21, offset=4, bytes=3_000, first=first, last=first + 27 * DAY,
            sha256=digest([path, "rows"]),
        )  # fmt: skip
        yield DataFile(
            path=path, type="bars", identifier=series, instrument_id=name, bytes=6_000,
            sha256=digest(path), footer_offset=3_004, footer_sha256=digest([path, "footer"]),
            schema_sha256=digest("schema"), rows=21, row_groups=(group,),
        )  # fmt: skip


def main(folder: Path, count: int) -> None:
    """Write the manifest, and the tables that it names."""
    names = [f"S{number:05}.XNAS" for number in range(count)]
    definitions = [
        define_instrument(
            StatedInstrument(type="Equity", id=name, currency="USD", price_increment="0.01")
        ).definition
        for name in names
    ]
    manifest, tables = Manifest(
        format=MANIFEST_FORMAT,
        instruments=tuple(definitions),
        instrument_files=(),
        files=tuple(file for name in names for file in files(name)),
    ).to_store()
    for name, content in (tables | {MANIFEST_NAME: manifest.to_json().encode()}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
