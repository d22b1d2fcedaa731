"""One place of results for ``run`` and for the commands that look at results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trading_runtime.cli.main import invoke, root
from trading_runtime.config.loading import load_experiment
from trading_runtime.config.project_file import default_results, results_here
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADING_RUNTIME_RESULTS", raising=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("trading-runtime.toml", 'results = "kept"\n'),
        ("pyproject.toml", '[tool.trading-runtime]\nresults = "kept"\n'),
    ],
)
def test_the_nearest_project_file_above_says_where_results_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    # A pyproject.toml without the table is not a project file.
    (below / "pyproject.toml").write_text("[project]\nname = 'x'\n")

    monkeypatch.chdir(below)

    assert results_here() == str(tmp_path / "kept")


def test_the_variable_comes_before_the_project_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trading-runtime.toml").write_text('results = "kept"\n')
    monkeypatch.chdir(tmp_path)

    monkeypatch.setenv("TRADING_RUNTIME_RESULTS", "s3://bucket/results")
    assert results_here() == "s3://bucket/results"

    monkeypatch.setenv("TRADING_RUNTIME_RESULTS", "other")
    assert results_here() == str(tmp_path / "other")


def test_without_either_it_is_the_folder_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert default_results() is None
    assert results_here() == "results"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("result = 'x'\n", "unknown key 'result'; accepted are results"),
        ("results = 3\n", "results: write a folder or an address in S3 as a text"),
        ("results = 'ftp://x'\n", "results: 'ftp://x' is not an address in S3"),
        ("results =\n", "is not TOML"),
    ],
)
def test_a_project_file_that_is_not_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    (tmp_path / "trading-runtime.toml").write_text(text)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match=message):
        default_results()


def test_an_experiment_that_names_its_results_keeps_them(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADING_RUNTIME_RESULTS", "elsewhere")

    small.write(results="kept")

    assert load_experiment(small.path).results_place == str(small.path.parent / "kept")


def test_a_run_and_results_show_look_in_the_same_place(
    small: SmallExperiment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    small.write(parameters={"every": [20]})
    monkeypatch.setenv("TRADING_RUNTIME_RESULTS", "here")

    assert invoke(root, ["run", str(small.path), "--run-id", "one"]) == 0
    assert invoke(root, ["results", "show", "one"]) == 0

    assert "one: complete" in capsys.readouterr().out
    assert (Path("here") / "runs" / "one" / "result.json").is_file()
