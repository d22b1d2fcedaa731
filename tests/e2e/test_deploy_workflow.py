"""The workflow that deploys by CI, run by ``act``, and an experiment from what it deployed."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.e2e.servers import committed
from tests.e2e.site import PARAMETERS, registry_secret
from tests.e2e.workflows import Namespace, run
from tests.wheel import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.servers import StorageProxy
    from tests.e2e.site import Site

WORKFLOW = ".github/workflows/deploy_argo_template.yaml"
RUNNER = ("self-hosted", "microk8s")
"""The labels of the runner; both are this machine."""


def act() -> str:
    """Return the path of act; skip the test where there is none."""
    path = shutil.which("act") or shutil.which("act", path=str(ROOT / ".tools" / "bin"))
    if path is None:
        pytest.skip("act is not on this machine; scripts/act.sh builds it")
    return path


def repository(folder: Path, owner: str) -> Path:
    """Make a checkout of what the workflow uses, as a repository of an owner on GitHub."""
    for name in (".github", "argo", "scripts"):
        shutil.copytree(ROOT / name, folder / name)
    committed(folder)
    address = f"https://github.com/{owner}/trading-runtime"
    subprocess.run(["git", "remote", "add", "origin", address], cwd=folder, check=True)
    return folder


@pytest.fixture
def backtests(site: Site, image: str, egress_ports: str, tmp_path: Path) -> Iterator[Namespace]:
    """A namespace for experiments, which nothing but the workflow made."""
    program = act()
    registry = registry_secret(site.settings)
    checkout = repository(tmp_path / "checkout", registry["GHCR_USERNAME"])
    secret = tmp_path / "secrets"
    secret.write_text(f"GHCR_TOKEN={registry['GHCR_TOKEN']}\n")
    names = {"K8S_NAMESPACE": f"{site.name}-ci", "K8S_BUILD_NAMESPACE": f"{site.name}-ci-builds"}
    variables = names | {
        "KUBECTL": "kubectl",
        "PARAMETERS": PARAMETERS,
        "EGRESS_PORTS": egress_ports,
    }
    environment = {
        "KUBECONFIG": os.environ["KUBECONFIG"],
        "REGISTRY_SERVERS": registry["REGISTRY_SERVERS"],
    }
    try:
        ended = subprocess.run(
            [
                *(program, "workflow_dispatch", "--workflows", WORKFLOW, "--pull=false"),
                *(word for label in RUNNER for word in ("--platform", f"{label}=-self-hosted")),
                *(word for item in variables.items() for word in ("--var", "=".join(item))),
                *(word for item in environment.items() for word in ("--env", "=".join(item))),
                *("--input", f"image={image}", "--secret-file", str(secret)),
            ],
            cwd=checkout,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        printed = ended.stdout + ended.stderr
        assert ended.returncode == 0, printed
        assert registry["GHCR_TOKEN"] not in printed
        yield Namespace(names["K8S_NAMESPACE"])
    finally:
        if not os.environ.get("E2E_KEEP"):
            run(
                "kubectl", "delete", "namespace", "--ignore-not-found", *names.values(), timeout=300
            )


def test_what_the_workflow_deploys_gives_the_digest_of_a_laptop(
    site: Site, backtests: Namespace, storage_proxy: StorageProxy
) -> None:
    there = {"K8S_NAMESPACE": backtests.name}
    site.script("create-s3-secret.sh", AWS_ENDPOINT_URL=storage_proxy.endpoint, **there)
    experiment = site.experiment("deployed-by-ci", results=f"{site.place}/results-of-ci")
    workflow = backtests.succeeded(backtests.submit(experiment=experiment.put()))
    assert workflow.outputs["run_digest"] == experiment.run_on_laptop()["run_digest"]
