"""What pods may do: accounts, rights, namespaces and network policies, as they are applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from argo import names
from trading_runtime.argo.cluster_names import ACCOUNT, LABELS

MANIFESTS = Path(__file__).resolve().parent.parent.parent / "argo" / "manifests"


def objects(file: str, kind: str) -> list[dict[str, Any]]:
    """Return the objects of one kind in a manifest."""
    found = YAML(typ="safe").load_all(MANIFESTS / file)
    return [item for item in found if item["kind"] == kind]


def test_the_namespace_of_experiments_enforces_restricted() -> None:
    [namespace] = objects("namespace.yaml", "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_images_are_built_in_another_namespace() -> None:
    [experiments] = objects("namespace.yaml", "Namespace")
    [builds] = objects("namespace-builds.yaml", "Namespace")
    assert experiments["metadata"]["name"] != builds["metadata"]["name"]


ROOMS = [
    ("accounts.yaml", ACCOUNT, names.EXECUTOR),
    ("accounts-builds.yaml", names.BUILDER, names.BUILDER_EXECUTOR),
]


@pytest.mark.parametrize(("file", "account", "executor"), ROOMS)
def test_only_the_executor_has_rights_and_only_to_report(
    file: str, account: str, executor: str
) -> None:
    accounts = {item["metadata"]["name"]: item for item in objects(file, "ServiceAccount")}
    assert accounts.keys() == {account, executor}
    assert all(item["automountServiceAccountToken"] is False for item in accounts.values())
    [role] = objects(file, "Role")
    assert role["rules"] == [
        {
            "apiGroups": ["argoproj.io"],
            "resources": ["workflowtaskresults"],
            "verbs": ["create", "patch"],
        }
    ]
    [binding] = objects(file, "RoleBinding")
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": executor}]


@pytest.mark.parametrize(("file", "account", "executor"), ROOMS)
def test_the_executors_token_has_the_name_that_argo_mounts(
    file: str, account: str, executor: str
) -> None:
    assert account != executor
    [secret] = objects(file, "Secret")
    assert secret["type"] == "kubernetes.io/service-account-token"
    assert secret["metadata"]["name"] == f"{executor}.service-account-token"
    assert secret["metadata"]["annotations"] == {"kubernetes.io/service-account.name": executor}


def test_nothing_comes_in_and_little_goes_out() -> None:
    policies = {
        item["metadata"]["name"]: item["spec"]
        for file in ("network.yaml", "network-any.yaml")
        for item in objects(file, "NetworkPolicy")
    }
    assert policies.pop("default-deny") == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    opened = {}
    for name, spec in policies.items():
        assert spec["policyTypes"] == ["Egress"]
        assert spec["podSelector"] == {"matchLabels": LABELS}
        opened[name] = [
            (port["protocol"], port["port"]) for rule in spec["egress"] for port in rule["ports"]
        ]
    assert opened == {
        "dns": [("UDP", 53), ("TCP", 53)],
        "api-and-storage": [("TCP", 443), ("TCP", 6443), ("TCP", 16443)],
    }


def test_a_nodes_metadata_service_is_not_reached() -> None:
    [rule] = [item["spec"]["egress"][0] for item in objects("network-any.yaml", "NetworkPolicy")]
    blocks = [to["ipBlock"] for to in rule["to"]]
    assert {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]} in blocks
