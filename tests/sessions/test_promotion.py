"""From a point of a run to a deployment that trades as the point did."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.sessions.small_session import ENTRYPOINT
from tests.small_experiment import BAR_TYPE, INSTRUMENT, SmallExperiment
from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.config.deployment import load_deployment
from trading_runtime.errors import Kind
from trading_runtime.results.luck import Track, deflated_sharpe

if TYPE_CHECKING:
    from pathlib import Path

    from trading_runtime.api import Run

GATES = {"min_trades": 5, "min_days": 2, "max_drawdown": "0.5"}


@pytest.fixture(scope="module")
def ended(
    tmp_path_factory: pytest.TempPathFactory, small_dataset: Path
) -> tuple[SmallExperiment, Run]:
    """A run of the example's strategy over one window, with gates that its points pass."""
    experiment = SmallExperiment(tmp_path_factory.mktemp("promoted"), small_dataset)
    experiment.write(
        partitions={"by": "whole"},
        strategy={
            "path": "trading_runtime.strategies.ema_cross:EMACross",
            "config": {
                "instrument_id": INSTRUMENT,
                "bar_type": BAR_TYPE,
                "trade_size": "0.1",
                "slow": 15,
            },
        },
        parameters={"fast": [3, 5]},
        promotion=GATES,
    )
    return experiment, api.run(experiment.path, run_id="research", workers=1)


def promoted(run: Run, target: Path, *options: str) -> int:
    """Promote point 1 by the command, and return its exit code."""
    place = str(run.files.folder.parent.parent)
    words = ["promote", "research", "--point", "1", "--to", str(target), "--results", place]
    return invoke(root, [*words, *options])


def test_the_deployment_trades_as_the_point_did(
    ended: tuple[SmallExperiment, Run], tmp_path: Path
) -> None:
    _, run = ended
    target = tmp_path / "deployment.yaml"
    assert promoted(run, target) == 0
    read = load_deployment(target).deployment
    assert read.origin is not None
    bundle = tmp_path / "deployment.evidence.zip"

    assert read.strategy.config["fast"] == 5
    assert (read.origin.run, read.origin.point) == ("research", 1)
    assert read.origin.run_digest == run.result["run_digest"]
    assert read.origin.evidence == hashlib.sha256(bundle.read_bytes()).hexdigest()
    assert invoke(root, ["evidence", "check", str(bundle)]) == 0
    target.write_text(target.read_text().replace("pace: real", "pace: burst"))
    session = subprocess.run(
        [sys.executable, str(ENTRYPOINT), "--config", str(target), "--run-id", "live"],
        check=False,
        capture_output=True,
        text=True,
    )
    results = run.results
    [point] = results.filter(results["point"] == 1).iter_rows(named=True)
    live = api.open_run("live", run.files.folder.parent.parent)

    assert session.returncode == 0, session.stderr
    for statistic in ("net_profit", "fees", "orders", "fills", "trades", "sharpe"):
        assert live.results[statistic][0] == point[statistic], statistic


@pytest.mark.parametrize(
    ("gates", "reason"),
    [
        ({"min_trades": 100_000}, "promotion.min_trades is 100000"),
        ({"min_days": 4}, "promotion.min_days is 4"),
        ({"max_drawdown": "0.000001"}, "promotion.max_drawdown is 0.000001"),
        ({"objective": "1000000"}, "promotion.objective is 1000000"),
        (None, "no section 'promotion'"),
    ],
)
def test_a_gate_refuses_with_its_reason(
    ended: tuple[SmallExperiment, Run],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    gates: dict[str, Any] | None,
    reason: str,
) -> None:
    _, run = ended
    before = run.files.experiment.read_text()
    content = json.loads(before) | {"promotion": gates}
    run.files.experiment.write_text(json.dumps(content))
    try:
        code = promoted(run, tmp_path / "deployment.yaml")
    finally:
        run.files.experiment.write_text(before)

    assert code == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "deployment.yaml").exists()


@pytest.fixture(scope="module")
def judged(
    tmp_path_factory: pytest.TempPathFactory, long_dataset: Path
) -> tuple[SmallExperiment, Run]:
    """A run over six weeks, whose points can be judged: point 2 is the best, point 1 is not."""
    experiment = SmallExperiment(tmp_path_factory.mktemp("judged"), long_dataset)
    experiment.write(
        partitions={"by": "week"},
        parameters={"every": [3, 5, 7, 11]},
        validation={"method": "walk-forward", "train_size": 2, "test_size": 1},
        robustness={"seeds": 0},
    )
    return experiment, api.run(experiment.path, run_id="research", workers=1)


