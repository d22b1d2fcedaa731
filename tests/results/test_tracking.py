"""A run in MLflow, read back with MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trading_runtime import api
from trading_runtime.cli.main import invoke, root

mlflow = pytest.importorskip("mlflow")

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_experiment import SmallExperiment


def test_points_are_nested_runs_and_a_run_is_exported_once(
    small: SmallExperiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # The store in files is the only one that mlflow-skinny has without a server.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    place = (tmp_path / "tracked").as_uri()
    small.write(partitions={"by": "day", "end": "2024-01-02"}, labels={"desk": "one"})
    run = api.run(small.path, run_id="run", workers=1)
    command = ["results", "export", "run", "--to", "mlflow", "--tracking-uri", place]
    command += ["--results", str(small.results)]
    capsys.readouterr()
    assert invoke(root, command) == 0
    there = capsys.readouterr().out.strip()

    client = mlflow.MlflowClient(place)
    whole = client.get_run(there)
    assert whole.info.run_name == "run"
    assert whole.data.tags["trading_runtime.run_digest"] == run.summary.run_digest
    assert whole.data.tags["desk"] == "one"
    nested = client.search_runs(
        [whole.info.experiment_id], f"tags.`mlflow.parentRunId` = '{there}'"
    )
    assert client.get_experiment(whole.info.experiment_id).name == "small"
    found = {
        int(each.data.params["every"]): each.data.metrics["net_profit"]
        for each in nested
        if each.info.status == "FINISHED"
    }
    assert found == {
        row["param.every"]: float(row["net_profit"]) for row in run.points.iter_rows(named=True)
    }
    assert whole.data.metrics["net_profit"] == max(found.values())

    assert invoke(root, command) == 2
    assert f"is in MLflow already, as {there}" in capsys.readouterr().err


def test_what_is_no_tracking_server_is_refused_with_the_option_that_names_one(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(partitions={"by": "day", "end": "2024-01-02"}, parameters={"every": [20]})
    api.run(small.path, run_id="run", workers=1)
    command = ["results", "export", "run", "--to", "mlflow", "--results", str(small.results)]

    assert invoke(root, [*command, "--tracking-uri", "ftp://nowhere"]) == 8
    assert "--tracking-uri names the server, such as http://" in capsys.readouterr().err
