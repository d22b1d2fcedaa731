"""What deploys Prometheus and Grafana is sound, mounts what is there, and asks for no rights."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.monitoring.tools import tool
from tests.small_experiment import ROOT

FOLDER = ROOT / "deploy" / "monitoring"
MANIFESTS = sorted((FOLDER / "cluster").glob("*.yaml"))
EXACT = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}")
"""A version to read, and the digest that it had."""


def load(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def objects() -> list[dict[str, Any]]:
    """Return every object of the cluster's manifests."""
    return [item for path in MANIFESTS for item in YAML(typ="safe").load_all(path)]


def pods() -> list[dict[str, Any]]:
    """Return the pod of every deployment."""
    return [item["spec"]["template"]["spec"] for item in objects() if item["kind"] == "Deployment"]


def test_prometheus_accepts_its_configuration_and_the_rules() -> None:
    command = [tool("promtool"), "check", "config", "prometheus.yaml"]
    ended = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "1 rule files found" in ended.stdout


def test_laptop_and_cluster_call_the_server_by_the_name_that_prometheus_asks() -> None:
    [scraped] = load(FOLDER / "prometheus.yaml")["scrape_configs"]
    [target] = scraped["static_configs"][0]["targets"]
    name, _, port = target.partition(":")
    services = {item["metadata"]["name"]: item for item in objects() if item["kind"] == "Service"}

    assert scraped["job_name"] == "trading-runtime"
    assert name in load(FOLDER / "compose.yaml")["services"]
    assert services[name]["spec"]["ports"] == [{"port": int(port)}]
    [source] = load(FOLDER / "grafana" / "datasources.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert services["prometheus"]["spec"]["ports"] == [{"port": 9090}]


def test_on_a_laptop_every_file_that_is_mounted_is_there_and_nothing_is_seen_from_outside() -> None:
    compose = load(FOLDER / "compose.yaml")
    for name, service in compose["services"].items():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        assert "build" in service or EXACT.fullmatch(service["image"]), name
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (FOLDER / source).exists(), source
            else:
                assert source in compose["volumes"] or source.startswith("${")


def test_the_images_base_is_named_by_its_digest() -> None:
    text = (ROOT / "Dockerfile").read_text()
    [base] = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", text, re.MULTILINE)
    stages = re.findall(r"^FROM (\S+)(?: AS (\w+))?$", text, re.MULTILINE)

    assert EXACT.fullmatch(base)
    assert {stage for stage, _ in stages} <= {"${PYTHON_IMAGE}", *(name for _, name in stages)}


def test_in_a_cluster_pods_ask_for_nothing_and_have_their_limits() -> None:
    assert len(pods()) == 3
    for pod in pods():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert container["image"] == "trading-runtime" or EXACT.fullmatch(container["image"])
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def test_what_pods_mount_is_made_of_files_that_are_there() -> None:
    kustomization = load(FOLDER / "kustomization.yaml")
    made = {item["name"]: item for item in kustomization["configMapGenerator"]}
    files = {name: item.get("files", []) for name, item in made.items()}
    used = {
        volume["configMap"]["name"]: [item["key"] for item in volume["configMap"].get("items", [])]
        for pod in pods()
        for volume in pod["volumes"]
        if "configMap" in volume
    }

    assert {FOLDER / path for path in kustomization["resources"]} == set(MANIFESTS)
    assert used.keys() | {"results"} == made.keys()
    for name, keys in used.items():
        assert set(keys) <= {Path(path).name for path in files[name]}
    everything = {path for paths in files.values() for path in paths}
    assert all((FOLDER / path).is_file() for path in everything)
    shown = {f"dashboards/{path.name}" for path in (FOLDER / "dashboards").iterdir()}
    assert shown <= everything


def test_nothing_may_talk_unless_a_policy_says_so() -> None:
    policies = {
        item["metadata"]["name"]: item["spec"]
        for item in objects()
        if item["kind"] == "NetworkPolicy"
    }
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    # To the outside: the server of the metrics alone, to the storage.
    outside = [name for name, spec in policies.items() if "ipBlock" in str(spec)]
    assert outside == ["storage"]
    assert policies["storage"]["podSelector"]["matchLabels"] == {
        "app.kubernetes.io/name": "metrics"
    }


def test_kustomize_makes_one_whole_of_them() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not on this machine; it renders deploy/monitoring")
    command = [kubectl, "kustomize", str(FOLDER)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    made = list(YAML(typ="safe").load_all(ended.stdout))

    assert {item["metadata"].get("namespace") for item in made if item["kind"] != "Namespace"} == {
        "trading-runtime-monitoring"
    }
    [metrics] = [
        item
        for item in made
        if item["kind"] == "Deployment" and item["metadata"]["name"] == "metrics"
    ]
    [container] = metrics["spec"]["template"]["spec"]["containers"]
    # The name that stands in the manifest was replaced by the image that the user names.
    assert container["image"].startswith("ghcr.io/")
    maps = {item["metadata"]["name"] for item in made if item["kind"] == "ConfigMap"}
    assert container["envFrom"][0]["configMapRef"]["name"] in maps
