"""``runs list`` and ``runs stop``: what ran, and how to end what is running."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from trading_runtime import api
from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.small_experiment import SmallExperiment


def test_an_empty_folder_has_no_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(root, ["runs", "list", "--results", str(tmp_path / "none")]) == 0
    assert "no runs in" in capsys.readouterr().err
    assert invoke(root, ["runs", "list", "--results", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_runs_are_listed_with_status_and_counts(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(parameters={"every": [20]})
    api.run(small.path, run_id="b", workers=1)
    api.run(small.path, run_id="a", workers=1)
    folder = small.results / "runs" / "damaged"
    folder.mkdir()
    (folder / "metadata.json").write_text("{")
    results = ["--results", str(small.results)]

    assert invoke(root, ["runs", "list", *results, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(facts["run_id"], facts["status"], facts["ok"]) for facts in found] == [
        ("damaged", "unknown", None),
        ("b", "complete", 3),
        ("a", "complete", 3),
    ]
    assert invoke(root, ["runs", "list", *results]) == 0
    assert "complete" in capsys.readouterr().out


def test_a_run_that_is_not_there_cannot_be_stopped_and_the_latest_are_named(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    (small.results / "runs" / "mine").mkdir(parents=True)

    assert invoke(root, ["runs", "stop", "other", "--results", str(small.results)]) == 2
    assert "no run 'other'" in (shown := capsys.readouterr().err)
    assert "mine" in shown
    assert invoke(root, ["runs", "stop", "mine", "--results", str(small.results)]) == 2
    assert "is not running" in capsys.readouterr().err


def test_what_is_no_run_id_is_refused(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(root, ["runs", "stop", "../x", "--results", str(small.results)]) == 2
    assert "run id '../x'" in capsys.readouterr().err
