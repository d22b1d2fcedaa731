"""A deployment on Kubernetes: the objects that keep it up, and what they need in S3.

A Deployment of one replica, ended before the next one starts. The session's account in S3 has a
lease, so a second session would be refused even where two pods met.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hera.workflows import CronWorkflow, Resource, models

from trading_runtime.argo.cluster_names import (
    ACCOUNT,
    COMPONENT,
    LABELS,
    NAME,
    PULL_SECRET,
    S3_KEYS,
    S3_SECRET,
    labels_of,
)
from trading_runtime.argo.cluster_objects import (
    CONTAINER_SECURITY,
    RESTRICTED,
    USER,
    ClusterDeployment,
    ClusterObject,
    ConfigMap,
    DeploymentSpec,
    Egress,
    Ingress,
    IpBlock,
    NetworkPolicy,
    NetworkPolicySpec,
    ObjectMetadata,
    Peer,
    PodSpec,
    PodTemplate,
    PolicyPort,
    PolicyRule,
    Role,
    RoleBinding,
    RoleReference,
    Selector,
    ServiceAccount,
    Subject,
    pod_security,
    secret_variable,
)
from trading_runtime.argo.plan_step import check_image
from trading_runtime.argo.submitting import packed_strategy
from trading_runtime.canonical import digest
from trading_runtime.config.adapters import AdapterData, AdapterExecution
from trading_runtime.config.code_archive import archive_name
from trading_runtime.config.deployment import ReplayData, as_experiment, load_deployment
from trading_runtime.config.loading import explicit
from trading_runtime.config.strategy_code import find_strategy_code
from trading_runtime.deployments.desired import Desired, read_desired
from trading_runtime.deployments.kept import GRACE_SECONDS
from trading_runtime.deployments.times import is_within_hours
from trading_runtime.errors import UsageError
from trading_runtime.sessions.starting import check_mode
from trading_runtime.storage.folders import open_folder
from trading_runtime.storage.s3 import is_s3

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from pathlib import Path

    from trading_runtime.config.deployment import LoadedDeployment
    from trading_runtime.config.program import ProgramSettings
    from trading_runtime.config.supervision import SessionHours

HEALTH_PORT = 8080
_FOLDER = "/deployment"
_MEMORY = 1024 * 2**20
_CPU = "250m"
_RESERVE = 1.1
_OF_A_SUPERVISOR = ("$schema", "notes", "labels", "restart", "schedule", "notify")
"""Keys that mean nothing inside a pod."""
_MOST_BYTES = 1_000_000
"""A ConfigMap holds no more."""
_KEPT_WORKFLOWS = 3
_LATE_SECONDS = 300
_ANYWHERE = (
    # All except link-local addresses: a node's metadata service hands out the node's own rights.
    ("0.0.0.0/0", ["169.254.0.0/16"]),
    ("::/0", ["fe80::/10", "fd00:ec2::/32"]),
)


@dataclass(frozen=True)
class OnCluster:
    """A deployment that is ready to be applied."""

    desired: Desired
    image: str
    ports: Sequence[int]
    """Ports beside 443 that it reaches: of the venue and of storage."""
    content: dict[str, Any]
    """The file as the pod reads it."""
    code: bytes | None
    """The archive of the strategy's code, where the image does not contain it."""
    has_adapter: bool = False
    """Whether an adapter of the engine serves data or orders: it reads keys from variables."""

    @property
    def name(self) -> str:
        """Its name, and that of its objects."""
        return self.desired.name

    def upload(self) -> None:
        """Upload the strategy's code, where pods look for it."""
        if self.code is not None:
            open_folder(self.desired.results).write(archive_name(_sha256(self.code)), self.code)

    def documents(self, now: dt.datetime) -> list[dict[str, Any]]:
        """Return all objects; ``now`` decides whether one with hours is running at first."""
        hours = self.desired.schedule
        runs = hours is None or is_within_hours(hours, now)
        objects: list[ClusterObject] = [
            self._files(),
            self._deployment(1 if runs else 0),
            self._network(),
        ]
        if hours is None:
            return [item.document() for item in objects]
        objects += self._account_of_hours()
        workflows = [self._at("start", hours, 1), self._at("stop", hours, 0)]
        return [item.document() for item in objects] + [item.to_dict() for item in workflows]

    @property
    def _labels(self) -> dict[str, str]:
        return labels_of("deployment", self.name)

    def _metadata(self, suffix: str = "") -> ObjectMetadata:
        return ObjectMetadata(name=self.name + suffix, labels=self._labels)

    @property
    def _selector(self) -> Selector:
        labels = self._labels
        return Selector(match_labels={key: labels[key] for key in (COMPONENT, NAME)})

    def _files(self) -> ConfigMap:
        text = json.dumps(self.content, indent=1, ensure_ascii=False) + "\n"
        if len(text.encode()) > _MOST_BYTES:
            raise UsageError(
                f"{self.desired.path}: is too long for a cluster, which takes {_MOST_BYTES:,} bytes"
            )
        return ConfigMap(metadata=self._metadata(), data={"deployment.json": text})

    def _deployment(self, replicas: Literal[0, 1]) -> ClusterDeployment:
        # A pod does not notice a changed file: the template has to change as well.
        about = {"trading-runtime/content": digest(json.loads(json.dumps(self.content)))}
        return ClusterDeployment(
            metadata=self._metadata(),
            spec=DeploymentSpec(
                replicas=replicas,
                selector=self._selector,
                template=PodTemplate(
                    metadata=ObjectMetadata(labels=self._labels, annotations=about),
                    spec=PodSpec(
                        containers=[self._container()],
                        service_account_name=ACCOUNT,
                        automount_service_account_token=False,
                        security_context=pod_security(USER),
                        share_process_namespace=True,
                        image_pull_secrets=[models.LocalObjectReference(name=PULL_SECRET)],
                        volumes=[
                            models.Volume(
                                name="deployment",
                                config_map=models.ConfigMapVolumeSource(name=self.name),
                            ),
                            models.Volume(
                                name="scratch",
                                empty_dir=models.EmptyDirVolumeSource(size_limit=_quantity("10Gi")),
                            ),
                        ],
                        termination_grace_period_seconds=round(GRACE_SECONDS),
                    ),
                ),
            ),
        )

    def _container(self) -> models.Container:
        program = self.desired.program
        memory = self.desired.memory or _MEMORY
        if program is None and self.desired.memory is not None:
            # The session looks at its own memory, and ends in good order.
            memory = round(memory * _RESERVE)
        requests = {"cpu": _CPU, "memory": f"{-(-memory // 2**20)}Mi"}
        limits = {"memory": requests["memory"]}
        if self.desired.cpu is not None:
            requests["cpu"] = limits["cpu"] = f"{round(self.desired.cpu * 1000)}m"
        common = models.Container(
            name="main",
            image=self.image,
            resources=models.ResourceRequirements(
                requests={key: _quantity(value) for key, value in requests.items()},
                limits={key: _quantity(value) for key, value in limits.items()},
            ),
            security_context=CONTAINER_SECURITY,
            volume_mounts=[
                models.VolumeMount(name="deployment", mount_path=_FOLDER, read_only=True),
                models.VolumeMount(name="scratch", mount_path="/tmp"),  # noqa: S108
            ],
        )
        return self._session(common) if program is None else self._program(common, program)

    def _session(self, container: models.Container) -> models.Container:
        code = [] if self.code is None else [f"--code={_sha256(self.code)}"]
        container.command = ["python", "trading_runtime/local/trade.py"]
        live = ["--live"] if self.desired.is_live else []
        container.args = [f"--config={_FOLDER}/deployment.json", "--wait=1m", *code, *live]
        container.working_dir = "/app"
        container.env = [
            models.EnvVar(name="TRADING_RUNTIME_TERMINATION_LOG", value="/dev/termination-log"),
            *(secret_variable(S3_SECRET, key, optional=True) for key in S3_KEYS),
        ]
        if self.has_adapter:
            # Market data is mostly public; orders never are.
            keys = models.SecretEnvSource(name=self.name, optional=not self.desired.is_live)
            container.env_from = [models.EnvFromSource(secret_ref=keys)]
        container.ports = [models.ContainerPort(container_port=HEALTH_PORT, name="health")]
        container.startup_probe = _probe("/healthz", period=2, failures=60)
        container.liveness_probe = _probe("/healthz", period=10, failures=3)
        container.readiness_probe = _probe("/readyz", period=5, failures=1)
        return container

    def _program(self, container: models.Container, program: ProgramSettings) -> models.Container:
        # Kubernetes replaces $(NAME) in texts; a doubled $ is a plain one.
        container.command = [text.replace("$", "$$") for text in program.command]
        values = {
            "TRADING_RUNTIME_DEPLOYMENT": self.name,
            "TRADING_RUNTIME_CONFIG": json.dumps(program.config, default=float),
            "TRADING_RUNTIME_CONFIG_FILE": f"{_FOLDER}/deployment.json",
            **program.environment,
        }
        container.env = [
            models.EnvVar(
                name="TRADING_RUNTIME_RUN_ID",
                value_from=models.EnvVarSource(
                    field_ref=models.ObjectFieldSelector(field_path="metadata.name")
                ),
            ),
            *(
                models.EnvVar(name=key, value=value.replace("$", "$$"))
                for key, value in values.items()
            ),
            *(secret_variable(self.name, key, optional=False) for key in program.secrets),
        ]
        return container

    def _network(self) -> NetworkPolicy:
        ports = [PolicyPort(port=port) for port in sorted({443, *self.ports})]
        peers = [Peer(ip_block=IpBlock(cidr=c, **{"except": e})) for c, e in _ANYWHERE]
        is_session = self.desired.program is None
        health = [Ingress(ports=[PolicyPort(port=HEALTH_PORT)])] if is_session else None
        return NetworkPolicy(
            metadata=self._metadata(),
            spec=NetworkPolicySpec(
                pod_selector=self._selector,
                policy_types=["Ingress", "Egress"] if is_session else ["Egress"],
                ingress=health,
                egress=[
                    Egress(ports=[PolicyPort(protocol="UDP", port=53), PolicyPort(port=53)]),
                    Egress(to=peers, ports=ports),
                ],
            ),
        )

    def _account_of_hours(self) -> list[ClusterObject]:
        """Return the account of the workflows that start and stop it, and no more than that."""
        account = f"{self.name}-hours"
        return [
            ServiceAccount(metadata=self._metadata("-hours")),
            Role(
                metadata=self._metadata("-hours"),
                rules=[
                    PolicyRule(
                        api_groups=["argoproj.io"],
                        resources=["workflowtaskresults"],
                        verbs=["create", "patch"],
                    ),
                    PolicyRule(
                        api_groups=["apps"],
                        resources=["deployments"],
                        resource_names=[self.name],
                        verbs=["get", "patch"],
                    ),
                ],
            ),
            RoleBinding(
                metadata=self._metadata("-hours"),
                role_ref=RoleReference(name=account),
                subjects=[Subject(name=account)],
            ),
        ]

    def _at(self, what: str, hours: SessionHours, replicas: int) -> CronWorkflow:
        scaled = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.name},
            "spec": {"replicas": replicas},
        }
        patch = {
            # It writes the manifest where the main container reads it: Argo mounts it only there.
            "initContainers": [
                {
                    "name": "init",
                    "securityContext": RESTRICTED,
                    "volumeMounts": [
                        {"name": "tmp-dir-argo", "mountPath": "/tmp", "subPath": "0"}  # noqa: S108
                    ],
                }
            ],
            "containers": [{"name": "main", "securityContext": RESTRICTED}],
        }
        return CronWorkflow(
            name=f"{self.name}-{what}",
            labels=self._labels,
            schedules=[hours.start if what == "start" else hours.stop],
            timezone=hours.time_zone,
            concurrency_policy="Forbid",
            # A start or stop that the controller misses is made up for so long.
            starting_deadline_seconds=_LATE_SECONDS,
            successful_jobs_history_limit=_KEPT_WORKFLOWS,
            failed_jobs_history_limit=_KEPT_WORKFLOWS,
            cron_suspend=False,
            entrypoint=what,
            active_deadline_seconds=_LATE_SECONDS,
            service_account_name=f"{self.name}-hours",
            pod_metadata=models.Metadata(labels=LABELS),
            security_context=models.PodSecurityContext(
                run_as_non_root=True,
                run_as_user=USER,
                seccomp_profile=models.SeccompProfile(type="RuntimeDefault"),
            ),
            pod_spec_patch=json.dumps(patch, sort_keys=True, separators=(",", ":")),
            templates=[
                Resource(
                    name=what,
                    action="patch",
                    merge_strategy="merge",
                    manifest=json.dumps(scaled),
                )
            ],
        )


