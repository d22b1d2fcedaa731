"""The sample data of the project is what its generator makes, byte for byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trading_runtime.datasets.data_file import load_preparation
from trading_runtime.datasets.prepare import prepare
from trading_runtime.engine.instruments.catalog import write_instruments
from trading_runtime.engine.instruments.files import read_instruments

DATA = Path(__file__).parent.parent / "data"
PARTS = DATA / "parts"


def test_the_generator_makes_the_parts_byte_for_byte(tmp_path: Path) -> None:
    script = DATA / "scripts" / "make_parts.py"

    subprocess.run([sys.executable, script, tmp_path], check=True)

    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in PARTS.iterdir()}


@pytest.mark.parametrize(
    ("name", "rows", "gap_minutes"),
    # Rows: 21 days of minutes, less the one that closes on the fourth Monday, less the gap of 47.
    [("bars", 21 * 1_440 - 1 - 47, 48), ("quotes", None, 12), ("trades", None, 3)],
)
def test_each_part_can_be_prepared_and_has_one_gap(
    name: str, rows: int | None, gap_minutes: int, tmp_path: Path
) -> None:
    loaded = load_preparation(PARTS / f"{name}.data.json")
    instruments = read_instruments(loaded.instrument_files)

    manifest = prepare(loaded, instruments, write_instruments, tmp_path / name).manifest

    assert rows in {None, manifest.rows}
    [gap] = manifest.gaps
    assert (gap.before - gap.after) // (60 * 10**9) == gap_minutes
