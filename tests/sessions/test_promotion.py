"""From a point of a run to a deployment that trades as the point did."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.sessions.small_session import ENTRYPOINT
from tests.small_experiment import BAR_TYPE, INSTRUMENT, SmallExperiment
from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.config.deployment import load_deployment

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


def test_an_override_is_noted_with_its_reason(
    ended: tuple[SmallExperiment, Run], tmp_path: Path
) -> None:
    _, run = ended
    before = run.files.experiment.read_text()
    content = json.loads(before) | {"promotion": {"min_trades": 100_000}}
    run.files.experiment.write_text(json.dumps(content))
    try:
        code = promoted(run, tmp_path / "deployment.json", "--override", "only on paper")
    finally:
        run.files.experiment.write_text(before)
    lines = [json.loads(line) for line in run.files.journal.read_text().splitlines()]
    noted = [entry["payload"] for entry in lines if entry["event"] == "point_promoted"][-1]

    assert code == 0
    assert noted["override"] == "only on paper"
    assert "promotion.min_trades is 100000" in noted["failed_gates"][0]
    assert load_deployment(tmp_path / "deployment.json").deployment.strategy.config["fast"] == 5
