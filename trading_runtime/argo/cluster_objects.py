"""Objects of Kubernetes that Hera has no models of: typed, and strict about unknown keys.

What is inside pods (containers, probes, volumes, security) are Hera's models; what all pods have in
common is here.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal

from hera.workflows import models
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from collections.abc import Sequence

USER = 10001
"""The user that pods run as."""

RESTRICTED: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}

CONTAINER_SECURITY = models.SecurityContext(
    allow_privilege_escalation=False,
    capabilities=models.Capabilities(drop=["ALL"]),
    read_only_root_filesystem=True,
)


def pod_security(user: int) -> models.PodSecurityContext:
    """Return the user that the containers of a pod run as."""
    return models.PodSecurityContext(
        run_as_non_root=True,
        run_as_user=user,
        run_as_group=user,
        fs_group=user,
        seccomp_profile=models.SeccompProfile(type="RuntimeDefault"),
    )


def secret_variable(secret: str, key: str, *, optional: bool) -> models.EnvVar:
    """Return the variable that has the name and the value of a key in a secret."""
    return models.EnvVar(
        name=key,
        value_from=models.EnvVarSource(
            secret_key_ref=models.SecretKeySelector(
                name=secret, key=key, optional=True if optional else None
            )
        ),
    )


def as_yaml(documents: Sequence[dict[str, Any]]) -> str:
    """Return objects as the text of one file."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 10_000
    stream = io.StringIO()
    yaml.dump_all([_blocks(item) for item in documents], stream)
    return stream.getvalue()


def _blocks(value: Any) -> Any:
    """Return the value with multi-line texts written as blocks."""
    from ruamel.yaml.scalarstring import LiteralScalarString

    if isinstance(value, dict):
        return {key: _blocks(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_blocks(item) for item in value]
    return LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value


class ClusterModel(BaseModel):
    """Base of all parts of an object."""

    model_config = ConfigDict(
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        arbitrary_types_allowed=True,
    )


class ObjectMetadata(ClusterModel):
    """Name, labels and annotations."""

    name: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class ClusterObject(ClusterModel):
    """Base of all objects."""

    api_version: str
    kind: str
    metadata: ObjectMetadata

    def document(self) -> dict[str, Any]:
        """Return the object as it is applied."""
        content: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return content


class ConfigMap(ClusterObject):
    """Files."""

    api_version: Literal["v1"] = "v1"
    kind: Literal["ConfigMap"] = "ConfigMap"
    data: dict[str, str]


class ServiceAccount(ClusterObject):
    """An account of pods."""

    api_version: Literal["v1"] = "v1"
    kind: Literal["ServiceAccount"] = "ServiceAccount"


class PolicyRule(ClusterModel):
    """What a role allows."""

    api_groups: list[str]
    resources: list[str]
    verbs: list[str]
    resource_names: list[str] | None = None


class Role(ClusterObject):
    """Rights in a namespace."""

    api_version: Literal["rbac.authorization.k8s.io/v1"] = "rbac.authorization.k8s.io/v1"
    kind: Literal["Role"] = "Role"
    rules: list[PolicyRule]


class RoleReference(ClusterModel):
    """The role that is given."""

    api_group: Literal["rbac.authorization.k8s.io"] = "rbac.authorization.k8s.io"
    kind: Literal["Role"] = "Role"
    name: str


class Subject(ClusterModel):
    """Who is given it."""

    kind: Literal["ServiceAccount"] = "ServiceAccount"
    name: str


class RoleBinding(ClusterObject):
    """Gives a role to an account."""

    api_version: Literal["rbac.authorization.k8s.io/v1"] = "rbac.authorization.k8s.io/v1"
    kind: Literal["RoleBinding"] = "RoleBinding"
    role_ref: RoleReference
    subjects: list[Subject]


class Selector(ClusterModel):
    """Which pods are meant."""

    match_labels: dict[str, str]


class PodSpec(ClusterModel):
    """A pod that runs until it is stopped."""

    containers: list[models.Container]
    service_account_name: str
    automount_service_account_token: bool
    security_context: models.PodSecurityContext
    share_process_namespace: bool
    """Otherwise the process has number 1, and a signal that comes before it is ready is lost."""
    image_pull_secrets: list[models.LocalObjectReference]
    volumes: list[models.Volume]
    termination_grace_period_seconds: int


class PodTemplate(ClusterModel):
    """The pods of a Deployment."""

    metadata: ObjectMetadata
    spec: PodSpec


class Strategy(ClusterModel):
    """How a changed Deployment is rolled over."""

    type: Literal["Recreate"] = "Recreate"


class DeploymentSpec(ClusterModel):
    """One pod, ended before the next one starts."""

    replicas: Literal[0, 1]
    revision_history_limit: int = 3
    strategy: Strategy = Field(default_factory=Strategy)
    selector: Selector
    template: PodTemplate


class ClusterDeployment(ClusterObject):
    """A Deployment of Kubernetes."""

    api_version: Literal["apps/v1"] = "apps/v1"
    kind: Literal["Deployment"] = "Deployment"
    spec: DeploymentSpec


class IpBlock(ClusterModel):
    """Addresses."""

    cidr: str
    except_: list[str] | None = Field(default=None, alias="except")


class Peer(ClusterModel):
    """Where traffic goes to."""

    ip_block: IpBlock


class PolicyPort(ClusterModel):
    """A port that is open."""

    protocol: Literal["TCP", "UDP"] = "TCP"
    port: int


class Ingress(ClusterModel):
    """What may come in."""

    ports: list[PolicyPort]


class Egress(ClusterModel):
    """What may go out."""

    to: list[Peer] | None = None
    ports: list[PolicyPort]


class NetworkPolicySpec(ClusterModel):
    """What is open besides what the namespace's own policies open."""

    pod_selector: Selector
    policy_types: list[Literal["Ingress", "Egress"]]
    ingress: list[Ingress] | None = None
    egress: list[Egress]


class NetworkPolicy(ClusterObject):
    """A network policy."""

    api_version: Literal["networking.k8s.io/v1"] = "networking.k8s.io/v1"
    kind: Literal["NetworkPolicy"] = "NetworkPolicy"
    spec: NetworkPolicySpec
