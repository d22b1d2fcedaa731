"""Search with Optuna and the engine alone, as a script does that keeps nothing but the best point.

    python -m benchmarks.programs.bare_search SETTINGS

The JSON document SETTINGS has the catalog, the bar type, the highest index and the step of both
averages, the first generation, one seed for each further generation, and how many processes run
backtests. Prints all points that were tried, as indices, in their order.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import optuna
from nautilus_trader.backtest import (
    BacktestDataConfig,
    BacktestEngineConfig,
    BacktestNode,
    BacktestRunConfig,
    BacktestVenueConfig,
)
from nautilus_trader.common import LoggerConfig
from nautilus_trader.execution import MakerTakerFeeModel
from nautilus_trader.model import BarType, NautilusDataType, Venue
from trading_runtime.strategies.ema_cross import EMACross, EMACrossConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    type Point = dict[str, int]

_CHUNK_ROWS = 50_000


def backtest(settings: dict[str, Any], point: Point) -> float:
    """Return the equity that a point ends with."""
    bar_type = BarType.from_str(settings["bar_type"])
    venue = BacktestVenueConfig(
        name=bar_type.instrument_id.venue.value,
        oms_type="NETTING",
        account_type="MARGIN",
        starting_balances=["100000 USDT"],
        default_leverage=Decimal(10),
        fee_model=MakerTakerFeeModel(Decimal("0.0002"), Decimal("0.0005")),
    )
    data = BacktestDataConfig(
        NautilusDataType.Bar, settings["catalog"], bar_types=[settings["bar_type"]]
    )
    node = BacktestNode([
        BacktestRunConfig(
            [venue],
            [data],
            BacktestEngineConfig(logging=LoggerConfig(bypass_logging=True), run_analysis=False),
            id="bare",
            chunk_size=_CHUNK_ROWS,
            raise_exception=True,
            dispose_on_completion=False,
        )
    ])  # fmt: skip
    node.build()
    numbers = {name: low + step * point[name] for name, (low, step, _) in settings["axes"].items()}
    config = EMACrossConfig(
        instrument_id=bar_type.instrument_id,
        bar_type=bar_type,
        trade_size=settings["trade_size"],
        **numbers,
    )
    node.add_strategy("bare", EMACross(config))
    node.run()
    [equity] = node.get_engine_portfolio("bare").equity(Venue(venue.name)).values()
    node.dispose()
    return float(equity.as_double())


def search(settings: dict[str, Any], pool: ProcessPoolExecutor) -> list[Point]:
    """Return all points that were tried."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    axes = settings["axes"].items()
    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.IntDistribution(0, last) for name, (_, _, last) in axes
    }
    for point in settings["first"]:
        study.enqueue_trial(point)
    for seed in [0, *settings["seeds"]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study.sampler = optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=1, multivariate=True, constant_liar=True
            )
            asked, repeated = _asked(study, distributions, len(settings["first"]))
        running = [pool.submit(backtest, settings, trial.params) for trial in asked]
        for trial, result in zip(asked, running, strict=True):
            study.tell(trial, result.result())
        for trial in repeated:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return [trial.params for trial in study.trials if trial.value is not None]


def _asked(
    study: optuna.Study,
    distributions: dict[str, optuna.distributions.BaseDistribution],
    count: int,
) -> tuple[list[optuna.Trial], list[optuna.Trial]]:
    """Return so many trials of new points, and those between them that repeat a point."""
    tried = [trial.params for trial in study.trials if trial.value is not None]
    new: list[optuna.Trial] = []
    repeated: list[optuna.Trial] = []
    while len(new) < count:
        trial = study.ask(distributions)
        (repeated if trial.params in tried else new).append(trial)
        tried.append(trial.params)
    return new, repeated


def main(arguments: Sequence[str]) -> None:
    """Search and print the points."""
    settings = json.loads(arguments[0])
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(settings["processes"], mp_context=context) as pool:
        sys.stdout.write(json.dumps(search(settings, pool)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
