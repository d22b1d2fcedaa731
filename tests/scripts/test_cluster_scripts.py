"""The scripts that touch a cluster refuse what cannot be right before they touch it."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.scripts.machine import ROOT

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
