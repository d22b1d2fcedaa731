"""Pictures of all points of a run together."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import polars as pl
import pytest

from trading_runtime.report.pictures.canvas import BLUE, EMPTY, GOLD, RED, colours_for
from trading_runtime.report.pictures.pairs import pairs_picture
from trading_runtime.report.pictures.parameters import parallel_picture, parameters_picture
from trading_runtime.report.pictures.trials import importance_picture, logits_picture
from trading_runtime.results.importance import Importance


def test_each_point_is_a_line_over_its_parameters_and_the_best_is_drawn_last() -> None:
    names = ("fast", "slow", "side")
    rows = [(point, point % 3, point % 4, "ab"[point % 2], float(point)) for point in range(12)]
    columns = ["point", *(f"param.{name}" for name in names), "sharpe"]
    points = pl.DataFrame(rows, columns, orient="row")
    drawn = parallel_picture(points, "sharpe", "maximize", 11)
    assert drawn is not None
    lines = [each for each in ET.fromstring(drawn).iter() if each.get("fill") == "none"]  # noqa: S314

    assert len(lines) == 12
    assert lines[-1].get("stroke") == GOLD
    assert parallel_picture(points.drop("param.side"), "sharpe", "maximize", 11) is None


def test_each_pair_of_parameters_is_a_map_of_medians() -> None:
    rows = [
        (0, 1, 10, True, 1.0),
        (1, 1, 10, False, 3.0),
        (2, 1, 20, True, 8.0),
        (3, 2, 10, True, -4.0),
        (4, 2, 20, False, None),
    ]
    columns = ["point", "param.fast", "param.slow", "param.exit", "sharpe"]
    points = pl.DataFrame(rows, columns, orient="row")
    drawn = pairs_picture(points, "sharpe", 2)
    assert drawn is not None
    boxes = [each for each in ET.fromstring(drawn).iter() if each.tag.endswith("rect")]  # noqa: S314

    # By hand, of points 0 to 3; the last one has no value.
    over_fast_and_slow = [2.0, 8.0, -4.0]
    over_fast_and_exit = [4.5, 3.0, -4.0]
    over_slow_and_exit = [-1.5, 3.0, 8.0]
    medians = [*over_fast_and_slow, *over_fast_and_exit, *over_slow_and_exit]
    colours = colours_for(medians)
    filled = sorted(str(each.get("fill")) for each in boxes if each.get("stroke") == "white")
    assert filled == sorted(map(colours.of, medians))
    assert sum(each.get("fill") == EMPTY for each in boxes) == 3, "one for each pair"
    assert sum(each.get("stroke") == GOLD for each in boxes) == 3, "the best point, in each"
    assert pairs_picture(points.drop("param.exit"), "sharpe", 2) is None


def test_numbers_with_many_values_are_put_into_ranges_of_equal_width() -> None:
    rows = [(point, point, 0.5 * point, point % 2, float(point)) for point in range(32)]
    columns = ["point", "param.fast", "param.stop", "param.exit", "sharpe"]
    drawn = pairs_picture(pl.DataFrame(rows, columns, orient="row"), "sharpe", None)
    assert drawn is not None
    boxes = [each for each in ET.fromstring(drawn).iter() if each.get("stroke") == "white"]  # noqa: S314

    # Four ranges of eight points; fast and stop rise together, and exit has two values in each.
    assert len(boxes) == 4 + 2 * 4 + 2 * 4


def test_points_that_were_drawn_are_all_shown_and_not_the_few_that_share_other_values() -> None:
    """With the best point's third value there are three, on two values of each of the others."""
    rows = [
        (point, 7 * point % 20, 3 * point % 10, point // 3, float(point)) for point in range(30)
    ]
    columns = ["point", "param.fast", "param.slow", "param.stop", "sharpe"]
    drawn = parameters_picture(pl.DataFrame(rows, columns, orient="row"), "sharpe", 29)
    assert drawn is not None

    assert drawn.kind == "scatter"
    dots = [each for each in ET.fromstring(drawn.svg).iter() if each.tag.endswith("circle")]  # noqa: S314
    assert len(dots) == 30 + 1, "one is ringed"
    assert drawn.caption.startswith("Each dot is a point; stop")


def test_what_was_chosen_and_then_worse_than_the_median_is_left_of_zero() -> None:
    drawn = logits_picture([(-2.0, 1), (0.0, 2), (1.0, 3), (2.0, 4)])
    assert drawn is not None
    heights = {RED: 0.0, BLUE: 0.0}
    for each in ET.fromstring(drawn).iter():  # noqa: S314
        if each.get("fill") in heights:
            heights[str(each.get("fill"))] += float(each.get("height", 0))

    # A logit of zero counts as overfit; each sample of the legend is 8 high.
    assert (heights[RED] - 8) / (heights[BLUE] - 8) == pytest.approx(3 / 7, rel=0.01)


def test_a_parameter_that_explains_nothing_has_a_bar_that_is_seen_and_says_so() -> None:
    drawn = importance_picture([Importance("fast", 0.5), Importance("slow", 0.0)], "sharpe")
    assert drawn is not None
    parts = [*ET.fromstring(drawn).iter()]  # noqa: S314
    half, none = [float(each.get("width", 0)) for each in parts if each.get("fill") == BLUE]

    assert half > 100 * none > 0
    texts = [each.text for each in parts if each.tag.endswith("text")]
    assert "50%" in texts
    assert "0%: no more than chance" in texts
