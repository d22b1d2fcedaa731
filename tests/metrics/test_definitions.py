"""The labels of metrics know every rule, drill and status that the rooms above and below have."""

from __future__ import annotations

from trading_runtime.engine.risk import profile as risk
from trading_runtime.metrics import definitions
from trading_runtime.records.events import DRILLS
from trading_runtime.records.status import DIED, UNKNOWN, Status


def test_every_rule_of_a_risk_profile_has_its_label() -> None:
    assert set(definitions.RULES) == set(risk.RULES)


def test_every_drill_has_its_label() -> None:
    assert set(definitions.VALUES["drill"]) == set(DRILLS)


def test_every_status_of_a_run_has_its_label() -> None:
    assert set(definitions.VALUES["status"]) == {*map(str, Status), DIED, UNKNOWN}
