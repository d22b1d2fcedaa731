"""The commands of ``trading-runtime data`` from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from trading_runtime.cli.data import data
from trading_runtime.errors import DataError

PARTS = Path(__file__).parent.parent / "data" / "parts"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    folder = tmp_path / "trades"
    assert "prepared" in run("prepare", str(PARTS / "trades.data.json"), "--to", str(folder))
    return folder


def run(*arguments: str) -> str:
    result = CliRunner().invoke(data, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_a_dataset_is_prepared_inspected_and_verified(dataset: Path) -> None:
    text = run("inspect", str(dataset))

    assert "BTCUSDT-PERP.SIM (CryptoPerpetual)" in text
    assert "trades  BTCUSDT-PERP.SIM" in text
    assert "window     2024-01-15T09:00:00Z to 2024-01-15T09:59:59" in text
    assert "gaps       1\n             3m" in text
    assert "all as the manifest says" in run("verify", str(dataset))


def test_preparing_again_says_that_nothing_had_to_be_done(dataset: Path) -> None:
    text = run("prepare", str(PARTS / "trades.data.json"), "--to", str(dataset))

    assert text.splitlines()[0].endswith("is up to date")


def test_every_command_has_output_for_machines(dataset: Path) -> None:
    lines = (PARTS / "trades.csv").read_text().splitlines()
    described = json.loads(run("inspect", str(dataset), "--json"))

    [series] = described["series"]
    assert (series["type"], series["rows"]) == ("trades", len(lines) - 1)
    assert series["first"] == "2024-01-15T09:00:00Z"
    assert len(series["gaps"]) == 1
    assert series["stated"] == {}
    prepared = run("prepare", str(PARTS / "trades.data.json"), "--to", str(dataset), "--json")
    assert json.loads(prepared) == described
    assert json.loads(run("adopt", str(dataset), "--json"))["digest"] == described["digest"]
    assert json.loads(run("verify", str(dataset), "--json"))["damages"] == []


def test_a_damaged_dataset_ends_with_the_code_of_data(dataset: Path) -> None:
    [path] = (dataset / "data" / "trades").rglob("*.parquet")
    path.write_bytes(path.read_bytes()[:-100])

    result = CliRunner().invoke(data, ["verify", str(dataset)])

    assert isinstance(result.exception, DataError)
    assert result.exception.exit_code == 3
    assert path.name in str(result.exception)
