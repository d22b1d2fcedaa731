"""What the end-to-end tests are told of the cluster, storage and registry that they run on."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

REQUIRED = {
    "KUBECONFIG": "a cluster with Argo Workflows",
    "AWS_ENDPOINT_URL": "an S3 endpoint that this machine and pods reach",
    "AWS_ACCESS_KEY_ID": "a key for it",
    "AWS_SECRET_ACCESS_KEY": "the key's secret",
    "E2E_IMAGE": "an image's name in a registry that nodes pull from, as ghcr.io/owner/name",
    "REGISTRY_USER": "who may push there and pull",
    "REGISTRY_PASSWORD": "their password",
    "E2E_HOST": "the address at which pods reach this machine",
}


@dataclass(frozen=True)
class Settings:
    """The environment, read once."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    image: str
    """The image's name as nodes pull it, without tag or digest."""
    push_to: str
    """The same as builds push it, where the registry has another name in the cluster."""
    user: str
    password: str
    plain_registries: list[str]
    """Registries that speak http."""
    mirror: str
    """A mirror of docker.io for builds; empty: none."""
    python_image: str
    """The base image that the mirror has; empty: the Dockerfile's."""
    host: str
    restart_controller: list[str]
    """A command that restarts the workflow controller; empty: it is left running."""
    restart_kubelet: list[str]
    """A command that restarts the node's kubelet; empty: that test is left out."""
    strict_speed: bool
    """Whether the mark of speed is held, and not only told."""

    @classmethod
    def from_environment(cls) -> Settings:
        """Read the environment; ``missing`` must be empty."""
        image = os.environ["E2E_IMAGE"]
        return cls(
            endpoint=os.environ["AWS_ENDPOINT_URL"],
            access_key=os.environ["AWS_ACCESS_KEY_ID"],
            secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
            bucket=os.environ.get("E2E_BUCKET") or "research",
            image=image,
            push_to=os.environ.get("E2E_PUSH_TO") or image,
            user=os.environ["REGISTRY_USER"],
            password=os.environ["REGISTRY_PASSWORD"],
            plain_registries=(os.environ.get("E2E_PLAIN_REGISTRIES") or "").split(),
            mirror=os.environ.get("E2E_MIRROR") or "",
            python_image=os.environ.get("E2E_PYTHON_IMAGE") or "",
            host=os.environ["E2E_HOST"],
            restart_controller=shlex.split(os.environ.get("E2E_RESTART_CONTROLLER") or ""),
            restart_kubelet=shlex.split(os.environ.get("E2E_RESTART_KUBELET") or ""),
            strict_speed=os.environ.get("E2E_STRICT_SPEED") == "1",
        )


def missing() -> list[str]:
    """Return the variables that must be set and are not, each with what it stands for."""
    return [f"{name} ({what})" for name, what in REQUIRED.items() if not os.environ.get(name)]
