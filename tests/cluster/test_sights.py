"""What ``list --cluster`` says of a deployment, from documents as Kubernetes gives them."""

from __future__ import annotations

from typing import Any

import pytest

from trading_runtime.argo.kubectl_command import sight_of_deployment


def deployment(replicas: int = 1) -> dict[str, Any]:
    container = {"name": "main", "image": "i@sha256:ab"}
    template = {"spec": {"containers": [container]}}
    return {"metadata": {"name": "ema"}, "spec": {"replicas": replicas, "template": template}}


def pod(
    state: dict[str, Any], name: str = "ema-2", of: str = "ema", **status: Any
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/instance": of},
            "creationTimestamp": f"2024-01-01T00:00:0{name[-1]}Z",
        },
        "status": {"containerStatuses": [{"state": state, **status}]},
    }


LOOP = {"waiting": {"reason": "CrashLoopBackOff"}}
OUT_OF_MEMORY = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
USAGE = {"terminated": {"exitCode": 2, "reason": "Error", "message": "error: no\n such key\n"}}


@pytest.mark.parametrize(
    ("found", "phase", "why"),
    [
        (pod({"running": {}}, ready=True), "running", ""),
        (pod({"running": {}}, ready=False), "not ready", ""),
        (
            pod(LOOP, restartCount=3, lastState=USAGE),
            "crash loop",
            "exit code 2 (Error): error: no such key",
        ),
        (
            pod(LOOP, restartCount=1, lastState=OUT_OF_MEMORY),
            "backing off",
            "exit code 137 (out of memory)",
        ),
        (
            pod({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}),
            "starting",
            "not found",
        ),
    ],
)
def test_a_pod_says_how_it_is_and_why(found: dict[str, Any], phase: str, why: str) -> None:
    sight = sight_of_deployment(deployment(), [found])

    assert (sight.phase, sight.why) == (phase, why)


def test_the_newest_pod_of_the_deployment_counts() -> None:
    pods = [
        pod(LOOP, "ema-1", restartCount=9),
        pod({"running": {}}, "ema-2", ready=True),
        pod(LOOP, "bot-3", of="bot", restartCount=9),
    ]
    sight = sight_of_deployment(deployment(), pods)

    assert (sight.pod, sight.phase, sight.restarts) == ("ema-2", "running", 0)


def test_without_a_pod_it_is_stopped_or_about_to_start() -> None:
    assert sight_of_deployment(deployment(0), []).phase == "stopped"
    assert sight_of_deployment(deployment(1), []).phase == "starting"
