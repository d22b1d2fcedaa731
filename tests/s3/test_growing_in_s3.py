"""Datasets in S3 that grow: what is added, refused, kept, and removed in the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.datasets.conftest import DEFAULTS, INSTRUMENT
from tests.s3.servers import Clock, move_servers_by
from trading_runtime.cli.data_parts import make_at
from trading_runtime.cli.main import invoke, root
from trading_runtime.datasets.appending import Appended, append
from trading_runtime.datasets.data_file import load_preparation
from trading_runtime.datasets.garbage import garbage
from trading_runtime.datasets.manifest import Manifest, load_manifest
from trading_runtime.datasets.prepare import prepare
from trading_runtime.datasets.verify import verify
from trading_runtime.engine.instruments.catalog import write_instruments
from trading_runtime.engine.instruments.files import read_instruments
from trading_runtime.errors import DataError
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trading_runtime.datasets.data_file import LoadedPreparation
    from trading_runtime.datasets.instrument_facts import InstrumentFacts

HEADER = "timestamp,open,high,low,close,volume\n"
DAY_AND_HOUR = 90_000


def bars(*days: int, close: str = "10.50") -> str:
    rows = (f"2024-01-{day:02}T12:00:00Z,10.00,11.00,9.00,{close},1\n" for day in days)
    return HEADER + "".join(rows)


class Growing:
    """A dataset of bars in S3, made from files of a folder."""

    def __init__(self, bucket: str, folder: Path) -> None:
        self.place = f"{bucket}/bars"
        self.folder = S3Folder(self.place)
        self._raw = folder

    def _loaded(
        self, raw: Mapping[str, str], settings: Mapping[str, Any]
    ) -> tuple[LoadedPreparation, Mapping[str, InstrumentFacts]]:
        for name, text in raw.items():
            (self._raw / name).write_text(text)
        files = {"type": "bars", "instrument": INSTRUMENT["id"], "files": sorted(raw)}
        series = {**files, **DEFAULTS["bars"], **settings}
        (self._raw / "instrument.json").write_text(json.dumps(INSTRUMENT))
        content = {"instruments": "instrument.json", "series": [series]}
        (self._raw / "data.json").write_text(json.dumps(content))
        loaded = load_preparation(self._raw / "data.json")
        return loaded, read_instruments(loaded.instrument_files)

    def make(self, raw: Mapping[str, str], **settings: Any) -> Manifest:
        return make_at(*self._loaded(raw, settings), self.place)

    def grow(self, raw: Mapping[str, str], **settings: Any) -> Appended:
        return append(*self._loaded(raw, settings), write_instruments, self.place)

    def on_disk(self, raw: Mapping[str, str], **settings: Any) -> Manifest:
        loaded, known = self._loaded(raw, settings)
        return prepare(loaded, known, write_instruments, self._raw / "whole").manifest

    def contents(self) -> dict[str, bytes]:
        return {name: self.folder.read(name) for name in self.folder.sizes("data")}


@pytest.fixture
def growing(bucket: str, tmp_path: Path) -> Growing:
    return Growing(bucket, tmp_path)


def test_a_new_day_adds_objects_and_a_day_twice_none(growing: Growing) -> None:
    first = growing.make({"a.csv": bars(1)})
    before = growing.contents()

    grown = growing.grow({"a.csv": bars(1), "b.csv": bars(2)})

    after = growing.contents()
    assert {name: after[name] for name in before} == before
    assert (grown.rows, len(after) - len(before)) == (1, 1)
    manifest = load_manifest(growing.place)
    assert manifest.parent == first.digest
    assert load_manifest(growing.place, f"manifests/{first.digest}.json") == first
    whole = growing.on_disk({"a.csv": bars(1), "b.csv": bars(2)})
    assert manifest.source["digest"] == whole.source["digest"]
    assert growing.grow({"a.csv": bars(1), "copy.csv": bars(1, 2)}).rows == 0
    assert growing.contents() == after
    assert verify(growing.place).damages == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [(bars(1, 3), r"b.csv:2: .* came late"), (bars(2, close="10.25"), r"b.csv:2: .* was changed")],
)
def test_a_row_that_came_late_or_was_changed_is_refused_with_its_place(
    growing: Growing, text: str, message: str
) -> None:
    made = growing.make({"a.csv": bars(2)})
    before = growing.contents()

    with pytest.raises(DataError, match=message):
        growing.grow({"a.csv": bars(2), "b.csv": text})

    assert (growing.contents(), load_manifest(growing.place)) == (before, made)


def test_the_second_import_of_a_pattern_is_an_append_and_verify_and_gc_take_the_address(
    growing: Growing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "import", str(tmp_path / "day-*.csv"), "--format", "binance-klines",
               "--instrument", "BTCUSDT.BINANCE", "--to", growing.place, "--bar", "1-DAY-LAST",
               "--tick", "0.01", "--lot", "0.001"]  # fmt: skip
    for day in range(2):
        opened = 1_704_067_200_000 + day * 86_400_000
        row = f"{opened},10,11,9,10,1,{opened + 86_399_999},1,1,1,1,0\n"
        (tmp_path / f"day-{day}.csv").write_text(row)
        assert invoke(root, command) == 0
    assert f"{growing.place} has 1 rows more" in capsys.readouterr().out

    assert invoke(root, command) == 0
    assert f"{growing.place} is up to date" in capsys.readouterr().out
    assert invoke(root, ["data", "verify", growing.place]) == 0
    assert f"{growing.place}: 3 files" in capsys.readouterr().out
    assert invoke(root, ["data", "gc", growing.place]) == 0
    assert load_manifest(growing.place).rows == 2


def test_of_two_appends_at_once_one_is_refused_and_ends_well_when_it_is_repeated(
    growing: Growing, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing.make({"a.csv": bars(1)})
    replace = S3Folder.replace

    def after_another(place: S3Folder, name: str, content: bytes, version: str) -> str | None:
        monkeypatch.setattr(S3Folder, "replace", replace)
        growing.grow({"c.csv": bars(2, 3)})
        return place.replace(name, content, version)

    monkeypatch.setattr(S3Folder, "replace", after_another)
    with pytest.raises(DataError, match="was changed meanwhile; append again"):
        growing.grow({"b.csv": bars(2)})
    others = load_manifest(growing.place)

    again = growing.grow({"b.csv": bars(2)})

    assert (others.rows, again.rows, again.known, again.manifest.digest) == (
        *(3, 0, 1),
        others.digest,
    )
    assert verify(growing.place).damages == ()
    named = {file.path for file in others.files} | {file.path for file in others.instrument_files}
    [left] = set(growing.contents()) - named
    clock = Clock()
    move_servers_by(clock, monkeypatch)
    assert garbage(growing.place, delete=True) == {}
    clock.now += DAY_AND_HOUR
    assert list(garbage(growing.place, delete=False)) == [left]
    [damage] = verify(growing.place).damages
    assert f"{growing.place}/{left}: is not in the manifest" in damage
    assert list(garbage(growing.place, delete=True)) == [left]
    assert verify(growing.place).damages == ()


def test_a_killed_append_changes_nothing_and_the_next_one_ends_as_if_it_had_not_been(
    growing: Growing, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"on_bad_row": "drop"}
    made = growing.make({"a.csv": bars(1)}, **settings)
    more = {"b.csv": bars(2) + "2024-01-02T12:00:30Z,x,1,1,1,1\n"}
    left = {"n": 0}

    def dying(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any) -> Any:
            left["n"] -= 1
            if left["n"] < 0:
                raise KeyboardInterrupt
            return real(*given)

        return step

    steps = 0
    with monkeypatch.context() as patched:
        for name in ("write", "create", "replace"):
            patched.setattr(S3Folder, name, dying(getattr(S3Folder, name)))
        while True:
            left["n"] = steps
            try:
                grown = growing.grow(more, **settings)
            except KeyboardInterrupt:
                assert load_manifest(growing.place) == made
                steps += 1
            else:
                break

    assert steps == 5, "a file, the same anew, the quarantine, the parent's manifest, the manifest"
    assert verify(growing.place).damages == ()
    whole = growing.on_disk({"a.csv": bars(1), **more}, **settings)
    assert grown.manifest.source["digest"] == whole.source["digest"]
    [entry] = grown.manifest.source["series"]
    assert (entry["rows"], list(entry["dropped"].values())) == (2, [1])


def test_gc_leaves_what_an_append_takes_over_from_a_killed_one(
    growing: Growing, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing.make({"a.csv": bars(1)})
    clock = Clock()
    move_servers_by(clock, monkeypatch)
    replace = S3Folder.replace

    def killed(*_: Any) -> str | None:
        raise KeyboardInterrupt

    def after_gc(place: S3Folder, name: str, content: bytes, version: str) -> str | None:
        garbage(growing.place, delete=True)
        return replace(place, name, content, version)

    monkeypatch.setattr(S3Folder, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        growing.grow({"b.csv": bars(2)})
    clock.now += DAY_AND_HOUR
    monkeypatch.setattr(S3Folder, "replace", after_gc)

    assert growing.grow({"b.csv": bars(2)}).rows == 1

    assert verify(growing.place).damages == ()


def test_an_object_that_no_manifest_names_is_not_replaced(growing: Growing) -> None:
    made = growing.make({"a.csv": bars(1)})
    [new] = growing.grow({"b.csv": bars(2)}).manifest.files[1:]
    growing.folder.write("manifest.json", made.to_json().encode())
    growing.folder.write(new.path, b"of another append")

    with pytest.raises(DataError, match=r"left alone; .* \(once it is 24 hours old\) with .* gc"):
        growing.grow({"b.csv": bars(2)})

    assert growing.folder.read(new.path) == b"of another append"
    assert load_manifest(growing.place) == made


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_verify_finds_damage_in_s3(growing: Growing, damage: str) -> None:
    [file] = growing.make({"a.csv": bars(1)}).files
    if damage == "missing":
        growing.folder.remove(file.path)
    else:
        content = growing.folder.read(file.path)
        growing.folder.write(file.path, content[:9] + bytes([content[9] ^ 1]) + content[10:])

    [found] = verify(growing.place).damages

    words = "the file is missing" if damage == "missing" else "sha256"
    assert found.startswith(f"{growing.place}/{file.path}: {words}")


def test_files_of_earlier_manifests_stay_since_runs_may_name_them(
    growing: Growing, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing.make({"a.csv": bars(1)})
    for day in (2, 3):
        growing.grow({f"{day}.csv": bars(day)})
    before = growing.contents()
    clock = Clock()
    move_servers_by(clock, monkeypatch)
    clock.now += DAY_AND_HOUR

    assert garbage(growing.place, delete=True) == {}
    assert growing.contents() == before
