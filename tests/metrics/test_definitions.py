"""The labels of metrics know every rule, drill and status that the rooms above and below have."""

from __future__ import annotations

import dataclasses

from trading_runtime.metrics import definitions
from trading_runtime.records.events import DRILLS
from trading_runtime.records.inputs import RiskInputs
from trading_runtime.records.status import DIED, UNKNOWN, Status


def test_every_rule_of_a_risk_profile_has_its_label() -> None:
    rules = {field.name for field in dataclasses.fields(RiskInputs)} - {"instruments"}

    assert set(definitions.VALUES["rule"]) == rules | {definitions.OTHER}


def test_every_drill_has_its_label() -> None:
    assert set(definitions.VALUES["drill"]) == set(DRILLS)


def test_every_status_of_a_run_has_its_label() -> None:
    assert set(definitions.VALUES["status"]) == {*map(str, Status), DIED, UNKNOWN}
