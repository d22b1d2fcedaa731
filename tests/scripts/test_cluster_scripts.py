"""The scripts that touch a cluster refuse what cannot be right before they touch it."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from tests.scripts.machine import ROOT

if TYPE_CHECKING:
    from pathlib import Path

# Where a script went on, it would call this, and end with another exit code.
NO_CLUSTER = {"PATH": os.environ["PATH"], "KUBECTL": "false"}


@pytest.mark.parametrize(
    ("script", "settings", "said"),
    [
        ("deploy-argo.sh", {"IMAGE": "ghcr.io/a/b:latest"}, "write it by digest"),
        ("deploy-argo.sh", {"K8S_NAMESPACE": "a b"}, "K8S_NAMESPACE is 'a b'"),
        (
            "deploy-argo.sh",
            {"K8S_NAMESPACE": "one", "K8S_BUILD_NAMESPACE": "one"},
            "a namespace of their own",
        ),
        ("deploy-argo.sh", {"EGRESS": "s3.example.org:443"}, "no range of addresses"),
        ("deploy-argo.sh", {"PARAMETERS": "memory-mib=abc"}, "a whole number of MiB of 64 or more"),
        ("deploy-argo.sh", {"PARAMETERS": "cpu=1 node-selector=garbage"}, "write labels as JSON"),
        ("deploy-argo.sh", {"PARAMETERS": "tolerations={}"}, "'tolerations={}' is not accepted"),
        ("deploy-argo.sh", {"PARAMETERS": "priority-class=nobody"}, "no such PriorityClass"),
        ("deploy-argo.sh", {"PARALLELISM": "many"}, "PARALLELISM is 'many'"),
        ("create-registry-secrets.sh", {}, "GHCR_TOKEN is not set"),
        (
            "create-registry-secrets.sh",
            {"GHCR_TOKEN": "x", "REGISTRY_SERVERS": 'a"b'},
            "is not a server",
        ),
        ("create-s3-secret.sh", {}, "AWS_ACCESS_KEY_ID is not set"),
        ("e2e.sh", {"KUBECONFIG": "x"}, "AWS_ENDPOINT_URL AWS_ACCESS_KEY_ID"),
    ],
)
def test_it_says_what_is_not_right(script: str, settings: dict[str, str], said: str) -> None:
    ended = subprocess.run(
        [str(ROOT / "scripts" / script)],
        env=NO_CLUSTER | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert said in ended.stderr


KUBECTL = """#!/bin/bash
echo "$*" >>"$APPLIED.calls"
case "$*" in
*"get service"*) printf 10.152.183.1 ;;
*"get endpoints"*) printf '192.0.2.50 192.0.2.51' ;;
*"get networkpolicy"*) test -n "$DEPLOYED" ;;
apply*"--filename -"*) { echo ---; cat; } >>"$APPLIED.apply" ;;
esac
"""

# A template that was deployed before; its file has other defaults, and one parameter is gone since.
PATCHES = """#!/bin/bash
case "$*" in
get*parallelism*) [[ -z $DEPLOYED ]] || printf 20 ;;
apply*"--filename -") cat >/dev/null ;;
get\\ workflowtemplate*) printf '%s' "$DEPLOYED" ;;
*"--type merge --patch {}"*) printf 'cpu=1\\nretries=4\\nimage=\\nnode-selector={}\\n' ;;
esac
if [[ $1 == patch && $6 == json ]]; then printf '%s %s\\n' "$4" "$8" >>"$PATCHES"; fi
"""


def deploy(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Deploy to a stand-in that notes its calls, and what it is told to apply from its input."""
    kubectl = folder / "kubectl"
    kubectl.write_text(KUBECTL)
    kubectl.chmod(0o755)
    stand_in = {"KUBECTL": str(kubectl), "APPLIED": str(folder / "applied")}
    return subprocess.run(
        [str(ROOT / "scripts" / "deploy-argo.sh")],
        env=NO_CLUSTER | stand_in | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def opened(folder: Path) -> set[str]:
    """The namespaces whose pods reach storage and the API at every address."""
    calls = (folder / "applied.calls").read_text().splitlines()
    return {call.split()[2] for call in calls if "network-any.yaml" in call}


def test_pods_of_work_reach_every_address_only_when_that_is_said(tmp_path: Path) -> None:
    ended = deploy(tmp_path)

    assert ended.returncode == 2
    assert "EGRESS is not set: write where the storage is" in ended.stderr
    assert not (tmp_path / "applied.apply").exists()
    assert deploy(tmp_path, DEPLOYED="1").returncode == 0  # what is there stays
    assert opened(tmp_path) == {"image-builds"}
    assert deploy(tmp_path, EGRESS_PORTS="443").returncode == 0
    assert opened(tmp_path) == {"image-builds", "backtests"}


def test_with_egress_pods_of_work_reach_storage_and_the_api_and_nothing_else(
    tmp_path: Path,
) -> None:
    ended = deploy(tmp_path, EGRESS="192.0.2.0/24 198.51.100.7/32:9000")
    assert ended.returncode == 0, ended.stderr
    assert opened(tmp_path) == {"image-builds"}
    applied = (tmp_path / "applied.apply").read_text()
    [policy] = [
        found
        for found in YAML(typ="safe").load_all(applied)
        if found and found["kind"] == "NetworkPolicy"
    ]
    reached = {
        rule["to"][0]["ipBlock"]["cidr"]: [port["port"] for port in rule["ports"]]
        for rule in policy["spec"]["egress"]
    }

    # It takes the place of a policy of this name that lets port 443 of any address be reached.
    assert policy["metadata"]["name"] == "api-and-storage"
    assert reached == {
        "192.0.2.0/24": [443],
        "198.51.100.7/32": [9000],
        "10.152.183.1/32": [443, 6443, 16443],
        "192.0.2.50/32": [443, 6443, 16443],
        "192.0.2.51/32": [443, 6443, 16443],
    }


def patched(folder: Path, **given: str) -> dict[str, dict[str, object]]:
    """What is written into the templates, by file and by parameter or path."""
    kubectl = folder / "kubectl"
    kubectl.write_text(PATCHES)
    kubectl.chmod(0o755)
    (folder / "patches").unlink(missing_ok=True)
    settings = {"KUBECTL": str(kubectl), "PATCHES": str(folder / "patches"), "EGRESS_PORTS": "443"}
    ended = subprocess.run(
        [str(ROOT / "scripts" / "deploy-argo.sh")],
        env=NO_CLUSTER | settings | given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    written: dict[str, dict[str, object]] = {}
    for line in (folder / "patches").read_text().splitlines():
        file, _, patches = line.partition(" ")
        found, name = written.setdefault(file, {}), None
        for patch in json.loads(patches):
            if patch["op"] == "test":
                name = patch["value"]
            else:
                found[name or patch["path"]] = patch["value"]
                name = None
    return written


def test_what_is_deployed_stays_unless_it_is_said_anew(tmp_path: Path) -> None:
    deployed = "cpu=2\nretries=4\nimage=x@sha256:1\nnode-selector={}\nno-more=1\n"

    written = patched(tmp_path, DEPLOYED=deployed)
    names = ("backtest", "prepare", "import")
    assert set(written) == {f"workflowtemplate-{name}.yaml" for name in names}
    for found in written.values():
        assert found == {"cpu": "2", "image": "x@sha256:1", "/spec/parallelism": 20}
    written = patched(tmp_path, DEPLOYED=deployed, PARAMETERS="cpu=3", PARALLELISM="7")
    for found in written.values():
        assert found == {"cpu": "3", "image": "x@sha256:1", "/spec/parallelism": 7}


def test_a_default_may_be_json_with_spaces(tmp_path: Path) -> None:
    selector = '{"kubernetes.io/arch": "amd64", "disk": "ssd"}'
    tolerations = '[{"key": "spot", "operator": "Exists"}]'
    given = f" cpu=2  node-selector={selector}\ntolerations={tolerations} priority-class= "

    written = patched(tmp_path, PARAMETERS=given)["workflowtemplate-backtest.yaml"]

    assert written == {
        "cpu": "2",
        "node-selector": selector,
        "tolerations": tolerations,
        "priority-class": "",
    }


def test_all_templates_get_the_image_and_each_the_defaults_that_it_has(tmp_path: Path) -> None:
    image = f"ghcr.io/a/b@sha256:{'0' * 64}"
    written = patched(tmp_path, IMAGE=image, PARAMETERS="cpu=2 batch-seconds=60")

    assert written == {
        "workflowtemplate-backtest.yaml": {"cpu": "2", "batch-seconds": "60", "image": image},
        "workflowtemplate-prepare.yaml": {"cpu": "2", "image": image},
        "workflowtemplate-import.yaml": {"cpu": "2", "image": image},
    }
