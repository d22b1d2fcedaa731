"""``init`` makes a project that runs at once, with every strategy that it knows."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trading_runtime import __version__, api
from trading_runtime.cli.main import invoke, root
from trading_runtime.config.loading import read_mapping
from trading_runtime.errors import Kind
from trading_runtime.project.example_data import BARS_A_DAY, DAYS, QUOTES, START
from trading_runtime.project.scaffold import STRATEGIES

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_new_project_runs_at_once_and_trades(tmp_path: Path, strategy: str) -> None:
    folder = tmp_path / "mine"
    assert invoke(root, ["init", str(folder), "--strategy", strategy]) == 0

    run = api.run(folder / "experiment.yaml", workers=2)

    assert (run.kind, run.failures) == (Kind.OK, [])
    trades = run.points["trades"].to_list()
    assert min(trades) > 0
    assert run.files.folder.is_relative_to(folder / "results")


def test_the_tests_of_a_new_project_pass(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    assert invoke(root, ["init", str(folder), "--strategy", "rsi"]) == 0

    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0"],
        cwd=folder,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 passed" in ended.stdout


def test_nothing_that_is_there_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("mine")

    assert invoke(root, ["init", str(tmp_path)]) == 2
    assert "README.md: is there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_the_example_data_is_the_same_each_time_and_ends_within_its_last_day(
    tmp_path: Path,
) -> None:
    for name in ("first", "second"):
        assert invoke(root, ["init", str(tmp_path / name)]) == 0
    first, second = (tmp_path / name / "data" for name in ("first", "second"))

    digests = [
        json.loads((data / "example" / "manifest.json").read_text())["digest"]
        for data in (first, second)
    ]
    assert digests[0] == digests[1]
    bars = (first / "raw" / "btc-1m.csv").read_text().splitlines()[1:]
    assert int(bars[0].split(",")[0]) == START
    # A bar is stamped with its opening; the last one closes a minute before midnight.
    assert int(bars[-1].split(",")[0]) == START + DAYS * BARS_A_DAY * 60 - 120
    assert len((first / "raw" / "btc-quotes.csv").read_text().splitlines()) == QUOTES + 1


def test_the_notebook_and_the_pin_are_of_this_version(tmp_path: Path) -> None:
    assert invoke(root, ["init", str(tmp_path / "mine")]) == 0

    notebook = json.loads((tmp_path / "mine" / "notebook.ipynb").read_text())
    sources = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    assert [ast.parse(source) is not None for source in sources] == [True, True, True]
    assert 'api.run("experiment.yaml")' in sources[0]
    pins = (tmp_path / "mine" / "requirements.txt").read_text()
    assert pins == f"trading-runtime=={__version__}\n"


def test_the_cells_of_the_notebook_run_in_the_new_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "mine"
    assert invoke(root, ["init", str(folder)]) == 0
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}

    notebook = json.loads((folder / "notebook.ipynb").read_text())
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)  # noqa: S102 - cells of ours

    assert isinstance(names["run"], api.Run)
    assert names["run"].kind is Kind.OK


def test_a_file_of_ones_own_becomes_a_report_as_the_tutorial_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text()
    own = page.partition("## Your own CSV\n")[2].partition("\n## ")[0]
    [importing] = re.findall(r"^\$ trading-runtime (data import .*)$", own, re.MULTILINE)
    [changes] = re.findall(r"```yaml\n(.*?)```", own, re.DOTALL)
    hours = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(200)]
    rows = [
        f"{hour:%Y-%m-%d %H:%M:%S},100,120,80,{100 + 5 * (n % 4) - n % 19}.25,10"
        for n, hour in enumerate(hours)
    ]
    (tmp_path / "prices.csv").write_text("\n".join(["time,open,high,low,close,volume", *rows]))
    folder = tmp_path / "mine"
    assert invoke(root, ["init", str(folder), "--strategy", "rsi"]) == 0
    monkeypatch.chdir(folder)

    assert invoke(root, shlex.split(importing)) == 0
    written = read_mapping(Path("experiment.yaml").read_text(), ".yaml", "experiment").plain()
    changed = read_mapping(changes, ".yaml", "tutorial").plain()
    run = api.run(written | changed | {"parameters": {"period": [14], "enter_below": [60]}})

    assert (run.kind, run.failures) == (Kind.OK, [])
    assert run.points["trades"][0] > 0
    assert run.report.is_file()
