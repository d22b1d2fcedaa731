"""The commands verify, why, replay and gc, as a user types them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.execution.wayward_run import Copy, flip_byte, wayward
from tests.small_experiment import ROOT, SmallExperiment
from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import Kind

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def content(self) -> Any:
        """What was printed as JSON."""
        return json.loads(self.out)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> SmallExperiment:
    """A store with the runs sound, mixed, cheaper (a lower taker fee) and longer (two days)."""
    experiment = wayward(tmp_path_factory.mktemp("runs"), small_dataset, "sound")
    assert api.run(experiment.path, run_id="sound", workers=1).kind is Kind.OK
    experiment.write(parameters={"way": ["sound", "chance", "raise"]})
    assert api.run(experiment.path, run_id="mixed", workers=1).kind is Kind.INCOMPLETE
    venue = experiment.content["venue"]
    fees = venue["fees"] | {"taker": "0.0004"}
    experiment.write(parameters={"way": ["sound", "surroundings"]}, venue=venue | {"fees": fees})
    assert api.run(experiment.path, run_id="cheaper", workers=1).kind is Kind.OK
    experiment.write(
        parameters={"way": ["sound"]},
        venue=venue,
        partitions={"by": "day", "end": "2024-01-03"},
    )
    assert api.run(experiment.path, run_id="longer", workers=1).kind is Kind.OK
    return experiment


@pytest.fixture
def copy(runs: SmallExperiment, tmp_path: Path) -> Copy:
    """A copy of the store, to tamper with."""
    return Copy(runs, tmp_path / "copy", "sound")


def command(folder: Path, *words: str) -> Ended:
    """Run the command in a process of its own: it takes signals, and starts processes."""
    ended = subprocess.run(
        [sys.executable, "-m", "trading_runtime.cli.main", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert "Traceback" not in ended.stderr or words[0] == "replay"
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def called(capsys: pytest.CaptureFixture[str], folder: Path, *words: str) -> Ended:
    """Run the command in this process, on the results in ``folder``."""
    code = invoke(root, [*words, "--results", str(folder / "results")])
    captured = capsys.readouterr()
    return Ended(code, captured.out, captured.err)


def task_of(folder: Path, run_id: str, way: str) -> str:
    plan = json.loads((folder / "results" / "runs" / run_id / "plan.json").read_bytes())
    points = {point["index"]: point["parameters"]["way"] for point in plan["points"]}
    return str(next(each["task_id"] for each in plan["tasks"] if points[each["point"]] == way))


def test_verify_prints_counts_and_notes_it_in_the_journal(copy: Copy) -> None:
    ended = command(copy.experiment.parent, "verify", "sound")

    assert (ended.code, ended.out) == (
        0,
        "run       sound: 1 planned, 1 stored\nverified  1 tasks in fresh processes: 1 same\n",
    )
    last = json.loads(copy.files.journal.read_text().splitlines()[-1])
    assert last["event"] == "run_verified"
    assert last["writer"].startswith("verify-")
    assert last["payload"] == {
        "tasks": 1,
        "same": 1,
        "different": 0,
        "damaged": 0,
        "failed": 0,
        "outcome": "ok",
    }


def test_verify_names_the_first_difference_and_exits_with_6(runs: SmallExperiment) -> None:
    ended = command(runs.folder, "verify", "mixed", "--all", "--workers", "2")

    assert ended.code == 6
    assert "verified  2 tasks in fresh processes: 1 same, 1 different" in ended.out
    task_id = task_of(runs.folder, "mixed", "chance")
    assert f"error: task {task_id[:12]}: a repeat gave other bytes: " in ended.err
    assert "orders.parquet, row 2, column tags: stored" in ended.err


def test_verify_tells_damage_with_3_and_as_json(copy: Copy) -> None:
    flip_byte(copy.stored("sound", "equity.parquet"), 50)

    ended = command(copy.experiment.parent, "verify", "sound", "--json")

    assert ended.code == 3
    assert ended.content["outcome"] == "data"
    assert ended.content["counts"]["damaged"] == 1
    [task] = ended.content["tasks"]
    assert "equity.parquet: the stored result is damaged" in task["message"]


def test_verify_of_a_changed_strategy_is_refused(copy: Copy) -> None:
    copy.strategy.write_text(copy.strategy.read_text() + "\n# changed\n")

    ended = command(copy.experiment.parent, "verify", "sound", "--experiment", copy.experiment.name)

    assert ended.code == 2
    assert "error: run 'sound' cannot be repeated here" in ended.err
    assert "error: common.code.strategy: then" in ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify", "nothing"], "no run 'nothing' in"),
        (["verify", "../sound"], "run id '../sound': accepted are"),
        (["verify", "sound", "--all", "--sample", "2"], "give --sample N or --all, not both"),
        (["verify", "sound", "--sample", "0"], "0 is not in the range"),
        (["replay", "sound", "zzzz"], "task 'zzzz': accepted are the first 4 to 64"),
        (["replay", "sound", "--log-level", "LOUD"], "'LOUD' is not one of"),
        (["why", "sound", "nothing"], "'sound' is a run and 'nothing' is none"),
        (["why", "../x", "../y"], "'../x' is neither a run in"),
        (["why", "0000", "0000"], "no task '0000' in"),
        (["gc", "--older-than", "soon"], "--older-than: 'soon' is not a duration"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_2(
    runs: SmallExperiment, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    ended = called(capsys, runs.folder, *words)

    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err


def test_why_of_a_task_and_itself_says_that_nothing_differs(
    runs: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = task_of(runs.folder, "sound", "sound")[:10]

    ended = called(capsys, runs.folder, "why", prefix, prefix)

    assert ended.code == 0
    assert "are the same: inputs, orders, fills, statistics" in ended.out


def test_why_names_the_input_then_the_first_fill(
    runs: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [task_of(runs.folder, run_id, "sound") for run_id in ("sound", "cheaper")]

    ended = called(capsys, runs.folder, "why", *ids)

    assert ended.code == 11
    head, first, result = ended.out.splitlines()
    assert (head, first) == (
        "inputs     1 different",
        "  common.venue.fees.taker: 0.0005 vs 0.0004",
    )
    # Orders are the same; the first fill's fee is the first thing that a fee can change.
    found = re.fullmatch(
        rf"results    fills\.parquet, row 0, column fee: {ids[0][:12]} (.+), {ids[1][:12]} (.+) "
        r"\(order_id .+, instrument_id BTCUSDT-PERP\.SIM, position 0, ts 2024-01-01T00:40:00Z\)",
        result,
    )
    assert found is not None, result
    # The engine rounds a fee to eight places.
    assert abs(Decimal(found[1]) * 4 - Decimal(found[2]) * 5) <= Decimal("1e-7")


def test_why_of_two_runs_names_inputs_points_and_the_first_pair(
    runs: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = called(capsys, runs.folder, "why", "mixed", "cheaper")

    assert ended.code == 11
    assert ended.out.splitlines()[:5] == [
        "inputs     1 different",
        "  common.venue.fees.taker: 0.0005 vs 0.0004",
        "only in mixed: 2 points: way=chance; way=raise",
        "only in cheaper: 1 point: way=surroundings",
        (
            "tasks      0 with the same id in both; with the same parameters and window: 0 same, "
            "1 different"
        ),
    ]
    assert "the first pair with different results: " in ended.out


def test_why_of_two_runs_names_windows_and_counts_what_they_share(
    runs: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = called(capsys, runs.folder, "why", "sound", "longer", "--json")

    assert ended.code == 11
    content = ended.content
    assert content["inputs"] == []
    assert content["points_only_in"] == [[], []]
    assert content["windows_only_in"] == [
        [],
        ["2024-01-02T00:00:00Z to 2024-01-03T00:00:00Z of BTCUSDT-PERP.SIM"],
    ]
    assert content["tasks"] == {"shared": 1, "same": 1, "different": 0, "missing_in": [0, 0]}
    assert content["first_different_pair"] is None


def test_why_compares_two_stores(
    runs: SmallExperiment, copy: Copy, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ["--results-b", str(copy.store.root)]
    same = called(capsys, runs.folder, "why", "sound", "sound", *other)
    shutil.rmtree(copy.store.task(copy.task_id("sound")))
    missing = called(capsys, runs.folder, "why", "sound", "sound", *other)

    assert (same.code, missing.code) == (0, 11)
    assert "the first sound and the second sound are the same: 1 tasks" in same.out
    assert "1 more have no stored result in the second sound" in missing.out


def test_why_of_a_damaged_result_exits_with_3(
    copy: Copy, capsys: pytest.CaptureFixture[str]
) -> None:
    other = task_of(copy.experiment.parent, "cheaper", "sound")
    flip_byte(copy.stored("sound", "orders.parquet"), 50)

    ended = called(capsys, copy.experiment.parent, "why", copy.task_id("sound"), other)

    assert ended.code == 3
    assert "orders.parquet: the stored result is damaged" in ended.err


def test_replay_shows_log_and_prints_and_compares(runs: SmallExperiment) -> None:
    task_id = task_of(runs.folder, "mixed", "sound")

    ended = command(runs.folder, "replay", "mixed", task_id[:8], "--log-level", "info")

    assert ended.code == 0
    assert "[INFO]" in ended.out
    assert "order number 6" in ended.out
    assert ended.out.splitlines()[-1] == (
        f"task {task_id[:12]}: the same bytes as the stored result"
    )


def test_replay_of_a_failed_task_shows_its_traceback_and_exits_as_it_does(
    runs: SmallExperiment,
) -> None:
    ended = command(runs.folder, "replay", "mixed", "--point", "2", "--log-level", "ERROR")

    assert ended.code == 4
    assert "Traceback" in ended.err
    assert "ValueError: as it was told to" in ended.err
    assert ended.out.splitlines()[-1].endswith("the stored outcome is the same failure")


def test_replay_says_which_versions_are_not_those_of_the_run(copy: Copy) -> None:
    files = copy.store.run("mixed")
    plan = json.loads(files.plan.read_bytes())
    plan["common"]["packages"]["pyarrow"] = "1.0"
    files.plan.write_text(json.dumps(plan))

    ended = command(copy.experiment.parent, "replay", "mixed", "--point", "0")

    assert "note: common.packages.pyarrow: then 1.0, now" in ended.err


def test_gc_shows_first_and_removes_when_told_to(
    copy: Copy, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy.experiment.parent
    unwanted = copy.store.task(task_of(folder, "cheaper", "sound"))
    shutil.rmtree(copy.store.run("cheaper").folder)
    two_days_ago = time.time() - 2 * 86_400
    os.utime(unwanted, (two_days_ago, two_days_ago))

    shown = called(capsys, folder, "gc", "--json")
    assert (shown.code, unwanted.exists()) == (0, True)
    removed = called(capsys, folder, "gc", "--delete")

    [item] = shown.content["items"]
    assert (item["what"], item["path"]) == ("task", str(unwanted))
    assert (shown.content["deleted"], shown.content["young"]) == (False, 1)
    assert removed.code == 0
    assert "1 removed" in removed.out
    assert not unwanted.exists()
    # Of sound, mixed and longer: sound on two days, and chance.
    assert shown.content["kept"] == 3


def test_gc_removes_nothing_while_a_plan_cannot_be_read(
    copy: Copy, capsys: pytest.CaptureFixture[str]
) -> None:
    copy.store.run("longer").plan.write_text("{")
    before = sorted(copy.store.root.rglob("*"))

    ended = called(capsys, copy.experiment.parent, "gc", "--delete", "--older-than", "0s")

    assert ended.code == 3
    assert "longer/plan.json: cannot be read" in ended.err
    assert "nothing was removed" in ended.err
    assert sorted(copy.store.root.rglob("*")) == before
