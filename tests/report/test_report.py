"""The report that a person reads, for runs of every shape."""

from __future__ import annotations

import dataclasses
import html.parser
import re
import xml.etree.ElementTree as ET
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tests.plans import VENUE, venue_inputs
from tests.results.sample_run import sample_run, with_common
from trading_runtime.records.inputs import StrategyInputs
from trading_runtime.report.assumptions import assumptions
from trading_runtime.report.write import markdown_cell, markdown_fence, write_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trading_runtime.report.content import ReportInputs

SIZES = [Decimal("0.1"), Decimal("0.2")]
SHAPES: dict[str, Callable[[], ReportInputs]] = {
    "one point, one partition": lambda: sample_run({}, partitions=1),
    "one partition": lambda: sample_run({"fast": [1, 2, 3]}, partitions=1),
    "one point": lambda: sample_run({}, partitions=4),
    "two parameters": lambda: sample_run({"fast": [1, 2, 3], "slow": [7, 8]}),
    "three parameters": lambda: sample_run({"fast": [1, 2], "slow": [7, 8], "size": SIZES}),
    "texts as parameters": lambda: sample_run({"mode": ["$x$", "<b>"], "on": [True, False]}),
    "no trades": lambda: sample_run({"fast": [1, 2]}, trades_per_task=0),
    "all failed": lambda: sample_run({"fast": [1, 2]}, status=lambda _k, _i: "strategy"),
    "nothing there": lambda: sample_run({"fast": [1, 2]}, status=lambda _k, _i: "missing"),
    "one missing": lambda: sample_run(
        {"fast": [1, 2]}, status=lambda k, i: "missing" if k + i == 0 else "ok"
    ),
    "all ruined": lambda: sample_run({"fast": [1, 2]}, ruin=lambda _k, _i: True),
    "windows of an hour": lambda: sample_run({"fast": [1, 2]}, partitions=50, days=1),
}


