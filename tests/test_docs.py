"""The documentation holds: references are current, commands exist, examples load, links lead on."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pyarrow.parquet as pq
import pytest

from tests.small_experiment import BAR_TYPE, INSTRUMENT, SmallExperiment
from trading_runtime import api
from trading_runtime.cli.main import invoke, root
from trading_runtime.config.deployment import load_deployment
from trading_runtime.config.loading import parse_experiment, read_mapping
from trading_runtime.config.program import load_program
from trading_runtime.config.statistic_names import POINT_STATISTICS
from trading_runtime.datasets.data_file import Preparation
from trading_runtime.engine.instruments.files import read_instruments
from trading_runtime.errors import Kind, UsageError
from trading_runtime.planning.points import points
from trading_runtime.records.schema import EVENTS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
WRITTEN = [page for page in PAGES if page.parent.name != "reference"]
FENCE = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [text for name, text in found if name == language]


def console_commands() -> list[tuple[Path, list[str]]]:
    """Return each command that a page tells the reader to type, in words."""
    return [
        (page, shlex.split(line.removeprefix("$ "), comments=True))
        for page in WRITTEN
        for block in blocks(page, "console")
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


def test_reference_pages_are_what_the_code_says() -> None:
    script = ROOT / "scripts" / "make_reference.py"
    ended = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("page", "words"),
    console_commands(),
    ids=lambda value: " ".join(value)[:50] if isinstance(value, list) else value.name,
)
def test_every_command_in_the_pages_is_one(
    page: Path, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert page.exists()
    (tmp_path / "experiment.yaml").touch()
    monkeypatch.chdir(tmp_path)
    if words[0] == "cd":
        return
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return
    assert words[0] == "trading-runtime"
    command: click.Command = root
    context = click.Context(root, info_name="trading-runtime")
    words = words[1:]
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, words
        command, words = found, words[1:]
    # Parses the words as the command would, and refuses an unknown option or a missing argument.
    command.make_context(command.name, words)


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def test_the_experiment_in_the_readme_is_one(tmp_path: Path) -> None:
    (tmp_path / "my_strategies").mkdir()
    (tmp_path / "my_strategies" / "cross.py").touch()
    [text] = blocks(ROOT / "README.md", "yaml")
    experiment = parse_experiment(text, ".yaml", "README.md", tmp_path)
    # fast has 3 values, slow 30, 60, 90 and 120; every fast is below every slow.
    assert len(points(experiment)) == 12


def test_the_experiment_about_venues_is_one(tmp_path: Path) -> None:
    (tmp_path / "my_strategies").mkdir()
    (tmp_path / "my_strategies" / "basis.py").touch()
    [text] = blocks(ROOT / "docs" / "venues.md", "yaml")
    experiment = parse_experiment(text, ".yaml", "venues.md", tmp_path)
    assert [keys for keys, _ in experiment.venue_sections()] == [("venue",), ("venues", "SWAPS")]


def test_the_data_file_in_the_pages_is_one_and_its_instruments_can_be_read(tmp_path: Path) -> None:
    data_file, _, instruments = blocks(ROOT / "docs" / "data.md", "json")
    series = Preparation.model_validate(json.loads(data_file)).series
    assert [(item.type, item.instrument) for item in series] == [("bars", "BTCUSDT-PERP.SIM")]
    file = tmp_path / "instruments.json"
    file.write_text(instruments)
    assert "BTCUSDT-PERP.SIM" in read_instruments([file])


def blocks_of_all(language: str) -> list[tuple[Path, str]]:
    """Return each code block in one language, with its page."""
    return [(page, text) for page in WRITTEN for text in blocks(page, language)]


def test_no_block_of_code_is_in_a_language_that_no_test_reads() -> None:
    counted = {page.name: len(blocks(page, "json")) for page, _ in blocks_of_all("json")}
    python = {page.name: len(blocks(page, "python")) for page, _ in blocks_of_all("python")}
    languages = {name for page in WRITTEN for name, _ in FENCE.findall(page.read_text())}

    assert languages == {"console", "json", "mermaid", "python", "sh", "yaml"}
    assert counted == {"data.md": 3}
    assert python == {"data.md": 1, "notebook.md": 2, "strategies.md": 1}


@pytest.mark.parametrize(
    ("page", "text"), blocks_of_all("yaml"), ids=lambda value: str(value).rpartition("/")[2][:40]
)
def test_every_settings_in_the_pages_are_accepted_where_they_belong(
    page: Path, text: str, tmp_path: Path
) -> None:
    given = read_mapping(text, ".yaml", page.name).plain()
    if given.get("kind") == "CronWorkflow":
        submitted = given["spec"]["workflowSpec"]
        name = submitted["workflowTemplateRef"]["name"]
        template = ROOT / "argo" / f"workflowtemplate-{name}.yaml"
        known = read_mapping(template.read_text(), ".yaml", name).plain()["spec"]["arguments"]
        declared = {item["name"]: "value" in item for item in known["parameters"]}
        stated = {item["name"] for item in submitted["arguments"]["parameters"]}
        # The image has a default once it was deployed.
        assert {key for key, has_default in declared.items() if not has_default} == stated | {
            "image"
        }
        return
    problems = []
    for read, base in (
        (experiment_from, SCAFFOLD / "experiments" / "rsi.yaml"),
        (deployment_from, LOCAL / "paper.yaml"),
        (program_from, None),
    ):
        known = {} if base is None else read_mapping(base.read_text(), ".yaml", base.name).plain()
        inner = {
            key: {**known[key], **value}
            for key, value in given.items()
            if isinstance(value, dict) and isinstance(known.get(key), dict)
        }
        for content in (known | given, known | given | inner):
            try:
                read(content, tmp_path)
            except UsageError as error:
                problems.append(str(error))
            else:
                return
    pytest.fail("\n".join(problems))


SCAFFOLD = ROOT / "trading_runtime" / "project" / "templates"
LOCAL = ROOT / "trading_runtime" / "local"


def experiment_from(content: dict[str, object], folder: Path) -> None:
    for path in ("my_strategies/cross.py", "my_strategies/basis.py", "strategies/rsi.py"):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).touch()
    parse_experiment(json.dumps(content, default=float), ".json", "page", folder)


def deployment_from(content: dict[str, object], folder: Path) -> None:
    path = folder / "deployment.json"
    path.write_text(json.dumps(content, default=float))
    load_deployment(path)


def program_from(content: dict[str, object], folder: Path) -> None:
    path = folder / "program.json"
    path.write_text(json.dumps(content, default=float))
    load_program(path)


@pytest.mark.parametrize(
    ("page", "text"),
    blocks_of_all("sh"),
    ids=lambda value: value[-20:].strip() if isinstance(value, str) else value.name,
)
def test_every_shell_block_is_shell_and_its_scripts_and_templates_are_there(
    page: Path, text: str
) -> None:
    words = ["/usr/bin/env", "bash", "-n"]
    checked = subprocess.run(words, input=text, capture_output=True, text=True, check=False)
    assert checked.stderr == "", page.name
    for script in re.findall(r"scripts/[\w-]+\.sh", text):
        assert (ROOT / script).is_file()
    for template, rest in re.findall(r"workflowtemplate/([\w-]+)((?:.*\\\n)*.*)", text):
        known = (ROOT / "argo" / f"workflowtemplate-{template}.yaml").read_text()
        for parameter in re.findall(r"-p ([\w-]+)=", rest):
            assert re.search(rf"name: {parameter}$", known, re.MULTILINE), parameter


def test_every_statistic_is_explained() -> None:
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+)`", text))
    counted_by_name = {"orders", "fills", "warmup_short"}
    assert set(POINT_STATISTICS) - counted_by_name <= named


def test_the_strategy_in_the_pages_runs_and_trades(small: SmallExperiment) -> None:
    [source] = blocks(ROOT / "docs" / "strategies.md", "python")
    (small.folder / "own.py").write_text(source)
    config = {"instrument_id": INSTRUMENT, "bar_type": BAR_TYPE, "trade_size": "0.1"}
    strategy = {"path": "own.py:AboveAverage", "config": config}
    small.write(strategy=strategy, parameters={"period": [10]})

    run = api.run(small.path, workers=2)

    assert run.failures == []
    assert run.points["trades"][0] > 0


def test_the_custom_rows_in_the_pages_reach_their_strategy(
    small: SmallExperiment, small_dataset: Path, tmp_path: Path
) -> None:
    _, data_file, _ = blocks(ROOT / "docs" / "data.md", "json")
    source = small_dataset.with_name(f"{small_dataset.name}-source")
    for name in ("bars.csv", "instruments.json"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    # Known at 01:00 of the second, the third and the fourth day; bars end on the third.
    (tmp_path / "sentiment.csv").write_text(
        "date,score,Number of posts\n2024-01-01,0.5,3\n2024-01-02,-1,5\n2024-01-03,0.5,7\n"
    )
    (tmp_path / "sentiment.data.json").write_text(data_file)
    assert invoke(root, ["data", "prepare", str(tmp_path / "sentiment.data.json")]) == 0
    [strategy] = blocks(ROOT / "docs" / "data.md", "python")
    (small.folder / "moody.py").write_text(strategy)
    small.write(
        dataset={"path": str(tmp_path / "btc")},
        strategy={"path": "moody.py:Moody"},
        parameters={},
    )

    run = api.run(small.path, workers=1)

    assert run.failures == []
    tables = [pq.read_table(path) for path in small.results.rglob("orders.parquet")]
    orders = [(row["side"], float(row["quantity"])) for each in tables for row in each.to_pylist()]
    # Windows are days: the first has no row yet, and there is none of the fourth, without a bar.
    assert len(tables) == 3
    assert sorted(orders) == [("BUY", 0.003), ("SELL", 0.005)]
    assert invoke(root, ["verify", run.run_id, "--results", str(small.results)]) == 0


def test_the_cells_about_notebooks_run(
    small: SmallExperiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small.folder)
    (small.folder / "experiment.yaml").write_text(small.path.read_text())
    first, charts = blocks(ROOT / "docs" / "notebook.md", "python")
    cells = [first] if importlib.util.find_spec("plotly") is None else [first, charts]
    for cell in cells:
        exec(cell, {})  # noqa: S102 - a page of ours


def test_the_failures_in_the_pages_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|[^|]*\| `(\w+)`, ([\w ]+) \|[^|]*\| ([^|]*) \|", text, re.MULTILINE)
    said = {kind: int(code.split()[0]) for kind, code, _ in rows}
    events = {event for *_, cell in rows for event in re.findall(r"`(\w+)`", cell)}

    known = {kind.value: kind.exit_code for kind in Kind if kind not in {Kind.OK, Kind.INTERNAL}}
    assert said == known
    assert events <= EVENTS.keys()


NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def require_named_tests(text: str) -> None:
    """Fail when a page names a test that is not there."""
    for path, name in NAMED_TEST.findall(text):
        assert f"\ndef {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{path}::{name}"
    assert text.count("::") == len(NAMED_TEST.findall(text))


def test_each_statement_on_results_has_tests_that_are_there() -> None:
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    statistics = text.partition("## Statistics\n")[2].partition("\n## ")[0]
    assumed = text.partition("## What the numbers assume\n")[2].partition("\n## ")[0]
    table = text.partition("## Tests of these statements\n")[2].partition("\n## ")[0]
    said = [part.replace("*", "") for part in statistics.strip().split("\n\n")]
    said = [part for part in said if not part.startswith(("|", "Formulas"))]
    said += re.findall(r"^- (.*)$", assumed, re.MULTILINE)
    rows = dict(re.findall(r"^\| (?!statement)(.+?) \| (`.+`) \|$", table, re.MULTILINE))

    assert len(rows) > 20
    assert [part for part in said if not any(map(part.startswith, rows))] == []
    assert [key for key in rows if not any(part.startswith(key) for part in said)] == []
    require_named_tests(text)


def test_each_sentence_on_determinism_names_tests_that_are_there() -> None:
    text = (ROOT / "docs" / "determinism.md").read_text(encoding="utf-8")
    said = re.findall(r"^- .*?(?=\n- |\n\n|\Z)", text, re.DOTALL | re.MULTILINE)

    assert len(said) > 20
    assert [part for part in said if not NAMED_TEST.search(part)] == []
    require_named_tests(text)