def prepare_for_cluster(
    path: Path, image: str | None, ports: Sequence[int], *, is_live: bool = False
) -> OnCluster:
    """Check a deployment's file for a cluster; nothing is sent.

    Raises ``UsageError`` for a bad file or image, for data or results that are not in S3, and
    unless ``is_live`` says the same as the deployment's mode.
    """
    desired = read_desired(path)
    program = desired.program
    if program is not None:
        if is_live:
            raise UsageError(f"{path}: --live: a program sends its own orders; leave it out")
        image = image or program.image
        if image is None:
            raise UsageError(
                f"{path}: program.image: a cluster needs the image that holds the program, by "
                "digest: name@sha256:..."
            )
        described = {"deployment": desired.name, "config": program.config}
        plain = json.loads(json.dumps(described, default=float))
        return OnCluster(desired, check_image(image), ports, plain, None)
    if image is None:
        raise UsageError(f"{path}: give the image of the session with --image name@sha256:...")
    read = load_deployment(path)
    check_mode(read.deployment, is_live=is_live)
    _check_places(path, read)
    content = _content_in_a_pod(read)
    settings = read.deployment.strategy
    code = find_strategy_code(
        settings.path, read.loaded.code_folder, settings.code, settings.config_path
    )
    packed = packed_strategy(read.loaded, code, content["strategy"])
    parts = (read.deployment.data, read.deployment.execution)
    has_adapter = any(isinstance(part, (AdapterData, AdapterExecution)) for part in parts)
    return OnCluster(desired, check_image(image), ports, content, packed, has_adapter)


