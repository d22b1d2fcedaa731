"""``plan`` and ``run``: what is shown, what is machine-readable, and how it ends."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest

from tests.small_experiment import ENTRYPOINT, ROOT, SmallExperiment
from trading_runtime.cli.main import invoke, root
from trading_runtime.cli.run import Signals


def test_a_run_ends_with_a_summary_that_names_the_report(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(parameters={"every": [20]})
    assert invoke(root, ["run", str(small.path), "--run-id", "run"]) == 0
    shown = capsys.readouterr()
    lines = dict(line.split(maxsplit=1) for line in shown.out.splitlines())
    result = json.loads(small.run_file("run", "result.json").read_text())

    assert lines["run"] == "run: complete"
    assert lines["tasks"] == "3 planned, 3 ok, 0 failed, 0 missing"
    # A day each in three partitions of a day, without a gap.
    assert lines["days"] == "3 returns, 365 of them a year"
    assert lines["best"].startswith("point 0 (every 20): net_profit ")
    assert lines["digest"] == result["run_digest"]
    assert Path(lines["report"]).is_file()
    assert shown.err.splitlines()[-1].startswith("3/3 tasks, ")


def test_the_entrypoint_and_the_command_do_the_same(small: SmallExperiment) -> None:
    small.write(parameters={"every": [20]})
    command = [sys.executable, "-m", "trading_runtime.cli.main", "run", "small.json", "--json"]
    ended = subprocess.run(
        [*command, "--run-id", "one"],
        cwd=small.folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    one: dict[str, Any] = json.loads(ended.stdout)
    two = small.summary("--run-id", "two")

    assert (one["computed"], two["computed"]) == (3, 0)
    assert one["run_digest"] == two["run_digest"]
    assert one.keys() == two.keys()
    assert one.keys() >= {"run_id", "folder", "report", "computed", "seconds", "counts", "best"}


def test_a_plan_is_shown_and_nothing_is_written(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(root, ["plan", str(small.path), "--workers", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert [
        line for line in lines if line.startswith(("points", "partitions", "tasks", "days"))
    ] == [
        "points      4",
        "partitions  3",
        "tasks       12, of which 0 are stored already",
        "days        3 count as returns: those with rows after a window's first",
    ]
    assert "estimate    not known before a first run" in lines
    assert not small.results.exists()


def test_a_plan_says_what_one_more_trial_costs(
    tmp_path: Path, long_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = SmallExperiment(tmp_path / "long", long_dataset)
    experiment.write(partitions={"by": "whole"}, costs={"worker_hour": "36 USD"})
    assert invoke(root, ["run", str(experiment.path), "--run-id", "first", "--workers", "1"]) == 0
    experiment.write(parameters={"every": [20, 30, 40, 50, 60]})
    capsys.readouterr()
    assert invoke(root, ["plan", str(experiment.path), "--json", "--workers", "1"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert invoke(root, ["plan", str(experiment.path), "--workers", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()

    trial = plan["next_trial"]
    assert (trial["trials"], trial["days"]) == (5, 42)
    assert trial["seconds"] == plan["estimated_seconds"] > 0
    amount, currency = trial["price"].split(" ")
    assert float(amount) == pytest.approx(trial["seconds"] / 100, rel=0.05)
    assert currency == "USD"
    quantile, euler = NormalDist().inv_cdf, 0.5772156649
    for name, trials in (("by_luck", 5), ("by_luck_then", 6)):
        largest = (1 - euler) * quantile(1 - 1 / trials) + euler * quantile(1 - 1 / trials / math.e)
        assert trial[name] == pytest.approx(largest * math.sqrt(365 / 41), rel=1e-9)
    costs = f"one more    {trial['seconds']:,.2f} s of a worker, {trial['price']}, raises"
    assert [line for line in lines if line.startswith(costs)]
    assert [line for line in lines if line.startswith("estimate") and line.endswith(" USD")]

    experiment.write(costs={"worker_hour": "0 USD"})
    assert invoke(root, ["plan", str(experiment.path), "--workers", "1"]) == 0
    assert " s of a worker, 0 USD, raises" in capsys.readouterr().out


def test_a_plan_names_the_files_that_made_its_tasks_new(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    (small.folder / "helper.py").write_text("ONE = 1\n")
    with (small.folder / "counting.py").open("a") as file:
        file.write("import helper\n")
    assert invoke(root, ["run", str(small.path), "--run-id", "before"]) == 0
    (small.folder / "unrelated.py").write_text("TWO = 2\n")
    capsys.readouterr()
    assert invoke(root, ["plan", str(small.path)]) == 0
    assert "tasks       12, of which 12 are stored already" in capsys.readouterr().out
    (small.folder / "helper.py").write_text("import more\n")
    (small.folder / "more.py").write_text("ONE = 1\n")
    assert invoke(root, ["plan", str(small.path)]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert "tasks       12, of which 0 are stored already" in lines
    assert "new         since run before: helper.py changed, more.py added" in lines


def test_a_plan_is_machine_readable(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(root, ["plan", str(small.path), "--json", "--workers", "3"]) == 0
    plan = json.loads(capsys.readouterr().out)

    assert (len(plan["tasks"]), len(plan["points"]), plan["workers"]) == (12, 4, 3)
    assert plan["estimated_seconds"] is None
    assert len(plan["plan_digest"]) == 64


def test_a_name_that_is_not_here_is_looked_for_beside_the_entrypoint_which_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    invoke(root, ["plan", "local.json"])
    beside = ENTRYPOINT.parent / "local.json"

    assert capsys.readouterr().err.splitlines()[0] == (
        f"local.json is not in the current folder; using {beside}"
    )


MISTAKES: dict[str, tuple[dict[str, Any], int, list[str]]] = {
    "no such strategy file": (
        {"strategy": {"path": "gone.py:Counting"}},
        2,
        ["small.json", "strategy.path", "gone.py"],
    ),
    "no such module": (
        {"strategy": {"path": "gone.mod:Counting"}},
        2,
        ["small.json", "strategy.path", "'gone'"],
    ),
    "no such class": (
        {"strategy": {"path": "counting.py:Counter"}},
        2,
        ["small.json", "strategy.path", "Counter", "Counting"],
    ),
    "an unknown parameter": ({"parameters": {"evry": [1]}}, 2, ["small.json", "evry", "every"]),
    "a parameter of another type": (
        {"parameters": {"every": ["x"]}},
        2,
        ["small.json", "every", "x"],
    ),
    "nothing fulfils the constraint": (
        {"constraints": ["every < 3"]},
        2,
        ["small.json", "constraints"],
    ),
    "no data in the window": (
        {"partitions": {"by": "day", "start": "2030-01-01"}},
        2,
        ["small.json", "2030"],
    ),
    "no such instrument": (
        {"dataset": {"path": "DATASET", "instruments": ["ETHUSDT-PERP.SIM"]}},
        2,
        ["small.json", "ETHUSDT-PERP.SIM", "BTCUSDT-PERP.SIM"],
    ),
    "no dataset": ({"dataset": {"path": "nowhere"}}, 3, ["nowhere", "does not exist"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_a_line_that_names_the_file_and_nothing_is_written(
    small: SmallExperiment, mistake: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, code, words = MISTAKES[mistake]
    path = small.content["dataset"]["path"]
    small.write(**json.loads(json.dumps(changes).replace("DATASET", path)))
    before = sorted(small.folder.rglob("*"))
    before = [item for item in before if "__pycache__" not in item.parts]

    assert invoke(root, ["run", str(small.path), "--run-id", "run"]) == code
    shown = capsys.readouterr()
    assert len(shown.err.splitlines()) in (1, 2)
    assert [word for word in words if word not in shown.err] == []
    assert all(line.startswith("error: ") for line in shown.err.splitlines())
    after = [item for item in sorted(small.folder.rglob("*")) if "__pycache__" not in item.parts]
    assert after == before


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("raise ValueError('on import')", ["counting.py:", "ValueError: on import"]),
        ("import sys; sys.exit(0)", ["counting.py:", "SystemExit"]),
        ("import no_such_module", ["counting.py:", "no_such_module"]),
        ("x = = 1", ["counting.py:57: importing", "SyntaxError"]),
    ],
)
def test_a_strategy_that_cannot_be_imported_fails_before_anything_runs(
    small: SmallExperiment, line: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with (small.folder / "counting.py").open("a") as file:
        file.write(f"{line}\n")

    assert invoke(root, ["run", str(small.path)]) == 4
    shown = capsys.readouterr().err
    assert [word for word in words if word not in shown] == []
    assert len(shown.splitlines()) == 1
    assert not small.results.exists()


def test_a_config_that_leaves_python_is_an_error_of_the_strategy(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    source = (small.folder / "counting.py").read_text()
    (small.folder / "counting.py").write_text(
        source.replace(
            "    every: int = 20\n",
            "    every: int = 20\n\n"
            "    def __post_init__(self) -> None:\n"
            "        raise SystemExit\n\n",
        )
    )

    assert invoke(root, ["run", str(small.path)]) == 4
    assert "counting.py: the strategy's config called sys.exit()" in capsys.readouterr().err


def test_a_file_in_place_of_the_results_folder_ends_with_8(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.results.write_text("in the way")

    assert invoke(root, ["run", str(small.path)]) == 8
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1
    assert "set 'results' to a folder that can be written" in shown


def test_data_that_changed_after_planning_fails_the_tasks_that_see_it(
    small: SmallExperiment, small_dataset: Path, tmp_path: Path
) -> None:
    dataset = shutil.copytree(small_dataset, tmp_path / "dataset")
    path = next((dataset / "data" / "bars").rglob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    small.write(dataset={"path": str(dataset)}, parameters={"every": [20]})
    result = small.summary("--run-id", "run")

    assert result["failed_by_kind"] == {"data": 1}
    assert result["counts"]["ok"] == 2


@pytest.mark.parametrize(
    ("venue", "words"),
    [
        (
            {"balances": ["100000.123456789 USDT"]},
            "venue.balances: 100000.123456789 USDT: the engine",
        ),
        (
            {"fees": {"model": "fixed", "amount": "1 USD"}},
            "venue.fees.amount: 1 USD: the account cannot pay in USD",
        ),
        ({"leverages": {"BTC-PERP.": "3"}}, "venue: the engine refuses these settings"),
    ],
    ids=["decimal places", "fee", "instrument id"],
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_what_only_the_engine_refuses_is_refused_before_anything_runs(
    small: SmallExperiment,
    command: str,
    venue: dict[str, Any],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small.write(venue=small.content["venue"] | venue)

    assert invoke(root, [command, str(small.path)]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {small.path}: ")
    assert words in shown
    assert not small.results.exists()


def test_signals_are_given_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Signals() as stopping:
        assert not stopping()
        signal.raise_signal(signal.SIGTERM)
        assert stopping()
        assert stopping.exit_code == 143
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
