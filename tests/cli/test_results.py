"""The commands that list, show and export results, on the files that runs leave."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from click.testing import CliRunner

from tests.results.sample_run import sample_run
from tests.run_metadata import made_up_metadata
from trading_runtime.cli.results import results
from trading_runtime.errors import DataError, TradingRuntimeError, UsageError
from trading_runtime.results.frames import write_frame

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from tests.small_experiment import SmallExperiment
    from trading_runtime.report.content import ReportInputs

# The metadata are made here, with what these commands read of them.
pytestmark = pytest.mark.damages_journals


def store(folder: Path, run_id: str, inputs: ReportInputs, started: str) -> Path:
    """Lay out the files of a run as ``run`` does."""
    run = folder / "runs" / run_id
    run.mkdir(parents=True)
    complete = inputs.result.complete
    metadata = made_up_metadata(
        run_id=run_id,
        experiment_name=inputs.plan.experiment_name,
        status="complete" if complete else "incomplete",
        started=started,
        ended=started,
    )
    (run / "metadata.json").write_text(json.dumps(metadata.to_document()))
    (run / "result.json").write_text(inputs.result.to_json())
    write_frame(inputs.results, run / "results.parquet")
    write_frame(inputs.points, run / "points.parquet")
    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    whole = sample_run({"fast": [5, 8, 10], "slow": [30, 60]})
    broken = sample_run({"fast": [5, 8]}, status=lambda k, _i: "strategy" if k else "ok")
    store(tmp_path, "ema-b", whole, "2026-01-02T00:00:00Z")
    store(tmp_path, "ema-a", broken, "2026-01-01T00:00:00Z")
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(results, arguments, catch_exceptions=True)


def shown(folder: Path, *arguments: str) -> str:
    outcome = call(*arguments, "--results", str(folder))
    assert outcome.exception is None, outcome.exception
    return outcome.stdout


def refused(folder: Path, *arguments: str) -> TradingRuntimeError:
    error = call(*arguments, "--results", str(folder)).exception
    assert isinstance(error, TradingRuntimeError)
    return error


def column(text: str, name: str) -> list[str]:
    """The cells of a printed table below a heading."""
    lines = [line.split() for line in text.splitlines()]
    at = next(i for i, line in enumerate(lines) if name in line and not line[0].endswith(":"))
    return [line[lines[at].index(name)] for line in lines[at + 1 :]]


def test_list_shows_each_run_oldest_first_with_its_counts(folder: Path) -> None:
    lines = shown(folder, "list").splitlines()
    assert [line.split()[0] for line in lines] == ["run", "ema-a", "ema-b"]
    assert "incomplete" in lines[1]
    assert "4/8" in lines[1]
    assert "24/24" in lines[2]


def test_list_as_json_holds_the_best_point_of_each(folder: Path) -> None:
    found = json.loads(shown(folder, "list", "--json"))
    assert [run["run_id"] for run in found] == ["ema-a", "ema-b"]
    assert set(found[1]["best"]) == {"point", "parameters", "value"}
    assert found[0]["failed_by_kind"] == {"strategy": 4}


def test_list_of_an_empty_folder_is_empty(tmp_path: Path) -> None:
    assert shown(tmp_path, "list") == ""
    assert json.loads(shown(tmp_path, "list", "--json")) == []


def test_show_puts_the_best_point_first(folder: Path) -> None:
    text = shown(folder, "show", "ema-b")
    sharpe = [float(cell) for cell in column(text, "sharpe")]
    assert sharpe == sorted(sharpe, reverse=True)
    best = column(text, "point")[0]
    assert f"best: point {best} (fast=" in text


def test_latest_is_the_run_that_started_last(folder: Path) -> None:
    assert shown(folder, "show", "latest").startswith("ema-b: complete, 24 of 24 tasks ok\n")


def test_show_names_what_failed(folder: Path) -> None:
    text = shown(folder, "show", "ema-a")
    assert "4 of 8 tasks ok, 4 failed" in text
    assert "failed by kind: strategy 4" in text


def test_sort_takes_any_statistic_and_any_parameter(folder: Path) -> None:
    fast = [int(cell) for cell in column(shown(folder, "show", "ema-b", "--sort", "fast"), "fast")]
    assert fast == [10, 10, 8, 8, 5, 5]
    text = shown(folder, "show", "ema-b", "--sort", "volatility", "--ascending")
    volatility = [float(cell.rstrip("%")) for cell in column(text, "volatility")]
    assert volatility == sorted(volatility)


@pytest.mark.parametrize(
    ("key", "options", "reverse"),
    [
        ("max_drawdown", [], False),
        ("volatility", [], False),
        ("net_profit", [], True),
        ("max_drawdown", ["--descending"], True),
        ("net_profit", ["--ascending"], False),
    ],
)
def test_the_better_values_of_a_statistic_come_first_unless_said_otherwise(
    folder: Path, key: str, options: list[str], *, reverse: bool
) -> None:
    content = json.loads(shown(folder, "show", "ema-b", "--sort", key, *options, "--json"))
    values = [float(point[key]) for point in content["points"]]
    assert values == sorted(values, reverse=reverse)
    assert len(set(values)) > 1


def test_daily_returns_are_exported_with_the_ratio_that_they_make(
    ended: SmallExperiment,
) -> None:
    options = ["--table", "returns", "--to", "csv"]
    rows = list(csv.DictReader(shown(ended.results, "export", "whole", *options).splitlines()))

    assert list(rows[0]) == ["day", "return"]
    grown = math.prod(1 + float(row["return"]) for row in rows) - 1
    content = json.loads(shown(ended.results, "show", "whole", "--json"))
    assert grown == pytest.approx(content["points"][0]["return"])


def test_a_point_is_shown_partition_by_partition(folder: Path) -> None:
    text = shown(folder, "show", "ema-b", "--point", "3")
    assert column(text, "partition") == ["0", "1", "2", "3"]
    assert column(text, "start") == ["2022-01-03", "2022-01-10", "2022-01-17", "2022-01-24"]


def test_show_as_json_keeps_amounts_exact_and_times_in_utc(folder: Path) -> None:
    content = json.loads(shown(folder, "show", "ema-b", "--point", "0", "--json"))
    stored = pl.read_parquet(folder / "runs" / "ema-b" / "results.parquet")
    assert [task["task_id"] for task in content["tasks"]] == stored["task_id"].head(4).to_list()
    assert content["tasks"][0]["start"] == "2022-01-03T00:00:00Z"
    assert content["tasks"][0]["initial_equity"] == "100000"


def test_more_rows_than_the_limit_are_counted(folder: Path) -> None:
    outcome = call("show", "ema-b", "--limit", "2", "--results", str(folder))
    assert len(column(outcome.stdout, "point")) == 2
    assert "the first 2 of 6" in outcome.stderr


def test_csv_goes_to_standard_output_with_every_digit(folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(shown(folder, "export", "ema-b", "--to", "csv"))))
    stored = pl.read_parquet(folder / "runs" / "ema-b" / "points.parquet")
    assert [row["param.fast"] for row in rows] == ["5", "5", "8", "8", "10", "10"]
    assert list(rows[0]) == stored.columns
    assert [float(row["net_profit"]) for row in rows] == [
        float(value) for value in stored["net_profit"]
    ]


def test_csv_leaves_undefined_values_empty(folder: Path) -> None:
    text = shown(folder, "export", "ema-a", "--to", "csv", "--table", "results")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["sharpe"] == "" for row in rows] == [False] * 4 + [True] * 4
    assert rows[0]["ruined"] == "false"


def test_parquet_is_the_stored_table(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    shown(folder, "export", "latest", "--to", "parquet", "--output", str(target))
    assert target.read_bytes() == (folder / "runs" / "ema-b" / "points.parquet").read_bytes()


def test_export_into_a_folder_that_is_not_there_is_refused(folder: Path, tmp_path: Path) -> None:
    error = refused(
        folder, "export", "ema-b", "--to", "csv", "--output", str(tmp_path / "no" / "x")
    )
    assert isinstance(error, UsageError)
    assert "make it first" in str(error)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "ema-c"], "no run 'ema-c' in"),
        (["show", "ema-c"], "did you mean 'ema-"),
        (["show", "latset"], "did you mean 'latest'?"),
        (["show", "zzz"], "the latest are: ema-a, ema-b"),
        (["show", "../ema-a"], "run id '../ema-a'"),
        (["export", "Ema", "--to", "csv"], "run id 'Ema'"),
        (["show", "ema-b", "--point", "6"], "--point 6: the run's points are 0 to 5"),
        (
            ["show", "ema-b", "--sort", "sharp"],
            "--sort sharp: no such column; did you mean 'sharpe'?",
        ),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(
    folder: Path, arguments: list[str], words: str
) -> None:
    error = refused(folder, *arguments)
    assert error.exit_code == 2
    assert words in str(error)
    assert len(str(error).splitlines()) <= 2


def test_a_folder_without_runs_is_said_to_be_one(tmp_path: Path) -> None:
    assert "there are no runs in" in str(refused(tmp_path, "show", "latest"))


def test_a_killed_run_is_listed_and_says_how_to_finish_it(folder: Path) -> None:
    killed = folder / "runs" / "killed"
    killed.mkdir()
    (killed / "metadata.json").write_text('{"status": "runn')
    listed = json.loads(shown(folder, "list", "--json"))
    assert [run["status"] for run in listed] == ["unknown", "incomplete", "complete"]
    error = refused(folder, "show", "killed")
    assert "has no points.parquet" in str(error)
    assert "run the experiment again with this run id" in str(error)


def test_a_damaged_table_is_a_data_error(folder: Path) -> None:
    (folder / "runs" / "ema-b" / "points.parquet").write_bytes(b"PAR1 nothing PAR1")
    error: Any = refused(folder, "show", "ema-b")
    assert isinstance(error, DataError)
    assert "points.parquet: cannot be read" in str(error)
