"""The commands ``trading-runtime config``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from tests.small_experiment import ROOT
from trading_runtime.cli.config import config_group
from trading_runtime.config.schema import schema_text
from trading_runtime.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

EXPERIMENT = """\
name: ema-cross
seed: 7
dataset: {path: data}
partitions: {by: week, count: 2, warmup: 1d, start: 2022-01-03}
strategy: {path: "package.module:EmaCross"}
venue:
  account_type: margin
  balances: [100000 USDT]
  fees: {model: none}
parameters:
  fast: [5, 10, 30]
  slow: {start: 20, stop: 60, step: 20}
constraints: [fast < slow]
"""


def check(path: Path, text: str, *options: str) -> tuple[str, str]:
    path.write_text(text, encoding="utf-8")
    outcome = CliRunner().invoke(
        config_group, ["check", str(path), *options], catch_exceptions=False
    )
    assert outcome.exit_code == 0
    return outcome.stdout, outcome.stderr


def test_check_sums_up_what_an_experiment_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "local.yaml"

    output, errors = check(path, EXPERIMENT)

    assert output.splitlines() == [
        f"{path}: nothing wrong",
        "  name        ema-cross",
        f"  dataset     {tmp_path / 'data'}",
        "  strategy    package.module:EmaCross",
        "  parameters  fast (3 values), slow (3 values)",
        "  points      8",
        "  partitions  by 2 weeks, from 2022-01-03 to the last row, 1d of warm-up",
        "  objective   maximize sharpe",
        f"  results     {tmp_path / 'results'}",
    ]
    assert errors == ""


def test_check_gives_the_same_to_machines(tmp_path: Path) -> None:
    output, _ = check(tmp_path / "local.yaml", EXPERIMENT, "--json")

    summary: dict[str, Any] = json.loads(output)
    assert summary["points"] == 8
    assert summary["parameters"] == ["fast (3 values)", "slow (3 values)"]


def test_check_says_on_stderr_when_fewer_points_exist_than_asked_for(tmp_path: Path) -> None:
    _, errors = check(
        tmp_path / "local.yaml", EXPERIMENT + "sampling: {method: random, n: 9, seed: 1}\n"
    )

    assert errors == (
        f"{tmp_path / 'local.yaml'}: warning: sampling.n: 9 points are asked for; only 8 exist, "
        "all are used\n"
    )


@pytest.mark.parametrize(
    ("partitions", "words"),
    [
        ("{}", "the whole dataset"),
        ("{by: day}", "by day"),
        ("{by: duration, length: 10s}", "windows of 10s"),
        ("{by: rows, count: 50000}", "at least 50,000 rows each"),
        ("{instruments: each}", "the whole dataset, each instrument by itself"),
    ],
)
def test_check_describes_the_partitioning(tmp_path: Path, partitions: str, words: str) -> None:
    lines = [
        f"partitions: {partitions}" if line.startswith("partitions") else line
        for line in EXPERIMENT.splitlines()
    ]

    output, _ = check(tmp_path / "local.yaml", "\n".join(lines))

    assert f"  partitions  {words}\n" in output


def test_check_raises_all_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "local.yaml"
    path.write_text(EXPERIMENT.replace("seed: 7", "seed: x").replace("week", "wek"))

    with pytest.raises(UsageError) as failure:
        CliRunner().invoke(config_group, ["check", str(path)], catch_exceptions=False)

    first, second = str(failure.value).splitlines()
    assert first.startswith(f"{path}:2:7: seed: must be a whole number")
    assert second.startswith(f"{path}:4:18: partitions.by:")
    assert second.endswith("did you mean 'week'?")
    assert failure.value.exit_code == 2


def test_schema_prints_the_schema() -> None:
    assert CliRunner().invoke(config_group, ["schema"]).stdout == schema_text()


def test_check_sums_up_what_a_deployment_asks_for(tmp_path: Path) -> None:
    path = tmp_path / "paper.yaml"
    text = (ROOT / "trading_runtime" / "local" / "paper.yaml").read_text()

    output, errors = check(path, text.replace("../../", ""))

    assert output.splitlines() == [
        f"{path}: nothing wrong",
        "  name        ema-cross-paper",
        "  mode        paper",
        f"  data        {tmp_path / 'data' / 'example'}, burst",
        "  orders to   a simulated venue",
        "  strategy    trading_runtime.strategies.ema_cross:EMACross",
        f"  results     {tmp_path / 'results'}",
    ]
    assert errors == ""


def test_check_tells_what_is_wrong_with_a_deployment_as_one(tmp_path: Path) -> None:
    path = tmp_path / "paper.yaml"
    text = (ROOT / "trading_runtime" / "local" / "paper.yaml").read_text()
    path.write_text(text.replace("seed: 42", "seeds: 42"))

    with pytest.raises(UsageError, match=r"seeds: unknown key; did you mean 'seed'\?"):
        CliRunner().invoke(config_group, ["check", str(path)], catch_exceptions=False)
