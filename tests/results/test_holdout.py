"""Rows that are held out are touched by no run, whatever its experiment, until they are opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tests.sessions.small_session import SmallSession
from tests.small_experiment import DAY_STARTS, INSTRUMENT
from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import Kind

if TYPE_CHECKING:
    import pytest

    from tests.small_experiment import SmallExperiment

THIRD_DAY = "2024-01-03"


def windows(experiment: SmallExperiment, run_id: str) -> set[str]:
    """Run, and return the starts of the windows that have results."""
    run = api.run(experiment.path, run_id=run_id, workers=1)
    return {f"{start:%F}" for start in run.results["start"]}


def test_held_out_windows_are_run_once_the_hold_out_is_open(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(parameters={"every": [20]}, holdout={"start": THIRD_DAY})
    assert windows(small, "before") == {"2024-01-01", "2024-01-02"}
    result = json.loads((small.results / "runs" / "before" / "result.json").read_text())
    assert [item["kind"] for item in result["warnings"]] == ["held_out"]

    assert invoke(root, ["holdout", "open", str(small.path), "--reason", "the last test"]) == 0
    assert windows(small, "after") == {"2024-01-01", "2024-01-02", "2024-01-03"}

    capsys.readouterr()
    assert invoke(root, ["holdout", "list", "--results", str(small.results), "--json"]) == 0
    [listed] = json.loads(capsys.readouterr().out)
    assert listed["instruments"] == [INSTRUMENT]
    assert listed["start"] == "2024-01-03T00:00:00Z"
    assert listed["opened"]["reason"] == "the last test"


def test_a_window_that_reaches_into_held_out_rows_ends_before_them(
    small: SmallExperiment,
) -> None:
    small.write(parameters={"every": [20]}, partitions={"by": "whole"})
    small.write(holdout={"start": "2024-01-02T02:00:00Z"})
    run = api.run(small.path, run_id="run", workers=1)

    assert f"{run.results['end'][0]:%FT%T}" == "2024-01-02T02:00:00"


def test_an_experiment_without_a_hold_out_is_bound_by_those_of_its_store(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(parameters={"every": [20]}, holdout={"start": THIRD_DAY})
    api.run(small.path, run_id="before", workers=1)
    declared = dict(small.content)
    small.write(holdout=None)
    capsys.readouterr()

    assert invoke(root, ["plan", str(small.path)]) == Kind.USAGE.exit_code
    said = capsys.readouterr().err
    assert (
        f"partitions.end: windows touch the hold-out of {INSTRUMENT} from 2024-01-03T00:00:00Z on"
        in said
    )
    assert "holdout open" in said

    # A hold-out of its own begins later: that is where its windows end.
    small.write(holdout={"start": "2024-01-03T02:00:00Z"})
    assert invoke(root, ["plan", str(small.path)]) == Kind.USAGE.exit_code
    assert "holdout.start: windows touch the hold-out" in capsys.readouterr().err
    small.write(holdout=None)

    # Before the hold-out it may run.
    small.write(partitions={"by": "day", "end": THIRD_DAY})
    assert windows(small, "earlier") == {"2024-01-01", "2024-01-02"}

    small.write(**declared)
    assert invoke(root, ["holdout", "open", str(small.path), "--reason", "the last test"]) == 0
    small.write(holdout=None)
    assert windows(small, "after") == {"2024-01-01", "2024-01-02", "2024-01-03"}


def test_a_session_that_replays_held_out_rows_is_refused(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(parameters={"every": [20]}, holdout={"start": THIRD_DAY})
    api.run(small.path, run_id="before", workers=1)
    session = SmallSession(small.folder, Path(small.content["dataset"]["path"]))
    capsys.readouterr()

    assert invoke(root, ["trade", str(session.path)]) == Kind.USAGE.exit_code
    assert "data.end: windows touch the hold-out" in capsys.readouterr().err


def test_a_damaged_record_of_a_hold_out_lets_nothing_run(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(parameters={"every": [20]}, holdout={"start": THIRD_DAY})
    api.run(small.path, run_id="before", workers=1)
    [record] = (small.results / "holdouts").iterdir()
    later = record.read_text().replace(str(DAY_STARTS[2]), str(DAY_STARTS[2] + 86_400))
    assert later != record.read_text()
    small.write(holdout=None)

    for content in ("{}", "[]", '{"instruments": [7], "start": "x"}', later):
        record.write_text(content)
        capsys.readouterr()
        assert invoke(root, ["plan", str(small.path)]) == Kind.DATA.exit_code
        assert "held-out rows could be used" in capsys.readouterr().err


def test_what_cannot_be_opened_or_held_out_is_refused(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(root, ["holdout", "open", str(small.path), "--reason", "why"]) == 2
    assert "has no 'holdout'" in capsys.readouterr().err

    small.write(holdout={"start": THIRD_DAY}, partitions={"by": "day", "start": THIRD_DAY})
    assert invoke(root, ["plan", str(small.path)]) == 2
    assert "partitions.start: 2024-01-03 is held out" in capsys.readouterr().err

    assert invoke(root, ["holdout", "open", str(small.path), "--reason", " "]) == 2
    assert "--reason" in capsys.readouterr().err
