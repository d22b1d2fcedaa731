"""The front: points that no other beats in all objectives."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.results.front import non_dominated

if TYPE_CHECKING:
    import pytest

    from tests.small_experiment import SmallExperiment

OBJECTIVES = {
    "objective": {"metric": "net_profit"},
    "further_objectives": [{"metric": "trades", "direction": "minimize"}],
}


def test_what_another_beats_is_left_out_and_equals_stay() -> None:
    values = [(1, 5), (2, 5), (2, 4), (2, 5), (3, 9), (0, 1), (0, 2)]

    assert non_dominated(values, ["maximize", "minimize"]) == [2, 4, 5]
    assert non_dominated([(1, 1), (1, 1)], ["maximize", "maximize"]) == [0, 1]
    assert non_dominated([(3,), (5,), (5,)], ["maximize"]) == [1, 2]


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=30))
def test_the_front_is_what_every_pair_compared_says(values: list[tuple[int, int, int]]) -> None:
    def beats(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
        signed = [(a - b) * sign for a, b, sign in zip(one, other, (1, -1, 1), strict=True)]
        return min(signed) >= 0 and max(signed) > 0

    beaten = {two for one, two in product(values, values) if beats(one, two)}
    expected = [place for place, each in enumerate(values) if each not in beaten]

    assert non_dominated(values, ["maximize", "minimize", "maximize"]) == expected


def test_a_run_with_several_objectives_names_its_front_wherever_it_is_read(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.write(partitions={"by": "day", "end": "2024-01-02"}, **OBJECTIVES)
    assert invoke(root, ["run", str(small.path), "--run-id", "run"]) == 0
    said = capsys.readouterr().out
    run = api.open_run("run", small.results)
    points = run.points.sort("net_profit", descending=True)
    expected: list[dict[str, Any]] = []
    for row in points.iter_rows(named=True):
        if not expected or row["trades"] < expected[-1]["trades"]:
            expected.append(row)
    assert 1 < len(expected) <= 4

    front = run.result["front"]
    assert front["objectives"] == [
        {"metric": "net_profit", "direction": "maximize"},
        {"metric": "trades", "direction": "minimize"},
    ]
    assert [each["point"] for each in front["points"]] == [each["point"] for each in expected]
    assert [each["values"][1] for each in front["points"]] == [each["trades"] for each in expected]
    assert front["points"][0]["point"] == run.best_point
    assert run.front["point"].to_list() == [each["point"] for each in expected]
    assert f"front     {len(expected)} points that no other beats in all of: maximize n" in said
    page = run.report.read_text()
    assert "<h2>Front</h2>" in page
    assert 'src="front.svg"' in page
    assert (run.report.parent / "front.svg").exists()
    assert "## Front" in (run.files.folder / "report.md").read_text()
    assert invoke(root, ["runs", "check", "run", "--results", str(small.results)]) == 0

    small.write(further_objectives=[])
    again = api.run(small.path, run_id="single", workers=1)
    assert again.summary.front is None
    assert again.front["point"].to_list() == [again.best_point]
    assert again.summary.run_digest == run.summary.run_digest
