"""A folder as a user has it: a dataset, an experiment, and two runs of it; copies to damage."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.small_experiment import SmallExperiment
from trading_runtime import api

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> Path:
    """The folder with ``dataset``, ``small.json``, and the runs ``one`` and ``two``; untouched."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(small_dataset, folder / "dataset")
    experiment = SmallExperiment(folder, small_dataset)
    experiment.write(
        dataset={"path": "dataset"},
        partitions={"by": "day", "end": "2024-01-02"},
        parameters={"every": [20, 30]},
    )
    for run_id in ("one", "two"):
        assert api.run(experiment.path, run_id=run_id, workers=1).result["complete"]
    return folder


@pytest.fixture
def here(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, which is the current one."""
    shutil.copytree(whole, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"
