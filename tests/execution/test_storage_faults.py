"""Storage that is full, closed or damaged ends a run clearly, and costs nothing that was done."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.execution.disks import (
    bound_by_permissions,
    files_of_at_most,
    fill,
    mount_small_disk,
    unmount,
)
from tests.execution.wayward_run import flip_byte
from trading_runtime import api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.small_experiment import SmallExperiment

RUN = ("--run-id", "run", "--workers", "2")
FILES = (
    "orders.parquet", "fills.parquet", "positions.parquet", "equity.parquet", "summary.json",
    "manifest.json",
)  # fmt: skip


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount_small_disk(folder, 4096):
        pytest.skip("this user may not mount a disk; the tests of file sizes say the same")
    yield folder
    unmount(folder)


@pytest.fixture
def expected(small: SmallExperiment) -> dict[str, bytes]:
    """The results of a run on a disk with space."""
    assert api.run(small.path, workers=2).kind.exit_code == 0
    tasks = small.tasks()
    small.forget_results()
    return tasks


def test_a_disk_that_fills_up_ends_the_run_and_with_space_it_goes_on(
    small: SmallExperiment, small_disk: Path, expected: dict[str, bytes]
) -> None:
    small.results = small_disk / "results"
    small.write(results=str(small.results))
    # Enough for the plan and some tasks of six files, each of which takes a page or more.
    filler = fill(small_disk, leave=200_000)
    full = small.run(*RUN)

    assert full.returncode == 8, full.stderr
    errors = [line for line in full.stderr.splitlines() if line.startswith("error: ")]
    assert "cannot be written: No space left on device; free space" in errors[0]
    assert "Traceback" not in full.stderr
    kept = small.tasks()
    assert 0 < len(kept) < len(expected)
    assert kept.items() <= expected.items()
    filler.unlink()
    again = small.run(*RUN)
    assert again.returncode == 0, again.stderr
    assert small.tasks() == expected


def test_a_disk_that_is_full_from_the_beginning_ends_with_8(
    small: SmallExperiment, small_disk: Path
) -> None:
    small.write(results=str(small_disk / "results"))
    fill(small_disk, leave=0)
    full = small.run(*RUN)

    assert full.returncode == 8, full.stderr
    assert "No space left on device; free space" in full.stderr.splitlines()[-1]
    assert "Traceback" not in full.stderr


def test_no_space_for_temporary_files_is_said_with_where_they_go(
    small: SmallExperiment, small_disk: Path
) -> None:
    fill(small_disk, leave=16_384)
    full = small.run(*RUN, environment={"TMPDIR": str(small_disk)})

    assert full.returncode == 8, full.stderr
    assert "set TMPDIR to a folder with more of it" in full.stderr
    assert "Traceback" not in full.stderr


@pytest.mark.parametrize(
    ("size", "remedy"),
    [(1_000, "set 'results' to a folder that can"), (9_000, "set TMPDIR to a folder with more")],
    ids=["the plan", "a partition"],
)
def test_a_file_that_cannot_be_written_whole_is_not_there(
    small: SmallExperiment, size: int, remedy: str, expected: dict[str, bytes]
) -> None:
    ended = small.run(*RUN, before=files_of_at_most(size))

    assert ended.returncode == 8, ended.stderr
    assert "File too large" in ended.stderr
    assert f"free space, or {remedy}" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert small.tasks().items() <= expected.items()
    again = small.run(*RUN)
    assert again.returncode == 0, again.stderr
    assert small.tasks() == expected


@pytest.mark.parametrize("closed", [".", "tasks", "runs"])
def test_a_folder_that_cannot_be_written_ends_with_8(small: SmallExperiment, closed: str) -> None:
    small.write(parameters={"every": [20]})
    assert api.run(small.path, run_id="before", workers=1).kind.exit_code == 0
    before = small.tasks()
    small.write(parameters={"every": [20, 30]})
    folders = [path for path in (small.results / closed).rglob("*") if path.is_dir()]
    for folder in [small.results / closed, *folders]:
        folder.chmod(0o555)
    ended = small.run(*RUN, before=bound_by_permissions)

    assert ended.returncode == 8, ended.stderr
    assert "Permission denied; free space, or set 'results' to a folder" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert small.tasks() == before


@pytest.mark.parametrize("damage", ["flipped", "truncated"])
def test_damage_to_any_file_of_a_stored_result_is_noticed_and_mended(
    small: SmallExperiment, expected: dict[str, bytes], damage: str
) -> None:
    first = api.run(small.path, run_id="run", workers=2)
    folders = sorted((small.results / "tasks").glob("??/*"))
    for folder, name in zip(folders, FILES, strict=False):
        path = folder / name
        if damage == "flipped":
            flip_byte(path, path.stat().st_size // 2)
        else:
            path.write_bytes(path.read_bytes()[:-1])
    ended = small.summary(*RUN)

    assert ended["run_digest"] == first.result["run_digest"]
    assert (ended["complete"], ended["computed"]) == (True, 6)
    assert not list(small.run_file("run", "failures").iterdir())
    found = small.tasks()
    assert {name: found[name] for name in expected} == expected
    assert len(list((small.results / "tasks").glob("??/*.damaged-1"))) == 6


@pytest.mark.parametrize("damage", ["flipped", "flipped footer", "truncated", "removed"])
def test_damage_to_a_data_file_fails_the_tasks_that_see_it(
    small: SmallExperiment, small_dataset: Path, tmp_path: Path, damage: str
) -> None:
    dataset = shutil.copytree(small_dataset, tmp_path / "copy")
    path = next((dataset / "data" / "bars").rglob("*.parquet"))
    content = path.read_bytes()
    if damage == "removed":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[:-1])
    else:
        # Precision lies in the footer, and a day's rows at the beginning of the file.
        flip_byte(path, 100 if damage == "flipped" else content.index(b"price_precision"))
    small.write(dataset={"path": str(dataset)}, parameters={"every": [20]})
    ended = small.run(*RUN)
    failed = 1 if damage == "flipped" else 3

    assert ended.returncode == 5, ended.stderr
    assert f"{failed} of kind data" in ended.stdout
    assert str(path) in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