def refusals(run: Run, target: Path, capsys: pytest.CaptureFixture[str], **gates: Any) -> str:
    """Promote point 1 with other gates, and return what refused it; nothing when it passed."""
    before = run.files.experiment.read_text()
    run.files.experiment.write_text(json.dumps(json.loads(before) | {"promotion": gates}))
    capsys.readouterr()
    try:
        code = promoted(run, target)
    finally:
        run.files.experiment.write_text(before)
    said = capsys.readouterr().err
    assert code == (2 if said else 0)
    return said


def test_gates_on_luck_judge_the_point_that_is_promoted(
    judged: tuple[SmallExperiment, Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, run = judged
    target = tmp_path / "deployment.yaml"
    returns = run.returns(1)["return"].cast(float).to_list()
    luck = run.result["luck"]
    assert luck["point"] != 1
    track = Track.of(returns)
    assert track is not None
    probability = deflated_sharpe(track, 4, luck["variance_of_daily_sharpes"])
    assert probability is not None

    said = refusals(run, target, capsys, min_deflated_sharpe=f"{probability + 0.001:.6f}")
    assert f"a deflated Sharpe ratio of {probability:.6f}"[:-1] in said
    assert "with 4 trials, promotion.min_deflated_sharpe is" in said
    assert not refusals(run, target, capsys, min_deflated_sharpe=f"{probability - 0.001:.6f}")

    target.unlink()
    split = luck["overfitting"]["probability"]
    assert 0 < split < 1
    said = refusals(run, target, capsys, max_overfitting=str(split / 2))
    assert f"a probability of overfitting of {split}, promotion.max_overfitting is" in said
    assert not refusals(run, target, capsys, max_overfitting=str(split))


def test_a_gate_on_what_a_single_point_does_not_have_says_that_it_is_undefined(
    tmp_path: Path, long_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = SmallExperiment(tmp_path / "single", long_dataset)
    gates = {"max_overfitting": "0.5"}
    experiment.write(partitions={"by": "whole"}, parameters={"every": [7]}, promotion=gates)
    api.run(experiment.path, run_id="run", workers=1)
    capsys.readouterr()
    words = ["promote", "run", "--point", "0", "--to", str(tmp_path / "deployment.yaml")]

    assert invoke(root, [*words, "--results", str(experiment.results)]) == Kind.USAGE.exit_code
    said = capsys.readouterr().err
    assert "a probability of overfitting of undefined, promotion.max_overfitting is 0.5" in said


def test_gates_on_walk_forward_and_robustness_say_what_those_commands_say(
    judged: tuple[SmallExperiment, Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, run = judged
    target, place = tmp_path / "deployment.yaml", str(run.files.folder.parent.parent)
    capsys.readouterr()
    assert invoke(root, ["results", "walk-forward", "research", "--json", "--results", place]) == 0
    tested = json.loads(capsys.readouterr().out)["windows"]["return"]
    checks = ["results", "robustness", "research", "--point", "1", "--json", "--results", place]
    assert invoke(root, checks) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    fragile = [each["name"] for each in findings if each["holds"] is not True]

    said = refusals(run, target, capsys, min_out_of_sample_return=str(tested + 0.001))
    assert f"an out-of-sample return of {tested}, promotion.min_out_of_sample_return is" in said
    assert not refusals(run, target, capsys, min_out_of_sample_return=str(tested - 0.001))
    target.unlink()
    assert fragile
    said = refusals(run, target, capsys, max_fragile=len(fragile) - 1)
    assert f"{len(fragile)} checks of robustness do not hold ({', '.join(fragile)}), promo" in said
    assert not refusals(run, target, capsys, max_fragile=len(fragile))


def test_a_gate_on_what_was_tested_out_of_sample_needs_such_tests(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(promotion={"min_out_of_sample_return": "0.1"})

    assert invoke(root, ["config", "check", str(small.path)]) == 2
    assert "needs 'validation: {method: walk-forward, ...}'" in capsys.readouterr().err


def test_an_override_is_noted_with_its_reason(
    ended: tuple[SmallExperiment, Run], tmp_path: Path
) -> None:
    _, run = ended
    before = run.files.experiment.read_text()
    content = json.loads(before) | {"promotion": {"min_trades": 100_000}}
    run.files.experiment.write_text(json.dumps(content))
    try:
        assert promoted(run, tmp_path / "deployment.json", "--override", " ") == 2
        assert not (tmp_path / "deployment.json").exists()
        code = promoted(run, tmp_path / "deployment.json", "--override", "only on paper")
    finally:
        run.files.experiment.write_text(before)
    lines = [json.loads(line) for line in run.files.journal.read_text().splitlines()]
    noted = [entry["payload"] for entry in lines if entry["event"] == "point_promoted"][-1]

    assert code == 0
    assert noted["override"] == "only on paper"
    assert "promotion.min_trades is 100000" in noted["failed_gates"][0]
    assert load_deployment(tmp_path / "deployment.json").deployment.strategy.config["fast"] == 5


def test_a_deployment_names_the_tasks_that_tested_its_point(
    ended: tuple[SmallExperiment, Run], tmp_path: Path
) -> None:
    _, run = ended
    target = tmp_path / "deployment.json"
    assert promoted(run, target) == 0
    origin = json.loads(target.read_text())["from"]

    results = run.results
    tested = results.filter(results["point"] == 1)["task_id"].to_list()
    assert origin["tasks"] == tested
    assert len(tested) == 1


def test_what_was_not_tested_is_refused_unless_a_reason_is_given_that_the_journal_keeps(
    ended: tuple[SmallExperiment, Run],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, run = ended
    target = tmp_path / "deployment.json"
    assert promoted(run, target) == 0
    content = json.loads(target.read_text())
    content["strategy"]["config"]["fast"] = 4
    content["from"]["tested"] |= {"engine": "2.0.0rc1", "strategy": "ab" * 32}
    content["data"]["pace"] = "burst"
    content |= {"name": "changed", "results": "results"}
    target.write_text(json.dumps(content))
    capsys.readouterr()

    assert invoke(root, ["trade", str(target), "--run-id", "one"]) == 2
    told = capsys.readouterr().err
    for what in ("the engine was 2.0.0rc1", "the strategy's code was abababababab", "config was"):
        assert what in told

    trade = [sys.executable, str(ENTRYPOINT), "--config", str(target), "--run-id", "two"]
    ran = subprocess.run(
        [*trade, "--despite", "a hotfix"], check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    journal = (tmp_path / "results" / "runs" / "two" / "journal.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in journal]
    [kept] = [item["payload"] for item in entries if item["event"] == "origin_overridden"]
    assert (kept["run"], kept["reason"], len(kept["changed"])) == ("research", "a hotfix", 3)


@pytest.mark.damages_journals
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("experiment.json", None),
        ("experiment.json", b""),
        ("experiment.json", b"{}"),
        ("experiment.json", b'{"promotion": 3}'),
        ("plan.json", None),
        ("plan.json", b"{}"),
        ("plan.json", b"["),
        ("result.json", b"{}"),
        ("result.json", b"null"),
        ("metadata.json", b"{}"),
        ("points.parquet", None),
        ("points.parquet", b"PAR1"),
        ("points.parquet", "without days"),
        ("points.parquet", "without the point"),
    ],
)
def test_a_run_with_damaged_documents_is_refused_by_the_damaged_one(
    ended: tuple[SmallExperiment, Run],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage: bytes | str | None,
) -> None:
    _, run = ended
    results = tmp_path / "results"
    shutil.copytree(run.files.folder.parent.parent, results)
    [path] = (results / "runs" / "research").rglob(name)
    if damage is None:
        path.unlink()
    elif isinstance(damage, bytes):
        path.write_bytes(damage)
    elif damage == "without days":
        pl.read_parquet(path).drop("days").write_parquet(path)
    else:
        pl.read_parquet(path).filter(pl.col("point") != 1).write_parquet(path)
    words = ["promote", "research", "--point", "1", "--to", str(tmp_path / "deployment.yaml")]
    code = invoke(root, [*words, "--results", str(results)])
    told = capsys.readouterr().err

    assert code in {2, 3}, told
    assert name in told
    assert not (tmp_path / "deployment.yaml").exists()
