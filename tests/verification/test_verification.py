"""Stored tasks are computed again: chance is found, and not taken for damage, nor damage for it."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.execution.wayward_run import WAYS, Copy, flip_byte, wayward
from tests.small_experiment import make_dataset
from trading_runtime.canonical import canonical_json, digest
from trading_runtime.errors import DataError, Kind, UsageError
from trading_runtime.verification.rerun import found_origin
from trading_runtime.verification.verify import RunVerification, TaskVerdict, spread, verify_run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_experiment import SmallExperiment

RUN = "run"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> SmallExperiment:
    """A run of all ways: three leave a result, two fail."""
    experiment = wayward(tmp_path_factory.mktemp("mixed"), small_dataset, *WAYS)
    assert experiment.summary("--run-id", RUN)["counts"]["ok"] == 3
    return experiment


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> SmallExperiment:
    """A run that repeats."""
    experiment = wayward(tmp_path_factory.mktemp("sound"), small_dataset, "sound", "surroundings")
    assert experiment.summary("--run-id", RUN)["complete"]
    return experiment


@pytest.fixture
def copy(sound: SmallExperiment, tmp_path: Path) -> Copy:
    """The run that repeats, to tamper with."""
    return Copy(sound, tmp_path / "copy", RUN)


def verify(copy: Copy, sample: int | None = None, **places: Any) -> RunVerification:
    experiment = places.get("experiment", copy.experiment)
    with found_origin(copy.store, copy.files, experiment, places.get("dataset")) as origin:
        return verify_run(origin, copy.store, copy.files, sample=sample, workers=1)


def test_a_sound_run_repeats_byte_for_byte_and_stays_as_it_is(sound: SmallExperiment) -> None:
    before = sound.tasks()

    found = verify(Copy(sound, sound.folder.with_name("sound-copy"), RUN))

    assert found.counts == {"same": 2, "different": 0, "damaged": 0, "failed": 0}
    assert (found.kind, found.damage, found.planned, found.stored) == (Kind.OK, "", 2, 2)
    assert sound.tasks() == before


def test_chance_is_found_with_file_row_and_column(mixed: SmallExperiment, tmp_path: Path) -> None:
    copy = Copy(mixed, tmp_path / "copy", RUN)

    found = verify(copy)

    assert found.kind is Kind.NONDETERMINISTIC
    assert (found.planned, found.stored, len(found.findings)) == (5, 3, 3)
    [finding] = [item for item in found.findings if item.verdict is not TaskVerdict.SAME]
    assert (finding.task_id, finding.verdict) == (copy.task_id("chance"), TaskVerdict.DIFFERENT)
    difference = finding.difference
    assert difference is not None
    # Chance has a say from the third order on: the row of number 2, counted from 0.
    assert (difference.file, difference.row, difference.column) == ("orders.parquet", 2, "tags")
    assert "orders.parquet, row 2, column tags: stored" in finding.message


def test_a_strategy_that_fails_now_depends_on_something_else(
    copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYWARD", "yes")
    monkeypatch.setenv("TRADING_RUNTIME_PASS", "WAYWARD")

    found = verify(copy)

    assert found.kind is Kind.NONDETERMINISTIC
    [finding] = [item for item in found.findings if item.verdict is TaskVerdict.FAILED]
    assert finding.task_id == copy.task_id("surroundings")
    assert "failed now, and was ok" in finding.message
    assert "the surroundings are not right" in finding.message


@pytest.mark.parametrize("name", ["orders.parquet", "equity.parquet", "summary.json"])
def test_a_flipped_byte_is_damage_and_no_chance(copy: Copy, name: str) -> None:
    flip_byte(copy.stored("sound", name), 100)

    found = verify(copy)

    assert found.kind is Kind.DATA
    [finding] = [item for item in found.findings if item.verdict is not TaskVerdict.SAME]
    assert finding.verdict is TaskVerdict.DAMAGED
    assert str(copy.stored("sound", name)) in finding.message


@pytest.mark.parametrize(
    ("old", "new"),
    # Equity of a day has 25 rows: at its start, and every hour to its end.
    [('"rows":25', '"rows":26'), ('"seed":1', '"seed":2'), ('"format":1', '"format":2')],
)
def test_a_changed_manifest_is_damage(copy: Copy, old: str, new: str) -> None:
    path = copy.stored("sound", "manifest.json")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))

    found = verify(copy)

    assert found.kind is Kind.DATA
    assert found.counts["damaged"] == 1


def test_a_result_changed_together_with_its_manifest_is_told_by_the_run_digest(copy: Copy) -> None:
    path, manifest_path = (copy.stored("sound", name) for name in ("summary.json", "manifest.json"))
    summary = json.loads(path.read_bytes())
    summary["net_profit"] = "1000000"
    path.write_text(json.dumps(summary, indent=1))
    manifest = json.loads(manifest_path.read_bytes())
    content = path.read_bytes()
    manifest["files"]["summary.json"] |= {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    del manifest["digest"]
    manifest["digest"] = digest(manifest)
    manifest_path.write_bytes(canonical_json(manifest) + b"\n")

    found = verify(copy)

    [finding] = [item for item in found.findings if item.verdict is not TaskVerdict.SAME]
    assert "summary.json, key net_profit: stored 1000000, now" in finding.message
    assert "run_digest is" in found.damage


def test_a_result_that_is_gone_is_missed(copy: Copy) -> None:
    shutil.rmtree(copy.store.task(copy.task_id("sound")))

    found = verify(copy)

    assert found.kind is Kind.DATA
    assert "2 results, 1 are gone" in found.damage
    assert found.counts["same"] == 1


def test_nothing_stored_proves_nothing(copy: Copy) -> None:
    shutil.rmtree(copy.store.root / "tasks")

    with pytest.raises(UsageError, match="no stored results"):
        verify(copy)


def test_changed_code_is_refused_by_name(copy: Copy) -> None:
    copy.strategy.write_text(copy.strategy.read_text() + "\n")

    with pytest.raises(UsageError, match=r"common\.code\.strategy: then [0-9a-f]{64}, now"):
        verify(copy)


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        (("python",), r"common\.python: then other, now 3\.13"),
        (("packages", "pyarrow"), r"common\.packages\.pyarrow: then other, now"),
        (("code", "runtime"), r"common\.code\.runtime: then other, now"),
    ],
)
def test_changed_versions_are_refused_by_name(
    copy: Copy, keys: tuple[str, ...], named: str
) -> None:
    plan = copy.plan
    inner = plan["common"]
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = "other"
    copy.write_plan(plan)

    with pytest.raises(UsageError, match=named):
        verify(copy)


def test_another_dataset_is_refused_before_anything_is_computed(copy: Copy, tmp_path: Path) -> None:
    other = make_dataset(tmp_path / "other", changed_bar=5)

    with pytest.raises(DataError, match="row group 0 is not the one that run 'run' was computed"):
        verify(copy, dataset=str(other))


def test_a_dataset_that_grew_is_no_other(copy: Copy, small_dataset: Path, tmp_path: Path) -> None:
    # The changed bar is on the second day: that of the run is as it was.
    grown = make_dataset(tmp_path / "grown", changed_bar=300)
    assert (grown / "manifest.json").read_bytes() != (small_dataset / "manifest.json").read_bytes()

    assert verify(copy, dataset=str(grown)).counts["same"] == 2


def test_a_damaged_data_file_is_a_failure_of_kind_data(
    copy: Copy, small_dataset: Path, tmp_path: Path
) -> None:
    dataset = shutil.copytree(small_dataset, tmp_path / "dataset")
    [file] = sorted((dataset / "data" / "bars").rglob("*.parquet"))
    flip_byte(file, 100)

    found = verify(copy, dataset=str(dataset))

    assert found.kind is Kind.DATA
    assert found.counts["failed"] == 2
    assert "row group 0 is not what the manifest says" in found.findings[0].message


def test_what_has_moved_is_asked_for(copy: Copy, tmp_path: Path) -> None:
    metadata = json.loads(copy.files.metadata.read_bytes())
    metadata |= {"experiment_file": str(tmp_path / "gone" / "small.json")}
    copy.files.metadata.write_text(json.dumps(metadata))

    with pytest.raises(UsageError, match="--experiment FILE"), found_origin(copy.store, copy.files):
        pass
    gone = found_origin(copy.store, copy.files, copy.experiment, str(tmp_path / "gone"))
    with pytest.raises(DataError, match="--dataset DIR"), gone:
        pass


def test_a_sample_is_spread_evenly_and_is_the_same_each_time() -> None:
    letters = list("abcdefghij")

    assert spread(letters, None) == letters
    assert spread(letters, 20) == letters
    assert spread(letters, 1) == ["a"]
    assert spread(letters, 2) == ["a", "j"]
    assert spread(letters, 4) == ["a", "d", "g", "j"]


def test_a_sample_computes_only_its_tasks(copy: Copy) -> None:
    found = verify(copy, sample=1)

    assert [item.task_id for item in found.findings] == [
        min(copy.task_id("sound"), copy.task_id("surroundings"))
    ]
