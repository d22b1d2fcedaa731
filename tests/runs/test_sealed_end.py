"""Whatever is changed in the files of a run that has ended is noticed, and the file is named."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.small_experiment import SmallExperiment
from trading_runtime import api
from trading_runtime.canonical import digest
from trading_runtime.records.metadata import RunMetadata, read_metadata
from trading_runtime.records.run_files import RunFiles
from trading_runtime.records.seal import sealed, unsealed, write_metadata
from trading_runtime.results.store import Store
from trading_runtime.runs.metadata import seal_again
from trading_runtime.runs.run_check import check_run
from trading_runtime.storage.files import file_sha256

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.damages_journals


@pytest.fixture
def files(results: Path) -> RunFiles:
    """The files of a run that ended, to change."""
    return Store(results).run("whole")


def all_files(files: RunFiles) -> Iterator[tuple[str, Path]]:
    for path in sorted(files.folder.rglob("*")):
        # The lock is an empty file, made anew by whoever takes it.
        if path.is_file() and path != files.lock:
            yield path.relative_to(files.folder).as_posix(), path


def named(files: RunFiles, name: str) -> bool:
    """Return whether the check names a file, or the chain of the journal that it belongs to."""
    places = [item.place.partition(",")[0] for item in check_run(files).findings]
    return any(name == place or name.startswith(f"{place}/") for place in places)


def test_a_byte_that_is_changed_in_any_file_is_noticed(files: RunFiles) -> None:
    unnoticed = []
    for name, path in all_files(files):
        content = path.read_bytes()
        for place in (0, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            unnoticed += [] if named(files, name) else [(name, place)]
        path.write_bytes(content)

    assert unnoticed == []
    assert check_run(files).findings == []


def test_any_file_that_is_gone_is_noticed(files: RunFiles) -> None:
    unnoticed = []
    for name, path in all_files(files):
        content = path.read_bytes()
        path.unlink()
        unnoticed += [] if named(files, name) else [name]
        path.write_bytes(content)

    assert unnoticed == []


@pytest.mark.parametrize(
    "name",
    [
        *("more.json", "report/more.svg", "failures/x.json", "a/b/c"),
        *(".more", ".a/more", ".more.json.7", "report/.more.x"),
    ],
)
def test_a_file_that_was_added_is_noticed(files: RunFiles, name: str) -> None:
    path = files.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")

    assert [str(item) for item in check_run(files).findings] == [
        f"{name}: it was added after the run had ended"
    ]


@pytest.mark.parametrize("name", ["empty", ".hidden", "a/b", "report/more", "failures/more"])
def test_an_empty_folder_that_was_added_is_noticed(files: RunFiles, name: str) -> None:
    (files.folder / name).mkdir(parents=True)

    assert [str(item) for item in check_run(files).findings] == [
        f"{name}: it was added after the run had ended"
    ]


def test_a_link_in_place_of_a_file_is_noticed(files: RunFiles, tmp_path: Path) -> None:
    elsewhere = files.report.rename(tmp_path / "report.md")
    files.report.symlink_to(elsewhere)

    assert named(files, "report.md")


def test_what_is_no_file_is_noticed_and_what_a_killed_writer_left_is_none(files: RunFiles) -> None:
    os.mkfifo(files.folder / "pipe")
    (files.folder / "report" / "zero").symlink_to("/dev/zero")
    (files.folder / f".{files.report.name}.999999").write_text("# Half of a rep")

    assert [str(item) for item in check_run(files).findings] == [
        "pipe: it was added after the run had ended",
        "report/zero: it was added after the run had ended",
    ]


def test_a_lock_with_content_is_noticed(files: RunFiles) -> None:
    files.lock.write_text("x")

    assert [str(item) for item in check_run(files).findings] == [
        "lock: it was changed: a lock has no content"
    ]


def test_a_run_under_the_name_of_another_is_noticed(files: RunFiles) -> None:
    other = files.folder.rename(files.folder.with_name("other"))

    assert [str(item) for item in check_run(RunFiles(other)).findings] == [
        "metadata.json: it is that of the run 'whole'"
    ]


@pytest.mark.parametrize("name", ["more.json", ".more", "a/more"])
def test_a_file_that_was_added_to_a_result_is_noticed(
    files: RunFiles, results: Path, name: str
) -> None:
    [task] = (results / "tasks").glob("??/*")
    path = task / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")

    assert [str(item) for item in check_run(files, store=Store(results)).findings] == [
        f"tasks/{task.name[:12]}/{name.partition('/')[0]}: it is no file of the result"
    ]


def test_a_seal_that_was_taken_out_is_noticed(files: RunFiles) -> None:
    write_metadata(files, unsealed(metadata_of(files)))

    [finding] = check_run(files).findings
    assert str(finding).startswith("metadata.json: the end of the run is not sealed")


def test_metadata_in_other_words_are_noticed(files: RunFiles) -> None:
    files.metadata.write_text(json.dumps(json.loads(files.metadata.read_bytes())))

    assert [str(item) for item in check_run(files).findings] == [
        "metadata.json: it was changed: it is not what it was sealed as"
    ]


def metadata_of(files: RunFiles) -> RunMetadata:
    """Return the metadata of a run that has ended."""
    metadata = read_metadata(files)
    assert metadata is not None
    return metadata


def seal_anew(files: RunFiles, *changed: Path) -> None:
    """Do what a forger does that knows of digests and seals."""
    metadata = metadata_of(files)
    names = {path.relative_to(files.folder).as_posix(): path for path in changed}
    digests = {**(metadata.files or {})} | {name: file_sha256(path) for name, path in names.items()}
    write_metadata(files, sealed(metadata, digests))


def test_a_result_that_was_sealed_anew_does_not_follow_from_the_tasks(
    files: RunFiles, results: Path
) -> None:
    content = json.loads(files.result.read_bytes())
    content["best"]["value"] = "999"
    content["counts"]["ok"] += 1
    files.result.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    seal_anew(files, files.result)

    assert check_run(files).findings == []  # by its files alone
    assert [str(item) for item in check_run(files, store=Store(results)).findings] == [
        f"result.json: {key}: it is not what the stored results of the tasks give"
        for key in ("best", "counts")
    ]


def test_tables_that_were_sealed_anew_do_not_follow_from_the_tasks(
    files: RunFiles, results: Path
) -> None:
    import polars as pl

    table = pl.read_parquet(files.points)
    table.with_columns(trades=pl.col("trades") + 1).write_parquet(files.points)
    content = json.loads(files.result.read_bytes())
    content["tables"]["points"] = file_sha256(files.points)
    files.result.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    seal_anew(files, files.result, files.points)

    assert [str(item) for item in check_run(files, store=Store(results)).findings] == [
        "points.parquet: it is not what the stored results of the tasks give"
    ]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (("common", "seed"), "tasks[0].task_id does not follow from the inputs"),
        (("common", "venue", "account_type"), "tasks[0].task_id does not follow from the inputs"),
        (("strategy", "config", "bar_type"), "tasks[0].task_id does not follow from the inputs"),
        (("points", 0, "parameters", "every"), "points[0].parameters are not those of its config"),
        (("partitions", 0, "start"), "tasks[0].task_id does not follow from the inputs"),
    ],
)
def test_a_plan_that_was_sealed_anew_does_not_follow_from_its_inputs(
    files: RunFiles, where: tuple[str | int, ...], message: str
) -> None:
    content = json.loads(files.plan.read_bytes())
    inner = content
    for key in where[:-1]:
        inner = inner[key]
    other = {"seed": 7, "account_type": "betting", "bar_type": "X", "every": 99}
    inner[where[-1]] = other.get(str(where[-1]), "2024-01-01T00:00:01Z")
    files.plan.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n")
    seal_anew(files, files.plan)

    [finding] = check_run(files).findings
    assert str(finding).startswith(f"plan.json: {message}")


def test_what_is_noted_of_a_run_later_is_sealed_and_hides_no_other_change(
    files: RunFiles,
) -> None:
    added = files.folder / "reconciliation.json"
    added.write_text("{}")
    files.report.write_text("all is well")
    seal_again(files, added)

    assert [str(item) for item in check_run(files).findings] == [
        "report.md: it was changed: its sha256 is not the sealed one"
    ]


def test_digests_are_of_the_bytes_that_lie_there(files: RunFiles) -> None:
    content = json.loads(files.metadata.read_bytes())
    assert set(content["files"]) >= {
        *("experiment.json", "plan.json", "results.parquet", "points.parquet", "result.json"),
        *("metrics.json", "metrics.prom", "journal.jsonl", "report.md", "report/index.html"),
    }
    assert content["config_digest"] == digest(json.loads(files.experiment.read_bytes()))


def test_luck_of_an_older_format_follows_from_the_tasks_when_what_it_states_does(
    tmp_path: Path, long_dataset: Path
) -> None:
    experiment = SmallExperiment(tmp_path, long_dataset)
    experiment.write(parameters={"every": [5]})
    files = api.run(experiment.path, run_id="run", workers=1).files
    content = json.loads(files.result.read_bytes())
    assert content["luck"].pop("against_buy_and_hold")
    texts = []
    for number in (1, 2):
        content["luck"]["format"] = number
        files.result.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        seal_anew(files, files.result)
        found = check_run(files, store=Store(experiment.results)).findings
        texts.append([str(item) for item in found])

    assert texts == [[], ["result.json: luck: it is not what the stored results of the tasks give"]]
