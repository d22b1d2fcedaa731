"""``metrics export`` prints what a run's own file says, and refuses what is no run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.metrics.sample_folder import value, values_of
from trading_runtime import api
from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    from tests.small_experiment import SmallExperiment


def test_a_run_leaves_its_metrics_and_they_can_be_exported(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(parameters={"every": [20, 30]})
    api.run(small.path, run_id="run", workers=1)
    of_file = small.run_file("run", "metrics.prom").read_text()
    command = ["metrics", "export", "run", "--results", str(small.results)]
    assert invoke(root, command) == 0
    printed = capsys.readouterr().out
    to = small.folder / "out.prom"
    assert invoke(root, [*command, "--to", str(to)]) == 0

    assert printed == of_file == to.read_text()
    found = values_of(printed)
    # Two points over three days of 240 bars each; nothing is brought from a local folder.
    assert value(found, "run_tasks_planned", run_id="run") == 6
    assert value(found, "run_tasks_completed_total", run_id="run") == 6
    assert value(found, "run_rows_total", run_id="run") == 6 * 240
    assert value(found, "run_fetched_bytes_total", run_id="run") == 0
    assert value(found, "run_status", run_id="run", status="complete") == 1
    assert value(found, "run_journal_intact", run_id="run") == 1
    memory = value(found, "run_memory_bytes", run_id="run")
    limit = value(found, "run_memory_limit_bytes", run_id="run")
    assert memory is not None
    assert limit is not None
    # A process that has loaded the engine has more than 50 MB, and less than the machine.
    assert 50e6 < memory < limit


def test_a_run_that_computes_nothing_and_one_that_fails_leave_theirs_too(
    small: SmallExperiment,
) -> None:
    small.write(parameters={"every": [20]})
    api.run(small.path, run_id="first", workers=1)
    api.run(small.path, run_id="again", workers=1)
    small.use("failing.py:Failing", way=["raise"])
    assert small.run("--run-id", "bad").returncode == 5

    def of(run_id: str, name: str, **labels: str) -> float | None:
        text = small.run_file(run_id, "metrics.prom").read_text()
        return value(values_of(text), name, run_id=run_id, **labels)

    assert of("again", "run_tasks_cached") == 3
    assert of("again", "run_tasks_completed_total") == 0
    assert of("bad", "run_status", status="incomplete") == 1
    assert of("bad", "run_tasks_failed_total", kind="strategy") == 1


@pytest.mark.parametrize("run", ["../../x", "", "UPPER"])
def test_what_is_no_run_id_is_refused(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str], run: str
) -> None:
    assert invoke(root, ["metrics", "export", run, "--results", str(small.results)]) == 2
    assert "run id" in capsys.readouterr().err


def test_a_run_that_is_not_there_is_refused_and_the_last_ones_are_named(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    (small.results / "runs" / "mine").mkdir(parents=True)

    assert invoke(root, ["metrics", "export", "other", "--results", str(small.results)]) == 2
    assert "no run 'other'" in (shown := capsys.readouterr().err)
    assert "mine" in shown
