"""What a strategy says and what a parameter is called reach no record, page or terminal raw."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.small_experiment import SmallExperiment
from trading_runtime.cli.main import invoke, root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RAW = re.compile(
    rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xaa-\xae]|\xe2\x81\xa6"
)
FORMULA = "=cmd|' /C calc'!A0"
LONG = f"long {'x' * 100_000}"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, small_dataset: Path) -> SmallExperiment:
    """A run whose strategy raises with all that steers, and with 50 MB."""
    experiment = SmallExperiment(tmp_path_factory.mktemp("said"), small_dataset)
    texts = ["\x1b[31m\x9b\u202e", FORMULA, LONG, "huge"]
    experiment.use("saying.py:Saying", text=texts)
    experiment.write(labels={"who": "\x1b]0;title\x07\u2066"})
    ended = experiment.run("--run-id", "x", "--workers", "1")
    assert ended.returncode == 5, ended.stderr
    assert RAW.search(ended.stderr.encode() + ended.stdout.encode()) is None
    return experiment


@pytest.fixture
def printed(
    said: SmallExperiment, capfdbinary: pytest.CaptureFixture[bytes]
) -> Callable[[str], bytes]:
    """What a command prints over that run, on both streams."""

    def of(command: str) -> bytes:
        invoke(root, [*command.split(), "--results", str(said.results)])
        shown = capfdbinary.readouterr()
        assert b"internal error" not in shown.err
        return shown.out + shown.err

    return of


def test_every_record_and_page_of_a_run_is_fit_to_be_shown(said: SmallExperiment) -> None:
    written = [
        path
        for path in (said.results / "runs" / "x").rglob("*")
        if path.is_file() and path.suffix != ".parquet"
    ]

    assert {path.name for path in written} >= {
        "journal.jsonl", "metadata.json", "report.md", "index.html", "experiment.json",
    }  # fmt: skip
    assert [path for path in written if RAW.search(path.read_bytes())] == []
    assert "\\u001b" in (said.results / "runs" / "x" / "report.md").read_text()


@pytest.mark.parametrize(
    "command",
    [
        "runs list", "runs show x", "runs show x --json", "runs watch x", "runs check x",
        "results list", "results show x", "results show x --json", "why x x", "results list --json",
        "results export x --to csv", "results export x --points --to csv", "metrics export x",
    ],
)  # fmt: skip
def test_no_command_passes_it_on(printed: Callable[[str], bytes], command: str) -> None:
    shown = printed(command)

    assert shown
    assert RAW.search(shown) is None


def test_a_table_of_points_holds_no_formula(printed: Callable[[str], bytes]) -> None:
    text = printed("results export x --to csv").decode().partition("rows written")[0]
    rows = list(csv.DictReader(io.StringIO(text)))

    assert f"'{FORMULA}" in {row["param.text"] for row in rows}
    assert not any(cell.startswith("=") for row in rows for cell in row.values() if cell)


def test_a_message_of_50_mb_is_kept_as_its_beginning_and_end(said: SmallExperiment) -> None:
    sizes = [path.stat().st_size for path in said.run_file("x", "failures").iterdir()]

    assert max(sizes) < 100_000
    texts = [
        json.loads(path.read_text())["message"] for path in said.run_file("x", "failures").iterdir()
    ]
    [long] = [text for text in texts if "characters left out" in text]
    assert len(long) < 4_200
    assert said.run_file("x", "journal.jsonl").stat().st_size < 100_000
    assert said.run_file("x", "report.md").stat().st_size < 300_000
