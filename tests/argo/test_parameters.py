"""Parameters for pods are refused where no pod could be made with them, before anything is sent."""

from __future__ import annotations

import re
import subprocess

import pytest
from ruamel.yaml import YAML

from tests.scripts.machine import ROOT
from trading_runtime.argo.parameters import CHECKS, checked_parameters
from trading_runtime.errors import UsageError


@pytest.mark.parametrize(
    "text",
    [
        "memory-mib=8192",
        "cpu=1500m",
        "cpu=0.5",
        "scratch-size=20Gi",
        "retries=0",
        'node-selector={"karpenter.sh/capacity-type":"spot","zone":""}',
        "node-selector={}",
        'tolerations=[{"key":"spot","operator":"Exists","effect":"NoSchedule"}]',
        'tolerations=[{"operator":"Exists"}]',
        'tolerations=[{"key":"a","value":"b","effect":"NoExecute","tolerationSeconds":60}]',
        "priority-class=system-cluster-critical",
        "priority-class=",
        "report-artifact=false",
    ],
)
def test_what_kubernetes_takes_is_accepted(text: str) -> None:
    name, _, value = text.partition("=")

    assert checked_parameters([text]) == {name: value}
    assert is_accepted_by_a_shell(name, value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("memory-mib=abc", "a whole number of MiB"),
        ("memory-mib=0", "of 64 or more"),
        ("memory-mib=-1", "a whole number"),
        ("step-memory-mib=2Gi", "a whole number of MiB"),
        ("memory-mib=99999999999999999999", "a whole number"),
        ("scratch-size=big", "a quantity such as 20Gi"),
        ("scratch-size=0Gi", "a quantity"),
        ("scratch-size=10 Gi", "a quantity"),
        ("cpu=-1", "a quantity such as 2 or 500m"),
        ("cpu=", "a quantity"),
        ("retries=many", "a whole number of 0 or more"),
        ("step-deadline-seconds=0", "a whole number of seconds of 1 or more"),
        ("node-selector=garbage", "labels as JSON"),
        ('node-selector={"a":1}', "labels as JSON"),
        ('node-selector=["a"]', "labels as JSON"),
        ('node-selector={"a b":"c"}', "labels as JSON"),
        ('node-selector={"é":"c"}', "labels as JSON"),
        (f"node-selector={'[' * 100_000}", "labels as JSON"),
        ("tolerations={}", "JSON such as"),
        ('tolerations=[{"key":"a","operator":"In"}]', "JSON such as"),
        ('tolerations=[{"key":"a","operator":"Exists","value":"b"}]', "JSON such as"),
        ('tolerations=[{"key":"a","effect":"Never"}]', "JSON such as"),
        ('tolerations=[{"key":"a","tolerationSeconds":60}]', "JSON such as"),
        ('tolerations=[{"kez":"a"}]', "JSON such as"),
        ("tolerations=[{}]", "JSON such as"),
        ("priority-class=High Priority", "the name of a PriorityClass"),
        ("report-artifact=yes", "true or false"),
        ("priority-class={{workflow.name}}", "the name of a PriorityClass"),
        ("memory=1", "no such parameter; accepted are"),
        ("memory-mib", "write name=value"),
        ("image=x", "submit sets it from --image"),
    ],
)
def test_what_no_pod_could_be_made_with_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        checked_parameters([text])

    assert said in str(raised.value)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    "text",
    [
        *("memory-mib=63", "memory-mib=64 ", "retries=-1", "cpu=0", "cpu=0.0", "cpu=.5"),
        *("cpu=1e3", "scratch-size=0Gi", "step-deadline-seconds=0", "report-artifact=True"),
        *("node-selector=garbage", 'node-selector={"a b":"c"}', 'node-selector={"a":"b",}'),
        *("tolerations={}", 'tolerations=[{"kez":"a"}]', 'tolerations=[{"effect":"Never"}]'),
        'tolerations=[{"key":"a","operator":"In"}]',
    ],
)
def test_a_shell_refuses_by_the_same_patterns(text: str) -> None:
    name, _, value = text.partition("=")

    assert not is_accepted_by_a_shell(name, value)
    with pytest.raises(UsageError):
        checked_parameters([text])


def is_accepted_by_a_shell(name: str, value: str) -> bool:
    """Match a value as ``deploy-argo.sh`` does."""
    command = ["bash", "-c", "[[ $1 =~ ^($2)$ ]]", "bash", value, CHECKS[name].pattern]
    return subprocess.run(command, check=False).returncode == 0


def test_no_pattern_has_what_argo_would_read() -> None:
    for check in CHECKS.values():
        assert not re.search(r"\{\{|\}\}|`|'", check.pattern + check.wanted)


def test_a_parameter_is_given_once() -> None:
    with pytest.raises(UsageError, match="given twice"):
        checked_parameters(["cpu=1", "cpu=2"])


def test_each_parameter_of_the_template_can_be_set_or_is_set_by_submit() -> None:
    template = YAML(typ="safe").load((ROOT / "argo" / "workflowtemplate-backtest.yaml").read_text())
    named = {item["name"] for item in template["spec"]["arguments"]["parameters"]}
    own = {"experiment", "code", "run-id", "image", "batch-seconds", "most-batches"}

    assert named == CHECKS.keys() | own
    defaults = {
        item["name"]: item.get("value") for item in template["spec"]["arguments"]["parameters"]
    }
    given = [f"{name}={defaults[name]}" for name in CHECKS]
    assert checked_parameters(given).keys() == CHECKS.keys()
