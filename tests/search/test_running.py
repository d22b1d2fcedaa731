"""A search from its file to its run: the same with any number of workers, killed and resumed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.execution.processes import processes_of, wait_for
from tests.small_experiment import ROOT
from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import Kind
from trading_runtime.execution.workers.processes import StartedProcess
from trading_runtime.search import asking

pytest.importorskip("optuna")
if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment

SEARCH = {"method": "tpe", "points": 6, "generation": 3, "seed": 5}
PROCESSES = Path("/proc")
REDUCED = ("results.parquet", "points.parquet", "result.json")


@pytest.fixture
def searching(small: SmallExperiment) -> SmallExperiment:
    """A search of six points in two generations, over a day."""
    small.write(
        parameters={"every": {"low": 2, "high": 60, "step": 1}, "size_step": [1, 2, 3]},
        constraints=["every > size_step"],
        partitions={"by": "day", "end": "2024-01-02"},
        search=SEARCH,
    )
    return small


def asked_of(experiment: SmallExperiment, run_id: str) -> list[bytes]:
    """Return what is stored of each generation."""
    folder = experiment.run_file(run_id, "search")
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def reduced(experiment: SmallExperiment, run_id: str) -> dict[str, bytes]:
    """Return the tables of a run and its result."""
    return {name: experiment.run_file(run_id, name).read_bytes() for name in REDUCED}


@pytest.mark.parametrize("method", ["tpe", "nsga-ii"])
def test_a_search_is_the_same_for_one_worker_and_four_and_after_a_kill(
    searching: SmallExperiment, tmp_path: Path, method: str
) -> None:
    further = [{"metric": "max_drawdown", "direction": "minimize"}] if method == "nsga-ii" else []
    searching.write(search=SEARCH | {"method": method}, further_objectives=further)
    ended = searching.summary("--run-id", "run", "--workers", "1")
    assert ended["complete"]
    assert ended["counts"]["planned"] == 6
    assert ended["search"] == f"{method}: 6 points in 2 generations; all 6 points were asked"
    assert ("front" in ended) == bool(further)
    expected, tables = asked_of(searching, "run"), reduced(searching, "run")
    assert len(expected) == 2
    searching.results.rename(tmp_path / "one-worker")

    searching.summary("--run-id", "run", "--workers", "4", environment={"PYTHONHASHSEED": "7"})
    assert (asked_of(searching, "run"), reduced(searching, "run")) == (expected, tables)
    searching.results.rename(tmp_path / "four-workers")

    started = searching.start("--run-id", "run", "--workers", "2")
    second = searching.run_file("run", "search") / "001.json"
    wait_for(second.exists)
    started.send_signal(signal.SIGKILL)
    started.communicate()
    wait_for(lambda: not processes_of(started.pid))
    assert not searching.run_file("run", "result.json").exists()
    searching.summary("--run-id", "run", "--workers", "2")
    assert (asked_of(searching, "run"), reduced(searching, "run")) == (expected, tables)
    assert invoke(root, ["verify", "run", "--search", "--results", str(searching.results)]) == 0


def test_a_search_gives_workers_their_first_points_without_what_reads_tables() -> None:
    code = (
        "import sys, trading_runtime.api, trading_runtime.search.running; "
        "print([name for name in ('polars', 'numpy', 'optuna') if name in sys.modules])"
    )

    # The command is this interpreter and the code above.
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=ROOT
    ).stdout

    assert output == "[]\n"


def test_a_search_that_is_asked_again_gives_the_same_points(
    searching: SmallExperiment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    searching.summary("--run-id", "run")
    verify = ["verify", "run", "--search", "--results", str(searching.results)]
    capsys.readouterr()
    assert invoke(root, verify) == 0
    assert "asked for the same again: 6 points of 2 generations" in capsys.readouterr().out

    # A sampler that proposes something else, as on another processor.
    with monkeypatch.context() as patch:
        patch.setattr(asking, "seed_of", lambda *_: 7)
        code = invoke(root, verify)
    assert code == Kind.DIFFERS.exit_code
    assert "generation 1 is asked otherwise" in capsys.readouterr().err

    folder = searching.run_file("run", "search")
    first, second = folder / "000.json", folder / "001.json"
    sound = {path: path.read_bytes() for path in (first, second)}
    moved: dict[str, Any] = json.loads(sound[second])
    moved["points"][0]["indices"][0] = (moved["points"][0]["indices"][0] + 1) % 50
    renamed: dict[str, Any] = json.loads(sound[first])
    renamed["search"]["parameters"]["other"] = renamed["search"]["parameters"].pop("every")
    seeded: dict[str, Any] = json.loads(sound[second])
    seeded["search"]["search"]["seed"] += 1
    for damage, said in (
        ({second: None}, "001.json: is missing: the run has 6 points, and the generations before "),
        ({first: sound[second], second: sound[first]}, "000.json: damaged: its points are not "),
        ({first: json.dumps(renamed).encode()}, "000.json: damaged: its points are not those "),
        ({second: json.dumps(moved).encode()}, "001.json: damaged: its points are not those that "),
        ({second: json.dumps(seeded).encode()}, "001.json: damaged: its points are not those "),
        ({folder / "002.json": sound[second]}, "002.json: damaged: its points are not those that "),
    ):
        for path, content in damage.items():
            path.unlink(missing_ok=True) if content is None else path.write_bytes(content)
        code = invoke(root, verify)
        assert code == Kind.DATA.exit_code
        assert said in capsys.readouterr().err
        for path, content in sound.items():
            path.write_bytes(content)


def test_a_search_ends_when_nothing_better_is_found(searching: SmallExperiment) -> None:
    # With one point allowed to trade at all, whatever follows is not better than the first.
    searching.write(
        parameters={"every": {"low": 5_000, "high": 9_000, "step": 1}},
        constraints=[],
        search=SEARCH | {"patience": 2, "points": 30},
        objective={"metric": "trades"},
    )
    ended = searching.summary("--run-id", "run")

    assert ended["search"] == (
        "tpe: 9 points in 3 generations; 2 generations in a row found nothing better "
        "(search.patience)"
    )


def test_a_search_keeps_to_its_budget_of_tasks(searching: SmallExperiment) -> None:
    searching.write(search=SEARCH | {"budget": 5})
    ended = searching.summary("--run-id", "run")

    assert ended["counts"]["planned"] == 3
    assert ended["search"].endswith("another generation would go beyond 5 tasks (search.budget)")


def test_failed_points_are_told_as_failed(searching: SmallExperiment) -> None:
    # Every second point cannot be configured: the strategy divides by zero.
    searching.write(
        parameters={"every": {"low": 0, "high": 1, "step": 1}, "size_step": [1, 2, 3, 4]},
        constraints=[],
        search=SEARCH | {"points": 8, "generation": 4},
    )
    ended = searching.summary("--run-id", "run", "--allow-incomplete")

    assert ended["counts"] == {"planned": 8, "ok": 4, "failed": 4, "missing": 0}
    assert ended["best"]["parameters"]["every"] == 1


def test_a_run_id_belongs_to_one_search(searching: SmallExperiment) -> None:
    searching.summary("--run-id", "run")
    searching.write(search=SEARCH | {"seed": 6})
    ended = searching.run("--run-id", "run")

    assert ended.returncode == Kind.USAGE.exit_code
    assert "run 'run' exists with another search" in ended.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"search": {"method": "tpe"}}, "search.points: missing"),
        ({"search": SEARCH | {"eta": 2}}, "search.eta: tpe does not use it"),
        ({"search": {"method": "grid", "points": 2}}, "search.points: grid does not use it"),
        ({"search": {"method": "grid", "seed": 2}}, "search.seed: grid does not use it"),
        (
            {"search": {"method": "random", "points": 9, "patience": 1}},
            "search.patience: random does not use it",
        ),
        (
            {"search": {"method": "random", "points": 9, "budget": 8}},
            "search.budget: 8 tasks, and random takes 9; ask for fewer points",
        ),
        ({"sampling": {"method": "grid"}}, "'sampling' says which points are tried as well"),
        ({"search": SEARCH | {"method": "nsga-ii"}}, "name one or more in 'further_objectives'"),
        ({"parameters": {}}, "there are no 'parameters' to search over"),
        (
            {"search": SEARCH | {"method": "cma-es"}, "parameters": {"every": [1, 2]}}
            | {"constraints": []},
            "cma-es needs two parameters of more than one value; use tpe",
        ),
    ],
)
def test_a_search_that_cannot_be_is_refused(
    searching: SmallExperiment, changes: dict[str, Any], said: str
) -> None:
    searching.write(**changes)
    ended = searching.run()

    assert ended.returncode == Kind.USAGE.exit_code
    assert said in ended.stderr


def test_a_plan_says_that_its_points_are_only_the_first_of_a_search(
    searching: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert invoke(root, ["plan", str(searching.path)]) == 0

    said = capsys.readouterr().out
    assert "points      3, the first generation of up to 6 points (tpe)\n" in said


def test_the_workers_of_a_generation_compute_the_next_and_none_starts_where_nothing_is_left(
    searching: SmallExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    start = StartedProcess.__init__

    def noted(process: StartedProcess, number: int, scratch: Path) -> None:
        start(process, number, scratch)
        started.append(process.process.pid)

    monkeypatch.setattr(StartedProcess, "__init__", noted)
    search = ["run", str(searching.path), "--run-id", "run", "--workers", "2"]
    assert invoke(root, search) == 0
    assert len(started) == 2
    assert not any((PROCESSES / str(pid)).exists() for pid in started)

    # One checks venue and strategy while the points are planned.
    started.clear()
    assert invoke(root, search) == 0
    assert len(started) == 1