class Page(html.parser.HTMLParser):
    """What a page is made of: tags, attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def written(inputs: ReportInputs, folder: Path) -> tuple[Page, str]:
    write_report(inputs, folder)
    page = Page((folder / "report" / "index.html").read_text(encoding="utf-8"))
    assert not page.open
    return page, (folder / "report.md").read_text(encoding="utf-8")


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "report").glob("*.svg"))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_run_has_a_page_and_pictures_that_stand_alone(
    shape: str, tmp_path: Path
) -> None:
    page, markdown = written(SHAPES[shape](), tmp_path)
    assert "script" not in page.tags
    assert "link" not in page.tags
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name in {"src", "href"}:
            assert (tmp_path / "report" / value).is_file()
    for target in re.findall(r"\]\((.*?)\)", markdown):
        assert (tmp_path / target).is_file()
    assert not {"nan", "None", "inf"} & set(re.findall(r"\w+", page.text))
    for name in pictures(tmp_path):
        text = (tmp_path / "report" / name).read_text(encoding="utf-8")
        ET.fromstring(text)  # noqa: S314 - written by ourselves a line above
        for foreign in ("data:", "<image", "<!DOCTYPE"):
            assert foreign not in text


def test_two_parameters_and_partitions_give_these_pictures(tmp_path: Path) -> None:
    page, markdown = written(sample_run({"fast": [1, 2, 3], "slow": [7, 8]}), tmp_path)
    names = ["equity", "parameters", "importance", "ranking", "partitions"]
    assert pictures(tmp_path) == sorted(f"{name}.svg" for name in names)
    shown = [value for name, value in page.attributes if name == "src"]
    assert shown == [f"{name}.svg" for name in names]
    assert "report/equity.svg" in markdown


def test_the_third_parameter_is_held_at_the_best_value_and_that_is_said(tmp_path: Path) -> None:
    run = sample_run({"fast": [1, 2, 3], "slow": [7, 8, 9], "size": SIZES})
    page, _ = written(run, tmp_path)
    assert run.result.best is not None
    held = run.result.best.parameters["size"]
    assert f"Held: size = {held}. The best point is framed." in page.text


def test_a_path_and_a_date_are_broken_only_where_a_reader_expects_it(tmp_path: Path) -> None:
    run = sample_run({}, partitions=1)
    path = "own/strategies/very_long_name.py:VeryLongName"
    inputs = with_common(run, strategy=StrategyInputs(path, None))
    write_report(inputs, tmp_path)

    html = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    pieces = ["own/", "strategies/", "very_long_name.", "py:", "VeryLongName"]
    assert "".join(f"<span>{piece}</span>" for piece in pieces) in html
    assert "<span>2022-01-03</span>" in html


def test_pictures_of_an_earlier_report_do_not_stay(tmp_path: Path) -> None:
    write_report(sample_run({"fast": [1, 2], "slow": [7, 8]}), tmp_path)
    write_report(SHAPES["all failed"](), tmp_path)
    assert pictures(tmp_path) == []


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    run = sample_run({"fast": [1, 2, 3], "slow": [7, 8]})
    first, second = (write_report(run, tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_text_from_a_run_is_never_markup(tmp_path: Path) -> None:
    run = sample_run({"<i>": ["<b>x</b>", "|y|"]}, status=lambda k, _i: "strategy" if k else "ok")
    hostile = dataclasses.replace(run, identities={"<u>": "[x](javascript:y)"}, run_id="a&b")
    page, markdown = written(hostile, tmp_path)
    assert not {"i", "u", "script"} & page.tags
    assert "<script>alert(1)</script>" in page.text
    assert "<script>" not in markdown
    assert "[x](javascript" not in markdown


def test_the_best_point_and_its_statistics_are_shown(tmp_path: Path) -> None:
    run = sample_run({"fast": [1, 2, 3]}, metric="net_profit")
    page, markdown = written(run, tmp_path)
    winner = run.result.best
    assert winner is not None
    assert f"Best: point {winner.point}" in page.text
    assert "Highest net profit of 3 points." in page.text
    shown = f"{Decimal(str(winner.value)):,.2f}".replace("-", "\N{MINUS SIGN}")
    assert f"| Net profit (objective) | {shown} |" in markdown


def test_without_a_best_point_the_page_says_why(tmp_path: Path) -> None:
    page, _ = written(SHAPES["one missing"](), tmp_path)
    assert "1 task is missing, so no best point is named." in page.text
    page, _ = written(SHAPES["all failed"](), tmp_path)
    assert "8 tasks failed, and no point has all its results." in page.text
    page, _ = written(SHAPES["no trades"](), tmp_path)
    assert "No point has a Sharpe that is defined." in page.text


def test_failures_are_shown_by_kind_with_count_message_and_traceback(tmp_path: Path) -> None:
    run = sample_run({"fast": [1, 2, 3]}, status=lambda k, _i: "strategy" if k == 1 else "ok")
    page, markdown = written(run, tmp_path)
    assert "Incomplete: 8 of 12 tasks ok, 4 failed" in page.text
    assert "on_bar raised ZeroDivisionError" in page.text
    assert 'File "strategies/ema_cross.py", line 41' in page.text
    assert "- **strategy** (4 tasks): on\\_bar raised" in markdown


def test_two_thousand_points_are_cut_to_fifty_with_a_note(tmp_path: Path) -> None:
    run = sample_run({"fast": list(range(50)), "slow": list(range(40))}, partitions=1, days=2)
    page, markdown = written(run, tmp_path)
    assert "The first 50 of 2,000 points; all are in points.parquet." in page.text
    points = markdown.split("## Points")[1].split("##")[0]
    assert len(re.findall(r"^\| [0-9*]", points, re.MULTILINE)) == 50


def test_random_draws_are_scattered_when_a_grid_would_be_empty(tmp_path: Path) -> None:
    run = sample_run({"x": [Decimal(k) / 8 for k in range(70)]}, partitions=1, days=2)
    points = run.points.with_columns((run.points["point"] * 37 % 71).alias("param.y"))
    page, _ = written(dataclasses.replace(run, points=points), tmp_path)
    alts = [value for name, value in page.attributes if name == "alt"]
    assert "Sharpe over the parameters, as a scatter" in alts


def venue(**changes: Any) -> dict[str, Any]:
    return {"venue": venue_inputs(**changes)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "at the close of that same bar, at the same time"),
        ({}, "has about a quarter of its volume"),
        ({}, "0.02% of the traded value for a resting order, 0.05% for one that takes"),
        ({}, "commands take effect at the venue at once"),
        ({}, "No funding payments"),
        ({}, "At most 100 orders per 1s"),
        ({}, "marked to market there: 8 positions in 8 tasks"),
        ({}, "It was shorter than asked for 1 of 4 partitions"),
        ({}, "picked with hindsight"),
        (
            venue(latency=VENUE["latency"] | {"base": "20ms", "insert": "5ms"}),
            "fills 20ms and 5ms after it was sent",
        ),
        (
            venue(latency=VENUE["latency"] | {"base": "20ms"}),
            "Commands take 20ms for every command",
        ),
        (venue(fees={"model": "none"}), "no fees are charged"),
        (venue(fees={"model": "fixed", "amount": "1.50 USD"}), "1.50 USD for every order"),
        (venue(fees={"model": "per_contract", "amount": "2 USD"}), "2 USD for every contract"),
        (
            venue(fill=VENUE["fill"] | {"prob_slippage": "0.25"}),
            "slips by one tick 25% of the time",
        ),
        ({"at_end": "close"}, "closed by market orders at the window's end"),
    ],
)
def test_assumptions_under_the_numbers_are_said(changes: dict[str, Any], words: str) -> None:
    run = with_common(sample_run({"fast": [1, 2]}), **changes)
    assert any(words in assumption.text for assumption in assumptions(run))


def test_assumptions_stand_in_the_page_and_in_the_markdown(tmp_path: Path) -> None:
    run = sample_run({}, partitions=1)
    page, markdown = written(run, tmp_path)
    for assumption in assumptions(run):
        assert assumption.text in page.text
        assert markdown_cell(assumption.text) in markdown


def test_a_run_without_bars_is_told_nothing_about_bars() -> None:
    run = sample_run({"fast": [1, 2]})
    partitions = [
        dataclasses.replace(
            partition, data=tuple(series._replace(type="quotes") for series in partition.data)
        )
        for partition in run.plan.partitions
    ]
    plan = dataclasses.replace(run.plan, partitions=tuple(partitions))
    run = dataclasses.replace(run, plan=plan, data_types=("quotes",))
    assert not any("bar" in assumption.text.split() for assumption in assumptions(run))


def test_an_initial_balance_is_shown_in_groups_of_thousands(tmp_path: Path) -> None:
    run = with_common(sample_run({}, partitions=1), **venue(balances=["100000.5 USDT"]))
    page, _ = written(run, tmp_path)
    assert "Initial balance100,000.5 USDT" in page.text.replace("\n", "")


def test_ruined_accounts_and_few_days_are_warned_of(tmp_path: Path) -> None:
    run = sample_run({"fast": [1, 2]}, partitions=2, ruin=lambda k, i: k == 1 and i == 0)
    page, markdown = written(run, tmp_path)
    assert "Equity fell to zero or below in 1 task of 1 point." in page.text
    assert "> **Ruined accounts.**" in markdown
    assert "The period has only 14 days" in page.text


def test_markdown_holds_any_text_and_any_code() -> None:
    assert markdown_cell("a|b\n*c* [d](e) <f>") == "a\\|b \\*c\\* \\[d\\](e) \\<f\\>"
    assert markdown_fence("x ```` y") == "`````text\nx ```` y\n`````"
