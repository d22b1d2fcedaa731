"""Damage to a dataset is found, file by file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trading_runtime.datasets.verify import verify

if TYPE_CHECKING:
    from pathlib import Path

    from tests.datasets.conftest import Prepare


@pytest.fixture
def dataset(prepare_files: Prepare) -> Path:
    text = "timestamp,bid,ask\n2024-01-01,10,11\n2024-01-02,10,11\n2024-01-03,10,11\n"
    return prepare_files("quotes", {"raw.csv": text}).folder


def files(dataset: Path) -> list[Path]:
    return sorted((dataset / "data" / "quotes").rglob("*.parquet"))


def test_an_intact_dataset_has_no_damages(dataset: Path) -> None:
    found = verify(dataset)

    assert found.damages == ()
    assert found.files == 4
    on_disk = sum(path.stat().st_size for path in (dataset / "data").rglob("*.parquet"))
    assert found.bytes == on_disk


def test_every_damaged_file_is_named_with_what_is_wrong(dataset: Path) -> None:
    first, second, third = files(dataset)
    content = bytearray(first.read_bytes())
    content[20] ^= 1
    first.write_bytes(content)
    second.unlink()
    third.write_bytes(third.read_bytes()[:-1])
    (third.parent / "extra.parquet").write_bytes(b"x")

    damages = verify(dataset).damages

    assert len(damages) == 4
    assert damages[0].startswith(f"{first}: sha256 ")
    assert damages[1] == f"{second}: the file is missing"
    assert damages[2].startswith(f"{third}: bytes ")
    assert "extra.parquet: is not in the manifest" in damages[3]


def test_damage_to_instrument_definitions_is_found(dataset: Path) -> None:
    [path] = (dataset / "data" / "currency_pair").rglob("*.parquet")
    path.write_bytes(b"PAR1" + path.read_bytes()[4:-1] + b"2")

    [damage] = verify(dataset).damages

    assert damage.startswith(f"{path}: sha256")
