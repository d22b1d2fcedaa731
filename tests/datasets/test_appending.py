"""Datasets that grow: what is added, what stays, what is refused."""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from click.testing import CliRunner

from trading_runtime.cli.data import data
from trading_runtime.datasets.data_file import load_preparation
from trading_runtime.datasets.garbage import alone_in, garbage
from trading_runtime.datasets.inspection import as_text
from trading_runtime.datasets.manifest import load_manifest
from trading_runtime.datasets.prepare import prepare
from trading_runtime.datasets.verify import verify
from trading_runtime.engine.instruments.catalog import write_instruments
from trading_runtime.engine.instruments.files import read_instruments
from trading_runtime.errors import DataError, UsageError
from trading_runtime.storage.folders import LocalFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from tests.datasets.conftest import Grow, Prepare
    from trading_runtime.datasets.manifest import Manifest

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
        {"day": "2024-01-02", "first": "2024-01-02T12:00:00.000000000Z", "rows": 1,
         "reasons": ["1 rows; min_rows_per_day is 2"]},
        {"day": "2024-01-03", "first": "2024-01-03T12:00:00.000000000Z", "rows": 2,
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


IDS: dict[str, Any] = {"timestamp_format": "ms", "columns": {"trade_id": "id"}}
MS: dict[str, Any] = {"timestamp_format": "ms"}
GATE: dict[str, Any] = {"gate": {"min_rows_per_day": 2, "max_jump": 0.5}}
QUOTES = "timestamp,bid,ask\n"
ABOVE = "".join(f"2024-01-02T12:0{minute}:00Z,30,31,29,30,1\n" for minute in (0, 1))
LAST_MINUTES = [
    f"2024-01-0{day}T23:59:00Z,10,11,9,10,1\n2024-01-0{day + 1}T00:00:00Z,10,11,9,10,1\n"
    for day in (1, 2)
]


def a_quote(at: int, ask: str = "11") -> str:
    return f"{NOON + at},10,{ask}\n"


def a_trade(at: int, number: int, price: str = "10") -> str:
    return f"{NOON + at},{price},1,{number}\n"


TWO_DAYS = HEADER + bar(1, 0) + bar(1, 1)
A_JUMP = "2024-01-01T12:02:00Z,30,31,29,30,1\n"
BAD_DAY_BETWEEN = TWO_DAYS + bar(2, 0) + bar(3, 0) + bar(3, 1)
BAD_ROW = HEADER + bar(1, 0) + "2024-01-01T12:00:30Z,x,1,1,1,1\n" + bar(1, 1)
BAD_END = HEADER + bar(1, 0) + "2024-01-01T12:00:30Z,x,1,1,1,1\n"
MORE_AFTER_BAD_END = BAD_END + bar(2, 0) + "2024-01-02T12:00:30Z,x,1,1,1,1\n"
NEWEST_FIRST = "2024-01-01T12:00:30Z,x,1,1,1,1\n" + bar(1, 0)
MORE_ABOVE = bar(2, 1) + "2024-01-02T12:00:30Z,x,1,1,1,1\n" + bar(2, 0) + NEWEST_FIRST
NO_BID = f"{QUOTES}{NOON},,10.1\n{NOON + 1},10.0,10.2\n"
ODD_PRICE = f"timestamp,price,size\n{NOON},10.001,1\n{NOON + 1},10,1\n"


@pytest.mark.parametrize(
    ("kind", "first", "then", "settings"),
    [
        ("quotes", {"a.csv": QUOTES + a_quote(0) + a_quote(5)},
         {"b.csv": QUOTES + a_quote(5, "12") + a_quote(6)}, MS),
        ("quotes", {"a.csv": QUOTES + a_quote(0) + a_quote(5)},
         {"a.csv": QUOTES + a_quote(0) + a_quote(5) + a_quote(5, "12") + a_quote(7)}, MS),
        ("trades", {"a.csv": TRADES + a_trade(0, 1) + a_trade(5, 2) + a_trade(5, 3)},
         {"b.csv": TRADES + a_trade(5, 3) + a_trade(9, 4)}, IDS),
        ("bars", {"a.csv": TWO_DAYS}, {"b.csv": HEADER + ABOVE}, GATE),
        ("bars", {"a.csv": BAD_DAY_BETWEEN}, {"a.csv": BAD_DAY_BETWEEN + bar(4, 0) + bar(4, 1)},
         GATE),
        ("bars", {"a.csv": TWO_DAYS + bar(2, 0)}, {"a.csv": TWO_DAYS + bar(2, 0) + bar(2, 1)},
         GATE),
        ("bars", {"a.csv": TWO_DAYS}, {"b.csv": HEADER + bar(1, 2)}, GATE),
        ("bars", {"a.csv": HEADER + LAST_MINUTES[0]}, {"b.csv": HEADER + LAST_MINUTES[1]}, GATE),
        ("bars", {"a.csv": BAD_ROW}, {"a.csv": BAD_ROW + bar(2, 0)}, {"on_bad_row": "drop"}),
        ("bars", {"a.csv": BAD_END}, {"a.csv": MORE_AFTER_BAD_END}, {"on_bad_row": "drop"}),
        ("bars", {"a.csv": HEADER + bar(1, 1) + NEWEST_FIRST},
         {"a.csv": HEADER + MORE_ABOVE.replace(NEWEST_FIRST, bar(1, 1) + NEWEST_FIRST)},
         {"on_bad_row": "drop", "sort": True}),
        ("trades", {"a.csv": ODD_PRICE}, {"a.csv": f"{ODD_PRICE}{NOON + 2},10.001,1\n"},
         MS | {"off_tick": "round"}),
        ("quotes", {"a.csv": NO_BID}, {"a.csv": f"{NO_BID}{NOON + 2},10.001,\n"},
         MS | {"off_tick": "round", "on_bad_row": "drop", "blank_side": "unchanged"}),
        ("quotes", {"a.csv": f"{QUOTES}{NOON},10.001,10.2\n"},
         {"b.csv": f"{QUOTES}{NOON + 1},,10.3\n", "c.csv": f"{QUOTES}{NOON + 2},,10.4\n"},
         MS | {"off_tick": "round", "blank_side": "unchanged"}),
        ("quotes", {"a.csv": f"{QUOTES}{NOON},10.0,10.2\n{NOON + 1},x,10.3\n"},
         {"b.csv": f"{QUOTES}{NOON + 2},,10.3\n{NOON + 3},10,\n"},
         MS | {"on_bad_row": "drop", "blank_side": "unchanged"}),
        ("quotes", {"a.csv": f"{QUOTES}{NOON},10.0,10.2\n"},
         {"b.csv": f"{QUOTES}x,,\n{NOON + 2},,10.3\n"},
         MS | {"on_bad_row": "drop", "blank_side": "unchanged"}),
    ],
    ids=[
        "the next file goes on within a millisecond", "a file grew within a millisecond",
        "an overlap begins between rows of one time", "the price jumps between two files",
        "a bad day in the middle of a file that grew", "the last day was bad and is repaired",
        "the second part of a day", "a bar that closes at midnight is of the day before",
        "a row that was dropped before", "dropped rows at both ends of what a file grew by",
        "a dropped row in what a file grew by, the newest first",
        "prices that were rounded before", "a blank side above all others",
        "new files that begin with a blank side", "a blank side below a row that was dropped",
        "a new file that begins with a row without a time",
    ],
)  # fmt: skip
def test_rows_and_counts_are_those_of_all_files_prepared_at_once(  # noqa: PLR0913, PLR0917
    kind: str,
    first: dict[str, str | bytes],
    then: dict[str, str | bytes],
    settings: dict[str, Any],
    prepare_files: Prepare,
    grow: Grow,
    tmp_path: Path,
) -> None:
    folder = prepare_files(kind, first, **settings).folder

    grown = grow(kind, first | then, **settings).manifest

    loaded = load_preparation(tmp_path / "data.json")
    known = read_instruments(loaded.instrument_files)
    whole = prepare(loaded, known, write_instruments, tmp_path / "whole").manifest
    assert rows_of(folder, grown) == rows_of(tmp_path / "whole", whole)
    [ours], [theirs] = (manifest.source["series"] for manifest in (grown, whole))
    for name in ("rows", "rounded", "snapped", "dropped", "quarantined", "gaps"):
        assert (ours.get(name) or None) == (theirs.get(name) or None), name
    assert verify(folder).damages == ()


def rows_of(folder: Path, manifest: Manifest) -> list[tuple[Any, ...]]:
    return [
        row
        for file in manifest.files
        for row in pl.read_parquet(folder / file.path).drop("trade_id", strict=False).rows()
    ]


def test_files_without_a_new_row_leave_digest_and_parent_and_are_not_read_again(
    prepare_files: Prepare, grow: Grow
) -> None:
    text = HEADER + bar(1, 0) + bar(1, 1)
    made = prepare_files("bars", {"a.csv": text})

    for level in (1, 6):
        again = grow("bars", {"a.csv.gz": gzip.compress(text.encode(), level, mtime=0)})

        assert (again.manifest.digest, again.manifest.parent) == (made.manifest.digest, None)
    assert len(load_manifest(made.folder).source["series"][0]["files"]) == 3
    grow("bars", {"b.csv": HEADER + bar(2, 0)})
    assert verify(made.folder).damages == ()


def test_files_of_one_name_in_two_folders_are_two_files(
    prepare_files: Prepare, grow: Grow, tmp_path: Path
) -> None:
    for name in ("jan", "feb"):
        (tmp_path / name).mkdir()
    prepare_files("bars", {"jan/a.csv": HEADER + bar(1, 0)})

    grown = grow("bars", {"jan/a.csv": HEADER + bar(1, 0), "feb/a.csv": HEADER + bar(2, 0)})

    assert (grown.rows, grown.known) == (1, 0)
    assert len(grown.manifest.source["series"][0]["files"]) == 2


def test_a_trade_id_of_the_last_day_is_refused_with_its_place(
    prepare_files: Prepare, grow: Grow
) -> None:
    made = prepare_files("trades", {"a.csv": TRADES + a_trade(0, 1) + a_trade(5, 2)}, **IDS)

    with pytest.raises(DataError, match=r"b.csv:3: trade_id '2' is already that of a row"):
        grow("trades", {"b.csv": TRADES + a_trade(50, 3) + a_trade(86_400_000, 2)}, **IDS)
    assert load_manifest(made.folder) == made.manifest


def test_a_day_that_is_repaired_after_later_ones_is_refused_and_the_gate_named(
    prepare_files: Prepare, grow: Grow
) -> None:
    prepare_files("bars", {"a.csv": BAD_DAY_BETWEEN}, **GATE)

    with pytest.raises(DataError, match=r"b.csv:2: .* came late: .* the quality gate kept its day"):
        grow("bars", {"b.csv": HEADER + bar(2, 0) + bar(2, 1)}, **GATE)


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ({"a.csv": TWO_DAYS + A_JUMP}, "a.csv:4"),
        ({"b.csv": HEADER + A_JUMP}, "b.csv:2"),
        ({"b.csv": HEADER + bar(1, 1) + A_JUMP + bar(2, 0) + bar(2, 1)}, "b.csv:3"),
    ],
    ids=["the file grew", "another file", "a file that overlaps, and a good day"],
)  # fmt: skip
def test_new_rows_with_which_a_day_of_the_dataset_fails_the_gate_are_refused(
    raw: dict[str, str], place: str, prepare_files: Prepare, grow: Grow
) -> None:
    """The rows that the dataset has of the day could not be taken out of it any more."""
    made = prepare_files("bars", {"a.csv": TWO_DAYS}, **GATE)

    with pytest.raises(DataError, match=rf"{place}: .* 2024-01-01 fails .* \(a jump of 1.857"):
        grow("bars", raw, **GATE)

    assert load_manifest(made.folder) == made.manifest
    assert "quarantined" not in made.manifest.source["series"][0]


