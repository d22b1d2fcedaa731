"""What the namespace refuses, and what the accounts may do."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.e2e.site import Site


def may(site: Site, account: str) -> set[tuple[str, str]]:
    """Return what an account may do in the namespace, as verbs on resources."""
    told = site.backtests.kubectl(
        *("auth", "can-i", "--list", "--no-headers"),
        f"--as=system:serviceaccount:{site.backtests.name}:{account}",
    )
    found = set()
    for line in told.splitlines():
        resource = line.split()[0]
        verbs = line[line.rindex("[") + 1 : line.rindex("]")].split()
        if not resource.startswith("["):
            found |= {(resource, verb) for verb in verbs}
    return found


def test_the_accounts_may_do_nothing_but_report(site: Site) -> None:
    # What every account may ask: who it is, and what it may do.
    of_all = {
        ("selfsubjectreviews.authentication.k8s.io", "create"),
        ("selfsubjectaccessreviews.authorization.k8s.io", "create"),
        ("selfsubjectrulesreviews.authorization.k8s.io", "create"),
    }
    assert may(site, "backtest") == of_all
    assert may(site, "backtest-executor") == of_all | {
        ("workflowtaskresults.argoproj.io", "create"),
        ("workflowtaskresults.argoproj.io", "patch"),
    }


def test_the_namespace_refuses_pods_that_ask_for_more(site: Site) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "asks-for-more"},
        "spec": {"containers": [{"name": "main", "image": "x"}]},
    }
    ended = subprocess.run(
        ["kubectl", "create", "-n", site.backtests.name, "--dry-run=server", "-f", "-"],
        input=json.dumps(pod),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert 'violates PodSecurity "restricted' in ended.stderr


def test_the_cluster_takes_every_template_as_it_is(site: Site) -> None:
    for name in ("backtest", "prepare", "build-push-ghcr"):
        path = f"argo/workflowtemplate-{name}.yaml"
        site.backtests.kubectl("apply", "--dry-run=server", "--validate=strict", "--filename", path)


def test_nothing_comes_in_and_little_goes_out(site: Site) -> None:
    policies = json.loads(site.backtests.kubectl("get", "networkpolicies", "-o", "json"))["items"]
    found = {item["metadata"]["name"]: item["spec"] for item in policies}
    assert found["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert all("ingress" not in spec for spec in found.values())
    ports = [(port["protocol"], port["port"]) for port in found["dns"]["egress"][0]["ports"]]
    assert ports == [("UDP", 53), ("TCP", 53)]
