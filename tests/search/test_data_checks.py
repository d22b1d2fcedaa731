"""Orders must depend neither on rows that come after them, nor on how long the warm-up was."""

from __future__ import annotations

import json
import pickle
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.errors import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_experiment import SmallExperiment


def checked(
    capsys: pytest.CaptureFixture[str], experiment: SmallExperiment, *command: str
) -> tuple[int, dict[str, Any], str]:
    """Return exit code, printed JSON and message of a check of the experiment's run."""
    api.run(experiment.path, run_id="run", workers=1)
    capsys.readouterr()
    code = invoke(root, [*command, "--results", str(experiment.results), "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out or "{}"), said.err


def peek(experiment: SmallExperiment, how: str, every: int = 20, **changes: Any) -> None:
    """Use the strategy that peeks, on the first day."""
    experiment.use("peeking.py:Peeking", every=[every])
    experiment.content["strategy"]["config"] |= {"how": how, **changes}
    experiment.write()


@pytest.mark.parametrize(
    "how", ["fair", "timer", "resting", "internal", "equity", "rolling", "right"]
)
def test_a_fair_strategy_sends_the_same_orders_on_cut_data(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    peek(small, how)
    small.write(at_end="close")
    code, found, message = checked(capsys, small, "lookahead", "check", "run", "--cuts", "4")

    assert code == 0, message
    assert found["orders"] > 0
    assert found["files_opened"] == []
    assert [cut["difference"] for cut in found["cuts"]] == [None] * len(found["cuts"])
    if how == "fair":  # 12 orders of 240 bars, cut at every third
        assert [cut["orders"] for cut in found["cuts"]] == [3, 6, 9, 12]


def test_the_first_order_that_depends_on_later_rows_is_named(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    """It sells in the first half of the rows that its task has: cut data has another half."""
    peek(small, "rows")
    code, found, message = checked(capsys, small, "lookahead", "check", "run", "--cuts", "4")

    assert code == Kind.DIFFERS.exit_code
    assert "orders depend on rows that come after them" in message
    # Of the first 60 rows the half is over at 30: the order at 40 buys, where it sold before.
    first = found["cuts"][0]
    assert first["until"] == "2024-01-01T01:00:00Z"
    assert first["difference"]["order"] == 1
    assert first["difference"]["first"].startswith("2024-01-01T00:40:00Z MARKET SELL 0.01 ")
    assert first["difference"]["second"].startswith("2024-01-01T00:40:00Z MARKET BUY 0.01 ")


def test_a_strategy_that_sends_an_order_unless_it_sees_the_next_row_is_caught_between_orders(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    """It buys at each 20th bar unless the next close is lower, which cut data does not show."""
    peek(small, "next")
    code, found, _ = checked(capsys, small, "lookahead", "check", "run", "--cuts", "2")

    assert code == Kind.DIFFERS.exit_code
    [between, at_an_order] = found["cuts"]
    assert at_an_order["difference"] is None
    assert between["difference"]["first"] is None
    minutes = int(between["until"][14:16]) + 60 * int(between["until"][11:13])
    assert minutes % 20 == 0, "a bar at which it decides"
    assert between["difference"]["second"].startswith(between["until"])


def test_bars_that_are_resampled_and_named_by_where_they_begin_are_caught(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bar of an instant ends with a close that is yet to come; cut data does not have it."""
    peek(small, "left")
    code, found, message = checked(capsys, small, "lookahead", "check", "run", "--cuts", "12")

    assert code == Kind.DIFFERS.exit_code
    assert "orders depend on rows that come after them" in message
    assert found["files_opened"] == []


def test_what_was_made_from_all_data_is_told_of_wherever_a_strategy_loads_it(
    small: SmallExperiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fitted model, the next day's file, a table read at import, and a download kept before."""
    model, table = small.folder / "fitted.pickle", small.folder / "table.json"
    tomorrow, kept = small.folder / "fitted-2024-01-02.csv", tmp_path / "kept.csv"
    model.write_bytes(pickle.dumps([0.5]))
    table.write_text("{}")
    tomorrow.write_text("close\n")
    kept.write_text("close\n")
    code = small.folder / "peeking.py"
    peek(small, "learned", every=100, file=str(model.with_suffix("")))
    loads = f"TABLE, KEPT = (Path(name).read_text() for name in {[str(table), str(kept)]})"
    first = "if TYPE_CHECKING:"
    code.write_text(code.read_text().replace(first, f"{loads}\n{first}", 1))
    ended, found, message = checked(capsys, small, "lookahead", "check", "run", "--cuts", "1")

    assert ended == Kind.DIFFERS.exit_code
    assert sorted(found["files_opened"]) == sorted(map(str, (model, table, tomorrow, kept)))
    assert "the strategy opens" in message


def test_orders_that_follow_from_the_time_or_chance_are_told_apart_from_later_rows(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    peek(small, "time")
    code, _, message = checked(capsys, small, "lookahead", "check", "run", "--cuts", "1")

    assert code == Kind.NONDETERMINISTIC.exit_code
    assert "the same task gave other orders the second time" in message


def test_whatever_leads_out_of_the_process_is_told_of(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    signals = small.folder / "signals"
    for path in (signals, signals.with_suffix(".db")):
        path.touch()
    peek(small, "ways", file=str(signals))
    code, found, message = checked(capsys, small, "lookahead", "check", "run", "--cuts", "1")

    assert code == Kind.DIFFERS.exit_code
    assert found["files_opened"] == [
        *(str(signals), f"{signals}.db"),
        *("a connection to 127.0.0.1", "a connection to 127.0.0.1:9", "the program /bin/cat"),
    ]
    allowed = [word for name in found["files_opened"] for word in ("--allow-file", name)]
    command = ["lookahead", "check", "run", "--cuts", "1", *allowed]
    assert invoke(root, [*command, "--results", str(small.results)]) == 0, message


@pytest.mark.parametrize("how", ["file", "native"])
def test_a_strategy_that_opens_a_file_is_told_of(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    [bars] = (small.folder / small.content["dataset"]["path"]).rglob("data/bars/*/*.parquet")
    signals = small.folder / "signals.parquet"
    shutil.copy(bars, signals)
    peek(small, how, file=str(signals))
    code, found, message = checked(capsys, small, "lookahead", "check", "run", "--cuts", "1")

    assert code == Kind.DIFFERS.exit_code
    assert found["files_opened"] == [str(signals)]
    assert f"the strategy opens {signals}" in message

    allowed = ["lookahead", "check", "run", "--cuts", "1", "--allow-file", str(signals)]
    assert invoke(root, [*allowed, "--results", str(small.results)]) == 0


def test_a_warm_up_is_long_enough_when_longer_ones_change_no_order(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.use("peeking.py:Peeking", every=[20])
    small.write(partitions={"by": "day"})
    code, found, _ = checked(capsys, small, "warmup", "check", "run")

    # It counts bars: a warm-up of 24 hours has 240 more, a multiple of 20.
    assert code == 0
    assert found["needed"] == "0s"
    # Twelve, and the one that closes.
    assert {step["orders"] for step in found["warmups"]} == {13}


def test_a_warm_up_that_is_too_short_is_told_with_the_one_that_is_not(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str]
) -> None:
    small.use("peeking.py:Peeking", every=[1])
    small.content["strategy"]["config"] |= {"how": "mean"}
    small.write(partitions={"by": "day"})
    code, found, message = checked(capsys, small, "warmup", "check", "run", "--most", "7")

    # The nights have no rows: until a warm-up reaches the evening before, nothing changes.
    assert [step["warmup"] for step in found["warmups"]] == [
        *("0s", "1h", "2h", "4h", "8h", "16h"),
        "1d8h",
    ]
    changed = [step["warmup"] for step in found["warmups"] if step["difference"] is not None]
    assert changed == ["16h"]
    assert code == Kind.DIFFERS.exit_code
    assert "orders still change at a warm-up of 1d8h" in message


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lookahead", "check", "run", "--point", "4"], "the run's points are 0 to 0"),
        (["lookahead", "check", "run", "--partition", "1"], "the run's windows are 0 to 0"),
        (["warmup", "check", "run"], "the run has no data before this window"),
        (["warmup", "check", "none"], "none"),
    ],
)
def test_what_cannot_be_checked_is_refused(
    small: SmallExperiment, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    small.use("peeking.py:Peeking", every=[50])
    code, _, message = checked(capsys, small, *words)

    assert code == Kind.USAGE.exit_code
    assert said in message