def test_a_file_with_a_part_of_a_day_of_the_dataset_is_compared_with_it(
    prepare_files: Prepare, grow: Grow
) -> None:
    """Alone, its rows would not do for a day."""
    prepare_files("bars", {"a.csv": TWO_DAYS + bar(2, 0) + bar(2, 1) + bar(3, 0) + bar(3, 1)},
                  **GATE)  # fmt: skip

    grown = grow("bars", {"b.csv": TWO_DAYS + bar(2, 0)}, **GATE)

    assert (grown.rows, grown.known) == (0, 3)
    assert "quarantined" not in grown.manifest.source["series"][0]
    with pytest.raises(DataError, match=r"c.csv:2: .* was changed"):
        grow("bars", {"c.csv": f"{HEADER}2024-01-02T12:00:00Z,10,12,9,10,1\n"}, **GATE)


def test_a_blank_side_of_which_an_older_dataset_does_not_state_the_one_above_is_refused(
    prepare_files: Prepare, grow: Grow
) -> None:
    settings = MS | {"blank_side": "unchanged", "on_bad_row": "drop"}
    made = prepare_files("quotes", {"a.csv": f"{QUOTES}{NOON},10.0,10.2\n"}, **settings)
    document = json.loads((made.folder / "manifest.json").read_text())
    del document["source"]["series"][0]["last_sides"]
    (made.folder / "manifest.json").write_text(json.dumps(document))

    with pytest.raises(DataError, match=r"b.csv:2: bid is blank, and the dataset is of an"):
        grow("quotes", {"b.csv": f"{QUOTES}{NOON + 1},,10.3\n"}, **settings)
    assert grow("quotes", {"b.csv": f"{QUOTES}{NOON + 1},10,10.3\n"}, **settings).rows == 1


