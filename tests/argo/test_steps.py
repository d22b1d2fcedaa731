"""An experiment run step by step, as pods do, gives what one run on a laptop gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.argo.pods import Pods, counts
from trading_runtime import api
from trading_runtime.execution.workers.processes import FIXED_ENVIRONMENT
from trading_runtime.storage.s3 import S3Folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_experiment import SmallExperiment

FEW_BATCHES = ("--batch-seconds", "1", "--most-batches", "3")
SAME = ("experiment.json", "result.json", "results.parquet", "points.parquet")


def upload(folder: Path, address: str) -> None:
    """Copy a folder to S3."""
    objects = S3Folder(address)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            objects.write(path.relative_to(folder).as_posix(), path.read_bytes())


def download(address: str) -> dict[str, bytes]:
    """Return all objects of a folder in S3 by name."""
    objects = S3Folder(address)
    return objects.read_all(list(objects.sizes()))


def files_of(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def tasks_of(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in files.items() if name.startswith("tasks/")}


@pytest.mark.parametrize("environment", [FIXED_ENVIRONMENT, {"TZ": "Asia/Tokyo"}])
def test_steps_over_a_folder_give_the_bytes_of_a_laptop_run(
    small: SmallExperiment, tmp_path: Path, environment: dict[str, str]
) -> None:
    # As the template sets pods up, their worker is forked; otherwise it is started anew.
    pods = Pods(tmp_path / "pods", environment)
    laptop = api.run(small.path, run_id="one")
    there = files_of(small.results)
    small.write(results="of-pods")

    ended = pods.run(str(small.path), "one", *FEW_BATCHES, "--image", f"x@sha256:{'0' * 64}")

    here = files_of(small.folder / "of-pods")
    assert ended.code == 0, ended.errors
    assert ended.outputs["run_digest"] == laptop.result["run_digest"]
    assert counts(ended) == {
        "planned": 12,
        "ok": 12,
        "failed": 0,
        "missing": 0,
        "failed_by_kind": {},
    }
    assert tasks_of(here) == tasks_of(there)
    assert len(tasks_of(here)) == 12 * 6
    for name in SAME[1:]:
        assert here[f"runs/one/{name}"] == there[f"runs/one/{name}"], name
    metadata = json.loads(here["runs/one/metadata.json"])
    assert (metadata["image"], metadata["status"]) == (f"x@sha256:{'0' * 64}", "complete")
    plan = json.loads(here["runs/one/plan.json"])
    assert len(plan["batches"]) > 1


def test_steps_over_s3_give_the_bytes_of_a_laptop_run(
    small: SmallExperiment, small_dataset: Path, bucket: str, pods: Pods
) -> None:
    small.write(
        strategy={
            "path": "trading_runtime.strategies.ema_cross:EMACross",
            "config": {
                "instrument_id": "BTCUSDT-PERP.SIM",
                "bar_type": "BTCUSDT-PERP.SIM-1-MINUTE-LAST-EXTERNAL",
                "trade_size": 0.1,
            },
        },
        parameters={"fast": [5, 10], "slow": [20]},
    )
    laptop = api.run(small.path, run_id="one")
    there = files_of(small.results)
    upload(small_dataset, f"{bucket}/data")
    # The very file, with relative places that start at its own address.
    small.write(dataset={"path": "../data"}, results="../results")
    S3Folder(f"{bucket}/experiments").write("small.json", small.path.read_bytes())

    ended = pods.run(f"{bucket}/experiments/small.json", "one", *FEW_BATCHES)

    here = download(f"{bucket}/results")
    assert ended.code == 0, ended.errors
    assert ended.outputs["run_digest"] == laptop.result["run_digest"]
    assert tasks_of(here) == tasks_of(there)
    for name in SAME[1:]:
        assert here[f"runs/one/{name}"] == there[f"runs/one/{name}"], name
    assert here["runs/one/report/index.html"]
    assert json.loads(here["runs/one/metadata.json"])["dataset"] == f"{bucket}/data"
    assert api.open_run("one", f"{bucket}/results").points.equals(laptop.points)
