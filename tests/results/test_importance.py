"""How much parameters matter, and what was best at each point of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from tests.small_experiment import SmallExperiment
from trading_runtime import api
from trading_runtime.results.importance import best_so_far, importances

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def points(**columns: Sequence[object]) -> pl.DataFrame:
    """Return points with parameters, of which ``sharpe`` is the objective."""
    names = {name: name if name == "sharpe" else f"param.{name}" for name in columns}
    return pl.DataFrame({names[name]: values for name, values in columns.items()})


def test_the_share_of_a_parameter_is_what_analysis_of_variance_gives_by_hand() -> None:
    # Total 20 around a mean of 3; within the two groups of "side" 2 each: 4.
    # 1 - (4 - 1) / (4 - 2) * 4 / 20 = 0.7. The groups of "fast" have equal means: below zero.
    found = importances(
        points(
            side=["a", "a", "b", "b"], fast=[1, 2, 1, 2], one=[7] * 4, sharpe=[0.0, 2.0, 4.0, 6.0]
        ),
        "sharpe",
    )

    assert [each.parameter for each in found] == ["side", "fast"]
    assert found[0].share == pytest.approx(0.7)
    assert found[1].share == 0


def test_a_parameter_of_many_values_explains_nothing_by_having_one_point_each() -> None:
    values = [float(number * 7919 % 101) for number in range(64)]
    found = importances(points(drawn=list(range(64)), sharpe=values), "sharpe")
    assert found[0].share == pytest.approx(0, abs=0.1)

    found = importances(points(drawn=list(range(64)), sharpe=list(range(64))), "sharpe")
    assert found[0].share == pytest.approx(0.98, abs=0.01)
    assert (
        importances(points(kind=["a", "b", "c"], sharpe=[1.0, 2.0, 3.0]), "sharpe")[0].share is None
    )


def test_the_best_so_far_passes_over_points_without_a_value() -> None:
    frame = points(sharpe=[None, 1.0, 0.5, None, 3.0]).with_columns(point=pl.Series(range(5)))

    assert [step.best for step in best_so_far(frame, "sharpe", "maximize")] == [None, 1, 1, 1, 3]
    assert [step.best for step in best_so_far(frame, "sharpe", "minimize")] == [
        None,
        1,
        0.5,
        0.5,
        0.5,
    ]


def test_a_searched_and_validated_run_shows_all_of_it_in_its_report_and_as_tables(
    tmp_path: Path, long_dataset: Path
) -> None:
    experiment = SmallExperiment(tmp_path / "long", long_dataset)
    experiment.write(
        partitions={"by": "week"},
        parameters={"every": [3, 5, 7], "size_step": [1, 2, 4]},
        search={"method": "random", "points": 8, "seed": 3},
        validation={"method": "walk-forward", "train_size": 2, "test_size": 1},
    )
    run = api.run(experiment.path, run_id="run", workers=1)

    folder, page = run.report.parent, run.report.read_text()
    for name in ("importance", "progress", "logits", "splits"):
        assert (folder / f"{name}.svg").exists(), name
        assert f'src="{name}.svg"' in page
    walked = run.walk_forward(2, 1)
    assert walked.splits.height == 4
    assert walked.splits["point"].null_count() == 0
    for row in walked.splits.iter_rows(named=True):
        tested = run.results.filter(
            (pl.col("point") == row["point"]) & (pl.col("start") == row["test_start"])
        )
        assert float(tested["net_profit"].item()) == row["tested"]
    final = walked.equity["equity"][-1] - walked.equity["equity"][0]
    assert float(final) == pytest.approx(sum(walked.splits["tested"]))
    logits = run.logits
    counted = logits.rows()
    below = sum(count for logit, count in counted if logit <= 0)
    luck = run.summary.luck
    assert luck is not None
    assert luck.overfitting is not None
    assert below / sum(count for _, count in counted) == pytest.approx(luck.overfitting.probability)
    assert run.best_so_far["best"][-1] == max(map(float, run.points["net_profit"]))
    assert set(run.importance["parameter"]) == {"every", "size_step"}
