"""A search in the steps of pods asks for a laptop's points, whatever happens to a pod."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.argo.test_steps import files_of
from trading_runtime import api
from trading_runtime.argo.ask_step import run_ask_step
from trading_runtime.argo.batch_step import BatchOrder, run_batch_step
from trading_runtime.argo.check_step import run_check_step
from trading_runtime.argo.plan_step import PodSettings, run_plan_step
from trading_runtime.argo.summary_step import run_summary_step
from trading_runtime.cli.main import invoke
from trading_runtime.cli.step import step as step_command
from trading_runtime.errors import UsageError
from trading_runtime.records.failures import read_missing
from trading_runtime.results.store import Store
from trading_runtime.runs.opening import request_stop

pytest.importorskip("optuna")
if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_experiment import SmallExperiment
    from trading_runtime.argo.ask_step import AskedBatches

SEARCH = {"method": "tpe", "points": 6, "generation": 3, "seed": 5}
SETTINGS = PodSettings(batch_seconds=0.001)
"""A pod for each task."""


@pytest.fixture
def searching(small: SmallExperiment) -> SmallExperiment:
    """A search of six points in two generations, over a day; two of its points fail."""
    small.write(
        parameters={"every": {"low": 0, "high": 3, "step": 1}, "size_step": [1, 2, 3]},
        partitions={"by": "day", "end": "2024-01-02"},
        search=SEARCH,
        results="of-pods",
    )
    return small


def ask(experiment: SmallExperiment, number: int = 0) -> AskedBatches:
    return run_ask_step(str(experiment.path), "run", SETTINGS, number)


def compute(experiment: SmallExperiment, asked: AskedBatches, lost: int | None = None) -> None:
    """Run the batches of a round; the pod of one of them may be lost."""
    place = str(experiment.folder / "of-pods")
    for number in range(asked.batches):
        if number != lost:
            assert run_batch_step(place, asked.run_id, BatchOrder(number)) == 0


def finish(experiment: SmallExperiment) -> str:
    """Compute what is missing after the last round, and return the run's digest."""
    place = str(experiment.folder / "of-pods")
    for number in range(len(run_check_step(place, "run"))):
        assert run_batch_step(place, "run", BatchOrder(number, round_number=2)) == 0
    return run_summary_step(place, "run", allow_incomplete=True).result.run_digest


def test_pods_ask_for_the_points_of_a_laptop_though_one_is_lost(searching: SmallExperiment) -> None:
    planned = run_plan_step(str(searching.path), "run", SETTINGS)
    assert (planned.batches, planned.rounds) == (0, 5)

    first = ask(searching)
    assert first[:4] == ("run-g00", (1, 1, 1), 5, "")
    compute(searching, first, lost=1)
    # The generation has to be complete, or its failures final, before another one is asked for.
    again = ask(searching)
    assert again[:4] == ("run-g00", (1, 1), 5, "")
    compute(searching, again)
    second = ask(searching)
    assert second[:4] == ("run-g01", (1, 1, 1), 5, "")
    compute(searching, second)
    last = ask(searching, 3)
    # Two points failed, which the run tries once more.
    assert last[:4] == ("run", (1, 1), 4, "tpe: 6 points in 2 generations; all 6 points were asked")
    assert ask(searching, 3) == last
    compute(searching, last)

    laptop = on_laptop(searching)
    assert laptop.result["counts"]["failed"] == 2
    assert_same_search(searching, finish(searching), laptop)


def test_rungs_in_pods_have_the_points_and_windows_of_a_laptop(searching: SmallExperiment) -> None:
    search = {"method": "successive-halving", "points": 4, "eta": 2, "seed": 3}
    searching.write(
        parameters={"every": [0, 20, 30, 40], "size_step": [1, 2]},
        partitions={"by": "day", "end": "2024-01-03"},
        search=search | {"budget": 5},
    )
    with pytest.raises(UsageError, match=r"search\.budget: 5 tasks.* takes 6"):
        run_plan_step(str(searching.path), "run", SETTINGS)
    searching.write(search=search | {"budget": 6})
    # Four points have three rungs where there are windows enough.
    assert run_plan_step(str(searching.path), "run", SETTINGS).rounds == 2 * 3 + 1

    first = ask(searching)
    assert first[:4] == ("run-g00", (1, 1, 1, 1), 7, "")
    compute(searching, first, lost=1)
    again = ask(searching)
    assert again[:4] == ("run-g00", (1, 1), 7, "")
    compute(searching, again)
    last = ask(searching, 2)
    how = "successive-halving: points on windows: 4 on 1, 2 on 2"
    # Of two points on two days, the rung has computed the first.
    assert [*last] == ["run", (1, 1), 3, how, "rung 1 of 2: 4 points on 1 window; 2 advance"]
    compute(searching, last, lost=1)

    assert_same_search(searching, finish(searching), on_laptop(searching))


