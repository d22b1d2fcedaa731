"""What tasks of one worker still share: documented, since only a strategy can leave it alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from trading_runtime.cli.main import invoke, root
from trading_runtime.execution.workers.processes import worker_environment

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment


@pytest.mark.parametrize("where", ["environment", "library", "folder"])
def test_environment_libraries_and_current_folder_outlive_a_task_and_verify_finds_it(
    where: str, small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.use("leaking.py:Leaking", where=[where], number=[1, 2])
    small.summary("--run-id", "run", "--workers", "1")

    fills = pl.concat(pl.read_parquet(path) for path in small.results.rglob("fills.parquet"))
    assert sorted(float(size) for size in fills["quantity"]) == [0.001, 0.002]

    # Each in a worker of its own, both are the first.
    capsys.readouterr()
    command = ["verify", "run", "--all", "--workers", "2", "--json"]
    assert invoke(root, [*command, "--results", str(small.results)]) == 6
    assert json.loads(capsys.readouterr().out)["counts"]["same"] == 1


def test_a_worker_finds_the_package_and_none_of_its_modules_by_a_bare_name() -> None:
    first = Path(worker_environment()["PYTHONPATH"].split(os.pathsep)[0])

    assert (first / "trading_runtime" / "units.py").is_file()
    assert not (first / "units.py").exists()
