"""A result that holds survives what should not matter: checks of a point, and its twins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import Kind
from trading_runtime.search.robustness import deepest_loss, neighbours

if TYPE_CHECKING:
    import pytest

    from tests.small_experiment import SmallExperiment


def findings(
    experiment: SmallExperiment, capsys: pytest.CaptureFixture[str], *options: str
) -> dict[str, Any]:
    capsys.readouterr()
    words = ["results", "robustness", "run", *options, "--results", str(experiment.results)]
    assert invoke(root, [*words, "--json"]) == 0
    content: dict[str, Any] = json.loads(capsys.readouterr().out)
    return content


def test_twins_are_what_an_experiment_with_that_change_gives_and_are_no_trials(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    # The first point divides by zero.
    small.write(parameters={"every": [0, 40, 60]}, robustness={"seeds": 1, "fee_factor": "3"})
    run = api.run(small.path, run_id="run", workers=1, allow_incomplete=True)
    before = sorted(path.name for path in (small.results / "ledger").iterdir())
    found = findings(small, capsys, "--point", "1")

    assert sorted(path.name for path in (small.results / "ledger").iterdir()) == before
    by_name = {each["name"]: each for each in found["findings"]}
    assert [name for name in by_name if by_name[name]["holds"] is None] == []
    near = by_name["neighbours"]
    assert near["value"] == float(run.points["net_profit"][2])
    assert near["text"].endswith(" of 1, 1 failed")

    # The same changes written by hand; their results must be those of the twins.
    fees = {"model": "maker_taker", "maker": "0.0006", "taker": "0.0015"}
    latency = {"base": "1s"}
    changes: dict[str, dict[str, Any]] = {
        "fees x 3": {"venue": small.content["venue"] | {"fees": fees}},
        "latency + 1s": {"venue": small.content["venue"] | {"latency": latency}},
        "one bar late (1m)": {"venue": small.content["venue"] | {"latency": {"base": "1m"}}},
        "seed 2": {"seed": 2},
        "windows twice as long": {"partitions": {"by": "day", "count": 2}},
    }
    original = dict(small.content)
    for number, (name, change) in enumerate(changes.items()):
        small.write(**original | {"parameters": {"every": [40]}} | change)
        run = api.run(small.path, run_id=f"by-hand-{number}", workers=1)
        assert by_name[name]["value"] == float(run.points["net_profit"][0]), name

    small.write(**original)
    assert findings(small, capsys, "--point", "1") == found | {"computed": 0}


def test_a_point_whose_twin_fails_is_fragile(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    """It imports a module that only the seed of the run lets pass."""
    small.write(parameters={"every": [20]}, robustness={"seeds": 0})
    small.write(limits={"task_seconds": 3600})
    path = small.folder / "counting.py"
    path.write_text(
        path.read_text().replace(
            "        self.bars = 0\n",
            "        self.bars = 0\n        self.chance = random.random()\n"
            "        if round(self.chance, 6) != FIRST:\n            raise ValueError('chance')\n",
        )
        + "\n\nrandom.seed(1)\nFIRST = round(random.random(), 6)\n"
    )
    small.write(robustness={"seeds": 1}, seed=1)
    api.run(small.path, run_id="run", workers=1)
    found = findings(small, capsys, "--point", "0")

    [seeded] = [each for each in found["findings"] if each["name"] == "seed 2"]
    assert seeded["holds"] is False
    assert "3 tasks failed" in seeded["text"]


def test_neighbours_differ_in_one_parameter_by_the_next_value() -> None:
    points = [{"fast": fast, "slow": slow} for fast in (5, 10, 20) for slow in (50, 60, 80)]

    # (10, 60) has (5, 60), (20, 60), (10, 50) and (10, 80).
    assert [
        points[number] for number in neighbours(points, points.index({"fast": 10, "slow": 60}))
    ] == [
        {"fast": 5, "slow": 60},
        {"fast": 10, "slow": 50},
        {"fast": 10, "slow": 80},
        {"fast": 20, "slow": 60},
    ]
    # At a corner there are two.
    assert neighbours(points, 0) == [1, 3]


def test_values_without_an_order_are_all_neighbours() -> None:
    assert neighbours([{"side": "long"}, {"side": "short"}, {"side": "both"}], 1) == [0, 2]


def test_the_deepest_loss_is_measured_from_the_highest_sum_so_far() -> None:
    # Sums: 5, 2, -2, 4, 1; the highest before -2 was 5.
    assert deepest_loss([5, -3, -4, 6, -3]) == 7
    assert deepest_loss([1, 2, 3]) == 0
    assert deepest_loss([-4, 1]) == 4


def test_a_point_that_the_run_lacks_is_refused(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(partitions={"by": "day", "end": "2024-01-02"}, parameters={"every": [20]})
    api.run(small.path, run_id="run", workers=1)
    words = ["results", "robustness", "run", "--point", "9", "--results", str(small.results)]

    assert invoke(root, words) == Kind.USAGE.exit_code
    assert "the run's points are 0 to 0" in capsys.readouterr().err