def on_laptop(experiment: SmallExperiment) -> api.Run:
    experiment.write(results="of-laptop")
    return api.run(experiment.path, run_id="run", workers=1, allow_incomplete=True)


def assert_same_search(experiment: SmallExperiment, digest: str, laptop: api.Run) -> None:
    assert digest == laptop.result["run_digest"]
    here, there = (files_of(experiment.folder / name) for name in ("of-pods", "of-laptop"))
    for name in ("search/000.json", "search/001.json", "result.json", "points.parquet"):
        assert here[f"runs/run/{name}"] == there[f"runs/run/{name}"], name


def test_a_search_in_pods_ends_when_nothing_better_is_found(searching: SmallExperiment) -> None:
    # No point trades at all.
    searching.write(
        parameters={"every": {"low": 5_000, "high": 9_000, "step": 1}},
        search=SEARCH | {"patience": 1, "points": 30},
        objective={"metric": "trades"},
    )
    run_plan_step(str(searching.path), "run", SETTINGS)
    for _ in range(2):
        compute(searching, ask(searching))

    assert ask(searching).ended == (
        "tpe: 6 points in 2 generations; 1 generation in a row found nothing better "
        "(search.patience)"
    )


def test_a_search_that_was_stopped_goes_on_when_it_is_submitted_again(
    searching: SmallExperiment,
) -> None:
    run_plan_step(str(searching.path), "run", SETTINGS)
    first = ask(searching)
    request_stop(Store(searching.folder / "of-pods"), first.run_id)
    with pytest.raises(UsageError, match="run 'run-g00' was asked to stop; submit"):
        ask(searching)

    run_plan_step(str(searching.path), "run", SETTINGS)
    assert ask(searching) == first


def test_results_of_other_code_are_not_told_to_a_search(searching: SmallExperiment) -> None:
    run_plan_step(str(searching.path), "run", SETTINGS)
    compute(searching, ask(searching))
    path = searching.folder / "counting.py"
    path.write_text(f"{path.read_text()}\n# Edited.\n")

    with pytest.raises(UsageError, match="run 'run-g00' exists with another plan"):
        ask(searching)


def test_a_run_id_of_another_search_is_refused_before_anything_runs(
    searching: SmallExperiment,
) -> None:
    run_plan_step(str(searching.path), "run", SETTINGS)
    ask(searching)
    searching.write(search=SEARCH | {"seed": 6})

    with pytest.raises(UsageError, match="run 'run' exists with another search"):
        run_plan_step(str(searching.path), "run", SETTINGS)


def test_a_search_of_more_generations_than_a_workflow_holds_is_refused(
    searching: SmallExperiment,
) -> None:
    searching.write(search=SEARCH | {"points": 303})

    said = "3 of 303 points makes 101 generations.* ask for 4 points or more at once"
    with pytest.raises(UsageError, match=said):
        run_plan_step(str(searching.path), "run", SETTINGS)


def test_a_generation_has_fewer_pods_the_more_rounds_there_are(searching: SmallExperiment) -> None:
    # A hundred rounds of a thousand nodes leave three for batches.
    searching.write(
        search=SEARCH | {"points": 1_000, "generation": 10},
        parameters={"every": {"low": 1, "high": 9_000, "step": 1}},
    )
    run_plan_step(str(searching.path), "run", SETTINGS)

    assert ask(searching).batches == 3
    plan = json.loads((searching.folder / "of-pods" / "runs" / "run-g00" / "plan.json").read_text())
    assert len(plan["points"]) == 10


def test_a_pod_of_a_search_knows_its_run_by_the_name_that_argo_gives_to_its_step(
    searching: SmallExperiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADING_RUNTIME_OUTPUTS", str(tmp_path / "outputs"))
    place = str(searching.folder / "of-pods")

    def step(name: str, *words: str) -> int:
        return invoke(step_command, ["--step", name, "--run-id", "run", *words])

    run_plan_step(str(searching.path), "run", SETTINGS)
    assert step("ask", "--config", str(searching.path), "--batch-seconds", "0.001") == 0
    generation = (tmp_path / "outputs" / "generation").read_text()
    assert generation == "-g00"
    # A later round is at work when `argo retry` comes back to a batch of this one.
    named = f"batch(1:1{generation})"
    assert step("batch", "--results", place, "--batch", named, "--generation", named) == 0
    assert step("check", "--results", place, "--generation", generation) == 0
    assert (tmp_path / "outputs" / "missing_tasks").read_text() == "1 1"
    missing = read_missing(Store(place).run("run-g00").missing)
    assert missing is not None
    assert [*missing.batches] == [(0,), (2,)]
    # A batch of a run that is no search.
    assert step("batch", "--results", place, "--batch", "batch(1:1)", "--generation", "1") == 2
    assert step("check", "--results", place, "--generation", "") == 2