def _check_places(path: Path, read: LoadedDeployment) -> None:
    """Raise ``UsageError`` for folders of this machine, which pods do not see."""
    places = {"results": read.loaded.results_place}
    if isinstance(read.deployment.data, ReplayData):
        places["data.dataset"] = read.loaded.dataset_place
    elif read.deployment.record is not None:
        raise UsageError(
            f"{path}: record: goes to a folder, which ends with the pod; leave it out, and record "
            "with 'trading-runtime record' on a machine"
        )
    for key, place in places.items():
        if not is_s3(place):
            raise UsageError(
                f"{path}: {key}: {place} is a folder of this machine, which pods do not see; name "
                "a place in S3: s3://bucket/prefix"
            )


def _content_in_a_pod(read: LoadedDeployment) -> dict[str, Any]:
    """Return the file as a pod reads it."""
    # As it is written: what it leaves out is the image's to fill in.
    written = read.deployment.model_dump(mode="json", by_alias=True, exclude_unset=True)
    content: dict[str, Any] = json.loads(json.dumps(written))
    for key in _OF_A_SUPERVISOR:
        content.pop(key, None)
    content["results"] = read.loaded.results_place
    if isinstance(read.deployment.data, ReplayData):
        content["data"]["dataset"] = read.loaded.dataset_place
    content["strategy"] = explicit(as_experiment(read.deployment))["strategy"]
    content["health"] = {"host": "0.0.0.0", "port": HEALTH_PORT}  # noqa: S104 - in its pod
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _quantity(text: str) -> models.Quantity:
    return models.Quantity(root=text)


def _probe(path: str, *, period: int, failures: int) -> models.Probe:
    return models.Probe(
        http_get=models.HTTPGetAction(path=path, port=HEALTH_PORT),
        period_seconds=period,
        failure_threshold=failures,
        timeout_seconds=5,
    )
