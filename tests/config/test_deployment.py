"""Deployment files: what is refused, with its place, and what becomes of what is accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from trading_runtime.config.deployment import load_deployment
from trading_runtime.config.experiment import Experiment
from trading_runtime.config.loading import load_experiment
from trading_runtime.errors import UsageError

EXAMPLE = Path(__file__).parent.parent.parent / "trading_runtime" / "local" / "paper.yaml"


def refused(tmp_path: Path, old: str, new: str) -> str:
    """Return the message for the example with one text in it replaced."""
    text = EXAMPLE.read_text()
    assert old in text
    (tmp_path / "data").mkdir(exist_ok=True)
    path = tmp_path / "deployment.yaml"
    path.write_text(text.replace("../../data/example", "data").replace(old, new))
    with pytest.raises(UsageError) as caught:
        load_deployment(path)
    return str(caught.value).removeprefix(f"{path}:")


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("pace: burst", "pace: fast", "7:9: data.pace: 'fast' is not a pace"),
        ("pace: burst", "pace: x0", "7:9: data.pace: 'x0' is not a pace"),
        ("pace: burst", "pase: burst", "7:3: data.pase: unknown key; did you mean 'pace'?"),
        ("mode: paper", "mode: papier", '3:7: mode: "papier" is not accepted; accepted are paper'),
        ("leverage: 10", "leverage: 0", "12:13: execution.leverage: must be at least 1; found 0"),
        (
            "leverage: 10",
            "leverages: {BTCUSDT-PERP.SIM: 3}",
            "12:14: execution.leverages: the engine's simulated venue for sessions",
        ),
        (
            "leverage: 10",
            "liquidation: {trigger_ratio: 2}",
            "12:16: execution.liquidation: the engine's simulated venue for sessions",
        ),
        (
            "leverage: 10",
            "latency: {base: 5ms}",
            "12:12: execution.latency: a session counts latency on the wall clock",
        ),
        (
            "trading_runtime.strategies.ema_cross:EMACross",
            "builtin:EmaCross",
            "15:9: strategy.path: a strategy that runs inside the engine cannot be held",
        ),
        ("seed: 42\n", "", "2:1: seed: is missing. Seed of everything random"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, place: str
) -> None:
    assert refused(tmp_path, old, new).startswith(place)


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    text = refused(tmp_path, "mode: paper\n", "mode: nothing\nnaem: x\n")

    assert 'mode: "nothing" is not accepted' in text
    assert "naem: unknown key; did you mean 'name'?" in text


def test_the_example_trades_as_the_example_experiment_does(tmp_path: Path) -> None:
    (tmp_path / "data" / "example").mkdir(parents=True)
    folder = tmp_path / "trading_runtime" / "local"
    folder.mkdir(parents=True)
    for name in ("paper.yaml", "local.json"):
        (folder / name).write_text((EXAMPLE.parent / name).read_text())
    paper = load_deployment(folder / "paper.yaml").loaded
    research = load_experiment(folder / "local.json")

    assert paper.dataset_place == research.dataset_place
    assert paper.results_place == research.results_place
    for section in ("venue", "equity", "statistics", "at_end", "seed"):
        assert getattr(paper.experiment, section) == getattr(research.experiment, section)
    assert paper.experiment.strategy.path == research.experiment.strategy.path


def test_the_experiment_of_a_deployment_is_one_that_would_be_accepted() -> None:
    made = load_deployment(EXAMPLE).loaded.experiment
    checked = Experiment.model_validate(made.model_dump(by_alias=True, exclude_unset=True))

    assert made == checked
    assert made.model_fields_set == checked.model_fields_set
    assert made.venue.model_fields_set == checked.venue.model_fields_set


def test_a_live_session_makes_bars_as_its_execution_says(tmp_path: Path) -> None:
    path = tmp_path / "live.yaml"
    text = EXAMPLE.read_text().replace("mode: paper", "mode: live")
    data = "  source: adapter\n  adapter: bybit\n  instruments: [BTCUSDT-LINEAR.BYBIT]\n"
    execution = "  venue: adapter\n  adapter: bybit\n  currency: USDT\n  skip_empty_bars: true\n"
    before, _, rest = text.partition("data:\n")
    safety = "stale_after: 30s\nrisk: {max_loss: 100}\n"
    strategy = rest[rest.index("strategy:\n") :]
    path.write_text(f"{before}data:\n{data}execution:\n{execution}{safety}{strategy}")

    assert load_deployment(path).loaded.experiment.venue.skip_empty_bars