@pytest.mark.parametrize("on_bad_row", ["refuse", "drop"])
def test_a_file_that_began_with_a_blank_side_may_grow(
    on_bad_row: str, prepare_files: Prepare, grow: Grow
) -> None:
    """When it is read again, the dataset has the rows that go on from the file before."""
    settings = MS | {"blank_side": "unchanged", "on_bad_row": on_bad_row}
    first = f"{QUOTES}{NOON},10.0,10.2\n"
    second = f"{QUOTES}{NOON + 1},,10.3\n{NOON + 2},10.1,\n"
    prepare_files("quotes", {"a.csv": first}, **settings)
    grow("quotes", {"b.csv": second}, **settings)

    grown = grow("quotes", {"b.csv": f"{second}{NOON + 3},,10.4\n"}, **settings)

    [entry] = grown.manifest.source["series"]
    assert (grown.rows, entry["rows"], entry.get("dropped")) == (1, 4, None)


def test_rows_that_are_left_out_by_each_append_are_all_kept(
    prepare_files: Prepare, grow: Grow
) -> None:
    settings: dict[str, Any] = {"on_bad_row": "drop"}
    made = prepare_files("bars", {"a.csv": BAD_ROW}, **settings)

    for name in ("b", "c"):  # without a row that can be used, so the digest stays
        raw = {f"{name}.csv": f"{HEADER}2024-01-02T12:00:30Z,{name},1,1,1,1\n"}
        assert grow("bars", raw, **settings).manifest.digest == made.manifest.digest

    kept = [path.read_text() for path in sorted((made.folder / "quarantine").iterdir())]
    assert sorted(text.splitlines()[1].partition(",")[0] for text in kept) == [
        "a.csv", "b.csv", "c.csv",
    ]  # fmt: skip


