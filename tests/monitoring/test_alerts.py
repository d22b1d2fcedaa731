"""Each alert is shown firing and not firing, says how bad it is, and leads to its page."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.metrics.sample_folder import SampleRun
from tests.monitoring.tools import tool
from tests.small_experiment import ROOT
from trading_runtime.metrics.collector import FolderCollector
from trading_runtime.metrics.definitions import OF_FOLDER, OF_RUN, PREFIX
from trading_runtime.metrics.exposition import text_of
from trading_runtime.results.store import open_store

# Records written by hand: with no more in them than the collector reads, and some damaged.
pytestmark = pytest.mark.damages_journals

RULES = ROOT / "deploy" / "monitoring" / "rules" / "trading-runtime.rules.yaml"
CASES = Path(__file__).parent / "alerts.test.yaml"
PAGE = ROOT / "docs" / "operations.md"
NAMES = {PREFIX + item.name for item in (*OF_FOLDER, *OF_RUN)}


def load(path: Path) -> Any:
    return YAML(typ="safe").load(path)


ALERTS: list[dict[str, Any]] = [rule for group in load(RULES)["groups"] for rule in group["rules"]]


def run(program: str, *arguments: str, given: bytes = b"") -> None:
    ended = subprocess.run(
        [tool(program), *arguments], input=given, capture_output=True, check=False
    )
    assert ended.returncode == 0, (ended.stdout + ended.stderr).decode()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_says_how_bad_it_is_what_happened_and_where_to_read_on(
    alert: dict[str, Any],
) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["annotations"]["summary"]
    page, _, part = alert["annotations"]["runbook_url"].partition("#")
    assert ROOT / page == PAGE
    parts = re.findall(r"^### (.*)\n\n(\w+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    stated = {title.lower().replace(" ", "-"): first.lower() for title, first in parts}
    assert stated[part] == alert["labels"]["severity"]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_asks_for_metrics_that_there_are(alert: dict[str, Any]) -> None:
    asked = set(re.findall(rf"{PREFIX}\w+", alert["expr"]))
    assert asked <= NAMES
    assert asked or "up{" in alert["expr"]


def test_every_alert_is_shown_firing_and_not_firing() -> None:
    shown: dict[str, set[bool]] = {}
    for case in load(CASES)["tests"]:
        for step in case["alert_rule_test"]:
            shown.setdefault(step["alertname"], set()).add(bool(step["exp_alerts"]))

    assert shown == {alert["alert"]: {True, False} for alert in ALERTS}


def test_the_rules_are_sound_and_fire_when_they_should() -> None:
    run("promtool", "check", "rules", str(RULES))
    run("promtool", "test", "rules", str(CASES))


def test_a_rule_that_never_fires_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES.read_text().replace("== 1", "== 2"))
    cases = CASES.read_text().replace("../../deploy/monitoring/rules/trading-runtime.", "")
    (tmp_path / "cases.yaml").write_text(cases)

    with pytest.raises(AssertionError, match="TradingRuntimeRunFailed"):
        run("promtool", "test", "rules", str(tmp_path / "cases.yaml"))


def test_promtool_finds_nothing_to_say_of_the_metrics(tmp_path: Path) -> None:
    run_of_all = SampleRun(tmp_path, "run", "complete")
    run_of_all.say(1, "run_started", tasks=1, pending=1, memory_limit_bytes=2)
    run_of_all.say(
        2, "task_completed", task_id="t", seconds=1, rows=2, memory_bytes=1, fetched_bytes=1
    )
    text = text_of(FolderCollector(open_store(tmp_path), 50))

    run("promtool", "check", "metrics", given=text)
