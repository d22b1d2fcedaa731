"""Datasets that grow: what is added, what stays, what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from trading_runtime.cli.data import data
from trading_runtime.datasets.data_file import load_preparation
from trading_runtime.datasets.inspection import as_text
from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.datasets.prepare import prepare
from trading_runtime.datasets.verify import verify
from trading_runtime.engine.instruments.catalog import write_instruments
from trading_runtime.engine.instruments.files import read_instruments
from trading_runtime.errors import DataError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.datasets.conftest import Grow, Prepare

HEADER = "timestamp,open,high,low,close,volume\n"
TRADES = "timestamp,price,size,id\n"
NOON = 1_704_110_400_000


def bar(day: int, minute: int, close: str = "10.50") -> str:
    return f"2024-01-{day:02}T12:{minute:02}:00Z,10.00,11.00,9.00,{close},1\n"


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (folder / "data").rglob("*.parquet")}


def test_a_new_day_adds_files_and_leaves_those_that_are_there(
    prepare_files: Prepare, grow: Grow
) -> None:
    first = HEADER + bar(1, 0) + bar(1, 1)
    before = prepare_files("bars", {"a.csv": first})
    stored = bytes_of(before.folder)

    grown = grow("bars", {"a.csv": first, "b.csv": HEADER + bar(2, 0)})

    now = bytes_of(before.folder)
    assert {path: now[path] for path in stored} == stored
    assert (grown.rows, len(now) - len(stored)) == (1, 1)
    manifest = load_manifest(before.folder)
    assert manifest.parent == before.manifest.digest
    assert set(before.manifest.files) < set(manifest.files)
    kept = before.folder / "manifests" / f"{before.manifest.digest}.json"
    assert kept.read_text() == before.manifest.to_json()
    assert manifest.source["series"][0]["rows"] == 3
    assert [file["name"] for file in manifest.source["series"][0]["files"]] == ["a.csv", "b.csv"]


def test_a_day_that_was_appended_has_the_row_groups_of_one_prepared_at_once(
    prepare_files: Prepare, grow: Grow, tmp_path: Path
) -> None:
    days = {"a.csv": TRADES, "b.csv": TRADES}
    for step in range(40):
        file = "a.csv" if step < 20 else "b.csv"
        days[file] += f"{NOON + (step // 20) * 86_400_000 + step},{10 + step % 3},1,{step}\n"
    settings: dict[str, Any] = {"timestamp_format": "ms", "columns": {"trade_id": "id"}}
    prepare_files("trades", {"a.csv": days["a.csv"]}, **settings)

    grown = grow("trades", days, **settings)

    loaded = load_preparation(tmp_path / "data.json")
    known = read_instruments(loaded.instrument_files)
    whole = prepare(loaded, known, write_instruments, tmp_path / "whole").manifest
    assert [file.sha256 for file in grown.manifest.files] == [file.sha256 for file in whole.files]
    assert grown.manifest.digest == whole.digest
    assert grown.manifest.source["digest"] == whole.source["digest"]


def test_a_day_twice_changes_nothing(prepare_files: Prepare, grow: Grow) -> None:
    first = HEADER + bar(1, 0) + bar(1, 1)
    made = prepare_files("bars", {"a.csv": first})

    assert grow("bars", {"a.csv": first}).manifest == made.manifest
    copied = grow("bars", {"a.csv": first, "copy.csv": first + bar(1, 2)})

    assert (copied.rows, copied.known) == (1, 2)


def test_generated_trade_ids_go_on_from_the_last(prepare_files: Prepare, grow: Grow) -> None:
    first = f"timestamp,price,size\n{NOON},10,1\n{NOON + 5},10,1\n"
    prepare_files("trades", {"a.csv": first}, timestamp_format="ms")

    grown = grow("trades", {"a.csv": f"{first}{NOON + 9},11,1\n"}, timestamp_format="ms")

    assert (grown.rows, grown.known) == (1, 2)
    again = f"{first}{NOON + 9},11,1\n{NOON + 10},12,1\n"
    assert grow("trades", {"a.csv": again}, timestamp_format="ms").known == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + bar(1, 0) + bar(1, 1, "10.25"), r"b.csv:3: .* was changed"),
        (HEADER + bar(1, 0), None),
        (HEADER + "2024-01-01T11:59:00Z,10.00,11.00,9.00,10.50,1\n", r"b.csv:2: .* came late"),
        (HEADER + bar(1, 0) + "2024-01-01T12:00:30Z,10.00,11.00,9.00,10.50,1\n", r"b.csv:3"),
    ],
    ids=["changed", "the same", "before the first", "in between"],
)
def test_a_row_that_came_late_or_was_changed_is_refused_with_its_place(
    text: str, message: str | None, prepare_files: Prepare, grow: Grow
) -> None:
    first = HEADER + bar(1, 0) + bar(1, 1)
    made = prepare_files("bars", {"a.csv": first})
    before = bytes_of(made.folder)

    if message is None:
        assert grow("bars", {"a.csv": first, "b.csv": text}).rows == 0
    else:
        with pytest.raises(DataError, match=message):
            grow("bars", {"a.csv": first, "b.csv": text})
        assert load_manifest(made.folder) == made.manifest
    assert bytes_of(made.folder) == before


def test_other_settings_are_refused_by_their_names(prepare_files: Prepare, grow: Grow) -> None:
    prepare_files("bars", {"a.csv": HEADER + bar(1, 0)})

    with pytest.raises(UsageError, match=r"other settings \(off_tick\)"):
        grow("bars", {"b.csv": HEADER + bar(2, 0)}, off_tick="round")


def test_verify_follows_the_chain_of_manifests(prepare_files: Prepare, grow: Grow) -> None:
    made = prepare_files("bars", {"a.csv": HEADER + bar(1, 0)})
    grow("bars", {"b.csv": HEADER + bar(2, 0)})
    grow("bars", {"c.csv": HEADER + bar(3, 0)})
    assert verify(made.folder).damages == ()
    kept = made.folder / "manifests" / f"{made.manifest.digest}.json"
    text = kept.read_text()

    kept.write_text(text.replace('"rows": 1', '"rows": 2'))
    [damage] = verify(made.folder).damages
    assert "digest" in damage
    kept.unlink()

    [damage] = verify(made.folder).damages
    assert f"{kept}: is missing" in damage


def test_days_that_are_not_good_enough_are_kept_out_and_named(
    prepare_files: Prepare, grow: Grow
) -> None:
    good = HEADER + bar(1, 0) + bar(1, 1)
    gate = {"min_rows_per_day": 2, "max_jump": 0.5}
    prepare_files("bars", {"a.csv": good}, gate=gate)
    odd = "2024-01-03T12:01:00Z,30.00,31.00,29.00,30.00,1\n"
    more = HEADER + bar(2, 0) + bar(3, 0) + odd + bar(4, 0) + bar(4, 1)

    grown = grow("bars", {"b.csv": more}, gate=gate)

    assert grown.rows == 2
    [described] = grown.manifest.source["series"]
    assert described["quarantined"] == [
        {"day": "2024-01-02", "rows": 1, "reasons": ["1 rows; min_rows_per_day is 2"]},
        {"day": "2024-01-03", "rows": 2,
         "reasons": ["a jump of 1.857 of the price; max_jump is 0.5"]},
    ]  # fmt: skip
    shown = "  excluded   2 days, the first 2024-01-02: 1 rows; min_rows_per_day is 2\n"
    assert shown in as_text(grown.manifest)


def test_only_files_that_no_manifest_names_are_garbage(prepare_files: Prepare, grow: Grow) -> None:
    made = prepare_files("bars", {"a.csv": HEADER + bar(1, 0)})
    grow("bars", {"b.csv": HEADER + bar(2, 0)})
    left = made.folder / made.manifest.files[0].path
    killed = left.with_name("2024-02-01T00-00-00-000000000Z_2024-02-01T00-00-00-000000000Z.parquet")
    killed.write_bytes(left.read_bytes())
    before = bytes_of(made.folder)

    shown = CliRunner().invoke(data, ["gc", str(made.folder)], catch_exceptions=False)

    assert str(killed) in shown.stdout
    assert bytes_of(made.folder) == before
    CliRunner().invoke(data, ["gc", str(made.folder), "--delete"], catch_exceptions=False)
    assert set(before) - set(bytes_of(made.folder)) == {str(killed)}
    assert verify(made.folder).damages == ()