def test_rows_of_a_day_that_are_still_missing_stay_listed(
    prepare_files: Prepare, grow: Grow
) -> None:
    """The first row of the second day is in the file of the first, where it is alone."""
    settings = IDS | {"gate": {"min_rows_per_day": 2}}
    day = 43_200_000
    text = TRADES + a_trade(0, 1) + a_trade(1, 2) + a_trade(day, 3)
    prepare_files("trades", {"a.csv": text}, **settings)

    more = TRADES + a_trade(day + 1, 4) + a_trade(day + 2, 5)
    [described] = grow("trades", {"b.csv": more}, **settings).manifest.source["series"]

    assert described["rows"] == 4
    assert [(item["day"], item["rows"]) for item in described["quarantined"]] == [("2024-01-02", 1)]


def test_a_killed_append_changes_nothing_and_the_next_one_ends_as_if_it_had_not_been(
    prepare_files: Prepare, grow: Grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"on_bad_row": "drop"}
    made = prepare_files("bars", {"a.csv": HEADER + bar(1, 0)}, **settings)
    more = {"b.csv": HEADER + bar(2, 0) + "2024-01-02T12:00:30Z,x,1,1,1,1\n"}
    left = {"n": 0}

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any) -> Any:
            left["n"] -= 1
            if left["n"] < 0:
                raise KeyboardInterrupt
            return real(*given)

        return step

    with monkeypatch.context() as patched:
        for name in ("write", "create", "replace"):
            patched.setattr(LocalFolder, name, dying(getattr(LocalFolder, name)))
        steps = 0
        while True:
            left["n"] = steps
            try:
                grown = grow("bars", more, **settings)
            except KeyboardInterrupt:
                assert load_manifest(made.folder) == made.manifest
                steps += 1
            else:
                break

    assert steps == 5, "a file, the same anew, the quarantine, the parent's manifest, the manifest"
    assert verify(made.folder).damages == ()
    assert grown.manifest.parent == made.manifest.digest
    assert len(list((made.folder / "quarantine").iterdir())) == 1


def test_what_a_killed_append_left_is_replaced_and_what_a_manifest_names_never(
    prepare_files: Prepare, grow: Grow, tmp_path: Path
) -> None:
    made = prepare_files("bars", {"a.csv": HEADER + bar(1, 0)})
    shutil.copytree(made.folder, tmp_path / "kept")
    [new] = grow("bars", {"b.csv": HEADER + bar(2, 0)}).manifest.files[1:]
    shutil.rmtree(made.folder)
    (tmp_path / "kept").rename(made.folder)
    (made.folder / new.path).write_bytes(b"the half of a file")

    grow("bars", {"b.csv": HEADER + bar(2, 0)})

    assert verify(made.folder).damages == ()


