"""The labels of metrics know every rule, drill and status that the rooms above and below have."""

from __future__ import annotations

from trading_runtime.engine import risk
from trading_runtime.metrics import definitions
from trading_runtime.operations.drills import names
from trading_runtime.runs.status import DIED, UNKNOWN, Status


def test_every_rule_of_a_risk_profile_has_its_label() -> None:
    assert set(definitions.RULES) == set(risk.RULES)


def test_every_drill_has_its_label() -> None:
    assert set(definitions.DRILLS) == set(names.DRILLS)


def test_every_status_of_a_run_has_its_label() -> None:
    assert {str(state) for state in definitions.RunState} == {*map(str, Status), DIED, UNKNOWN}