@pytest.mark.parametrize("command", ["append", "gc"])
def test_one_process_at_a_time_changes_a_dataset(
    command: str, prepare_files: Prepare, grow: Grow
) -> None:
    made = prepare_files("bars", {"a.csv": HEADER + bar(1, 0)})
    change: Callable[[], object] = {
        "append": lambda: grow("bars", {"b.csv": HEADER + bar(2, 0)}),
        "gc": lambda: garbage(str(made.folder), delete=True),
    }[command]
    lock = os.open(made.folder / "data", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        with pytest.raises(UsageError, match="another process is adding rows"):
            change()
    finally:
        os.close(lock)
    assert grow("bars", {"b.csv": HEADER + bar(2, 0)}).rows == 1


def test_a_file_stands_for_the_lock_where_the_file_system_has_none(
    prepare_files: Prepare, grow: Grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = prepare_files("bars", {"a.csv": HEADER + bar(1, 0)})

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with alone_in(LocalFolder(made.folder)):
        for change in (
            lambda: grow("bars", {"b.csv": HEADER + bar(2, 0)}),
            lambda: garbage(str(made.folder), delete=True),
        ):
            with pytest.raises(UsageError, match=r"data/\.lock: .* if none is, .* remove this"):
                change()
    assert grow("bars", {"b.csv": HEADER + bar(2, 0)}).rows == 1
    assert verify(made.folder).damages == ()


DAY_MS = 86_400_000


def klines(*opens: int, length: int = DAY_MS) -> str:
    start = 1_704_067_200_000
    return "".join(
        f"{start + at * length},10,11,9,10,1,{start + (at + 1) * length - 1},1,1,1,1,0\n"
        for at in opens
    )


def imported(folder: Path, text: str, *options: str, form: str = "binance-klines") -> Result:
    """Import one file into the folder's dataset."""
    name = f"{len(list(folder.iterdir()))}.csv"
    (folder / name).write_text(text)
    return CliRunner().invoke(
        data,
        ["import", str(folder / name), "--format", form, "--to", str(folder / "made"),
         "--instrument", "BTCUSDT.BINANCE", *options],
    )  # fmt: skip


@pytest.mark.parametrize("then", [(3,), (3, 6)], ids=["a single row", "rows with days between"])
def test_bars_of_a_file_that_does_not_tell_their_length_are_those_of_the_dataset(
    tmp_path: Path, then: tuple[int, ...]
) -> None:
    assert imported(tmp_path, klines(0, 1, 2)).exit_code == 0
    ended = imported(tmp_path, klines(*then), *(["--bar", "1-DAY-LAST"] * (len(then) > 1)))

    assert ended.exit_code == 0, ended.output
    assert load_manifest(tmp_path / "made").rows == 3 + len(then)


def test_rows_further_apart_than_the_bars_of_the_dataset_do_not_become_other_bars(
    tmp_path: Path,
) -> None:
    minute = 60_000
    imported(tmp_path, klines(0, 1, 2, 3, length=minute))
    before = load_manifest(tmp_path / "made")

    ended = imported(tmp_path, klines(10, 15, 20, length=minute))

    assert isinstance(ended.exception, UsageError)
    assert "bars of 5-MINUTE-LAST, and the dataset has 1-MINUTE-LAST; give --bar" in str(
        ended.exception
    )
    assert load_manifest(tmp_path / "made") == before
    assert imported(
        tmp_path, klines(10, 15, 20, length=minute), "--bar", "1-MINUTE-LAST"
    ).exit_code == 0  # fmt: skip


def test_a_lot_that_is_not_given_is_that_of_the_dataset(tmp_path: Path) -> None:
    header = (
        "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
    )
    first = f"{header}1,10.1,0.001,1,1,1704067200000,true\n"
    then = f"{header}2,10.1,0.5,2,2,1704153600000,true\n"
    options = ("--tick", "0.1")
    assert imported(tmp_path, first, *options, form="binance-aggtrades").exit_code == 0

    ended = imported(tmp_path, then, *options, form="binance-aggtrades")

    assert ended.exit_code == 0, ended.output
    assert load_manifest(tmp_path / "made").rows == 2
    other = imported(tmp_path, then, "--tick", "0.01", form="binance-aggtrades")
    assert "defined otherwise" in str(other.exception)
